//! WAV and AU: containers of samples that lie one after another, read directly.
//!
//! Linear PCM, floats and the two logarithmic laws of G.711; Symphonia decodes ADPCM in WAV. `docs/decisions/0002-wav-decoder.md`
//! and `0012-signal-libraries.md` say what hound's and Symphonia's readers would cost.

use super::{Decoded, Limits, sink::Sink, sniff::Container, symphonia};
use crate::{Error, Result};

/// Sizes that a program writes when it cannot go back to fill in the true one: all ones by FFmpeg and RF64, the other by
/// SoX. A size of 0 is one too if audio follows.
const UNKNOWN_SIZES: [u32; 2] = [u32::MAX, 0x7fff_f000];

/// The `fmt ` chunk.
struct Format {
    tag: u16,
    channels: u16,
    sample_rate: u32,
    block_align: u16,
    bits: u16,
}

/// A WAV file: `bytes` begins with the RIFF header.
pub(super) fn decode_wav(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let truncated = |detail: String| Error::Truncated { container: "wav", detail };
    let riff_size = u32_at(bytes, 4).ok_or_else(|| truncated("the file ends within the RIFF header".into()))?;
    let is_rf64 = bytes.starts_with(b"RF64");
    let mut rest = bytes.get(12..).unwrap_or_default();
    let (mut format, mut data_size_64) = (None, None);
    let data = loop {
        let (Some(id), Some(size)) = (rest.get(..4), u32_at(rest, 4)) else {
            return Err(truncated(format!("the file ends after {} bytes, before its audio", bytes.len())));
        };
        let body = &rest[8..];
        if id == b"data" {
            let announced = match data_size_64 {
                Some(size_64) if is_rf64 && size == u32::MAX => Some(size_64),
                // 0 with audio behind it is the header of a recording that was never finished.
                _ if size == 0 && riff_size as usize != bytes.len().saturating_sub(8) => None,
                _ if UNKNOWN_SIZES.contains(&size) => None,
                _ => Some(u64::from(size)),
            };
            break match announced {
                None => body,
                Some(announced) => {
                    usize::try_from(announced).ok().and_then(|announced| body.get(..announced)).ok_or_else(|| {
                        truncated(format!("its audio should have {announced} bytes, {} are there", body.len()))
                    })?
                }
            };
        }
        let Some(chunk) = body.get(..size as usize) else {
            let id = id.escape_ascii();
            return Err(truncated(format!("its chunk \"{id}\" should have {size} bytes, {} are there", body.len())));
        };
        match id {
            b"fmt " => format = Some(Format::parse(chunk)?),
            b"ds64" => data_size_64 = chunk.get(8..16).and_then(|v| v.as_array()).map(|v| u64::from_le_bytes(*v)),
            _ => (),
        }
        // A chunk of an odd length is followed by a byte of padding.
        rest = body.get(size as usize + size as usize % 2..).unwrap_or_default();
    };
    let format = format.ok_or_else(|| Error::Corrupt {
        container: "wav",
        detail: "no \"fmt \" chunk stands before its audio".into(),
    })?;
    let Some(encoding) = format.encoding()? else {
        return symphonia::decode(Container::Wav, bytes, limits);
    };
    let mut sink = Sink::new("wav", format.sample_rate, usize::from(format.channels), limits)?;
    push(&mut sink, data, encoding, Endian::Little)?;
    sink.finish(encoding.codec(Endian::Little), Some(encoding.bits()))
}

impl Format {
    /// `chunk` is the body of a `fmt ` chunk: PCMWAVEFORMAT, WAVEFORMATEX or WAVEFORMATEXTENSIBLE of Microsoft's `mmreg.h`.
    fn parse(chunk: &[u8]) -> Result<Self> {
        let field = |at: usize| {
            chunk.get(at..at + 2).and_then(|v| v.as_array()).map(|v| u16::from_le_bytes(*v)).ok_or_else(|| {
                Error::Corrupt {
                    container: "wav",
                    detail: format!("its \"fmt \" chunk has only {} bytes", chunk.len()),
                }
            })
        };
        let tag = match field(0)? {
            // The true tag is the start of the GUID of the extension.
            0xfffe => field(24)?,
            tag => tag,
        };
        let sample_rate = u32::from(field(4)?) | u32::from(field(6)?) << 16;
        Ok(Self { tag, channels: field(2)?, sample_rate, block_align: field(12)?, bits: field(14)? })
    }

    /// How a sample is written, or `None` if it takes a codec.
    ///
    /// As in libsndfile, the bytes that a sample takes decide, and fewer bits than these are the upper ones.
    fn encoding(&self) -> Result<Option<Encoding>> {
        let unsupported = |detail: String| Err(Error::Unsupported { container: "wav", detail });
        let bytes = match (self.block_align, self.channels) {
            (align, channels) if align > 0 && channels > 0 && align % channels == 0 => align / channels,
            _ => self.bits.div_ceil(8),
        };
        Ok(Some(match (self.tag, bytes) {
            (1, 1) => Encoding::U8,
            (1, 2) => Encoding::S16,
            (1, 3) => Encoding::S24,
            (1, 4) => Encoding::S32,
            (3, 4) => Encoding::F32,
            (3, 8) => Encoding::F64,
            (6, 1) => Encoding::ALaw,
            (7, 1) => Encoding::MuLaw,
            (2 | 0x11, _) => return Ok(None),
            (1 | 3 | 6 | 7, _) => {
                return unsupported(format!("samples of {bytes} bytes under format tag {}", self.tag));
            }
            (tag, _) => return unsupported(format!("format tag {tag:#06x}")),
        }))
    }
}

/// The little-endian number at byte `at`.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|v| v.as_array()).map(|v| u32::from_le_bytes(*v))
}

/// An AU file: `bytes` begins with `.snd`.
pub(super) fn decode_au(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let field = |index: usize| {
        bytes.get(4 * index..4 * index + 4).and_then(|v| v.as_array()).map(|v| u32::from_be_bytes(*v)).ok_or_else(
            || Error::Truncated { container: "au", detail: format!("its header has only {} of 24 bytes", bytes.len()) },
        )
    };
    let (offset, size, encoding) = (field(1)?, field(2)?, field(3)?);
    let (sample_rate, channels) = (field(4)?, field(5)?);
    let encoding = match encoding {
        1 => Encoding::MuLaw,
        2 => Encoding::S8,
        3 => Encoding::S16,
        4 => Encoding::S24,
        5 => Encoding::S32,
        6 => Encoding::F32,
        7 => Encoding::F64,
        27 => Encoding::ALaw,
        other => return Err(Error::Unsupported { container: "au", detail: format!("encoding {other}") }),
    };
    if offset < 24 {
        let detail = format!("its audio would start at byte {offset}, within the header");
        return Err(Error::Corrupt { container: "au", detail });
    }
    let data = bytes.get(offset as usize..).ok_or_else(|| Error::Truncated {
        container: "au",
        detail: format!("its audio should start at byte {offset} of {}", bytes.len()),
    })?;
    // A stream does not know its size: all ones by the format's definition, 0 by some programs.
    let data = match size {
        0 | u32::MAX => data,
        size => data.get(..size as usize).ok_or_else(|| Error::Truncated {
            container: "au",
            detail: format!("its audio should have {size} bytes, {} are there", data.len()),
        })?,
    };
    let mut sink = Sink::new("au", sample_rate, channels as usize, limits)?;
    push(&mut sink, data, encoding, Endian::Big)?;
    sink.finish(encoding.codec(Endian::Big), Some(encoding.bits()))
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
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
enum Endian {
    Little,
    Big,
}

impl Encoding {
    /// Bytes of a sample.
    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::S8 | Self::MuLaw | Self::ALaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bits of a sample.
    fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// The codec's name as FFmpeg has it.
    fn codec(self, endian: Endian) -> &'static str {
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
///
/// # Errors
/// [`Error::TooLong`], before anything is decoded.
fn push(sink: &mut Sink, data: &[u8], encoding: Encoding, endian: Endian) -> Result<()> {
    sink.announce((data.len() / encoding.bytes() / sink.channels()) as u64)?;
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
