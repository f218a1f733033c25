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
    /// Mel-frequency cepstral coefficients: statistics over time.
    Mfcc,
    /// First derivative of the MFCC: statistics over time.
    MfccDelta,
    /// Correlations between the MFCC over time.
    MfccCorrelation,
    /// Modulation spectrum of mel bands.
    ModulationSpectrum,
    /// Spectral contrast of the mel bands: peak against valley of each octave.
    MelContrast,
    /// Spectral centroid in Hz.
    SpectralCentroid,
    /// Spectral bandwidth in Hz.
    SpectralBandwidth,
    /// Spectral rolloff (85 %) in Hz.
    SpectralRolloff,
    /// Spectral flatness.
    SpectralFlatness,
    /// Octave-based spectral contrast in dB.
    SpectralContrast,
    /// The twelve pitch classes, from C.
    Chroma,
    /// Root-mean-square level.
    Rms,
    /// Zero crossings a sample.
    ZeroCrossingRate,
    /// Root-mean-square level of the harmonic and the percussive part.
    HarmonicPercussive,
    /// Tempo in beats a minute.
    Tempo,
}

impl Descriptor {
    /// Every descriptor, in the order in which presets list them.
    pub const ALL: [Self; 15] = [
        Self::Mfcc,
        Self::MfccDelta,
        Self::MfccCorrelation,
        Self::ModulationSpectrum,
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

    /// What this descriptor must see.
    #[must_use]
    pub fn needs(self) -> Needs {
        match self {
            Self::Mfcc | Self::MfccDelta | Self::MfccCorrelation | Self::ModulationSpectrum | Self::MelContrast => {
                Needs::LogMel
            }
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
