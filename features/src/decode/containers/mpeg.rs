//! MPEG audio of layers I, II and III, and AAC as ADTS: frames without a container.
//!
//! A frame is trusted where the one before ended; elsewhere another one of the same kind must follow it. A file may hold several
//! streams one behind the other, each with a Xing frame and tags of its own.

use symphonia::core::{
    checksum::Crc16AnsiLe,
    codecs::audio::well_known::{
        CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
        profiles::{CODEC_PROFILE_AAC_LC, CODEC_PROFILE_AAC_LTP, CODEC_PROFILE_AAC_MAIN, CODEC_PROFILE_AAC_SSR},
    },
    io::Monitor,
};

use super::{super::sniff::tag_length, *};

/// How far into a file the first frame is searched for, beyond zeros: a cut from a broadcast begins within a frame, and some
/// taggers leave padding.
const MAX_JUNK: usize = 256 << 10;

/// How many frames in a row, each where the one before says, tell MPEG from chance.
const FRAMES_IN_A_ROW: usize = 3;

/// Longest frame: 13 bits of length of ADTS; layer III of a free rate may have some more than 2881 bytes.
const MAX_FRAME: usize = 8191;

/// The delay of a decoder of layer III in samples, which LAME does not count in its own.
const DECODER_DELAY: u64 = 529;

/// The header of a frame of MPEG audio or ADTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    container: Container,
    sample_rate: u32,
    channels: usize,
    /// MPEG-1, as against 2 and 2.5.
    is_mpeg1: bool,
    /// Bytes, header included; `None` for a free bit rate, where only the distance to the next frame says it.
    length: Option<usize>,
    has_padding: bool,
    /// Samples of each channel.
    samples: u64,
    /// Bytes of the header, checksum included.
    header: usize,
    /// Mode and mode extension, for frames whose rate must be written anew.
    word: u32,
}

impl Frame {
    /// The frame that `bytes` begin with.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
        if word & 0xfff6_0000 == 0xfff0_0000 {
            return Self::adts(word, bytes);
        }
        // ISO/IEC 11172-3, 2.4.2.3: sync, version (3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5), layer (3 is I, 1 is III).
        let (version, layer) = ((word >> 19) & 3, (word >> 17) & 3);
        let (rate_index, rate) = (((word >> 12) & 0xf) as usize, (word >> 10) & 3);
        if word >> 21 != 0x7ff || version == 1 || layer == 0 || rate_index == 15 || rate == 3 {
            return None;
        }
        let is_mpeg1 = version == 3;
        let kbit = KBIT[usize::from(!is_mpeg1)][3 - layer as usize][rate_index] as usize;
        let sample_rate = [44_100, 48_000, 32_000][rate as usize] >> [2, 0, 1, 0][version as usize];
        let channels = if (word >> 6) & 3 == 3 { 1 } else { 2 };
        let (samples, slot) = match (layer, is_mpeg1) {
            (3, _) => (384, 4),
            (2, _) | (_, true) => (1152, 1),
            (_, false) => (576, 1),
        };
        let has_padding = (word >> 9) & 1 == 1;
        let slots = samples / 8 / slot * 1000 * kbit / sample_rate as usize + usize::from(has_padding);
        Some(Self {
            container: [Container::Mp3, Container::Mp2, Container::Mp1][layer as usize - 1],
            sample_rate,
            channels,
            is_mpeg1,
            length: (rate_index > 0).then_some(slots * slot),
            has_padding,
            samples: samples as u64,
            header: if word & 0x1_0000 == 0 { 6 } else { 4 },
            word,
        })
    }

    /// ISO/IEC 13818-7, 6.2: 13 bits of length from bit 30 on, header included.
    fn adts(word: u32, bytes: &[u8]) -> Option<Self> {
        let tail = u32::from_be_bytes(*bytes.get(3..7)?.first_chunk::<4>()?);
        let length = (tail >> 13 & 0x1fff) as usize;
        let sample_rate = *MPEG4_RATES.get((word >> 10 & 0xf) as usize)?;
        let header = if word & 0x1_0000 == 0 { 9 } else { 7 };
        let channels = match word >> 6 & 7 {
            7 => 8,
            n => n as usize,
        };
        let blocks = u64::from(tail & 3) + 1;
        (length > header).then_some(Self {
            container: Container::Adts,
            sample_rate,
            channels,
            is_mpeg1: word & 0x8_0000 == 0,
            length: Some(length),
            has_padding: false,
            samples: 1024 * blocks,
            header,
            word,
        })
    }

    /// Whether `other` may follow in the same stream without a word: the format is the same.
    fn is_like(&self, other: &Self) -> bool {
        let key = |frame: &Self| (frame.container, frame.sample_rate, frame.is_mpeg1, frame.length.is_none());
        key(self) == key(other)
    }

    fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(self.sample_rate)
    }

    /// Where the side information of layer III ends, from the start of the frame.
    fn side_info_end(&self) -> usize {
        4 + match (self.is_mpeg1, self.channels) {
            (true, 1) | (false, 2) => 17,
            (true, _) => 32,
            (false, _) => 9,
        }
    }
}

/// Bit rates in kbit/s of MPEG-1 and MPEG-2, by layer and index.
const KBIT: [[[u16; 15]; 3]; 2] = [
    [
        [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    ],
    [
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ],
];

/// The length of the frame of a free bit rate that `bytes` begin with, without its padding: the distance to the next one.
fn free_length(bytes: &[u8], frame: &Frame) -> Option<usize> {
    let padding =
        |frame: &Frame| usize::from(frame.has_padding) * if frame.container == Container::Mp1 { 4 } else { 1 };
    (frame.header + 17..bytes.len().min(MAX_FRAME))
        .find(|&at| {
            let is_next = |at: usize| {
                Frame::parse(bytes.get(at..).unwrap_or_default())
                    .filter(|next| next.is_like(frame) && next.channels == frame.channels)
            };
            let Some(next) = is_next(at) else { return false };
            // The one after must be as far away, but for its own padding.
            let length = at - padding(frame);
            let after = at + length + padding(&next);
            after + 4 > bytes.len() || is_next(after).is_some()
        })
        .map(|at| at - padding(frame))
}

/// The length of the frame of MPEG audio that `bytes` begin with; `None` for a free bit rate.
pub(in super::super) fn frame_length(bytes: &[u8]) -> Option<usize> {
    Frame::parse(bytes).filter(|frame| frame.container != Container::Adts)?.length
}

/// Whether the frame that `bytes` begin with has mixed blocks at 8 kHz (ISO/IEC 13818-3, 2.4.1.7), for which the standard has no bands:
/// neither FFmpeg nor our decoder knows them.
pub(in super::super) fn has_mixed_blocks_of_8_khz(bytes: &[u8]) -> bool {
    let Some(frame) = Frame::parse(bytes).filter(|frame| frame.container == Container::Mp3) else { return false };
    let Some(side) = bytes.get(frame.header..).filter(|_| frame.sample_rate == 8_000) else { return false };
    let mut bits = Bits::new(side);
    bits.at += 8 + frame.channels;
    (0..frame.channels).any(|_| {
        bits.at += 12 + 9 + 8 + 9;
        let (is_switched, kind, is_mixed) = (bits.take(1) == 1, bits.take(2), bits.take(1) == 1);
        bits.at += 63 - 38 - 4;
        is_switched && kind == 2 && is_mixed
    })
}

/// Where frames begin in `bytes`, and of which container.
pub(in super::super) fn find(bytes: &[u8]) -> Option<(usize, Container)> {
    let mut starts = (0..bytes.len().min(MAX_JUNK)).filter(|&start| bytes[start] == 0xff);
    starts.find_map(|start| Some((start, frames_from(bytes, start)?)))
}

/// The container whose frames `bytes` begin with.
pub(in super::super) fn at_start(bytes: &[u8]) -> Option<Container> {
    frames_from(bytes, 0)
}

/// The container of the frames that follow each other from `start` on.
fn frames_from(bytes: &[u8], start: usize) -> Option<Container> {
    let first = Frame::parse(&bytes[start..])?;
    let free = if first.length.is_none() { Some(free_length(&bytes[start..], &first)?) } else { None };
    let mut position = start;
    for count in 0..FRAMES_IN_A_ROW {
        let rest = bytes.get(position..).unwrap_or_default();
        match Frame::parse(rest).filter(|frame| frame.is_like(&first)) {
            Some(frame) => position += frame.length.or(free.map(|free| free + usize::from(frame.has_padding)))?,
            // A short file that begins with a frame may end after it, but not go on with something else.
            _ if start == 0 && count > 0 && rest.len() < 7 => break,
            _ => return None,
        }
    }
    Some(first.container)
}

/// What a Xing, Info or VBRI frame says of the stream that it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Announced {
    frames: Option<u64>,
    /// Samples to leave out at the start and at the end.
    delay: u64,
    padding: u64,
}

/// Reads the Xing or VBRI header in `frame`, if it has one instead of audio.
fn announced(bytes: &[u8], frame: &Frame) -> Option<Announced> {
    if frame.container != Container::Mp3 {
        return None;
    }
    let number = |at: usize| Some(u64::from(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    let is_empty =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|side| side.iter().all(|&byte| byte == 0));
    let start = frame.side_info_end();
    if matches!(bytes.get(start..start + 4), Some(b"Xing" | b"Info")) && is_empty(frame.header..start) {
        let flags = number(start + 4)?;
        let mut at = start + 8;
        let mut found = Announced::default();
        if flags & 1 != 0 {
            found.frames = Some(number(at)?);
            at += 4;
        }
        at += if flags & 2 != 0 { 4 } else { 0 }
            + if flags & 4 != 0 { 100 } else { 0 }
            + if flags & 8 != 0 { 4 } else { 0 };
        // LAME's extension: 9 bytes of its name, 12 of which the last three are delay and padding.
        if let Some(extension) = bytes.get(at..at + 24)
            && (extension.starts_with(b"LAME") || extension.starts_with(b"Lavf") || extension.starts_with(b"Lavc"))
            && has_right_checksum(bytes, at, frame)
        {
            let trim = u64::from(u32::from_be_bytes([0, extension[21], extension[22], extension[23]]));
            found.delay = DECODER_DELAY + (trim >> 12);
            found.padding = (trim & 0xfff).saturating_sub(DECODER_DELAY);
        }
        return Some(found);
    }
    if bytes.get(36..40) == Some(b"VBRI") && is_empty(frame.header..36) && bytes.get(40..42) == Some(&[0, 1]) {
        return Some(Announced { frames: Some(number(50)?), ..Announced::default() });
    }
    None
}

/// Whether the checksum of LAME's extension, which stands at `extension`, is right or is not there.
fn has_right_checksum(bytes: &[u8], extension: usize, frame: &Frame) -> bool {
    let is_lame = bytes[extension..].starts_with(b"LAME");
    let Some(stored) = bytes.get(extension + 34..extension + 36).filter(|_| is_lame || frame.header == 6) else {
        return true;
    };
    let stored = u16::from_be_bytes([stored[0], stored[1]]);
    let mut checksum = Crc16AnsiLe::new(0);
    checksum.process_buf_bytes(&bytes[..extension + 34]);
    stored == 0 || stored == checksum.crc()
}

/// A stream of frames; `container` is the one that they stand in.
pub(super) fn open(container: &'static str) -> Box<dyn Reader> {
    Box::new(Mpeg {
        container,
        last: None,
        format: None,
        free: None,
        announced: Announced::default(),
        n_frames: 0,
        lost_frames: 0.0,
        is_synced: false,
        pending: None,
        average: 400.0,
        reservoir: Reservoir::default(),
    })
}

struct Mpeg {
    container: &'static str,
    /// The last frame.
    last: Option<Frame>,
    /// The frame whose format was given.
    format: Option<Frame>,
    /// Length of a frame of a free bit rate, without padding.
    free: Option<usize>,
    announced: Announced,
    /// Frames of audio since the last Xing frame, and frames that were damaged.
    n_frames: u64,
    lost_frames: f64,
    /// Whether the next frame must stand where the reader is.
    is_synced: bool,
    /// A packet whose format was given before it.
    pending: Option<Packet>,
    /// Bytes of a frame so far.
    average: f64,
    reservoir: Reservoir,
}

impl Reader for Mpeg {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        if let Some(packet) = self.pending.take() {
            return Ok(Some(Event::Packet(packet)));
        }
        loop {
            let Some((frame, length)) = self.synchronise(source, log)? else {
                return self.finish(log);
            };
            let data = source.take(length)?;
            self.is_synced = true;
            self.average += (length as f64 - self.average) / 16.0;
            self.last = Some(frame);
            if let Some(found) = announced(&data, &frame) {
                // A stream begins here; the one before ended. A header with nothing behind it is that of a copy of several streams.
                if self.n_frames > 0 || self.lost_frames > 0.0 {
                    self.end_stream(log);
                }
                (self.announced, self.n_frames, self.lost_frames) = (found, 0, 0.0);
                continue;
            }
            let packet = self.packet(data, &frame, source)?;
            self.n_frames += 1;
            // A decoder of MPEG audio goes on where the channels change: what it has of the frames before is needed.
            let has_channels = |format: Frame| frame.container != Container::Adts || format.channels == frame.channels;
            let is_same = |format: Frame| format.is_like(&frame) && has_channels(format);
            if !self.format.is_some_and(is_same) {
                self.format = Some(frame);
                self.pending = Some(packet);
                return Ok(Some(Event::Format(Box::new(frame_format(&frame)))));
            }
            return Ok(Some(Event::Packet(packet)));
        }
    }
}

/// The format of the stream of `frame`.
fn frame_format(frame: &Frame) -> Format {
    let id = match frame.container {
        Container::Mp1 => CODEC_ID_MP1,
        Container::Mp2 => CODEC_ID_MP2,
        Container::Mp3 => CODEC_ID_MP3,
        _ => CODEC_ID_AAC,
    };
    Format::packets(id, frame.sample_rate, frame.channels, |params| {
        if frame.container == Container::Adts {
            // The profile: the object type less 1.
            let profile = [CODEC_PROFILE_AAC_MAIN, CODEC_PROFILE_AAC_LC, CODEC_PROFILE_AAC_SSR, CODEC_PROFILE_AAC_LTP];
            params.with_profile(profile[(frame.word >> 14 & 3) as usize]);
        }
    })
}

impl Mpeg {
    /// Goes to the next frame, and gives its header and length; `None` if there is none any more.
    fn synchronise(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<(Frame, usize)>> {
        let start = source.position();
        let mut tags = 0;
        loop {
            // Frame, and the headers of the two after it.
            let bytes = source.peek(3 * MAX_FRAME)?;
            if bytes.len() < 4 {
                break;
            }
            if let Some(length) = tag_length(bytes) {
                // Tags of a stream that was joined to this one.
                source.skip(length)?;
                tags += length;
                continue;
            }
            if let Some(frame) = Frame::parse(bytes)
                && let Some(length) = self.length(bytes, &frame)
                && self.is_credible(bytes, &frame, length)
            {
                if length > bytes.len() {
                    // The last frame is cut. A part of a frame is no loss worth a word of its own, unless all were announced.
                    if self.n_frames == 0 && self.last.is_none() {
                        log.truncated(None, "the file ends within its first frame");
                    }
                    source.seek(source.end())?;
                    return Ok(None);
                }
                self.lost(start, tags, source.position(), &frame, log);
                return Ok(Some((frame, length)));
            }
            self.is_synced = false;
            let next = bytes[1..].iter().position(|&byte| byte == 0xff || byte == b'I' || byte == b'A' || byte == b'T');
            let step = next.map_or(bytes.len(), |at| at + 1);
            source.skip(step as u64)?;
        }
        let rest = source.end() - start - tags;
        source.seek(source.end())?;
        if rest > 1024 && self.last.is_some() {
            log.warn(WarningKind::TrailingData, format!("{rest} bytes follow its last frame"));
        }
        Ok(None)
    }

    /// The length in bytes of `frame`, which `bytes` begin with.
    fn length(&mut self, bytes: &[u8], frame: &Frame) -> Option<usize> {
        if let Some(length) = frame.length {
            return Some(length);
        }
        if self.free.is_none() || !self.is_synced {
            self.free = Some(free_length(bytes, frame)?);
        }
        let slot = if frame.container == Container::Mp1 { 4 } else { 1 };
        self.free.map(|free| free + usize::from(frame.has_padding) * slot)
    }

    /// Whether `frame`, which `bytes` begin with, is none by chance.
    fn is_credible(&mut self, bytes: &[u8], frame: &Frame, length: usize) -> bool {
        let is_same = self.last.is_some_and(|last| last.is_like(frame) && last.channels == frame.channels);
        if self.is_synced && is_same {
            return true;
        }
        let after = &bytes[length.min(bytes.len())..];
        // At the very end nothing can follow.
        if after.len() < 4 {
            return self.is_synced || self.last.is_none() || is_same;
        }
        match Frame::parse(after) {
            Some(next) => next.is_like(frame),
            None => tag_length(after).is_some(),
        }
    }

    /// Notes the bytes from `start` to `end` that are no frames, of which `tags` are tags.
    fn lost(&mut self, start: u64, tags: u64, end: u64, next: &Frame, log: &mut Log) {
        let bytes = end - start - tags;
        if bytes == 0 {
            return;
        }
        if self.last.is_none() {
            if bytes > MAX_FRAME as u64 {
                log.warn(WarningKind::LeadingData, format!("{bytes} bytes stand before its first frame"));
            }
            return;
        }
        let frames = bytes as f64 / self.average;
        self.lost_frames += frames;
        if frames < 0.5 {
            return;
        }
        log.damaged(frames * next.seconds(), format!("{bytes} bytes are no frames"));
    }

    /// The packet of a frame, without what is encoder's delay and padding in it.
    fn packet(&mut self, mut data: Vec<u8>, frame: &Frame, source: &mut Source<'_>) -> Result<Packet> {
        if frame.length.is_none() {
            data = self.reservoir.with_rate(&data, frame);
        }
        if frame.container == Container::Adts {
            data.drain(..frame.header.min(data.len()));
        }
        let start = self.n_frames * frame.samples;
        let end = start + frame.samples;
        let mut packet = Packet { data, frames: frame.samples, ..Packet::default() };
        packet.skip = self.announced.delay.saturating_sub(start).min(frame.samples);
        if let Some(total) = self.announced.frames {
            let Announced { delay, padding, .. } = self.announced;
            let last = (total * frame.samples).saturating_sub(padding).max(delay);
            // Frames beyond those that were announced are of a stream that was joined to this one without a header of its own.
            if end > last && !self.goes_on(total.saturating_sub(self.n_frames + 1), frame, source)? {
                packet.trim = (end - last).min(frame.samples - packet.skip);
            }
        }
        Ok(packet)
    }

    /// Whether more than `left` frames follow in this stream.
    fn goes_on(&self, left: u64, like: &Frame, source: &mut Source<'_>) -> Result<bool> {
        if left > 8 {
            return Ok(false);
        }
        let bytes = source.peek((left as usize + 2) * MAX_FRAME)?;
        let mut at = 0;
        for _ in 0..=left {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(frame) = Frame::parse(rest).filter(|frame| frame.is_like(like)) else { return Ok(false) };
            let length = frame.length.or(self.free).unwrap_or(MAX_FRAME);
            if rest.len() < length || announced(&rest[..length], &frame).is_some() {
                return Ok(false);
            }
            at += length;
        }
        Ok(true)
    }

    /// The end of a stream: were there as many frames as its header says?
    fn end_stream(&self, log: &mut Log) {
        let (Some(total), Some(last)) = (self.announced.frames, self.last) else { return };
        let found = self.n_frames + self.lost_frames.round() as u64;
        // A Xing header may count itself.
        if found + 2 < total {
            let lost = (total - found) as f64 * last.seconds();
            log.truncated(Some(lost), format!("its header announces {total} frames, {} are there", self.n_frames));
        } else if found > total + 8 {
            let detail = format!("its header announces {total} frames, {} are there", self.n_frames);
            log.warn(WarningKind::WrongHeader, detail);
        }
    }

    fn finish(&mut self, log: &mut Log) -> Result<Option<Event>> {
        self.end_stream(log);
        self.announced = Announced::default();
        if self.last.is_none() && !log.is_incomplete {
            let detail =
                format!("no frames of {} can be found", if self.container == "aac" { "AAC" } else { "MPEG audio" });
            return Err(Error::Corrupt { container: self.container, detail });
        }
        Ok(None)
    }
}

/// The main data of layer III that later frames may refer to.
#[derive(Default)]
struct Reservoir(Vec<u8>);

impl Reservoir {
    /// Makes of a frame of a free bit rate one whose header says a rate: the decoder needs the length of a frame to be that of its rate.
    ///
    /// Layer III refers to the data of frames before. A frame that is filled up would put zeros between them, so all that it refers to
    /// is put into it.
    fn with_rate(&mut self, data: &[u8], frame: &Frame) -> Vec<u8> {
        let mut out = data.to_vec();
        let mut word = frame.word;
        let side_end = frame.side_info_end() + frame.header - 4;
        if frame.container == Container::Mp3 && data.len() > side_end {
            let (side, main) = (&data[frame.header..side_end], &data[side_end..]);
            let mut bits = Bits::new(side);
            // ISO/IEC 11172-3, 2.4.1.7, and 13818-3, 2.4.1.7.
            let begin = bits.take(if frame.is_mpeg1 { 9 } else { 8 }) as usize;
            let mono = frame.channels == 1;
            let (before, granules, size) = match (frame.is_mpeg1, mono) {
                (true, true) => (5 + 4, 2, 59),
                (true, false) => (3 + 8, 2, 59),
                (false, true) => (1, 1, 63),
                (false, false) => (2, 1, 63),
            };
            bits.at += before;
            let mut needed = 0;
            for _ in 0..granules * frame.channels {
                needed += bits.take(12) as usize;
                bits.at += size - 12;
            }
            let mut body = vec![0; begin.saturating_sub(self.0.len())];
            body.extend_from_slice(&self.0[self.0.len().saturating_sub(begin)..]);
            body.extend_from_slice(main);
            body.truncate(needed.div_ceil(8));
            out.truncate(4);
            out.extend_from_slice(side);
            out.extend_from_slice(&body);
            // Nothing of another frame is needed, and the checksum is left out.
            out[4] = 0;
            if frame.is_mpeg1 {
                out[5] &= 0x7f;
            }
            word |= 0x1_0000;
            self.0.extend_from_slice(main);
            self.0.drain(..self.0.len().saturating_sub(511));
        }
        for index in 1..15u32 {
            let word = word & !0xf200 | index << 12;
            let length = Frame::parse(&word.to_be_bytes()).and_then(|frame| frame.length);
            if length.is_some_and(|length| length >= out.len()) {
                out[..4].copy_from_slice(&word.to_be_bytes());
                out.resize(length.unwrap_or(0), 0);
                break;
            }
        }
        out
    }
}
