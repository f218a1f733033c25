//! Samples that lie one after another: linear PCM, floats and the two logarithmic laws of G.711.
//!
//! `docs/decisions/0002-wav-decoder.md` and `0012-signal-libraries.md` say what hound's and Symphonia's readers would cost.

use super::sink::Sink;
use crate::Result;

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    U8,
    S8,
    S16,
    S24,
    S32,
    F32,
    F64,
    MuLaw,
    ALaw,
}

/// Order of the bytes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Encoding {
    /// Integers of `bytes` bytes, those of one byte unsigned.
    pub(super) fn integer(bytes: u32) -> Option<Self> {
        Some(match bytes {
            1 => Self::U8,
            2 => Self::S16,
            3 => Self::S24,
            4 => Self::S32,
            _ => return None,
        })
    }

    /// Floats of `bytes` bytes.
    pub(super) fn float(bytes: u32) -> Option<Self> {
        Some(match bytes {
            4 => Self::F32,
            8 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of a sample.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::S8 | Self::MuLaw | Self::ALaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bits of a sample.
    pub(super) fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// The codec's name as FFmpeg has it.
    pub(super) fn codec(self, endian: Endian) -> &'static str {
        match (self, endian) {
            (Self::U8, _) => "pcm_u8",
            (Self::S8, _) => "pcm_s8",
            (Self::MuLaw, _) => "pcm_mulaw",
            (Self::ALaw, _) => "pcm_alaw",
            (Self::S16, Endian::Little) => "pcm_s16le",
            (Self::S16, Endian::Big) => "pcm_s16be",
            (Self::S24, Endian::Little) => "pcm_s24le",
            (Self::S24, Endian::Big) => "pcm_s24be",
            (Self::S32, Endian::Little) => "pcm_s32le",
            (Self::S32, Endian::Big) => "pcm_s32be",
            (Self::F32, Endian::Little) => "pcm_f32le",
            (Self::F32, Endian::Big) => "pcm_f32be",
            (Self::F64, Endian::Little) => "pcm_f64le",
            (Self::F64, Endian::Big) => "pcm_f64be",
        }
    }
}

/// Adds the interleaved samples of `data` to `sink`, scaled as libsndfile does: an integer of `b` bits is divided by
/// 2^(b−1), an unsigned one after 2^(b−1) was taken from it; floats stay as they are.
pub(super) fn push(sink: &mut Sink<'_, '_>, data: &[u8], encoding: Encoding, endian: Endian) -> Result<()> {
    let i24 = |high: u8, middle: u8, low: u8| i32::from_be_bytes([high, middle, low, 0]) as f32 / 2_147_483_648.0;
    match (encoding, endian) {
        (Encoding::U8, _) => sink.push_values(data, |v| (f32::from(v) - 128.0) / 128.0),
        (Encoding::S8, _) => sink.push_values(data, |v| f32::from(v.cast_signed()) / 128.0),
        (Encoding::MuLaw, _) => sink.push_values(data, |v| f32::from(mu_law(v)) / 32_768.0),
        (Encoding::ALaw, _) => sink.push_values(data, |v| f32::from(a_law(v)) / 32_768.0),
        (Encoding::S16, Endian::Little) => {
            sink.push_values(data.as_chunks().0, |v| f32::from(i16::from_le_bytes(v)) / 32_768.0)
        }
        (Encoding::S16, Endian::Big) => {
            sink.push_values(data.as_chunks().0, |v| f32::from(i16::from_be_bytes(v)) / 32_768.0)
        }
        (Encoding::S24, Endian::Little) => sink.push_values(data.as_chunks().0, |[l, m, h]| i24(h, m, l)),
        (Encoding::S24, Endian::Big) => sink.push_values(data.as_chunks().0, |[h, m, l]| i24(h, m, l)),
        (Encoding::S32, Endian::Little) => {
            sink.push_values(data.as_chunks().0, |v| i32::from_le_bytes(v) as f32 / 2_147_483_648.0)
        }
        (Encoding::S32, Endian::Big) => {
            sink.push_values(data.as_chunks().0, |v| i32::from_be_bytes(v) as f32 / 2_147_483_648.0)
        }
        (Encoding::F32, Endian::Little) => sink.push_values(data.as_chunks().0, f32::from_le_bytes),
        (Encoding::F32, Endian::Big) => sink.push_values(data.as_chunks().0, f32::from_be_bytes),
        (Encoding::F64, Endian::Little) => sink.push_values(data.as_chunks().0, |v| f64::from_le_bytes(v) as f32),
        (Encoding::F64, Endian::Big) => sink.push_values(data.as_chunks().0, |v| f64::from_be_bytes(v) as f32),
    }
}

/// One byte of μ-law as 16-bit linear (ITU-T G.711, table 2).
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((i16::from(byte & 0x0f) << 3) + 0x84) << ((byte >> 4) & 7);
    if byte & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

/// One byte of A-law as 16-bit linear (ITU-T G.711, table 1).
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let mantissa = (i16::from(byte & 0x0f) << 4) + 8;
    let magnitude = match (byte >> 4) & 7 {
        0 => mantissa,
        exponent => (mantissa + 0x100) << (exponent - 1),
    };
    if byte & 0x80 == 0 { -magnitude } else { magnitude }
}
