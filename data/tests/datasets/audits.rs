//! The audit finds what was put there, and nothing else.

use std::{collections::BTreeSet, fs, path::Path};

use data::{
    Dataset, ExtractOptions, Fault,
    audit::{Audit, audit, audit_path},
    gtzan::catalogue,
    rng::Rng,
};

use crate::fixtures;

fn faults(audit: &Audit) -> Vec<(&str, Fault, Option<&str>)> {
    audit.findings.iter().map(|f| (f.clip_id.as_str(), f.fault, f.other.as_deref())).collect()
}

fn wav(root: &Path, name: &str, samples: &[f32]) {
    fixtures::write_wav(&root.join(name), samples, fixtures::RATE);
}

#[test]
fn planted_faults_are_found_and_sound_clips_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for clip in 0..6u64 {
        wav(root, &format!("blues/fine{clip}.wav"), &fixtures::tune(clip, 12.0));
    }
    let track = fixtures::tune(50, 20.0);
    wav(root, "jazz/song.wav", &track);
    // Another level, and shifted by 3 s and a bit: no sample is the same.
    let shifted: Vec<f32> = track[66_511..].iter().map(|s| s * 0.31).collect();
    wav(root, "jazz/song shifted.wav", &shifted);
    wav(root, "rock/song.again.wav", &track);
    let loud: Vec<f32> = fixtures::tune(60, 12.0).iter().map(|s| s * 40.0).collect();
    wav(root, "pop/loud.wav", &loud);
    wav(root, "pop/silent.wav", &vec![0.0; 12 * 22_050]);
    fixtures::write_wav(&root.join("pop/slow.wav"), &fixtures::tune(61, 12.0), 8_000);
    wav(root, "pop/tiny.wav", &fixtures::tune(62, 0.3));
    wav(root, "pop/offset.wav", &fixtures::tune(63, 12.0).iter().map(|s| s * 0.5 + 0.05).collect::<Vec<_>>());
    wav(root, "pop/blues.00007.wav", &fixtures::tune(64, 30.0));
    wav(root, "blues/blues.00008.wav", &fixtures::tune(65, 12.0));
    fs::write(root.join("pop/broken.mp3"), b"RIFF\x04\0\0\0WAVE").unwrap();
    fs::write(root.join("pop/page.mp3"), b"not audio at all, not even close").unwrap();
    fs::write(root.join("pop/.DS_Store"), b"x").unwrap();

    let found = audit_path(root, &ExtractOptions::default()).unwrap();
    assert_eq!(
        faults(&found),
        [
            ("blues.00007", Fault::NotGtzan, None),
            ("blues.00008", Fault::NotGtzan, None),
            ("broken", Fault::Unreadable, None),
            ("loud", Fault::Clipped, None),
            ("offset", Fault::DcOffset, None),
            ("silent", Fault::Silent, None),
            ("slow", Fault::WrongRate, None),
            ("song shifted", Fault::Repeat, Some("song")),
            ("song.again", Fault::ExactRepeat, Some("song")),
            ("song.again", Fault::Repeat, Some("song shifted")),
            ("song.again", Fault::TwoGenres, Some("song")),
            ("song.again", Fault::TwoGenres, Some("song shifted")),
            ("tiny", Fault::WrongLength, None),
        ]
    );
    assert_eq!((found.clips, found.skipped, found.md5_compared, found.md5_not_comparable), (17, 2, 0, 0));
    assert_eq!(found.not_fingerprinted, 1);
    let shift = found.findings.iter().find(|f| f.clip_id == "song shifted").unwrap();
    assert!(shift.detail.contains("3.0"), "{}", shift.detail);
    assert_eq!(found.frame().unwrap().shape(), (13, 4));
    let one_thread = audit_path(root, &ExtractOptions { threads: 1, ..ExtractOptions::default() }).unwrap();
    assert_eq!(found, one_thread);
}

#[test]
fn two_tracks_over_one_drum_loop_are_two_tracks() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(5);
    let hit: Vec<f32> = (0..11_025).map(|i| (0.5 * rng.normal() * libm::exp(-f64::from(i) / 1_500.0)) as f32).collect();
    for track in 0..4u64 {
        let mut samples = fixtures::tune(80 + track, 25.0);
        samples.iter_mut().zip(hit.iter().cycle()).for_each(|(sample, drum)| *sample = 0.7 * (*sample + drum));
        wav(folder.path(), &format!("disco/track {track}.wav"), &samples);
    }
    let found = audit_path(folder.path(), &ExtractOptions::default()).unwrap();
    assert!(found.counts().keys().all(|fault| *fault == Fault::Clipped), "{:#?}", found.findings);
}

#[test]
fn the_real_clips_are_gtzans_and_differ() {
    let Some(path) = fixtures::shared("gtzan/clips") else { return };
    let found = audit_path(&path, &ExtractOptions::default()).unwrap();
    assert_eq!((found.clips, found.md5_compared), (96, 96));
    let wrong: Vec<_> = found.findings.iter().filter(|f| !matches!(f.fault, Fault::Clipped)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_known_repeats_of_gtzan_are_found_and_no_other_track_is_taken_for_one() {
    let Some(path) = fixtures::shared("gtzan/logmel") else { return };
    let dataset = Dataset::open(&path).unwrap();
    let found = audit(&dataset, &ExtractOptions::default()).unwrap();
    let pairs: BTreeSet<(&str, &str)> =
        found.findings.iter().filter_map(|f| Some((f.other.as_deref()?, f.clip_id.as_str()))).collect();
    let track = |id: &str| {
        let entry = catalogue().get(id).unwrap();
        (entry.artist.clone(), entry.title.clone().map(|title| title.replace(' ', "").to_lowercase()))
    };
    for (a, b) in &pairs {
        let (a, b) = (track(a), track(b));
        // `How Strang` and `How Strange` are one.
        let same = a.0 == b.0
            && a.1
                .as_ref()
                .zip(b.1.as_ref())
                .is_some_and(|(a, b)| a.starts_with(b.as_str()) || b.starts_with(a.as_str()));
        assert!(same, "{a:?} and {b:?} are taken for one recording");
    }
    // Clips with the same MD5, of those that the store has.
    let store_ids: BTreeSet<&str> = match &dataset {
        Dataset::FeatureStore(store) => store.ids().collect(),
        Dataset::Audio(_) => BTreeSet::new(),
    };
    let entries: Vec<_> = catalogue().entries().iter().filter(|e| store_ids.contains(e.clip_id.as_str())).collect();
    let mut same_file = 0;
    for (i, a) in entries.iter().enumerate() {
        for b in &entries[i + 1..] {
            if a.wav_md5 == b.wav_md5 {
                same_file += 1;
                assert!(pairs.contains(&(a.clip_id.as_str(), b.clip_id.as_str())), "{} {}", a.clip_id, b.clip_id);
            }
        }
    }
    assert_eq!(same_file, 10);
    eprintln!("{} pairs: {pairs:?}", pairs.len());
    assert!(pairs.len() >= 52, "{}", pairs.len());
    assert!(found.findings.iter().any(|f| f.fault == Fault::TwoGenres && f.clip_id == "rock.00016"));
}
