//! [`Measuring`]: what a classifier says of held-out clips in each condition, and the figures of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, bail};
use data::{LabelledDataset, degrade::to_16_bits, rng::Rng};
use features::{Clip, ClipFeatures, Extractor, Fingerprint};
use models::{Classifier, Novelty};
use rayon::prelude::*;
use serde_json::{Value, json};
use train::{
    console::progress::Stage,
    evaluation::{
        metrics::Scored,
        robustness::{CLEAN, Condition, LeftOut, Measured, OverDegradations, Robustness},
        scoring,
    },
};

use super::{AudioFile, Declaration, Ffmpeg, HeldOutAudio, Lengths, NamedDegradation};
use crate::declarations::DEFAULT_SEED;

/// What recordings are called.
const RECORDINGS: &str = "recordings";
/// A clip that is so much shorter than a length is still taken for it.
const NEARLY: f64 = 0.98;

/// What a condition is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The clips as they are in their files.
    Clean,
    /// The same clips, degraded.
    Degraded,
    /// Excerpts of the same clips.
    Length,
    /// Other recordings of held-out clips, as they are in their files.
    Recording,
    /// The clips of those recordings, as they are in the dataset.
    Dataset,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Clean, Self::Degraded, Self::Length, Self::Recording, Self::Dataset];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Degraded => "degraded",
            Self::Length => "length",
            Self::Recording => "recording",
            Self::Dataset => "dataset",
        }
    }
}

/// What was predicted of a clip in a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What the condition is one of.
    pub kind: Kind,
    /// The condition, such as `mp3-32k` or `3 s`.
    pub condition: String,
    /// In which fold the clip was held out, from 0.
    pub fold: usize,
    /// Which excerpt of the clip, from 0.
    pub excerpt: usize,
    /// Length of the audio in seconds.
    pub seconds: f64,
    /// The clip and its probabilities.
    pub scored: Scored,
    /// How unlike the training set it is, where the model can tell.
    pub novelty: Option<Novelty>,
}

/// Measures classifiers in the conditions of a declaration.
#[derive(Debug)]
pub struct Measuring {
    degradations: Vec<NamedDegradation>,
    lengths: Lengths,
    ffmpeg: Option<Ffmpeg>,
    left_out: Vec<LeftOut>,
    audio: HeldOutAudio,
    recordings: Vec<HeldOutAudio>,
    cache: PathBuf,
}

/// The audio of some clips.
#[derive(Clone, Debug)]
pub struct Files {
    /// What is degraded and cut; at least one.
    pub audio: BTreeMap<String, AudioFile>,
    /// Other recordings.
    pub recordings: Vec<BTreeMap<String, AudioFile>>,
}

impl Measuring {
    /// In the conditions of `declaration`, of the clips of which there is `audio`, and as they are of other `recordings` of them.
    /// Without an ffmpeg, or with one that lacks an encoder, degradations by codecs are left out, with the reason.
    #[must_use]
    pub fn new(
        declaration: &Declaration,
        audio: HeldOutAudio,
        recordings: Vec<HeldOutAudio>,
        ffmpeg: Result<Ffmpeg>,
        cache: PathBuf,
    ) -> Self {
        let mut left_out = Vec::new();
        let mut degradations = declaration.degradations.clone();
        degradations.retain(|NamedDegradation { name, codec, .. }| {
            let Some(codec) = codec else { return true };
            let reason = match &ffmpeg {
                Ok(ffmpeg) => ffmpeg.can(codec).err().map(|error| format!("{error:#}")),
                Err(error) => Some(format!("codecs need ffmpeg: {error:#}")),
            };
            left_out.extend(reason.clone().map(|reason| LeftOut { name: name.clone(), reason }));
            reason.is_none()
        });
        let lengths = declaration.lengths.clone();
        Self { degradations, lengths, ffmpeg: ffmpeg.ok(), left_out, audio, recordings, cache }
    }

    /// Degradations that are declared and cannot be measured here.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The audio of these clips.
    ///
    /// # Errors
    /// When there is none, or none in a folder of recordings.
    pub fn files(&self, clip_ids: &[&str], extractor: &Extractor) -> Result<Files> {
        let audio = self.audio.of(clip_ids.iter().copied(), extractor);
        if audio.is_empty() {
            bail!(
                "none of the {} held-out clips has a file of its name in the folders of --audio, such as {}.flac",
                clip_ids.len(),
                clip_ids.first().unwrap_or(&"ID")
            );
        }
        let mut recordings = Vec::new();
        for folder in &self.recordings {
            let of_folder = folder.of(clip_ids.iter().copied(), extractor);
            if of_folder.is_empty() {
                bail!("none of the held-out clips has a file of its name in a folder of --recordings");
            }
            recordings.push(of_folder);
        }
        Ok(Files { audio, recordings })
    }

    /// Everything that decides what is measured, beside the classifier.
    #[must_use]
    pub fn identity(&self, files: &Files) -> Value {
        let digests = |files: &BTreeMap<String, AudioFile>| -> BTreeMap<String, String> {
            files.iter().map(|(id, file)| (id.clone(), file.digest.clone())).collect()
        };
        let has_codec = self.degradations.iter().any(|degradation| degradation.codec.is_some());
        json!({
            "degradations": self.degradations,
            "lengths": self.lengths,
            "ffmpeg": self.ffmpeg.as_ref().filter(|_| has_codec).map(Ffmpeg::version),
            "audio": digests(&files.audio),
            "recordings": files.recordings.iter().map(digests).collect::<Vec<_>>(),
        })
    }

    /// What a classifier says of those of the clips `indices` of a dataset of which there is audio or a recording, in every condition: clip
    /// by clip, and the conditions of each in the order of the declaration.
    ///
    /// # Errors
    /// When audio cannot be read or degraded, or a label is none of the classifier.
    pub fn predict(
        &self,
        classifier: &dyn Classifier,
        dataset: &LabelledDataset,
        (fold, indices): (usize, &[usize]),
        files: &Files,
        threads: usize,
    ) -> Result<Vec<Prediction>> {
        let truths = dataset.classes(indices, classifier.labels())?;
        let is_there = |index: usize| {
            let clip_id = &dataset.clips()[index].clip_id;
            files.audio.contains_key(clip_id) || files.recordings.iter().any(|files| files.contains_key(clip_id))
        };
        let clips: Vec<_> = indices.iter().copied().zip(truths).filter(|(index, _)| is_there(*index)).collect();
        let stage = Stage::new("measuring robustness");
        let done = AtomicUsize::new(0);
        let one = |&(index, truth): &(usize, usize)| -> Result<Vec<Prediction>> {
            let clip = &dataset.clips()[index];
            let unscored = scoring::scored(clip, truth, Vec::new());
            let predicted = self.of_clip(classifier, (dataset, index), &unscored, fold, files);
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, clips.len());
            predicted.with_context(|| format!("failed to measure {}", clip.clip_id))
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
        Ok(pool.install(|| clips.par_iter().map(one).collect::<Result<Vec<_>>>())?.concat())
    }

    fn of_clip(
        &self,
        classifier: &dyn Classifier,
        (dataset, index): (&LabelledDataset, usize),
        unscored: &Scored,
        fold: usize,
        files: &Files,
    ) -> Result<Vec<Prediction>> {
        let clip_id = &unscored.clip_id;
        let mut predictions = Vec::new();
        let mut predict = |kind, condition: &str, excerpt, seconds, features: &ClipFeatures| -> Result<()> {
            let (probabilities, novelty) = scoring::predict(classifier, features)?;
            let scored = Scored { probabilities, ..unscored.clone() };
            predictions.push(Prediction {
                kind,
                condition: condition.to_owned(),
                fold,
                excerpt,
                seconds,
                scored,
                novelty,
            });
            Ok(())
        };
        let mut predict_audio = |kind, condition: &str, excerpt, clip: Result<Clip>| -> Result<()> {
            let predicted = || -> Result<()> {
                let clip = clip?;
                predict(kind, condition, excerpt, clip.seconds(), &classifier.extractor().extract(&clip)?)
            };
            predicted().with_context(|| format!("in the condition `{condition}`"))
        };
        if let Some(file) = files.audio.get(clip_id) {
            let clip = file.decode()?;
            predict_audio(Kind::Clean, CLEAN, 0, Ok(clip.clone()))?;
            for degradation in &self.degradations {
                predict_audio(Kind::Degraded, &degradation.name, 0, self.degraded(degradation, &clip, clip_id))?;
            }
            for &seconds in &self.lengths.seconds {
                let name = format!("{seconds} s");
                let mut rng = drawn_for(&[clip_id, &name]);
                for (excerpt, clip) in
                    excerpts(&clip, seconds, self.lengths.excerpts, &mut rng)?.into_iter().enumerate()
                {
                    predict_audio(Kind::Length, &name, excerpt, Ok(clip))?;
                }
            }
        }
        let mut is_recorded = false;
        for (number, recordings) in files.recordings.iter().enumerate() {
            let Some(file) = recordings.get(clip_id) else { continue };
            is_recorded = true;
            let name = if number == 0 { RECORDINGS.to_owned() } else { format!("{RECORDINGS}-{}", number + 1) };
            predict_audio(Kind::Recording, &name, 0, file.decode())?;
        }
        if is_recorded {
            let features = dataset.features(index)?;
            let seconds = dataset.spec().seconds(features.log_mel().n_frames());
            predict(Kind::Dataset, Kind::Dataset.name(), 0, seconds, &features)?;
        }
        Ok(predictions)
    }

    fn degraded(&self, degradation: &NamedDegradation, clip: &Clip, clip_id: &str) -> Result<Clip> {
        let mut rng = drawn_for(&[clip_id, &degradation.name]);
        let mut degraded = clip.clone();
        for step in &degradation.steps {
            degraded = step.apply(&degraded, &mut rng)?;
        }
        match (&degradation.codec, &self.ffmpeg) {
            (None, _) => Ok(to_16_bits(&degraded)?),
            (Some(codec), Some(ffmpeg)) => ffmpeg.through(codec, &degraded, &self.cache),
            (Some(_), None) => bail!("codecs need ffmpeg"),
        }
    }
}

/// What is drawn for these names: the same whatever else is measured.
fn drawn_for(names: &[&str]) -> Rng {
    let digest = Fingerprint::of(names.join("\0").as_bytes()).to_string();
    Rng::new(digest.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default())
}

/// At most `most` excerpts of a clip, of `seconds` each, that do not overlap: one is drawn from each of so many equal parts. A clip of that
/// length is its one excerpt; a shorter one has none.
fn excerpts(clip: &Clip, seconds: f64, most: usize, rng: &mut Rng) -> Result<Vec<Clip>> {
    let (n, rate) = (clip.samples().len(), clip.sample_rate());
    if clip.seconds() < NEARLY * seconds {
        return Ok(Vec::new());
    }
    let length = ((seconds * f64::from(rate)).round() as usize).clamp(1, n);
    let parts = (n / length).min(most);
    let part = n / parts;
    (0..parts)
        .map(|number| {
            let start = number * part + rng.below(part - length + 1);
            Ok(Clip::new(clip.samples()[start..start + length].to_vec(), rate)?)
        })
        .collect()
}

/// What figures are about.
#[derive(Clone, Debug)]
pub struct Head {
    /// The experiment, or the kind of model and version of an artifact.
    pub name: String,
    /// The kind of model.
    pub model: String,
    /// The split.
    pub split: String,
    /// The seeds; none of an artifact.
    pub seeds: Vec<u64>,
    /// Clips that were fitted on.
    pub fitted_on: usize,
    /// Clips that were held out.
    pub held_out: usize,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// What was declared and not measured.
    pub left_out: Vec<LeftOut>,
}

/// The figures of the predictions with each seed, which are of the same clips in the same conditions.
///
/// # Errors
/// When there is none, or a clip was not predicted as it is in its file, or in the dataset.
pub fn figures(head: Head, labels: &[String], by_seed: &[&[Prediction]]) -> Result<Robustness> {
    let measured = |predictions: &[Prediction], kind: Kind, condition: &str| -> Vec<Measured> {
        let of_condition = predictions.iter().filter(|one| one.kind == kind && one.condition == condition);
        let measured = of_condition.map(|one| Measured {
            scored: one.scored.clone(),
            seconds: one.seconds,
            novel: one.novelty.map(|novelty| novelty.is_out_of_distribution()),
        });
        measured.collect()
    };
    let of_seeds = |kind: Kind, condition: &str| -> Vec<Vec<Measured>> {
        by_seed.iter().map(|predictions| measured(predictions, kind, condition)).collect()
    };
    let (clean, dataset) = (of_seeds(Kind::Clean, CLEAN), of_seeds(Kind::Dataset, Kind::Dataset.name()));
    let figures = |kind: Kind, condition: &str| -> Result<Condition> {
        let beside = if kind == Kind::Recording { &dataset } else { &clean };
        let measured = of_seeds(kind, condition);
        let pairs: Vec<_> =
            measured.iter().zip(beside).map(|(of, beside)| (of.as_slice(), beside.as_slice())).collect();
        Condition::new(condition, labels, &pairs, DEFAULT_SEED)
    };
    let of_kind = |kind: Kind| -> Result<Vec<Condition>> {
        let mut names: Vec<&str> = Vec::new();
        let mut known = BTreeSet::new();
        for one in by_seed.iter().take(1).flat_map(|predictions| predictions.iter()).filter(|one| one.kind == kind) {
            if known.insert(one.condition.as_str()) {
                names.push(&one.condition);
            }
        }
        names.into_iter().map(|name| figures(kind, name)).collect()
    };
    let degradations = of_kind(Kind::Degraded)?;
    let mut lengths = of_kind(Kind::Length)?;
    // The first clip may be shorter than others.
    lengths.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let Head { name, model, split, seeds, fitted_on, held_out, remarks, left_out } = head;
    let clips = clean.first().map_or(0, Vec::len);
    Ok(Robustness {
        name,
        model,
        split,
        seeds,
        fitted_on,
        clips,
        without_audio: held_out - clips.min(held_out),
        remarks,
        clean: figures(Kind::Clean, CLEAN)?,
        over_degradations: OverDegradations::new(&degradations),
        degradations,
        left_out,
        lengths,
        recordings: of_kind(Kind::Recording)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_do_not_overlap_and_are_of_the_clip() {
        let clip = Clip::new((0..1_000).map(|i| i as f32 / 1_000.0).collect(), 100).expect("samples");
        for (seconds, most, n) in
            [(1.0, 3, 3), (3.0, 3, 3), (4.0, 3, 2), (6.0, 3, 1), (10.0, 3, 1), (10.1, 3, 1), (11.0, 3, 0)]
        {
            let found = excerpts(&clip, seconds, most, &mut drawn_for(&["a"])).expect("samples");
            assert_eq!(found.len(), n, "{seconds} s");
            let mut end = 0;
            for excerpt in &found {
                let start = (excerpt.samples()[0] * 1_000.0).round() as usize;
                assert!(start >= end, "{seconds} s");
                end = start + excerpt.samples().len();
                assert_eq!(excerpt.samples(), &clip.samples()[start..end]);
                assert!((excerpt.seconds() - seconds).abs() < 0.11, "{}", excerpt.seconds());
            }
            assert_eq!(found, excerpts(&clip, seconds, most, &mut drawn_for(&["a"])).expect("samples"));
        }
        let starts = |name| excerpts(&clip, 1.0, 3, &mut drawn_for(&[name])).expect("samples");
        assert_ne!(starts("a"), starts("b"));
    }
}
