//! `serve classify` as it is run: what it writes, and what it exits with.

#[path = "../http/model.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod model;
#[path = "../http/network.rs"]
mod network;
#[path = "../http/wav.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod wav;

mod ensemble;
mod names;
mod options;
mod output_file;
mod playlists;
mod rows;
mod tags;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use serve::config::ModelKind;
use tempfile::TempDir;

use wav::Sound;

/// A folder with artifacts of both models in `artifacts`, and with tracks in `tracks`.
struct Workdir(TempDir);

impl Workdir {
    fn new() -> Self {
        let workdir = Self(tempfile::tempdir().expect("a folder"));
        for kind in ModelKind::MEMBERS {
            model::write(&workdir.0.path().join("artifacts"), kind);
        }
        fs::create_dir(workdir.0.path().join("tracks")).expect("makes a folder");
        workdir
    }

    /// With six tracks.
    fn with_tracks() -> Self {
        let workdir = Self::new();
        workdir.write("tracks/a.wav", &Sound::Low.wav(3.0, 1));
        workdir.write("tracks/b/c, \"d\"\n.wav", &Sound::High.wav(9.0, 2));
        workdir.write("tracks/b/e.flac", &Sound::Noise.flac(2.5, 3));
        workdir.write("tracks/f.wav", &Sound::High.wav(2.5, 4));
        workdir.write("tracks/named as a track.txt", &Sound::Low.wav(5.0, 5));
        workdir.write("tracks/z.wav", &Sound::Noise.wav(4.0, 6));
        workdir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("text")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below a folder")).expect("makes a folder");
        fs::write(path, bytes).expect("writes");
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
        for variable in ["ARTIFACTS", "FALLBACK_ARTIFACTS", "CONFIG", "DEVICE", "THREADS", "MAX_SECONDS"] {
            command.env_remove(format!("TONEARM_{variable}"));
        }
        // Neither settings nor models of the person who runs the tests.
        command.env("XDG_CONFIG_HOME", self.0.path().join("none")).env("XDG_DATA_HOME", self.0.path().join("none"));
        command.current_dir(self.0.path()).stdin(Stdio::null()).arg("classify").args(args);
        command
    }

    fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Ran {
        Ran::new(self.command(args).output().expect("runs"))
    }
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    fn assert(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word} is not in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    fn json(&self) -> Vec<Value> {
        json(&self.stdout)
    }
}

fn json(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// The rows of a CSV, each as its cells by the names of their columns.
fn csv(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

const TRACKS: [(&str, Sound); 6] = [
    ("tracks/a.wav", Sound::Low),
    ("tracks/b/c, \"d\"\n.wav", Sound::High),
    ("tracks/b/e.flac", Sound::Noise),
    ("tracks/f.wav", Sound::High),
    ("tracks/named as a track.txt", Sound::Low),
    ("tracks/z.wav", Sound::Noise),
];

/// 500 links to one track of a minute, so that a run takes a while.
fn many_tracks(workdir: &Workdir) -> usize {
    const TRACKS: usize = 500;
    workdir.write("track.wav", &Sound::High.wav(60.0, 1));
    for number in 0..TRACKS {
        std::os::unix::fs::symlink(workdir.path("track.wav"), workdir.path(&format!("tracks/{number:03}.wav")))
            .expect("links");
    }
    TRACKS
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("runs");
    assert!(status.success());
}
