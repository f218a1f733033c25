//! CAF, Apple's Core Audio Format.

use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_QT, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};

use super::{
    aiff::{IMA4, codec_of_type},
    *,
};

/// Largest table of packets: 32 MiB are some days of AAC.
const MAX_TABLE: u64 = 32 << 20;

/// Largest packet where all have the same size; real ones have some kilobytes at most.
const MAX_PACKET: u32 = 1 << 20;

/// The `desc` chunk.
#[derive(Clone)]
struct Description {
    sample_rate: u32,
    kind: [u8; 4],
    flags: u32,
    bytes_per_packet: u32,
    frames_per_packet: u32,
    channels: usize,
    bits: u32,
}

/// The `pakt` chunk: frames that count, frames before and behind them, and the sizes of the packets.
#[derive(Default)]
struct Packets {
    valid: u64,
    priming: u64,
    count: u64,
    table: Vec<u8>,
}

/// A CAF file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let truncated = |detail: &str| Error::Truncated { container: "caf", detail: detail.into() };
    source.skip(8)?;
    let (mut description, mut packets, mut cookie, mut data) = (None, None, Vec::new(), None);
    while let Some(header) = source.array::<12>()? {
        let [a, b, c, d, size @ ..] = header;
        let size = i64::from_be_bytes(size);
        let body = source.position();
        match &[a, b, c, d] {
            b"desc" => description = Some(Description::parse(source.peek(32)?)?),
            b"kuki" => cookie = source.take(size.clamp(0, 1 << 20) as usize)?,
            b"pakt" => {
                let bytes = source.take(size.clamp(0, MAX_TABLE as i64) as usize)?;
                packets = Some(Packets::parse(&bytes));
            }
            // An edit count stands before the samples; -1 is the size of audio that reaches to the end.
            b"data" => data = Some((body + 4, u64::try_from(size).ok().map(|size| size.saturating_sub(4)))),
            _ => (),
        }
        match u64::try_from(size) {
            Ok(size) => source.seek(body.saturating_add(size))?,
            Err(_) => break,
        }
    }
    let description = description.ok_or_else(|| truncated("the file ends before its description"))?;
    let (start, size) = data.ok_or_else(|| truncated("the file ends before its audio"))?;
    source.seek(start)?;
    description.reader(source, size, packets, &cookie, log)
}

/// The fields of the `info` chunk: texts that end with 0, keys and values by turns.
pub(super) fn comments(source: &mut Source<'_>) -> Option<Vec<(String, String)>> {
    source.skip(8).ok()?;
    while let Some([a, b, c, d, size @ ..]) = source.array::<12>().ok()? {
        let (body, size) = (source.position(), u64::try_from(i64::from_be_bytes(size)).ok()?);
        if [a, b, c, d] == *b"info" {
            let bytes = source.take(size.min(MAX_COMMENTS) as usize).ok()?;
            let texts: Vec<_> = bytes.get(4..)?.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
            return Some(
                texts.as_chunks::<2>().0.iter().map(|[key, value]| (key.to_string(), value.to_string())).collect(),
            );
        }
        source.seek(body.saturating_add(size)).ok()?;
    }
    Some(Vec::new())
}

impl Packets {
    fn parse(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes.get(at..at + 8).and_then(|v| v.as_array()).map_or(0, |v| i64::from_be_bytes(*v));
        let short = |at: usize| bytes.get(at..at + 4).and_then(|v| v.as_array()).map_or(0, |v| i32::from_be_bytes(*v));
        Self {
            count: u64::try_from(number(0)).unwrap_or(0),
            valid: u64::try_from(number(8)).unwrap_or(0),
            priming: u64::try_from(short(16)).unwrap_or(0),
            table: bytes.get(24..).unwrap_or_default().to_vec(),
        }
    }
}

impl Description {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(bytes) = bytes.first_chunk::<32>() else {
            return Err(Error::Truncated { container: "caf", detail: "the file ends within its description".into() });
        };
        let number = |at: usize| bytes[at..at + 4].as_array().map_or(0, |v| u32::from_be_bytes(*v));
        let rate = bytes[..8].as_array().map_or(0.0, |v| f64::from_be_bytes(*v));
        Ok(Self {
            sample_rate: rate.round() as u32,
            kind: [bytes[8], bytes[9], bytes[10], bytes[11]],
            flags: number(12),
            bytes_per_packet: number(16),
            frames_per_packet: number(20),
            channels: number(24) as usize,
            bits: number(28),
        })
    }

    /// The reader of the audio that is next in `source` and should have `size` bytes.
    fn reader(
        &self,
        source: &mut Source<'_>,
        size: Option<u64>,
        packets: Option<Packets>,
        cookie: &[u8],
        log: &mut Log,
    ) -> Result<Box<dyn Reader>> {
        let (rate, channels) = (self.sample_rate, self.channels);
        let bytes_per_second = match (self.bytes_per_packet, self.frames_per_packet) {
            (bytes, frames @ 1..) => f64::from(rate) * f64::from(bytes) / f64::from(frames),
            _ => f64::INFINITY,
        };
        let end = match size {
            Some(size) => data_end(source, size, false, bytes_per_second, log),
            None => source.end(),
        };
        let unsupported = |detail: String| Err(Error::Unsupported { container: "caf", detail });
        if let Some(pcm) = self.pcm() {
            let Some((encoding, endian)) = pcm else { return unsupported(format!("PCM of {} bits", self.bits)) };
            return Ok(Box::new(Samples::new(encoding, endian, rate, channels, end)));
        }
        if self.bytes_per_packet > MAX_PACKET {
            let detail = format!("its header says {} bytes a packet", self.bytes_per_packet);
            return Err(Error::Corrupt { container: "caf", detail });
        }
        let format = match &self.kind {
            b"ima4" if channels > 0 => {
                let (bytes, frames) = (IMA4.0 * channels, IMA4.1);
                let format = Format::packets(CODEC_ID_ADPCM_IMA_QT, rate, channels, |params| {
                    params.with_max_frames_per_packet(frames).with_frames_per_block(frames);
                });
                let length = packets.as_ref().map(|packets| packets.valid).filter(|&valid| valid > 0);
                let delay = packets.map_or(0, |packets| packets.priming);
                let format = Some(Format { length, delay, ..format });
                return Ok(Box::new(Blocks { format, bytes, frames, header: 2 * channels, end }));
            }
            // The object of an elementary stream, or its configuration alone.
            b"aac " => aac(descriptor(cookie).and_then(|(_, config)| config).unwrap_or(cookie)),
            b"alac" => mp4::alac(cookie, rate, channels)
                .ok_or_else(|| Error::Corrupt { container: "caf", detail: "its header of ALAC is missing".into() })?,
            b".mp1" => Format::packets(CODEC_ID_MP1, rate, channels, |_| ()),
            b".mp2" => Format::packets(CODEC_ID_MP2, rate, channels, |_| ()),
            b".mp3" => Format::packets(CODEC_ID_MP3, rate, channels, |_| ()),
            b"opus" => {
                let mut head = b"OpusHead\x01".to_vec();
                head.push(channels as u8);
                head.extend_from_slice(&[0; 9]);
                ogg::opus_format(if cookie.starts_with(b"OpusHead") { cookie } else { &head })
            }
            b"flac" => {
                // The boxes of MP4 may stand around STREAMINFO.
                let found = (0..cookie.len().min(64)).filter_map(|at| flac::StreamInfo::parse(cookie.get(at..)?));
                let found = found.into_iter().find(|info| info.sample_rate == rate && info.channels == channels);
                found
                    .ok_or_else(|| Error::Corrupt { container: "caf", detail: "its header of FLAC is missing".into() })?
                    .format()
            }
            kind => {
                return unsupported(
                    codec_of_type(kind).map_or_else(|| format!("codec \"{}\"", kind.escape_ascii()), str::to_owned),
                );
            }
        };
        let Some(packets) = packets.filter(|_| self.bytes_per_packet == 0 || self.frames_per_packet == 0) else {
            if self.bytes_per_packet == 0 {
                return Err(Error::Truncated {
                    container: "caf",
                    detail: "the sizes of its packets (pakt) are missing".into(),
                });
            }
            let bytes = self.bytes_per_packet as usize;
            let frames = u64::from(self.frames_per_packet);
            return Ok(Box::new(Blocks { format: Some(format), bytes, frames, header: 0, end }));
        };
        let delay = packets.priming.max(format.delay);
        let length = (packets.valid > 0).then_some(packets.valid);
        let format = Some(Box::new(Format { delay, length, ..format }));
        let has_frames = self.frames_per_packet == 0;
        let frames = u64::from(self.frames_per_packet);
        Ok(Box::new(Caf { format, packets, at: 0, has_frames, fixed: self.bytes_per_packet, frames, end, done: 0 }))
    }

    /// The samples of a kind of PCM; `Some(None)` for a width that is not read.
    fn pcm(&self) -> Option<Option<(Encoding, Endian)>> {
        // Flags: 1 is floating point, 2 little-endian.
        let endian = if self.flags & 2 == 0 { Endian::Big } else { Endian::Little };
        match &self.kind {
            b"lpcm" => {
                let by_packet = self.bytes_per_packet.checked_div(self.channels as u32).unwrap_or(0);
                let bytes = self.bits.div_ceil(8).max(by_packet);
                let encoding = match (self.flags & 1, bytes) {
                    (1, _) => Encoding::float(bytes),
                    (_, 1) => Some(Encoding::S8),
                    _ => Encoding::integer(bytes),
                };
                Some(encoding.map(|encoding| (encoding, endian)))
            }
            b"ulaw" => Some(Some((Encoding::MuLaw, endian))),
            b"alaw" => Some(Some((Encoding::ALaw, endian))),
            _ => None,
        }
    }
}

/// Packets whose sizes stand in a table.
struct Caf {
    format: Option<Box<Format>>,
    packets: Packets,
    /// Where the next entry of the table begins.
    at: usize,
    /// Whether an entry has the number of frames too.
    has_frames: bool,
    /// Bytes of a packet, where all have the same.
    fixed: u32,
    frames: u64,
    end: u64,
    done: u64,
}

impl Caf {
    /// A number of the table: seven bits in a byte, the highest first.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for _ in 0..9 {
            let byte = *self.packets.table.get(self.at)?;
            self.at += 1;
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl Reader for Caf {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        if let Some(format) = self.format.take() {
            return Ok(Some(Event::Format(format)));
        }
        loop {
            if self.done >= self.packets.count {
                return Ok(None);
            }
            let size = if self.fixed > 0 { Some(u64::from(self.fixed)) } else { self.number() };
            let Some(size) = size else { return Ok(None) };
            let frames = if self.has_frames { self.number().unwrap_or(0) } else { self.frames };
            let left = self.end.saturating_sub(source.position());
            if size > left || size > 16 << 20 {
                if !log.is_incomplete {
                    log.truncated(None, format!("a packet should have {size} bytes, {left} are there"));
                }
                return Ok(None);
            }
            self.done += 1;
            if size == 0 {
                continue;
            }
            let data = source.take(size as usize)?;
            return Ok(Some(Event::Packet(Packet { data, frames, ..Packet::default() })));
        }
    }
}
