//! The program as it is run: its messages, exit codes and signals.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use crate::{
    client::{self, AUDIO_PART, FORM, form, get, post, predict, send},
    load::wait_until,
    model,
    predict::mp3,
    wav::Sound,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use models::{artifact, vgg19::Backend};
use serve::config::ModelKind;

const VGG: ModelKind = ModelKind::Vgg19;

pub(crate) fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
    for variable in ["TONEARM_ARTIFACTS", "TONEARM_FALLBACK_ARTIFACTS", "TONEARM_CONFIG", "TONEARM_LISTEN", "RUST_LOG"]
    {
        command.env_remove(variable);
    }
    // Neither settings nor models of the person who runs the tests.
    command.env("XDG_CONFIG_HOME", "/nowhere").env("XDG_DATA_HOME", "/nowhere").stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// A running server, killed if a test fails before it has stopped it.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
    first_line: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { child, stderr, address, first_line: String::new() };
        loop {
            running.first_line = running.line();
            assert!(!running.first_line.is_empty(), "ended before it was ready to accept connections");
            if let Some((_, rest)) = running.first_line.split_once("http://") {
                running.address = rest.split([',', '\n']).next().expect("an address").parse().expect("an address");
                return running;
            }
        }
    }

    /// Reads on to the line that has those words.
    fn line_with(&mut self, words: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "ended before it said `{words}`");
            if line.contains(words) {
                return line;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("text");
        line
    }

    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("runs");
        assert!(status.success());
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_names_every_option_and_the_route() {
    for kind in ModelKind::MEMBERS {
        names_its_options(kind);
    }
    let (_, stdout, _) = run(serve().args(["svm", "--help"]));
    assert!(!stdout.contains("--device"), "an SVM computes on the CPU alone\n{stdout}");
    let (_, stdout, _) = run(serve().arg("--help"));
    for kind in ModelKind::MEMBERS {
        assert!(stdout.contains(kind.role().name()) && stdout.contains(kind.route()), "{stdout}");
    }
}

fn names_its_options(kind: ModelKind) {
    let (code, stdout, _) = run(serve().args([kind.role().name(), "--help"]));
    assert_eq!(code, Some(0));
    let port = kind.role().port().to_string();
    let device = if kind.batches() { "--device" } else { "" };
    for word in [
        "--artifacts",
        "--fallback-artifacts",
        "--config",
        "--listen",
        "--host",
        "--port",
        "--max-body-bytes",
        "--max-seconds",
        "--threads",
        "--queue",
        "--read-timeout",
        "--grace",
        "--wait-for-artifact",
        "TONEARM_ARTIFACTS",
        kind.route(),
        &port,
        device,
    ] {
        assert!(stdout.contains(word), "{word} is not in\n{stdout}");
    }
}

#[test]
fn without_an_artifact_it_says_what_makes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ModelKind::MEMBERS {
        for artifacts in [folder.path().to_owned(), folder.path().join("nothing")] {
            let (code, stdout, stderr) = run(serve().arg(kind.role().name()).env("TONEARM_ARTIFACTS", &artifacts));
            assert_eq!(code, Some(2), "{stderr}");
            assert!(stdout.is_empty(), "{stdout}");
            let folder = artifacts.display().to_string();
            for words in [&folder, "cargo run --release -p train", &format!("no {} artifact", kind.name())] {
                assert!(stderr.contains(words), "{words} is not in {stderr}");
            }
        }
    }
}

/// Whichever way a kind comes to the model of the other, it says which is which.
#[test]
fn the_artifact_of_another_role_is_refused() {
    for [kind, other] in [ModelKind::MEMBERS, [ModelKind::MEMBERS[1], ModelKind::MEMBERS[0]]] {
        let root = tempfile::tempdir().expect("a folder");
        let version = model::write(root.path(), other).dir;
        let folder = root.path().join(other.name());
        let refused = |artifacts: &Path| {
            let (code, _, stderr) =
                run(serve().args([kind.role().name(), "--port", "0", "--artifacts"]).arg(artifacts));
            assert_eq!(code, Some(2), "{stderr}");
            let holds = format!("holds the model `{}`", other.name());
            let serves = format!("`serve {}` serves `{}`", kind.role().name(), kind.name());
            for words in [&holds, &serves, &format!("or run `serve {}`", other.role().name()), "--artifacts"] {
                assert!(stderr.contains(words), "{words} is not in {stderr}");
            }
            assert!(!stderr.contains("panicked"), "{stderr}");
        };
        refused(&folder);
        refused(&version);
        let renamed = root.path().join(kind.name());
        std::fs::rename(&folder, &renamed).expect("renames");
        refused(root.path());
        refused(&renamed);
    }
}

#[test]
fn a_device_that_is_not_there_is_refused_at_the_start() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), VGG);
    let refused = |device: &str, words: &[&str]| {
        // Also by a server that would wait for an artifact: a device does not come by waiting.
        for wait in [&[][..], &["--wait-for-artifact", "--artifacts", "nothing"]] {
            let mut command = serve();
            command.env("TONEARM_ARTIFACTS", root.path()).args(["vgg", "--port", "0", "--device", device]).args(wait);
            let (code, _, stderr) = run(&mut command);
            assert_eq!(code, Some(2), "{stderr}");
            assert!(words.iter().all(|word| stderr.contains(word)), "{words:?} are not all in {stderr}");
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
    };
    refused("abacus", &["--device", "abacus", "flex, ndarray, wgpu, cuda"]);
    for (device, is_built_in) in [("wgpu", cfg!(feature = "wgpu")), ("cuda", cfg!(feature = "cuda"))] {
        if !is_built_in {
            refused(device, &[device, "built without it", "--features", "--device"]);
        }
    }
}

#[test]
fn a_damaged_artifact_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    let version = artifact::resolve(root.path(), Some("svm")).expect("is there");
    let weights = version.join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).expect("is there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).expect("writes");
    let (code, _, stderr) = run(serve().args(["svm", "--port", "0", "--artifacts"]).arg(root.path()));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("damaged"), "{stderr}");
}

#[test]
fn a_taken_port_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, stderr) = run(serve().args(["svm", "--listen", &address, "--artifacts"]).arg(root.path()));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("failed to listen on {address}")), "{stderr}");
}

#[test]
fn it_announces_itself_answers_logs_and_stops_on_sigterm() {
    ModelKind::MEMBERS.into_iter().for_each(runs_and_stops);
}

fn runs_and_stops(kind: ModelKind) {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), kind);
    let mut server =
        Running::start(serve().args([kind.role().name(), "--listen", "127.0.0.1:0", "--artifacts"]).arg(root.path()));
    let ready = get(server.address, "/readyz").json();
    let version = ready["models"][kind.name()]["version"].as_str().expect("a version");
    let listed = get(server.address, &format!("/v1/models/{}", kind.name())).json();
    assert_eq!((&listed["version"], &listed["state"]), (&version.into(), &"ready".into()));
    assert_eq!(listed["origin"], "artifacts");
    let fingerprint = listed["fingerprint"].as_str().expect("a fingerprint");
    let device = if kind.batches() { "device flex" } else { "" };
    let place = format!("from {}", root.path().display());
    for word in [&format!("serve {}", kind.role().name()), kind.name(), version, &fingerprint[..12], device, &place] {
        assert!(server.first_line.contains(word), "{word} is not in {}", server.first_line);
    }
    let line = server.line_with("/readyz");
    assert!(line.contains("GET") && line.contains("/readyz") && line.contains("status=200"), "{line}");

    // Told to stop in the middle of a request, it answers it first.
    let mut stream = client::connect(server.address);
    let request = client::to(kind, &predict(&Sound::Noise.wav(4.0, 1)));
    let (begin, end) = request.split_at(request.len() / 2);
    stream.write_all(begin).expect("sends");
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(end).expect("sends");
    let response = client::read(&mut stream).expect("a response");
    assert_eq!((response.status, &response.json()["predicted_genre"]), (200, &"metal".into()));
    assert_eq!(server.exit_code(), Some(0));
}

/// The program that serves a network gives what the library gives for the artifact, whatever its threads.
#[test]
fn a_network_answers_as_the_library_does() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), VGG);
    let model = models::load(&root.path().join("vgg19")).expect("loads");
    for threads in ["1", "3"] {
        let server =
            Running::start(serve().args(["vgg", "--port", "0", "--threads", threads, "--artifacts"]).arg(root.path()));
        if cfg!(target_os = "linux") {
            // A thread names itself when it first runs.
            wait_until(|| threads_of(&server.child, "network-").to_string() == threads);
        }
        let short = Sound::Low.wav(2.5, 6);
        let tracks = [Sound::High.wav(7.0, 3), short, Sound::Noise.flac(4.0, 5), mp3()];
        for track in &tracks {
            let json = format!("{{\"audio_base64\": \"{}\"}}", BASE64_STANDARD.encode(track));
            for request in [
                post("/vgg", FORM, &form(&[(AUDIO_PART, track)])),
                post("/vgg", "application/octet-stream", track),
                post("/vgg", "application/json", json.as_bytes()),
            ] {
                send(server.address, &request).assert_predicts(&*model, track);
            }
        }
        send(server.address, &predict(&tracks[0])).assert_problem("not-found", 404);
        if cfg!(target_os = "linux") {
            assert_eq!(threads_of(&server.child, "network-").to_string(), threads);
        }
    }
}

/// How many threads of the process have a name that begins so.
fn threads_of(child: &Child, prefix: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("a process");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.expect("a thread").path().join("comm")).unwrap_or_default()
    };
    tasks.map(name).filter(|name| name.starts_with(prefix)).count()
}

/// Another device rounds otherwise, and predicts the same.
#[test]
fn a_network_computes_on_the_device_that_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), VGG);
    let ask = |device: Backend| {
        let mut command = serve();
        command.args(["vgg", "--port", "0", "--device", device.name(), "--artifacts"]).arg(root.path());
        let server = Running::start(&mut command);
        assert!(server.first_line.contains(&format!("device {device}")), "{}", server.first_line);
        send(server.address, &client::to(VGG, &predict(&Sound::High.wav(5.0, 1)))).json()
    };
    let (flex, ndarray) = (ask(Backend::Flex), ask(Backend::Ndarray));
    assert_eq!(flex["predicted_genre"], "classical");
    assert_eq!((&flex["predicted_genre"], &flex["model"]), (&ndarray["predicted_genre"], &ndarray["model"]));
    assert_ne!(flex["probabilities"], ndarray["probabilities"], "two programs of 600 million sums each");
    for sound in Sound::ALL {
        let p = |json: &serde_json::Value| json["probabilities"][sound.label()].as_f64().expect("a number");
        assert!((p(&flex) - p(&ndarray)).abs() < 1e-4, "{flex} {ndarray}");
    }
}

#[test]
fn it_can_wait_for_an_artifact() {
    ModelKind::MEMBERS.into_iter().for_each(waits);
}

fn waits(kind: ModelKind) {
    let root = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(
        serve().args([kind.role().name(), "--wait-for-artifact", "--port", "0", "--artifacts"]).arg(root.path()),
    );
    assert_eq!(get(server.address, "/healthz").status, 200);
    get(server.address, "/readyz").assert_problem("not-ready", 503);

    // The model of the other kind in the folder of this one is reported, and waited past.
    let other = if kind == VGG { ModelKind::Svm } else { VGG };
    let elsewhere = tempfile::tempdir_in(root.path()).expect("a folder");
    model::write(elsewhere.path(), other);
    let folder = root.path().join(kind.name());
    std::fs::rename(elsewhere.path().join(other.name()), &folder).expect("renames");
    let line = server.line_with("holds the model");
    assert!(line.contains("WARN") && line.contains(&format!("`{}`", kind.name())), "{line}");
    assert!(line.contains(&format!("`{}`", other.name())), "{line}");
    get(server.address, "/readyz").assert_problem("not-ready", 503);
    send(server.address, &client::to(kind, &predict(b""))).assert_problem("not-ready", 503);

    let written = model::write(root.path(), kind);
    assert_eq!(artifact::current(&folder).expect("in use"), written.version);
    wait_until(|| get(server.address, "/readyz").status == 200);
    let response = send(server.address, &client::to(kind, &predict(&Sound::Low.wav(2.0, 1))));
    assert_eq!(response.json()["predicted_genre"], "blues");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
}
