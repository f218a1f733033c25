//! Plans that the package keeps between calls, and transforms of spectrograms.

use features::{
    descriptors::mfcc,
    dsp::{
        db,
        hpss::{self, Hpss, Parts},
        mel, resample,
        stft::{self, Spectrogram},
    },
    keep_freed,
    spec::{DbSpec, MelNorm, MelScale, MelSpec, StftSpec, Window},
};
use ndarray::Array2;
use numpy::{Complex32, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1};
use pyo3::{prelude::*, wrap_pyfunction};

use crate::{
    arrays::{into_matrix, into_series, matrix, rows, samples},
    error::{error, parameter},
};

/// A matrix on its way out.
type Matrix<'py> = Bound<'py, PyArray2<f32>>;

/// A series on its way out.
type Series<'py> = Bound<'py, PyArray1<f32>>;

fn failed(e: features::Error) -> PyErr {
    error(e, None)
}

/// A planned short-time Fourier transform: even `n_fft` from 16 to 32768, under a periodic Hann window or the weights given.
#[pyclass(frozen, module = "tonearm._tonearm")]
pub(crate) struct Stft(stft::Stft);

#[pymethods]
impl Stft {
    #[new]
    #[pyo3(signature = (n_fft, hop_length, center, window=None))]
    fn new(n_fft: usize, hop_length: usize, center: bool, window: Option<PyReadonlyArray1<'_, f64>>) -> PyResult<Self> {
        // Results are given back with each call: without this their pages are fetched anew each time.
        keep_freed();
        let plan = match window {
            None => stft::Stft::new(&StftSpec { n_fft, hop_length, window: Window::Hann, center }),
            Some(weights) => {
                let weights = weights.as_slice()?;
                if weights.len() != n_fft {
                    return Err(parameter(format!("the window has {} weights, not n_fft={n_fft}", weights.len())));
                }
                stft::Stft::with_window(weights, hop_length, center)
            }
        };
        plan.map(Self).map_err(failed)
    }

    /// |X|², `[n_fft / 2 + 1, frames]`.
    fn power<'py>(&self, py: Python<'py>, y: PyReadonlyArray1<'py, f32>) -> PyResult<Matrix<'py>> {
        let y = samples(&y)?;
        into_matrix(py, py.detach(|| self.0.power(y)).map_err(failed)?)
    }

    /// |X|, `[n_fft / 2 + 1, frames]`.
    fn magnitude<'py>(&self, py: Python<'py>, y: PyReadonlyArray1<'py, f32>) -> PyResult<Matrix<'py>> {
        let y = samples(&y)?;
        into_matrix(py, py.detach(|| self.0.magnitude(y)).map_err(failed)?)
    }

    /// X, `[n_fft / 2 + 1, frames]`.
    fn complex<'py>(
        &self,
        py: Python<'py>,
        y: PyReadonlyArray1<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<Complex32>>> {
        let y = samples(&y)?;
        let values = py.detach(|| {
            let Spectrogram { re, im } = self.0.complex(y)?;
            let values = re.iter().zip(&im).map(|(&re, &im)| Complex32::new(re, im)).collect::<Vec<_>>();
            Ok((re.dim(), values))
        });
        let (shape, values) = values.map_err(failed)?;
        into_matrix(py, Array2::from_shape_vec(shape, values).map_err(|e| parameter(e.to_string()))?)
    }

    /// The signal of `length` samples of a spectrogram.
    fn istft<'py>(
        &self,
        py: Python<'py>,
        spectrogram: PyReadonlyArray2<'py, Complex32>,
        length: usize,
    ) -> PyResult<Series<'py>> {
        let (shape, values) = rows(&spectrogram)?;
        let signal = py.detach(|| {
            let part = |of: fn(&Complex32) -> f32| Array2::from_shape_vec(shape, values.iter().map(of).collect());
            match (part(|value| value.re), part(|value| value.im)) {
                (Ok(re), Ok(im)) => self.0.istft(&Spectrogram { re, im }, length).map_err(failed),
                (Err(e), _) | (_, Err(e)) => Err(parameter(e.to_string())),
            }
        })?;
        Ok(into_series(py, signal))
    }

    /// Frames of a signal of `length` samples.
    fn n_frames(&self, length: usize) -> usize {
        self.0.n_frames(length)
    }
}

/// Mel filters of height or area 1 for the `n_fft / 2 + 1` bins of a spectrum.
#[pyclass(frozen, module = "tonearm._tonearm")]
pub(crate) struct MelFilterbank(mel::MelFilterbank);

#[pymethods]
impl MelFilterbank {
    #[new]
    fn new(
        sr: u32,
        n_fft: usize,
        n_mels: usize,
        fmin: f64,
        fmax: f64,
        htk: bool,
        has_area_one: bool,
    ) -> PyResult<Self> {
        let scale = if htk { MelScale::Htk } else { MelScale::Slaney };
        let norm = if has_area_one { MelNorm::Slaney } else { MelNorm::None };
        let spec = MelSpec { n_mels, f_min: fmin, f_max: fmax, scale, norm };
        mel::MelFilterbank::new(sr, n_fft, &spec).map(Self).map_err(failed)
    }

    /// The filters, `[n_mels, n_fft / 2 + 1]`.
    fn dense<'py>(&self, py: Python<'py>) -> PyResult<Matrix<'py>> {
        into_matrix(py, self.0.to_dense())
    }

    /// The mel spectrogram of a spectrogram.
    fn apply<'py>(&self, py: Python<'py>, spectrogram: PyReadonlyArray2<'py, f32>) -> PyResult<Matrix<'py>> {
        let spectrogram = matrix(&spectrogram)?;
        into_matrix(py, py.detach(|| self.0.apply(spectrogram)).map_err(failed)?)
    }

    /// The mel spectrogram of powers of a signal, without a spectrogram between.
    fn spectrogram<'py>(&self, py: Python<'py>, stft: &Stft, y: PyReadonlyArray1<'py, f32>) -> PyResult<Matrix<'py>> {
        let (y, stft) = (samples(&y)?, &stft.0);
        into_matrix(py, py.detach(|| self.0.spectrogram(stft, y)).map_err(failed)?)
    }
}

/// The first coefficients of the orthonormal DCT (type 2) of mel bands.
#[pyclass(frozen, module = "tonearm._tonearm")]
pub(crate) struct Mfcc(mfcc::Mfcc);

#[pymethods]
impl Mfcc {
    #[new]
    fn new(n_mels: usize, n_mfcc: usize) -> PyResult<Self> {
        mfcc::Mfcc::new(n_mels, n_mfcc).map(Self).map_err(failed)
    }

    /// `[n_mfcc, frames]` of a log-mel spectrogram `[n_mels, frames]`.
    fn apply<'py>(&self, py: Python<'py>, log_mel: PyReadonlyArray2<'py, f32>) -> PyResult<Matrix<'py>> {
        let log_mel = matrix(&log_mel)?;
        into_matrix(py, py.detach(|| self.0.apply(log_mel)).map_err(failed)?)
    }
}

/// A change of the sample rate.
#[pyclass(frozen, module = "tonearm._tonearm")]
pub(crate) struct Resampler(resample::Resampler);

#[pymethods]
impl Resampler {
    #[new]
    fn new(orig_sr: u32, target_sr: u32) -> PyResult<Self> {
        resample::Resampler::new(orig_sr, target_sr).map(Self).map_err(failed)
    }

    /// `ceil(n · target_sr / orig_sr)` samples of a signal of `n`.
    fn resample<'py>(&self, py: Python<'py>, y: PyReadonlyArray1<'py, f32>) -> PyResult<Series<'py>> {
        let y = samples(&y)?;
        let resampled = py.detach(|| {
            let mut resampler = self.0.restarted();
            let mut resampled = resampler.push(y);
            resampled.append(&mut resampler.finish());
            resampled
        });
        Ok(into_series(py, resampled))
    }
}

/// Turns powers into dB in place, no lower than `top_db` below the largest.
#[pyfunction]
#[pyo3(signature = (powers, amin, top_db))]
fn power_to_db(py: Python<'_>, mut powers: PyReadwriteArray1<'_, f32>, amin: f64, top_db: Option<f64>) -> PyResult<()> {
    let powers = powers.as_slice_mut()?;
    py.detach(|| db::powers_to_db(powers, &DbSpec { amin, top_db }));
    Ok(())
}

/// The soft masks of the harmonic and the percussive part of a magnitude spectrogram.
#[pyfunction]
fn hpss_masks<'py>(
    py: Python<'py>,
    magnitude: PyReadonlyArray2<'py, f32>,
    kernel: usize,
    power: f64,
    margin: f64,
) -> PyResult<(Matrix<'py>, Matrix<'py>)> {
    let magnitude = matrix(&magnitude)?;
    let Parts { harmonic, percussive } =
        py.detach(|| Hpss { kernel, power, margin }.masks(magnitude)).map_err(failed)?;
    Ok((into_matrix(py, harmonic)?, into_matrix(py, percussive)?))
}

/// The running medians in time and in frequency of a magnitude spectrogram.
#[pyfunction]
fn hpss_medians<'py>(
    py: Python<'py>,
    magnitude: PyReadonlyArray2<'py, f32>,
    frames: usize,
    bins: usize,
) -> PyResult<(Matrix<'py>, Matrix<'py>)> {
    let magnitude = matrix(&magnitude)?;
    let Parts { harmonic, percussive } = py.detach(|| hpss::medians(magnitude, [frames, bins])).map_err(failed)?;
    Ok((into_matrix(py, harmonic)?, into_matrix(py, percussive)?))
}

/// The waveforms of the harmonic and the percussive part of a signal.
#[pyfunction]
fn hpss_waveforms<'py>(
    py: Python<'py>,
    stft: &Stft,
    y: PyReadonlyArray1<'py, f32>,
    kernel: usize,
    power: f64,
    margin: f64,
) -> PyResult<(Series<'py>, Series<'py>)> {
    let (y, stft) = (samples(&y)?, &stft.0);
    let Parts { harmonic, percussive } =
        py.detach(|| Hpss { kernel, power, margin }.waveforms(stft, y)).map_err(failed)?;
    Ok((into_series(py, harmonic), into_series(py, percussive)))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Stft>()?;
    module.add_class::<MelFilterbank>()?;
    module.add_class::<Mfcc>()?;
    module.add_class::<Resampler>()?;
    module.add_function(wrap_pyfunction!(power_to_db, module)?)?;
    module.add_function(wrap_pyfunction!(hpss_masks, module)?)?;
    module.add_function(wrap_pyfunction!(hpss_medians, module)?)?;
    module.add_function(wrap_pyfunction!(hpss_waveforms, module)?)
}
