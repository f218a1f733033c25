//! Clients that others wrote, against real servers: the old service's client, Triton's over HTTP and gRPC, generated ones, and schemathesis.

use std::{fs, process::Command};

use tests::{Server, small};

const KEY: &str = "a-key-of-the-tests-0123456789";

#[test]
fn clients_of_others_are_served() {
    // They come from PyPI: `tests/run` installs them, and says where they are.
    let Some(peers) = std::env::var_os("TONEARM_PEERS") else {
        eprintln!("skipped: TONEARM_PEERS is not set; tests/run installs the clients and sets it");
        return;
    };
    let folder = small::shared();
    let artifacts = folder.join("artifacts");
    let start = |role, more: &[&str]| {
        let arguments = [role, "--listen", "127.0.0.1:0", "--grpc-port", "0", "--artifacts", "."];
        Server::start_with(&artifacts, &[&arguments, more].concat())
    };
    let servers = ["svm", "vgg", "all"].map(|role| start(role, &[]));
    let secrets = tempfile::tempdir().expect("a folder");
    let keys = secrets.path().join("keys");
    fs::write(&keys, KEY).expect("a file");
    let keyed = start("all", &["--api-key-file", keys.to_str().expect("text")]);
    let grpc = servers[2].grpc.expect("it says where it serves gRPC").to_string();
    let urls = servers.each_ref().map(|server| format!("http://{}", server.address));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/run.sh");
    let status = Command::new("sh")
        .arg(script)
        .args(&urls)
        .args([grpc, format!("http://{}", keyed.address), KEY.to_owned()])
        .arg(small::track(&folder, "jazz"))
        .env("TONEARM_PEERS", peers)
        .status()
        .expect("a shell");
    assert!(status.success(), "a client was not served; what it said is above");
}
