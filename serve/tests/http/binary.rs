//! The program as it is run: its messages, exit codes and signals.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use crate::{
    client::{self, get, predict, send},
    model,
    wav::Sound,
};

fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
    command.env_remove("TONEARM_ARTIFACTS").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// A running server, killed if a test fails before it has stopped it.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
    first_line: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { child, stderr, address, first_line: String::new() };
        loop {
            running.first_line = running.line();
            assert!(!running.first_line.is_empty(), "ended before it listened");
            if let Some((_, rest)) = running.first_line.split_once("http://") {
                running.address = rest.split([',', '\n']).next().expect("an address").parse().expect("an address");
                return running;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("text");
        line
    }

    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("runs");
        assert!(status.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
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
    let (code, stdout, _) = run(serve().args(["svm", "--help"]));
    assert_eq!(code, Some(0));
    for word in [
        "--artifacts",
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
        "/predict",
    ] {
        assert!(stdout.contains(word), "{word} is not in\n{stdout}");
    }
}

#[test]
fn without_an_artifact_it_says_what_makes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for artifacts in [folder.path().to_owned(), folder.path().join("nothing")] {
        let (code, stdout, stderr) = run(serve().arg("svm").env("TONEARM_ARTIFACTS", &artifacts));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        assert!(stderr.contains(&artifacts.display().to_string()), "{stderr}");
        assert!(stderr.contains("cargo run --release -p train"), "{stderr}");
    }
}

#[test]
fn a_damaged_artifact_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path());
    let version = models::artifact::resolve(root.path(), Some("svm")).expect("is there");
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
    model::write(root.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, stderr) = run(serve().args(["svm", "--listen", &address, "--artifacts"]).arg(root.path()));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("failed to listen on {address}")), "{stderr}");
}

#[test]
fn it_announces_itself_answers_logs_and_stops_on_sigterm() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path());
    let mut server = Running::start(serve().args(["svm", "--listen", "127.0.0.1:0", "--artifacts"]).arg(root.path()));
    let ready = get(server.address, "/readyz").json();
    let version = ready["model"]["version"].as_str().expect("a version");
    let fingerprint = ready["model"]["fingerprint"].as_str().expect("a fingerprint");
    for word in ["serve svm", version, &fingerprint[..12]] {
        assert!(server.first_line.contains(word), "{word} is not in {}", server.first_line);
    }
    let line = server.line();
    assert!(line.contains("GET") && line.contains("/readyz") && line.contains("status=200"), "{line}");

    // Told to stop in the middle of a request, it answers it first.
    let mut stream = client::connect(server.address);
    let request = predict(&Sound::Noise.wav(4.0, 1));
    let (begin, end) = request.split_at(request.len() / 2);
    stream.write_all(begin).expect("sends");
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(end).expect("sends");
    let reply = client::read(&mut stream).expect("an answer");
    assert_eq!((reply.status, &reply.json()["predicted_genre"]), (200, &"metal".into()));
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn it_can_wait_for_an_artifact() {
    let root = tempfile::tempdir().expect("a folder");
    let mut server =
        Running::start(serve().args(["svm", "--wait-for-artifact", "--port", "0", "--artifacts"]).arg(root.path()));
    assert_eq!(get(server.address, "/healthz").status, 200);
    get(server.address, "/readyz").assert_problem("not-ready", 503);
    model::write(root.path());
    let start = std::time::Instant::now();
    while get(server.address, "/readyz").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "the artifact was not found");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).json()["predicted_genre"], "blues");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
}
