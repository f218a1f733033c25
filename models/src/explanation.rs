//! [`Explanation`]: where in a song a model heard a genre.

use serde::Serialize;

/// Which class is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// The most probable one of the whole song.
    Predicted,
    /// The class of that index among [`Classifier::labels`](crate::Classifier::labels).
    Label(usize),
}

/// How much each place of a song, in time and frequency, spoke for one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Index of the class that is explained.
    pub label: usize,
    /// Rows, from low to high frequency; at least one.
    pub rows: usize,
    /// Columns, from the start of the song on; at least one.
    pub columns: usize,
    /// Length of the song; the last column may reach past it.
    pub seconds: f64,
    /// Length of a column.
    pub seconds_per_column: f64,
    /// Edges of the rows in Hz, rising; `rows + 1` of them.
    pub row_edges_hz: Vec<f64>,
    /// Row-major `[rows, columns]`, each 0 to 1. The largest is 1, unless nothing spoke for the class: then all are 0.
    pub values: Vec<f32>,
}
