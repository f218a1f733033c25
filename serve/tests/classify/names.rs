//! Names of files of any bytes: every form of output tells which file it speaks of.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::Value;

use crate::{Workdir, csv, json, wav::Sound};

/// Names with all that forms of output give a meaning to.
fn names() -> impl Strategy<Value = BTreeSet<OsString>> {
    let special: [&[u8]; 24] = [
        b"\n",
        b"\r",
        b",",
        b"\"",
        b"'",
        b"#",
        b" ",
        b"%0A",
        b"\t",
        b"\x1b[31m",
        b"\\",
        b"=1+1",
        b"-",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b";",
        "שלום".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{2028}".as_bytes(),
        "\u{85}".as_bytes(),
        "e\u{301}演歌".as_bytes(),
        b"file:",
        "\u{feff}".as_bytes(),
    ];
    let part = prop_oneof![
        2 => prop::sample::select(special.to_vec()).prop_map(<[u8]>::to_vec),
        1 => "[a-zA-Z0-9.é]{1,6}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>().prop_filter("no part of a path", |byte| ![0, b'/'].contains(byte)), 1..4),
    ];
    // Hidden files are not looked at in a folder.
    let name = prop::collection::vec(part, 1..8)
        .prop_map(|parts| parts.concat())
        .prop_filter("hidden", |name| name[0] != b'.');
    prop::collection::btree_set(name.prop_map(OsString::from_vec), 1..12)
}

/// The path that a line of a playlist in `folder` leads to.
fn leads_to(folder: &Path, line: &[u8]) -> PathBuf {
    match line.strip_prefix(b"file://") {
        Some(url) => {
            let url = std::str::from_utf8(url).expect("ASCII");
            PathBuf::from(OsString::from_vec(percent_decode_str(url).collect()))
        }
        None => folder.join(std::ffi::OsStr::from_bytes(line)),
    }
}

fn check(names: &BTreeSet<OsString>) -> Result<(), TestCaseError> {
    let workdir = Workdir::new();
    workdir.write("track.wav", &Sound::High.wav(2.2, 1));
    for name in names {
        fs::hard_link(workdir.path("track.wav"), workdir.path("tracks").join(name)).expect("links");
    }
    let ran = workdir.run(&["--json", "--m3u", "lists", "tracks"]);
    prop_assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let expected: Vec<OsString> = names.iter().map(|name| Path::new("tracks").join(name).into_os_string()).collect();

    let of_json: Vec<OsString> = json(&ran.stdout)
        .iter()
        .map(|line| match &line["file_base64"] {
            Value::String(base64) => OsString::from_vec(BASE64_STANDARD.decode(base64).expect("base64")),
            _ => line["file"].as_str().expect("a name").into(),
        })
        .collect();
    prop_assert_eq!(&of_json, &expected);

    // CSV is text: what is not UTF-8 in a name is U+FFFD there, and the digest tells the audio.
    for args in [&["--csv", "tracks"][..], &["--output", "out.csv", "tracks"], &["--output", "out.csv", "tracks"]] {
        let ran = workdir.run(args);
        prop_assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let text = if args[0] == "--csv" { ran.stdout } else { workdir.read("out.csv") };
        let of_csv: Vec<String> = csv(&text).into_iter().map(|row| row["file"].clone()).collect();
        let lossy: Vec<String> = expected.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        prop_assert_eq!(&of_csv, &lossy);
    }

    // Standard error has a line for a line.
    let table = workdir.run(&["tracks"]);
    prop_assert_eq!(table.stdout.lines().count(), 1 + names.len());
    prop_assert!(!table.stdout.contains('\x1b'));

    let folder = workdir.path("lists");
    let playlist = fs::read(folder.join("classical.m3u8")).expect("a playlist");
    let lines = playlist.split(|byte| [b'\n', b'\r'].contains(byte)).filter(|line| !line.is_empty() && line[0] != b'#');
    let mut entries = Vec::new();
    for line in lines {
        prop_assert_eq!(line.trim_ascii(), line);
        prop_assert!(std::str::from_utf8(line).is_ok());
        let path = leads_to(&folder, line);
        prop_assert!(path.is_file(), "{:?} leads nowhere", path);
        entries.push(path.file_name().expect("a name").to_owned());
    }
    let all: Vec<OsString> = names.iter().cloned().collect();
    prop_assert_eq!(entries, all);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_found_again_by_any_form_of_output(names in names()) {
        check(&names)?;
    }
}

#[test]
fn names_that_were_trouble_somewhere() {
    let names: [&[u8]; 12] = [
        b"a,b",
        b"say \"x\"",
        b"two\nlines",
        b"cr\rlf\r\n",
        b"#no comment",
        b" spaces ",
        b"\xff\xfe",
        b"-dash",
        b"100%25",
        b"http:",
        b"\xef\xbb\xbfbom",
        "\u{202e}gpj.wav".as_bytes(),
    ];
    check(&names.iter().map(|name| OsString::from_vec(name.to_vec())).collect()).expect("all");
}
