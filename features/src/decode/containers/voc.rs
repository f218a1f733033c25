//! VOC of Creative Labs: blocks of samples, of which each may have its own rate.

use super::*;

/// A VOC file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let start = source.position();
    let Some(head) = source.array::<26>()? else {
        return Err(Error::Truncated { container: "voc", detail: "the file ends within its header".into() });
    };
    let offset = u16::from_le_bytes([head[20], head[21]]);
    if offset < 26 {
        log.warn(WarningKind::WrongHeader, format!("its audio would start at byte {offset}, within the header"));
    }
    source.seek(start + u64::from(offset.max(26)))?;
    Ok(Box::new(Voc { samples: None, extended: None, format: None }))
}

struct Voc {
    /// The block that is being read.
    samples: Option<Samples>,
    /// Rate, channels and codec of a block of type 8, for the next block of type 1.
    extended: Option<(u32, usize, u8)>,
    /// Encoding, rate and channels of the last block.
    format: Option<(Encoding, u32, usize)>,
}

impl Reader for Voc {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        loop {
            if let Some(samples) = &mut self.samples {
                if let Some(event) = samples.next(source, log)? {
                    return Ok(Some(event));
                }
                source.seek(samples.end)?;
                self.samples = None;
            }
            // 0 ends the file.
            let kind = match source.array::<1>()? {
                None | Some([0]) => return Ok(None),
                Some([kind]) => kind,
            };
            let Some([a, b, c]) = source.array::<3>()? else { return Ok(None) };
            let announced = u64::from(u32::from_le_bytes([a, b, c, 0]));
            let body = source.position();
            let header: u64 = match kind {
                1 => 2,
                9 => 12,
                _ => 0,
            };
            let fields = source.peek(12)?;
            let field = |at: usize| fields.get(at).copied().unwrap_or(0);
            match kind {
                1 => {
                    let (rate, channels, codec) = self.extended.take().unwrap_or_else(|| {
                        let rate = 1_000_000 / (256 - u32::from(field(0)));
                        (rate, 1, field(1))
                    });
                    self.format = Some((encoding(codec.into())?, rate, channels));
                }
                8 => {
                    let divisor = 65_536 - u32::from(u16::from_le_bytes([field(0), field(1)]));
                    let channels = usize::from(field(3)) + 1;
                    self.extended = Some((256_000_000 / divisor / channels as u32, channels, field(2)));
                }
                9 => {
                    let rate = u32::from_le_bytes([field(0), field(1), field(2), field(3)]);
                    let codec = u16::from_le_bytes([field(6), field(7)]);
                    let encoding = match (encoding(codec)?, field(4)) {
                        // Codec 0 is PCM of 8 bits, and some programs write it with 16.
                        (Encoding::U8, 16) => Encoding::S16,
                        (encoding, _) => encoding,
                    };
                    self.format = Some((encoding, rate, usize::from(field(5))));
                }
                // Silence, of which nothing can be learned, markers, texts and loops.
                _ => (),
            }
            let (Some((encoding, rate, channels)), true) = (self.format, matches!(kind, 1 | 2 | 9)) else {
                source.seek(body.saturating_add(announced))?;
                continue;
            };
            source.seek(body + header)?;
            let bytes_per_second = f64::from(rate) * channels as f64 * encoding.bytes() as f64;
            // A size of 24 bits that is 0 or all ones is one that was not known.
            let end = match announced {
                0 | 0xff_ffff => source.end(),
                announced => data_end(source, announced.saturating_sub(header), false, bytes_per_second, log),
            };
            let mut samples = Samples::new(encoding, Endian::Little, rate, channels, end);
            if kind == 2 {
                samples.format = None;
            }
            self.samples = Some(samples);
        }
    }
}

/// The encoding of a VOC codec.
fn encoding(codec: u16) -> Result<Encoding> {
    Ok(match codec {
        0 => Encoding::U8,
        4 => Encoding::S16,
        6 => Encoding::ALaw,
        7 => Encoding::MuLaw,
        1..=3 | 0x200 => return Err(Error::Unsupported { container: "voc", detail: "Creative ADPCM".into() }),
        other => return Err(Error::Unsupported { container: "voc", detail: format!("codec {other}") }),
    })
}
