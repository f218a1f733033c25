//! Audio folders as people have them on their disks.

use std::{fs, path::Path};

use data::{AudioFolder, Dataset, Error};

use crate::fixtures;

fn touch(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
}

fn ids(audio: &AudioFolder) -> Vec<&str> {
    audio.clips().iter().map(|clip| clip.clip_id.as_str()).collect()
}

#[test]
fn every_common_layout_is_found() {
    for layout in ["", "genres", "genres_original", "Data/genres_original", "clips"] {
        let folder = tempfile::tempdir().unwrap();
        touch(&folder.path().join(layout), &["rock/rock.00001.wav", "blues/blues.00000.au", "blues/notes.txt"]);
        touch(folder.path(), &["Data/images_original/blues/blues00000.png", "Data/features_30_sec.csv"]);
        let audio = AudioFolder::open(folder.path()).unwrap();
        assert_eq!(ids(&audio), ["blues.00000", "rock.00001"], "{layout}");
        assert_eq!(audio.clips()[0].artist.as_deref(), Some("John Lee Hooker"), "GTZAN's catalogue knows it");
        assert!(audio.skipped().iter().any(|skipped| skipped.path.ends_with("notes.txt")));
    }
}

#[test]
fn labels_and_extensions_are_read_in_any_spelling() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &["Hip-Hop/a.WAV", "ROCK/b.Mp3", "hip hop/c.flac", "polka/d.wav", ".git/e.wav", "rock/._b.mp3"],
    );
    let audio = AudioFolder::open(folder.path()).unwrap();
    let found: Vec<(&str, &str)> =
        audio.clips().iter().map(|clip| (clip.clip_id.as_str(), clip.label.as_str())).collect();
    assert_eq!(found, [("a", "hiphop"), ("b", "rock"), ("c", "hiphop")]);
    let skipped: Vec<String> = audio.skipped().iter().map(|s| format!("{}: {}", s.path.display(), s.reason)).collect();
    assert_eq!(skipped, [".git: not a genre", "polka: not a genre", "rock/._b.mp3: hidden"]);
}

#[test]
fn files_of_one_name_get_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &[
            "blues/01.wav",
            "jazz/01.wav",
            "jazz/Kind of Blue/01.mp3",
            "jazz/Kind of Blue/02.mp3",
            "rock/x.flac",
            "rock/x.wav",
        ],
    );
    let audio = AudioFolder::open(folder.path()).unwrap();
    assert_eq!(ids(&audio), ["02", "blues.01", "jazz.01", "jazz.Kind of Blue.01", "x"]);
    assert_eq!(audio.clips()[4].path.extension().unwrap(), "flac");
    assert_eq!(audio.skipped()[0].path, Path::new("rock/x.wav"));
}

#[cfg(unix)]
#[test]
fn loops_of_links_end_and_odd_names_are_skipped() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["blues/a.wav", "blues/line\nbreak.wav", "blues/ .wav"]);
    symlink(folder.path(), folder.path().join("blues/up")).unwrap();
    symlink("here", folder.path().join("blues/here")).unwrap();
    symlink(folder.path().join("blues"), folder.path().join("jazz")).unwrap();
    symlink("/nowhere", folder.path().join("blues/gone.wav")).unwrap();
    let audio = AudioFolder::open(folder.path()).unwrap();
    assert_eq!(ids(&audio), ["a"]);
    assert!(audio.skipped().len() >= 5, "{:?}", audio.skipped());
}

#[test]
fn a_table_beside_the_folders_names_artists() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["genres/blues/a.wav", "genres/blues/b.wav", "genres/blues/blues.00000.wav"]);
    fs::write(folder.path().join("artists.csv"), "artist,clip_id\n\"Hooker, John Lee\",a\nSomebody Else,blues.00000\n")
        .unwrap();
    let audio = AudioFolder::open(folder.path()).unwrap();
    let artists: Vec<_> = audio.clips().iter().map(|clip| clip.artist.as_deref()).collect();
    assert_eq!(artists, [Some("Hooker, John Lee"), None, Some("Somebody Else")]);
    assert!(audio.clips()[2].catalogue().is_none(), "by somebody else it is not GTZAN's");

    for (table, problem) in [
        ("clip_id,artist\na,b,c\n", "3 fields"),
        ("id,artist\n", "clip_id"),
        ("clip_id,genre\na,polka\n", "polka"),
        ("clip_id\na\na\n", "twice"),
        ("", "empty"),
        ("clip_id\n\"a\n", "quote"),
    ] {
        fs::write(folder.path().join("artists.csv"), table).unwrap();
        let message = AudioFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(problem) && message.contains("artists.csv"), "{message}");
    }
}

#[test]
fn what_is_not_a_dataset_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("an empty folder") && message.contains("genres_original"), "{message}");
    touch(folder.path(), &["song.mp3", "polka/a.wav"]);
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("`polka`, `song.mp3`"), "{message}");
    assert!(!Dataset::is_at(folder.path()));
    let missing = Dataset::open(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(&missing, Error::NoDataset { found, .. } if found == "no such folder"), "{missing}");
}

#[test]
fn the_real_clips_are_found() {
    let Some(path) = fixtures::shared("gtzan/clips") else { return };
    let audio = AudioFolder::open(&path).unwrap();
    assert_eq!(audio.clips().len(), 96);
    assert!(audio.clips().iter().all(|clip| clip.catalogue().is_some()));
    let Some(parent) = fixtures::shared("gtzan") else { return };
    assert!(matches!(Dataset::open(&parent).unwrap(), Dataset::FeatureStore(store) if store.len() == 710));
}
