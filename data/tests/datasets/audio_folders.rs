//! Audio as people have it on their disks.

use std::{collections::BTreeMap, fs, path::Path};

use data::{AudioDataset, AudioForm, Dataset, Error, Part, Reason, Span};

use crate::fixtures;

/// Files that are audio by their first bytes; nothing more is asked of them before they are decoded.
fn touch(root: &Path, names: &[&str]) {
    for name in names {
        write(root, name, b"fLaC");
    }
}

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn ids(audio: &AudioDataset) -> Vec<&str> {
    audio.clips().iter().map(|clip| clip.clip_id.as_str()).collect()
}

/// Clip ids with their labels.
fn labels(audio: &AudioDataset) -> Vec<(&str, &str)> {
    audio.clips().iter().map(|clip| (clip.clip_id.as_str(), clip.label.as_str())).collect()
}

fn unused(audio: &AudioDataset) -> Vec<(Reason, &str)> {
    audio.unused().iter().map(|unused| (unused.reason, unused.file.as_str())).collect()
}

#[test]
fn every_common_layout_is_found() {
    for layout in ["", "genres", "genres_original", "Data/genres_original", "clips"] {
        let folder = tempfile::tempdir().unwrap();
        touch(&folder.path().join(layout), &["rock/rock.00001.wav", "blues/blues.00000.au"]);
        write(&folder.path().join(layout), "blues/notes.txt", b"x");
        write(folder.path(), "Data/images_original/blues/blues00000.png", b"\x89PNG");
        write(folder.path(), "Data/features_30_sec.csv", b"filename,length\n");
        let audio = AudioDataset::open(folder.path()).unwrap();
        assert_eq!(ids(&audio), ["blues.00000", "rock.00001"], "{layout}");
        assert_eq!(audio.form(), AudioForm::LabelFolders);
        assert_eq!(audio.clips()[0].artist, None, "a name alone is not GTZAN's");
        assert!(unused(&audio).contains(&(Reason::NotAudio, "blues/notes.txt")), "{:?}", audio.unused());
    }
}

#[test]
fn any_name_is_a_label_and_content_says_what_is_audio() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &[
            "Hip-Hop/a.WAV",
            "chanson française/b.opus",
            "演歌/c",
            "12/d.mp3",
            "R&B/e.m4b",
            "two  words/deep/er/f.txt",
            ".git/g.wav",
            "12/._d.mp3",
            "loose.mp3",
        ],
    );
    write(folder.path(), "12/cover.wav", b"\xff\xd8\xff\xe0 a photograph");
    write(folder.path(), "12/empty.wav", b"");
    write(folder.path(), "art/cover.jpg", b"\xff\xd8\xff\xe0");
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(
        labels(&audio),
        [("a", "Hip-Hop"), ("b", "chanson française"), ("c", "演歌"), ("d", "12"), ("e", "R&B"), ("f", "two  words"),]
    );
    assert_eq!(
        unused(&audio),
        [
            (Reason::Unreadable, "12/empty.wav"),
            (Reason::NotAudio, "12/cover.wav"),
            (Reason::NotAudio, "art/cover.jpg"),
            (Reason::NoLabel, "loose.mp3"),
            (Reason::Excluded, ".git"),
            (Reason::Excluded, "12/._d.mp3"),
        ]
    );
}

#[test]
fn a_folder_of_clips_beside_others_is_a_label() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["clips/rock/a.wav", "live/b.wav"]);
    assert_eq!(labels(&AudioDataset::open(folder.path()).unwrap()), [("a", "clips"), ("b", "live")]);
}

#[test]
fn files_of_one_name_get_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &[
            "blues/01.wav",
            "jazz/01.wav",
            "jazz/Miles Davis/Kind of Blue/01.mp3",
            "jazz/Miles Davis/Kind of Blue/02.mp3",
            "rock/x.flac",
            "rock/x.wav",
        ],
    );
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(ids(&audio), ["02", "blues.01", "jazz.01", "jazz.Miles Davis.Kind of Blue.01", "x"]);
    assert_eq!(audio.clips()[4].path.extension().unwrap(), "flac");
    assert_eq!(unused(&audio), [(Reason::Duplicate, "rock/x.wav")]);
    let credited = &audio.clips()[0];
    assert_eq!((credited.artist.as_deref(), credited.album.as_deref()), (Some("Miles Davis"), Some("Kind of Blue")));
    assert!(audio.notes().iter().any(|note| note.contains("2 of 5")), "{:?}", audio.notes());
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_read_and_loops_of_links_end() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::symlink};
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["blues/a.wav", "blues/line\nbreak.wav", "blues/ .wav"]);
    let latin = folder.path().join(OsStr::from_bytes(b"m\xfasica"));
    fs::create_dir(&latin).unwrap();
    fs::write(latin.join(OsStr::from_bytes(b"\xff.wav")), b"fLaC").unwrap();
    symlink(folder.path(), folder.path().join("blues/up")).unwrap();
    symlink("here", folder.path().join("blues/here")).unwrap();
    symlink(folder.path().join("blues"), folder.path().join("jazz")).unwrap();
    symlink("/nowhere", folder.path().join("blues/gone.wav")).unwrap();
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(labels(&audio), [("%FF", "m%FAsica"), ("a", "blues"), ("blues. ", "blues"), ("line%0Abreak", "blues")]);
    assert_eq!(
        unused(&audio),
        [
            (Reason::Unreadable, "blues/gone.wav"),
            (Reason::Unreadable, "blues/here"),
            (Reason::Duplicate, "blues/up"),
            (Reason::Duplicate, "jazz"),
        ]
    );
}

#[test]
fn a_table_beside_the_folders_names_artists() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["genres/blues/a.wav", "genres/blues/b.wav", "genres/blues/blues.00000.wav"]);
    fs::write(folder.path().join("artists.csv"), "artist,clip_id\n\"Hooker, John Lee\",a\nSomebody Else,blues.00000\n")
        .unwrap();
    let audio = AudioDataset::open(folder.path()).unwrap();
    let artists: Vec<_> = audio.clips().iter().map(|clip| clip.artist.as_deref()).collect();
    assert_eq!(artists, [Some("Hooker, John Lee"), None, Some("Somebody Else")]);

    for (table, problem) in [
        ("clip_id,artist\na,b,c\n", "3 fields"),
        ("id,artist\n", "clip_id"),
        ("clip_id,split\na,somewhere\n", "somewhere"),
        ("clip_id\na\na\n", "twice"),
        ("", "empty"),
        ("clip_id\n\"a\n", "quote"),
    ] {
        fs::write(folder.path().join("artists.csv"), table).unwrap();
        let message = AudioDataset::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(problem) && message.contains("artists.csv"), "{message}");
    }
}

#[test]
fn an_audio_folder_has_its_own_split() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &["train/polka/a.wav", "train/waltz/b.wav", "test/polka/c.wav", "validation/waltz/d.wav", "train/e.wav"],
    );
    write(folder.path(), "README.md", b"# a dataset card");
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(audio.form(), AudioForm::AudioFolder);
    let parts: Vec<_> = audio.clips().iter().map(|clip| (&*clip.clip_id, &*clip.label, clip.given.unwrap())).collect();
    assert_eq!(
        parts,
        [
            ("a", "polka", Part::Train),
            ("b", "waltz", Part::Train),
            ("c", "polka", Part::Test),
            ("d", "waltz", Part::Valid)
        ]
    );
    assert_eq!(unused(&audio), [(Reason::NoLabel, "train/e.wav")]);

    // With another folder of audio beside them, `train` is a label.
    touch(folder.path(), &["steam/f.wav"]);
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!((audio.form(), audio.clips().len()), (AudioForm::LabelFolders, 6));
}

#[test]
fn an_audio_folder_may_have_its_labels_in_a_table() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["train/1.wav", "train/sub/2.wav", "test/3.wav"]);
    write(folder.path(), "train/metadata.csv", b"file_name,label,artist\n1.wav,polka,Frankie\nsub/2.wav,waltz,\n");
    write(folder.path(), "test/metadata.jsonl", b"{\"file_name\": \"3.wav\", \"label\": \"waltz\"}\n");
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(labels(&audio), [("1", "polka"), ("2", "waltz"), ("3", "waltz")]);
    assert_eq!(audio.clips()[0].artist.as_deref(), Some("Frankie"));
    assert_eq!(audio.clips()[2].given, Some(Part::Test));

    // A table without labels adds to the folders.
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["polka/1.wav", "waltz/2.wav"]);
    write(folder.path(), "metadata.csv", b"file_name,artist\npolka/1.wav,Frankie\n");
    let audio = AudioDataset::open(folder.path()).unwrap();
    assert_eq!(labels(&audio), [("1", "polka"), ("2", "waltz")]);
    assert_eq!(audio.clips()[0].artist.as_deref(), Some("Frankie"));
    assert!(audio.unused().is_empty(), "{:?}", audio.unused());
}

#[test]
fn a_manifest_names_files_labels_and_spans() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["in/a.wav", "in/b.wav", "in/c.wav", "in/d.wav"]);
    write(folder.path(), "in/text.wav", b"words");
    let table = folder.path().join("tracks.tsv");
    fs::write(
        &table,
        "path\tlabel\tartist\tsplit\tstart\tend\n\
         in/a.wav\tpolka\tFrankie\ttrain\t\t\n\
         in/b.wav\twaltz\t\ttest\t0\t30\n\
         in/b.wav\tpolka\t\ttest\t30\t60.5\n\
         in/b.wav\tpolka\t\ttest\t30\t60.5\n\
         in/c.wav\t\t\t\t\t\n\
         in/gone.wav\twaltz\t\t\t\t\n\
         in/text.wav\twaltz\t\t\t\t\n\
         in/d.wav\twaltz\t\texcluded\t\t\n",
    )
    .unwrap();
    let audio = AudioDataset::open(&table).unwrap();
    assert_eq!(audio.form(), AudioForm::Manifest);
    assert_eq!(labels(&audio), [("a", "polka"), ("b@0-30", "waltz"), ("b@30-60.5", "polka")]);
    assert_eq!(audio.clips()[2].span, Some(Span { start: 30.0, end: Some(60.5) }));
    assert_eq!(audio.clips()[1].given, Some(Part::Test));
    assert_eq!(
        unused(&audio),
        [
            (Reason::Unreadable, "in/gone.wav"),
            (Reason::NotAudio, "in/text.wav"),
            (Reason::NoLabel, "in/c.wav"),
            (Reason::Excluded, "in/d.wav"),
            (Reason::Duplicate, "in/b.wav"),
        ]
    );
    for (text, line, problem) in [
        ("path,artist\na,b\n", 1, "`label`"),
        ("label,artist\na,b\n", 1, "`path`"),
        ("path,label,start\na.wav,x,soon\n", 2, "`soon`"),
        ("path,label,start,end\na.wav,x,3,2\n", 2, "ends at 2 s"),
        ("path,label\n,x\n", 2, "names no file"),
        ("path,label,split\na.wav,x,fold3\n", 2, "fold3"),
    ] {
        let table = folder.path().join("bad.csv");
        fs::write(&table, text).unwrap();
        match AudioDataset::open(&table).unwrap_err() {
            Error::Table { line: found, problem: said, .. } => {
                assert!(found == line && said.contains(problem), "{found}: {said}");
            }
            other => panic!("{other}"),
        }
    }
}

/// FMA's `tracks.csv` in little: three rows of header, and an index.
const TRACKS: &str = "\
,album,album,artist,artist,set,set,track,track\n\
,id,title,id,name,split,subset,genre_top,title\n\
track_id,,,,,,,,\n\
2,1,AWOL,1,AWOL,training,small,Hip-Hop,Food\n\
5,1,AWOL,1,AWOL,test,small,Hip-Hop,This World\n\
10,6,Constant Hitmaker,6,Kurt Vile,validation,small,Pop,Freeway\n\
134,58,mp3,1,,training,large,Rock,\n\
140,61,\"Alive, at\",54,Nicky Cook,training,medium,,Queen Of The Wires\n";

#[test]
fn fma_is_read_as_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &[
            "fma_small/000/000002.mp3",
            "fma_small/000/000005.mp3",
            "fma_small/000/000010.mp3",
            "fma_large/000/000002.mp3",
            "fma_large/000/000134.mp3",
            "fma_large/000/000140.mp3",
            "fma_large/000/000999.mp3",
        ],
    );
    write(folder.path(), "fma_small/000/000011.mp3", b"<html>");
    write(folder.path(), "fma_small/checksums", b"x");
    write(folder.path(), "fma_metadata/tracks.csv", TRACKS.as_bytes());
    for opened in ["", "fma_metadata/tracks.csv"] {
        let audio = AudioDataset::open(&folder.path().join(opened)).unwrap();
        assert_eq!(audio.form(), AudioForm::Fma);
        let found: BTreeMap<_, _> = audio
            .clips()
            .iter()
            .map(|clip| (&*clip.clip_id, (&*clip.label, clip.given, clip.artist.as_deref())))
            .collect();
        assert_eq!(
            found,
            BTreeMap::from([
                ("000002", ("Hip-Hop", Some(Part::Train), Some("AWOL"))),
                ("000005", ("Hip-Hop", Some(Part::Test), Some("AWOL"))),
                ("000010", ("Pop", Some(Part::Valid), Some("Kurt Vile"))),
                ("000134", ("Rock", Some(Part::Train), Some("artist 1"))),
            ])
        );
        assert_eq!(
            unused(&audio),
            [
                (Reason::NoLabel, "fma_large/000/000140.mp3"),
                (Reason::NoLabel, "fma_large/000/000999.mp3"),
                (Reason::NoLabel, "fma_small/000/000011.mp3"),
                (Reason::Duplicate, "fma_small/000/000002.mp3"),
            ]
        );
    }
    write(folder.path(), "fma_metadata/tracks.csv", TRACKS.replace("\n5,", "\nfive,").as_bytes());
    let message = AudioDataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("line 5") && message.contains("`five`"), "{message}");
}

#[test]
fn what_is_not_a_dataset_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("an empty folder") && message.contains("genres_original"), "{message}");
    write(folder.path(), "song.mp3", b"ID3");
    write(folder.path(), "polka/a.txt", b"words");
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("`polka`, `song.mp3`"), "{message}");
    assert!(!Dataset::is_at(folder.path()));
    let missing = Dataset::open(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(&missing, Error::NoDataset { found, .. } if found == "no such folder"), "{missing}");
    let message = Dataset::open(&folder.path().join("song.mp3")).unwrap_err().to_string();
    assert!(message.contains("a table of files and labels"), "{message}");
}

#[test]
fn the_real_clips_are_found() {
    let Some(path) = fixtures::shared("gtzan/clips") else { return };
    let audio = AudioDataset::open(&path).unwrap();
    assert_eq!(audio.clips().len(), 96);
    let Some(parent) = fixtures::shared("gtzan") else { return };
    assert!(matches!(Dataset::open(&parent).unwrap(), Dataset::FeatureStore(store) if store.len() == 710));
}
