//! [`TrainingData`]: a labelled dataset with what is computed of its clips once.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use data::{ExtractOptions, Fold, LabelledClip, LabelledDataset, OpenOptions, Split, labels::LabelSet};
use features::{ClipFeatures, Extractor, FeatureSpec, spec::Needs};
use rayon::prelude::*;

use super::{band_limited, svm::TrainingSet};
use crate::console::{interrupt::Scratch, progress::Stage};

/// A labelled dataset, and the feature vectors of its clips as far as they were asked for. Models that are fitted on the same data
/// share it.
#[derive(Debug)]
pub struct TrainingData {
    dataset: LabelledDataset,
    extractor: Extractor,
    /// Of each clip.
    vectors: Vec<OnceLock<ClipVectors>>,
    /// Of the band-limited copy of each clip, one for each segment.
    band_limited: Vec<OnceLock<Vec<Vec<f32>>>>,
    /// Of files that are extracted; goes with the dataset.
    _scratch: Option<Scratch>,
}

/// Feature vectors of one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipVectors {
    /// One for each segment; clips are evaluated by these.
    pub segments: Vec<Vec<f32>>,
    /// One for each window, so that a machine knows shorter clips too; none for a clip that is one.
    pub windows: Vec<Vec<f32>>,
}

impl TrainingData {
    /// Joins datasets into one; audio is extracted on the way. Each clip is cut into `segments_per_clip` where they are given.
    ///
    /// # Errors
    /// Those of [`LabelledDataset::open`] and [`LabelledDataset::in_segments`].
    pub fn open(
        paths: &[PathBuf],
        spec: &FeatureSpec,
        options: &OpenOptions,
        segments_per_clip: Option<usize>,
        threads: usize,
    ) -> Result<Self> {
        let scratch = Scratch::new().ok();
        let mut dataset = open_dataset(paths, spec, options, threads, scratch.as_ref())?;
        if let Some(segments) = segments_per_clip {
            dataset = dataset.in_segments(segments)?;
        }
        Ok(Self { _scratch: scratch, ..Self::new(dataset)? })
    }

    /// The data of a dataset that is open.
    ///
    /// # Errors
    /// Those of [`Extractor::new`].
    pub fn new(dataset: LabelledDataset) -> Result<Self> {
        let extractor = Extractor::new(dataset.spec().clone())?;
        let vectors = (0..dataset.len()).map(|_| OnceLock::new()).collect();
        let band_limited = (0..dataset.len()).map(|_| OnceLock::new()).collect();
        Ok(Self { dataset, extractor, vectors, band_limited, _scratch: None })
    }

    /// The clips.
    #[must_use]
    pub fn dataset(&self) -> &LabelledDataset {
        &self.dataset
    }

    /// What computes the features of its clips.
    #[must_use]
    pub fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// From here on it is one of log-mels alone: for a model that takes no descriptors.
    ///
    /// # Errors
    /// Those of [`Extractor::new`].
    pub fn forget_descriptors(self) -> Result<Self> {
        let Self { mut dataset, _scratch, .. } = self;
        dataset.forget_descriptors();
        Ok(Self { _scratch, ..Self::new(dataset)? })
    }

    /// The vectors of the segments of a clip, if they were computed.
    #[must_use]
    pub fn segments(&self, clip: usize) -> Option<&[Vec<f32>]> {
        self.vectors.get(clip)?.get().map(|vectors| vectors.segments.as_slice())
    }

    /// The vectors of these clips with their classes and artists, and, `with_band_limited`, those of their band-limited copies, which are fitted
    /// on alone. Each clip is computed once, however often it is asked for.
    ///
    /// # Errors
    /// When a clip cannot be read, or its label is not among `labels`.
    pub fn training_set(
        &self,
        clips: &[usize],
        labels: &[String],
        with_band_limited: bool,
        threads: usize,
    ) -> Result<TrainingSet> {
        let with_band_limited = with_band_limited && self.extractor.spec().needs() == Needs::LogMel;
        self.compute(clips, "computing vectors", &self.vectors, threads, &|clip| self.vectors_of(clip))?;
        if with_band_limited {
            let of_copy = |clip| self.vectors_of_copy(clip);
            self.compute(clips, "computing vectors of band-limited copies", &self.band_limited, threads, &of_copy)?;
        }
        let mut training = TrainingSet { names: self.extractor.names().to_vec(), ..TrainingSet::default() };
        training.labels = self.dataset.classes(clips, &LabelSet::from_names(labels)?)?;
        for (index, &clip) in clips.iter().enumerate() {
            let of_clip = &self.dataset.clips()[clip];
            training.groups.push(of_clip.group.clone());
            let vectors = self.vectors[clip].get().context("the vectors were computed")?;
            let copies = if with_band_limited { self.band_limited[clip].get() } else { None };
            let fitted_on = copies.into_iter().map(|copies| (false, copies));
            for (evaluated, of_kind) in
                [(true, &vectors.segments), (false, &vectors.windows)].into_iter().chain(fitted_on)
            {
                training.vectors.extend(of_kind.iter().cloned());
                training.clip.extend(of_kind.iter().map(|_| index));
                training.evaluated.extend(of_kind.iter().map(|_| evaluated));
            }
        }
        Ok(training)
    }

    /// Computes what those of `clips` have that have none of it yet.
    fn compute<T: Send + Sync>(
        &self,
        clips: &[usize],
        what: &'static str,
        of_clips: &[OnceLock<T>],
        threads: usize,
        of_clip: &(dyn Fn(usize) -> Result<T> + Sync),
    ) -> Result<()> {
        let missing: Vec<usize> = clips.iter().copied().filter(|&clip| of_clips[clip].get().is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let stage = Stage::new(what);
        let done = AtomicUsize::new(0);
        let one = |&clip: &usize| -> Result<()> {
            let name = &self.dataset.clips()[clip].clip_id;
            let value = of_clip(clip).with_context(|| format!("failed to compute the vectors of {name}"))?;
            let _ = of_clips[clip].set(value);
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, missing.len());
            Ok(())
        };
        threads_of(threads)?.install(|| missing.par_iter().try_for_each(one))
    }

    fn vectors_of(&self, clip: usize) -> Result<ClipVectors> {
        let features = self.dataset.features(clip)?;
        let vectors = |of: Vec<features::FeatureVector>| of.into_iter().map(|one| one.vector).collect();
        let longer = features.log_mel().n_frames() > self.extractor.spec().segmentation.window.frames;
        Ok(ClipVectors {
            segments: vectors(self.extractor.segments(&features)?),
            windows: if longer { vectors(self.extractor.windows(&features)?) } else { Vec::new() },
        })
    }

    fn vectors_of_copy(&self, clip: usize) -> Result<Vec<Vec<f32>>> {
        let copy = band_limited::copy(self.dataset.features(clip)?.log_mel(), &self.extractor)?;
        let segments = self.extractor.segments(&ClipFeatures::from(copy))?;
        Ok(segments.into_iter().map(|segment| segment.vector).collect())
    }
}

/// Joins datasets into one; audio is extracted on the way, into `scratch`, which must outlive the dataset.
/// Stores need no `scratch`.
///
/// # Errors
/// Those of [`LabelledDataset::open`].
pub fn open_dataset(
    paths: &[PathBuf],
    spec: &FeatureSpec,
    options: &OpenOptions,
    threads: usize,
    scratch: Option<&Scratch>,
) -> Result<LabelledDataset> {
    let stage = Stage::new("extracting features");
    let options = ExtractOptions {
        threads,
        progress: &|done, total| stage.at(done, total),
        labels: options.labels.clone(),
        limits: options.limits,
        strict: options.strict,
        scratch: scratch.map(Scratch::path),
    };
    Ok(LabelledDataset::open(paths, spec, &options)?)
}

/// A pool of so many threads; of one for each core for 0.
pub(crate) fn threads_of(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")
}

/// The labels of the clips `indices`, in the order of the labels of the dataset.
#[must_use]
pub fn labels(dataset: &LabelledDataset, indices: &[usize]) -> Vec<String> {
    dataset.labels_of(indices).iter().map(|label| label.to_string()).collect()
}

/// Refuses folds of which one leaves a label of `labels` without a clip to fit on.
///
/// # Errors
/// Which fold, which label, how many clips and artists it has, and what to do.
pub fn check_folds(dataset: &LabelledDataset, labels: &[String], split: Split, folds: &[Fold]) -> Result<()> {
    for (number, fold) in folds.iter().enumerate() {
        let there = self::labels(dataset, &fold.train);
        let Some(label) = labels.iter().find(|label| !there.contains(label)) else { continue };
        let of_label = (0..dataset.len()).filter(|&clip| dataset.label(clip).as_str() == *label);
        let of_label: Vec<&LabelledClip> = of_label.map(|clip| &dataset.clips()[clip]).collect();
        let groups: BTreeSet<&str> = of_label.iter().map(|clip| clip.group.as_str()).collect();
        let (clips, artists) = (plural(of_label.len(), "clip"), plural(groups.len(), "artist"));
        let fold = format!("fold {} of {} by {split} leaves no clip of {label} to fit on", number + 1, folds.len());
        let why = match split {
            Split::TrackKFold { .. } | Split::SegmentKFold { .. } => format!("{label} has {clips}"),
            _ => format!("{label} has {clips} of {artists}, and an artist is never on both sides"),
        };
        bail!(
            "{fold}: {why}; add clips of other artists, leave the label out (--label-map), or hold out by track \
             (--held-out track-kfold:4), whose figures are too high where artists repeat"
        );
    }
    Ok(())
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
