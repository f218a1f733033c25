//! Signal processing: FFT, STFT, mel filter banks, decibels, resampling, harmonic-percussive separation.

pub mod db;
pub mod fft;
pub mod hpss;
pub mod mel;
pub mod resample;
pub mod stft;
