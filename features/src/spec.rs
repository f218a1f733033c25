//! [`FeatureSpec`]: everything that changes a number between the bytes of a file and its feature vector.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Raised whenever a change alters any feature; part of every fingerprint.
pub const ALGORITHM_REVISION: u32 = 1;
/// Raised whenever decoding or down-mixing gives other samples.
pub const DECODER_REVISION: u32 = 1;
/// Raised whenever resampling gives other samples.
pub const RESAMPLER_REVISION: u32 = 1;

/// The classic statistics of the cepstrum; the descriptors of the preset `gtzan-store` separate classes better.
const CLASSIC: [Descriptor; 3] = [Descriptor::Mfcc, Descriptor::MfccDelta, Descriptor::MfccCorrelation];

/// The names of the presets, as [`FeatureSpec::preset`] takes them.
pub const PRESETS: [&str; 2] = ["gtzan-store", "librosa"];

/// Everything that changes a number between the bytes of a file and its feature vector.
///
/// It is printed into every feature store and artifact, and [`FeatureSpec::fingerprint`] names it. Two programs with
/// equal fingerprints give the same bits for the same file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Revisions of the code that interpret the fields below.
    pub revision: Revision,
    /// Rate that audio is resampled to, in Hz.
    pub sample_rate: u32,
    /// The short-time Fourier transform.
    pub stft: StftSpec,
    /// The mel filter bank.
    pub mel: MelSpec,
    /// Power to decibels.
    pub db: DbSpec,
    /// Rounding of the log-mel to the steps of an 8-bit store; `None` keeps `f32`.
    pub quantisation: Option<Quantisation>,
    /// Coefficients of an MFCC, counted from the 0th.
    pub n_mfcc: usize,
    /// How a clip is divided into segments and windows, each of which gives one vector.
    #[serde(rename = "segment")]
    pub segmentation: SegmentationSpec,
    /// The floor that the log-mel is held above before a vector is made of it; `None`, which is not written, for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorSpec>,
    /// What a vector holds, in this order; empty for a model whose input is the log-mel itself.
    pub descriptors: Vec<Descriptor>,
}

/// Revisions of the algorithms behind a [`FeatureSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// See [`ALGORITHM_REVISION`].
    pub algorithm: u32,
    /// See [`DECODER_REVISION`].
    pub decoder: u32,
    /// See [`RESAMPLER_REVISION`].
    pub resampler: u32,
}

impl Revision {
    /// What this program computes.
    pub const CURRENT: Self =
        Self { algorithm: ALGORITHM_REVISION, decoder: DECODER_REVISION, resampler: RESAMPLER_REVISION };
}

/// Short-time Fourier transform with a periodic window of `n_fft` samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StftSpec {
    /// Samples in a frame; even, 16 to 32768.
    pub n_fft: usize,
    /// Samples between the starts of two frames; 1 to `n_fft` · 8.
    pub hop_length: usize,
    /// The window.
    pub window: Window,
    /// Whether frame `t` is centred on sample `t · hop_length`, with `n_fft / 2` zeros padded at either end (librosa's
    /// `center=True, pad_mode="constant"`); otherwise it starts there.
    pub center: bool,
}

/// Window of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Periodic Hann: `0.5 − 0.5·cos(2πn/n_fft)`.
    Hann,
}

/// Triangular mel filters on the power spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelSpec {
    /// Bands; 32 to 512.
    pub n_mels: usize,
    /// Lowest frequency in Hz.
    pub f_min: f64,
    /// Highest frequency in Hz, at most half the sample rate.
    pub f_max: f64,
    /// The mel scale.
    pub scale: MelScale,
    /// How a band is weighted.
    pub norm: MelNorm,
}

/// Which mel scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above (librosa's default).
    Slaney,
    /// HTK: `2595·log10(1 + f/700)`.
    Htk,
}

/// How a mel band is weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// Each triangle has area 1 (librosa's `norm="slaney"`).
    Slaney,
    /// Each triangle has height 1.
    None,
}

/// Power to decibels: `10·log10(max(amin, S))`, optionally held to `top_db` below the loudest value of the clip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DbSpec {
    /// Least power, over 0.
    pub amin: f64,
    /// Range in dB below the clip's largest value; `None` for no floor.
    pub top_db: Option<f64>,
}

/// `u8 = round((dB − floor_db) / step_db)`, clamped to 0..=255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantisation {
    /// The level of 0, in dB.
    pub floor_db: f64,
    /// dB from one level to the next, over 0.
    pub step_db: f64,
}

/// A floor under the log-mel that follows its level: vectors do not depend on what lies deep below the music, such as bands that a codec or a
/// low sample rate left out.
///
/// A band is held above `low_db + (high_db − low_db)·band / (n_mels − 1) + level − range_db`, where `level` is the median, over all bands and
/// frames of the segment or window, of how far the log-mel is above that line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorSpec {
    /// The line at the lowest band, in dB.
    pub low_db: f64,
    /// The line at the highest band, in dB.
    pub high_db: f64,
    /// How far the floor is below the line, in dB; over 0.
    pub range_db: f64,
}

impl FloorSpec {
    /// The line of music, for bands of area 1 (`MelNorm::Slaney`) from 0 to 11 kHz: within 6 dB of the mean of each of 128 bands of GTZAN's
    /// `train` part but the lowest and the highest seven.
    pub const MUSIC_LINE: [f64; 2] = [4.0, -28.0];
    /// 20 dB below the line of music.
    pub const MUSIC: Self = Self { low_db: Self::MUSIC_LINE[0], high_db: Self::MUSIC_LINE[1], range_db: 20.0 };

    /// The line at each of `n_mels` bands, in dB.
    #[must_use]
    pub fn line(&self, n_mels: usize) -> Vec<f32> {
        let slope = (self.high_db - self.low_db) / n_mels.saturating_sub(1).max(1) as f64;
        (0..n_mels).map(|band| (self.low_db + slope * band as f64) as f32).collect()
    }
}

/// How a clip is divided, in frames: into segments, whose probabilities are averaged into those of the clip, and into shorter
/// texture windows, which make its timeline. Training takes the vectors of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationSpec {
    /// Fewest frames that make a vector, at least 4; a shorter clip is refused.
    pub min_frames: usize,
    /// The segments. A clip of no more frames than one is one segment.
    #[serde(rename = "passage")]
    pub segment: SpanSpec,
    /// The texture windows.
    pub window: SpanSpec,
}

/// Spans of equal length; the last is aligned with the end of the clip, unless less than an eighth of a span would be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanSpec {
    /// Frames of a span, `min_frames` to 65536.
    pub frames: usize,
    /// Frames between the starts of two spans, 1 to `frames`.
    pub hop: usize,
}

impl FeatureSpec {
    /// What the log-mel store of GTZAN holds: 22 050 Hz, frames of 2048 samples every 1920, not centred, 128 Slaney
    /// bands, steps of 0.5 dB from −80 dB; segments of 344 frames (30 s), windows of 128 (11 s).
    #[must_use]
    pub fn gtzan_store() -> Self {
        Self {
            revision: Revision::CURRENT,
            sample_rate: 22_050,
            stft: StftSpec { n_fft: 2048, hop_length: 1920, window: Window::Hann, center: false },
            mel: MelSpec { n_mels: 128, f_min: 0.0, f_max: 11_025.0, scale: MelScale::Slaney, norm: MelNorm::Slaney },
            db: DbSpec { amin: 1e-10, top_db: None },
            quantisation: Some(Quantisation { floor_db: -80.0, step_db: 0.5 }),
            n_mfcc: 40,
            segmentation: SegmentationSpec {
                min_frames: 16,
                segment: SpanSpec { frames: 344, hop: 172 },
                window: SpanSpec { frames: 128, hop: 108 },
            },
            floor: Some(FloorSpec::MUSIC),
            descriptors: Descriptor::ALL.into_iter().filter(|descriptor| !CLASSIC.contains(descriptor)).collect(),
        }
    }

    /// librosa 0.11's defaults: 22 050 Hz, frames of 2048 samples every 512, centred, 128 Slaney bands, 80 dB.
    #[must_use]
    pub fn librosa() -> Self {
        Self {
            stft: StftSpec { n_fft: 2048, hop_length: 512, window: Window::Hann, center: true },
            db: DbSpec { amin: 1e-10, top_db: Some(80.0) },
            quantisation: None,
            n_mfcc: 20,
            segmentation: SegmentationSpec {
                min_frames: 44,
                segment: SpanSpec { frames: 1292, hop: 646 },
                window: SpanSpec { frames: 480, hop: 405 },
            },
            floor: None,
            descriptors: Descriptor::ALL
                .into_iter()
                .filter(|descriptor| CLASSIC.contains(descriptor) || descriptor.needs() > Needs::LogMel)
                .collect(),
            ..Self::gtzan_store()
        }
    }

    /// The preset of that name; see [`PRESETS`].
    ///
    /// # Errors
    /// [`Error::Spec`] for another name.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "gtzan-store" => Ok(Self::gtzan_store()),
            "librosa" => Ok(Self::librosa()),
            other => {
                Err(Error::Spec { field: "preset", problem: format!("`{other}` is not one of {}", PRESETS.join(", ")) })
            }
        }
    }

    /// Reads a specification from JSON, and checks it.
    ///
    /// # Errors
    /// [`Error::Spec`] when the text is not a valid specification.
    pub fn from_json(text: &str) -> Result<Self> {
        let spec: Self =
            serde_json::from_str(text).map_err(|error| Error::Spec { field: "json", problem: error.to_string() })?;
        spec.validate()?;
        Ok(spec)
    }

    /// The canonical form: JSON without white space, fields in the order of their declaration.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(self).expect("a specification has only numbers, strings and lists")
    }

    /// SHA-256 of the canonical form, which includes the revisions of the algorithms.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.canonical_json().as_bytes())
    }

    /// Fingerprint of the log-mel alone: what two feature stores must share for their rows to be mixed.
    #[must_use]
    pub fn log_mel_fingerprint(&self) -> Fingerprint {
        let front_end = (&self.revision, self.sample_rate, &self.stft, &self.mel, &self.db, &self.quantisation);
        Fingerprint::of(&serde_json::to_vec(&front_end).expect("numbers and strings only"))
    }

    /// This specification with the descriptors that `available` suffices for.
    ///
    /// # Errors
    /// [`Error::Spec`] when none is left.
    pub fn restricted_to(&self, available: Needs) -> Result<Self> {
        let mut spec = self.clone();
        spec.descriptors.retain(|descriptor| descriptor.needs() <= available);
        spec.validate()?;
        spec.require_descriptors()?;
        Ok(spec)
    }

    /// This specification without descriptors: for a model whose input is the log-mel itself.
    #[must_use]
    pub fn log_mel_alone(&self) -> Self {
        Self { floor: None, descriptors: Vec::new(), ..self.clone() }
    }

    /// Refuses a specification without descriptors, for a model whose input is a vector.
    ///
    /// # Errors
    /// [`Error::Spec`] when there is none.
    pub fn require_descriptors(&self) -> Result<()> {
        if self.descriptors.is_empty() {
            let problem = "is empty: name at least one that the data suffice for".into();
            return Err(Error::Spec { field: "descriptors", problem });
        }
        Ok(())
    }

    /// The most that any descriptor of this specification needs.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.descriptors.iter().map(|descriptor| descriptor.needs()).max().unwrap_or(Needs::LogMel)
    }

    /// Seconds from the start of the first to the end of the last of `n_frames` frames.
    #[must_use]
    pub fn seconds(&self, n_frames: usize) -> f64 {
        let frames =
            n_frames.saturating_sub(1) * self.stft.hop_length + if self.stft.center { 0 } else { self.stft.n_fft };
        frames as f64 / f64::from(self.sample_rate)
    }

    /// Refuses a specification that this program cannot compute, or would compute differently from the program that wrote them.
    ///
    /// # Errors
    /// [`Error::Spec`] naming the field; [`Error::Revision`] for another revision of the algorithms.
    pub fn validate(&self) -> Result<()> {
        if self.revision != Revision::CURRENT {
            let ours = Self { revision: Revision::CURRENT, ..self.clone() };
            return Err(Error::Revision {
                theirs: self.fingerprint().to_string(),
                ours: ours.fingerprint().to_string(),
                advice: "train again with this program, or use the program that wrote them",
            });
        }
        let check = |ok: bool, field: &'static str, problem: String| {
            if ok { Ok(()) } else { Err(Error::Spec { field, problem }) }
        };
        let Self { stft, mel, db, segmentation, .. } = self;
        let rate = self.sample_rate;
        check((1_000..=768_000).contains(&rate), "sample_rate", format!("is {rate}, not 1000 to 768000 Hz"))?;
        check(
            (16..=32_768).contains(&stft.n_fft) && stft.n_fft.is_multiple_of(2),
            "stft.n_fft",
            format!("is {}, not an even number from 16 to 32768", stft.n_fft),
        )?;
        check(
            (1..=8 * stft.n_fft).contains(&stft.hop_length),
            "stft.hop_length",
            format!("is {}, not 1 to 8 · n_fft", stft.hop_length),
        )?;
        check((32..=512).contains(&mel.n_mels), "mel.n_mels", format!("is {}, not 32 to 512", mel.n_mels))?;
        check(
            mel.f_min >= 0.0 && mel.f_min < mel.f_max && mel.f_max <= f64::from(rate) / 2.0,
            "mel.f_max",
            format!("band {}..{} Hz is not within 0..{} Hz", mel.f_min, mel.f_max, f64::from(rate) / 2.0),
        )?;
        check(db.amin > 0.0 && db.amin <= 1.0, "db.amin", format!("is {}, not within 0 (exclusive) to 1", db.amin))?;
        check(
            db.top_db.is_none_or(|top| top > 0.0 && top <= 1_000.0),
            "db.top_db",
            format!("is {:?}, not within 0 (exclusive) to 1000 dB", db.top_db),
        )?;
        if let Some(Quantisation { floor_db, step_db }) = self.quantisation {
            check(
                (-200.0..=200.0).contains(&floor_db),
                "quantisation.floor_db",
                format!("is {floor_db}, not −200 to 200 dB"),
            )?;
            check(
                step_db > 0.0 && step_db <= 10.0,
                "quantisation.step_db",
                format!("is {step_db}, not within 0 (exclusive) to 10 dB"),
            )?;
        }
        check(
            (13..=mel.n_mels).contains(&self.n_mfcc),
            "n_mfcc",
            format!("is {}, not 13 to n_mels ({})", self.n_mfcc, mel.n_mels),
        )?;
        check(
            (4..=65_536).contains(&segmentation.min_frames),
            "segment.min_frames",
            format!("is {}, not 4 to 65536", segmentation.min_frames),
        )?;
        for (field, cut) in [("segment.passage", segmentation.segment), ("segment.window", segmentation.window)] {
            check(
                (segmentation.min_frames..=65_536).contains(&cut.frames) && (1..=cut.frames).contains(&cut.hop),
                field,
                format!(
                    "has frames {} (not min_frames, {}, to 65536) or hop {} (not 1 to frames)",
                    cut.frames, segmentation.min_frames, cut.hop
                ),
            )?;
        }
        if let Some(FloorSpec { low_db, high_db, range_db }) = self.floor {
            check(
                [low_db, high_db].iter().all(|level| (-200.0..=200.0).contains(level)),
                "floor",
                format!("is a line from {low_db} to {high_db} dB, not within −200 to 200 dB"),
            )?;
            check(
                range_db > 0.0 && range_db <= 200.0,
                "floor.range_db",
                format!("is {range_db}, not within 0 (exclusive) to 200 dB"),
            )?;
        }
        let mut sorted = self.descriptors.clone();
        sorted.sort_unstable();
        sorted.dedup();
        check(sorted.len() == self.descriptors.len(), "descriptors", "names one twice".into())
    }
}

/// SHA-256 of a canonical form, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let bad = || Error::Spec { field: "fingerprint", problem: format!("`{text}` is not 64 hexadecimal digits") };
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// How much of the audio a descriptor must see. Ordered: what a log-mel store has is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// The log-mel spectrogram alone.
    LogMel,
    /// The linear-frequency short-time Fourier transform.
    Stft,
    /// The samples.
    Waveform,
}

/// A group of dimensions of a feature vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Descriptor {
    /// Mean, deviation and percentiles of each MFCC.
    Mfcc,
    /// Mean and deviation of the first derivative of each MFCC, and deviation of the second.
    MfccDelta,
    /// Pearson's correlations between the first 20 MFCC.
    MfccCorrelation,
    /// Mean of the MFCC 1 to 12.
    MfccMean,
    /// Modulation spectrum of each MFCC in eight bands.
    MfccModulation,
    /// Log-Euclidean covariances of the MFCC in four bands of modulation.
    MfccModulationCovariance,
    /// Log-Euclidean covariance of the spectral flux of 16 bands.
    OnsetCovariance,
    /// Statistics of the spectral flux, overall and in three ranges.
    OnsetStatistics,
    /// Roughness of the mean spectrum along frequency.
    MelRoughness,
    /// Skewness in time of 16 mel bands.
    MelSkewness,
    /// Deviation in time of the spectral contrast of the mel bands.
    MelContrast,
    /// Spectral centroid in Hz.
    SpectralCentroid,
    /// Spectral bandwidth in Hz.
    SpectralBandwidth,
    /// Spectral rolloff (85 %) in Hz.
    SpectralRolloff,
    /// Spectral flatness, 0 to 1.
    SpectralFlatness,
    /// Octave-based spectral contrast in dB.
    SpectralContrast,
    /// The twelve pitch classes, from C; 0 to 1.
    Chroma,
    /// Root-mean-square level.
    Rms,
    /// Zero crossings a sample, 0 to 1.
    ZeroCrossingRate,
    /// Root-mean-square level of the harmonic and the percussive part.
    HarmonicPercussive,
    /// Tempo of the clip in beats a minute.
    Tempo,
}

impl Descriptor {
    /// Every descriptor.
    pub const ALL: [Self; 21] = [
        Self::Mfcc,
        Self::MfccDelta,
        Self::MfccCorrelation,
        Self::MfccMean,
        Self::MfccModulation,
        Self::MfccModulationCovariance,
        Self::OnsetCovariance,
        Self::OnsetStatistics,
        Self::MelRoughness,
        Self::MelSkewness,
        Self::MelContrast,
        Self::SpectralCentroid,
        Self::SpectralBandwidth,
        Self::SpectralRolloff,
        Self::SpectralFlatness,
        Self::SpectralContrast,
        Self::Chroma,
        Self::Rms,
        Self::ZeroCrossingRate,
        Self::HarmonicPercussive,
        Self::Tempo,
    ];

    /// What a specification and a store call it, such as `spectral_centroid`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mfcc => "mfcc",
            Self::MfccDelta => "mfcc_delta",
            Self::MfccCorrelation => "mfcc_correlation",
            Self::MfccMean => "mfcc_mean",
            Self::MfccModulation => "mfcc_modulation",
            Self::MfccModulationCovariance => "mfcc_modulation_covariance",
            Self::OnsetCovariance => "onset_covariance",
            Self::OnsetStatistics => "onset_statistics",
            Self::MelRoughness => "mel_roughness",
            Self::MelSkewness => "mel_skewness",
            Self::MelContrast => "mel_contrast",
            Self::SpectralCentroid => "spectral_centroid",
            Self::SpectralBandwidth => "spectral_bandwidth",
            Self::SpectralRolloff => "spectral_rolloff",
            Self::SpectralFlatness => "spectral_flatness",
            Self::SpectralContrast => "spectral_contrast",
            Self::Chroma => "chroma",
            Self::Rms => "rms",
            Self::ZeroCrossingRate => "zero_crossing_rate",
            Self::HarmonicPercussive => "harmonic_percussive",
            Self::Tempo => "tempo",
        }
    }

    /// What this descriptor must see.
    #[must_use]
    pub fn needs(self) -> Needs {
        match self {
            Self::Mfcc
            | Self::MfccDelta
            | Self::MfccCorrelation
            | Self::MfccMean
            | Self::MfccModulation
            | Self::MfccModulationCovariance
            | Self::OnsetCovariance
            | Self::OnsetStatistics
            | Self::MelRoughness
            | Self::MelSkewness
            | Self::MelContrast => Needs::LogMel,
            Self::SpectralCentroid
            | Self::SpectralBandwidth
            | Self::SpectralRolloff
            | Self::SpectralFlatness
            | Self::SpectralContrast
            | Self::Chroma => Needs::Stft,
            Self::Rms | Self::ZeroCrossingRate | Self::HarmonicPercussive | Self::Tempo => Needs::Waveform,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_distinct() {
        let fingerprints: Vec<_> = PRESETS
            .iter()
            .map(|name| {
                let spec = FeatureSpec::preset(name).expect("a preset");
                spec.validate().expect("valid");
                spec.fingerprint()
            })
            .collect();
        assert_ne!(fingerprints[0], fingerprints[1]);
        assert!(FeatureSpec::preset("keras").is_err());
    }

    #[test]
    fn a_specification_survives_its_canonical_form() {
        let spec = FeatureSpec::librosa();
        assert_eq!(FeatureSpec::from_json(&spec.canonical_json()).expect("valid"), spec);
        let text = serde_json::to_string(&spec.fingerprint()).expect("a string");
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).expect("hex"), spec.fingerprint());
    }

    #[test]
    fn the_canonical_form_of_the_shipped_artifacts_stays() {
        let spec = FeatureSpec::gtzan_store().log_mel_alone();
        let front_end = r#"{"revision":{"algorithm":1,"decoder":1,"resampler":1},"sample_rate":22050,"stft":{"n_fft":2048,"hop_length":1920,"window":"hann","center":false},"mel":{"n_mels":128,"f_min":0.0,"f_max":11025.0,"scale":"slaney","norm":"slaney"},"db":{"amin":1e-10,"top_db":null},"quantisation":{"floor_db":-80.0,"step_db":0.5},"n_mfcc":40,"#;
        let vectors = r#""segment":{"min_frames":16,"passage":{"frames":344,"hop":172},"window":{"frames":128,"hop":108}},"descriptors":[]}"#;
        assert_eq!(spec.canonical_json(), format!("{front_end}{vectors}"));
        let fingerprint = |spec: &FeatureSpec| spec.fingerprint().to_string();
        assert_eq!(fingerprint(&spec), "cdf0a6de9eb0d7d781a68a45a7e26287055c17ef9c242a40f5fc03f34c787e97");
        // Of the SVM before vectors had a floor.
        let svm = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left");
        assert_eq!(
            fingerprint(&FeatureSpec { floor: None, ..svm }),
            "0f86e50f58b363e55ce27bd86b664f5fc2cece874eaf9f7588e1a48483a63bc5"
        );
    }

    #[test]
    fn every_setting_changes_the_fingerprint() {
        let base = FeatureSpec::gtzan_store();
        let mut others = vec![base.clone(); 7];
        others[0].stft.hop_length = 512;
        others[1].mel.norm = MelNorm::None;
        others[2].db.top_db = Some(80.0);
        others[3].quantisation = None;
        others[4].n_mfcc = 13;
        others[5].descriptors.pop();
        others[6].floor = None;
        for other in others {
            assert_ne!(other.fingerprint(), base.fingerprint());
        }
    }

    #[test]
    fn another_revision_is_refused_with_both_fingerprints() {
        let mut spec = FeatureSpec::gtzan_store();
        spec.revision.algorithm += 1;
        let message = spec.validate().expect_err("refused").to_string();
        assert!(message.contains(&spec.fingerprint().to_string()), "{message}");
        assert!(message.contains(&FeatureSpec::gtzan_store().fingerprint().to_string()), "{message}");
    }

    #[test]
    fn impossible_settings_are_named() {
        let mut spec = FeatureSpec::gtzan_store();
        spec.mel.f_max = 22_050.0;
        assert!(spec.validate().expect_err("refused").to_string().contains("mel.f_max"));
        let spec =
            FeatureSpec { floor: Some(FloorSpec { range_db: 0.0, ..FloorSpec::MUSIC }), ..FeatureSpec::gtzan_store() };
        assert!(spec.validate().expect_err("refused").to_string().contains("floor.range_db"));
        let spec = FeatureSpec::gtzan_store();
        assert!(spec.log_mel_alone().validate().is_ok());
        assert!(spec.log_mel_alone().require_descriptors().expect_err("refused").to_string().contains("descriptors"));
    }

    #[test]
    fn a_store_trains_what_needs_no_more_than_the_log_mel() {
        let spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left");
        assert!(spec.descriptors.contains(&Descriptor::MfccMean));
        assert!(!spec.descriptors.contains(&Descriptor::Rms));
        assert_eq!(spec.needs(), Needs::LogMel);
    }

    #[test]
    fn names_are_those_of_a_specification() {
        for descriptor in Descriptor::ALL {
            assert_eq!(serde_json::to_value(descriptor).expect("a string"), descriptor.name());
        }
    }
}
