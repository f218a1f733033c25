//! Vectors of descriptors from audio, and what all long work shares: threads, progress, ctrl-c.

use std::sync::atomic::AtomicBool;

use features::{
    ClipFeatures, Extractor, FeatureSpec, FeatureVector, Span,
    decode::{Limits, decode},
    parallel::for_each_ordered,
    spec::PRESETS,
};
use ndarray::Array2;
use pyo3::{prelude::*, types::PyList};

use crate::{
    arrays::into_matrix,
    audio::Source,
    error::{error, parameter},
};

/// What a vector is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// A whole clip.
    Clip,
    /// A segment, of which a model predicts.
    Segment,
    /// A texture window.
    Window,
}

impl Per {
    /// What is called so.
    ///
    /// # Errors
    /// `ParameterError` for another name.
    pub(crate) fn named(name: &str) -> PyResult<Self> {
        match name {
            "clip" => Ok(Self::Clip),
            "segment" => Ok(Self::Segment),
            "window" => Ok(Self::Window),
            _ => Err(parameter(format!("per is `{name}`; expected clip, segment or window"))),
        }
    }

    /// The vectors of a clip, in the order of time.
    ///
    /// # Errors
    /// Those of [`Extractor::segments`].
    pub(crate) fn vectors(
        self,
        extractor: &Extractor,
        features: &ClipFeatures,
    ) -> features::Result<Vec<FeatureVector>> {
        match self {
            Self::Segment => extractor.segments(features),
            Self::Window => extractor.windows(features),
            Self::Clip => {
                let end = features.log_mel().n_frames();
                // For the least number of frames.
                extractor.segment_spans(end)?;
                let span = Span { start: 0, end, start_seconds: 0.0, end_seconds: extractor.spec().seconds(end) };
                Ok(vec![extractor.vector(features, span)?])
            }
        }
    }
}

/// The specification that a preset or JSON stands for.
///
/// # Errors
/// `ParameterError` for one that cannot be computed.
pub(crate) fn spec_of(text: &str) -> PyResult<FeatureSpec> {
    let spec = if PRESETS.contains(&text) { FeatureSpec::preset(text) } else { FeatureSpec::from_json(text) };
    spec.map_err(|e| error(e, None))
}

/// The features of audio. To be called without the lock of the interpreter.
///
/// # Errors
/// `AudioError`.
pub(crate) fn features_of(extractor: &Extractor, source: &Source, limits: &Limits) -> PyResult<ClipFeatures> {
    let extracted = match source {
        Source::Path(path) => extractor.extract_file(path, limits).map(|(features, _)| features),
        Source::Bytes(bytes) => decode(&**bytes, limits).and_then(|decoded| extractor.extract(&decoded.clip)),
        Source::Samples { samples, sample_rate } => {
            features::Clip::new(samples.clone(), *sample_rate).and_then(|clip| extractor.extract(&clip))
        }
    };
    extracted.map_err(|e| error(e, source.path()))
}

/// The limits of files: any size, and as many seconds.
///
/// # Errors
/// `ParameterError` for seconds that are no length.
pub(crate) fn limits(max_seconds: Option<f64>) -> PyResult<Limits> {
    let max_seconds = max_seconds.unwrap_or(f64::INFINITY);
    if max_seconds.is_nan() || max_seconds <= 0.0 {
        return Err(parameter(format!("max_seconds is {max_seconds}; expected a length over 0, or None")));
    }
    Ok(Limits { max_bytes: u64::MAX, max_seconds })
}

/// Tells `progress` how many of `total` are done, and gives way to ctrl-c.
///
/// # Errors
/// `KeyboardInterrupt`, and what `progress` raises.
pub(crate) fn tell(progress: Option<&Py<PyAny>>, done: usize, total: usize) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1(py, (done, total))?;
        }
        Ok(())
    })
}

/// Calls `work` with each number below `count` on `threads` threads (0 for one a core), without the lock of the interpreter, and gives the
/// results in the order of the numbers. `progress` is called with how many are done, and of how many.
///
/// # Errors
/// `KeyboardInterrupt`, and what `progress` raises, after which no more work is begun.
pub(crate) fn for_each<T: Send>(
    py: Python<'_>,
    count: usize,
    threads: usize,
    progress: Option<&Py<PyAny>>,
    work: impl Fn(usize) -> T + Send + Sync,
) -> PyResult<Vec<T>> {
    py.detach(|| {
        let mut done = Vec::with_capacity(count);
        for_each_ordered(count, threads, &AtomicBool::new(false), work, |_, result| {
            done.push(result);
            tell(progress, done.len(), count)
        })?;
        Ok(done)
    })
}

/// A list of what was made, and of the exceptions in place of what was not.
///
/// # Errors
/// Those of `convert`.
pub(crate) fn list_of<'py, T>(
    py: Python<'py>,
    results: Vec<PyResult<T>>,
    convert: impl Fn(T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for result in results {
        match result {
            Ok(made) => list.append(convert(made)?)?,
            Err(exception) => list.append(exception.into_value(py))?,
        }
    }
    Ok(list)
}

/// Vectors as a matrix of f32, and where each begins and ends, in seconds, as one of f64.
///
/// # Errors
/// When they are of different sizes.
pub(crate) fn matrices(py: Python<'_>, dim: usize, vectors: Vec<FeatureVector>) -> PyResult<Bound<'_, PyAny>> {
    let wrong = |e: ndarray::ShapeError| parameter(e.to_string());
    let times: Vec<f64> = vectors.iter().flat_map(|vector| [vector.start_seconds, vector.end_seconds]).collect();
    let n = vectors.len();
    let values: Vec<f32> = vectors.into_iter().flat_map(|vector| vector.vector).collect();
    let values = into_matrix(py, Array2::from_shape_vec((n, dim), values).map_err(wrong)?)?;
    let times = into_matrix(py, Array2::from_shape_vec((n, 2), times).map_err(wrong)?)?;
    Ok((values, times).into_pyobject(py)?.into_any())
}

/// Computes what a specification says.
#[pyclass(frozen, module = "tonearm._tonearm", name = "Extractor")]
pub(crate) struct PyExtractor {
    extractor: Extractor,
}

#[pymethods]
impl PyExtractor {
    /// Of a preset, or of a specification as JSON.
    #[new]
    fn new(spec: String) -> PyResult<Self> {
        let extractor = Extractor::new(spec_of(&spec)?).map_err(|e| error(e, None))?;
        Ok(Self { extractor })
    }

    /// Name of each dimension.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.extractor.names().to_vec()
    }

    /// The specification as JSON.
    #[getter]
    fn spec(&self) -> String {
        self.extractor.spec().canonical_json()
    }

    /// Its fingerprint: 64 hexadecimal digits.
    #[getter]
    fn fingerprint(&self) -> String {
        self.extractor.spec().fingerprint().to_string()
    }

    /// For each source `(vectors, seconds)`, f32 `(k, d)` and f64 `(k, 2)`, or an exception.
    #[pyo3(signature = (sources, per, threads, progress, max_seconds))]
    fn vectors<'py>(
        &self,
        py: Python<'py>,
        sources: Vec<Source>,
        per: String,
        threads: usize,
        progress: Option<Py<PyAny>>,
        max_seconds: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (per, limits) = (Per::named(&per)?, limits(max_seconds)?);
        let Self { extractor } = self;
        let vectors = |index: usize| -> PyResult<Vec<FeatureVector>> {
            let source = &sources[index];
            let features = features_of(extractor, source, &limits)?;
            per.vectors(extractor, &features).map_err(|e| error(e, source.path()))
        };
        let results = for_each(py, sources.len(), threads, progress.as_ref(), vectors)?;
        list_of(py, results, |vectors| matrices(py, extractor.names().len(), vectors))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyExtractor>()
}
