//! The 57 descriptors that the Kaggle edition of GTZAN ships in `features_30_sec.csv`.
//!
//! They were computed by a librosa before 0.10, whose defaults differ from today's in three ways that show: frames are
//! padded by reflection rather than with zeros; the separated waveforms end with the last whole hop, and zeros fill up
//! the rest; and the tempo is that of `librosa.beat.beat_track`, which takes the median over the bands of the onset
//! strength, not the mean. With these, a clip's row is found again to the last digits of an `f32`.

use ndarray::{Array2, ArrayView2};

use crate::{
    Clip, FeatureSpec, Result,
    descriptors::{chroma::chroma_stft, mfcc::Mfcc, onset::median_onset_strength, spectral, tempo, time_domain},
    dsp::{
        db::power_to_db,
        hpss::Hpss,
        mel::MelFilterbank,
        stft::{Spectrogram, Stft},
    },
    spec::StftSpec,
};

/// Coefficients in the table.
const N_MFCC: usize = 20;

/// The 57 descriptors of `clip` (at its own rate; the table is of 22 050 Hz), named as the columns of the table and in
/// their order: mean and population variance of each series, and the tempo in beats a minute.
///
/// # Errors
/// [`Error::Spec`](crate::Error::Spec) for a sample rate too low for the mel bands.
pub fn describe(clip: &Clip) -> Result<Vec<(String, f64)>> {
    let (samples, rate) = (clip.samples(), clip.sample_rate());
    let spec = FeatureSpec::librosa();
    let StftSpec { n_fft, hop_length, .. } = spec.stft;
    let padded = reflected(samples, n_fft / 2);
    let complex = Stft::new(&StftSpec { center: false, ..spec.stft })?.complex(&padded)?;
    let magnitude = complex.magnitude();
    let power = magnitude.mapv(|m| m * m);
    let mel = crate::spec::MelSpec { f_max: f64::from(rate) / 2.0, ..spec.mel };
    let mut log_mel = MelFilterbank::new(rate, n_fft, &mel)?.apply(power.view())?;
    power_to_db(&mut log_mel, &spec.db);

    let mut table = Table::default();
    table.add("chroma_stft", chroma_stft(power.view(), rate)?.iter());
    table.add("rms", &time_domain::rms(&padded, n_fft, hop_length, false));
    let centroid = spectral::centroid(magnitude.view(), rate);
    table.add("spectral_centroid", &centroid);
    table.add("spectral_bandwidth", &spectral::bandwidth(magnitude.view(), rate, &centroid)?);
    table.add("rolloff", &spectral::rolloff(magnitude.view(), rate, spectral::ROLL_PERCENT));
    table.add("zero_crossing_rate", &time_domain::zero_crossing_rate(samples, n_fft, hop_length, true));
    let masks = Hpss::default().masks(magnitude.view())?;
    let inverse = Stft::new(&spec.stft)?;
    for (name, mask) in [("harmony", &masks.harmonic), ("perceptr", &masks.percussive)] {
        table.add(name, &part(&inverse, &complex, mask, samples.len())?);
    }
    let onsets = median_onset_strength(log_mel.view(), n_fft, hop_length, true);
    table.push("tempo".into(), beat_track_tempo(&onsets, rate, hop_length));
    for (i, coefficient) in Mfcc::new(mel.n_mels, N_MFCC)?.apply(log_mel.view())?.outer_iter().enumerate() {
        table.add(&format!("mfcc{}", i + 1), coefficient);
    }
    Ok(table.0)
}

#[derive(Default)]
struct Table(Vec<(String, f64)>);

impl Table {
    /// Adds mean and population variance.
    fn add<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a f32, IntoIter: Clone>) {
        let values = values.into_iter().map(|&v| f64::from(v));
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        self.push(format!("{name}_mean"), mean);
        self.push(format!("{name}_var"), variance);
    }

    fn push(&mut self, name: String, value: f64) {
        self.0.push((name, value));
    }
}

/// `librosa.beat.beat_track` gives 0 where there is no onset at all.
fn beat_track_tempo(onsets: &[f32], sample_rate: u32, hop_length: usize) -> f64 {
    if onsets.iter().all(|&o| o == 0.0) {
        return 0.0;
    }
    tempo::tempo(onsets, sample_rate, hop_length, &tempo::TempoSpec::default())
}

/// One part of the signal as `util.fix_length(istft(mask · X), len)` gives it: whole hops, then zeros.
fn part(inverse: &Stft, whole: &Spectrogram, mask: &Array2<f32>, len: usize) -> Result<Vec<f32>> {
    let masked = Spectrogram { re: scaled(whole.re.view(), mask), im: scaled(whole.im.view(), mask) };
    let hops = mask.ncols().saturating_sub(1) * inverse.hop_length();
    let mut samples = inverse.istft(&masked, hops)?;
    samples.resize(len, 0.0);
    Ok(samples)
}

fn scaled(values: ArrayView2<'_, f32>, mask: &Array2<f32>) -> Array2<f32> {
    &values * mask
}

/// `samples` with `pad` more at either end, mirrored about the first and the last (`np.pad(mode="reflect")`).
fn reflected(samples: &[f32], pad: usize) -> Vec<f32> {
    let last = samples.len() as isize - 1;
    (-(pad as isize)..=last + pad as isize)
        .map(|i| {
            // The mirrored signal repeats every 2·last samples; of a single sample all are that one.
            let at = if last == 0 { 0 } else { i.rem_euclid(2 * last) };
            samples[at.min(2 * last - at) as usize]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_mirrors_about_the_ends_as_often_as_needed() {
        assert_eq!(reflected(&[1.0, 2.0, 3.0], 2), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
        assert_eq!(reflected(&[1.0, 2.0], 3), [2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!(reflected(&[4.0], 2), [4.0; 5]);
    }

    #[test]
    fn fifty_seven_finite_numbers_even_of_one_sample_and_of_silence() -> Result<()> {
        for samples in [vec![0.5], vec![0.0; 3000], vec![0.25; 700]] {
            let row = describe(&Clip::new(samples, 22_050)?)?;
            assert_eq!(row.len(), 57);
            assert!(row.iter().all(|(_, v)| v.is_finite()), "{row:?}");
        }
        let silent = describe(&Clip::new(vec![0.0; 3000], 22_050)?)?;
        assert!(silent.contains(&("tempo".into(), 0.0)));
        assert_eq!(silent[0].0, "chroma_stft_mean");
        assert_eq!(silent[56].0, "mfcc20_var");
        Ok(())
    }
}
