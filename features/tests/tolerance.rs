//! Siblings of the files in `cases/`: the same faults in other containers and at other places, made here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use features::{
    Error,
    decode::{
        Decoded, Limits,
        WarningKind::{self, Damaged, FormatChange, LeadingData, TrailingData, Truncated, WrongHeader, WrongSize},
        decode, decode_file, stream_file, tags,
    },
};

fn case(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Decoded, Error> {
    decode(bytes, &Limits::default())
}

/// Seconds, and the kinds of warnings.
fn outcome(bytes: &[u8]) -> (f64, Vec<WarningKind>) {
    let info = read(bytes).unwrap().info;
    (info.seconds, info.warnings.iter().map(|warning| warning.kind).collect())
}

/// `n` bytes that are no audio.
fn junk(n: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..n).map(|_| next()).collect()
}

/// An APEv2 tag with a header and a footer, and `n` bytes of items.
fn ape_tag(n: u32) -> Vec<u8> {
    let part = |flags: u32| {
        [b"APETAGEX".as_slice(), &[2000, n + 32, 1, flags].map(u32::to_le_bytes).concat(), &[0; 8]].concat()
    };
    [part(0xa000_0000), vec![b'x'; n as usize], part(0x8000_0000)].concat()
}

fn id3v2(n: u32) -> Vec<u8> {
    let size = [21, 14, 7, 0].map(|shift| (n >> shift) as u8 & 0x7f);
    [b"ID3\x03\0\0".as_slice(), &size, &vec![0; n as usize]].concat()
}

fn id3v1() -> Vec<u8> {
    [b"TAG".as_slice(), &[b' '; 125]].concat()
}

/// `bytes` without those from `start` to `end`, both parts of the length.
fn without(bytes: &[u8], start: f64, end: f64) -> Vec<u8> {
    let at = |part: f64| (bytes.len() as f64 * part) as usize;
    [&bytes[..at(start)], &bytes[at(end)..]].concat()
}

/// `bytes` with `n` of them, from a part of the length on, replaced by junk.
fn spoiled(bytes: &[u8], from: f64, n: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = (bytes.len() as f64 * from) as usize;
    bytes[at..at + n].copy_from_slice(&junk(n));
    bytes
}

/// `bytes` with all `from` replaced by `to`, which is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn every_container_may_be_cut_anywhere() {
    // Of each, how much is there, and whether it is known that something is missing.
    for (name, seconds) in [
        ("pcm.caf", 5.0),
        ("wave64.w64", 5.0),
        ("creative.voc", 5.0),
        ("rifx.wav", 5.0),
        ("ima4.aifc", 10.0),
        ("alac.caf", 5.0),
        ("aac.caf", 8.0),
        ("clean.flac", 10.0),
        ("joined.mp3", 16.0),
        ("layer2.mp2", 8.0),
        ("freeformat.mp3", 8.0),
        ("vorbis.webm", 8.0),
        ("aac.mkv", 8.0),
        ("music.opus", 8.0),
        ("mediarecorder.webm", 8.0),
        ("mediarecorder_live.webm", 8.0),
        ("fragmented.m4a", 8.0),
        ("cmaf.mp4", 8.0),
        ("mediarecorder_safari.mp4", 8.0),
    ] {
        let bytes = case(name);
        for part in [0.5, 0.63, 0.777, 0.9, 0.999] {
            let decoded = match read(&bytes[..(bytes.len() as f64 * part) as usize]) {
                // The sizes of the packets of a CAF may stand behind them.
                Err(Error::Truncated { detail, .. }) if name.ends_with(".caf") && detail.contains("pakt") => continue,
                result => result.unwrap_or_else(|error| panic!("{name}, {part} of it: {error}")),
            };
            let found = decoded.info.seconds;
            assert!((found - seconds * part).abs() < 1.3, "{name}, {part} of it: {found} s");
            assert!(found < seconds + 0.2, "{name}, {part} of it: {found} s");
        }
    }
}

#[test]
fn tags_and_junk_around_any_container_are_passed_over() {
    for (name, seconds) in [
        ("clean.flac", 10.0),
        ("vorbis.webm", 8.0),
        ("layer2.mp2", 8.0),
        ("zeros_behind.ogg", 8.0),
        ("music.opus", 8.0),
        ("fragmented.m4a", 8.0),
    ] {
        let bytes = if name == "zeros_behind.ogg" { case(name)[..103_112].to_vec() } else { case(name) };
        // Lyrics3 counts all before its size.
        let lyrics = [b"LYRICSBEGININD00002100".as_slice(), b"000022LYRICS200"].concat();
        for (way, behind) in [("APE", ape_tag(900)), ("ID3v1", id3v1()), ("Lyrics3", [lyrics, id3v1()].concat())] {
            let (found, warnings) = outcome(&[id3v2(3_000), id3v2(0), ape_tag(500), bytes.clone(), behind].concat());
            assert!((found - seconds).abs() < 0.1 && warnings.is_empty(), "{name}, {way}: {found} s, {warnings:?}");
        }
        let (found, warnings) = outcome(&[bytes.clone(), junk(3_000)].concat());
        assert!((found - seconds).abs() < 0.1, "{name}, junk behind: {found} s");
        assert_eq!(warnings, [TrailingData], "{name}, junk behind");
        let (found, warnings) = outcome(&[vec![0; 70_000], bytes.clone()].concat());
        assert!((found - seconds).abs() < 0.1, "{name}, zeros before: {found} s");
        assert_eq!(warnings, [LeadingData], "{name}, zeros before");
        let (found, warnings) = outcome(&[junk(9_000), bytes.clone()].concat());
        assert!(
            (found - seconds).abs() < 0.1 && warnings == [LeadingData],
            "{name}, junk before: {found} s, {warnings:?}"
        );
    }
}

#[test]
fn damage_costs_what_is_damaged() {
    for (name, seconds, lost) in [
        ("clean.flac", 10.0, 0.5),
        ("music.opus", 8.0, 2.5),
        ("zeros_behind.ogg", 8.0, 2.5),
        ("layer2.mp2", 8.0, 0.3),
        ("joined.mp3", 16.0, 0.5),
        ("mediarecorder.webm", 8.0, 6.0),
    ] {
        let bytes = if name == "zeros_behind.ogg" { case(name)[..103_112].to_vec() } else { case(name) };
        let decoded = read(&spoiled(&bytes, 0.45, 1_500)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = decoded.info.seconds;
        assert!(found > seconds - lost && found < seconds + 0.1, "{name}: {found} s");
        let warning = decoded.info.warnings.iter().find(|warning| warning.kind == Damaged);
        let warning = warning.unwrap_or_else(|| panic!("{name}: {:?}", decoded.info.warnings));
        assert!(
            warning.at_seconds.unwrap() > seconds * 0.1 && warning.lost_seconds.unwrap() <= lost + 0.5,
            "{name}: {warning:?}"
        );
    }
    // Pages, frames and clusters that are simply gone.
    for (name, seconds) in [("zeros_behind.ogg", 8.0), ("music.opus", 8.0), ("joined.mp3", 16.0), ("clean.flac", 10.0)]
    {
        let bytes = if name == "zeros_behind.ogg" { case(name)[..103_112].to_vec() } else { case(name) };
        let info = read(&without(&bytes, 0.3, 0.5)).unwrap().info;
        assert!((info.seconds - seconds * 0.8).abs() < 1.5, "{name}: {} s", info.seconds);
        // Frames of MPEG have no numbers: only the header of the first stream tells that there are others than it announces.
        let kinds: Vec<_> = info.warnings.iter().map(|warning| warning.kind).collect();
        assert!(kinds.iter().any(|kind| matches!(kind, Damaged | Truncated | WrongHeader)), "{name}: {kinds:?}");
    }
}

#[test]
fn more_damage_than_audio_is_an_error() {
    let flac = case("clean.flac");
    let error = read(&spoiled(&flac, 0.2, flac.len() * 3 / 4)).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }), "{error}");
    let wav = case("rifx.wav");
    let error = read(&wav[..60_000]).unwrap_err();
    assert!(matches!(&error, Error::Truncated { detail, .. } if detail.contains("only 1.4 s")), "{error}");
}

#[test]
fn streams_behind_each_other_are_joined() {
    let joined = |names: &[&str]| names.iter().flat_map(|name| case(name)).collect::<Vec<u8>>();
    for (names, seconds, expected) in [
        (vec!["clean.flac", "clean.flac"], 20.0, vec![]),
        (vec!["music.opus", "whatsapp.ogg"], 16.0, vec![FormatChange]),
        (vec!["chained_other_rate.ogg", "music.opus"], 24.0, vec![FormatChange]),
        (vec!["layer2.mp2", "layer2.mp2"], 16.0, vec![]),
        (vec!["vorbis.webm", "mediarecorder.webm"], 16.0, vec![FormatChange]),
    ] {
        let (found, warnings) = outcome(&joined(&names));
        assert!((found - seconds).abs() < 0.2 && warnings == expected, "{names:?}: {found} s, {warnings:?}");
    }
    // Tags and zeros between them, as a player's "join" leaves them.
    let mp3 = case("joined_id3_between.mp3");
    let (found, warnings) = outcome(&[mp3.clone(), id3v1(), ape_tag(100), id3v2(2_000), mp3].concat());
    assert!((found - 32.1).abs() < 0.3 && warnings.is_empty(), "{found} s, {warnings:?}");
}

#[test]
fn sizes_of_any_container_are_compared_with_what_is_there() {
    let aiff = case("sox_pipe.aiff");
    let (w64, caf, au) = (case("wave64.w64"), case("pcm.caf"), case("cut.au"));
    let data = w64.windows(4).position(|window| window == b"data").unwrap();
    let w64_with = |size: u64| [&w64[..data + 16], &size.to_le_bytes(), &w64[data + 24..]].concat();
    let data = caf.windows(4).position(|window| window == b"data").unwrap();
    let caf_with = |size: i64| [&caf[..data + 4], &size.to_be_bytes(), &caf[data + 12..]].concat();
    let au_with = |size: u32| [&au[..8], &size.to_be_bytes(), &au[12..]].concat();
    let ssnd = aiff.windows(4).position(|window| window == b"SSND").unwrap();
    let aiff_with = |size: u32| [&aiff[..ssnd + 4], &size.to_be_bytes(), &aiff[ssnd + 8..]].concat();
    for (name, bytes, seconds, expected) in [
        ("w64 of size 0", w64_with(0), 5.0, vec![]),
        ("w64 of all ones", w64_with(u64::MAX), 5.0, vec![]),
        ("w64 a little too long", w64_with(220_500 + 24 + 20), 5.0, vec![WrongSize]),
        ("w64 of twice the size", w64_with(441_000 + 24), 5.0, vec![WrongSize]),
        ("caf of unknown size", caf_with(-1), 5.0, vec![]),
        ("caf of twice the size", caf_with(441_000 + 4), 5.0, vec![Truncated]),
        ("au of all ones", au_with(u32::MAX), 3.0, vec![]),
        ("au of size 0", au_with(0), 3.0, vec![]),
        ("au a little too long", au_with(132_319 - 24 + 30), 3.0, vec![WrongSize]),
        ("aiff of size 0", aiff_with(0), 5.0, vec![]),
        ("aiff of 2 GiB", aiff_with(0x8000_0008), 5.0, vec![]),
    ] {
        let (found, warnings) = outcome(&bytes);
        assert!((found - seconds).abs() < 0.01 && warnings == expected, "{name}: {found} s, {warnings:?}");
    }
    // An MP4 whose media have no size, because they were written last.
    let mp4 = case("no_ftyp.m4a");
    let mdat = mp4.windows(4).position(|window| window == b"mdat").unwrap();
    let open_end = [&mp4[..mdat - 4], &[0; 4], &mp4[mdat..]].concat();
    assert_eq!(outcome(&open_end), outcome(&mp4));
}

#[test]
fn headers_that_contradict_the_audio_are_not_believed() {
    // STREAMINFO: 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples, from byte 18 on.
    let flac = case("clean.flac");
    let word = u64::from_be_bytes(*flac[18..26].first_chunk().unwrap());
    let with = |word: u64| [&flac[..18], &word.to_be_bytes(), &flac[26..]].concat();
    let samples = (1u64 << 36) - 1;
    for (name, bytes, expected) in [
        ("no number of samples", with(word & !samples), vec![]),
        ("half of the samples", with(word & !samples | 110_250), vec![WrongHeader]),
        ("too many samples", with(word | samples), vec![Truncated]),
        ("another rate", with(word & !(0xf_ffff << 44) | 44_100 << 44), vec![WrongHeader]),
        (
            "no STREAMINFO",
            [b"fLaC\x84\0\0\0".as_slice(), &flac[flac.windows(2).position(|w| w == b"\xff\xf8").unwrap()..]].concat(),
            vec![WrongHeader],
        ),
        ("frames alone", flac[flac.windows(2).position(|w| w == b"\xff\xf8").unwrap()..].to_vec(), vec![WrongHeader]),
    ] {
        let decoded = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let warnings: Vec<_> = decoded.info.warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!((decoded.info.seconds, decoded.info.sample_rate, warnings), (10.0, 22_050, expected), "{name}");
    }
    // A Xing frame that counts fewer frames than there are, as of a file that was joined, and one that counts none.
    let mp3 = case("apev2_before.mp3");
    let xing = mp3.windows(4).position(|window| window == b"Info" || window == b"Xing").unwrap();
    for (frames, least) in [(100u32, 7.9), (0, 7.9)] {
        let bytes = [&mp3[..xing + 8], &frames.to_be_bytes(), &mp3[xing + 12..]].concat();
        let (found, warnings) = outcome(&bytes);
        assert!(found > least && warnings == [WrongHeader], "{frames} frames: {found} s, {warnings:?}");
    }
}

#[test]
fn matroska_needs_neither_sizes_nor_clusters_that_are_whole() {
    // The size of the segment and of the clusters is unknown: all ones.
    let webm = case("vorbis.webm");
    let mut live = webm.clone();
    for at in 0..live.len() - 12 {
        if live[at..].starts_with(b"\x1f\x43\xb6\x75") || live[at..].starts_with(b"\x18\x53\x80\x67") {
            let length = live[at + 4].leading_zeros() as usize + 1;
            live[at + 4] |= (0xffu16 >> length) as u8;
            live[at + 5..at + 4 + length].fill(0xff);
        }
    }
    assert_eq!(read(&live).unwrap().clip, read(&webm).unwrap().clip);
    let named = replaced(&webm, b"webm", b"matr");
    assert_eq!(read(&named).unwrap().info.container, "matroska");
}

#[test]
fn codecs_that_are_not_read_are_named_wherever_they_are() {
    let aac = case("no_ftyp.m4a");
    let caf = case("pcm.caf");
    let wav = case("cut.wav");
    let mkv = case("aac.mkv");
    let with_tag = |tag: u16| {
        let at = wav.windows(4).position(|window| window == b"fmt ").unwrap() + 8;
        [&wav[..at], &tag.to_le_bytes(), &wav[at + 2..]].concat()
    };
    for (bytes, word) in [
        (replaced(&aac, b"mp4a", b"ac-3"), "AC-3"),
        (replaced(&aac, b"mp4a", b"samr"), "AMR"),
        (replaced(&aac, b"mp4a", b"dtsc"), "DTS"),
        (replaced(&aac, b"mp4a", b"enca"), "DRM"),
        (replaced(&caf, b"lpcm", b"QDM2"), "QDesign"),
        (replaced(&caf, b"lpcm", b"MAC3"), "MACE"),
        (replaced(&mkv, b"A_AAC", b"A_DTS"), "DTS"),
        (replaced(&mkv, b"A_AAC", b"A_AC3"), "AC-3"),
        (with_tag(0x161), "WMA"),
        (with_tag(0x2000), "AC-3"),
        (with_tag(0x270), "ATRAC"),
        (with_tag(0x31), "GSM"),
        (with_tag(0xa109), "Speex"),
        (with_tag(0x5756), "WavPack"),
        ([b"MAC \x96\x0f".as_slice(), &junk(200)].concat(), "Monkey"),
        ([b"MPCKSH".as_slice(), &junk(200)].concat(), "Musepack"),
        ([b"TTA1\x01\0".as_slice(), &junk(200)].concat(), "TTA"),
        ([b"DSD \x1c\0\0\0\0\0\0\0".as_slice(), &junk(200)].concat(), "DSD"),
        ([b"#!AMR\n".as_slice(), &junk(200)].concat(), "AMR"),
        ([b".RMF\0\0\0\x12".as_slice(), &junk(200)].concat(), "RealAudio"),
        ([b"\x0b\x77".as_slice(), &junk(2_000)].concat(), "AC-3"),
        ([b"MThd\0\0\0\x06\0\x01\0\x02".as_slice(), &junk(200)].concat(), "MIDI"),
        ([b"Extended Module: x".as_slice(), &junk(200)].concat(), "tracker"),
        ([id3v2(100), case("song.wv")].concat(), "WavPack"),
    ] {
        match read(&bytes) {
            Err(Error::Unsupported { detail, .. }) if detail.contains(word) => (),
            other => panic!("{word}: {:?}", other.map(|decoded| decoded.info)),
        }
    }
    // Frames of AC-3 in PCM, as a recorder writes what comes from a digital output.
    let burst = [b"\x72\xf8\x1f\x4e\x01\0\0\x10".as_slice(), &junk(1_536)].concat();
    let at = wav.windows(4).position(|window| window == b"data").unwrap() + 8;
    let error = read(&[wav[..at].to_vec(), burst.repeat(85)].concat()).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { detail, .. } if detail.contains("AC-3")), "{error}");
}

#[test]
fn tags_are_read_of_bytes_and_of_files() {
    let mp3 = case("joined.mp3");
    let frame = |id: &str, text: &str| {
        let body = [b"\x03", text.as_bytes()].concat();
        [id.as_bytes(), &(body.len() as u32).to_be_bytes(), &[0, 0], &body].concat()
    };
    let body = [
        frame("TIT2", "Title"),
        frame("TPE1", "Artist"),
        frame("TALB", "Album"),
        frame("TCON", "Jazz"),
        frame("TRCK", "3/12"),
        frame("TYER", "1999"),
    ]
    .concat();
    let header = [b"ID3\x03\0\0\0\0".as_slice(), &[(body.len() >> 7) as u8, body.len() as u8 & 0x7f]].concat();
    let bytes = [header, body, mp3].concat();
    let info = read(&bytes).unwrap().info;
    let expected = tags::Tags {
        artist: Some("Artist".into()),
        album: Some("Album".into()),
        title: Some("Title".into()),
        genre: Some("Jazz".into()),
        track: Some(3),
        year: Some(1999),
        cover: false,
    };
    assert_eq!(info.tags, expected);
    let path = std::env::temp_dir().join(format!("tonearm-tags-{}", std::process::id()));
    fs::write(&path, &bytes).unwrap();
    let (by_path, by_stream) =
        (tags::read_tags(&path), stream_file(&path, &Limits::default(), &mut |_, _| Ok(())).unwrap().tags);
    fs::remove_file(&path).unwrap();
    assert_eq!((by_path, by_stream), (expected.clone(), expected));
}

/// The most memory that this process had, in MiB.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

#[test]
fn the_memory_of_a_stream_does_not_grow_with_the_file() {
    let folder = std::env::temp_dir().join(format!("tonearm-memory-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // 25 minutes as MP3, and two hours of CD quality as a sparse WAV, which is silent.
    let mp3 = case("low_bitrate.mp3");
    fs::write(folder.join("long.mp3"), mp3.repeat(150)).unwrap();
    let header = case("cut.wav")[..44].to_vec();
    let at =
        |bytes: &mut Vec<u8>, place: usize, value: u32| bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
    let mut wav = header;
    let size = 1_270_080_000u32;
    at(&mut wav, 22, 0xac44_0002);
    wav[24..28].copy_from_slice(&44_100u32.to_le_bytes());
    at(&mut wav, 28, 176_400);
    wav[32..34].copy_from_slice(&4u16.to_le_bytes());
    at(&mut wav, 40, size);
    fs::write(folder.join("long.wav"), &wav).unwrap();
    fs::File::options().write(true).open(folder.join("long.wav")).unwrap().set_len(44 + u64::from(size)).unwrap();
    let limits = Limits { max_bytes: u64::MAX, max_seconds: f64::INFINITY };
    let mut frames = 0u64;
    let mut count = |piece: &[f32], _: u32| {
        frames += piece.len() as u64;
        Ok(())
    };
    let mp3 = stream_file(&folder.join("long.mp3"), &limits, &mut count);
    let wav = stream_file(&folder.join("long.wav"), &limits, &mut count);
    let peak = peak_memory();
    // A whole clip has a limit of its own.
    let refused = decode_file(&folder.join("long.wav"), &Limits { max_seconds: 7_000.0, ..limits });
    fs::remove_dir_all(&folder).unwrap();
    assert!((mp3.unwrap().seconds - 1_500.0).abs() < 20.0);
    assert!(matches!(wav, Err(Error::Silent { .. })), "{wav:?}");
    assert!(matches!(refused, Err(Error::TooLong { .. })));
    assert!(frames > 317_520_000 + 1_400 * 22_050);
    assert!(peak.is_none_or(|mib| mib < 64), "{peak:?} MiB");
}
