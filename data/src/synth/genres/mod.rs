//! The ten genres: each a tempo range and a way to fill a song.

mod blues;
mod classical;
mod country;
mod disco;
mod hiphop;
mod jazz;
mod metal;
mod pop;
mod reggae;
mod rock;

use super::song::Song;
use crate::gtzan::Genre;

/// Tempi in beats a minute between which the artists of a genre play.
pub(super) fn tempo(genre: Genre) -> (f64, f64) {
    match genre {
        Genre::Blues => blues::TEMPO,
        Genre::Classical => classical::TEMPO,
        Genre::Country => country::TEMPO,
        Genre::Disco => disco::TEMPO,
        Genre::Hiphop => hiphop::TEMPO,
        Genre::Jazz => jazz::TEMPO,
        Genre::Metal => metal::TEMPO,
        Genre::Pop => pop::TEMPO,
        Genre::Reggae => reggae::TEMPO,
        Genre::Rock => rock::TEMPO,
    }
}

/// Fills `song` with music of `genre`.
pub(super) fn compose(genre: Genre, song: &mut Song) {
    match genre {
        Genre::Blues => blues::compose(song),
        Genre::Classical => classical::compose(song),
        Genre::Country => country::compose(song),
        Genre::Disco => disco::compose(song),
        Genre::Hiphop => hiphop::compose(song),
        Genre::Jazz => jazz::compose(song),
        Genre::Metal => metal::compose(song),
        Genre::Pop => pop::compose(song),
        Genre::Reggae => reggae::compose(song),
        Genre::Rock => rock::compose(song),
    }
}
