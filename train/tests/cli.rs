//! What the real `train` says to a person who gets something wrong. Nothing here trains.

mod program;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use program::train;

/// Runs a command that must fail, without a panic and without a result on stdout, and gives its stderr.
fn refused(at: &Path, arguments: &[&str]) -> String {
    let output = train(at, arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    // No more than the first line, which says which dataset it was to be.
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(stdout.lines().all(|line| line.starts_with("Dataset: ")), "{arguments:?} wrote {stdout}");
    stderr
}

/// A second of 16 bits at 22 050 Hz: a square wave of that amplitude, silence for 0.
fn wav(amplitude: i16) -> Vec<u8> {
    let wave = (0..22_050).map(|n| if n / 50 % 2 == 0 { amplitude } else { -amplitude });
    let data: Vec<u8> = wave.flat_map(i16::to_le_bytes).collect();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(22_050u32.to_le_bytes());
    file.extend(44_100u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn every_mistake_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::create_dir(at.join("empty")).expect("a folder");
    fs::create_dir_all(at.join("broken/blues")).expect("folders");
    fs::write(at.join("broken/blues/noise.wav"), b"not audio at all").expect("a file");
    fs::write(at.join("text.wav"), "Dear sir").expect("a file");
    fs::write(at.join("nothing.mp3"), []).expect("a file");
    fs::write(at.join("short.wav"), wav(8_000)).expect("a file");
    fs::write(at.join("silence.wav"), wav(0)).expect("a file");
    fs::write(at.join("spec.json"), "{\"sample_rate\": 1}").expect("a file");
    fs::create_dir(at.join("store")).expect("a folder");
    fs::write(at.join("store/logmel.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\xff").expect("a file");
    fs::write(at.join("store/ids.txt"), "blues.00000\n").expect("a file");
    let cases: [(&[&str], &[&str]); 18] = [
        (&["svm", "--data", "absent"], &["absent"]),
        (&["svm", "--data", "empty"], &["empty", "genre"]),
        (&["svm", "--data", "broken"], &["noise", "not audio"]),
        (&["svm", "--data", "store"], &["logmel.safetensors"]),
        (&["svm", "--data", "store", "--spec", "vgg"], &["vgg", "gtzan-store", "librosa"]),
        (&["svm", "--data", "store", "--spec", "spec.json"], &["spec.json"]),
        (&["svm", "--threads", "0"], &["threads"]),
        (&["svm", "--seed", "many"], &["seed"]),
        (&["extract", "--data", "store", "--out", "new"], &["store"]),
        (&["extract", "--data", "broken", "--out", "empty"], &["noise"]),
        (&["evaluate", "--artifact", "absent", "--data", "store", "--split", "everything"], &["absent"]),
        (&["evaluate", "--artifact", "absent", "--split", "everything"], &["--data"]),
        (&["inspect", "absent.wav"], &["absent.wav"]),
        (&["inspect", "text.wav"], &["text.wav", "not audio"]),
        (&["inspect", "nothing.mp3"], &["nothing.mp3", "empty"]),
        (&["inspect", "short.wav"], &["short.wav", "too short", "at least"]),
        (&["inspect", "silence.wav"], &["silence.wav", "silent"]),
        (&["audit", "--data", "empty"], &["empty"]),
    ];
    for (arguments, words) in cases {
        let stderr = refused(at, arguments);
        for word in words {
            assert!(stderr.contains(word), "{arguments:?} does not say `{word}`: {stderr}");
        }
    }
    assert!(!at.join("artifacts").exists() && !at.join("new").exists(), "a failed command left something behind");
}

#[test]
fn help_and_version_are_for_people() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["--help"][..], &["svm", "--help"], &["evaluate", "--help"], &["--version"]] {
        let output = train(folder.path(), arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_synthetic_dataset_is_never_written_over_something() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine.txt"), "keep").expect("a file");
    let stderr = refused(folder.path(), &["synth", "--out", ".", "--clips-per-genre", "1", "--seconds", "1"]);
    assert!(stderr.contains("out"), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("mine.txt")).expect("still there"), "keep");
    let stderr = refused(folder.path(), &["synth", "--out", "new", "--clips-per-genre", "0"]);
    assert!(stderr.contains("clips"), "{stderr}");
}

#[test]
fn a_reader_that_leaves_is_no_fault_and_a_full_disk_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let output = train(at, &["synth", "--out", "clips", "--clips-per-genre", "1", "--seconds", "2"]);
    assert!(output.status.success());
    let inspect = |json: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command.current_dir(at).args(["inspect", "clips/jazz/jazz.synth.00000.wav"]).args(json).stderr(Stdio::piped());
        command
    };
    for json in [&[][..], &["--json"]] {
        let mut child = inspect(json).stdout(Stdio::piped()).spawn().expect("train starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("train ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let Ok(full) = fs::File::options().write(true).open("/dev/full") else { continue };
        let output = inspect(json).stdout(full).output().expect("train starts");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("train: failed to write to standard output") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interruption_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_train"))
        .current_dir(at)
        .args(["synth", "--out", "clips", "--clips-per-genre", "1000", "--seconds", "30"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("train starts");
    let begun =
        || fs::read_dir(at).expect("a folder").any(|entry| entry.expect("an entry").path().join("pop").is_dir());
    while !begun() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    let output = child.wait_with_output().expect("train ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(fs::read_dir(at).expect("a folder").count(), 0, "something is left");
}

#[test]
fn what_cannot_work_is_said_before_the_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::write(at.join("file"), "mine").expect("a file");
    let cases: [(&[&str], &[&str]); 4] = [
        (&["--artifacts", "file/artifacts"], &["file", "--artifacts"]),
        (&["--held-out", "everything"], &["everything"]),
        (&["--spec", "vgg"], &["vgg", "librosa"]),
        (&["synth", "--out", "new", "--seconds", "-5"], &["-5", "1 to 600"]),
    ];
    for (arguments, words) in cases {
        let stderr = refused(at, arguments);
        assert!(words.iter().all(|word| stderr.contains(word)), "{arguments:?}: {stderr}");
        assert!(stderr.matches("os error").count() < 2, "a cause is said twice: {stderr}");
    }
    assert!(!at.join("data").exists(), "a dataset was made for nothing");
}
