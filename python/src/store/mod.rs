//! Feature stores and labelled datasets: what a row is, and the vectors that it gives. Its arrays are mapped by the package itself.

mod splits;

use std::path::PathBuf;

use data::{ExtractOptions, FeatureStore, LabelledDataset, Part};
use features::{Extractor, FeatureVector};
use pyo3::{prelude::*, types::PyList};

use crate::{
    error::error,
    extractor::{Per, for_each, list_of, matrices, spec_of},
};

/// A store that was opened and checked.
#[pyclass(frozen, module = "tonearm._tonearm", name = "FeatureStore")]
pub(crate) struct PyFeatureStore {
    store: FeatureStore,
}

impl PyFeatureStore {
    /// Something of each row, in order.
    fn each<'a, T>(&'a self, of: impl Fn(&'a FeatureStore, usize) -> T) -> Vec<T> {
        (0..self.store.len()).map(|row| of(&self.store, row)).collect()
    }
}

#[pymethods]
impl PyFeatureStore {
    /// Opens the store in a folder, and checks every size, id and label.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let store = py.detach(|| FeatureStore::open(&path)).map_err(|e| error(e, Some(&path)))?;
        Ok(Self { store })
    }

    /// The folder.
    #[getter]
    fn path(&self) -> PathBuf {
        self.store.dir().to_owned()
    }

    /// Clip ids.
    #[getter]
    fn clip_ids(&self) -> Vec<String> {
        self.store.ids().map(str::to_owned).collect()
    }

    /// Labels.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.each(|store, row| store.label(row).to_string())
    }

    /// Artists, where known.
    #[getter]
    fn artists(&self) -> Vec<Option<String>> {
        self.each(|store, row| store.artist(row).map(str::to_owned))
    }

    /// Titles, where known.
    #[getter]
    fn titles(&self) -> Vec<Option<String>> {
        self.each(|store, row| store.title(row).map(str::to_owned))
    }

    /// Albums, where known.
    #[getter]
    fn albums(&self) -> Vec<Option<String>> {
        self.each(|store, row| store.album(row).map(str::to_owned))
    }

    /// Parts of the split that the dataset came with.
    #[getter]
    fn given(&self) -> Vec<Option<&'static str>> {
        self.each(|store, row| store.given(row).map(Part::name))
    }

    /// The clips of GTZAN that rows were recognised as.
    #[getter]
    fn gtzan(&self) -> Vec<Option<String>> {
        self.each(|store, row| store.catalogue(row).map(|entry| entry.clip_id.clone()))
    }

    /// Frames of each row that are not padding.
    #[getter]
    fn n_frames(&self) -> Vec<usize> {
        self.each(FeatureStore::n_frames)
    }

    /// What the rows hold, as JSON.
    #[getter]
    fn spec(&self) -> String {
        self.store.spec().canonical_json()
    }

    /// The fingerprint of the log-mel.
    #[getter]
    fn log_mel_fingerprint(&self) -> String {
        self.store.spec().log_mel_fingerprint().to_string()
    }

    /// The groups of clips that may share an artist or a recording, by artists, albums, titles and sound.
    fn groups(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let Self { store } = self;
        let dataset = py.detach(|| LabelledDataset::open(&[store.dir()], store.spec(), &ExtractOptions::default()));
        let dataset = dataset.map_err(|e| error(e, Some(store.dir())))?;
        Ok(dataset.clips().iter().map(|clip| clip.group.clone()).collect())
    }

    /// The names of the descriptors that [`PyFeatureStore::vectors`] gives.
    #[pyo3(signature = (spec))]
    fn names(&self, spec: Option<String>) -> PyResult<Vec<String>> {
        Ok(self.extractor(spec)?.names().to_vec())
    }

    /// For each of `rows` `(vectors, seconds)`, f32 `(k, d)` and f64 `(k, 2)`, or an exception. `spec` is a preset or JSON.
    #[pyo3(signature = (rows, per, spec, threads, progress))]
    fn vectors<'py>(
        &self,
        py: Python<'py>,
        rows: Vec<usize>,
        per: String,
        spec: Option<String>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (per, extractor) = (Per::named(&per)?, self.extractor(spec)?);
        let Self { store } = self;
        if let Some(row) = rows.iter().find(|row| **row >= store.len()) {
            return Err(crate::error::parameter(format!("there is no row {row}: the store has {}", store.len())));
        }
        let vectors = |index: usize| -> PyResult<Vec<FeatureVector>> {
            let features = store.features(rows[index]).map_err(|e| error(e, Some(store.dir())))?;
            per.vectors(&extractor, &features).map_err(|e| error(e, Some(store.dir())))
        };
        let results = for_each(py, rows.len(), threads, progress.as_ref(), vectors)?;
        list_of(py, results, |vectors| matrices(py, extractor.names().len(), vectors))
    }
}

impl PyFeatureStore {
    /// The extractor of the store's own specification; or that of another, with those descriptors that the rows suffice for.
    fn extractor(&self, spec: Option<String>) -> PyResult<Extractor> {
        let own = self.store.spec();
        let spec = match spec {
            None => own.clone(),
            Some(text) => {
                let mut spec = spec_of(&text)?;
                let (ours, theirs) = (spec.log_mel_fingerprint(), own.log_mel_fingerprint());
                if ours != theirs {
                    return Err(crate::error::parameter(format!(
                        "the log-mels of the store have fingerprint {theirs}, and the specification asks for {ours}: extract its audio again"
                    )));
                }
                spec.descriptors.retain(|&descriptor| self.store.suffices_for(descriptor));
                spec
            }
        };
        spec.require_descriptors().map_err(|e| error(e, None))?;
        Extractor::new(spec).map_err(|e| error(e, None))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFeatureStore>()?;
    splits::register(module)
}
