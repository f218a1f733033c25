//! Broken files through the real `train` and the real `serve`: each is read as far as it goes or refused with a reason, and both live on.
#![cfg(unix)]

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tests::{Server, binary, multipart, request, train};

const RATE: u32 = 22_050;
/// Address space of a program that looks at a hostile file, in KiB.
const MEMORY: u32 = 2 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// A file, and what becomes of it: the kind of its problem, [`EITHER`], or `None` where it is odd but can be decoded.
struct Case {
    name: String,
    bytes: Vec<u8>,
    problem: Option<&'static str>,
}

fn case(name: impl Into<String>, problem: impl Into<Option<&'static str>>, bytes: impl Into<Vec<u8>>) -> Case {
    Case { name: name.into(), bytes: bytes.into(), problem: problem.into() }
}

/// What can be read of it is predicted, or it has a problem of any kind.
const EITHER: &str = "either";

/// Noise that is the same each time.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..n).map(|_| next()).collect()
}

/// A WAV file whose header says what it is told to.
fn wav_of(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let align = channels.saturating_mul(bits / 8);
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend([tag.to_le_bytes(), channels.to_le_bytes()].concat());
    file.extend([rate.to_le_bytes(), rate.wrapping_mul(align.into()).to_le_bytes()].concat());
    file.extend([align.to_le_bytes(), bits.to_le_bytes()].concat());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn wav() -> Vec<u8> {
    wav_of(1, 1, RATE, 16, &noise(4 * RATE as usize))
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    wav_of(3, 1, RATE, 32, &values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<_>>())
}

fn au() -> Vec<u8> {
    let data = noise(4 * RATE as usize);
    let words = [28, data.len() as u32, 3, RATE, 1, 0];
    [b".snd".to_vec(), words.iter().flat_map(|word| word.to_be_bytes()).collect(), data].concat()
}

fn aiff() -> Vec<u8> {
    let data = noise(4 * RATE as usize);
    let mut file = [b"FORM".as_slice(), &(46 + data.len() as u32).to_be_bytes(), b"AIFFCOMM\0\0\0\x12\0\x01"].concat();
    file.extend((2 * RATE).to_be_bytes());
    file.extend(b"\0\x10\x40\x0d\xac\x44\0\0\0\0\0\0SSND");
    file.extend([(8 + data.len() as u32).to_be_bytes(), [0; 4], [0; 4]].concat());
    [file, data].concat()
}

/// FLAC of a low square wave, `frames` times 65 535 samples at 44 100 Hz, in 14 bytes each or so.
fn flac(frames: u32, announced: u64) -> Vec<u8> {
    let crc = |bytes: &[u8], poly: u16, width: u32| {
        bytes.iter().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(*byte) << (width - 8)), |crc, _| {
                if crc >> (width - 1) & 1 == 1 { (crc << 1) ^ poly } else { crc << 1 }
            }) & (u16::MAX >> (16 - width))
        })
    };
    let mut file = b"fLaC\x80\0\0\x22\xff\xff\xff\xff\0\0\0\0\0\0".to_vec();
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples.
    file.extend((44_100_u64 << 44 | 15 << 36 | announced).to_be_bytes());
    file.extend([0; 16]);
    for n in 0..frames {
        let number = match n {
            0..0x80 => vec![n as u8],
            0x80..0x800 => vec![0xc0 | (n >> 6) as u8, 0x80 | (n & 63) as u8],
            _ => vec![0xe0 | (n >> 12) as u8, 0x80 | (n >> 6 & 63) as u8, 0x80 | (n & 63) as u8],
        };
        let mut frame = [b"\xff\xf8\x70\x08".as_slice(), &number, b"\xff\xfe"].concat();
        frame.push(crc(&frame, 7, 8) as u8);
        // A constant, another one in the next frame: a very low square wave.
        frame.extend([0, if n % 2 == 0 { 0x20 } else { 0xe0 }, 0]);
        frame.extend(crc(&frame, 0x8005, 16).to_be_bytes());
        file.extend(frame);
    }
    file
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../features/tests/fixtures");
    fs::read(Path::new(folder).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Where the parts of a header begin: of WAV and AIFF each chunk, of FLAC each block, of OGG each page, of M4A each box.
fn boundaries(name: &str, bytes: &[u8]) -> Vec<usize> {
    let be = |at: usize, n: usize| bytes[at..at + n].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (mut found, mut at) = (vec![1, 4], if ["ogg", "m4a"].contains(&name) { 0 } else { 4 });
    while at + 28 < bytes.len() {
        found.push(at);
        let (head, body) = match name {
            "wav" | "aiff" if at < 12 => (4, 0),
            "wav" => (8, u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("4 bytes")) as usize),
            "aiff" => (8, be(at + 4, 4)),
            "au" if at < 28 => (4, 0),
            "flac" if bytes[at] & 0x7f < 7 => (4, be(at + 1, 3)),
            "ogg" => (27, (0..usize::from(bytes[at + 26])).map(|n| 1 + usize::from(bytes[at + 27 + n])).sum()),
            // Boxes of boxes are entered.
            "m4a" if matches!(&bytes[at + 4..at + 8], b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl") => (8, 0),
            "m4a" => (8, be(at, 4).max(8) - 8),
            _ => break,
        };
        found.extend([at + 2, at + head, at + head + body / 2]);
        at += head + body;
    }
    found.push(bytes.len() - 1);
    found.retain(|at| *at < bytes.len());
    found.sort_unstable();
    found.dedup();
    found
}

fn truncated() -> Vec<Case> {
    // Frames of MP3 and ADTS can be repeated; of the others' fixtures the whole is too short, and each part is less.
    let mp3 = fixture("no_xing.mp3").repeat(40);
    let made = [("wav", wav()), ("au", au()), ("aiff", aiff()), ("flac", flac(2, 2 * 65_535))];
    let others = [("ogg", "vorbis.ogg"), ("m4a", "aac.m4a"), ("m4a", "alac16.m4a")];
    let files = made.into_iter().chain(others.map(|(ending, name)| (ending, fixture(name))));
    let mut cases = Vec::new();
    for (index, (ending, bytes)) in files.enumerate() {
        if index < 4 {
            cases.push(case(format!("whole-{index}.{ending}"), None, bytes.clone()));
        }
        for at in boundaries(ending, &bytes) {
            cases.push(case(format!("{index}-of-{at}-bytes.{ending}"), EITHER, &bytes[..at]));
        }
    }
    cases.extend([1, 3, 4, 20, 36, 100].map(|at| case(format!("of-{at}-bytes.mp3"), EITHER, &mp3[..at])));
    cases.push(case("whole.mp3", None, mp3));
    cases
}

fn patched(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn lies() -> Vec<Case> {
    let huge = [0xff, 0xff, 0xff, 0x7f];
    let with_tag = |size: &[u8]| [b"ID3\x04\0\0".as_slice(), size, &fixture("mpeg1.mp3")].concat();
    vec![
        case("data-longer-than-file.wav", None, patched(wav(), 40, &huge)),
        case("data-of-no-bytes.wav", EITHER, patched(wav(), 40, &[0; 4])),
        case("format-of-2-gib.wav", EITHER, patched(wav(), 16, &huge)),
        case("stream-of-unknown-length.wav", None, patched(patched(wav(), 4, &[0xff; 4]), 40, &[0xff; 4])),
        case("riff-of-wrong-size.wav", None, patched(wav(), 4, &[1, 0, 0, 0])),
        case("no-channels.wav", "corrupt-audio", wav_of(1, 0, RATE, 16, &noise(88_200))),
        case("65535-channels.wav", EITHER, wav_of(1, 65_535, RATE, 16, &noise(400_000))),
        case("0-hz.wav", EITHER, wav_of(1, 1, 0, 16, &noise(88_200))),
        case("1-hz.wav", EITHER, wav_of(1, 1, 1, 16, &noise(1_600))),
        case("4-ghz.wav", EITHER, wav_of(1, 1, u32::MAX, 16, &noise(88_200))),
        case("unknown-codec.wav", "unsupported-audio", wav_of(0x1234, 1, RATE, 16, &noise(88_200))),
        case("one-sample.wav", "audio-too-short", wav_of(1, 1, RATE, 16, &[1, 2])),
        case("silence.wav", "silent", wav_of(1, 1, RATE, 16, &[0; 88_200])),
        case("eight-channels.wav", None, wav_of(1, 8, 8_000, 16, &noise(8 * 32_000))),
        case("nan.wav", "corrupt-audio", floats((0..2 * RATE).map(|n| if n == 30_000 { f32::NAN } else { 0.1 }))),
        case("infinity.wav", "corrupt-audio", floats((0..2 * RATE).map(|_| f32::INFINITY))),
        case(
            "huge-values.wav",
            "corrupt-audio",
            floats((0..2 * RATE).map(|n| if n % 2 == 0 { f32::MAX } else { 1e20 })),
        ),
        case("denormal.wav", "silent", floats((0..2 * RATE).map(|_| f32::MIN_POSITIVE / 8.0))),
        case("offset-beyond-the-end.au", EITHER, patched(au(), 4, &[0x7f, 0xff, 0xff, 0xff])),
        case("no-channels.au", EITHER, patched(au(), 20, &[0; 4])),
        case("encoding-99.au", "unsupported-audio", patched(au(), 12, &[0, 0, 0, 99])),
        case("no-channels.aiff", EITHER, patched(aiff(), 20, &[0; 2])),
        case("rate-of-nan.aiff", EITHER, patched(aiff(), 28, &[0x7f, 0xff, 0xff])),
        case("no-rate.flac", EITHER, patched(flac(2, 131_070), 18, &[0, 0, 0])),
        case("block-beyond-the-end.flac", EITHER, patched(flac(2, 131_070), 5, &[0xff; 3])),
        case("wrong-checksum.flac", EITHER, patched(flac(2, 131_070), 50, &[0x55; 4])),
        case("tag-longer-than-file.mp3", EITHER, with_tag(&[0x7f; 4])),
        case("two-hours-announced.flac", "audio-too-long", flac(4_900, 4_900 * 65_535)),
        case("two-hours-not-announced.flac", "audio-too-long", flac(4_900, 0)),
        case("two-hours.wav", "audio-too-long", wav_of(1, 1, 4_000, 8, &vec![128; 2 * 3_600 * 4_000])),
        case("box-of-4-gib.m4a", EITHER, patched(fixture("aac.m4a"), 0, &[0xff; 4])),
        case("page-of-another-stream.ogg", EITHER, patched(fixture("vorbis.ogg"), 14, &[0xff; 4])),
    ]
}

fn other_things() -> Vec<Case> {
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x05\0\0\0a.wav";
    let mut cases = vec![
        case("wave-in-disguise.mp3", None, wav()),
        case("flac-in-disguise.m4a", None, flac(2, 131_070)),
        case("empty.wav", "empty-audio", []),
        case("letter.mp3", "not-audio", "Dear sir, this is not audio.\n".repeat(50)),
        case("page.ogg", "not-audio", "<!doctype html><title>RIFF</title><p>".repeat(99)),
        case("paper.flac", "not-audio", [b"%PDF-1.7\n".as_slice(), &noise(5_000)].concat()),
        case("archive.wav", "not-audio", [zip.as_slice(), &noise(5_000)].concat()),
    ];
    let magics: [(&str, &[u8]); 7] = [
        ("wav", b"RIFF\x24\x10\0\0WAVEfmt "),
        ("au", b".snd"),
        ("flac", b"fLaC"),
        ("ogg", b"OggS\0\x02"),
        ("aiff", b"FORM\0\0\x10\0AIFFCOMM"),
        ("m4a", b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42"),
        ("mp3", b"ID3\x03\0\0\0\0\0\x10"),
    ];
    let noisy = |(ending, magic): (&str, &[u8])| {
        case(format!("noise-behind-its-magic.{ending}"), EITHER, [magic, &noise(20_000)].concat())
    };
    cases.extend(magics.map(noisy));
    cases
}

/// Runs a program to its end, in bounded memory and time.
fn bounded(name: &str, at: &Path, arguments: &[&str]) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY} 2>/dev/null; exec \"$0\" \"$@\"")])
        .arg(binary(name))
        .args(arguments)
        .current_dir(at)
        .env_remove("TONEARM_ARTIFACTS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().expect("it runs");
            panic!("{name} {arguments:?} has not ended after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("a child")
}

/// Asserts that the program refuses with exit code 1 and one line with these words, and gives the line.
fn refused(name: &str, at: &Path, arguments: &[&str], words: &[&str]) -> String {
    let output = bounded(name, at, arguments);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let says = format!("{name} {arguments:?} said: {said}");
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert!(!said.contains("panicked") && !said.contains("stack backtrace"), "{says}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with(&format!("{name}: "))).collect();
    assert_eq!(lines.len(), 1, "{says}");
    assert!(words.iter().all(|word| lines[0].contains(word)), "{words:?} are not all in it: {says}");
    lines[0].to_owned()
}

/// Asserts that it is an honest refusal, and gives its kind.
fn problem(response: &tests::Response, name: &str, at: &Path) -> String {
    let body = String::from_utf8_lossy(&response.body);
    assert!((400..500).contains(&response.status), "{name}: {} {body}", response.status);
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}: {body}");
    let json = response.json();
    assert_eq!(json["status"], response.status, "{name}: {body}");
    let said = |field: &str| json[field].as_str().is_some_and(|text| text.len() > 5);
    assert!(said("title") && said("detail"), "{name}: {body}");
    let inside = [at.to_str().expect("UTF-8"), "127.0.0.1", "localhost", "/src/", ".rs:", "panicked"];
    assert!(!inside.iter().any(|word| body.contains(word)), "{name} tells of the inside: {body}");
    json["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).expect("a kind").to_owned()
}

#[test]
fn broken_files_are_read_as_far_as_they_go_or_refused_by_both_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    make_dataset(at);
    let _ = train(at, &["svm", "--data", "dataset"]);
    let server = Server::start("svm", &at.join("artifacts"));
    let ask = |bytes: &[u8]| {
        let (content_type, form) = multipart("audio_file", "track.wav", bytes);
        request(server.address, "POST", "/predict", Some(&content_type), &form).expect("a response")
    };
    let good = wav();
    let cases: Vec<_> = truncated().into_iter().chain(lies()).chain(other_things()).collect();
    assert!(cases.iter().filter(|case| case.problem.is_some()).count() >= 100, "{} cases", cases.len());
    for Case { name, bytes, problem: expected } in &cases {
        fs::write(at.join(name), bytes).expect("a file");
        let response = ask(bytes);
        match expected {
            None => {
                let inspected = bounded("train", at, &["inspect", name]);
                assert!(inspected.status.success(), "{name}: {}", String::from_utf8_lossy(&inspected.stderr));
                assert_eq!(response.status, 200, "{name}: {}", String::from_utf8_lossy(&response.body));
            }
            // As far as it can be read, or not at all: but both programs say the same.
            Some(EITHER) => {
                let inspected = bounded("train", at, &["inspect", name]).status.success();
                if response.status == 200 {
                    assert!(inspected, "{name} is predicted and cannot be inspected");
                    let audio = &response.json()["audio"];
                    let warned = audio["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty());
                    assert!(warned || !name.contains("-bytes"), "{name} is cut, and nothing is said of it: {audio}");
                } else {
                    let found = problem(&response, name, at);
                    assert!(!inspected || found == "audio-too-short", "{name} is {found} and can be inspected");
                }
            }
            Some(kind) => {
                let line = refused("train", at, &["inspect", name], &[name]);
                let found = problem(&response, name, at);
                assert!(found.starts_with(kind), "{name} is {found}, not {kind}: {line}");
            }
        }
        assert_eq!(ask(&good).status, 200, "after {name}");
        fs::remove_file(at.join(name)).expect("it exists");
    }
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::create_dir(at.join("folder.wav")).expect("a folder");
    symlink("nowhere", at.join("dangling.wav")).expect("a link");
    symlink("loop.wav", at.join("loop.wav")).expect("a link");
    // Two hours in no space at all.
    let sparse = fs::File::create(at.join("sparse.wav")).expect("a file");
    std::io::Write::write_all(&mut &sparse, &patched(wav(), 40, &[0, 0, 0, 0x20])[..44]).expect("written");
    sparse.set_len(44 + (0x20 << 24)).expect("a sparse file");
    for name in ["folder.wav", "dangling.wav", "loop.wav", "sparse.wav", "/dev/zero", "/dev/null", "absent.wav"] {
        refused("train", at, &["inspect", name], &[name]);
    }
    fs::write(at.join("secret.wav"), wav()).expect("a file");
    fs::set_permissions(at.join("secret.wav"), std::os::unix::fs::PermissionsExt::from_mode(0o0)).expect("a mode");
    // Root reads files without any permission.
    if fs::read(at.join("secret.wav")).is_err() {
        refused("train", at, &["inspect", "secret.wav"], &["secret.wav"]);
    }
}

fn make_dataset(at: &Path) {
    let _ = train(at, &["synth", "--out", "dataset", "--clips-per-genre", "6", "--seconds", "2"]);
}

#[test]
fn a_dataset_with_faults_trains_on_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    make_dataset(at);
    let blues = at.join("dataset/blues");
    fs::write(blues.join("letter.wav"), "Dear sir").expect("a file");
    fs::write(blues.join("half.wav"), &wav()[..30_000]).expect("a file");
    fs::write(blues.join("nothing.mp3"), []).expect("a file");
    fs::create_dir(blues.join("folder.wav")).expect("a folder");
    fs::write(blues.join(OsString::from_vec(b"caf\xe9.wav".to_vec())), wav()).expect("a file");
    symlink("..", blues.join("again")).expect("a link");
    symlink("nowhere.wav", blues.join("dangling.wav")).expect("a link");
    // One clip under two labels.
    fs::copy(blues.join("blues.synth.00001.wav"), at.join("dataset/jazz/twice.wav")).expect("a copy");

    let output = bounded("train", at, &["svm", "--data", "dataset"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    for file in ["letter.wav: not audio", "half.wav: unreadable", "nothing.mp3: unreadable", "again: duplicate"] {
        assert!(said.contains(&format!("blues/{file}: ")), "{file} is not in {said}");
    }
    assert!(at.join("artifacts/svm/CURRENT").is_file());
    let audit = train(at, &["audit", "--data", "dataset"]);
    for words in [["half", "unreadable"], ["twice", "two_genres"]] {
        assert!(audit.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} is not in {audit}");
    }
    assert!(train(at, &["extract", "--data", "dataset", "--out", "store", "--json"]).contains("blues/letter.wav"));

    fs::create_dir_all(at.join("broken/jazz")).expect("folders");
    fs::write(at.join("broken/jazz/a.wav"), noise(999)).expect("a file");
    fs::create_dir_all(at.join("single")).expect("a folder");
    symlink(at.join("dataset/rock"), at.join("single/rock")).expect("a link");
    refused("train", at, &["svm", "--data", "broken"], &["broken", "no file can be used", "jazz/a.wav"]);
    fs::create_dir_all(at.join("damaged/jazz")).expect("folders");
    fs::write(at.join("damaged/jazz/a.wav"), b"RIFF\x04\0\0\0WAVE").expect("a file");
    refused("train", at, &["svm", "--data", "damaged"], &["damaged", "none of the 1 clips"]);
    refused("train", at, &["svm", "--data", "single"], &["two labels"]);
}

/// A copy of the store with one of its files changed.
fn store_with(at: &Path, name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    fs::create_dir(at.join(name)).expect("a folder");
    for path in files_in(&at.join("store")) {
        let bytes = fs::read(&path).expect("a file");
        let bytes = if path.ends_with(file) { change(bytes) } else { bytes };
        fs::write(at.join(name).join(path.file_name().expect("a name")), bytes).expect("written");
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let start = bytes.windows(from.len()).position(|window| window == from).expect("it exists");
    [&bytes[..start], to, &bytes[start + from.len()..]].concat()
}

#[test]
fn damaged_stores_and_artifacts_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    make_dataset(at);
    let _ = train(at, &["extract", "--data", "dataset", "--out", "store"]);
    let _ = train(at, &["svm", "--data", "store"]);

    let (tensors, ids) = ("logmel.safetensors", "ids.txt");
    let length = fs::metadata(at.join("store").join(tensors)).expect("a file").len() as usize;
    for cut in [0, 7, 8, 100, length / 2, length - 1] {
        store_with(at, &format!("cut-{cut}"), tensors, |bytes| bytes[..cut].to_vec());
        refused("train", at, &["svm", "--data", &format!("cut-{cut}")], &[tensors]);
    }
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, &str, &str, Change); 8] = [
        ("header", tensors, tensors, |bytes| patched(bytes, 0, &[0xff; 8])),
        ("dtype", tensors, tensors, |bytes| replaced(&bytes, b"\"U8\"", b"\"I8\"")),
        ("repeat", ids, ids, |bytes| replaced(&bytes, b"synth.00001\n", b"synth.00000\n")),
        ("short", ids, ids, |bytes| bytes[..bytes.len() - 20].to_vec()),
        ("long", ids, ids, |bytes| [bytes, b"blues.more\n".to_vec()].concat()),
        ("binary", ids, ids, |bytes| patched(bytes, 3, &[0xff])),
        ("polka", "clips.csv", "polka", |bytes| replaced(&bytes, b",blues,", b",polka,")),
        ("columns", "clips.csv", "clips.csv", |bytes| replaced(&bytes, b"clip_id", b"number!")),
    ];
    for (name, file, word, change) in changes {
        store_with(at, name, file, change);
        refused("train", at, &["svm", "--data", name, "--artifacts", "new"], &[name, word]);
    }
    assert!(!at.join("new").exists(), "a failed training left something behind");

    let version: serde_json::Value =
        serde_json::from_str(&train(at, &["svm", "--data", "store", "--json"])).expect("one JSON object");
    let dir = version["artifact"].as_str().expect("a path").to_owned();
    let evaluate = ["evaluate", "--artifact", dir.as_str(), "--data", "store", "--split", "everything"];
    let serve = ["svm", "--listen", "127.0.0.1:0", "--artifacts", "artifacts"];
    let files = files_in(&at.join(&dir));
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let whole = fs::read(&path).expect("a file");
        for position in [0, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, patched(whole.clone(), position, &[whole[position] ^ 1])).expect("written");
            refused("train", at, &evaluate, &[name]);
            refused("serve", at, &serve, &[name]);
        }
        fs::write(&path, whole).expect("written");
    }
    assert!(bounded("train", at, &evaluate).status.success(), "the whole artifact is read again");
}
