//! What predictions of a fitted model are worth, calibrated on clips whose artist was held out: a detector of clips that are unlike the
//! training set, and sets of labels ([`models::conformal`]).

mod eigen;
mod space;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use data::{grouped_kfold, labels::LabelSet};
use features::ClipFeatures;
use models::conformal::{Distances, LEVEL, NoveltyDetector, NoveltyParameters, combined};
use rayon::prelude::*;
use serde::Serialize;

use self::space::{Axes, Space, Vectors};
use super::{dataset::threads_of, learner::FitInput};

/// Folds by artist.
const FOLDS: usize = 5;
/// Clips that a detector is fitted on at most: every n-th of more.
const MOST_FITTED: usize = 1024;
/// Clips that are cut short, and whose scores are kept, at most.
const MOST_CUT: usize = 320;
/// Fewer clips calibrate nothing.
const LEAST: usize = 20;
/// Held-out clips that the typical distance of all classes counts for in that of each.
const PRIOR: f64 = 10.0;
/// Labels of which each is left out once, at most.
const MOST_LEFT_OUT: usize = 20;

/// A detector, and how well it tells labels that it was not fitted on.
pub(super) struct FittedNovelty {
    pub(super) detector: NoveltyDetector,
    pub(super) report: NoveltyReport,
}

/// What a training says of its novelty detector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoveltyReport {
    /// Clips that it was fitted on.
    pub clips: usize,
    /// Lengths that clips were cut to for its calibration, in frames, and clips of each.
    pub frames: Vec<usize>,
    /// Clips of each length.
    pub calibrated_on: usize,
    /// A clip is unlike the training set from this p-value on down.
    pub threshold: f64,
    /// For each label the area under the ROC curve: how often a clip of that label has a higher score than a clip of the other labels,
    /// where neither its artist nor any clip of that label was fitted on. Not known of more than 20 labels, or of two.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, f64>,
    /// The mean of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out_mean: Option<f64>,
}

/// The vectors of the segments of a clip of the dataset.
pub(super) type OfClip<'a> = &'a (dyn Fn(usize) -> Result<Vec<Vec<f32>>> + Sync);
/// The vectors of the segments of features.
pub(super) type OfFeatures<'a> = &'a (dyn Fn(&ClipFeatures) -> Result<Vec<Vec<f32>>> + Sync);

/// Clips with the vectors that stand for them.
struct Clips {
    /// Of each clip, then of each that is cut, one length after the other.
    vectors: Vec<Vec<f32>>,
    labels: Vec<usize>,
    groups: Vec<String>,
    /// The clips that are cut, ascending.
    cut: Vec<usize>,
    /// The lengths, falling; the first is that of whole clips.
    frames: Vec<usize>,
}

/// Fits a detector on the vectors of the clips of a training, and calibrates it on the same clips by folds of artists; `None` of too few
/// clips, of vectors that are all alike, and of a model that decides by no vectors.
///
/// # Errors
/// When a clip cannot be read, or a vector of it cannot be computed.
pub(super) fn novelty(
    input: &FitInput<'_>,
    of_clip: OfClip<'_>,
    of_features: OfFeatures<'_>,
) -> Result<Option<FittedNovelty>> {
    if input.train.len() < LEAST {
        return Ok(None);
    }
    threads_of(input.threads)?.install(|| {
        let Some(clips) = Clips::new(input, of_clip, of_features)? else { return Ok(None) };
        clips.fit(input.labels, input.seed)
    })
}

/// Every n-th of `items`, so that there are at most `most`.
fn spread_over<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    let n = items.len().min(most);
    (0..n).map(|i| items[i * items.len() / n]).collect()
}

impl Clips {
    fn new(input: &FitInput<'_>, of_clip: OfClip<'_>, of_features: OfFeatures<'_>) -> Result<Option<Self>> {
        let (dataset, extractor) = (input.data.dataset(), input.data.extractor());
        let chosen = spread_over(input.train, MOST_FITTED);
        let labels = dataset.classes(&chosen, &LabelSet::from_names(input.labels)?)?;
        let groups = chosen.iter().map(|&clip| dataset.clips()[clip].group.clone()).collect();
        let name = |clip: usize| format!("failed to compute the vectors of {}", dataset.clips()[clip].clip_id);
        // The segment in the middle stands for a long clip: its beginning may be an introduction.
        let whole = |&clip: &usize| -> Result<Option<Vec<f32>>> {
            let mut segments = of_clip(clip).with_context(|| name(clip))?;
            let middle = segments.len() / 2;
            Ok((middle < segments.len()).then(|| segments.swap_remove(middle)))
        };
        let vectors: Option<Vec<Vec<f32>>> =
            chosen.par_iter().map(whole).collect::<Result<Vec<_>>>()?.into_iter().collect();
        let Some(mut vectors) = vectors else { return Ok(None) };

        let cut = spread_over(&(0..chosen.len()).collect::<Vec<_>>(), MOST_CUT);
        let segmentation = &extractor.spec().segmentation;
        let mut lengths: Vec<usize> = cut
            .par_iter()
            .map(|&clip: &usize| -> Result<usize> { Ok(dataset.features(chosen[clip])?.log_mel().n_frames()) })
            .collect::<Result<Vec<_>>>()?;
        lengths.sort_unstable();
        let typical = lengths[lengths.len() / 2].min(segmentation.segment.frames);
        let mut frames = vec![typical];
        // A length that is hardly shorter than the last needs no calibration of its own.
        for shorter in [segmentation.window.frames, segmentation.min_frames * 3 / 2] {
            if 4 * shorter <= 3 * frames[frames.len() - 1] {
                frames.push(shorter);
            }
        }
        for &length in &frames[1..] {
            let shortened = |&clip: &usize| -> Result<Vec<f32>> {
                let features = dataset.features(chosen[clip])?;
                let n = features.log_mel().n_frames();
                let start = n.saturating_sub(length) / 2;
                let features = features.frames(start, (start + length).min(n))?;
                let mut segments = of_features(&features).with_context(|| name(chosen[clip]))?;
                anyhow::ensure!(!segments.is_empty(), "{}: there is none", name(chosen[clip]));
                Ok(segments.swap_remove(0))
            };
            vectors.extend(cut.par_iter().map(shortened).collect::<Result<Vec<_>>>()?);
        }
        Ok(Some(Self { vectors, labels, groups, cut, frames }))
    }

    fn fit(&self, names: &[String], seed: u64) -> Result<Option<FittedNovelty>> {
        let n = self.labels.len();
        let slices: Vec<&[f32]> = self.vectors.iter().map(Vec::as_slice).collect();
        let vectors = Vectors::new(&slices, n);
        let everyone: Vec<usize> = (0..n).collect();
        let space = vectors.space(&everyone, &self.labels, None);
        if space.precision.is_empty() {
            return Ok(None);
        }
        let folds = grouped_kfold(&self.labels, &self.groups, FOLDS, seed);
        let fold_of = |clip: usize| folds.iter().position(|fold| fold.binary_search(&clip).is_ok());

        // Distances of each clip, and of what was cut of it, in the space of the other folds.
        let of_folds: Vec<Option<Space>> = folds
            .par_iter()
            .map(|fold| {
                let others: Vec<usize> =
                    everyone.iter().copied().filter(|clip| fold.binary_search(clip).is_err()).collect();
                (!others.is_empty()).then(|| vectors.space(&others, &self.labels, Some(&space)))
            })
            .collect();
        let held_out = |clip: usize, vector: usize| -> Option<Distances> {
            let space = of_folds.get(fold_of(clip)?)?.as_ref()?;
            Some(vectors.distances(space, vector))
        };
        let whole: Vec<Option<Distances>> = everyone.par_iter().map(|&clip| held_out(clip, clip)).collect();
        let typical = Typical::of(&whole.iter().flatten().copied().collect::<Vec<_>>(), names.len());

        let mut calibration = Vec::new();
        for length in 0..self.frames.len() {
            let vector = |place: usize| match length {
                0 => self.cut[place],
                _ => n + (length - 1) * self.cut.len() + place,
            };
            let score = |place: usize| held_out(self.cut[place], vector(place)).map(|found| typical.score(&found));
            let scores: Option<Vec<f64>> = (0..self.cut.len()).into_par_iter().map(score).collect();
            // Every clip is in a fold, unless there is but one.
            let Some(mut scores) = scores.filter(|scores| scores.len() >= LEAST) else { return Ok(None) };
            scores.sort_unstable_by(f64::total_cmp);
            calibration.extend(scores);
        }
        let Axes { mean, axes } = vectors.axes(&space);
        let detector = NoveltyDetector::new(NoveltyParameters {
            mean,
            axes,
            nearest: space.classes.iter().flat_map(|&class| typical.nearest[class]).collect(),
            centres: space.centres.clone(),
            precision: space.precision.clone(),
            relative: typical.relative,
            frames: self.frames.iter().map(|&frames| frames as f64).collect(),
            calibration,
            threshold: LEVEL,
        })?;
        let left_out = self.left_out(&vectors, &space, &folds, names);
        let left_out_mean = (!left_out.is_empty()).then(|| left_out.values().sum::<f64>() / left_out.len() as f64);
        let report = NoveltyReport {
            clips: n,
            frames: self.frames.clone(),
            calibrated_on: self.cut.len(),
            threshold: LEVEL,
            left_out,
            left_out_mean,
        };
        Ok(Some(FittedNovelty { detector, report }))
    }

    /// For each label the area under the ROC curve where all its clips are left out: see [`NoveltyReport::left_out`].
    fn left_out(
        &self,
        vectors: &Vectors,
        space: &Space,
        folds: &[Vec<usize>],
        names: &[String],
    ) -> BTreeMap<String, f64> {
        if !(3..=MOST_LEFT_OUT).contains(&space.classes.len()) {
            return BTreeMap::new();
        }
        let of_label = |&left_out: &usize| {
            let is_other = |clip: &usize| self.labels[*clip] != left_out;
            let strangers: Vec<usize> = (0..self.labels.len()).filter(|clip| !is_other(clip)).collect();
            let of_fold = |fold: &Vec<usize>| {
                let fitted: Vec<usize> =
                    (0..self.labels.len()).filter(|clip| is_other(clip) && fold.binary_search(clip).is_err()).collect();
                let own: Vec<usize> = fold.iter().copied().filter(is_other).collect();
                if fitted.is_empty() || own.is_empty() {
                    return None;
                }
                let of_others = vectors.space(&fitted, &self.labels, Some(space));
                let distances = |clips: &[usize]| -> Vec<Distances> {
                    clips.iter().map(|&clip| vectors.distances(&of_others, clip)).collect()
                };
                Some([distances(&own), distances(&strangers)])
            };
            let found: Vec<[Vec<Distances>; 2]> = folds.iter().filter_map(of_fold).collect();
            let own: Vec<Distances> = found.iter().flat_map(|[own, _]| own.iter().copied()).collect();
            let typical = Typical::of(&own, names.len());
            let scores = |of: &[Distances]| of.iter().map(|found| typical.score(found)).collect::<Vec<f64>>();
            let areas: Vec<f64> =
                found.iter().filter_map(|[own, strangers]| area_under_roc(&scores(own), &scores(strangers))).collect();
            let name = names.get(left_out)?.clone();
            (!areas.is_empty()).then(|| (name, areas.iter().sum::<f64>() / areas.len() as f64))
        };
        space.classes.par_iter().filter_map(of_label).collect()
    }
}

/// Distances that clips of held-out artists have: `[typical, spread]`.
struct Typical {
    /// Of each label.
    nearest: Vec<[f64; 2]>,
    relative: [f64; 2],
}

impl Typical {
    fn of(held_out: &[Distances], labels: usize) -> Self {
        let moments = |values: &[f64], prior: Option<[f64; 2]>| {
            let (weight, [mean, deviation]) = prior.map_or((0.0, [0.0, 0.0]), |prior| (PRIOR, prior));
            let n = values.len() as f64 + weight;
            let mean = (values.iter().sum::<f64>() + weight * mean) / n.max(1.0);
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            [mean, ((squares + weight * deviation * deviation) / n.max(1.0)).sqrt().max(1e-9)]
        };
        let of_all = moments(&held_out.iter().map(|found| found.nearest).collect::<Vec<_>>(), None);
        let nearest = |label: usize| {
            let of_label: Vec<f64> =
                held_out.iter().filter(|found| found.class == label).map(|found| found.nearest).collect();
            moments(&of_label, Some(of_all))
        };
        Self {
            nearest: (0..labels).map(nearest).collect(),
            relative: moments(&held_out.iter().map(|found| found.relative).collect::<Vec<_>>(), None),
        }
    }

    fn score(&self, found: &Distances) -> f64 {
        combined(&self.nearest[found.class], self.relative, found.nearest, found.relative)
    }
}

/// How often one of `strangers` is over one of `own`; of equals half. `None` without either.
fn area_under_roc(own: &[f64], strangers: &[f64]) -> Option<f64> {
    let pairs = own.len() * strangers.len();
    let wins = |stranger: &f64| -> f64 {
        own.iter().map(|own| if stranger > own { 1.0 } else { f64::from(u8::from(stranger >= own)) / 2.0 }).sum()
    };
    (pairs > 0).then(|| strangers.iter().map(wins).sum::<f64>() / pairs as f64)
}

#[cfg(test)]
mod tests {
    use data::rng::Rng;

    use super::*;

    /// Clips of four labels and 40 artists, whose vectors are around the centres of their labels, and cut ones with more noise.
    fn clips(n: usize) -> (Clips, Vec<String>) {
        let mut rng = Rng::new(11);
        let centres: Vec<Vec<f64>> = (0..4).map(|_| (0..30).map(|_| 1.5 * rng.normal()).collect()).collect();
        let labels: Vec<usize> = (0..n).map(|i| i % 4).collect();
        let mut vector = |label: usize, noise: f64| -> Vec<f32> {
            centres[label].iter().map(|centre| (centre + noise * rng.normal()) as f32).collect()
        };
        let mut vectors: Vec<Vec<f32>> = labels.iter().map(|&label| vector(label, 1.0)).collect();
        vectors.extend(labels.iter().map(|&label| vector(label, 2.0)));
        let groups = (0..n).map(|i| format!("artist {}", i % 40)).collect();
        let clips = Clips { vectors, labels, groups, cut: (0..n).collect(), frames: vec![344, 24] };
        (clips, ["a", "b", "c", "d"].map(str::to_owned).to_vec())
    }

    #[test]
    fn clips_of_the_population_have_uniform_p_values_at_each_length() {
        let (clips, names) = clips(800);
        let fit = Clips {
            vectors: [&clips.vectors[..400], &clips.vectors[800..1200]].concat(),
            labels: clips.labels[..400].to_vec(),
            groups: clips.groups[..400].to_vec(),
            cut: (0..400).collect(),
            frames: clips.frames.clone(),
        };
        let fitted = fit.fit(&names, 0).expect("fits").expect("enough clips");
        for (offset, frames) in [(400, 400), (1200, 30)] {
            let p_values: Vec<f64> = clips.vectors[offset..offset + 400]
                .iter()
                .map(|vector| fitted.detector.p_value(std::slice::from_ref(vector), frames).expect("30 dimensions"))
                .collect();
            for level in [0.1, 0.3, 0.5, 0.8] {
                let share = p_values.iter().filter(|p| **p <= level).count() as f64 / p_values.len() as f64;
                assert!((share - level).abs() < 0.13, "{share} of {frames} frames at {level}");
            }
        }
        // Whole clips that scatter as short ones do are unlike the training set.
        let novel = clips.vectors[1200..]
            .iter()
            .filter(|vector| fitted.detector.p_value(&[vector.to_vec()], 400).expect("30 dimensions") <= LEVEL)
            .count();
        assert!(novel > 200, "{novel} of 400");
        let report = fitted.report;
        assert_eq!((report.clips, report.calibrated_on, report.frames), (400, 400, vec![344, 24]));
        assert_eq!(report.left_out.len(), 4);
        assert!(report.left_out.values().all(|area| (0.8..=1.0).contains(area)), "{:?}", report.left_out);
    }

    #[test]
    fn the_same_clips_give_the_same_bits_with_any_number_of_threads() {
        let (clips, names) = clips(120);
        let fit = |threads| {
            threads_of(threads)
                .expect("threads")
                .install(|| clips.fit(&names, 7).expect("fits").expect("enough").detector)
        };
        assert_eq!(fit(1), fit(3));
    }

    #[test]
    fn vectors_that_are_all_alike_make_no_detector() {
        let (mut clips, names) = clips(40);
        clips.vectors.iter_mut().for_each(|vector| vector.fill(1.0));
        assert!(clips.fit(&names, 0).expect("no error").is_none());
    }

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(area_under_roc(&[1.0, 2.0], &[3.0, 2.0]), Some(0.875));
        assert_eq!(area_under_roc(&[], &[3.0]), None);
    }

    #[test]
    fn every_nth_is_taken() {
        assert_eq!(spread_over(&[0, 1, 2, 3, 4, 5], 3), [0, 2, 4]);
        assert_eq!(spread_over(&[0, 1], 3), [0, 1]);
        assert!(spread_over::<usize>(&[], 3).is_empty());
    }
}
