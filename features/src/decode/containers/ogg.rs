//! Ogg (RFC 3533): pages of packets, with Vorbis, Opus or FLAC; several streams may follow each other.
//!
//! The position of a page says where its last packet ends: so it tells what is encoder's delay and padding, and what is lost.

use std::collections::VecDeque;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};

use super::*;

/// Most bytes of a packet.
const MAX_PACKET: usize = 16 << 20;

/// An Ogg file.
pub(super) fn open() -> Box<dyn Reader> {
    Box::new(Ogg {
        stream: None,
        events: VecDeque::new(),
        other: None,
        has_begun: false,
        is_over: false,
        skipped: 0,
        has_audio: false,
        visits: Visits::default(),
    })
}

struct Ogg {
    /// The stream that is decoded.
    stream: Option<Stream>,
    events: VecDeque<Event>,
    /// The name of a codec that is not read, of a stream that was met.
    other: Option<&'static str>,
    /// Whether a page with audio was met since the last first page.
    has_begun: bool,
    is_over: bool,
    /// Bytes that are no pages, since the last one.
    skipped: u64,
    has_audio: bool,
    visits: Visits,
}

/// One logical stream.
struct Stream {
    serial: u32,
    codec: Codec,
    /// Number of the last page.
    sequence: Option<u32>,
    /// A packet that goes on in the next page.
    partial: Vec<u8>,
    is_partial: bool,
    /// Where the last page ended, in samples by its own count.
    position: Option<i64>,
    has_ended: bool,
}

/// The codec of a stream, with the headers read so far.
enum Codec {
    Vorbis(Vec<Vec<u8>>, Option<VorbisBlocks>),
    /// The header, until the tags were read.
    Opus {
        head: Option<Vec<u8>>,
    },
    Flac {
        info: flac::StreamInfo,
        format: Option<(u32, usize, u32)>,
    },
}

/// A page without its data.
struct Page {
    is_continued: bool,
    is_first: bool,
    is_last: bool,
    position: i64,
    serial: u32,
    sequence: u32,
    lacing: Vec<u8>,
}

impl Reader for Ogg {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.next_page(source, log)? {
                Some((page, body)) => self.read(&page, &body, log)?,
                None => {
                    self.is_over = true;
                    self.finish(log)?;
                }
            }
        }
    }
}

impl Ogg {
    /// The next page whose checksum is right.
    fn next_page(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<(Page, Vec<u8>)>> {
        loop {
            let bytes = source.peek(27 + 255 + 255 * 255)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let mut visited = 0;
            if let Some((page, header, length)) = Page::parse(bytes) {
                if bytes.len() < length {
                    // A page at the end that is cut; otherwise four letters by chance.
                    if self.stream.as_ref().is_some_and(|stream| stream.serial == page.serial && !stream.has_ended) {
                        log.truncated(None, "the file ends within a page");
                        self.is_over = true;
                        return Ok(None);
                    }
                } else if is_whole(&bytes[..length]) {
                    let body = bytes[header..length].to_vec();
                    source.skip(length as u64)?;
                    return Ok(Some((page, body)));
                } else {
                    visited = length;
                }
            }
            let next = bytes[1..].windows(4).position(|window| window == b"OggS");
            let step = next.map_or(bytes.len().saturating_sub(3).max(1), |at| at + 1);
            self.visits.add(visited, source, "ogg")?;
            self.skipped += step as u64;
            source.skip(step as u64)?;
        }
    }

    fn read(&mut self, page: &Page, body: &[u8], log: &mut Log) -> Result<()> {
        if page.is_first {
            return self.begin(page, body, log);
        }
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.serial == page.serial) else { return Ok(()) };
        let skipped = std::mem::take(&mut self.skipped);
        let packets = stream.packets(page, body);
        let is_gap = stream.sequence.is_some_and(|sequence| sequence.wrapping_add(1) != page.sequence);
        stream.sequence = Some(page.sequence);
        self.has_begun |= page.position > 0;
        let mut audio = Vec::new();
        for packet in packets {
            if let Some(format) = stream.codec.headers(&packet)? {
                self.has_audio = true;
                self.events.extend(format);
            } else if stream.codec.is_ready() {
                let frames = stream.codec.frames(&packet);
                if let Codec::Flac { info, format } = &mut stream.codec
                    && let Some(change) = flac_change(info, format, &packet)
                {
                    self.events.extend(std::mem::take(&mut audio).into_iter().map(Event::Packet));
                    self.events.push_back(change);
                }
                audio.push(Packet { data: packet, frames, ..Packet::default() });
            }
        }
        stream.time(page, &mut audio, is_gap, skipped, log);
        stream.has_ended |= page.is_last;
        self.events.extend(audio.into_iter().map(Event::Packet));
        Ok(())
    }

    /// The first page of a stream.
    fn begin(&mut self, page: &Page, body: &[u8], log: &mut Log) -> Result<()> {
        let length = page.lacing.iter().take_while(|&&n| n == 255).count() + 1;
        let first: usize = page.lacing.iter().take(length).map(|&n| usize::from(n)).sum();
        let first = body.get(..first).unwrap_or(body);
        // Streams that lie side by side begin one after the other; the first with audio is decoded.
        if self.stream.is_some() && !self.has_begun {
            return Ok(());
        }
        match Codec::of(first)? {
            Ok(codec) => {
                if let Some(stream) = &self.stream
                    && !stream.has_ended
                {
                    log.warn_here(WarningKind::Truncated, "a stream ends without its last page");
                }
                self.stream = Some(Stream {
                    serial: page.serial,
                    codec,
                    sequence: Some(page.sequence),
                    partial: Vec::new(),
                    is_partial: false,
                    position: None,
                    has_ended: false,
                });
                self.has_begun = false;
                self.skipped = 0;
                // The other headers may stand in the same page.
                let rest = Page {
                    is_first: false,
                    is_continued: false,
                    lacing: page.lacing[length.min(page.lacing.len())..].to_vec(),
                    sequence: page.sequence.wrapping_add(1),
                    ..*page
                };
                if let (false, Some(stream)) = (rest.lacing.is_empty(), &mut self.stream) {
                    stream.sequence = Some(page.sequence);
                    let body = &body[first.len()..];
                    self.read(&rest, body, log)?;
                    if let Some(stream) = &mut self.stream {
                        stream.sequence = Some(page.sequence);
                    }
                }
                if let Some(Codec::Flac { info, format }) = self.stream.as_mut().map(|stream| &mut stream.codec) {
                    *format = Some((info.sample_rate, info.channels, info.bits));
                    self.has_audio = true;
                    self.events.push_back(Event::Format(Box::new(info.format())));
                }
            }
            Err(name) => self.other = self.other.or(name),
        }
        Ok(())
    }

    fn finish(&mut self, log: &mut Log) -> Result<()> {
        if !self.has_audio {
            return Err(match (self.other, &self.stream) {
                (Some(name), None) => Error::Unsupported { container: "ogg", detail: name.into() },
                (None, None) if self.skipped == 0 => {
                    Error::Unsupported { container: "ogg", detail: "no audio stream that is known".into() }
                }
                _ => Error::Truncated { container: "ogg", detail: "the file ends within its headers".into() },
            });
        }
        match &self.stream {
            Some(stream) if !stream.has_ended && !log.is_incomplete => {
                log.truncated(None, "the file ends without the last page of its stream");
            }
            Some(stream) if !stream.has_ended => {
                log.warn_here(WarningKind::Truncated, "the file ends without the last page of its stream")
            }
            _ if self.skipped > 0 => {
                log.warn(WarningKind::TrailingData, format!("{} bytes follow its last page", self.skipped));
            }
            _ => (),
        }
        Ok(())
    }
}

/// The comments of FLAC in Ogg; `None` for another codec.
pub(super) fn comments(source: &mut Source<'_>) -> Option<Vec<(String, String)>> {
    let mut pages = Ogg {
        stream: None,
        events: VecDeque::new(),
        other: None,
        has_begun: false,
        is_over: false,
        skipped: 0,
        has_audio: false,
        visits: Visits::default(),
    };
    let mut stream = None::<Stream>;
    // The headers are at the beginning.
    for _ in 0..256 {
        let (page, body) = pages.next_page(source, &mut Log::default()).ok()??;
        let Some(stream) = &mut stream else {
            let Ok(codec @ Codec::Flac { .. }) = Codec::of(&body).ok()? else { return None };
            let (serial, sequence) = (page.serial, Some(page.sequence));
            stream = Some(Stream {
                serial,
                codec,
                sequence,
                partial: Vec::new(),
                is_partial: false,
                position: None,
                has_ended: false,
            });
            continue;
        };
        let packets = if page.serial == stream.serial { stream.packets(&page, &body) } else { Vec::new() };
        stream.sequence = Some(page.sequence);
        for packet in packets {
            match packet.first()? & 0x7f {
                4 => return Some(vorbis_comments(packet.get(4..)?)),
                0x7f => return Some(Vec::new()),
                _ => (),
            }
        }
    }
    Some(Vec::new())
}

impl Page {
    /// The page that `bytes` begin with, and the lengths of its header and of all of it.
    fn parse(bytes: &[u8]) -> Option<(Self, usize, usize)> {
        let header = bytes.first_chunk::<27>().filter(|header| header.starts_with(b"OggS\0"))?;
        let number = |at: usize| header[at..at + 4].as_array().map_or(0, |v| u32::from_le_bytes(*v));
        let lacing = bytes.get(27..27 + usize::from(header[26]))?.to_vec();
        let start = 27 + lacing.len();
        let length = start + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let page = Self {
            is_continued: header[5] & 1 != 0,
            is_first: header[5] & 2 != 0,
            is_last: header[5] & 4 != 0,
            position: header[6..14].as_array().map_or(-1, |v| i64::from_le_bytes(*v)),
            serial: number(14),
            sequence: number(18),
            lacing,
        };
        Some((page, start, length))
    }
}

/// Remainders of the polynomial 0x04c11db7, for four bytes at a time.
const CRC_32: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut table = 1;
    while table < 4 {
        let mut i = 0;
        while i < 256 {
            let before = tables[table - 1][i];
            tables[table][i] = before << 8 ^ tables[0][(before >> 24) as usize];
            i += 1;
        }
        table += 1;
    }
    tables
};

/// Whether the checksum of a page is right.
fn is_whole(page: &[u8]) -> bool {
    let stored = page[22..26].as_array().map_or(0, |v| u32::from_be_bytes(*v)).swap_bytes();
    let update = |crc: u32, bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<4>();
        let crc = words.iter().fold(crc, |crc, word| {
            let [a, b, c, d] = (crc ^ u32::from_be_bytes(*word)).to_be_bytes().map(usize::from);
            CRC_32[3][a] ^ CRC_32[2][b] ^ CRC_32[1][c] ^ CRC_32[0][d]
        });
        rest.iter().fold(crc, |crc, &byte| crc << 8 ^ CRC_32[0][usize::from((crc >> 24) as u8 ^ byte)])
    };
    let crc = update(update(update(0, &page[..22]), &[0; 4]), &page[26..]);
    crc == stored
}

impl Stream {
    /// The packets that end in `page`.
    fn packets(&mut self, page: &Page, body: &[u8]) -> Vec<Vec<u8>> {
        let is_gap = self.sequence.is_some_and(|sequence| sequence.wrapping_add(1) != page.sequence);
        if is_gap || !page.is_continued {
            (self.partial, self.is_partial) = (Vec::new(), false);
        }
        // A packet whose beginning is lost.
        let mut is_headless = page.is_continued && !self.is_partial;
        let (mut packets, mut rest) = (Vec::new(), body);
        let mut packet = std::mem::take(&mut self.partial);
        self.is_partial = false;
        for &n in &page.lacing {
            let (segment, after) = rest.split_at(usize::from(n).min(rest.len()));
            rest = after;
            if packet.len() < MAX_PACKET {
                packet.extend_from_slice(segment);
            }
            self.is_partial = n == 255;
            if n < 255 {
                if !is_headless {
                    packets.push(std::mem::take(&mut packet));
                }
                packet.clear();
                is_headless = false;
            }
        }
        if self.is_partial && !is_headless {
            self.partial = packet;
        } else {
            self.is_partial = false;
        }
        packets
    }

    /// Compares the packets of a page with its position: what is delay or padding in them, and what is missing before them.
    fn time(&mut self, page: &Page, packets: &mut [Packet], is_gap: bool, skipped: u64, log: &mut Log) {
        if is_gap && self.position.is_some() {
            if let Some(first) = packets.first_mut() {
                first.is_after_gap = true;
            }
            if let Codec::Vorbis(_, Some(blocks)) = &mut self.codec {
                // What came before the gap cannot be joined to the first packet, which gives no samples.
                blocks.last = None;
                for packet in packets.iter_mut() {
                    packet.frames = blocks.frames(&packet.data);
                }
            }
        }
        if packets.is_empty() || page.position < 0 {
            if is_gap && self.position.is_some() && packets.is_empty() {
                return;
            }
            if page.position < 0
                && let Some(position) = &mut self.position
            {
                *position += packets.iter().map(|packet| packet.frames as i64).sum::<i64>();
            }
            return;
        }
        let total = packets.iter().map(|packet| packet.frames as i64).sum::<i64>();
        let rate = f64::from(self.codec.sample_rate().max(1));
        match self.position {
            None if page.is_last || page.position >= total => {
                // A stream that was cut from a longer one begins later; one of a single page ends with its last sample.
                trim_end(packets, total.saturating_sub(page.position));
            }
            None => {
                // The first samples are before the beginning.
                let mut skip = (total - page.position) as u64;
                for packet in packets.iter_mut() {
                    packet.skip = skip.min(packet.frames);
                    skip -= packet.skip;
                }
            }
            Some(before) => {
                let expected = before.saturating_add(total);
                if page.is_last {
                    trim_end(packets, expected.saturating_sub(page.position));
                }
                let lost = page.position.saturating_sub(expected);
                if is_gap || skipped > 0 {
                    let lost = lost.clamp(0, i64::from(self.codec.sample_rate()) * 600) as f64 / rate;
                    log.damaged(
                        lost,
                        if is_gap { "pages are missing".to_owned() } else { format!("{skipped} bytes are no pages") },
                    );
                }
            }
        }
        self.position = Some(page.position);
    }
}

/// Leaves out the last `n` frames of `packets`.
fn trim_end(packets: &mut [Packet], n: i64) {
    let mut left = u64::try_from(n).unwrap_or(0);
    for packet in packets.iter_mut().rev() {
        packet.trim = left.min(packet.frames);
        left -= packet.trim;
    }
}

impl Codec {
    /// The codec of a stream that begins with the packet `first`; the name of one that is not read, where it is audio.
    fn of(first: &[u8]) -> Result<Result<Self, Option<&'static str>>> {
        if first.starts_with(b"\x01vorbis") {
            return Ok(Ok(Self::Vorbis(vec![first.to_vec()], None)));
        }
        if first.starts_with(b"OpusHead") {
            if first.len() < 19 {
                return Err(Error::Corrupt { container: "ogg", detail: "its header of Opus is too short".into() });
            }
            return Ok(Ok(Self::Opus { head: Some(first.to_vec()) }));
        }
        // The mapping of RFC 9639, 10.1: version, number of headers, and all that a FLAC file begins with.
        if first.starts_with(b"\x7fFLAC")
            && let Some(info) = first.get(17..).and_then(flac::StreamInfo::parse)
        {
            return Ok(Ok(Self::Flac { info, format: None }));
        }
        Ok(Err([
            (b"Speex   ".as_slice(), "Speex"),
            (b"CELT    ", "CELT"),
            (b"PCM     ", "PCM in Ogg"),
            (b"fLaC", "FLAC in Ogg by its first draft"),
            (b"MIDI", "MIDI"),
        ]
        .into_iter()
        .find(|(magic, _)| first.starts_with(magic))
        .map(|(_, name)| name)))
    }

    fn sample_rate(&self) -> u32 {
        match self {
            Self::Vorbis(_, Some(blocks)) => blocks.sample_rate,
            Self::Vorbis(..) => 0,
            Self::Opus { .. } => 48_000,
            Self::Flac { info, .. } => info.sample_rate,
        }
    }

    /// Whether all headers are read.
    fn is_ready(&self) -> bool {
        match self {
            Self::Vorbis(_, blocks) => blocks.is_some(),
            Self::Opus { head } => head.is_none(),
            Self::Flac { .. } => true,
        }
    }

    /// Takes a packet that is a header: the event of a format where it is the last one, nothing otherwise; `None` for audio.
    fn headers(&mut self, packet: &[u8]) -> Result<Option<Option<Event>>> {
        match self {
            Self::Vorbis(headers, blocks @ None) => {
                headers.push(packet.to_vec());
                let [ident, _, setup] = headers.as_slice() else { return Ok(Some(None)) };
                let found = VorbisBlocks::parse(ident, setup).ok_or_else(|| Error::Corrupt {
                    container: "ogg",
                    detail: "its headers of Vorbis cannot be read".into(),
                })?;
                let format = vorbis_format(&found, [ident.as_slice(), setup].concat());
                *blocks = Some(found);
                Ok(Some(Some(Event::Format(Box::new(format)))))
            }
            Self::Opus { head: head @ Some(_) } => {
                let format = head.take().map(|head| Event::Format(Box::new(opus_format(&head))));
                Ok(Some(format))
            }
            Self::Flac { .. } if packet.first().is_some_and(|&byte| byte != 0xff) => Ok(Some(None)),
            // A header that was written twice.
            Self::Vorbis(..) if packet.first().is_some_and(|byte| byte & 1 == 1) => Ok(Some(None)),
            _ => Ok(None),
        }
    }

    /// Samples of each channel in a packet of audio.
    fn frames(&mut self, packet: &[u8]) -> u64 {
        match self {
            Self::Vorbis(_, Some(blocks)) => blocks.frames(packet),
            Self::Vorbis(..) => 0,
            Self::Opus { .. } => opus_frames(packet),
            Self::Flac { .. } => flac::FrameHeader::parse(packet).map_or(0, |header| header.samples),
        }
    }
}

/// The format of a FLAC frame, if it is another one than before.
fn flac_change(info: &flac::StreamInfo, format: &mut Option<(u32, usize, u32)>, packet: &[u8]) -> Option<Event> {
    let header = flac::FrameHeader::parse(packet)?;
    let or = |value: u32, other: u32| if value == 0 { other } else { value };
    let found = (or(header.sample_rate, info.sample_rate), header.channels, or(header.bits, info.bits));
    if *format == Some(found) {
        return None;
    }
    *format = Some(found);
    let (sample_rate, channels, bits) = found;
    Some(Event::Format(Box::new(info.with(sample_rate, channels, bits).format())))
}

/// The format of a stream of Vorbis.
fn vorbis_format(blocks: &VorbisBlocks, extra: Vec<u8>) -> Format {
    Format::packets(CODEC_ID_VORBIS, blocks.sample_rate, blocks.channels, |params| {
        params.with_extra_data(extra.into());
    })
}

/// The format of a stream of Opus with the header `head`, whose delay is left out.
pub(super) fn opus_format(head: &[u8]) -> Format {
    let channels = head.get(9).map_or(0, |&n| usize::from(n));
    let delay = head.get(10..12).map_or(0, |v| u64::from(u16::from_le_bytes([v[0], v[1]])));
    let format = Format::packets(CODEC_ID_OPUS, 48_000, channels, |params| {
        params.with_extra_data(head.into());
    });
    Format { delay, ..format }
}

/// Samples at 48 kHz in a packet of Opus (RFC 6716, 3.1).
pub(super) fn opus_frames(packet: &[u8]) -> u64 {
    let Some(&toc) = packet.first() else { return 0 };
    let size = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => 120 << (config & 3),
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1).copied().unwrap_or(0) & 0x3f),
    };
    (size * count).min(5760)
}

/// The sizes of the blocks of a stream of Vorbis, from which the samples of a packet follow.
pub(super) struct VorbisBlocks {
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
    sizes: [u64; 2],
    /// Whether a mode has the long block.
    modes: Vec<bool>,
    /// The size of the block before.
    last: Option<u64>,
}

impl VorbisBlocks {
    /// From the first and the third header (Vorbis I, 4.2.2 and 4.2.4).
    ///
    /// The modes stand at the end of the third, behind codebooks that only a decoder can read; so they are read backwards.
    pub(super) fn parse(ident: &[u8], setup: &[u8]) -> Option<Self> {
        let exponents = *ident.get(28)?;
        let sizes = [1 << (exponents & 15), 1 << (exponents >> 4)];
        let sample_rate = u32::from_le_bytes(*ident.get(12..)?.first_chunk()?);
        let reversed: Vec<u8> = setup.iter().rev().copied().collect();
        let mut bits = Bits::new(&reversed);
        let n_bits = 8 * reversed.len();
        // The framing bit, behind at most some padding.
        while bits.take(1) == 0 {
            if bits.at + 97 > n_bits {
                return None;
            }
        }
        let start = bits.at;
        let (mut count, mut found) = (0, None);
        while bits.at + 97 <= n_bits {
            // Backwards: the mapping, the transform and window types, which are 0, and the flag of the block.
            if bits.take(8) > 63 || bits.take(16) != 0 || bits.take(16) != 0 {
                break;
            }
            bits.take(1);
            count += 1;
            if count > 64 {
                break;
            }
            let mut number = Bits { bytes: &reversed, at: bits.at };
            if number.take(6) + 1 == count {
                found = Some(count);
            }
        }
        let mut bits = Bits { bytes: &reversed, at: start };
        let mut modes: Vec<bool> = (0..found?)
            .map(|_| {
                bits.at += 40;
                bits.take(1) == 1
            })
            .collect();
        modes.reverse();
        Some(Self { sample_rate, channels: usize::from(*ident.get(11)?), sizes, modes, last: None })
    }

    /// Samples that a packet completes; 0 for the first one.
    pub(super) fn frames(&mut self, packet: &[u8]) -> u64 {
        let Some(&first) = packet.first().filter(|&byte| byte & 1 == 0) else { return 0 };
        let bits = usize::BITS - (self.modes.len() - 1).leading_zeros();
        // At most 64 modes, so that the number is in the first byte.
        let mode = usize::from(first >> 1) & ((1 << bits) - 1);
        let Some(&is_long) = self.modes.get(mode) else { return 0 };
        let size = self.sizes[usize::from(is_long)];
        let frames = self.last.map_or(0, |last| last / 4 + size / 4);
        self.last = Some(size);
        frames
    }
}
