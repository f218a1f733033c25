//! `--write-tags` on formats that are made here; `tests/collection` has those that need an encoder, and reads tags by mutagen.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime},
};

use lofty::{
    config::ParseOptions,
    file::{AudioFile as _, TaggedFileExt as _},
    iff::wav::WavFile,
    probe::Probe,
    tag::{Accessor as _, ItemKey},
};

use crate::{
    TRACKS, Workdir,
    wav::{RATE, Sound},
};

/// The genre in the tags of a file.
fn genre(path: &Path) -> Option<String> {
    let file = Probe::open(path).expect("opens").guess_file_type().expect("reads").read().expect("has tags");
    let genres: Vec<String> = file.tags().iter().filter_map(|tag| tag.genre().map(Into::into)).collect();
    assert!(genres.windows(2).all(|pair| pair[0] == pair[1]), "{genres:?}");
    genres.first().cloned()
}

fn samples(path: &Path) -> Vec<f32> {
    let decoded = features::decode::decode_file(path, &features::decode::Limits::default()).expect("audio");
    decoded.clip.samples().to_vec()
}

/// 16-bit AIFF with a text chunk behind the audio.
fn aiff(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_be_bytes()).collect();
    let chunk = |id: &[u8; 4], body: &[u8]| {
        let mut chunk = [&id[..], &(body.len() as u32).to_be_bytes(), body].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let mut common = vec![0, 1];
    common.extend((samples.len() as u32).to_be_bytes());
    // 22,050 as an 80-bit float.
    common.extend([0, 16, 0x40, 0x0d, 0xac, 0x44, 0, 0, 0, 0, 0, 0]);
    let form = [
        b"AIFF".to_vec(),
        chunk(b"COMM", &common),
        chunk(b"SSND", &[vec![0; 8], data].concat()),
        chunk(b"NAME", b"a name"),
    ];
    chunk(b"FORM", &form.concat())
}

#[test]
fn the_genre_is_written_and_the_audio_is_not() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/g.aiff", &aiff(&Sound::Low.samples(3.0, 8)));
    let files: Vec<(&str, &str)> =
        TRACKS.iter().map(|(name, sound)| (*name, sound.label())).chain([("tracks/g.aiff", "blues")]).collect();
    let before: Vec<_> = files.iter().map(|(name, _)| samples(&workdir.path(name))).collect();
    let untagged = workdir.run(&["--csv", "tracks"]).stdout;

    let bytes = |name: &str| fs::read(workdir.path(name)).expect("reads");
    let originals: Vec<Vec<u8>> = files.iter().map(|(name, _)| bytes(name)).collect();
    let ran = workdir.run(&["--write-tags", "--dry-run", "tracks"]);
    ran.assert(0, &["tracks/a.wav: would write GENRE `blues`", "7 of 7 files classified, 7 tags to write"]);
    assert!(files.iter().zip(&originals).all(|((name, _), original)| bytes(name) == *original));

    let ran = workdir.run(&["--csv", "--write-tags", "tracks"]);
    ran.assert(0, &["7 of 7 files classified, 7 tags written"]);
    assert_eq!(ran.stdout, untagged, "the digest of the audio is that of the audio");
    for ((name, label), before) in files.iter().zip(&before) {
        assert_eq!(genre(&workdir.path(name)).as_deref(), Some(*label), "{name}");
        assert!(samples(&workdir.path(name)) == *before, "{name} sounds different");
    }
    assert_eq!(workdir.run(&["--csv", "tracks"]).stdout, untagged);
    // WAV has it in both of its tags.
    let mut wav = fs::File::open(workdir.path("tracks/a.wav")).expect("opens");
    let wav = WavFile::read_from(&mut wav, ParseOptions::new()).expect("WAV");
    let in_both = [wav.id3v2().and_then(|tag| tag.genre()), wav.riff_info().and_then(|tag| tag.genre())];
    assert_eq!(in_both.each_ref().map(Option::as_deref), [Some("blues"); 2]);

    // A second time there is nothing to do, and nothing is done.
    let modified = |name: &str| workdir.path(name).metadata().expect("is there").mtime_nsec();
    let times: Vec<i64> = files.iter().map(|(name, _)| modified(name)).collect();
    workdir.run(&["--write-tags", "--overwrite", "tracks"]).assert(0, &["7 of 7 files classified, 7 tags the same"]);
    assert_eq!(files.iter().map(|(name, _)| modified(name)).collect::<Vec<_>>(), times);
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_overwritten() {
    let workdir = Workdir::with_tracks();
    let file = workdir.path("tracks/b/e.flac");
    workdir.run(&["--write-tags", "tracks/b/e.flac"]).assert(0, &[]);
    // Another file's audio, with the genre of this one.
    let mut tagged = lofty::read_from_path(&file).expect("FLAC");
    tagged.primary_tag_mut().expect("a tag").set_genre("Sludge".to_owned());
    let _ = tagged.primary_tag_mut().expect("a tag").insert_text(ItemKey::TrackTitle, "A title".to_owned());
    tagged.save_to_path(&file, lofty::config::WriteOptions::new()).expect("saves");
    let bytes = fs::read(&file).expect("reads");

    let ran = workdir.run(&["--write-tags", "tracks/b/e.flac"]);
    ran.assert(0, &["e.flac: keeps GENRE `Sludge` (`metal` with --overwrite)", "1 tags kept"]);
    let ran = workdir.run(&["--write-tags", "--overwrite", "--dry-run", "tracks/b/e.flac"]);
    ran.assert(0, &["would write GENRE `metal` in place of `Sludge`"]);
    assert_eq!(fs::read(&file).expect("reads"), bytes);
    // A field of one's own is another field.
    workdir.run(&["--write-tags", "--tag-field", "My_Genre", "tracks/b/e.flac"]).assert(0, &["1 tags written"]);
    assert_eq!(genre(&file).as_deref(), Some("Sludge"));
    let text = String::from_utf8_lossy(&fs::read(&file).expect("reads")).into_owned();
    assert!(text.contains("My_Genre=metal") && text.contains("TITLE=A title"));

    workdir.run(&["--write-tags", "--overwrite", "tracks/b/e.flac"]).assert(0, &["1 tags written"]);
    assert_eq!(genre(&file).as_deref(), Some("metal"));
    for name in ["TITLE", "artist", "", "a=b", "é", " GENRE", &"x".repeat(65)] {
        workdir.run(&["--write-tags", "--tag-field", name, "tracks"]).assert(2, &["--tag-field"]);
    }
}

#[test]
fn a_genre_that_is_not_probable_enough_is_not_written() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--write-tags", "--min-probability", "1", "tracks"]);
    ran.assert(0, &["6 of 6 files classified (6 below --min-probability, or unlike the training set)"]);
    assert!(!ran.stderr.contains("tags"), "{}", ran.stderr);
}

#[test]
fn a_file_keeps_what_the_file_system_knows_of_it() {
    let workdir = Workdir::with_tracks();
    let file = workdir.path("tracks/a.wav");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let reset = || {
        workdir.write("tracks/a.wav", &Sound::Low.wav(3.0, 1));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).expect("sets");
        fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(long_ago)).expect("sets");
    };
    let modified = || file.metadata().and_then(|metadata| metadata.modified()).expect("is there");
    reset();
    let has_attributes = xattr::set(&file, "user.test", b"kept").is_ok();
    let before = SystemTime::now();
    workdir.run(&["--write-tags", "tracks/a.wav"]).assert(0, &["1 tags written"]);
    let metadata = file.metadata().expect("is there");
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o604);
    // So that players and backups see that it changed.
    assert!(modified() + Duration::from_secs(2) > before);
    if has_attributes {
        assert_eq!(xattr::get(&file, "user.test").expect("reads").as_deref(), Some(&b"kept"[..]));
    }
    reset();
    workdir.run(&["--write-tags", "--overwrite", "--keep-mtime", "tracks/a.wav"]).assert(0, &["1 tags written"]);
    assert_eq!(modified(), long_ago);

    // Behind a link it is the file that is written; another name of it keeps the file as it was, which is said.
    reset();
    symlink("a.wav", workdir.path("tracks/link.wav")).expect("links");
    fs::hard_link(&file, workdir.path("other.wav")).expect("links");
    workdir
        .run(&["--write-tags", "tracks/link.wav"])
        .assert(0, &["link.wav: its 1 other names (hard links) keep the file"]);
    assert!(workdir.path("tracks/link.wav").is_symlink());
    assert_eq!(genre(&file).as_deref(), Some("blues"));
    assert_eq!(fs::read(workdir.path("other.wav")).expect("reads"), Sound::Low.wav(3.0, 1));
}

#[test]
fn a_file_that_cannot_be_tagged_is_named_and_left_as_it_is() {
    let workdir = Workdir::with_tracks();
    let samples = Sound::Low.samples(3.0, 1);
    // AU has no tags. A WAV whose data goes on to the end whatever is there would take a tag for audio.
    let data: Vec<u8> = samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_be_bytes()).collect();
    let header = [u32::from_be_bytes(*b".snd"), 24, u32::MAX, 3, RATE, 1].map(u32::to_be_bytes).concat();
    workdir.write("odd/song.au", &[header, data].concat());
    // A title in an encoding that does not exist.
    let mut broken = Sound::Low.wav(3.0, 1);
    broken.extend(b"id3 \x40\0\0\0ID3\x03\0\0\0\0\0\x30TIT2\0\0\0\x04\0\0\x09cut");
    broken.resize(broken.len().next_multiple_of(2) + 40, 0);
    let length = (broken.len() as u32 - 8).to_le_bytes();
    broken[4..8].copy_from_slice(&length);
    workdir.write("odd/tag.wav", &broken);
    workdir.write("odd/read-only.wav", &Sound::Low.wav(3.0, 1));
    fs::set_permissions(workdir.path("odd/read-only.wav"), fs::Permissions::from_mode(0o444)).expect("sets");
    let all =
        || ["song.au", "tag.wav", "read-only.wav"].map(|name| fs::read(workdir.path("odd").join(name)).expect("reads"));
    let before = all();
    let ran = workdir.run(&["--write-tags", "odd"]);
    ran.assert(
        1,
        &[
            "song.au: its tags cannot be written",
            "tag.wav: its tags cannot be read, and would be lost",
            "read-only.wav: it is read-only",
            "3 of 3 files classified, 3 tags failed",
        ],
    );
    assert_eq!(all(), before);
    assert_eq!(fs::read_dir(workdir.path("odd")).expect("lists").count(), 3, "copies are left");
}

#[test]
fn a_run_that_is_killed_leaves_each_file_old_or_new() {
    const KILLS: u32 = 50;
    let workdir = Workdir::new();
    let names: Vec<String> =
        (0..12).map(|number| format!("tracks/{number:02}.{}", ["wav", "flac", "aiff"][number % 3])).collect();
    let old: Vec<Vec<u8>> = (0..12)
        .map(|number| {
            let (sound, seed) = (Sound::ALL[number % 3], number as u64);
            match number % 3 {
                0 => sound.wav(3.0, seed),
                1 => sound.flac(3.0, seed),
                _ => aiff(&sound.samples(3.0, seed)),
            }
        })
        .collect();
    let reset = || names.iter().zip(&old).for_each(|(name, bytes)| workdir.write(name, bytes));
    let read =
        || -> Vec<Vec<u8>> { names.iter().map(|name| fs::read(workdir.path(name)).expect("is there")).collect() };
    let args = ["--write-tags", "--threads", "2", "tracks"];
    reset();
    let start = Instant::now();
    workdir.run(&args).assert(0, &["12 tags written"]);
    let whole = start.elapsed();
    let new = read();
    assert!(old.iter().zip(&new).all(|(old, new)| old != new));

    let mut state = 1u64;
    let (mut partly, mut tagged) = (0, 0);
    for _ in 0..KILLS {
        reset();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (state >> 11) as f64 / (1u64 << 53) as f64;
        let mut child = workdir.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
        thread::sleep(whole.mul_f64(share));
        child.kill().expect("kills");
        let _ = child.wait().expect("ends");
        let now = read();
        for (index, bytes) in now.iter().enumerate() {
            assert!(*bytes == old[index] || *bytes == new[index], "{} is neither old nor new", names[index]);
        }
        let written = now.iter().zip(&new).filter(|(now, new)| now == new).count();
        partly += usize::from(written > 0 && written < names.len());
        tagged += written;
    }
    assert!(partly > 0, "no kill fell between two files: {tagged} were written in all");
    // What killed runs left in the folder is gone after the next one.
    workdir.write("tracks/.serve-classify-left.tmp", b"a copy");
    workdir.run(&args).assert(0, &["12 of 12 files classified"]);
    assert_eq!(read(), new);
    reset();
    workdir.run(&args).assert(0, &["12 tags written"]);
    let left = fs::read_dir(workdir.path("tracks"))
        .expect("lists")
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."));
    assert_eq!(left.count(), 0);
}
