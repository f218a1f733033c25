//! No artist, no album of unknown artists and no recording stands on both sides of a split by artist, whatever the dataset.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use data::{ExtractOptions, LabelledDataset, Split, TrackMetadata, artist_groups, artist_key};
use features::{FeatureSpec, spec::Needs};
use proptest::prelude::*;

use crate::fixtures;

/// A clip of a drawn dataset.
#[derive(Clone, Debug)]
struct Drawn {
    recording: u64,
    label: usize,
    artist: Option<usize>,
    spelling: usize,
    album: Option<usize>,
    /// Of a copy of a recording: how loud, and from which second on.
    gain: f32,
    start: f64,
}

/// Spellings of some artists; the last is what stands where there is none.
const ARTISTS: [[&str; 3]; 6] = [
    ["The Beatles", "Beatles, The", "the beatles"],
    ["Motörhead", "Motorhead", "MOTÖRHEAD"],
    ["Earth, Wind & Fire", "Earth Wind and Fire", "Earth, Wind and Fire"],
    ["Hooker, John Lee", "John Lee Hooker", "JOHN LEE HOOKER"],
    ["Dr. Dre feat. Snoop Dogg", "Dr Dre", "Dr. Dre"],
    ["Various Artists", "various", "VA"],
];

/// Whether two clips must not be on different sides.
fn belong_together(a: &Drawn, b: &Drawn) -> bool {
    let various = ARTISTS.len() - 1;
    let artist = |clip: &Drawn| clip.artist.filter(|&artist| artist != various);
    let same_artist = artist(a).is_some() && artist(a) == artist(b);
    let same_album = artist(a).is_none() && artist(b).is_none() && a.album.is_some() && a.album == b.album;
    a.recording == b.recording || same_artist || same_album
}

fn clips() -> impl Strategy<Value = Vec<Drawn>> {
    let clip =
        (0u64..10, 0usize..3, proptest::option::of(0usize..ARTISTS.len()), 0usize..3, proptest::option::of(0usize..3))
            .prop_flat_map(|(recording, label, artist, spelling, album)| {
                (0.1f32..1.0, 0.0f64..2.0).prop_map(move |(gain, start)| Drawn {
                    recording,
                    label,
                    artist,
                    spelling,
                    album,
                    gain,
                    start,
                })
            });
    proptest::collection::vec(clip, 6..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_belongs_together_stays_together(clips in clips(), seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        let mut table = String::from("path,label,artist,album\n");
        for (index, clip) in clips.iter().enumerate() {
            let samples = fixtures::tune(500 + clip.recording, 14.0);
            let start = (clip.start * f64::from(fixtures::RATE)) as usize;
            let samples: Vec<f32> = samples[start..].iter().map(|sample| sample * clip.gain).collect();
            let name = format!("{index:02}.wav");
            fixtures::write_wav(&folder.path().join(&name), &samples, fixtures::RATE);
            let artist = clip.artist.map(|artist| ARTISTS[artist][clip.spelling]).unwrap_or_default();
            let album = clip.album.map(|album| format!("Compilation {album}")).unwrap_or_default();
            writeln!(table, "{name},{},\"{artist}\",{album}", ["polka", "waltz", "march"][clip.label]).unwrap();
        }
        fs::write(folder.path().join("tracks.csv"), table).unwrap();
        let spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).unwrap();
        let path = folder.path().join("tracks.csv");
        let dataset = LabelledDataset::open(&[&path], &spec, &ExtractOptions::default()).unwrap();
        prop_assert_eq!(dataset.len(), clips.len());
        let groups: BTreeSet<&str> = dataset.clips().iter().map(|clip| clip.group.as_str()).collect();
        let splits = [
            Split::ArtistKFold { k: 2 },
            Split::ArtistKFold { k: 3 },
            Split::ArtistHoldout { percent: 30 },
            Split::LeaveOneArtistOut,
        ];
        for split in splits {
            let folds = match split.folds(&dataset.items(), seed) {
                Ok(folds) => folds,
                Err(error) => {
                    prop_assert!(groups.len() < 3, "{error}");
                    continue;
                }
            };
            for fold in &folds {
                prop_assert_eq!(fold.train.len() + fold.test.len(), clips.len());
                for (&a, &b) in fold.train.iter().flat_map(|a| fold.test.iter().map(move |b| (a, b))) {
                    prop_assert!(!belong_together(&clips[a], &clips[b]), "{split}: {:?} and {:?}", clips[a], clips[b]);
                }
            }
        }
    }
}

#[test]
fn albums_of_unknown_artists_and_various_artists() {
    let track = |clip_id, artist, album| TrackMetadata { clip_id, artist, album, ..TrackMetadata::default() };
    let found = artist_groups(&[
        track("a", Some("Various Artists"), Some("Ballroom Hits")),
        track("b", None, Some("ballroom hits!")),
        track("c", Some("Various Artists"), None),
        track("d", Some("Frankie"), Some("Ballroom Hits")),
        track("e", Some("VA"), Some("Another Album")),
    ]);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[2], "clip:c");
    assert_eq!(found[3], artist_key("Frankie"));
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 4);
}
