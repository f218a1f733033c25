//! `--m3u`.

use std::{fs, path::Path};

use models::artifact;
use serve::config::ModelKind;

use crate::{Workdir, model};

fn list(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("lists")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// The entries of a playlist.
fn entries(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn there_is_one_for_each_genre_and_it_finds_its_files() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--m3u", "tracks/b/lists", "tracks"]);
    ran.assert(0, &["3 playlists with 6 files in"]);
    assert_eq!(list(&workdir.path("tracks/b/lists")), ["blues.m3u8", "classical.m3u8", "metal.m3u8"]);
    let blues = workdir.read("tracks/b/lists/blues.m3u8");
    let expected = "#EXTM3U\n# Written by serve classify, whose next run with --m3u writes over it or removes it.\n#PLAYLIST:blues\n\
                    #EXTINF:3,a\n../../a.wav\n#EXTINF:5,named as a track\n../../named as a track.txt\n";
    assert_eq!(blues, expected);
    for name in ["blues", "metal"] {
        let text = workdir.read(&format!("tracks/b/lists/{name}.m3u8"));
        assert!(entries(&text).iter().all(|entry| workdir.path("tracks/b/lists").join(entry).is_file()), "{text}");
    }
    // A line break in a name has no other form in a playlist.
    let classical = workdir.read("tracks/b/lists/classical.m3u8");
    let url = entries(&classical)[0];
    assert!(url.starts_with("file:///") && url.ends_with("/tracks/b/c%2C%20%22d%22%0A.wav"), "{classical}");

    workdir
        .run(&["--m3u", "tracks/b/lists", "--m3u-paths", "absolute", "tracks/a.wav"])
        .assert(0, &["1 playlists with 1 files"]);
    let blues = workdir.read("tracks/b/lists/blues.m3u8");
    let absolute = fs::canonicalize(workdir.path("tracks/a.wav")).expect("is there");
    assert_eq!(entries(&blues), [absolute.to_str().expect("text")]);
    // Those of the run before that have no file now are gone.
    assert_eq!(list(&workdir.path("tracks/b/lists")), ["blues.m3u8"]);
}

#[test]
fn a_list_of_somebody_else_stays() {
    let workdir = Workdir::with_tracks();
    workdir.write("lists/mine.m3u8", b"#EXTM3U\n../tracks/a.wav\n");
    workdir.run(&["--m3u", "lists", "tracks"]).assert(0, &["3 playlists"]);
    assert_eq!(list(&workdir.path("lists")), ["blues.m3u8", "classical.m3u8", "metal.m3u8", "mine.m3u8"]);
    workdir.write("lists/blues.m3u8", b"#EXTM3U\n../tracks/a.wav\n");
    let ran = workdir.run(&["--m3u", "lists", "tracks"]);
    ran.assert(2, &["lists/blues.m3u8 is there and was not written by `serve classify`"]);
    assert_eq!(workdir.read("lists/blues.m3u8"), "#EXTM3U\n../tracks/a.wav\n");
    assert!(ran.stdout.is_empty(), "it is refused before any file is classified");
}

#[test]
fn any_label_is_the_name_of_a_file() {
    let workdir = Workdir::with_tracks();
    let mut draft = model::draft(ModelKind::Svm, 0);
    draft.labels = labels::LabelSet::from_names(["../AC/DC: \"live\"", "con", "مقام\u{202e}.exe"]).expect("labels");
    let artifacts = workdir.path("artifacts");
    let written = draft.write(&artifacts).expect("writes");
    artifact::set_current(&artifacts.join("svm"), &written.version).expect("in use");
    workdir.run(&["--m3u", "lists", "tracks"]).assert(0, &["3 playlists with 6 files"]);
    assert_eq!(
        list(&workdir.path("lists")),
        [".._AC_DC_ _live_.m3u8", "_.m3u8", "مقام.exe.m3u8"].map(|name| name.replace(".._", "_._"))
    );
    assert!(list(workdir.0.path()).iter().all(|name| !name.contains("m3u8")));
    assert!(workdir.read("lists/_._AC_DC_ _live_.m3u8").contains("\n#PLAYLIST:../AC/DC: \"live\"\n"));
}

#[test]
fn what_is_not_probable_enough_is_in_none() {
    let workdir = Workdir::with_tracks();
    workdir.run(&["--m3u", "lists", "--min-probability", "1", "tracks"]).assert(0, &["0 playlists with 0 files"]);
    assert!(list(&workdir.path("lists")).is_empty());
}

#[test]
fn what_an_earlier_run_did_is_in_them_too() {
    let workdir = Workdir::with_tracks();
    workdir.run(&["--m3u", "once", "tracks"]).assert(0, &[]);
    workdir.run(&["--output", "out.csv", "tracks/b", "tracks/z.wav"]).assert(0, &[]);
    workdir.run(&["--output", "out.csv", "--m3u", "lists", "tracks"]).assert(0, &["3 done before"]);
    for name in list(&workdir.path("once")) {
        assert_eq!(workdir.read(&format!("lists/{name}")), workdir.read(&format!("once/{name}")));
    }
}
