//! AU of Sun and NeXT: a header of six numbers, then samples.

use super::*;

/// An AU file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let (start, length) = (source.position(), source.remaining());
    let Some(head) = source.array::<24>()? else {
        let detail = format!("its header has only {length} of 24 bytes");
        return Err(Error::Truncated { container: "au", detail });
    };
    // "dns." where the machine was a DEC.
    let endian = if head.starts_with(b".snd") { Endian::Big } else { Endian::Little };
    let [_, offset, size, encoding, sample_rate, channels] = std::array::from_fn(|index| {
        let bytes = head[4 * index..4 * index + 4].as_array().copied().unwrap_or_default();
        if endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    });
    let encoding = match encoding {
        1 => Encoding::MuLaw,
        2 => Encoding::S8,
        3 => Encoding::S16,
        4 => Encoding::S24,
        5 => Encoding::S32,
        6 => Encoding::F32,
        7 => Encoding::F64,
        27 => Encoding::ALaw,
        other => {
            let detail = match other {
                23 => "G.721 ADPCM".to_owned(),
                24 => "G.722 ADPCM".to_owned(),
                25 | 26 => "G.723 ADPCM".to_owned(),
                other => format!("encoding {other}"),
            };
            return Err(Error::Unsupported { container: "au", detail });
        }
    };
    if offset < 24 {
        let detail = format!("its audio would start at byte {offset}, within the header");
        return Err(Error::Corrupt { container: "au", detail });
    }
    if u64::from(offset) > length {
        let detail = format!("its audio should start at byte {offset} of {length}");
        return Err(Error::Truncated { container: "au", detail });
    }
    source.seek(start + u64::from(offset))?;
    let bytes_per_second = f64::from(sample_rate) * f64::from(channels) * encoding.bytes() as f64;
    let end = match size {
        // A stream does not know its size: all ones by the format's definition, 0 by some programs.
        0 => source.end(),
        size => data_end(source, u64::from(size), false, bytes_per_second, log),
    };
    let rest = source.end() - end;
    if rest > 8 {
        log.warn(WarningKind::TrailingData, format!("{rest} bytes follow its audio"));
    }
    Ok(Box::new(Samples::new(encoding, endian, sample_rate, channels as usize, end)))
}
