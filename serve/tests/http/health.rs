//! `serve health`, beside the server that it checks.

use std::{net::SocketAddr, thread, time::Duration};

use serve::config::ModelKind;

use crate::{
    binary::{Running, run, serve},
    load::wait_until,
    model,
};

/// Checks the server at `address`; the exit code and the message, which is at most one line.
fn health(address: SocketAddr, args: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{address}");
    let (code, stdout, stderr) = run(serve().args(["health", "--url", &url]).args(args));
    assert!(stdout.is_empty() && stderr.lines().count() <= 1, "{stdout}{stderr}");
    (code, stderr)
}

fn healthy() -> (Option<i32>, String) {
    (Some(0), String::new())
}

#[test]
fn a_server_lives_before_it_is_ready() {
    let root = tempfile::tempdir().expect("a folder");
    let mut server =
        Running::start(serve().args(["svm", "--wait-for-artifact", "--reload-every", "0.1", "--listen"]).args([
            "127.0.0.1:0",
            "--artifacts",
            &root.path().to_string_lossy(),
        ]));
    assert_eq!(health(server.address, &[]), healthy());
    let (code, said) = health(server.address, &["--ready"]);
    assert_eq!(code, Some(1));
    let asked = format!("serve health: http://{}/readyz answered 503: there is no svm artifact yet\n", server.address);
    assert_eq!(said, asked);
    let (code, said) = health(server.address, &["--ready", "--wait", "0.3"]);
    assert!(code == Some(1) && said.ends_with("; gave up after 0.3 s\n"), "{code:?} {said}");

    // It is waited for until there is an artifact.
    let address = server.address;
    let waits = thread::spawn(move || health(address, &["--ready", "--wait", "60"]));
    thread::sleep(Duration::from_millis(300));
    assert!(!waits.is_finished());
    model::write(root.path(), ModelKind::Svm);
    assert_eq!(waits.join().expect("ends"), healthy());
    assert_eq!(health(server.address, &["--ready"]), healthy());

    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    let (code, said) = health(server.address, &[]);
    let asked = format!("serve health: http://{}/healthz: failed to connect: ", server.address);
    assert!(code == Some(1) && said.starts_with(&asked), "{code:?} {said}");
}

#[test]
fn the_server_of_a_container_is_known_by_what_it_listens_on() {
    let root = tempfile::tempdir().expect("a folder");
    let args = ["svm", "--wait-for-artifact", "--listen", "0.0.0.0:0", "--artifacts"];
    let server = Running::start(serve().args(args).arg(root.path()));
    let listen = server.address.to_string();
    assert!(listen.starts_with("0.0.0.0:"), "{listen}");
    assert_eq!(run(serve().arg("health").env("TONEARM_LISTEN", &listen)), (Some(0), String::new(), String::new()));
    let (code, _, stderr) = run(serve().args(["health", "--ready"]).env("TONEARM_LISTEN", &listen));
    assert!(
        code == Some(1) && stderr.contains(&format!("http://127.0.0.1:{}/readyz", server.address.port())),
        "{stderr}"
    );
}

#[test]
fn wrong_usage_differs_from_an_unhealthy_server() {
    for (args, words) in [
        (&["health"] as &[&str], "TONEARM_LISTEN"),
        (&["health", "--url", "https://127.0.0.1:1"], "--url"),
        (&["health", "--listen", "8081"], "HOST:PORT"),
        (&["health", "--url", "http://127.0.0.1:1", "--wait", "soon"], "--wait"),
        (&["health", "--url", "http://127.0.0.1:1", "--timeout", "0"], "--timeout"),
        (&["health", "svm"], "svm"),
    ] {
        let (code, stdout, stderr) = run(serve().args(args));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?} {stderr}");
        assert!(stderr.contains(words), "{words} is not in {stderr}");
    }
}

#[test]
fn a_gateway_names_the_model_that_is_down() {
    let root = tempfile::tempdir().expect("a folder");
    let artifacts = root.path().to_string_lossy().into_owned();
    let start = |role: &str| {
        Running::start(serve().args([
            role,
            "--wait-for-artifact",
            "--reload-every",
            "0.1",
            "--listen",
            "127.0.0.1:0",
            "--artifacts",
            &artifacts,
        ]))
    };
    let (svm, mut vgg) = (start("svm"), start("vgg"));
    let urls = [&svm, &vgg].map(|server| format!("http://{}", server.address));
    let web =
        Running::start(serve().args(["web", "--listen", "127.0.0.1:0", "--svm-url", &urls[0], "--vgg-url", &urls[1]]));
    assert_eq!(health(web.address, &[]), healthy());
    let none = "/readyz answered 503: no model is ready: svm: there is no svm artifact yet; vgg19: there is no vgg19 artifact yet\n";
    wait_until(|| health(web.address, &["--ready"]).1.ends_with(none));

    model::write(root.path(), ModelKind::Svm);
    assert_eq!(health(web.address, &["--ready", "--wait", "60"]).0, Some(0));
    let one = "/readyz: ready, but vgg19 is not: there is no vgg19 artifact yet\n";
    wait_until(|| health(web.address, &["--ready"]).1.ends_with(one));
    model::write(root.path(), ModelKind::Vgg19);
    wait_until(|| health(web.address, &["--ready"]) == healthy());

    vgg.terminate();
    assert_eq!(vgg.exit_code(), Some(0));
    let down = "/readyz: ready, but vgg19 is not: its server is not reachable\n";
    wait_until(|| {
        health(web.address, &["--ready"]) == (Some(0), format!("serve health: http://{}{down}", web.address))
    });
}
