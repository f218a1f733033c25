//! The Python module `tonearm._tonearm`, which the package `tonearm` is written over: audio files, librosa's features, extractors,
//! classifiers and feature stores.
//!
//! Without the feature `extension` the crate is empty, so that the workspace builds without Python.

#[cfg(feature = "extension")]
mod arrays;
#[cfg(feature = "extension")]
mod audio;
#[cfg(feature = "extension")]
mod classifier;
#[cfg(feature = "extension")]
mod cli;
#[cfg(feature = "extension")]
mod descriptors;
#[cfg(feature = "extension")]
mod error;
#[cfg(feature = "extension")]
mod extractor;
#[cfg(feature = "extension")]
mod store;
#[cfg(feature = "extension")]
mod transforms;

/// What is compiled: the package `tonearm` has the names for users.
#[cfg(feature = "extension")]
#[pyo3::pymodule]
fn _tonearm(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    use pyo3::types::PyModuleMethods;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    audio::register(module)?;
    transforms::register(module)?;
    descriptors::register(module)?;
    extractor::register(module)?;
    classifier::register(module)?;
    store::register(module)?;
    cli::register(module)
}
