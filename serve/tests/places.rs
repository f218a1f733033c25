//! Where the program finds its models and its settings, as it is run: in empty folders, beside a home that is empty or is not.

#[path = "http/model.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod model;
#[path = "http/network.rs"]
mod network;
#[path = "http/wav.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod wav;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use models::artifact::{self, Written};
use serde_json::Value;
use serve::config::ModelKind;
use tempfile::TempDir;

use wav::Sound;

/// A machine of its own: a program in `usr/bin`, a home, and a current folder with a track, all of them empty otherwise.
struct Machine(TempDir);

/// What a program has said.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Machine {
    fn new() -> Self {
        // On the file system of the program, so that it can be linked.
        let machine = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"));
        for folder in ["usr/bin", "home", "here"] {
            fs::create_dir_all(machine.at(folder)).expect("makes a folder");
        }
        fs::hard_link(env!("CARGO_BIN_EXE_serve"), machine.at("usr/bin/serve")).expect("links");
        fs::write(machine.at("here/track.wav"), Sound::High.wav(5.0, 1)).expect("writes");
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.at("usr/bin/serve"));
        command.env_clear().env("HOME", self.at("home")).current_dir(self.at("here"));
        command.stdin(Stdio::null()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Said {
        Said::of(&mut self.command(args))
    }

    /// Writes the SVM of that number and puts it in use.
    fn write(&self, folder: &str, variant: usize) -> Written {
        model::write_as(&self.at(folder), "svm", &model::draft(ModelKind::Svm, variant))
    }
}

impl Said {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn assert(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word} is not in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// The version that the card of the repository's SVM is of.
fn shipped() -> String {
    let card = concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts/svm/README.md");
    let card = fs::read_to_string(card).expect("a card");
    card.lines().find_map(|line| line.strip_prefix("# ")?.split('`').nth(1)).expect("a version").to_owned()
}

/// A running server, killed when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    /// What it said until it listened.
    said: String,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let address = loop {
            let from = said.len();
            assert!(stderr.read_line(&mut said).expect("text") > 0, "it ended: {said}");
            if let Some((_, rest)) = said[from..].split_once("http://") {
                break rest.split([',', ';', '\n']).next().expect("an address").parse().expect("an address");
            }
        };
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, address, said }
    }

    fn ask(&self, head: &str, body: &[u8]) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        let length = body.len();
        write!(stream, "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: audio/wav\r\nContent-Length: {length}\r\n\r\n")
            .expect("sends");
        stream.write_all(body).expect("sends");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("a response");
        let response = String::from_utf8(response).expect("text");
        serde_json::from_str(response.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
    }

    fn model(&self, name: &str) -> Value {
        self.ask(&format!("GET /v1/models/{name}"), b"")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn in_an_empty_folder_the_svm_of_the_program_answers_and_is_named() {
    let machine = Machine::new();
    let version = shipped();
    let words = format!("svm {version} embedded in the program: 10 labels");
    let table = machine.run(&["classify", "track.wav"]);
    table.assert(0, &[&words]);
    assert_eq!(table.stdout.lines().count(), 2, "{}", table.stdout);
    for form in ["--json", "--csv"] {
        let said = machine.run(&["classify", form, "track.wav"]);
        assert_eq!(said.assert(0, &[]).stderr, format!("serve classify: svm {version} embedded in the program\n"));
    }
    // Without a home, too.
    let mut homeless = machine.command(&["classify", "track.wav"]);
    homeless.env_remove("HOME").env("XDG_DATA_HOME", "/nowhere").env("XDG_CONFIG_HOME", "/nowhere");
    Said::of(&mut homeless).assert(0, &[&words]);

    let server = Server::start(&mut machine.command(&["all", "--port", "0"]));
    assert!(server.said.contains(&format!("model svm {version} embedded in the program")), "{}", server.said);
    // There is none of the other kind, which is said with the places and with what to do.
    for word in
        ["POST /vgg is not served", "no vgg19 artifact in", "usr/bin/artifacts", "--artifacts", "copy one there"]
    {
        assert!(server.said.contains(word), "{word} is not in {}", server.said);
    }
    let model = server.model("svm");
    assert_eq!((&model["version"], &model["origin"]), (&version.clone().into(), &"embedded".into()));
    let track = fs::read(machine.at("here/track.wav")).expect("a track");
    let answer = server.ask("POST /predict", &track);
    assert_eq!(answer["model"]["version"], version);
    assert!(answer["predicted_genre"].is_string(), "{answer}");
    // The same as without a server, and as the artifact in the repository gives.
    let artifacts = concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts/svm/");
    let folder = format!("{artifacts}{version}");
    for args in [&["classify", "--json", "track.wav"][..], &["classify", "--json", "--artifacts", &folder, "track.wav"]]
    {
        let said = machine.run(args);
        let line: Value = serde_json::from_str(&said.assert(0, &[]).stdout).expect("an object");
        assert_eq!(line["probabilities"], answer["probabilities"]);
    }

    // What is put where it is looked for takes its place, without a restart.
    let written = machine.write("here/artifacts", 1);
    let start = Instant::now();
    while server.model("svm")["version"] != written.version.as_str() {
        assert!(start.elapsed() < Duration::from_secs(30), "it is not taken up: {}", server.model("svm"));
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.model("svm")["origin"], "artifacts");
}

#[test]
fn without_a_network_it_says_where_it_looked_and_what_to_do() {
    let machine = Machine::new();
    let said = machine.run(&["vgg", "--port", "0"]);
    let places = ["usr/bin/artifacts", "usr/share/tonearm/artifacts", "home/.local/share/tonearm/artifacts"];
    let places = places.map(|place| machine.at(place).display().to_string());
    said.assert(2, &["no vgg19 artifact in", "artifacts, embedded", "train one", "copy one there", "--artifacts"]);
    said.assert(2, &places.each_ref().map(String::as_str));
    let said = machine.run(&["classify", "--model", "vgg19", "track.wav"]);
    said.assert(2, &places.each_ref().map(String::as_str)).assert(2, &["there are: svm"]);
}

#[test]
fn the_first_place_that_has_a_version_in_use_is_taken() {
    let machine = Machine::new();
    let data = machine.at("data").display().to_string();
    let run = |env: &[(&str, &str)], args: &[&str]| {
        let args = [&["classify", "track.wav"], args].concat();
        Said::of(machine.command(&args).envs(env.iter().copied()))
    };
    // From the last to the first; the last is in the current folder, and its name is as it was typed.
    let places =
        ["here/artifacts", "home/.local/share/tonearm/artifacts", "usr/share/tonearm/artifacts", "usr/bin/artifacts"];
    for (variant, place) in places.into_iter().enumerate() {
        let version = machine.write(place, variant).version;
        let shown = machine.at(place).display().to_string();
        let shown = if variant == 0 { "artifacts" } else { &shown };
        run(&[], &[]).assert(0, &[&format!("svm {version} from {shown}:")]);
    }
    // A version that is not in use is none, and a folder without models neither.
    let first = machine.at("usr/bin/artifacts/svm");
    fs::remove_file(first.join("CURRENT")).expect("removes");
    let packaged = artifact::current(&machine.at("usr/share/tonearm/artifacts/svm")).expect("in use");
    run(&[], &[]).assert(0, &[&packaged]);
    // The data folder has another name if the variable says so.
    fs::remove_dir_all(machine.at("usr/share")).expect("removes");
    let here = artifact::current(&machine.at("here/artifacts/svm")).expect("in use");
    run(&[("XDG_DATA_HOME", &data)], &[]).assert(0, &[&here]);
    let version = machine.write("data/tonearm/artifacts", 7).version;
    run(&[("XDG_DATA_HOME", &data)], &[]).assert(0, &[&version]);
    run(&[("XDG_DATA_HOME", "relative")], &[]).assert(0, &["home/.local/share"]);

    // What is named comes before all of them, the flag before the variable, and is all that there is.
    let named = machine.write("named", 8).version;
    let variable = machine.write("variable", 9).version;
    let env = [("TONEARM_ARTIFACTS", "../variable")];
    run(&env, &[]).assert(0, &[&format!("svm {variable} from ../variable:")]);
    run(&env, &["--artifacts", "../named"]).assert(0, &[&format!("svm {named} from ../named:")]);
    run(&[], &["--artifacts", "../nothing"]).assert(2, &["no svm artifact in ../nothing"]);
    run(&[], &["--artifacts", "embedded"]).assert(0, &[&format!("svm {} embedded in the program", shipped())]);

    // Only a fallback may stand in for it, until it holds the model.
    let fallback = ["--artifacts", "../nothing", "--fallback-artifacts", "../named"];
    run(&[], &fallback).assert(0, &[&format!("svm {named} from the fallback ../named:")]);
    let env = [("TONEARM_FALLBACK_ARTIFACTS", "embedded"), ("TONEARM_ARTIFACTS", "../nothing")];
    run(&env, &[]).assert(0, &["embedded in the program"]);
    let later = machine.write("nothing", 10).version;
    run(&env, &[]).assert(0, &[&format!("svm {later} from ../nothing:")]);
    run(&[], &fallback).assert(0, &[&later]);
    run(&[], &["--fallback-artifacts", ""]).assert(2, &["--fallback-artifacts", "empty"]);
}

/// Each model is looked for by itself: a place that has one does not hide the others behind it.
#[test]
fn models_of_several_places_are_served_together() {
    let machine = Machine::new();
    let dances = model::write_as(&machine.at("here/artifacts"), "dances", &model::draft(ModelKind::Svm, 3)).version;
    let svm = machine.write("home/.local/share/tonearm/artifacts", 4).version;
    let server = Server::start(&mut machine.command(&["svm", "--port", "0"]));
    let list = server.ask("GET /v1/models", b"");
    let versions = list["models"].as_array().expect("a list").iter().map(|model| (&model["name"], &model["version"]));
    assert_eq!(versions.collect::<Vec<_>>(), [(&"svm".into(), &svm.into()), (&"dances".into(), &dances.into())]);
}

#[test]
fn a_broken_artifact_in_an_earlier_place_is_not_passed_over() {
    let machine = Machine::new();
    machine.write("here/artifacts", 1);
    let early = "home/.local/share/tonearm/artifacts";
    let written = machine.write(early, 2);
    let (folder, weights) = (machine.at(early).join("svm"), written.dir.join("weights.safetensors"));
    let good = fs::read(&weights).expect("reads");
    let runs = || {
        ["classify", "svm"].map(|command| match command {
            "svm" => machine.run(&["svm", "--port", "0"]),
            _ => machine.run(&["classify", "track.wav"]),
        })
    };
    let shown = folder.display().to_string();
    fs::write(&weights, "damage").expect("writes");
    for said in runs() {
        said.assert(1, &["damaged", &shown]);
    }
    fs::write(&weights, good).expect("writes");
    for (current, code, words) in [("not a version", 1, "CURRENT"), ("0123456789ab", 2, "does not exist")] {
        fs::write(folder.join("CURRENT"), current).expect("writes");
        for said in runs() {
            said.assert(code, &[words, &shown]);
        }
    }
}

#[test]
fn settings_come_from_flag_variable_file_and_default_in_this_order() {
    let machine = Machine::new();
    let settings = |env: &[(&str, &str)], args: &[&str]| {
        let args = [&["svm", "--print-config"], args].concat();
        Said::of(machine.command(&args).envs(env.iter().copied()))
    };
    let expect =
        |said: &Said, line: &str| assert!(said.stdout.lines().any(|known| known == line), "{line}: {}", said.stdout);
    expect(&settings(&[], &[]), "queue = 64  # default");
    let write = |path: &str, text: &str| {
        let path = machine.at(path);
        fs::create_dir_all(path.parent().expect("below a folder")).expect("makes a folder");
        fs::write(&path, text).expect("writes");
        path.display().to_string()
    };
    let of_user = write("home/.config/tonearm/config.toml", "queue = 5\nthreads = 3\nmax-bytes = 100\n");
    let said = settings(&[], &[]);
    expect(&said, "queue = 5  # file");
    expect(&said, &format!("config = \"{of_user}\"  # found"));
    write("elsewhere/tonearm/config.toml", "queue = 6\n");
    let xdg = machine.at("elsewhere").display().to_string();
    expect(&settings(&[("XDG_CONFIG_HOME", &xdg)], &[]), "queue = 6  # file");
    let named = write("named.toml", "queue = 7\n");
    let env = [("TONEARM_CONFIG", named.as_str())];
    expect(&settings(&env, &[]), "queue = 7  # file");
    let other = write("other.toml", "queue = 8\n");
    expect(&settings(&env, &["--config", &other]), "queue = 8  # file");
    let env = [("TONEARM_CONFIG", named.as_str()), ("TONEARM_QUEUE", "9")];
    expect(&settings(&env, &[]), "queue = 9  # environment");
    expect(&settings(&env, &["--queue", "10"]), "queue = 10  # command line");

    // Every command reads it: here the largest file of `classify`.
    machine.run(&["classify", "track.wav"]).assert(1, &["over 100 bytes"]);
    machine.run(&["classify", "--max-bytes", "10000000", "track.wav"]).assert(0, &[]);
    write("home/.config/tonearm/config.toml", "queus = 5\n");
    for args in [&["classify", "track.wav"][..], &["svm"], &["health", "--url", "http://127.0.0.1:1"]] {
        machine.run(args).assert(2, &[&of_user, "queus"]);
    }
    // A file that is wrong does not keep the program from telling of itself.
    machine.run(&["man"]).assert(0, &[]);
}

/// Whether a program is here to check what is printed for it.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped the check by {program}: it is not installed");
    }
    found
}

#[test]
fn completions_are_accepted_by_their_shells() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = machine.run(&["completions", shell]);
        said.assert(0, &[]);
        for word in ["classify", "health", "print-config", "fallback-artifacts"] {
            assert!(said.stdout.contains(word), "{shell}: {word} is not in\n{}", said.stdout);
        }
        let script = machine.at(&format!("here/completions.{shell}"));
        fs::write(&script, &said.stdout).expect("writes");
        if has(shell) {
            let output = Command::new(shell).arg("-n").arg(&script).output().expect("runs");
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        }
    }
    machine.run(&["completions", "abacus"]).assert(2, &["abacus", "bash", "fish", "zsh"]);
}

/// The script of bash completes what a person has begun.
#[test]
fn bash_completes_a_command() {
    if !has("bash") {
        return;
    }
    let machine = Machine::new();
    let script = machine.at("here/completions.bash");
    fs::write(&script, machine.run(&["completions", "bash"]).stdout).expect("writes");
    let complete = |words: &[&str]| {
        let line = words.join(" ");
        let array = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let script = script.display();
        let program = format!(
            "source '{script}'; COMP_WORDS=({array}); COMP_CWORD={}; COMP_LINE='{line}'; COMP_POINT={}; \
             _serve serve '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.len() - 1,
            line.len(),
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["--norc", "-c", &program]).output().expect("runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["serve", "cla"]), ["classify"]);
    assert_eq!(complete(&["serve", "classify", "--prov"]), ["--provenance"]);
    assert_eq!(complete(&["serve", "completions", "fi"]), ["fish"]);
}

#[test]
fn the_manual_renders_and_has_a_page_for_each_command() {
    let machine = Machine::new();
    let page = machine.run(&["man"]);
    page.assert(0, &[]);
    let renders = |page: &Path, words: &[&str]| {
        if has("man") {
            let mut man = Command::new("man");
            man.args(["--warnings", "-l"])
                .arg(page)
                .env("LC_ALL", "C.UTF-8")
                .env("MANWIDTH", "100")
                .env("MANPAGER", "cat");
            let Said { code, stdout, stderr } = Said::of(&mut man);
            assert!(code == Some(0) && stderr.is_empty(), "{}: {stderr}", page.display());
            // Without the overstrikes of bold letters, if there are any.
            let text = stdout.replace('\u{8}', "");
            assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not all in\n{text}");
        }
    };
    let out = machine.at("here/manual");
    machine.run(&["man", "--out", "manual"]).assert(0, &[]);
    let mut names: Vec<String> = fs::read_dir(&out)
        .expect("a folder")
        .map(|entry| entry.expect("a page").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    let expected = ["-all", "-classify", "-completions", "-health", "-man", "-svm", "-vgg", "-web", ""];
    assert_eq!(names, expected.map(|command| format!("serve{command}.1")));
    assert_eq!(fs::read_to_string(out.join("serve.1")).expect("reads"), page.stdout);
    for name in &names {
        renders(&out.join(name), &["NAME", "SYNOPSIS"]);
    }
    renders(&out.join("serve-classify.1"), &["--artifacts", "TONEARM_ARTIFACTS", "--provenance"]);
    let of_command = machine.run(&["man", "classify"]);
    assert_eq!(of_command.stdout, fs::read_to_string(out.join("serve-classify.1")).expect("reads"));
    machine.run(&["man", "sing"]).assert(2, &["sing", "classify"]);
    fs::write(machine.at("here/file"), "").expect("writes");
    machine.run(&["man", "--out", "file/below"]).assert(1, &["file/below"]);
}
