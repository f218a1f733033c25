//! More requests than there are workers; clients that leave; a stop in the middle of it.

use std::{
    io::Write as _,
    net::{Shutdown, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{connect, get, predict, read, send},
    model::{self, Gate, Script, Scripted},
    server::{Options, Server},
    wav::Sound,
};
use serve::config::ModelKind;

fn gated(threads: usize, queue: usize) -> (Arc<Gate>, Server) {
    let gate = Arc::new(Gate::default());
    let model = Scripted::model(Script::Wait(Arc::clone(&gate)));
    (gate, Server::start(Options { model: Some(model), threads, queue, ..Options::default() }))
}

fn started(server: &Server) -> TcpStream {
    let mut stream = connect(server.address);
    stream.write_all(&predict(&Sound::Low.wav(2.0, 1))).expect("sends");
    stream
}

/// Waits for what is bound to come.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited for nothing");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn beyond_the_queue_is_503_and_the_rest_succeed() {
    let (gate, server) = gated(2, 3);
    let mut running: Vec<_> = (0..2).map(|_| started(&server)).collect();
    gate.wait_for(2);
    running.extend((0..3).map(|_| started(&server)));
    wait_until(|| server.app.engine().pool().is_full());
    for _ in 0..10 {
        let response = send(server.address, &predict(&Sound::Low.wav(2.0, 1)));
        response.assert_problem("busy", 503);
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    assert_eq!(get(server.address, "/healthz").status, 200, "health needs no worker");
    assert_eq!(get(server.address, "/readyz").status, 200);
    gate.open();
    for stream in &mut running {
        assert_eq!(read(stream).expect("a response").json()["predicted_genre"], "blues");
    }
    assert_eq!(gate.arrivals(), 5);
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
}

#[test]
fn a_client_that_goes_away_frees_its_place_and_its_work_is_skipped() {
    let (gate, server) = gated(1, 2);
    let mut first = started(&server);
    gate.wait_for(1);
    let leaving = [started(&server), started(&server)];
    wait_until(|| server.app.engine().pool().is_full());
    for stream in leaving {
        stream.shutdown(Shutdown::Both).expect("leaves");
    }
    wait_until(|| !server.app.engine().pool().is_full());
    let mut staying = [started(&server), started(&server)];
    wait_until(|| server.app.engine().pool().is_full());
    gate.open();
    assert_eq!(read(&mut first).expect("a response").status, 200);
    for stream in &mut staying {
        assert_eq!(read(stream).expect("a response").status, 200);
    }
    assert_eq!(gate.arrivals(), 3, "nothing is computed for those who left");
}

#[test]
fn many_clients_at_once_each_get_their_own_response() {
    let server = Server::start(Options { queue: 200, ..Options::default() });
    thread::scope(|scope| {
        for client in 0..8 {
            let address = server.address;
            scope.spawn(move || {
                for round in 0..6 {
                    let sound = Sound::ALL[(client + round) % 3];
                    let response = send(address, &predict(&sound.wav(2.0 + round as f64 * 0.1, client as u64)));
                    assert_eq!(response.json()["predicted_genre"], sound.label(), "{response:?}");
                }
            });
        }
    });
}

#[test]
fn a_model_is_replaced_without_a_mixed_response() {
    let (gate, server) = gated(1, 4);
    let mut before = started(&server);
    gate.wait_for(1);
    server.slot().put(model::of(ModelKind::Svm));
    let mut after = started(&server);
    gate.open();
    assert_eq!(read(&mut before).expect("a response").json()["model"]["version"], "000000000000");
    let json = read(&mut after).expect("a response").json();
    assert_eq!(json["model"]["version"], model::of(ModelKind::Svm).identity().version);
    assert_eq!(json["probabilities"].as_object().map(serde_json::Map::len), Some(3));
}

#[test]
fn a_stop_finishes_what_was_taken_and_takes_no_more() {
    let (gate, mut server) = gated(1, 4);
    let mut taken: Vec<_> = (0..3).map(|_| started(&server)).collect();
    gate.wait_for(1);
    // All three are with the pool: a workdir is left for two more, and not for three.
    let mut fillers: Vec<_> = (0..2).map(|_| started(&server)).collect();
    wait_until(|| server.app.engine().pool().is_full());
    let address = server.address;
    server.stop();
    wait_until(|| TcpStream::connect(address).is_err());
    gate.open();
    for stream in taken.iter_mut().chain(&mut fillers) {
        assert_eq!(read(stream).expect("a response").status, 200);
    }
    server.join();
}

#[test]
fn a_stop_does_not_wait_for_idle_connections() {
    let server = Server::start(Options::default());
    let mut idle = connect(server.address);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    assert_eq!(read(&mut idle).expect("a response").status, 200);
    let start = Instant::now();
    server.join();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
