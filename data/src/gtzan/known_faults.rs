//! What the catalogue knows against clips of GTZAN.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::LazyLock,
};

use serde::Serialize;

use super::{CatalogueEntry, FaultFiltered, catalogue};
use crate::artist_key;

/// Why a figure that counts this clip is to be read with care.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum KnownFault {
    /// Kereliuk, Sturm and Larsen (2015) left it out of their split, as a repeat or for another fault.
    Excluded {
        /// Clips with the same bytes, or of the same track of the same artist, as far as there are any.
        repeats: Vec<String>,
    },
    /// Our audit of their split: somebody on it is on clips of another part too; of an unknown artist, the track is.
    SharedArtist {
        /// The other parts.
        parts: Vec<FaultFiltered>,
    },
}

impl KnownFault {
    /// The name, such as `excluded`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Excluded { .. } => "excluded",
            Self::SharedArtist { .. } => "shared_artist",
        }
    }
}

impl fmt::Display for KnownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { repeats } if repeats.is_empty() => f.write_str("left out of the split for a fault"),
            Self::Excluded { repeats } => write!(f, "left out of the split; repeats {}", repeats.join(", ")),
            Self::SharedArtist { parts } => {
                let parts: Vec<_> = parts.iter().map(|part| part.name()).collect();
                write!(f, "its artist, or a guest, is in {} too", parts.join(" and "))
            }
        }
    }
}

/// What is known against a clip of GTZAN, by its id; nothing of any other clip.
#[must_use]
pub fn known_faults(clip_id: &str) -> &'static [KnownFault] {
    static FAULTS: LazyLock<BTreeMap<&'static str, Vec<KnownFault>>> = LazyLock::new(|| {
        let entries = catalogue().entries();
        let mut parts: BTreeMap<&str, BTreeSet<FaultFiltered>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.split != FaultFiltered::Excluded) {
            parts.entry(&entry.artist_group).or_default().insert(entry.split);
        }
        entries.iter().map(|entry| (entry.clip_id.as_str(), faults(entry, entries, &parts))).collect()
    });
    FAULTS.get(clip_id).map_or(&[], Vec::as_slice)
}

fn faults(
    entry: &CatalogueEntry,
    entries: &[CatalogueEntry],
    parts: &BTreeMap<&str, BTreeSet<FaultFiltered>>,
) -> Vec<KnownFault> {
    if entry.split == FaultFiltered::Excluded {
        let others = entries.iter().filter(|other| other.clip_id != entry.clip_id && same_track(entry, other));
        return vec![KnownFault::Excluded { repeats: others.map(|other| other.clip_id.clone()).collect() }];
    }
    let elsewhere = parts.get(entry.artist_group.as_str()).into_iter().flatten();
    let elsewhere: Vec<_> = elsewhere.copied().filter(|part| *part != entry.split).collect();
    if elsewhere.is_empty() { Vec::new() } else { vec![KnownFault::SharedArtist { parts: elsewhere }] }
}

fn same_track(a: &CatalogueEntry, b: &CatalogueEntry) -> bool {
    let track =
        |entry: &CatalogueEntry| Some((artist_key(entry.artist.as_deref()?), artist_key(entry.title.as_deref()?)));
    a.wav_md5 == b.wav_md5 || track(a).is_some_and(|track_of_a| track(b) == Some(track_of_a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_excluded_clip_and_every_guest_is_known() {
        let of = |name: &str| -> Vec<&str> {
            let ids = catalogue().entries().iter().map(|entry| entry.clip_id.as_str());
            ids.filter(|id| known_faults(id).iter().any(|fault| fault.name() == name)).collect()
        };
        assert_eq!(of("excluded").len(), 70);
        let valid: Vec<_> = of("shared_artist")
            .into_iter()
            .filter(|id| catalogue().get(id).is_some_and(|entry| entry.split == FaultFiltered::Valid))
            .collect();
        // Shania Twain and Donna Summer, who sing in a train clip each, and a track of an unknown artist.
        let expected = ["country.00005", "country.00045", "disco.00013", "disco.00046", "disco.00095", "pop.00010"];
        assert_eq!(valid, expected);
    }

    #[test]
    fn a_repeat_names_what_it_repeats_and_other_music_has_no_known_fault() {
        let repeats = |id: &str| match known_faults(id) {
            [KnownFault::Excluded { repeats }] => repeats.clone(),
            other => panic!("{id}: {other:?}"),
        };
        let entries = catalogue().entries();
        for a in entries.iter().filter(|entry| entry.split == FaultFiltered::Excluded) {
            for b in entries.iter().filter(|b| b.wav_md5 == a.wav_md5 && b.clip_id != a.clip_id) {
                assert!(repeats(&a.clip_id).contains(&b.clip_id), "{} repeats {}", a.clip_id, b.clip_id);
            }
        }
        for id in ["blues.00000", "reggae.synth.00003", "", "blues.00000.3"] {
            assert!(known_faults(id).is_empty(), "{id}");
        }
    }
}
