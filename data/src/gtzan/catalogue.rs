//! What is known of GTZAN's 1000 clips. See `catalogue/README.md` for where the facts come from.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Serialize};

use super::{Genre, Spectrum};
use crate::{Error, TrackMetadata, artist_groups};

const TABLE: &str = include_str!("../../catalogue/gtzan.csv");

/// Part of the fault-filtered split of Kereliuk, Sturm and Larsen (2015): repeats and faults are excluded, and no artist
/// is in two parts, but for guests in three clips and one track of an unknown artist (a test lists them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultFiltered {
    /// 443 clips to fit on.
    Train,
    /// 197 clips to choose hyperparameters by.
    Valid,
    /// 290 clips to evaluate on, once.
    Test,
    /// 70 repeats and faults, in no part.
    Excluded,
}

impl FaultFiltered {
    /// The name, such as `train`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
            Self::Excluded => "excluded",
        }
    }
}

impl fmt::Display for FaultFiltered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FaultFiltered {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Train, Self::Valid, Self::Test, Self::Excluded].into_iter().find(|part| part.name() == text).ok_or_else(
            || Error::Split { split: text.to_owned(), problem: "the parts are train, valid, test and excluded".into() },
        )
    }
}

/// One clip of GTZAN.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Such as `blues.00000`.
    pub clip_id: String,
    /// The folder that it is in.
    pub genre: Genre,
    /// As the index spells it; `None` where it is not recognised.
    pub artist: Option<String>,
    /// Of the track.
    pub title: Option<String>,
    /// Part of the fault-filtered split.
    #[serde(rename = "fault_filtered_split")]
    pub split: FaultFiltered,
    /// MD5 of the original WAV file, 32 hexadecimal digits.
    pub wav_md5: String,
    /// The spectrum of its features `gtzan-store`, where they were at hand.
    #[serde(deserialize_with = "Spectrum::deserialize", default)]
    pub spectrum: Option<Spectrum>,
    /// The group of its artist among all 1000 clips, spellings unified: see [`artist_groups`].
    #[serde(skip)]
    pub artist_group: String,
}

/// All clips of GTZAN, ordered by clip id.
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
    by_id: BTreeMap<String, usize>,
    by_md5: BTreeMap<String, usize>,
}

impl Catalogue {
    /// The clip of that id.
    #[must_use]
    pub fn get(&self, clip_id: &str) -> Option<&CatalogueEntry> {
        self.by_id.get(clip_id).and_then(|&index| self.entries.get(index))
    }

    /// The clip whose original WAV file has that MD5, in hexadecimal; of repeats the first.
    #[must_use]
    pub fn with_md5(&self, md5: &str) -> Option<&CatalogueEntry> {
        self.by_md5.get(md5).and_then(|&index| self.entries.get(index))
    }

    /// All 1000, ordered by clip id.
    #[must_use]
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }

    fn parse(table: &str) -> csv::Result<Self> {
        let mut entries = csv::Reader::from_reader(table.as_bytes())
            .into_deserialize()
            .collect::<csv::Result<Vec<CatalogueEntry>>>()?;
        entries.sort_by(|a, b| a.clip_id.cmp(&b.clip_id));
        let tracks: Vec<TrackMetadata<'_>> = entries
            .iter()
            .map(|e| TrackMetadata {
                clip_id: &e.clip_id,
                artist: e.artist.as_deref(),
                title: e.title.as_deref(),
                recording: Some(&e.wav_md5),
                ..TrackMetadata::default()
            })
            .collect();
        let groups = artist_groups(&tracks);
        entries.iter_mut().zip(groups).for_each(|(entry, group)| entry.artist_group = group);
        let by_id = entries.iter().enumerate().map(|(i, e)| (e.clip_id.clone(), i)).collect();
        let by_md5 = entries.iter().enumerate().rev().map(|(i, e)| (e.wav_md5.clone(), i)).collect();
        Ok(Self { entries, by_id, by_md5 })
    }
}

/// GTZAN's catalogue, which is part of the program.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> =
        LazyLock::new(|| Catalogue::parse(TABLE).expect("the table is compiled in, and a test proves that it parses"));
    &CATALOGUE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_has_every_clip_of_gtzan() {
        let entries = catalogue().entries();
        assert_eq!(entries.len(), 1000);
        for genre in Genre::ALL {
            for number in 0..100 {
                let id = format!("{genre}.{number:05}");
                assert_eq!(catalogue().get(&id).map(|e| e.genre), Some(genre), "{id}");
            }
        }
        let count = |split| entries.iter().filter(|e| e.split == split).count();
        assert_eq!(
            [FaultFiltered::Train, FaultFiltered::Valid, FaultFiltered::Test, FaultFiltered::Excluded].map(count),
            [443, 197, 290, 70]
        );
        assert!(entries.iter().all(|e| e.wav_md5.len() == 32 && e.wav_md5.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn damage_to_the_table_is_noticed() {
        let header = TABLE.lines().next().expect("a header");
        let parse = |row: &str| Catalogue::parse(&format!("{header}\n{row}"));
        assert!(parse("x,blues,A,B,train,md5,").is_ok());
        assert!(parse(&format!("x,blues,A,B,train,md5,{}", "0a".repeat(16))).is_ok());
        for row in [
            "blues.00000,blues,A,B,train",
            "x,polka,A,B,train,md5,",
            "x,blues,A,B,later,md5,",
            "x,blues,A,B,train,md5,0a",
            "\"x",
        ] {
            assert!(parse(row).is_err(), "{row}");
        }
    }

    /// Every artist of GTZAN whose clips stand under several names.
    #[test]
    fn what_was_unified() {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in catalogue().entries() {
            names.entry(&entry.artist_group).or_default().insert(entry.artist.as_deref().unwrap_or("?"));
        }
        let unified: Vec<String> = names
            .values()
            .filter(|spellings| spellings.len() > 1)
            .map(|spellings| spellings.iter().copied().collect::<Vec<_>>().join(" = "))
            .collect();
        assert_eq!(
            unified,
            [
                "Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan = Celine Dion = Mariah Carey = \
                 Shania Twain",
                "Barbra Streisand and Donna Summer = Donna Summer",
                "Bob Marley = Lauryn Hill = Lauryn Hill and Bob Marley",
                "Earth Wind and Fire = Earth, Wind & Fire",
                "? = Jimmie Skinner",
                "Peter Tosh = Peter Tosh and Mick Jagger",
                "Rage Against The Machine = Rage Against the Machine",
            ]
        );
    }

    /// Shania Twain and Donna Summer sing in one train clip each and have valid clips; Bob Marley (train) sings with
    /// Lauryn Hill in a test clip.
    #[test]
    fn no_artist_of_the_fault_filtered_split_is_in_two_parts_but_where_its_authors_let_it() {
        let mut parts: BTreeMap<&str, BTreeSet<FaultFiltered>> = BTreeMap::new();
        for entry in catalogue().entries().iter().filter(|e| e.split != FaultFiltered::Excluded) {
            parts.entry(&entry.artist_group).or_default().insert(entry.split);
        }
        let shared: Vec<&str> = parts.iter().filter(|(_, parts)| parts.len() > 1).map(|(group, _)| *group).collect();
        assert_eq!(
            shared,
            [
                "arethafranklincelinedionmariahcareyshaniatwaingloriaestefan",
                "barbrastreisanddonnasummer",
                "bobmarley",
                "title:illbewatchingyou"
            ]
        );
    }
}
