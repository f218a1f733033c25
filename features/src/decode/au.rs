//! AU, also called SND: the format of GTZAN's originals. Sun's header of six big-endian numbers, then the samples.

use super::{
    Decoded, Limits,
    pcm::{self, Encoding, Endian},
    sink::Sink,
};
use crate::{Error, Result};

const NAME: &str = "au";

/// An AU file: `bytes` begins with `.snd`.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let field = |index: usize| {
        bytes.get(4 * index..4 * index + 4).and_then(|v| v.as_array()).map(|v| u32::from_be_bytes(*v)).ok_or_else(
            || Error::Truncated { container: NAME, detail: format!("its header has only {} of 24 bytes", bytes.len()) },
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
        other => return Err(Error::Unsupported { container: NAME, detail: format!("encoding {other}") }),
    };
    if offset < 24 {
        let detail = format!("its audio would start at byte {offset}, within the header");
        return Err(Error::Corrupt { container: NAME, detail });
    }
    let data = bytes.get(offset as usize..).ok_or_else(|| Error::Truncated {
        container: NAME,
        detail: format!("its audio should start at byte {offset} of {}", bytes.len()),
    })?;
    // A stream does not know its size: all ones by the format's definition, 0 by some programs.
    let data = match size {
        0 | u32::MAX => data,
        size => data.get(..size as usize).ok_or_else(|| Error::Truncated {
            container: NAME,
            detail: format!("its audio should have {size} bytes, {} are there", data.len()),
        })?,
    };
    let mut sink = Sink::new(NAME, sample_rate, channels as usize, limits)?;
    pcm::decode(&mut sink, data, encoding, Endian::Big)?;
    sink.finish(encoding.codec(Endian::Big), Some(encoding.bits()))
}
