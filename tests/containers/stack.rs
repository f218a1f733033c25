//! One service of docker-compose.yml, with a name, ports and a volume of its own, and what can be done to it.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Response, request};

/// A service, and its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The SVM.
    Svm,
    /// VGG19.
    Vgg,
    /// The page, in front of both.
    Web,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Svm, Self::Vgg, Self::Web];

    /// Its name in docker-compose.yml.
    pub fn name(self) -> &'static str {
        ["svm", "vgg", "web"][self as usize]
    }
}

/// A running service, taken down with its volume when it is dropped.
#[derive(Debug)]
pub struct Stack {
    project: String,
    files: String,
    ports: [u16; 3],
    variables: Vec<(String, String)>,
}

impl Stack {
    /// Starts the containers, with `overrides` to docker-compose.yml, and waits until they are healthy.
    pub fn start(name: &str, overrides: &[&str]) -> Self {
        Self::start_with(name, overrides, &[], &[])
    }

    /// [`Stack::start`], with variables of the files, and options of `deploy/stack up`.
    pub fn start_with(name: &str, overrides: &[&str], variables: &[(&str, String)], options: &[&str]) -> Self {
        let files: Vec<_> = ["docker-compose.yml"].iter().chain(overrides).copied().collect();
        let project = format!("tonearm-test-{name}-{}", std::process::id());
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let stack = Self { project, files: files.join(":"), ports: free_ports(), variables };
        stack.must(&[&["up"][..], options].concat());
        stack.must(&["wait", "60"]);
        stack
    }

    /// Runs `deploy/stack`.
    pub fn script(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(root().join("deploy/stack"));
        // What is set for the service of the person who runs the tests is not for these.
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy();
            let kept = ["TONEARM_TAG", "TONEARM_DOCKER", "TONEARM_COMPOSE"].contains(&&*shown);
            if (shown.starts_with("TONEARM_") && !kept) || shown.starts_with("COMPOSE_") || shown.starts_with("RUST_") {
                command.env_remove(&name);
            }
        }
        command.env("TONEARM_PROJECT", &self.project).env("COMPOSE_FILE", &self.files);
        if arguments.contains(&"--observe") {
            command.env("TONEARM_PROMETHEUS_IMAGE", prometheus());
        }
        command.env("TONEARM_PROMETHEUS_PORT", "0").envs(self.variables.iter().map(|(name, value)| (name, value)));
        for service in Service::ALL {
            let variable = format!("TONEARM_{}_PORT", service.name().to_ascii_uppercase());
            command.env(variable, self.ports[service as usize].to_string());
        }
        command.current_dir(root()).args(arguments).stdin(Stdio::null()).output().expect("deploy/stack starts")
    }

    /// Runs `deploy/stack`, which must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        succeeded(&format!("deploy/stack {arguments:?}"), &self.script(arguments))
    }

    /// Runs `train` in its container, on the small dataset, mounted where the real one would be.
    pub fn train(&self, dataset: &Path, arguments: &[&str]) -> Output {
        let mount = format!("{}:/tonearm/data/gtzan:ro", dataset.display());
        let config = format!("{}:/tonearm/config.json:ro", dataset.with_file_name("config.json").display());
        let run = ["compose", "run", "--rm", "-T", "-v", &mount, "-v", &config, "train"];
        self.script(&[&run[..], arguments].concat())
    }

    /// Asks a service from outside, at the port that it is bound to.
    pub fn ask(&self, service: Service, method: &str, path: &str, body: &[u8]) -> std::io::Result<Response> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports[service as usize]));
        request(address, method, path, (!body.is_empty()).then_some("audio/wav"), body)
    }

    /// [`Stack::ask`] with GET, which must be answered.
    pub fn get(&self, service: Service, path: &str) -> Response {
        self.ask(service, "GET", path, &[]).unwrap_or_else(|error| panic!("{} answers {path}: {error}", service.name()))
    }

    /// The version that a service says it serves on `/readyz`, or what it says instead.
    pub fn version(&self, service: Service) -> Result<String, String> {
        let answer = self.ask(service, "GET", "/readyz", &[]).map_err(|error| error.to_string())?;
        let said = answer.json();
        let models = said["models"].as_object().into_iter().flatten();
        let version = models.filter_map(|(_, model)| model["version"].as_str()).next();
        version.filter(|_| answer.status == 200).map(str::to_owned).ok_or_else(|| format!("{}: {said}", answer.status))
    }

    /// What `web` says of a model on `/v1/models`.
    pub fn model(&self, name: &str) -> Value {
        let said = self.get(Service::Web, "/v1/models").json();
        let mut models = said["models"].as_array().expect("a list").iter();
        models.find(|model| model["name"] == name).expect("web lists both").clone()
    }

    /// The id of a container.
    pub fn container(&self, service: Service) -> String {
        self.must(&["compose", "ps", "-q", service.name()]).trim().to_owned()
    }

    /// What the engine says of a container.
    pub fn inspect(&self, service: Service, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.container(service)])
    }

    /// The network of the project.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// The volume, as a folder of this machine.
    pub fn volume(&self) -> PathBuf {
        docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &format!("{}_artifacts", self.project)]).into()
    }

    /// Every file of the volume, and what is in it.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.volume()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the volume can be read: the tests run as root").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a file");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }

    /// Names of what the engine still has of the project: containers, networks, volumes.
    pub fn remains(&self) -> [Vec<String>; 3] {
        let of = format!("label=com.docker.compose.project={}", self.project);
        let names =
            |arguments: &[&str]| docker(&[arguments, &["--filter", &of]].concat()).lines().map(str::to_owned).collect();
        [
            names(&["ps", "--all", "--format", "{{.Names}}"]),
            names(&["network", "ls", "--format", "{{.Name}}"]),
            names(&["volume", "ls", "--format", "{{.Name}}"]),
        ]
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", String::from_utf8_lossy(&self.script(&["logs"]).stdout));
        }
        let down = self.script(&["down", "--volumes"]);
        if !down.status.success() {
            eprintln!("deploy/stack down failed: {}", String::from_utf8_lossy(&down.stderr));
        }
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Asks the engine, which must answer.
pub fn docker(arguments: &[&str]) -> String {
    succeeded(&format!("docker {arguments:?}"), &ask_docker(arguments)).trim().to_owned()
}

/// Whether the engine does it, and what it says.
pub fn try_docker(arguments: &[&str]) -> (bool, String) {
    let output = ask_docker(arguments);
    let said = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
}

fn ask_docker(arguments: &[&str]) -> Output {
    let client = std::env::var("TONEARM_DOCKER").unwrap_or_else(|_| "docker".to_owned());
    Command::new(client).args(arguments).stdin(Stdio::null()).output().expect("docker starts")
}

/// The image of Prometheus.
pub fn prometheus() -> String {
    image("prometheus", "docker-compose.yml")
}

/// The image of Caddy.
pub fn caddy() -> String {
    image("caddy", "deploy/compose/tls.yml")
}

/// The image of a program of others: the one that its variable names, or the public one of a Compose file where it is, or a stand-in.
fn image(name: &str, compose: &str) -> String {
    let variable = format!("TONEARM_{}_IMAGE", name.to_ascii_uppercase());
    let public = || {
        let file = fs::read_to_string(root().join(compose)).expect("a file of Compose");
        let (_, rest) = file.split_once(&format!("${{{variable}:-")).expect("it names the image");
        let image = rest.split_once('}').expect("the end of the name").0;
        try_docker(&["image", "inspect", image]).0.then(|| image.to_owned())
    };
    let stand_in = || {
        let output = Command::new(root().join("deploy/stand-ins")).arg(format!("--{name}")).output().expect("a script");
        succeeded(&format!("deploy/stand-ins --{name}"), &output);
        format!("tonearm-stand-in/{name}")
    };
    std::env::var(&variable).ok().or_else(public).unwrap_or_else(stand_in)
}

/// Ports that are free, each another.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Held until all are known, so that they differ.
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("an address").port())
}

/// What a command that must have succeeded has printed.
fn succeeded(what: &str, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Asks again and again, for as long as `limit`, until there is an answer; what went wrong last is told otherwise.
pub fn eventually<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < limit, "{what}: not within {limit:?}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}
