//! The descriptor set at librosa's defaults, with the names of `experiments/parity/librosa_set.py`.

use std::collections::BTreeMap;

use features::{
    FeatureSpec, Result,
    descriptors::{chroma, delta, mfcc::Mfcc, onset, spectral, tempo, time_domain},
    dsp::{db, hpss::Hpss, mel::MelFilterbank, stft::Stft},
};
use ndarray::Array2;

/// Name → values `[rows, frames]`; a series has one row, a waveform too, a number one row and one column.
pub(crate) type Set = BTreeMap<&'static str, Array2<f32>>;

/// Everything that the parity table compares.
///
/// # Errors
/// Those of the transforms, for samples that have no frame.
pub(crate) fn describe(samples: &[f32], sample_rate: u32) -> Result<Set> {
    let spec = FeatureSpec::librosa();
    let (n_fft, hop) = (spec.stft.n_fft, spec.stft.hop_length);
    let stft = Stft::new(&spec.stft)?;
    let magnitude = stft.magnitude(samples)?;
    let power = stft.power(samples)?;
    let mut log_mel = MelFilterbank::new(sample_rate, n_fft, &spec.mel)?.apply(power.view())?;
    db::power_to_db(&mut log_mel, &spec.db);
    let mfcc = Mfcc::new(spec.mel.n_mels, 20)?.apply(log_mel.view())?;
    let centroid = spectral::centroid(magnitude.view(), sample_rate);
    let bandwidth = spectral::bandwidth(magnitude.view(), sample_rate, &centroid)?;
    let onsets = onset::onset_strength(log_mel.view(), n_fft, hop, true);
    let bpm = tempo::tempo(&onsets, sample_rate, hop, &tempo::TempoSpec::default());
    let parts = Hpss::default().waveforms(&stft, samples)?;
    Ok(BTreeMap::from([
        ("delta", delta::delta(mfcc.view(), delta::Order::First)),
        ("delta2", delta::delta(mfcc.view(), delta::Order::Second)),
        ("rolloff", row(spectral::rolloff(magnitude.view(), sample_rate, spectral::ROLL_PERCENT))),
        ("flatness", row(spectral::flatness(magnitude.view(), spectral::FLATNESS_AMIN))),
        ("contrast", spectral::contrast(magnitude.view(), sample_rate, &spectral::ContrastSpec::default())?),
        ("rms", row(time_domain::rms(samples, n_fft, hop, true))),
        ("zcr", row(time_domain::zero_crossing_rate(samples, n_fft, hop, true))),
        ("tuning", row(vec![chroma::estimate_tuning(power.view(), sample_rate, 12) as f32])),
        ("chroma", chroma::chroma_stft(power.view(), sample_rate)?),
        ("tempogram", tempo::tempogram(&onsets, tempo::TEMPOGRAM_WINDOW)),
        ("tempo", row(vec![bpm as f32])),
        ("log_mel", log_mel),
        ("mfcc", mfcc),
        ("centroid", row(centroid)),
        ("bandwidth", row(bandwidth)),
        ("onset", row(onsets)),
        ("harmonic", row(parts.harmonic)),
        ("percussive", row(parts.percussive)),
    ]))
}

fn row(values: Vec<f32>) -> Array2<f32> {
    Array2::from_shape_fn((1, values.len()), |(_, t)| values[t])
}
