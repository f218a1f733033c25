//! Matroska and WebM (RFC 9559): elements of EBML, of which clusters hold the packets.
//!
//! Elements that only hold others are entered without asking for their size: a recording that is sent while it is made has none.

use std::collections::VecDeque;

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_VORBIS,
};

use super::{wav, *};

/// Most bytes of an element that is read into memory.
const MAX_ELEMENT: u64 = 16 << 20;

/// Identifiers of RFC 9559, 5.
mod id {
    pub(super) const EBML: u32 = 0x1a45_dfa3;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub(super) const DURATION: u32 = 0x4489;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u32 = 0xae;
    pub(super) const TRACK_NUMBER: u32 = 0xd7;
    pub(super) const TRACK_TYPE: u32 = 0x83;
    pub(super) const CODEC_ID: u32 = 0x86;
    pub(super) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(super) const CODEC_DELAY: u32 = 0x56aa;
    pub(super) const AUDIO: u32 = 0xe1;
    pub(super) const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub(super) const CHANNELS: u32 = 0x9f;
    pub(super) const BIT_DEPTH: u32 = 0x6264;
    pub(super) const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub(super) const CONTENT_ENCODING: u32 = 0x6240;
    pub(super) const CONTENT_COMPRESSION: u32 = 0x5034;
    pub(super) const CONTENT_ENCRYPTION: u32 = 0x5035;
    pub(super) const COMPRESSION_ALGORITHM: u32 = 0x4254;
    pub(super) const COMPRESSION_SETTINGS: u32 = 0x4255;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const TIMESTAMP: u32 = 0xe7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const BLOCK_GROUP: u32 = 0xa0;
    pub(super) const BLOCK: u32 = 0xa1;
    pub(super) const DISCARD_PADDING: u32 = 0x75a2;
    pub(super) const TITLE: u32 = 0x7ba9;
    pub(super) const TAGS: u32 = 0x1254_c367;
    pub(super) const TAG: u32 = 0x7373;
    pub(super) const TARGETS: u32 = 0x63c0;
    pub(super) const TARGET_TYPE_VALUE: u32 = 0x68ca;
    pub(super) const SIMPLE_TAG: u32 = 0x67c8;
    pub(super) const TAG_NAME: u32 = 0x45a3;
    pub(super) const TAG_STRING: u32 = 0x4487;
    pub(super) const ATTACHMENTS: u32 = 0x1941_a469;
    pub(super) const ATTACHED_FILE: u32 = 0x61a7;
    pub(super) const FILE_MEDIA_TYPE: u32 = 0x4660;
}

/// A Matroska file.
pub(super) fn open(container: Container, source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let mut reader = Matroska {
        container: container.name(),
        track: None,
        other: None,
        scale: 1_000_000,
        duration: None,
        cluster: 0,
        last: None,
        is_after_damage: false,
        events: VecDeque::new(),
        has_packets: false,
    };
    // The format must be known before anything else.
    while reader.track.is_none() {
        if !reader.element(source, log)? {
            let container = container.name();
            return Err(match reader.other {
                Some(detail) => Error::Unsupported { container, detail },
                None => Error::Truncated { container, detail: "the file ends before its tracks".into() },
            });
        }
    }
    Ok(Box::new(reader))
}

struct Matroska {
    container: &'static str,
    track: Option<Track>,
    /// The name of a codec that is not read, of a track that was met.
    other: Option<String>,
    /// Nanoseconds of a tick.
    scale: u64,
    /// Seconds by the header.
    duration: Option<f64>,
    /// The time of the cluster in ticks.
    cluster: u64,
    /// The time of the last block in seconds.
    last: Option<f64>,
    is_after_damage: bool,
    events: VecDeque<Event>,
    has_packets: bool,
}

struct Track {
    number: u64,
    sample_rate: f64,
    /// Bytes that stand at the beginning of each packet, and are not written.
    prefix: Vec<u8>,
    /// Sizes of blocks of Vorbis.
    vorbis: Option<ogg::VorbisBlocks>,
    is_opus: bool,
}

impl Reader for Matroska {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.element(source, log)? {
                if let Some(duration) = self.duration.take()
                    && duration - log.now > 0.5
                    && !log.is_incomplete
                {
                    let detail = format!("its header announces {duration:.3} s");
                    log.truncated(Some(duration - log.now), detail);
                }
                return Ok(None);
            }
        }
    }
}

/// A number of EBML of variable length, with its marker taken off if `is_size`, and its bytes.
fn variable(bytes: &[u8], is_size: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > if is_size { 8 } else { 4 } {
        return None;
    }
    let value = bytes.get(..length)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    Some((if is_size { value & !(1 << (7 * length)) } else { value }, length))
}

/// Identifier, bytes of the header and size of the element that `bytes` begin with; `None` for a size that is not known.
fn header(bytes: &[u8]) -> Option<(u32, usize, Option<u64>)> {
    let (id, n) = variable(bytes, false)?;
    let (size, m) = variable(bytes.get(n..)?, true)?;
    let is_unknown = size == (1 << (7 * m)) - 1;
    Some((id as u32, n + m, (!is_unknown).then_some(size)))
}

/// The elements that follow each other in `bytes`.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (id, length, size) = header(rest)?;
        let size = size.map_or(rest.len() - length, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let body = rest.get(length..length.checked_add(size)?)?;
        rest = &rest[length + size..];
        Some((id, body))
    })
}

/// Whether `bytes` begin with a cluster, or with a block before another element or the end.
fn is_element(bytes: &[u8], is_all: bool) -> bool {
    if bytes.starts_with(&id::CLUSTER.to_be_bytes()) {
        return true;
    }
    if !matches!(bytes.first(), Some(0xa3 | 0xa0)) {
        return false;
    }
    let Some((_, length, Some(size))) = header(bytes) else { return false };
    let Some(rest) = usize::try_from(size).ok().filter(|&size| size > 4).and_then(|size| bytes.get(length + size..))
    else {
        return false;
    };
    if rest.is_empty() { is_all } else { header(rest).is_some_and(|(id, ..)| KNOWN.contains(&id)) }
}

/// The elements of the levels that are read here.
const KNOWN: [u32; 21] = [
    id::EBML,
    id::SEGMENT,
    id::INFO,
    id::TRACKS,
    id::CLUSTER,
    id::TIMESTAMP,
    id::SIMPLE_BLOCK,
    id::BLOCK_GROUP,
    id::TAGS,
    id::ATTACHMENTS,
    // SeekHead, Cues, Chapters, Void, CRC-32, Position, PrevSize, SilentTracks, EncryptedBlock, and signatures.
    0x114d_9b74,
    0x1c53_bb6b,
    0x1043_a770,
    0xec,
    0xbf,
    0xa7,
    0xab,
    0x5854,
    0xaf,
    0x1b53_8667,
    0x7e5b,
];

fn find(bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    elements(bytes).find(|(id, _)| *id == wanted).map(|(_, body)| body)
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let shift = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    (unsigned(bytes) << shift).cast_signed() >> shift
}

fn float(bytes: &[u8]) -> f64 {
    match bytes.len() {
        4 => bytes.as_array().map_or(0.0, |v| f64::from(f32::from_be_bytes(*v))),
        8 => bytes.as_array().map_or(0.0, |v| f64::from_be_bytes(*v)),
        _ => 0.0,
    }
}

/// The fields of the tags, and the title of the segment.
pub(super) fn comments(source: &mut Source<'_>) -> Option<Vec<(String, String)>> {
    let (mut pairs, mut title) = (Vec::new(), None);
    loop {
        let bytes = source.peek(12).ok()?;
        let Some((id, length, size)) = header(bytes) else { break };
        // Clusters of unknown size have no tags behind them.
        let Some(size) = size.filter(|_| id != id::SEGMENT) else {
            if id != id::SEGMENT {
                break;
            }
            source.skip(length as u64).ok()?;
            continue;
        };
        source.skip(length as u64).ok()?;
        let body = source.position();
        if matches!(id, id::INFO | id::TAGS | id::ATTACHMENTS) {
            let bytes = source.take(size.min(MAX_COMMENTS) as usize).ok()?;
            match id {
                id::INFO => title = find(&bytes, id::TITLE).map(text),
                id::ATTACHMENTS => {
                    let types = elements(&bytes)
                        .filter(|(id, _)| *id == id::ATTACHED_FILE)
                        .filter_map(|(_, file)| find(file, id::FILE_MEDIA_TYPE));
                    let has_picture = types.into_iter().any(|kind| kind.starts_with(b"image/"));
                    pairs.extend(has_picture.then(|| ("COVERART".to_owned(), "attached".to_owned())));
                }
                _ => elements(&bytes).filter(|(id, _)| *id == id::TAG).for_each(|(_, tag)| fields(tag, &mut pairs)),
            }
        }
        if body.saturating_add(size) >= source.end() {
            break;
        }
        source.seek(body.saturating_add(size)).ok()?;
    }
    pairs.extend(title.map(|title| ("TITLE".to_owned(), title)));
    Some(pairs)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of one `Tag`.
fn fields(tag: &[u8], pairs: &mut Vec<(String, String)>) {
    let target = find(tag, id::TARGETS).and_then(|targets| find(targets, id::TARGET_TYPE_VALUE)).map(unsigned);
    for (_, field) in elements(tag).filter(|(id, _)| *id == id::SIMPLE_TAG) {
        if let (Some(name), Some(value)) = (find(field, id::TAG_NAME), find(field, id::TAG_STRING)) {
            // 50 is the album.
            let name = text(name);
            let name = if target == Some(50) && name.eq_ignore_ascii_case("TITLE") { "ALBUM".into() } else { name };
            pairs.push((name, text(value)));
        }
    }
}

impl Matroska {
    /// Reads an element, or enters it; whether there was one.
    fn element(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<bool> {
        let bytes = source.peek(12)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let Some((id, length, size)) = header(bytes) else {
            return self.resynchronise(source, log);
        };
        let body = source.position() + length as u64;
        let left = source.end().saturating_sub(body);
        match id {
            id::SEGMENT | id::CLUSTER => {
                source.skip(length as u64)?;
                return Ok(true);
            }
            id::EBML => (),
            // An element of the first or second level has an identifier of one or four bytes, as far as they are met here.
            _ if size.is_none() => return self.resynchronise(source, log),
            _ => (),
        }
        let size = size.unwrap_or(0);
        let is_block = matches!(id, id::SIMPLE_BLOCK | id::BLOCK_GROUP);
        // What is met in the middle of a file and is not called like an element of these levels is the beginning of damage.
        if !KNOWN.contains(&id) || size > left || (is_block && size > MAX_ELEMENT) {
            return self.resynchronise(source, log);
        }
        let is_read = matches!(id, id::INFO | id::TRACKS | id::TIMESTAMP | id::SIMPLE_BLOCK | id::BLOCK_GROUP);
        if !is_read || size > MAX_ELEMENT {
            source.seek(body.saturating_add(size))?;
            return Ok(true);
        }
        source.skip(length as u64)?;
        let bytes = source.take(size as usize)?;
        match id {
            id::INFO => {
                self.scale = find(&bytes, id::TIMESTAMP_SCALE).map_or(1_000_000, unsigned).max(1);
                let ticks = find(&bytes, id::DURATION).map(float).filter(|ticks| ticks.is_finite() && *ticks > 0.0);
                self.duration = ticks.map(|ticks| ticks * self.scale as f64 / 1e9);
            }
            id::TRACKS => self.tracks(&bytes)?,
            id::TIMESTAMP => self.cluster = unsigned(&bytes),
            id::SIMPLE_BLOCK => self.block(&bytes, 0, log),
            _ => {
                let padding = find(&bytes, id::DISCARD_PADDING).map_or(0, signed);
                if let Some(block) = find(&bytes, id::BLOCK) {
                    self.block(block, padding.max(0).unsigned_abs(), log);
                }
            }
        }
        Ok(true)
    }

    /// Goes to the next element behind damage; whether there is one.
    fn resynchronise(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<bool> {
        let start = source.position();
        source.skip(1)?;
        loop {
            let end = source.end() - source.position();
            let bytes = source.peek(2 * BLOCK)?;
            let is_all = bytes.len() as u64 == end;
            let scanned = if is_all { bytes.len() } else { BLOCK };
            if let Some(at) = (0..scanned).find(|&at| is_element(&bytes[at..], is_all)) {
                source.skip(at as u64)?;
                self.is_after_damage = true;
                return Ok(true);
            }
            source.skip(scanned as u64)?;
            if is_all {
                break;
            }
        }
        let rest = source.end() - start;
        // A block that is cut, or what is no element at all.
        source.seek(start)?;
        let is_cut = header(source.peek(12)?).is_some_and(|(id, ..)| KNOWN.contains(&id));
        source.seek(source.end())?;
        if is_cut && self.track.is_some() {
            log.truncated(None, "the file ends within an element");
        } else if self.has_packets {
            log.warn(WarningKind::TrailingData, format!("{rest} bytes follow its last element"));
        }
        Ok(false)
    }

    /// Chooses the first audio track that can be read.
    fn tracks(&mut self, bytes: &[u8]) -> Result<()> {
        for (_, entry) in elements(bytes).filter(|(id, _)| *id == id::TRACK_ENTRY) {
            if find(entry, id::TRACK_TYPE).map(unsigned) != Some(2) {
                continue;
            }
            match self.track_of(entry)? {
                Ok((track, format)) => {
                    self.track = Some(track);
                    self.events.push_back(Event::Format(Box::new(format)));
                    return Ok(());
                }
                Err(name) => self.other = self.other.take().or(Some(name)),
            }
        }
        if self.other.is_none() {
            self.other = Some("no audio track".into());
        }
        Ok(())
    }

    fn track_of(&self, entry: &[u8]) -> Result<Result<(Track, Format), String>> {
        let audio = find(entry, id::AUDIO).unwrap_or_default();
        let sample_rate = find(audio, id::SAMPLING_FREQUENCY).map_or(8_000.0, float);
        let channels = find(audio, id::CHANNELS).map_or(1, unsigned) as usize;
        let bits = find(audio, id::BIT_DEPTH).map_or(16, unsigned) as u32;
        let private = find(entry, id::CODEC_PRIVATE).unwrap_or_default();
        let codec = find(entry, id::CODEC_ID).unwrap_or_default();
        let codec = String::from_utf8_lossy(codec).trim_end_matches('\0').to_owned();
        let mut prefix = Vec::new();
        let encodings = find(entry, id::CONTENT_ENCODINGS).unwrap_or_default();
        for (_, encoding) in elements(encodings).filter(|(id, _)| *id == id::CONTENT_ENCODING) {
            if find(encoding, id::CONTENT_ENCRYPTION).is_some() {
                return Ok(Err("encrypted audio (DRM)".into()));
            }
            let compression = find(encoding, id::CONTENT_COMPRESSION).unwrap_or_default();
            // 3 leaves out what all packets begin with.
            match find(compression, id::COMPRESSION_ALGORITHM).map_or(0, unsigned) {
                3 => prefix = find(compression, id::COMPRESSION_SETTINGS).unwrap_or_default().to_vec(),
                _ => return Ok(Err(format!("{codec} with compressed packets"))),
            }
        }
        let rate = sample_rate.round() as u32;
        let mut vorbis = None;
        let format = match codec.as_str() {
            "A_OPUS" => ogg::opus_format(private),
            "A_VORBIS" => {
                vorbis = xiph_headers(private).and_then(|[ident, setup]| ogg::VorbisBlocks::parse(ident, setup));
                Format::packets(CODEC_ID_VORBIS, rate, channels, |params| {
                    params.with_extra_data(private.into());
                })
            }
            "A_FLAC" => {
                let info = private.get(8..).and_then(flac::StreamInfo::parse);
                let missing =
                    || Error::Corrupt { container: self.container, detail: "its header of FLAC is missing".into() };
                info.ok_or_else(missing)?.format()
            }
            "A_ALAC" => match mp4::alac(private, rate, channels) {
                Some(format) => format,
                None => return Ok(Err("ALAC without its header".into())),
            },
            "A_MPEG/L3" => Format::packets(CODEC_ID_MP3, rate, channels, |_| ()),
            "A_MPEG/L2" => Format::packets(CODEC_ID_MP2, rate, channels, |_| ()),
            "A_MPEG/L1" => Format::packets(CODEC_ID_MP1, rate, channels, |_| ()),
            "A_MS/ACM" => match wav::packets(private) {
                Ok(format) => format,
                Err(name) => return Ok(Err(name)),
            },
            codec if codec.starts_with("A_AAC") => {
                if private.len() >= 2 {
                    aac(private)
                } else {
                    Format::packets(CODEC_ID_AAC, rate, channels, |_| ())
                }
            }
            codec => match pcm(codec, bits) {
                Some((encoding, endian)) => Format::pcm(encoding, endian, rate, channels),
                None => return Ok(Err(codec_of_name(codec).map_or_else(|| format!("codec {codec}"), str::to_owned))),
            },
        };
        let sample_rate = f64::from(format.sample_rate);
        let delay = find(entry, id::CODEC_DELAY)
            .map(unsigned)
            .map(|nanoseconds| (nanoseconds as f64 * sample_rate / 1e9).round() as u64);
        let track = Track {
            number: find(entry, id::TRACK_NUMBER).map_or(0, unsigned),
            sample_rate,
            prefix,
            vorbis,
            is_opus: codec == "A_OPUS",
        };
        // Vorbis has a delay in the container that its decoder leaves out by itself.
        let delay = if codec == "A_VORBIS" { 0 } else { delay.filter(|&delay| delay > 0).unwrap_or(format.delay) };
        Ok(Ok((track, Format { delay, ..format })))
    }

    /// Queues the packets of a block, of whose end `padding` nanoseconds are left out.
    fn block(&mut self, bytes: &[u8], padding: u64, log: &mut Log) {
        let Some(track) = &mut self.track else { return };
        let Some((number, n)) = variable(bytes, true) else { return };
        let Some(&[a, b, flags]) = bytes.get(n..).and_then(|rest| rest.first_chunk::<3>()) else { return };
        if number != track.number {
            return;
        }
        let ticks = self.cluster.cast_signed().saturating_add(i64::from(i16::from_be_bytes([a, b])));
        let now = ticks as f64 * self.scale as f64 / 1e9;
        if std::mem::take(&mut self.is_after_damage) {
            let lost = self.last.map_or(0.0, |last| (now - last).clamp(0.0, 600.0));
            log.damaged(lost, "elements cannot be read");
        }
        self.last = Some(now);
        let mut packets: Vec<Packet> = laced(&bytes[n + 3..], flags >> 1 & 3)
            .into_iter()
            .map(|data| {
                let data = [track.prefix.as_slice(), data].concat();
                let frames = match &mut track.vorbis {
                    Some(blocks) => blocks.frames(&data),
                    None if track.is_opus => ogg::opus_frames(&data),
                    None => 0,
                };
                Packet { data, frames, ..Packet::default() }
            })
            .collect();
        if let Some(last) = packets.last_mut() {
            last.trim = (padding as f64 * track.sample_rate / 1e9).round() as u64;
        }
        self.has_packets |= !packets.is_empty();
        self.events.extend(packets.into_iter().map(Event::Packet));
    }
}

/// The packets of a block (RFC 9559, 10.3): 0 without lacing, 1 that of Ogg, 2 in equal parts, 3 that of EBML.
fn laced(bytes: &[u8], lacing: u8) -> Vec<&[u8]> {
    let Some((&count, mut rest)) = bytes.split_first().filter(|_| lacing != 0) else { return vec![bytes] };
    let count = usize::from(count) + 1;
    let mut sizes: Vec<usize> = Vec::new();
    match lacing {
        2 => sizes = vec![rest.len() / count; count - 1],
        1 => {
            for _ in 1..count {
                let mut size = 0;
                loop {
                    let Some((&byte, after)) = rest.split_first() else { return Vec::new() };
                    rest = after;
                    size += usize::from(byte);
                    if byte < 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        _ => {
            let mut size = 0i64;
            for index in 1..count {
                let Some((value, n)) = variable(rest, true) else { return Vec::new() };
                rest = &rest[n..];
                // The first is a size; the others are differences, with half of their range taken off.
                size = if index == 1 {
                    value.cast_signed()
                } else {
                    size + value.cast_signed() - ((1 << (7 * n - 1)) - 1)
                };
                sizes.push(usize::try_from(size).unwrap_or(usize::MAX));
            }
        }
    }
    let mut packets = Vec::with_capacity(count);
    for size in sizes {
        let Some((packet, after)) = rest.split_at_checked(size) else { return packets };
        packets.push(packet);
        rest = after;
    }
    packets.push(rest);
    packets
}

/// The first and the third header of Vorbis, which stand with Ogg's lacing in a private field.
fn xiph_headers(private: &[u8]) -> Option<[&[u8]; 2]> {
    let packets = laced(private, 1);
    if private.first() != Some(&2) || packets.len() != 3 {
        return None;
    }
    Some([packets[0], packets[2]])
}

/// The samples of a codec of PCM.
fn pcm(codec: &str, bits: u32) -> Option<(Encoding, Endian)> {
    let bytes = bits.div_ceil(8);
    match codec {
        "A_PCM/INT/LIT" => Encoding::integer(bytes).map(|encoding| (encoding, Endian::Little)),
        "A_PCM/INT/BIG" => Encoding::integer(bytes).map(|encoding| (encoding, Endian::Big)),
        "A_PCM/FLOAT/IEEE" => Encoding::float(bytes).map(|encoding| (encoding, Endian::Little)),
        _ => None,
    }
}

/// The names of codecs that are not read.
fn codec_of_name(codec: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 15] = [
        ("A_AC3", "AC-3"),
        ("A_EAC3", "E-AC-3"),
        ("A_AC4", "AC-4"),
        ("A_DTS", "DTS"),
        ("A_TRUEHD", "Dolby TrueHD"),
        ("A_MLP", "MLP"),
        ("A_WAVPACK4", "WavPack"),
        ("A_TTA1", "True Audio (TTA)"),
        ("A_MPC", "Musepack"),
        ("A_REAL", "RealAudio"),
        ("A_QUICKTIME", "QuickTime audio"),
        ("A_ATRAC", "ATRAC"),
        ("A_SPEEX", "Speex"),
        ("A_AMR", "AMR"),
        ("A_DSD", "DSD"),
    ];
    NAMES.iter().find(|(id, _)| codec.starts_with(id)).map(|(_, name)| *name)
}
