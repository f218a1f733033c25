//! The support vector machine of `train svm`, fitted on a matrix.

use features::parallel::threads_of;
use models::svm::Svm;
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::{prelude::*, types::PyBytes};
use train::training::svm::{FittedSvm, Search, TrainingSet, fit};

use crate::{
    arrays::{into_matrix, rows},
    error::{error, parameter},
    extractor::for_each,
};

/// Rows that are predicted by one thread before it takes others.
const ROWS: usize = 64;

/// A fitted machine.
#[pyclass(frozen, module = "tonearm._tonearm", name = "Svm")]
pub(super) struct PySvm {
    svm: Svm,
    /// How it came about, as JSON; nothing of one that was read from bytes without it.
    report: String,
}

/// What is fitted on, one row a clip.
struct Rows<'a> {
    x: &'a [f32],
    dim: usize,
    labels: &'a [i64],
    groups: Vec<String>,
    names: Vec<String>,
}

impl Rows<'_> {
    /// A training set in which each row is a clip of one segment.
    fn set(self) -> PyResult<TrainingSet> {
        let label = |&label: &i64| {
            usize::try_from(label)
                .map_err(|_| parameter(format!("a label is {label}; expected 0 to the number of classes")))
        };
        let labels = self.labels.iter().map(label).collect::<PyResult<Vec<usize>>>()?;
        let vectors: Vec<Vec<f32>> = self.x.chunks_exact(self.dim.max(1)).map(<[f32]>::to_vec).collect();
        let n = vectors.len();
        Ok(TrainingSet {
            vectors,
            clip: (0..n).collect(),
            evaluated: vec![true; n],
            labels,
            groups: self.groups,
            names: self.names,
        })
    }
}

#[pymethods]
impl PySvm {
    /// Fits a machine on the rows of `x`, f32 `(n, d)`, with their classes `y`, i64 `(n,)`, 0 to k − 1. `groups` names for each row what must
    /// not be on both sides of a fold, `names` each dimension; `search` is the search as JSON, with the seed.
    #[staticmethod]
    #[pyo3(signature = (x, y, groups, names, search, threads))]
    fn fit(
        py: Python<'_>,
        x: PyReadonlyArray2<'_, f32>,
        y: PyReadonlyArray1<'_, i64>,
        groups: Vec<String>,
        names: Vec<String>,
        search: (String, u64),
        threads: usize,
    ) -> PyResult<Self> {
        let ([_, dim], x) = rows(&x)?;
        let labels = y.as_slice()?;
        let (search, seed) = search;
        let search: Search = serde_json::from_str(&search).map_err(|e| parameter(format!("invalid search: {e}")))?;
        let FittedSvm { svm, report, .. } = py.detach(|| {
            let set = Rows { x, dim, labels, groups, names }.set()?;
            fit(&set, &search, seed, threads, &|_, _| {}).map_err(|e| parameter(e.to_string()))
        })?;
        Ok(Self { svm, report: serde_json::to_string(&report).map_err(|e| error(e, None))? })
    }

    /// The machine of [`PySvm::to_bytes`].
    #[staticmethod]
    #[pyo3(signature = (bytes, report))]
    fn from_bytes(bytes: Vec<u8>, report: String) -> PyResult<Self> {
        Ok(Self { svm: Svm::from_tensors(&bytes).map_err(|e| error(e, None))?, report })
    }

    /// Its numbers, as a safetensors file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.svm.to_tensors().map_err(|e| error(e, None))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// How it came about, as JSON.
    #[getter]
    fn report(&self) -> String {
        self.report.clone()
    }

    /// The probabilities of the rows of `x`, f32 `(n, d)`: f64 `(n, k)`.
    #[pyo3(signature = (x, threads))]
    fn predict_proba<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'_, f32>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ([n, dim], values) = rows(&x)?;
        if dim != self.svm.dim() {
            return Err(parameter(format!("X has {dim} features, and the machine was fitted on {}", self.svm.dim())));
        }
        let svm = &self.svm;
        let blocks: Vec<&[f32]> = values.chunks(ROWS * dim.max(1)).collect();
        let of_block = |index: usize| -> models::Result<Vec<f64>> {
            let each = blocks[index].chunks_exact(dim).map(|row| svm.probabilities(row));
            each.collect::<models::Result<Vec<_>>>().map(|rows| rows.concat())
        };
        let threads = if blocks.len() < 2 { 1 } else { threads_of(threads) };
        let found = for_each(py, blocks.len(), threads, None, of_block)?;
        let found = found.into_iter().collect::<models::Result<Vec<_>>>().map_err(|e| parameter(e.to_string()))?;
        let found = ndarray::Array2::from_shape_vec((n, svm.n_classes()), found.concat());
        Ok(into_matrix(py, found.map_err(|e| parameter(e.to_string()))?)?.into_any())
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySvm>()
}
