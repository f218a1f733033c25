//! FLAC: metadata blocks, then frames, of which each says its own format and ends with a checksum.
//!
//! A frame ends where the checksum of all before is right and another frame, or the end, follows (RFC 9639, 9). So frames may be counted
//! from any number, or anew, and a damaged one is left out.

use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;

use super::*;

/// Bytes of STREAMINFO.
pub(super) const STREAM_INFO: usize = 34;

/// How far frames are searched for where there is no STREAMINFO, and how many headers are looked at.
const SEARCH: usize = 256 << 10;
const MAX_CANDIDATES: usize = 16;

/// Whether the frame that `bytes` begin with has a difference of two channels of 32 bits, which is `stream_bits` where it does not say: it has
/// 33 bits, and symphonia computes with 32.
pub(in super::super) fn is_beyond_32_bits(bytes: &[u8], stream_bits: Option<u32>) -> bool {
    FrameHeader::parse(bytes).is_some_and(|header| {
        let bits = if header.bits == 0 { stream_bits.unwrap_or(0) } else { header.bits };
        header.is_joint && bits == 32
    })
}

/// What STREAMINFO says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamInfo {
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
    pub(super) bits: u32,
    pub(super) samples: u64,
    /// Whether blocks have several sizes, as old encoders said it.
    is_variable: bool,
    md5: [u8; 16],
}

impl StreamInfo {
    /// RFC 9639, 8.2.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let word = u64::from_be_bytes(*body.get(10..18)?.first_chunk()?);
        Some(Self {
            sample_rate: (word >> 44) as u32,
            channels: (word >> 41 & 7) as usize + 1,
            bits: (word >> 36 & 31) as u32 + 1,
            samples: word & 0xf_ffff_ffff,
            is_variable: body.get(..2)? != body.get(2..4)?,
            md5: *body.get(18..34)?.first_chunk()?,
        })
    }

    /// What a decoder of any frame of this format is made from: STREAMINFO with the largest block.
    fn for_decoder(&self) -> Vec<u8> {
        let mut out = vec![0, 16, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        let word =
            u64::from(self.sample_rate) << 44 | (self.channels as u64 - 1) << 41 | (u64::from(self.bits) - 1) << 36;
        out.extend_from_slice(&word.to_be_bytes());
        out.extend_from_slice(&self.md5);
        out
    }

    /// The same with what a frame says.
    pub(super) fn with(self, sample_rate: u32, channels: usize, bits: u32) -> Self {
        Self { sample_rate, channels, bits, ..self }
    }

    pub(super) fn format(&self) -> Format {
        Format::packets(CODEC_ID_FLAC, self.sample_rate, self.channels, |params| {
            params.with_extra_data(self.for_decoder().into()).with_bits_per_sample(self.bits);
        })
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) samples: u64,
    /// 0 for that of STREAMINFO.
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
    /// Whether one of two channels is coded as their difference.
    is_joint: bool,
    /// 0 for those of STREAMINFO.
    pub(super) bits: u32,
    /// The number of the frame, or of its first sample where blocks vary.
    number: u64,
    is_variable: bool,
}

impl FrameHeader {
    /// The header that `bytes` begin with, if its checksum is right (RFC 9639, 9.1).
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, sync, sizes, format] = bytes.first_chunk::<4>()? else { return None };
        if sync & 0xfe != 0xf8 || format & 1 != 0 {
            return None;
        }
        // A number in the manner of UTF-8.
        let first = *bytes.get(4)?;
        let ones = first.leading_ones();
        let (mut number, n) = match ones {
            0 => (u64::from(first), 0),
            2..=7 => (u64::from(first) & (0x7f >> ones), ones as usize - 1),
            _ => return None,
        };
        for &byte in bytes.get(5..5 + n)? {
            if byte & 0xc0 != 0x80 {
                return None;
            }
            number = number << 6 | u64::from(byte & 0x3f);
        }
        let mut at = 5 + n;
        let mut more = |n: usize| {
            let value = bytes.get(at..at + n)?.iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
            at += n;
            Some(value)
        };
        let samples = match sizes >> 4 {
            0 => return None,
            1 => 192,
            exponent @ 2..=5 => 144 << exponent,
            6 => more(1)? + 1,
            7 => more(2)? + 1,
            exponent => 1 << exponent,
        };
        let sample_rate = match sizes & 15 {
            0 => 0,
            index @ 1..=11 => [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
                [usize::from(index) - 1],
            12 => more(1)? * 1000,
            13 => more(2)?,
            14 => more(2)? * 10,
            _ => return None,
        };
        let channels = match format >> 4 {
            n @ 0..=7 => usize::from(n) + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = match format >> 1 & 7 {
            3 => return None,
            index => [0, 8, 12, 0, 16, 20, 24, 32][usize::from(index)],
        };
        let checksum = bytes[..at].iter().fold(0, |crc, &byte| CRC_8[usize::from(crc ^ byte)]);
        (*bytes.get(at)? == checksum).then_some(Self {
            samples: u64::from(samples),
            sample_rate,
            channels,
            is_joint: format >> 7 == 1,
            bits,
            number,
            is_variable: sync & 1 == 1,
        })
    }
}

/// Remainders of the polynomial x⁸ + x² + x + 1.
const CRC_8: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// Remainders of the polynomial x¹⁶ + x¹⁵ + x² + 1.
const CRC_16: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x8005 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// A FLAC file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let info = if source.peek(4)? == b"fLaC" { metadata(source, log)? } else { None };
    let info = match info {
        Some(info) => info,
        None => {
            log.warn(WarningKind::WrongHeader, "it has no STREAMINFO");
            let first = first_frame(source.peek(SEARCH)?).map(|(_, header)| header);
            let first =
                first.ok_or_else(|| Error::Corrupt { container: "flac", detail: "it has no STREAMINFO".into() })?;
            StreamInfo {
                sample_rate: first.sample_rate,
                channels: first.channels,
                bits: first.bits,
                samples: 0,
                is_variable: false,
                md5: [0; 16],
            }
        }
    };
    Ok(Box::new(Flac {
        info,
        visits: Visits::default(),
        current: None,
        pending: None,
        found: 0,
        expected: None,
        block: 0,
        first_number: 0,
    }))
}

/// Reads the marker and the metadata blocks, up to the first frame.
fn metadata(source: &mut Source<'_>, log: &mut Log) -> Result<Option<StreamInfo>> {
    source.skip(4)?;
    let mut info = None;
    loop {
        let Some([kind, a, b, c]) = source.array::<4>()? else {
            return Err(Error::Truncated { container: "flac", detail: "the file ends within its metadata".into() });
        };
        let size = u64::from(u32::from_be_bytes([0, a, b, c]));
        if kind & 0x7f == 0 && info.is_none() {
            info = StreamInfo::parse(source.peek(STREAM_INFO)?);
        }
        // A wrong size, as a picture of more than 16 MiB has one: the frames may stand anywhere behind.
        let next = source.position().saturating_add(size);
        if kind & 0x7f == 0x7f || next > source.end() {
            let detail = format!("a metadata block should have {size} bytes, {} are there", source.remaining());
            log.warn(WarningKind::WrongSize, detail);
            break;
        }
        source.seek(next)?;
        if kind & 0x80 != 0 {
            break;
        }
    }
    Ok(info)
}

/// Where frames begin in `bytes`.
pub(in super::super) fn find(bytes: &[u8]) -> Option<usize> {
    first_frame(bytes).map(|(at, _)| at)
}

/// Where in `bytes` a frame begins that says its own format and ends with a right checksum, before another one; and its header.
fn first_frame(bytes: &[u8]) -> Option<(usize, FrameHeader)> {
    let candidates = (0..bytes.len()).filter_map(|at| {
        let header = FrameHeader::parse(bytes.get(at..)?)?;
        (header.sample_rate > 0 && header.bits > 0).then_some((at, header))
    });
    candidates.take(MAX_CANDIDATES).find(|&(start, _)| {
        let mut crc = 0u16;
        bytes[start..].iter().enumerate().any(|(n, &byte)| {
            crc = crc << 8 ^ CRC_16[usize::from((crc >> 8) as u8 ^ byte)];
            crc == 0 && n >= 8 && FrameHeader::parse(&bytes[start + n + 1..]).is_some()
        })
    })
}

struct Flac {
    info: StreamInfo,
    visits: Visits,
    /// Rate, channels and bits of the last frame.
    current: Option<(u32, usize, u32)>,
    pending: Option<Packet>,
    /// Samples of frames found.
    found: u64,
    /// The number of the sample that should follow, by the numbers of the frames.
    expected: Option<u64>,
    /// Samples of a block where all are equal.
    block: u64,
    first_number: u64,
}

impl Reader for Flac {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        if let Some(packet) = self.pending.take() {
            return Ok(Some(Event::Packet(packet)));
        }
        let mut damaged = 0u64;
        loop {
            let Some(header) = self.next_header(source, &mut damaged, log)? else {
                self.end(damaged, log);
                return Ok(None);
            };
            let Some(length) = self.frame_length(source, &header)? else {
                damaged += 1;
                source.skip(1)?;
                continue;
            };
            let data = source.take(length)?;
            return self.packet(data, &header, damaged, log).map(Some);
        }
    }
}

impl Flac {
    /// Goes to the next header of a frame, counting the bytes that are none.
    fn next_header(
        &mut self,
        source: &mut Source<'_>,
        skipped: &mut u64,
        log: &mut Log,
    ) -> Result<Option<FrameHeader>> {
        loop {
            let bytes = source.peek(BLOCK)?;
            if bytes.starts_with(b"fLaC") {
                self.next_stream(source, log)?;
                continue;
            }
            if bytes.len() < 6 {
                *skipped += bytes.len() as u64;
                return Ok(None);
            }
            let sync = |word: &[u8]| (word[0] == 0xff && word[1] & 0xfe == 0xf8) || word == b"fLaC";
            let Some(at) = bytes.windows(4).position(sync) else {
                let step = bytes.len() - 3;
                *skipped += step as u64;
                self.visits.add(step, source, "flac")?;
                source.skip(step as u64)?;
                continue;
            };
            *skipped += at as u64;
            source.skip(at as u64)?;
            self.visits.add(at, source, "flac")?;
            let bytes = source.peek(16)?;
            if let Some(header) = FrameHeader::parse(bytes) {
                return Ok(Some(header));
            }
            if bytes.starts_with(b"fLaC") {
                continue;
            }
            *skipped += 1;
            source.skip(1)?;
        }
    }

    /// A stream that was joined to the one before.
    fn next_stream(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<()> {
        self.end(0, log);
        let here = source.position();
        match metadata(source, log) {
            Ok(Some(info)) => {
                (self.info, self.found, self.expected, self.block, self.first_number) = (info, 0, None, 0, 0);
                Ok(())
            }
            Err(Error::Io { path, source }) => Err(Error::Io { path, source }),
            // Four bytes that are a marker by chance.
            Ok(None) | Err(_) => source.seek(here + 4),
        }
    }

    /// Bytes of the frame that is next; `None` if it is damaged.
    ///
    /// Where no other frame follows, but something else does, it is as many bytes as may belong to it: the decoder stops by itself.
    fn frame_length(&mut self, source: &mut Source<'_>, header: &FrameHeader) -> Result<Option<usize>> {
        let bits = if header.bits == 0 { self.info.bits } else { header.bits };
        // A frame of which nothing is compressed, with a side channel and the headers of its parts.
        let largest =
            64 + (header.samples as usize * (bits as usize + 1) * header.channels).div_ceil(8) + 16 * header.channels;
        let bytes = source.peek(largest + 16)?;
        let (mut last, mut is_followed, mut visited, mut whole) = (None, false, bytes.len(), None);
        let mut crc = 0u16;
        for (at, &byte) in bytes.iter().enumerate().take(largest) {
            crc = crc << 8 ^ CRC_16[usize::from((crc >> 8) as u8 ^ byte)];
            let rest = &bytes[at + 1..];
            let is_sync = matches!(rest, [0xff, sync, ..] if sync & 0xfe == 0xf8);
            let is_frame = is_sync && FrameHeader::parse(rest).is_some();
            is_followed |= is_frame;
            // The checksum of a frame with its own is 0.
            if crc == 0 && at >= 8 {
                last = Some(at + 1);
                if is_frame || rest.is_empty() || rest.starts_with(b"fLaC") {
                    (whole, visited) = (last, at);
                    break;
                }
            }
        }
        self.visits.add(visited, source, "flac")?;
        Ok(whole.or(last.filter(|_| !is_followed)))
    }

    /// The event of a whole frame, behind `damaged` bytes that are none.
    fn packet(&mut self, data: Vec<u8>, header: &FrameHeader, damaged: u64, log: &mut Log) -> Result<Event> {
        let rate = if header.sample_rate == 0 { self.info.sample_rate } else { header.sample_rate };
        let bits = if header.bits == 0 { self.info.bits } else { header.bits };
        self.note_gap(header, rate, damaged, log);
        let packet = Packet { data, frames: header.samples, ..Packet::default() };
        self.found += header.samples;
        let format = (rate, header.channels, bits);
        if self.current == Some(format) {
            return Ok(Event::Packet(packet));
        }
        if self.current.is_none() && (rate, header.channels) != (self.info.sample_rate, self.info.channels) {
            log.warn(
                WarningKind::WrongHeader,
                format!(
                    "STREAMINFO says {} Hz and {} channels, the frames {rate} Hz and {}",
                    self.info.sample_rate, self.info.channels, header.channels
                ),
            );
        }
        self.current = Some(format);
        self.pending = Some(packet);
        Ok(Event::Format(Box::new(self.info.with(rate, header.channels, bits).format())))
    }

    /// Notes what is missing before a frame, by its number, or else by the bytes that are no frames.
    fn note_gap(&mut self, header: &FrameHeader, rate: u32, damaged: u64, log: &mut Log) {
        self.block = self.block.max(header.samples);
        let number =
            if header.is_variable || self.info.is_variable { header.number } else { header.number * self.block };
        let seconds = |samples: u64| samples as f64 / f64::from(rate.max(1));
        match self.expected {
            None => {
                self.first_number = number;
                if damaged > 64 {
                    log.damaged(0.0, format!("{damaged} bytes before the first frame are no frames"));
                }
            }
            Some(expected) if damaged > 0 => {
                // The last block of a stream may be shorter, and then the numbers of the next are smaller than they should be.
                let missing = number.saturating_sub(expected);
                let missing = if missing == 0 || missing > u64::from(rate) * 600 { self.block } else { missing };
                log.damaged(seconds(missing), format!("{damaged} bytes are no frames"));
            }
            Some(expected) if number > expected => {
                let detail = format!("sample {expected} should follow, but the next frame begins with sample {number}");
                log.warn_here(WarningKind::WrongHeader, detail);
            }
            Some(_) => (),
        }
        self.expected = Some(number + header.samples);
    }

    /// The end of the file, behind `rest` bytes that are no frames.
    fn end(&mut self, rest: u64, log: &mut Log) {
        let total = self.info.samples;
        let seconds = |samples: u64| samples as f64 / f64::from(self.info.sample_rate.max(1));
        if total > self.found {
            // What was lost on the way was said.
            let reached = self.expected.unwrap_or(0).saturating_sub(self.first_number);
            let missing = total - self.found.max(reached).min(total);
            let detail = format!("its header announces {total} samples, {} are there", self.found);
            if missing > 0 && self.first_number == 0 {
                log.truncated(Some(seconds(missing)), detail);
            } else if missing > 0 {
                log.warn(WarningKind::WrongHeader, detail);
            }
        } else if total > 0 && self.found > total {
            log.warn(
                WarningKind::WrongHeader,
                format!("its header announces {total} samples, {} are there", self.found),
            );
        }
        if rest > 0 && total <= self.found {
            log.warn(WarningKind::TrailingData, format!("{rest} bytes follow its last frame"));
        }
    }
}
