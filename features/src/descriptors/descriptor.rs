//! The descriptors that a vector can hold, what each needs, and what its dimensions are called.

use serde::{Deserialize, Serialize};

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
    fn names_are_those_of_a_specification() {
        for descriptor in Descriptor::ALL {
            assert_eq!(serde_json::to_value(descriptor).expect("a string"), descriptor.name());
        }
    }
}
