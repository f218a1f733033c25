//! Frame-wise series of the descriptors that need more than the log-mel.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::{
    FeatureSpec, LogMel, Result,
    descriptors::{
        chroma::chroma_stft,
        onset::onset_strength,
        spectral::{self, ContrastSpec, FLATNESS_AMIN, ROLL_PERCENT},
        tempo::{self, TempoSpec},
        time_domain,
    },
    dsp::{hpss, mel::MelFilterbank, stft::Stft},
    spec::{DbSpec, Descriptor, Needs, StftSpec},
};

/// What the rows of a series are called; one of no name for a series of one row.
pub(crate) fn rows(descriptor: Descriptor) -> &'static [&'static str] {
    match descriptor {
        Descriptor::SpectralContrast => &["0", "1", "2", "3", "4", "5", "6"],
        Descriptor::Chroma => &["c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b"],
        Descriptor::HarmonicPercussive => &["harmonic", "percussive"],
        _ => &[""],
    }
}

/// The series, of shape `[rows, n_frames]`, of each descriptor of `spec` that needs more than the log-mel, which is given.
pub(crate) fn compute(
    spec: &FeatureSpec,
    stft: &Stft,
    samples: &[f32],
    log_mel: &LogMel,
) -> Result<BTreeMap<Descriptor, Array2<f32>>> {
    let mut series = BTreeMap::new();
    let wanted = || spec.descriptors.iter().copied();
    if wanted().any(|descriptor| descriptor.needs() == Needs::Stft) {
        let magnitude = stft.magnitude(samples)?;
        let rate = spec.sample_rate;
        let centroid = spectral::centroid(magnitude.view(), rate);
        for descriptor in wanted().filter(|descriptor| descriptor.needs() == Needs::Stft) {
            let values = match descriptor {
                Descriptor::SpectralCentroid => row(centroid.clone()),
                Descriptor::SpectralBandwidth => row(spectral::bandwidth(magnitude.view(), rate, &centroid)?),
                Descriptor::SpectralRolloff => row(spectral::rolloff(magnitude.view(), rate, ROLL_PERCENT)),
                Descriptor::SpectralFlatness => row(spectral::flatness(magnitude.view(), FLATNESS_AMIN)),
                Descriptor::SpectralContrast => spectral::contrast(magnitude.view(), rate, &ContrastSpec::default())?,
                _ => continue,
            };
            series.insert(descriptor, values);
        }
        // Last, for it turns the magnitudes into powers where they are.
        if wanted().any(|descriptor| descriptor == Descriptor::Chroma) {
            series.insert(Descriptor::Chroma, chroma_stft(magnitude.mapv_into(|m| m * m).view(), rate)?);
        }
    }
    let StftSpec { n_fft, hop_length, center, .. } = spec.stft;
    let rms = |samples: &[f32]| row(time_domain::rms(samples, n_fft, hop_length, center));
    for descriptor in wanted().filter(|descriptor| descriptor.needs() == Needs::Waveform) {
        let values = match descriptor {
            Descriptor::Rms => rms(samples),
            Descriptor::ZeroCrossingRate => row(time_domain::zero_crossing_rate(samples, n_fft, hop_length, center)),
            Descriptor::HarmonicPercussive => {
                let (harmonic, percussive) = hpss::separate(&fine(spec)?, samples)?;
                let mut both = rms(&harmonic);
                both.append(ndarray::Axis(0), rms(&percussive).view()).map_err(|error| crate::Error::Shape {
                    what: "harmonic and percussive level",
                    expected: "as many frames of either".into(),
                    found: error.to_string(),
                })?;
                both
            }
            Descriptor::Tempo => Array2::from_elem((1, log_mel.n_frames()), clip_tempo(spec, samples, log_mel)? as f32),
            _ => continue,
        };
        series.insert(descriptor, values);
    }
    Ok(series)
}

/// Centred frames four times an `n_fft`, whatever the hop of the specification: what separation and tempo need.
fn fine(spec: &FeatureSpec) -> Result<Stft> {
    Stft::new(&fine_spec(spec))
}

fn fine_spec(spec: &FeatureSpec) -> StftSpec {
    StftSpec { hop_length: spec.stft.n_fft / 4, center: true, ..spec.stft }
}

/// Decibels that the tempo is found from: librosa's defaults.
const TEMPO_DB: DbSpec = DbSpec { amin: 1e-10, top_db: Some(80.0) };

fn clip_tempo(spec: &FeatureSpec, samples: &[f32], log_mel: &LogMel) -> Result<f64> {
    let fine_stft = fine_spec(spec);
    let StftSpec { n_fft, hop_length, .. } = fine_stft;
    let onsets = if (spec.stft, spec.db, spec.quantisation) == (fine_stft, TEMPO_DB, None) {
        onset_strength(log_mel.db(), n_fft, hop_length, true)
    } else {
        let filterbank = MelFilterbank::new(spec.sample_rate, n_fft, &spec.mel)?;
        let mut fine_log_mel = filterbank.spectrogram(&fine(spec)?, samples)?;
        crate::dsp::db::power_to_db(&mut fine_log_mel, &TEMPO_DB);
        onset_strength(fine_log_mel.view(), n_fft, hop_length, true)
    };
    Ok(tempo::tempo(&onsets, spec.sample_rate, hop_length, &TempoSpec::default()))
}

fn row(values: Vec<f32>) -> Array2<f32> {
    let n = values.len();
    Array2::from_shape_vec((1, n), values).unwrap_or_default()
}
