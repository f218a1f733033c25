//! The leak ladder: one model and one set of features, judged by splits that leak less and less.

use anyhow::Result;
use data::{Part, Split};
use serde::Serialize;

use crate::{
    declarations::declaration::{Data, Experiment},
    results::{store::StoredResult, summary::Summary},
    runner::run::Job,
};

/// A way to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How clips, or pieces, are dealt.
    pub split: Split,
    /// Pieces of each clip; `None` for whole clips.
    pub pieces: Option<usize>,
}

/// What one experiment has on each rung.
#[derive(Clone, Debug, Serialize)]
pub struct Ladder {
    /// The experiment.
    pub name: String,
    /// In the order of the rungs.
    pub rungs: Vec<Summary>,
}

/// The rungs, the leakiest first. Pieces of clips, where there are any, are dealt by segment, by track, by artist and by the valid part,
/// whole clips by the last three: so that on each side nothing changes from rung to rung but who may have been heard before.
#[must_use]
pub fn rungs(folds: usize, pieces: Option<usize>) -> Vec<Rung> {
    let (track, artist) = (Split::TrackKFold { k: folds }, Split::ArtistKFold { k: folds });
    let fair = [track, artist, Split::FaultFiltered(Part::Valid)];
    let of_pieces = std::iter::once(Split::SegmentKFold { k: folds }).chain(fair);
    let of_pieces = of_pieces.filter(|_| pieces.is_some()).map(|split| Rung { split, pieces });
    of_pieces.chain(fair.map(|split| Rung { split, pieces: None })).collect()
}

/// The jobs of a ladder: rung by rung, on each every seed of the experiment.
#[must_use]
pub fn jobs(experiment: &Experiment, folds: usize) -> Vec<Job> {
    let on = |rung: Rung| {
        let data = Data { pieces: rung.pieces, ..experiment.data.clone() };
        let experiment = Experiment { data, ..experiment.clone() };
        experiment.seeds.clone().into_iter().map(move |seed| Job {
            experiment: experiment.clone(),
            split: rung.split,
            seed,
        })
    };
    rungs(folds, experiment.data.pieces).into_iter().flat_map(on).collect()
}

impl Ladder {
    /// Of what the [`jobs`] of an experiment gave, in their order.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn new(experiment: &Experiment, results: &[&StoredResult]) -> Result<Self> {
        let mut rungs = Vec::new();
        for rung in results.chunks(experiment.seeds.len()) {
            rungs.extend(Summary::new(rung)?);
        }
        Ok(Self { name: experiment.name.clone(), rungs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_pieces_and_the_last_rung_of_each_side_is_the_valid_part() {
        let all = rungs(5, Some(10));
        let names: Vec<_> = all.iter().map(|rung| (rung.split.to_string(), rung.pieces)).collect();
        assert_eq!(names.len(), 7);
        assert_eq!(names[0], ("segment-kfold:5".into(), Some(10)));
        let valid = || "fault-filtered:valid".to_owned();
        assert_eq!((&names[3], &names[6]), (&(valid(), Some(10)), &(valid(), None)));
        assert_eq!(rungs(3, None).len(), 3);
    }
}
