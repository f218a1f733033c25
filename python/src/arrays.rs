//! NumPy arrays in and out: what comes in is borrowed, what goes out is moved.
//!
//! The package hands over arrays that are C-contiguous and aligned; what is not is refused.

use ndarray::{Array2, ArrayView2};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::error::parameter;

/// The samples of a signal.
///
/// # Errors
/// `ParameterError` for one that is not finite.
pub(crate) fn samples<'a>(signal: &'a PyReadonlyArray1<'_, f32>) -> PyResult<&'a [f32]> {
    let samples = signal.as_slice()?;
    // Without an early end, so that many are compared at once.
    if samples.iter().fold(true, |finite, sample| finite & sample.is_finite()) {
        return Ok(samples);
    }
    let index = samples.iter().position(|sample| !sample.is_finite()).unwrap_or_default();
    Err(parameter(format!("sample {index} of the audio is {}: every sample must be a finite number", samples[index])))
}

/// The rows and columns of a matrix, and its values row by row.
pub(crate) fn rows<'a, T: Element>(matrix: &'a PyReadonlyArray2<'_, T>) -> PyResult<([usize; 2], &'a [T])> {
    let &[rows, columns] = matrix.shape() else { return Err(parameter("expected a matrix")) };
    if !matrix.is_c_contiguous() {
        return Err(parameter("expected a C-contiguous matrix"));
    }
    Ok(([rows, columns], matrix.as_slice()?))
}

/// A matrix as `ndarray` sees it.
pub(crate) fn matrix<'a>(matrix: &'a PyReadonlyArray2<'_, f32>) -> PyResult<ArrayView2<'a, f32>> {
    let (shape, values) = rows(matrix)?;
    ArrayView2::from_shape(shape, values).map_err(|error| parameter(error.to_string()))
}

/// Moves a matrix out.
pub(crate) fn into_matrix<T: Element>(py: Python<'_>, values: Array2<T>) -> PyResult<Bound<'_, PyArray2<T>>> {
    let shape = values.dim();
    let is_plain = values.is_standard_layout();
    let values = match values.into_raw_vec_and_offset() {
        (values, None | Some(0)) if is_plain => values,
        _ => return Err(parameter("a result is not in row-major order")),
    };
    values.into_pyarray(py).reshape([shape.0, shape.1])
}

/// Moves a series out.
pub(crate) fn into_series<T: Element>(py: Python<'_>, values: Vec<T>) -> Bound<'_, PyArray1<T>> {
    values.into_pyarray(py)
}
