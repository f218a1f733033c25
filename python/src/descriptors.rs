//! Descriptors of spectrograms, onset strengths and signals, with librosa's defaults where nothing is said.

use features::descriptors::{chroma as of_chroma, delta as of_delta, onset, spectral, tempo as of_tempo, time_domain};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::{prelude::*, wrap_pyfunction};

use crate::{
    arrays::{into_matrix, into_series, matrix, samples},
    error::error,
};

/// A matrix on its way out.
type Matrix<'py> = Bound<'py, PyArray2<f32>>;

/// A series on its way out.
type Series<'py> = Bound<'py, PyArray1<f32>>;

/// A matrix `[bins, frames]` on its way in.
type Input<'py> = PyReadonlyArray2<'py, f32>;

fn failed(e: features::Error) -> PyErr {
    error(e, None)
}

/// Hz of each frame.
#[pyfunction]
fn spectral_centroid<'py>(py: Python<'py>, magnitude: Input<'py>, sr: u32) -> PyResult<Series<'py>> {
    let magnitude = matrix(&magnitude)?;
    Ok(into_series(py, py.detach(|| spectral::centroid(magnitude, sr))))
}

/// Hz of each frame about its centroid.
#[pyfunction]
fn spectral_bandwidth<'py>(
    py: Python<'py>,
    magnitude: Input<'py>,
    sr: u32,
    centroid: PyReadonlyArray1<'py, f32>,
) -> PyResult<Series<'py>> {
    let (magnitude, centroid) = (matrix(&magnitude)?, centroid.as_slice()?);
    Ok(into_series(py, py.detach(|| spectral::bandwidth(magnitude, sr, centroid)).map_err(failed)?))
}

/// dB of each band and frame.
#[pyfunction]
fn spectral_contrast<'py>(
    py: Python<'py>,
    magnitude: Input<'py>,
    sr: u32,
    fmin: f64,
    n_bands: usize,
    quantile: f64,
) -> PyResult<Matrix<'py>> {
    let magnitude = matrix(&magnitude)?;
    let spec = spectral::ContrastSpec { n_bands, f_min: fmin, quantile };
    into_matrix(py, py.detach(|| spectral::contrast(magnitude, sr, &spec)).map_err(failed)?)
}

/// Flatness of each frame of the power, of a magnitude spectrogram.
#[pyfunction]
fn spectral_flatness<'py>(py: Python<'py>, magnitude: Input<'py>, amin: f32) -> PyResult<Series<'py>> {
    let magnitude = matrix(&magnitude)?;
    Ok(into_series(py, py.detach(|| spectral::flatness(magnitude, amin))))
}

/// Hz of each frame.
#[pyfunction]
fn spectral_rolloff<'py>(py: Python<'py>, magnitude: Input<'py>, sr: u32, roll_percent: f32) -> PyResult<Series<'py>> {
    let magnitude = matrix(&magnitude)?;
    Ok(into_series(py, py.detach(|| spectral::rolloff(magnitude, sr, roll_percent))))
}

/// Chroma filters `[n_chroma, n_fft / 2 + 1]`; `octaves` are centre and width of the weighting.
#[pyfunction]
#[pyo3(signature = (sr, n_fft, tuning, n_chroma, octaves, base_c))]
fn chroma_filters(
    py: Python<'_>,
    sr: u32,
    n_fft: usize,
    tuning: f64,
    n_chroma: usize,
    octaves: (f64, Option<f64>),
    base_c: bool,
) -> PyResult<Matrix<'_>> {
    let (centre_octave, octave_width) = octaves;
    let spec = of_chroma::ChromaSpec { n_chroma, centre_octave, octave_width, base_c };
    into_matrix(py, of_chroma::filters(sr, n_fft, tuning, &spec).map_err(failed)?)
}

/// A chromagram, the greatest class of each frame 1, of a power spectrogram.
#[pyfunction]
fn chroma<'py>(py: Python<'py>, power: Input<'py>, filters: Input<'py>) -> PyResult<Matrix<'py>> {
    let (power, filters) = (matrix(&power)?, matrix(&filters)?);
    into_matrix(py, py.detach(|| of_chroma::chroma(power, filters)).map_err(failed)?)
}

/// Classes off A440.
#[pyfunction]
fn estimate_tuning(py: Python<'_>, spectrogram: Input<'_>, sr: u32, bins_per_octave: usize) -> PyResult<f64> {
    let spectrogram = matrix(&spectrogram)?;
    Ok(py.detach(|| of_chroma::estimate_tuning(spectrogram, sr, bins_per_octave)))
}

/// Onset strength of a log-mel spectrogram: the mean, or the median, over the bands.
#[pyfunction]
fn onset_strength<'py>(
    py: Python<'py>,
    log_mel: Input<'py>,
    n_fft: usize,
    hop_length: usize,
    center: bool,
    is_median: bool,
) -> PyResult<Series<'py>> {
    let log_mel = matrix(&log_mel)?;
    let strength = if is_median { onset::median_onset_strength } else { onset::onset_strength };
    Ok(into_series(py, py.detach(|| strength(log_mel, n_fft, hop_length, center))))
}

/// Beats a minute of an onset strength; `prior` are the likeliest tempo and its deviation in octaves.
#[pyfunction]
fn tempo(
    py: Python<'_>,
    onset_strength: PyReadonlyArray1<'_, f32>,
    sr: u32,
    hop_length: usize,
    window_seconds: f64,
    prior: (f64, f64),
    max_bpm: f64,
) -> PyResult<f64> {
    let strength = onset_strength.as_slice()?;
    let spec = of_tempo::TempoSpec { window_seconds, start_bpm: prior.0, std_octaves: prior.1, max_bpm };
    Ok(py.detach(|| of_tempo::tempo(strength, sr, hop_length, &spec)))
}

/// `[window, frames]` of an onset strength.
#[pyfunction]
fn tempogram<'py>(py: Python<'py>, onset_strength: PyReadonlyArray1<'py, f32>, window: usize) -> PyResult<Matrix<'py>> {
    let strength = onset_strength.as_slice()?;
    into_matrix(py, py.detach(|| of_tempo::tempogram(strength, window)))
}

/// Root mean square of each frame.
#[pyfunction]
fn rms<'py>(
    py: Python<'py>,
    y: PyReadonlyArray1<'py, f32>,
    frame_length: usize,
    hop_length: usize,
    center: bool,
) -> PyResult<Series<'py>> {
    let y = samples(&y)?;
    Ok(into_series(py, py.detach(|| time_domain::rms(y, frame_length, hop_length, center))))
}

/// Share of the samples of each frame at which the sign changes.
#[pyfunction]
fn zero_crossing_rate<'py>(
    py: Python<'py>,
    y: PyReadonlyArray1<'py, f32>,
    frame_length: usize,
    hop_length: usize,
    center: bool,
) -> PyResult<Series<'py>> {
    let y = samples(&y)?;
    Ok(into_series(py, py.detach(|| time_domain::zero_crossing_rate(y, frame_length, hop_length, center))))
}

/// Slope, or curvature, of each row over `width` columns.
#[pyfunction]
fn delta<'py>(py: Python<'py>, values: Input<'py>, width: usize, is_second: bool) -> PyResult<Matrix<'py>> {
    let values = matrix(&values)?;
    let order = if is_second { of_delta::Order::Second } else { of_delta::Order::First };
    into_matrix(py, py.detach(|| of_delta::delta_over(values, width, order)))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(spectral_centroid, module)?)?;
    module.add_function(wrap_pyfunction!(spectral_bandwidth, module)?)?;
    module.add_function(wrap_pyfunction!(spectral_contrast, module)?)?;
    module.add_function(wrap_pyfunction!(spectral_flatness, module)?)?;
    module.add_function(wrap_pyfunction!(spectral_rolloff, module)?)?;
    module.add_function(wrap_pyfunction!(chroma_filters, module)?)?;
    module.add_function(wrap_pyfunction!(chroma, module)?)?;
    module.add_function(wrap_pyfunction!(estimate_tuning, module)?)?;
    module.add_function(wrap_pyfunction!(onset_strength, module)?)?;
    module.add_function(wrap_pyfunction!(tempo, module)?)?;
    module.add_function(wrap_pyfunction!(tempogram, module)?)?;
    module.add_function(wrap_pyfunction!(rms, module)?)?;
    module.add_function(wrap_pyfunction!(zero_crossing_rate, module)?)?;
    module.add_function(wrap_pyfunction!(delta, module)?)
}
