//! The ten genres of GTZAN.

use std::{fmt, str::FromStr};

use labels::Label;
use serde::{Deserialize, Serialize};

use crate::Error;

/// One of GTZAN's ten genres, ordered by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Genre {
    Blues,
    Classical,
    Country,
    Disco,
    Hiphop,
    Jazz,
    Metal,
    Pop,
    Reggae,
    Rock,
}

impl Genre {
    /// All ten, in order of [`Genre::index`].
    pub const ALL: [Self; 10] = [
        Self::Blues,
        Self::Classical,
        Self::Country,
        Self::Disco,
        Self::Hiphop,
        Self::Jazz,
        Self::Metal,
        Self::Pop,
        Self::Reggae,
        Self::Rock,
    ];

    /// The name as GTZAN's folders have it, such as `hiphop`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blues => "blues",
            Self::Classical => "classical",
            Self::Country => "country",
            Self::Disco => "disco",
            Self::Hiphop => "hiphop",
            Self::Jazz => "jazz",
            Self::Metal => "metal",
            Self::Pop => "pop",
            Self::Reggae => "reggae",
            Self::Rock => "rock",
        }
    }

    /// The name as a label.
    #[must_use]
    pub fn label(self) -> Label {
        Label::new(self.name()).expect("a test proves that all ten are labels")
    }

    /// Position in [`Genre::ALL`], 0 to 9.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Genre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Letters decide, in any case: `Hip-Hop` and `hip hop` are `hiphop`.
impl FromStr for Genre {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name: String =
            text.trim().chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        Self::ALL.into_iter().find(|genre| genre.name() == name).ok_or_else(|| Error::Genre(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_genre_is_found_by_its_name_and_index() {
        for (index, genre) in Genre::ALL.into_iter().enumerate() {
            assert_eq!(genre.index(), index);
            assert_eq!(genre.label(), genre.name());
            assert_eq!(genre.name().parse::<Genre>().expect("a genre"), genre);
            assert_eq!(serde_json::to_string(&genre).expect("a string"), format!("\"{genre}\""));
        }
        assert!(Genre::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    }

    #[test]
    fn spellings_of_folders_are_understood() {
        for text in ["Hip-Hop", "hip hop", "HIPHOP", "hip_hop", " hiphop "] {
            assert_eq!(text.parse::<Genre>().expect("hip-hop"), Genre::Hiphop);
        }
        for text in ["", "hop", "blues2", "genres", "роcк"] {
            assert!(text.parse::<Genre>().is_err(), "{text}");
        }
    }
}
