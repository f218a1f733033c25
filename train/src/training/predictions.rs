//! [`HeldOutPredictions`]: what a training predicted of clips that its models were not fitted on, as a file of the artifact. An
//! ensemble learns its weights from it, and is evaluated by it, without the dataset and without fitting its members again.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};
use models::artifact::{Artifact, PREDICTIONS};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};

use crate::evaluation::metrics::Scored;

/// Most bytes of probabilities that an artifact keeps: of 200 000 clips those of 83 labels.
const LIMIT: usize = 64 << 20;
/// Most clips, whose ids and artists are in the header.
const MAX_CLIPS: usize = 200_000;

const CLIPS: &str = "tonearm.clips";
const CROSS_VALIDATED: &str = "cross_validated";
const HELD_OUT: &str = "held_out";
const FOLDS: &str = "held_out.fold";

/// Predictions of clips by models that were not fitted on them.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutPredictions {
    /// Of the clips that were fitted on, each by models that did not see its artist.
    pub cross_validated: Vec<Scored>,
    /// Of the clips that evaluate.
    pub held_out: Vec<Scored>,
    /// Number of the fold of each clip that evaluates.
    pub folds: Vec<usize>,
}

/// The clips of the file, in the order of its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clips {
    cross_validated: Vec<Clip>,
    held_out: Vec<Clip>,
}

/// A clip, without what was predicted: its id, its group, and artist and title for people. An array in JSON, which is shorter.
#[derive(Serialize, Deserialize)]
struct Clip(String, String, String);

impl HeldOutPredictions {
    /// The bytes of a safetensors file; equal predictions give equal bytes. `None` where there is no clip to learn from, or
    /// there are too many: more than 200 000, or of so many labels that the probabilities take more than 64 MiB.
    ///
    /// # Shapes
    /// `cross_validated` and `held_out`: F32 `[clips, labels]`, the probabilities; with `.truth`: U32 `[clips]`, the index of the
    /// true label; `held_out.fold`: U32 `[clips]`. Ids, artists and titles are JSON in the header, under `tonearm.clips`.
    ///
    /// # Errors
    /// Should the format not hold them.
    pub fn to_tensors(&self) -> Result<Option<Vec<u8>>> {
        let Self { cross_validated, held_out, folds } = self;
        let Some(first) = cross_validated.first() else { return Ok(None) };
        let n_labels = first.probabilities.len();
        let n_clips = cross_validated.len() + held_out.len();
        if n_clips > MAX_CLIPS || n_clips.saturating_mul(n_labels).saturating_mul(4) > LIMIT {
            return Ok(None);
        }
        let u32s = |values: Vec<usize>| values.into_iter().flat_map(|value| (value as u32).to_le_bytes()).collect();
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, clips) in [(CROSS_VALIDATED, cross_validated), (HELD_OUT, held_out)] {
            let probabilities = clips.iter().flat_map(|clip| &clip.probabilities);
            let bytes = probabilities.flat_map(|&p| (p as f32).to_le_bytes()).collect();
            tensors.push((name.to_owned(), Dtype::F32, vec![clips.len(), n_labels], bytes));
            let truths = u32s(clips.iter().map(|clip| clip.truth).collect());
            tensors.push((format!("{name}.truth"), Dtype::U32, vec![clips.len()], truths));
        }
        tensors.push((FOLDS.to_owned(), Dtype::U32, vec![folds.len()], u32s(folds.clone())));
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let clips = |clips: &[Scored]| {
            let clip = |clip: &Scored| Clip(clip.clip_id.clone(), clip.group.clone(), clip.metadata.clone());
            clips.iter().map(clip).collect()
        };
        let clips = Clips { cross_validated: clips(cross_validated), held_out: clips(held_out) };
        let header = HashMap::from([(CLIPS.to_owned(), serde_json::to_string(&clips)?)]);
        Ok(Some(serialize(views, Some(header))?))
    }

    /// Reads those of an artifact.
    ///
    /// # Errors
    /// When the artifact has none, or they are not what [`HeldOutPredictions::to_tensors`] writes for its labels.
    pub fn of(artifact: &Artifact) -> Result<Self> {
        let manifest = artifact.manifest();
        let Ok(bytes) = artifact.file(PREDICTIONS) else {
            bail!(
                "{} {} keeps no predictions of clips that its training held out ({PREDICTIONS}): an earlier release trained it, or \
                 it has too many clips; train it again",
                manifest.model,
                artifact.version()
            );
        };
        let wrong = || format!("failed to read {}", artifact.dir().join(PREDICTIONS).display());
        Self::from_tensors(bytes, manifest.labels.len()).with_context(wrong)
    }

    fn from_tensors(bytes: &[u8], n_labels: usize) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let clips = header.metadata().as_ref().and_then(|fields| fields.get(CLIPS));
        let clips = clips.with_context(|| format!("the header has no `{CLIPS}`"))?;
        let Clips { cross_validated, held_out } = serde_json::from_str(clips)?;
        let folds = u32s(&file, FOLDS, held_out.len())?;
        Ok(Self {
            cross_validated: scored(&file, CROSS_VALIDATED, cross_validated, n_labels)?,
            held_out: scored(&file, HELD_OUT, held_out, n_labels)?,
            folds,
        })
    }
}

/// The tensor of that name, if it is of that type and shape.
fn values<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [[u8; 4]]> {
    let view = file.tensor(name)?;
    ensure!(
        view.dtype() == dtype && view.shape() == shape,
        "tensor `{name}` is {:?} of shape {:?}, not {dtype:?} of {shape:?}",
        view.dtype(),
        view.shape()
    );
    Ok(view.data().as_chunks::<4>().0)
}

fn u32s(file: &SafeTensors<'_>, name: &str, n: usize) -> Result<Vec<usize>> {
    Ok(values(file, name, Dtype::U32, &[n])?.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect())
}

fn scored(file: &SafeTensors<'_>, name: &str, clips: Vec<Clip>, n_labels: usize) -> Result<Vec<Scored>> {
    let truths = u32s(file, &format!("{name}.truth"), clips.len())?;
    let probabilities = values(file, name, Dtype::F32, &[clips.len(), n_labels])?;
    let probabilities: Vec<f64> = probabilities.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    ensure!(truths.iter().all(|&truth| truth < n_labels), "`{name}.truth` holds an index that no label has");
    ensure!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "`{name}` holds a value that is no probability");
    let one = |((Clip(clip_id, group, metadata), truth), probabilities): ((Clip, usize), &[f64])| Scored {
        clip_id,
        metadata,
        group,
        truth,
        probabilities: probabilities.to_vec(),
    };
    Ok(clips.into_iter().zip(truths).zip(probabilities.chunks_exact(n_labels.max(1))).map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(number: usize) -> Scored {
        let probabilities = vec![0.25, 0.25 + number as f64 / 64.0, 0.5 - number as f64 / 64.0];
        Scored {
            clip_id: format!("clip {number}"),
            metadata: "Édith Piaf: Milord".to_owned(),
            group: (number / 2).to_string(),
            truth: number % 3,
            probabilities,
        }
    }

    fn predictions() -> HeldOutPredictions {
        HeldOutPredictions {
            cross_validated: (0..8).map(clip).collect(),
            held_out: (8..12).map(clip).collect(),
            folds: vec![0, 0, 1, 1],
        }
    }

    #[test]
    fn what_is_kept_is_what_was_predicted() {
        let bytes = predictions().to_tensors().expect("bytes").expect("kept");
        assert_eq!(HeldOutPredictions::from_tensors(&bytes, 3).expect("predictions"), predictions());
        assert_eq!(predictions().to_tensors().expect("bytes"), Some(bytes.clone()));
        assert!(HeldOutPredictions::from_tensors(&bytes, 4).is_err(), "of other labels");
        for end in [0, 8, bytes.len() / 2, bytes.len() - 1] {
            assert!(HeldOutPredictions::from_tensors(&bytes[..end], 3).is_err());
        }
        let nothing = HeldOutPredictions { cross_validated: Vec::new(), ..predictions() };
        assert_eq!(nothing.to_tensors().expect("nothing"), None);
    }

    #[test]
    fn what_no_training_predicts_is_refused() {
        let mut wrong = predictions();
        wrong.held_out[1].truth = 3;
        let bytes = wrong.to_tensors().expect("bytes").expect("kept");
        assert!(HeldOutPredictions::from_tensors(&bytes, 3).is_err());
        for bad in [-0.5, 1.5, f64::NAN] {
            let mut wrong = predictions();
            wrong.cross_validated[3].probabilities[1] = bad;
            let bytes = wrong.to_tensors().expect("bytes").expect("kept");
            assert!(HeldOutPredictions::from_tensors(&bytes, 3).is_err(), "{bad}");
        }
    }
}
