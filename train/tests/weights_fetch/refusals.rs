//! Servers that have no weights, and servers that lie.

use super::*;

// ---- Servers that have no weights.

#[test]
fn a_status_is_told_with_the_address() {
    let server = Server::new(|_| Reply::new(404, b"<html>").with("Content-Type", "text/html"));
    let error = Call::to(&server).retries(3).refused();
    assert_eq!(error.to_string(), format!("{} answers with HTTP status 404; check the address", server.url()));
    assert_eq!(server.asked().len(), 1, "trying again would not help");
}

#[test]
fn a_busy_server_is_asked_again() {
    let file = source();
    let server = Server::new(move |request| match request.index {
        0 | 2 => Reply::new(503, b""),
        _ => ranged(&file, Some("\"1\""), request),
    });
    Call::to(&server).retries(2).run().unwrap();
    let server = Server::new(|_| Reply::new(500, b""));
    assert!(matches!(Call::to(&server).retries(2).refused(), Error::Status { status: 500, .. }));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_redirect_is_followed_with_the_range() {
    let file = source();
    let server = Server::new(move |request| match request.path.as_str() {
        "/here" => ranged(&file, Some("\"1\""), request),
        _ => Reply::new(302, b"").with("Location", "/here"),
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(server.ranges(0)[..2], [range(0..PROBE), range(0..PROBE)]);

    let server = Server::new(|_| Reply::new(302, b"").with("Location", "/there"));
    assert!(matches!(Call::to(&server).refused(), Error::Redirects { .. }));
}

#[test]
fn a_page_for_people_is_no_file() {
    let page = b"<!doctype html><title>Sign in</title>";
    let server = Server::new(|_| Reply::new(200, page).with("Content-Type", "text/html; charset=utf-8"));
    assert!(matches!(Call::to(&server).refused(), Error::Html { .. }));
    let server = Server::new(|request| ranged(page, Some("\"1\""), request));
    let error = Call::to(&server).refused();
    assert!(error.to_string().contains("is an HTML page"), "{error}");
}

#[test]
fn other_files_are_refused_before_they_are_downloaded() {
    let file = vec![7; 1 << 20];
    let body = file.clone();
    let server = Server::of(file);
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
    assert_eq!(server.ranges(0), [range(0..PROBE)]);
    let server = Server::new(move |_| Reply::new(200, &body));
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
    let server = Server::of(Vec::new());
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
}

#[test]
fn the_tensor_that_is_not_as_it_should_be_is_named() {
    for ranges in [true, false] {
        let refused = |change: &dyn Fn(&mut Vec<Tensor>)| {
            let mut tensors = source_tensors();
            change(&mut tensors);
            let file = file_of(&tensors, 0, None);
            let server =
                Server::new(move |request| if ranges { ranged(&file, None, request) } else { Reply::new(200, &file) });
            let error = Call::to(&server).refused();
            let Error::Tensor { name, detail, .. } = error else { panic!("{error}") };
            format!("{name} {detail}")
        };
        let missing = refused(&|tensors| tensors.retain(|(name, ..)| !name.starts_with("features.")));
        assert_eq!(missing, "features.0.bias is missing");
        let misshaped = refused(&|tensors| tensors[4].2 = vec![30, 20, 9]);
        assert_eq!(misshaped, "features.2.weight is of shape [30, 20, 9], not [30, 20, 3, 3]");
        let double = refused(&|tensors| tensors[2].1 = Dtype::F64);
        assert_eq!(double, "features.0.weight is of type F64, not F32, F16 or BF16");
    }
}

#[test]
fn a_damaged_header_is_refused() {
    let with_header = |json: &[u8]| [&(json.len() as u64).to_le_bytes()[..], json].concat();
    let short = source()[..source().len() - 1].to_vec();
    for file in [with_header(b"{not JSON"), with_header(b"{\"a\": 1}"), short] {
        for ranges in [true, false] {
            let file = file.clone();
            let server =
                Server::new(move |request| if ranges { ranged(&file, None, request) } else { Reply::new(200, &file) });
            let error = Call::to(&server).refused();
            assert!(matches!(error, Error::Header { .. }), "{error}");
        }
    }
    let server = Server::of(b"\x09\0\0\0\0\0\0\0{}".to_vec());
    assert!(matches!(Call::to(&server).refused(), Error::Header { .. }));
    let server = Server::of([&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat());
    assert!(matches!(Call::to(&server).refused(), Error::HeaderTooLarge { .. }));
}

// ---- Servers that lie.

#[test]
fn a_body_that_is_shorter_than_announced_is_a_cut_one() {
    let server = Server::new(move |_| Reply::new(200, &pytorch()).with("Content-Length", pytorch().len() + 1));
    let error = Call::to(&server).retries(1).refused();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert_eq!(server.asked().len(), 2);

    let file = source();
    let server = Server::new(move |request| {
        let reply = ranged(&file, Some("\"1\""), request);
        let body = reply.body[..reply.body.len().min(500)].to_vec();
        Reply { body, ..reply }.chunked()
    });
    assert!(matches!(Call::to(&server).refused(), Error::Interrupted { .. }));
}

#[test]
fn a_body_that_is_longer_than_its_range_is_refused() {
    let file = source();
    let more = move |request: &Request, index: usize| {
        let mut reply = ranged(&file, Some("\"1\""), request);
        if request.index == index {
            reply.body.push(0);
        }
        reply
    };
    for index in [0, 1] {
        // Of no announced length, and of one that differs from the range.
        let (chunked, announced) = (more.clone(), more.clone());
        let server = Server::new(move |request| chunked(request, index).chunked());
        let error = Call::to(&server).refused();
        assert!(matches!(error, Error::Length { .. }), "{error}");
        let server = Server::new(move |request| {
            let reply = announced(request, index);
            let length = reply.body.len();
            reply.with("Content-Length", length)
        });
        let error = Call::to(&server).refused();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    let file = source();
    let server = Server::new(move |_| {
        Reply::new(206, &file[10..20]).with("Content-Range", format!("bytes 10-19/{}", file.len()))
    });
    assert!(matches!(Call::to(&server).refused(), Error::Http { .. }));
    // All at once, for a question after the first bytes.
    let server = Server::new(|_| {
        Reply::new(206, b"")
            .with("Content-Range", "bytes 0-1099511627775/1099511627776")
            .with("Content-Length", 1_u64 << 40)
    });
    assert!(matches!(Call::to(&server).refused(), Error::Http { .. }));
}

#[test]
fn a_rest_from_another_place_is_not_joined() {
    let server = Server::new(|request| {
        let mut request = request.clone();
        if request.index == 1 {
            request.headers.insert("range".into(), format!("bytes={}-", PROBE + 1));
        }
        ranged(&pytorch(), Some("\"1\""), &request)
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), pytorch());
}

#[test]
fn an_endless_body_ends() {
    let start = [&(1_000_u64).to_le_bytes()[..], &[b'{'; 64_000]].concat();
    let server = Server::new(move |_| Reply { endless: true, ..Reply::new(200, &start).without("Content-Length") });
    let mut call = Call::to(&server);
    call.request.max_bytes = 3_000_000;
    let error = call.refused();
    assert!(matches!(error, Error::TooLarge { limit: 3_000_000, .. }), "{error}");

    let server = Server::new(|_| Reply::new(200, &pytorch()).with("Content-Length", 3_000_001));
    let mut call = Call::to(&server);
    call.request.max_bytes = 3_000_000;
    assert!(matches!(call.refused(), Error::TooLarge { .. }));
}

#[test]
fn a_host_that_takes_no_connection_is_told_at_once() {
    let server = Server::of(source());
    let call = Call::to(&server).retries(3);
    drop(server);
    assert!(matches!(call.refused(), Error::Connect { .. }));
}

#[test]
fn a_server_without_tls_gives_no_secure_connection() {
    let mut call = Call::to(&Server::of(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    call.request.url = format!("https://{}/file", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = call.refused();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    let file = call.folder.path().join("file");
    fs::write(&file, "").unwrap();
    call.request.out = file.join("weights.safetensors");
    let error = call.run().unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file"), "{error}");
}
