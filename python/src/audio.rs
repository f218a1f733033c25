//! Audio files, their content and samples, as every other module takes them, and `load`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use features::{
    Error,
    decode::{AudioInput, Limits, StreamOptions, stream},
};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::{
    Borrowed,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyString},
    wrap_pyfunction,
};

use crate::{
    arrays::into_series,
    error::{error, parameter},
};

/// Files of any size and length: [`MAX_SAMPLES`] bounds what is given.
const LIMITS: Limits = Limits { max_bytes: u64::MAX, max_seconds: f64::INFINITY };

/// Most samples that [`load`] gives, all channels together: two hours at 192 kHz.
const MAX_SAMPLES: usize = 7_200 * 192_000;

/// Audio as Python gives it: a path (`str` or `os.PathLike`, of any bytes), the content of a file (`bytes` and what is like it, or a file
/// that is open for reading), or samples with their rate.
pub(crate) enum Source {
    /// The file at this path.
    Path(PathBuf),
    /// The content of a file.
    Bytes(PyBackedBytes),
    /// Mono samples, full scale ±1.
    Samples {
        /// The samples.
        samples: Vec<f32>,
        /// Their rate in Hz.
        sample_rate: u32,
    },
}

impl Source {
    /// The path of a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Bytes(_) | Self::Samples { .. } => None,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Source {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let plain = object.py().import("tonearm._checks")?.getattr("as_source")?.call1((object,))?;
        if plain.is_instance_of::<PyString>() {
            return Ok(Self::Path(plain.extract::<OsString>()?.into()));
        }
        if plain.is_instance_of::<PyBytes>() {
            return Ok(Self::Bytes(plain.extract()?));
        }
        let (samples, sample_rate): (PyReadonlyArray1<'_, f32>, u32) = plain.extract()?;
        Ok(Self::Samples { samples: samples.as_slice()?.to_vec(), sample_rate })
    }
}

/// What [`load`] gives.
#[derive(Default)]
struct Loaded {
    /// Interleaved.
    samples: Vec<f32>,
    sample_rate: u32,
    channels: usize,
    /// Of what was decoded, the part before the offset included.
    seconds: f64,
    warnings: Vec<String>,
}

fn read(input: AudioInput<'_>, keep_channels: bool, offset: f64, duration: Option<f64>) -> features::Result<Loaded> {
    let options = StreamOptions { keep_channels, end_seconds: duration.map_or(f64::INFINITY, |d| offset + d) };
    let mut loaded = Loaded::default();
    let mut seen = 0u64;
    let result = stream(input, &options, &LIMITS, &mut |piece, sample_rate, channels| {
        (loaded.sample_rate, loaded.channels) = (sample_rate, channels);
        // Cut to whole frames as libsndfile and librosa do; a cast to an integer saturates.
        let rate = f64::from(sample_rate);
        let first = (offset * rate) as u64;
        let end = duration.map_or(u64::MAX, |duration| first.saturating_add((duration * rate) as u64));
        let frames = (piece.len() / channels) as u64;
        let within = |frame: u64| frame.saturating_sub(seen).min(frames) as usize * channels;
        if loaded.samples.len() + piece.len() > MAX_SAMPLES {
            let limit = (MAX_SAMPLES / channels) as f64 / rate;
            return Err(Error::TooLong { seconds: seen as f64 / rate, limit });
        }
        if let Some(kept) = piece.get(within(first)..within(end)) {
            loaded.samples.extend_from_slice(kept);
        }
        seen += frames;
        Ok(())
    });
    match result {
        Ok(info) => {
            (loaded.sample_rate, loaded.warnings) =
                (info.sample_rate, info.warnings.iter().map(ToString::to_string).collect());
        }
        // Silence is no error to one who wants the samples. It is told at the end, after all of them.
        Err(Error::Silent { detail }) if seen > 0 => loaded.warnings.push(detail),
        Err(error) => return Err(error),
    }
    loaded.seconds = seen as f64 / f64::from(loaded.sample_rate);
    Ok(loaded)
}

/// Interleaved samples, their rate, their channels, and what the decoder warns of.
type Parts<'py> = (Bound<'py, PyArray1<f32>>, u32, usize, Vec<String>);

/// Decodes `duration` seconds (or all) of a file from `offset` seconds on.
#[pyfunction]
#[pyo3(signature = (source, mono, offset, duration))]
fn load(py: Python<'_>, source: Source, mono: bool, offset: f64, duration: Option<f64>) -> PyResult<Parts<'_>> {
    let loaded = py.detach(|| {
        let read = |input| read(input, !mono, offset, duration).map_err(|e| error(e, source.path()));
        match &source {
            Source::Path(path) => read(AudioInput::File(path)),
            Source::Bytes(bytes) => read(AudioInput::Bytes(bytes)),
            Source::Samples { .. } => Err(parameter("expected a path or the bytes of a file, found samples")),
        }
    })?;
    if offset > loaded.seconds {
        return Err(parameter(format!("offset={offset} s is behind the end of the audio, at {:.3} s", loaded.seconds)));
    }
    Ok((into_series(py, loaded.samples), loaded.sample_rate, loaded.channels, loaded.warnings))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)
}
