//! Connections that are cut.

use super::*;

#[test]
fn a_cut_connection_is_taken_up_again_where_it_was_cut() {
    let source = source();
    let server = cutting(source.clone(), Some("\"1\""), &[(0, 100), (2, 1000), (3, 0), (5, 7)]);
    let call = Call::to(&server).retries(4);
    let fetched = call.run().unwrap();
    let [first, second] = spans(&source);
    let expected = [
        range(0..PROBE),
        range(0..PROBE),
        range(first.clone()),
        range(first.start + 1000..first.end),
        range(first.start + 1000..first.end),
        range(second.clone()),
        range(second.start + 7..second.end),
    ];
    assert_eq!(server.ranges(0), expected);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(fetched.bytes_downloaded, 100 + PROBE + (first.end - first.start) + (second.end - second.start));
}

#[test]
fn a_later_call_continues_where_an_earlier_one_was_cut() {
    let source = source();
    let server = cutting(source.clone(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    let error = call.run().unwrap_err();
    let file = reduced(&source_tensors(), 0);
    let head = SafeTensors::read_metadata(&file).unwrap().0 as u64 + 8;
    let Error::Interrupted { kept, total, .. } = error else { panic!("{error}") };
    assert_eq!((kept, total), (head + 1000, Some(file.len() as u64)));
    assert!(error.to_string().contains("the same command continues"), "{error}");
    assert_eq!(call.files(), PARTIAL);

    call.run().unwrap();
    let [first, second] = spans(&source);
    assert_eq!(server.ranges(2), [range(first.start + 1000..first.end), range(second)]);
    assert_eq!(server.asked()[2].header("if-range"), Some("\"1\""));
    assert_eq!((call.written(), call.files()), (file, OUT.map(String::from).to_vec()));
}

#[test]
fn a_file_that_is_downloaded_whole_is_continued_too() {
    for (file, whole, expected) in [(pytorch(), false, pytorch()), (source(), true, reduced(&source_tensors(), 0))] {
        // The second answer to a request for ranges is the rest of the file; the only one without is all of it.
        let server =
            cutting(file.clone(), Some("\"1\""), if whole { &[(0, 30_000)] } else { &[(1, 30_000 - PROBE as usize)] });
        let mut call = Call::to(&server);
        call.request.whole = whole;
        let error = call.run().unwrap_err();
        assert!(matches!(error, Error::Interrupted { kept: 30_000, .. }), "{error}");
        let fetched = call.run().unwrap();
        assert_eq!(server.ranges(if whole { 1 } else { 2 }), [Some("bytes=30000-".to_owned())]);
        assert_eq!(fetched.bytes_downloaded, file.len() as u64 - 30_000);
        assert_eq!(fetched.source_sha256, Some(sha256(&file)));
        assert_eq!(call.written(), expected);
    }
}

#[test]
fn without_ranges_a_cut_download_starts_over() {
    let file = source();
    let server = Server::new(move |request| {
        Reply::new(200, &file).with("ETag", "\"1\"").cut_after(if request.index == 0 { 20_000 } else { usize::MAX })
    });
    let call = Call::to(&server).retries(1);
    call.run().unwrap();
    assert_eq!(server.asked().len(), 2);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
}

#[test]
fn of_a_source_without_a_version_nothing_is_kept_for_a_later_call() {
    let server = cutting(source(), None, &[(1, 1000)]);
    let call = Call::to(&server);
    let error = call.refused();
    assert!(error.to_string().contains("nothing is kept"), "{error}");
    call.run().unwrap();
    assert_eq!(server.ranges(2)[0], range(0..PROBE));

    let server = cutting(source(), None, &[(1, 1000)]);
    let call = Call::to(&server).retries(1);
    call.run().unwrap();
    assert_eq!(server.asked().len(), 4, "within a call its length tells enough");
}

#[test]
fn a_changed_source_starts_over() {
    // A server that heeds If-Range, and one that does not.
    for heeds in [true, false] {
        let [old, new] = [0, 99].map(|salt| file_of(&source_tensors(), salt, None));
        let server = Server::new(move |request| match request.index {
            0..=1 => ranged(&old, Some("\"1\""), request).cut_after(if request.index == 1 { 1000 } else { usize::MAX }),
            _ => {
                let mut request = request.clone();
                if !heeds {
                    request.headers.remove("if-range");
                }
                ranged(&new, Some("\"2\""), &request)
            }
        });
        let call = Call::to(&server);
        assert!(matches!(call.run(), Err(Error::Interrupted { .. })));
        call.run().unwrap();
        assert_eq!(call.written(), reduced(&source_tensors(), 99), "heeds If-Range: {heeds}");
    }
}

#[test]
fn a_part_need_not_name_the_version() {
    let file = source();
    let server = Server::new(move |request| match ranged(&file, Some("\"1\""), request) {
        reply if request.index == 1 => reply.without("ETag"),
        reply if request.index == 2 => reply.without("ETag").with("Last-Modified", "Mon, 06 Jul 2026 10:00:00 GMT"),
        reply => reply,
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!((call.written(), server.asked().len()), (reduced(&source_tensors(), 0), 3));
}

#[test]
fn a_source_that_never_stays_the_same_is_given_up() {
    let file = source();
    let server = Server::new(move |request| {
        let mut request = request.clone();
        request.headers.remove("if-range");
        ranged(&file, Some(&format!("\"{}\"", request.index)), &request)
    });
    assert!(matches!(Call::to(&server).retries(2).refused(), Error::Changing { .. }));
    assert_eq!(server.asked().len(), 8);
}

#[test]
fn a_server_that_stops_sending_ranges_sends_it_whole() {
    let file = source();
    let server = Server::new(move |request| match request.index {
        0 => ranged(&file, Some("\"1\""), request),
        _ => Reply::new(200, &file).with("ETag", "\"1\""),
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(server.ranges(2), [None]);
}

#[test]
fn an_abrupt_end_loses_no_more_than_a_buffer() {
    let expected = [Expected { name: "features.0.weight".into(), shape: vec![3 << 20] }];
    let source = file_of(&[("features.0.weight", Dtype::F16, vec![3 << 20])], 0, None);
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    let stop_at = 5_000_000;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        fetch_tensors(&call.request, &expected, &|done, _| assert!(done < stop_at, "the plug is pulled"))
    }));
    assert!(ended.is_err());
    assert_eq!(call.files(), PARTIAL);

    let from = Cell::new(None);
    let fetched = fetch_tensors(&call.request, &expected, &|done, _| {
        from.set(from.get().or(Some(done)));
    })
    .unwrap();
    let from = from.get().unwrap();
    assert!((stop_at - (1 << 20)..=stop_at).contains(&from), "{from}");
    assert_eq!(fetched.bytes_downloaded, fetched.bytes_kept - from);
    assert_eq!(SafeTensors::deserialize(&call.written()).unwrap().len(), 1);
    assert!(call.written().ends_with(&source[source.len() - (6 << 20)..]));
}

#[test]
fn a_note_that_makes_no_sense_is_no_note() {
    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    call.run().unwrap_err();
    fs::write(call.folder.path().join(PARTIAL[1]), "{\"format\": 1").unwrap();
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(call.files(), OUT);
}

#[test]
fn a_partial_that_was_tampered_with_gives_no_file() {
    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    call.run().unwrap_err();
    let partial = call.folder.path().join(PARTIAL[0]);
    let mut bytes = fs::read(&partial).unwrap();
    bytes[20] ^= 1;
    fs::write(&partial, bytes).unwrap();
    assert!(matches!(call.refused(), Error::Header { .. } | Error::Tensor { .. }));
}
