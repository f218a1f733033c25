//! Weights from a server that does what servers do: send ranges or not, cut connections, lie, change.

#![expect(clippy::unwrap_used, reason = "a test says that something failed by panicking")]

mod cuts;
mod refusals;
mod server;
mod source;

use std::{
    cell::Cell,
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use train::training::weights::{Error, Expected, Fetch, Fetched, fetch, fetch_tensors, vgg19};

use server::{Reply, Request, Server, cutting, ranged};
use source::*;

/// Bytes that are asked for first.
const PROBE: u64 = 8 << 10;

// ---- What is fetched.

#[test]
fn of_a_safetensors_file_only_the_bytes_of_the_tensors_are_fetched() {
    let source = source();
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    let told = Cell::new((0, 0));
    let fetched = fetch_tensors(&call.request, &expected(), &|done, total| {
        assert!(done >= told.get().0);
        told.set((done, total));
    })
    .unwrap();

    let [first, second] = spans(&source);
    assert_eq!(server.ranges(0), [range(0..PROBE), range(first.clone()), range(second.clone())]);
    let file = reduced(&source_tensors(), 0);
    assert_eq!(call.written(), file);
    let size = file.len() as u64;
    assert_eq!(told.get(), (size, size));
    let wanted = PROBE + (first.end - first.start) + (second.end - second.start);
    let path = call.request.out.clone();
    let sha256 = sha256(&file);
    assert_eq!(fetched, Fetched { path, sha256, source_sha256: None, bytes_downloaded: wanted, bytes_kept: size });
    assert_eq!(call.files(), OUT);
    assert!(!String::from_utf8_lossy(&file).contains("example.org"));
}

#[test]
fn a_server_without_ranges_gives_the_same_file() {
    let source = source();
    let body = source.clone();
    let server = Server::new(move |_| Reply::new(200, &body));
    let call = Call::to(&server);
    let fetched = call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(fetched.sha256, sha256(&call.written()));
    assert_eq!(fetched.source_sha256, Some(sha256(&source)));
    assert_eq!(fetched.bytes_downloaded, source.len() as u64);
    assert_eq!((server.asked().len(), call.files()), (1, OUT.map(String::from).to_vec()));
}

#[test]
fn a_body_of_unknown_length_is_taken_to_its_end() {
    let body = source();
    let server = Server::new(move |_| Reply::new(200, &body).chunked());
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
}

#[test]
fn the_file_is_the_same_wherever_its_tensors_lay() {
    // Tensors of half the size come last, by the format; of the source only the order differs.
    let mut tensors = source_tensors();
    tensors[1].1 = Dtype::BF16;
    tensors.push(("another", Dtype::F64, vec![3]));
    let server = Server::of(file_of(&tensors, 0, None));
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&tensors, 0));
    assert_eq!(
        SafeTensors::deserialize(&call.written()).unwrap().tensor("features.0.bias").unwrap().dtype(),
        Dtype::BF16
    );
}

#[test]
fn a_long_header_is_read_to_its_end() {
    let metadata = HashMap::from([("remark".to_owned(), "x".repeat(20_000))]);
    let source = file_of(&source_tensors(), 0, Some(metadata));
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    let header = SafeTensors::read_metadata(&source).unwrap().0 as u64;
    assert_eq!(server.ranges(1)[0], range(PROBE..8 + header));
}

#[test]
fn a_pytorch_file_is_kept_as_it_is() {
    let server = Server::of(pytorch());
    let call = Call::to(&server);
    let fetched = call.run().unwrap();
    assert_eq!(call.written(), pytorch());
    assert_eq!(server.ranges(0), [range(0..PROBE), Some(format!("bytes={PROBE}-"))]);
    assert_eq!(fetched.source_sha256.unwrap(), fetched.sha256);
    assert_eq!(fetched.bytes_downloaded, pytorch().len() as u64);
}

#[test]
fn the_convolutions_of_vgg19_are_a_fraction_of_the_file() {
    let table = vgg19();
    let mut tensors: Vec<(&str, Dtype, Vec<usize>)> =
        table.iter().map(|tensor| (tensor.name.as_str(), Dtype::F16, tensor.shape.clone())).collect();
    tensors.push(("classifier.0.weight", Dtype::F16, vec![4096, 1000]));
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, shape)| vec![1; 2 * shape.iter().product::<usize>()]).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape), bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let server = Server::of(serialize(views, None).unwrap());
    let call = Call::to(&server);
    let fetched = fetch(&call.request, &|_, _| {}).unwrap();
    let (parameters, written) = (20_024_384, call.written());
    assert_eq!(fetched.bytes_downloaded, PROBE + 2 * parameters);
    assert_eq!(server.asked().len(), 2);
    let file = SafeTensors::deserialize(&written).unwrap();
    assert_eq!(file.len(), 32);
    assert_eq!(file.tensor("features.28.weight").unwrap().shape(), [512, 512, 3, 3]);
}

// ---- Digests, and what is there already.

#[test]
fn the_right_digest_is_that_of_the_written_file() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some(sha256(&reduced(&source_tensors(), 0)).to_uppercase());
    call.run().unwrap();
    let asked = server.asked().len();
    let again = call.run().unwrap();
    assert_eq!((again.bytes_downloaded, again.bytes_kept), (0, call.written().len() as u64));
    assert_eq!(server.asked().len(), asked, "nothing is asked for what is there");
}

#[test]
fn the_digest_of_the_source_can_be_checked_where_all_of_it_is_downloaded() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some(sha256(&source()));
    let error = call.refused();
    assert!(
        error.to_string().contains("to check a digest of the whole source all of it must be downloaded"),
        "{error}"
    );
    call.request.whole = true;
    let fetched = call.run().unwrap();
    assert_eq!(fetched.source_sha256, call.request.sha256);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));

    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let mut call = Call::to(&server);
    call.run().unwrap_err();
    call.request.whole = true;
    assert_eq!(call.run().unwrap().source_sha256, Some(sha256(&source())), "what was left of a call for ranges");
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    for (file, whole) in [(source(), false), (source(), true), (pytorch(), false)] {
        let server = Server::of(file);
        let mut call = Call::to(&server);
        call.request.whole = whole;
        call.request.sha256 = Some("0".repeat(64));
        let error = call.refused();
        let Error::Digest { expected, .. } = &error else { panic!("{error}") };
        assert_eq!(*expected, "0".repeat(64));
        call.request.sha256 = None;
        let found = call.run().unwrap().sha256;
        assert!(error.to_string().contains(&found), "{error}");
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    fs::write(&call.request.out, "mine").unwrap();
    let error = call.run().unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert!(error.to_string().contains("remove it or name another file"), "{error}");
    call.request.sha256 = Some(sha256(b"yours"));
    let error = call.run().unwrap_err().to_string();
    assert!(error.contains(&sha256(b"mine")) && error.contains(&sha256(b"yours")), "{error}");
    assert_eq!(
        (call.written(), call.files(), server.asked().len()),
        (b"mine".to_vec(), OUT.map(String::from).to_vec(), 0)
    );
}

#[test]
fn a_request_that_cannot_be_meant_is_refused_before_it_is_sent() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some("abc".into());
    assert!(matches!(call.refused(), Error::NotADigest { .. }));
    call.request.sha256 = None;
    call.request.out = PathBuf::from("/");
    assert!(matches!(call.refused(), Error::Out { .. }));
    assert_eq!(server.asked().len(), 0);
}
