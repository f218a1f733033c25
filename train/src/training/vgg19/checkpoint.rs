//! [`Checkpoint`]: a tuning on disk, so that one that was killed goes on where it was.

use std::{collections::HashMap, fs, io::Write as _, path::Path};

use anyhow::Result;
use models::vgg19::Vgg19Parameters;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};

const PROGRESS: &str = "progress";
const BEST: &str = "best";

/// How one epoch went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of its steps, with mixed clips and smoothed targets.
    pub loss: f64,
    /// Share of its crops whose most probable class is the one that the larger share of the mix is.
    pub accuracy: f64,
    /// How good the averaged weights are on the held-out clips, if they were evaluated on.
    pub held_out: Option<HeldOutScore>,
}

/// How good a network is on held-out clips, before any temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOutScore {
    /// Mean of −ln of the probability of the true class.
    pub log_loss: f64,
    /// Share that is right.
    pub accuracy: f64,
}

/// How far a tuning is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub history: Vec<Epoch>,
    pub steps: usize,
    /// Epochs and log-loss of the best evaluation on held-out clips.
    pub best: Option<(usize, f64)>,
    /// Evaluations since then.
    pub worse: usize,
}

/// One tensor with its name.
pub(super) struct NamedTensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A checkpoint that was read.
pub(super) struct Checkpoint {
    pub progress: Progress,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// Writes a checkpoint; a reader sees the one before it or this one, never a part.
    pub(super) fn write(
        path: &Path,
        progress: &Progress,
        tensors: Vec<NamedTensor>,
        best: Option<&Vgg19Parameters>,
    ) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut stored: Vec<_> = tensors
            .into_iter()
            .map(|NamedTensor { name, shape, values }| {
                (name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
            })
            .collect();
        if let Some(best) = best {
            let bytes = best.to_tensors()?;
            stored.push((BEST.to_owned(), Dtype::U8, vec![bytes.len()], bytes));
        }
        let views = stored
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>>>()?;
        let bytes = serialize(views, Some(HashMap::from([(PROGRESS.to_owned(), serde_json::to_string(progress)?)])))?;
        let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Reads a checkpoint; `None` where there is none, or none that can be used.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        SafeTensors::deserialize(&bytes).ok()?;
        let progress = serde_json::from_str(metadata.metadata().as_ref()?.get(PROGRESS)?).ok()?;
        Some(Self { progress, bytes })
    }

    /// A tensor of this shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.bytes).ok()?;
        let view = file.tensor(name).ok()?;
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            return None;
        }
        let (values, _) = view.data().as_chunks::<4>();
        Some(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    /// The best network so far, if it is one of the same kind as `like`.
    pub(super) fn best(&self, like: &Vgg19Parameters) -> Option<Vgg19Parameters> {
        let file = SafeTensors::deserialize(&self.bytes).ok()?;
        let best = Vgg19Parameters::from_tensors(file.tensor(BEST).ok()?.data()).ok()?;
        (best.config == like.config && best.channels == like.channels).then_some(best)
    }
}
