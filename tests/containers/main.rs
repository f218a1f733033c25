//! The containers of docker-compose.yml, and what happens when something is done to them.
//!
//! They want an engine on this machine, root, and the images (`deploy/images`), so they run when they are asked for:
//!
//! ```sh
//! cargo test --release --workspace --locked --test containers -- --ignored
//! ```

mod stack;
mod tls;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
    time::Duration,
};

use stack::{Service, Stack, docker, eventually};
use tests::{Response, small};

/// The images without their models.
const NO_MODELS: &str = "tests/containers/no-models.yml";
/// Longer than a server waits between two looks at the volume, or `web` between two at the servers.
const SOON: Duration = Duration::from_secs(15);
/// The tag of the images unless another is set.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// For a container to be started again.
const RESTART: Duration = Duration::from_secs(60);

/// A small dataset, two tracks, and the artifacts that `train` makes of the dataset outside of any container.
struct Inputs {
    dataset: PathBuf,
    track: Vec<u8>,
    /// For when the response to the first is cached, so that it would say nothing of the model.
    other_track: Vec<u8>,
    artifacts: PathBuf,
}

fn inputs() -> &'static Inputs {
    static INPUTS: OnceLock<Inputs> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let at = small::shared();
        let artifacts = at.join("artifacts");
        let track = |genre| fs::read(small::track(&at, genre)).expect("a track");
        Inputs { dataset: at.join("store"), track: track("blues"), other_track: track("jazz"), artifacts }
    })
}

/// The version of a model that is in the images: the one in use in the repository.
fn shipped(model: &str) -> String {
    let current = stack::root().join("artifacts").join(model).join("CURRENT");
    fs::read_to_string(current).expect("CURRENT").trim().to_owned()
}

/// The version of a model that the run outside of any container put in use.
fn expected(model: &str) -> String {
    fs::read_to_string(inputs().artifacts.join(model).join("CURRENT")).expect("CURRENT").trim().to_owned()
}

/// Trains in the container, which must succeed.
fn train(stack: &Stack, arguments: &[&str]) {
    let output = stack.train(&inputs().dataset, arguments);
    assert!(output.status.success(), "train {arguments:?}: {}", said(&output));
}

/// Trains the expected SVM and puts it in use: by itself a synthetic one does not take the place of the one of the image.
fn train_svm(stack: &Stack) {
    train(stack, &["svm"]);
    train(stack, &["promote", "svm", &expected("svm")]);
}

/// A small model of each kind, in use.
fn train_both(stack: &Stack) {
    train_svm(stack);
    // Without the convolutions of the network in the image, as outside of any container.
    let alone = ["--fallback-artifacts", "/nowhere"];
    train(stack, &[&["vgg19", "--config", "config.json", "--no-cache"], &alone[..]].concat());
    for (service, model) in [(Service::Svm, "svm"), (Service::Vgg, "vgg19")] {
        serves(stack, service, &expected(model));
        web_sees(stack, model);
    }
}

/// Waits until `web`, which looks now and then, has seen that a model is ready.
fn web_sees(stack: &Stack, model: &str) {
    eventually(SOON, &format!("web sees that {model} is ready"), || match stack.model(model) {
        said if said["state"] == "ready" => Ok(()),
        said => Err(said.to_string()),
    });
}

/// Waits until `web`, which looks now and then, has seen where a model comes from.
fn web_sees_origin(stack: &Stack, model: &str, origin: &str) {
    eventually(SOON, &format!("web sees that {model} comes from {origin}"), || match stack.model(model) {
        said if said["origin"] == origin => Ok(()),
        said => Err(said.to_string()),
    });
}

/// Waits until a service serves a version.
fn serves(stack: &Stack, service: Service, version: &str) {
    eventually(SOON, &format!("{} serves {version}", service.name()), || match stack.version(service)? {
        served if served == version => Ok(()),
        other => Err(other),
    });
}

/// Trains another machine than the expected one, and waits until it is taken up: its version.
fn takes_up_another(stack: &Stack) -> String {
    train(stack, &["svm", "--seed", "7"]);
    eventually(SOON, "svm takes up another version", || match stack.version(Service::Svm)? {
        version if version != expected("svm") => Ok(version),
        same => Err(same),
    })
}

/// Waits until `web` answers a track with a genre.
fn answers(stack: &Stack, path: &str) {
    eventually(RESTART, &format!("web answers {path}"), || match predict(stack, path) {
        Ok(answer) if answer.status == 200 && answer.json()["predicted_genre"].is_string() => Ok(()),
        Ok(answer) => Err(format!("{}: {}", answer.status, answer.json())),
        Err(error) => Err(error.to_string()),
    });
}

fn predict(stack: &Stack, path: &str) -> std::io::Result<Response> {
    stack.ask(Service::Web, "POST", path, &inputs().track)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Does something to a process or a volume behind the engine's back.
fn as_root(script: &str) -> Output {
    let is_root = Command::new("id").arg("-u").output().expect("id starts").stdout == b"0\n";
    let shell: &[&str] = if is_root { &["sh", "-c"] } else { &["sudo", "-n", "sh", "-c"] };
    Command::new(shell[0]).args(&shell[1..]).arg(script).output().expect("a shell starts")
}

/// [`as_root`], which must succeed.
fn must_as_root(script: &str) {
    let output = as_root(script);
    assert!(output.status.success(), "{script} (the tests run as root, beside the engine): {}", said(&output));
}

/// With no model in the images either.
#[test]
#[ignore = "needs an engine and the images"]
fn without_any_model_a_stack_is_healthy_and_not_ready() {
    let stack = Stack::start("none", &[NO_MODELS]);
    // Healthy, as `start` has waited for, and not ready.
    for service in Service::ALL {
        assert_eq!(stack.inspect(service, "{{.State.Health.Status}}"), "healthy");
        assert_eq!(stack.get(service, "/healthz").status, 200);
        let ready = stack.get(service, "/readyz");
        assert_eq!(ready.status, 503);
        assert_eq!(ready.json()["type"], "/problems/not-ready");
    }
    for model in ["svm", "vgg19"] {
        let said = stack.model(model);
        assert_eq!(said["state"], "unavailable");
        let problem = said["problem"].as_str().expect("a problem");
        assert!(problem.contains(&format!("no {model} artifact")), "{problem}");
    }
    assert_eq!(stack.get(Service::Web, "/").header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(predict(&stack, "/predict").expect("an answer").status, 503);
    train_svm(&stack);
    serves(&stack, Service::Svm, &expected("svm"));
    answers(&stack, "/predict");
}

#[test]
#[ignore = "needs an engine and the images"]
fn a_fresh_clone_serves_and_takes_up_what_is_trained() {
    let stack = Stack::start("fresh", &[]);
    // At once, and without any training, by the models of the images.
    for (service, model, path) in [(Service::Svm, "svm", "/predict"), (Service::Vgg, "vgg19", "/vgg")] {
        serves(&stack, service, &shipped(model));
        web_sees(&stack, model);
        web_sees_origin(&stack, model, "fallback");
        let answer = predict(&stack, path).expect("an answer");
        assert_eq!((answer.status, &answer.json()["model"]["version"]), (200, &shipped(model).into()));
    }
    assert_eq!(stack.get(Service::Web, "/").header("content-type"), Some("text/html; charset=utf-8"));
    assert!(stack.files().is_empty(), "nothing was copied into the volume");

    let started = Service::ALL.map(|service| stack.inspect(service, "{{.State.StartedAt}}"));
    // A synthetic model does not take the place of a real one by itself.
    let said = said(&stack.train(&inputs().dataset, &["svm"]));
    assert!(said.contains("not in use") && said.contains(&shipped("svm")), "{said}");
    assert_eq!(stack.version(Service::Svm), Ok(shipped("svm")));
    // In a container, by another user, with other folders: the same bytes, so the same version.
    train_both(&stack);
    for (path, model) in [("/predict", "svm"), ("/vgg", "vgg19")] {
        answers(&stack, path);
        web_sees_origin(&stack, model, "artifacts");
        let answer = predict(&stack, path).expect("an answer").json();
        assert_eq!(answer["model"]["version"], expected(model));
    }
    let before = expected("svm");
    let after = takes_up_another(&stack);
    let answer = predict(&stack, "/predict").expect("an answer").json();
    assert_eq!(answer["model"]["version"], after);
    // And back.
    train(&stack, &["promote", "svm", "--previous"]);
    serves(&stack, Service::Svm, &before);
    assert_eq!(
        started,
        Service::ALL.map(|service| stack.inspect(service, "{{.State.StartedAt}}")),
        "without a restart"
    );

    stack.must(&["down"]);
    let volume = stack.network().replace("_default", "_artifacts");
    assert_eq!(stack.remains(), [vec![], vec![], vec![volume]], "nothing but the volume");
    stack.must(&["up"]);
    stack.must(&["wait", "--ready", "60"]);
    serves(&stack, Service::Svm, &before);
    stack.must(&["down", "--volumes"]);
    assert_eq!(stack.remains(), [const { Vec::<String>::new() }; 3]);
}

#[test]
#[ignore = "needs an engine and the images"]
fn a_process_has_no_right_that_it_does_not_need() {
    let stack = Stack::start("rights", &[]);
    for service in Service::ALL {
        let process = PathBuf::from("/proc").join(stack.inspect(service, "{{.State.Pid}}"));
        let status = fs::read_to_string(process.join("status")).expect("a process of this machine");
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim()).unwrap_or_default()
        };
        assert_eq!(field("Uid"), "65532\t65532\t65532\t65532");
        assert_eq!(field("Gid"), "65532\t65532\t65532\t65532");
        for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(capabilities), "0000000000000000", "{capabilities}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        let mounts = fs::read_to_string(process.join("mounts")).expect("the mounts of a process");
        let of = |folder: &str| {
            let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            mounts
                .find(|mount| mount[1] == folder)
                .map(|mount| mount[3].split(',').next().unwrap_or_default().to_owned())
        };
        assert_eq!(of("/").as_deref(), Some("ro"));
        let volume = of("/tonearm/artifacts");
        assert_eq!(volume.as_deref(), (service != Service::Web).then_some("ro"), "only train writes artifacts");
    }
    // What is not a volume cannot be written.
    let output =
        stack.script(&["train", "synth", "--out", "/tonearm/dataset", "--clips-per-genre", "1", "--seconds", "1"]);
    assert!(!output.status.success() && said(&output).contains("Read-only file system"), "{}", said(&output));
}

#[test]
#[ignore = "needs an engine and the images"]
fn one_that_is_killed_comes_back() {
    let stack = Stack::start("killed", &[]);
    train_both(&stack);
    for path in ["/predict", "/vgg"] {
        answers(&stack, path);
    }
    // The engine waits longer before each start, so that it is seen to be away, however quickly it comes back.
    let seen = eventually(RESTART, "web says that svm is away", || {
        let process = stack.inspect(Service::Svm, "{{.State.Pid}}");
        if process != "0" {
            must_as_root(&format!("kill -KILL {process}"));
        }
        let refused = predict(&stack, "/predict").expect("web goes on");
        let vgg = predict(&stack, "/vgg").expect("web goes on");
        assert_eq!(vgg.status, 200, "the other model answers meanwhile");
        let model = stack.model("svm");
        if refused.status == 502 && model["state"] == "unavailable" {
            Ok((refused.json(), model))
        } else {
            Err(model.to_string())
        }
    });
    let (refused, model) = seen;
    assert_eq!(refused["type"], "/problems/backend-unavailable");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("svm")), "{refused}");
    assert_eq!(model["problem"], "its server is not reachable");
    assert_eq!(stack.model("vgg19")["state"], "ready");
    // Not by us.
    answers(&stack, "/predict");
    serves(&stack, Service::Svm, &expected("svm"));
    assert_ne!(stack.inspect(Service::Svm, "{{.RestartCount}}"), "0");
    stack.must(&["wait", "--ready", "60"]);
}

#[test]
#[ignore = "needs an engine and the images"]
fn a_network_that_is_cut_is_told_and_gets_over() {
    let stack = Stack::start("cut", &[]);
    train_both(&stack);
    answers(&stack, "/predict");
    let container = stack.container(Service::Svm);
    docker(&["network", "disconnect", &stack.network(), &container]);
    let refused = predict(&stack, "/predict").expect("web goes on");
    assert_eq!(refused.status, 502);
    let refused = refused.json();
    assert_eq!(refused["type"], "/problems/backend-unavailable");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("svm")), "{refused}");
    let problem = eventually(SOON, "web says so without a request", || match stack.model("svm")["problem"].as_str() {
        Some(problem) => Ok(problem.to_owned()),
        None => Err("no problem".to_owned()),
    });
    assert_eq!(problem, "its server is not reachable");
    assert_eq!(predict(&stack, "/vgg").expect("web goes on").status, 200);
    // It lives, so it is not started again.
    stack.must(&["wait", "60"]);
    docker(&["network", "connect", "--alias", "svm", &stack.network(), &container]);
    answers(&stack, "/predict");
    web_sees(&stack, "svm");
    assert_eq!(stack.inspect(Service::Svm, "{{.RestartCount}}"), "0");
}

/// A training that fails with these words leaves every byte of the volume as it was, and the service serves.
fn fails_and_harms_nothing(stack: &Stack, words: &str) {
    let (files, version) = (stack.files(), stack.version(Service::Svm).expect("it serves"));
    let output = stack.train(&inputs().dataset, &["svm", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(words) && said(&output).contains("/tonearm/artifacts"), "{}", said(&output));
    assert!(stack.files() == files, "something was written, or is gone");
    assert_eq!(stack.version(Service::Svm), Ok(version));
    let answer = stack.ask(Service::Svm, "POST", "/predict", &inputs().other_track).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("tonearm-cache"), Some("miss"), "it was computed now");
}

#[test]
#[ignore = "needs an engine and the images"]
fn a_full_volume_stops_training_alone() {
    let stack = Stack::start("full", &["tests/containers/small-volume.yml"]);
    train_svm(&stack);
    serves(&stack, Service::Svm, &expected("svm"));
    answers(&stack, "/predict");
    let filler = stack.volume().join("filler");
    // It ends with an error, when nothing more will go in.
    assert!(!as_root(&format!("cat /dev/zero > {}", filler.display())).status.success());
    fails_and_harms_nothing(&stack, "No space left on device");
    must_as_root(&format!("rm {}", filler.display()));
    takes_up_another(&stack);
}

#[test]
#[ignore = "needs an engine and the images"]
fn a_volume_without_permission_stops_training_alone() {
    let stack = Stack::start("permission", &[]);
    train_svm(&stack);
    serves(&stack, Service::Svm, &expected("svm"));
    answers(&stack, "/predict");
    let volume = stack.volume();
    must_as_root(&format!("chown -R 0:0 {}", volume.display()));
    fails_and_harms_nothing(&stack, "cannot be written");
    must_as_root(&format!("chown -R 65532:65532 {}", volume.display()));
    takes_up_another(&stack);
}

/// The two commands of docs/operations.md.
#[test]
#[ignore = "needs an engine and the images"]
fn what_was_backed_up_can_be_restored() {
    let stack = Stack::start("backup", &[]);
    train_svm(&stack);
    serves(&stack, Service::Svm, &expected("svm"));
    let before = predict(&stack, "/predict").expect("an answer").json();
    let names = |stack: &Stack| {
        let volume = stack.volume();
        let below = |path: PathBuf| path.strip_prefix(&volume).expect("below the volume").to_owned();
        stack.files().into_iter().map(|(path, bytes)| (below(path), bytes)).collect::<Vec<_>>()
    };
    let files = names(&stack);
    let folder = tempfile::tempdir().expect("a folder");
    let backup = folder.path().join("tonearm.tar").display().to_string();
    stack.must(&["backup", &backup]);

    stack.must(&["down", "--volumes"]);
    stack.must(&["up"]);
    stack.must(&["wait", "--ready", "60"]);
    assert_eq!(stack.version(Service::Svm), Ok(shipped("svm")), "the volume is another");
    // Cut short, it harms nothing, and is done again.
    let half = folder.path().join("half.tar");
    let whole = fs::read(&backup).expect("the backup");
    fs::write(&half, &whole[..whole.len() / 2]).expect("a file");
    let output = stack.script(&["restore", &half.display().to_string()]);
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(stack.version(Service::Svm), Ok(shipped("svm")));
    stack.must(&["restore", &backup]);
    serves(&stack, Service::Svm, &expected("svm"));
    assert!(names(&stack) == files, "not every byte is back");
    let after = predict(&stack, "/predict").expect("an answer").json();
    assert_eq!(after["probabilities"], before["probabilities"]);
    // By the user of the images, who can go on training.
    takes_up_another(&stack);
    for (arguments, words) in [(&["backup"][..], "requires a file"), (&["restore", "/nowhere/x.tar"], "is no file")] {
        let output = stack.script(arguments);
        assert!(output.status.code() == Some(64) && said(&output).contains(words), "{}", said(&output));
    }
}

/// The name of an image.
fn image(name: &str) -> String {
    format!("tonearm-{name}:{}", std::env::var("TONEARM_TAG").unwrap_or_else(|_| VERSION.to_owned()))
}

#[test]
#[ignore = "needs an engine and the images"]
fn images_say_which_release_they_are() {
    for name in ["svm", "vgg", "web", "train"] {
        let labels = docker(&["inspect", "--format", "{{json .Config.Labels}}", &image(name)]);
        let labels: serde_json::Value = serde_json::from_str(&labels).expect("JSON");
        assert_eq!(labels["org.opencontainers.image.title"], format!("tonearm-{name}"));
        assert_eq!(labels["org.opencontainers.image.version"], VERSION);
        let revision = labels["org.opencontainers.image.revision"].as_str().unwrap_or_default();
        let commit = revision.trim_end_matches("-dirty");
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{labels}");
    }
}

#[test]
#[ignore = "needs an engine and the images"]
fn flags_can_be_added_to_an_image() {
    let image = image("svm");
    let client = std::env::var("TONEARM_DOCKER").unwrap_or_else(|_| "docker".to_owned());
    let arguments = ["run", "--rm", &image, "--queue", "16", "--print-config"];
    let output = Command::new(client).args(arguments).output().expect("docker starts");
    assert!(output.status.success(), "{}", said(&output));
    let settings = said(&output);
    for line in [
        "queue = 16",
        "listen = \"0.0.0.0:8081\"",
        "artifacts = \"/tonearm/artifacts\"",
        "fallback-artifacts = \"/usr/local/share/tonearm/artifacts\"",
        "wait-for-artifact = true",
    ] {
        assert!(settings.contains(line), "{line} is not in\n{settings}");
    }
}

#[test]
#[ignore = "needs an engine and the images"]
fn what_goes_wrong_is_seen_by_prometheus() {
    let image = stack::prometheus();
    let rules = format!("{}:/rules:ro", stack::root().join("deploy/prometheus").display());
    let promtool = ["run", "--rm", "--volume", &rules, "--workdir", "/rules", "--tmpfs", "/tmp:mode=1777"];
    let promtool = [&promtool[..], &["--entrypoint", "promtool", &image]].concat();
    docker(&[&promtool[..], &["check", "config", "prometheus.yml"]].concat());
    docker(&[&promtool[..], &["test", "rules", "alerts.test.yml"]].concat());

    let stack = Stack::start("observe", &[NO_MODELS]);
    stack.must(&["up", "--observe"]);
    let prometheus = stack.must(&["compose", "--profile", "observe", "ps", "-q", "prometheus"]);
    let waits_for = |what: &str, query: &str| {
        eventually(RESTART, what, || {
            let query = ["exec", prometheus.trim(), "promtool", "query", "instant", "http://127.0.0.1:9090", query];
            let (found, said) = stack::try_docker(&query);
            if found && !said.is_empty() { Ok(()) } else { Err(said) }
        });
    };
    waits_for("all three are read", r#"sum(up{job="tonearm"}) == 3"#);
    waits_for(
        "the numbers have the names that the alerts know",
        r#"tonearm_requests_total{service="svm", route="/healthz", method="GET", status="200"} > 0"#,
    );
    waits_for("that there is no model", r#"ALERTS{alertname="TonearmNoModel", service="svm"}"#);
    docker(&["stop", &stack.container(Service::Vgg)]);
    waits_for("that one is down", r#"ALERTS{alertname="TonearmDown", service="vgg"}"#);
}

/// Where there is no engine, a pipeline can tell that from a failure.
#[test]
fn without_an_engine_a_script_says_so() {
    for (script, arguments) in [("stack", &["up"][..]), ("images", &["--packed"]), ("stand-ins", &[])] {
        let mut command = Command::new(stack::root().join("deploy").join(script));
        command.args(arguments).env("DOCKER_HOST", "unix:///nowhere/docker.sock").env_remove("TONEARM_DOCKER");
        let output = command.output().expect("the script starts");
        assert_eq!(output.status.code(), Some(69), "{}", said(&output));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

/// A tag that lags behind would start the images of another release.
#[test]
fn the_tag_of_the_images_is_the_version() {
    for (file, tags) in [
        ("docker-compose.yml", 4),
        ("deploy/kubernetes/services/kustomization.yaml", 3),
        ("deploy/kubernetes/train/kustomization.yaml", 1),
    ] {
        let text = fs::read_to_string(stack::root().join(file)).expect("a file of the repository");
        let [of_compose, of_kustomize] = [format!("${{TONEARM_TAG:-{VERSION}}}"), format!("newTag: {VERSION}}}")];
        let found = text.matches(&of_compose).count() + text.matches(&of_kustomize).count();
        assert_eq!(found, tags, "{file}: the tags are to be {VERSION}");
    }
}

/// A member that is not copied, or not let through, would fail the build in a container, which runs less often.
#[test]
fn the_dockerfile_knows_every_member() {
    let read = |file: &str| fs::read_to_string(stack::root().join(file)).expect("a file of the repository");
    let manifest = read("Cargo.toml");
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("members").0;
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        assert!(dockerfile.contains(&format!("\nCOPY {member} /{member}\n")), "the Dockerfile does not copy {member}");
        let build = stack::root().join(member).join("build.rs").is_file().then_some("build.rs");
        for part in ["Cargo.toml", "src"].into_iter().chain(build) {
            assert!(
                ignored.contains(&format!("\n!{member}/{part}\n")),
                ".dockerignore does not let {member}/{part} through"
            );
        }
    }
}
