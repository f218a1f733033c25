//! MP4 and QuickTime (ISO/IEC 14496-12), whole and in fragments.
//!
//! The table of contents, `moov`, is kept in memory as it is in the file; samples are found by it, or by the `moof` before each fragment.

use std::collections::VecDeque;

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_ADPCM_IMA_QT, CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_ALAC, CODEC_ID_MP2, CODEC_ID_MP3,
};

use super::{
    aiff::{IMA4, codec_of_type, quicktime_pcm},
    *,
};

/// Largest table of contents: some eight times that of a day of AAC.
const MAX_TABLE: u64 = 256 << 20;

/// Most bytes of one sample of a codec.
const MAX_SAMPLE: usize = 16 << 20;

/// An MP4 file.
pub(super) fn open(source: &mut Source<'_>) -> Result<Box<dyn Reader>> {
    let start = source.position();
    let (moov, end) = find_moov(source)?;
    let mut other = None;
    let movie_scale = child(&moov, b"mvhd")
        .map_or(0, |header| u64::from(field(header, if header.first() == Some(&1) { 20 } else { 12 })));
    let is_fragmented = child(&moov, b"mvex").is_some();
    for (_, trak) in boxes(&moov).filter(|(kind, _)| *kind == b"trak") {
        match Track::parse(trak, &moov, movie_scale)? {
            Ok(track) => {
                source.seek(if is_fragmented { end } else { start })?;
                return Ok(Box::new(Mp4 {
                    format: Some(track.format()),
                    next: Cursor::default(),
                    track,
                    is_fragmented,
                    queue: VecDeque::new(),
                    top: end,
                    gone: 0,
                }));
            }
            Err(name) => other = other.or(name),
        }
    }
    let detail = other.unwrap_or_else(|| "no audio track that is known".into());
    Err(Error::Unsupported { container: "m4a", detail })
}

/// The `moov` box, and where the one behind it begins.
fn find_moov(source: &mut Source<'_>) -> Result<(Vec<u8>, u64)> {
    let missing = |detail: String| Error::Truncated { container: "m4a", detail };
    loop {
        let start = source.position();
        let Some((kind, header, size)) = top_box(source)? else {
            return Err(missing("its table of contents (moov) is missing: the file is incomplete".into()));
        };
        let end = start.saturating_add(size);
        if &kind == b"moov" {
            if size > MAX_TABLE {
                return Err(Error::Corrupt {
                    container: "m4a",
                    detail: format!("its table of contents (moov) has {size} bytes"),
                });
            }
            source.skip(header)?;
            let body = source.take((size - header) as usize)?;
            if end > source.end() {
                let there = body.len();
                return Err(missing(format!(
                    "its table of contents (moov) should have {size} bytes, {there} are there"
                )));
            }
            return Ok((body, end));
        }
        if end > source.end() {
            let kind = kind.escape_ascii();
            return Err(missing(format!(
                "its table of contents (moov) is missing: the file ends within the box \"{kind}\" of {size} bytes"
            )));
        }
        source.seek(end)?;
    }
}

/// Kind, length of the header and size of the box that is next; 0 in the file means that it reaches to the end.
fn top_box(source: &mut Source<'_>) -> Result<Option<([u8; 4], u64, u64)>> {
    let remaining = source.remaining();
    let bytes = source.peek(16)?;
    let Some([a, b, c, d, kind @ ..]) = bytes.first_chunk::<8>() else { return Ok(None) };
    let (header, size) = match u32::from_be_bytes([*a, *b, *c, *d]) {
        0 => (8, remaining),
        1 => match bytes.get(8..16).and_then(|v| v.as_array()) {
            Some(size) => (16, u64::from_be_bytes(*size)),
            None => return Ok(None),
        },
        size => (8, u64::from(size)),
    };
    Ok((size >= header).then_some((*kind, header, size)))
}

/// The big-endian number at byte `at`; 0 behind the end.
fn field(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|v| v.as_array()).map_or(0, |v| u32::from_be_bytes(*v))
}

fn long_field(bytes: &[u8], at: usize) -> u64 {
    u64::from(field(bytes, at)) << 32 | u64::from(field(bytes, at + 4))
}

fn half_field(bytes: &[u8], at: usize) -> u16 {
    (field(bytes, at) >> 16) as u16
}

/// The body of the first box of `kind` in `bytes`.
fn child<'b>(bytes: &'b [u8], kind: &[u8; 4]) -> Option<&'b [u8]> {
    boxes(bytes).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

/// The boxes that follow each other in `bytes`: kind and body. Ends at the first that does not fit.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*rest.first_chunk::<4>()?);
        let kind = rest.get(4..8)?.as_array()?;
        // 0 means to the end, and 1 that 64 bits of size follow.
        let (header, size) = match size {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.get(8..16)?.as_array()?)).ok()?),
            size => (8, size as usize),
        };
        let body = rest.get(header..size)?;
        rest = &rest[size..];
        Some((kind, body))
    })
}

/// An audio track.
struct Track {
    id: u32,
    format: Format,
    /// Bytes and frames of a packet that stands in the file without a size of its own: PCM and ADPCM.
    packet: Option<(usize, u64)>,
    /// Ticks of a second.
    scale: u64,
    /// The tables: sizes, samples of a chunk, positions of chunks and durations.
    sizes: Vec<u8>,
    compact_bits: u32,
    chunks: Vec<u8>,
    offsets: Vec<u8>,
    is_long: bool,
    durations: Vec<u8>,
    /// Size of a sample in fragments that do not say it.
    default_size: u32,
}

impl Track {
    /// The audio track of a `trak` box; the name of its codec if that is not read, `None` for another kind of track.
    fn parse(trak: &[u8], moov: &[u8], movie_scale: u64) -> Result<Result<Self, Option<String>>> {
        let media = child(trak, b"mdia").unwrap_or_default();
        if child(media, b"hdlr").and_then(|handler| handler.get(8..12)) != Some(b"soun") {
            return Ok(Err(None));
        }
        let header = child(trak, b"tkhd").unwrap_or_default();
        let id = field(header, if header.first() == Some(&1) { 20 } else { 12 });
        let scale =
            child(media, b"mdhd").map_or(0, |header| field(header, if header.first() == Some(&1) { 20 } else { 12 }));
        let table = child(media, b"minf").and_then(|info| child(info, b"stbl")).unwrap_or_default();
        let descriptions = child(table, b"stsd").and_then(|body| body.get(8..)).unwrap_or_default();
        let Some((kind, entry)) = boxes(descriptions).next() else {
            return Ok(Err(Some("an audio track without a codec".into())));
        };
        let (format, packet) = match Entry::parse(kind, entry).codec()? {
            Ok(found) => found,
            Err(name) => return Ok(Err(Some(name))),
        };
        let own = |kind: &[u8; 4]| child(table, kind).and_then(|body| body.get(4..)).unwrap_or_default().to_vec();
        let is_long = child(table, b"co64").is_some();
        let is_compact = child(table, b"stz2").is_some();
        let sizes = own(if is_compact { b"stz2" } else { b"stsz" });
        let defaults = child(moov, b"mvex").and_then(|extends| {
            boxes(extends).find(|(kind, body)| *kind == b"trex" && field(body, 4) == id).map(|(_, body)| body)
        });
        let mut track = Self {
            id,
            format,
            packet,
            scale: u64::from(scale),
            compact_bits: if is_compact { field(&sizes, 0) & 0xff } else { 0 },
            sizes,
            chunks: own(b"stsc"),
            offsets: own(if is_long { b"co64" } else { b"stco" }),
            is_long,
            durations: own(b"stts"),
            default_size: defaults.map_or(0, |body| field(body, 16)),
        };
        track.set_gaps(trak, moov, movie_scale);
        Ok(Ok(track))
    }

    fn format(&self) -> Format {
        self.format.clone()
    }

    /// What is left out at both ends, by the edit list or iTunes' comment.
    fn set_gaps(&mut self, trak: &[u8], moov: &[u8], movie_scale: u64) {
        let rate = u64::from(self.format.sample_rate);
        if rate == 0 || self.scale == 0 {
            return;
        }
        let frames = |ticks: u64, scale: u64| (u128::from(ticks) * u128::from(rate) / u128::from(scale)) as u64;
        let total = self.total_ticks();
        let edit = edit_list(trak);
        let delay = edit.map_or(0, |(start, _)| frames(start, self.scale));
        let mut length = (total > 0 && self.scale == rate).then(|| total.saturating_sub(delay));
        if let Some((_, duration)) = edit
            && duration > 0
            && movie_scale > 0
        {
            // Rounded to ticks of the movie, which are often milliseconds.
            let edited = frames(duration, movie_scale);
            let known = length.unwrap_or(frames(total, self.scale).saturating_sub(delay));
            if total > 0 && edited + frames(1, movie_scale).max(1) < known {
                length = Some(edited);
            }
        }
        (self.format.delay, self.format.length) = (self.format.delay.max(delay), length);
        if delay == 0
            && let Some((delay, count)) = itunes_gaps(moov).filter(|&(delay, count)| delay < rate && count > 0)
        {
            let most = if total == 0 { u64::MAX } else { frames(total, self.scale) + 2048 };
            // With spectral band replication it counts samples of twice the rate.
            for part in [1, 2] {
                if (delay + count) / part <= most {
                    (self.format.delay, self.format.length) = (delay / part, Some(count / part));
                    break;
                }
            }
        }
    }

    /// Ticks of all samples of the table.
    fn total_ticks(&self) -> u64 {
        let entries = self.durations.get(4..).unwrap_or_default();
        entries.chunks_exact(8).fold(0u64, |sum, entry| {
            sum.saturating_add(u64::from(field(entry, 0)).saturating_mul(u64::from(field(entry, 4))))
        })
    }

    /// Samples in the table.
    fn count(&self) -> u64 {
        u64::from(field(&self.sizes, 4))
    }

    /// Bytes of sample `index`.
    fn size(&self, index: u64) -> Option<usize> {
        if index >= self.count() {
            return None;
        }
        let index = usize::try_from(index).ok()?;
        let table = self.sizes.get(8..).unwrap_or_default();
        match (self.compact_bits, field(&self.sizes, 0)) {
            (4, _) => table.get(index / 2).map(|&byte| usize::from(if index % 2 == 0 { byte >> 4 } else { byte & 15 })),
            (8, _) => table.get(index).map(|&byte| usize::from(byte)),
            (16, _) => table.get(2 * index..2 * index + 2).map(|_| usize::from(half_field(table, 2 * index))),
            (_, 0) => table.get(4 * index..4 * index + 4).map(|_| field(table, 4 * index) as usize),
            (_, size) => Some(size as usize),
        }
    }

    /// Position of chunk `index`.
    fn chunk(&self, index: usize) -> Option<u64> {
        let table = self.offsets.get(4..)?;
        if self.is_long {
            table.get(8 * index..8 * index + 8).map(|_| long_field(table, 8 * index))
        } else {
            table.get(4 * index..4 * index + 4).map(|_| u64::from(field(table, 4 * index)))
        }
    }
}

/// Start in the media and duration in the movie of the first edit that shows something: ISO/IEC 14496-12, 8.6.6.
fn edit_list(trak: &[u8]) -> Option<(u64, u64)> {
    let list = child(child(trak, b"edts")?, b"elst")?;
    let (is_long, entries) = (*list.first()? == 1, list.get(8..)?);
    entries.chunks_exact(if is_long { 20 } else { 12 }).find_map(|entry| {
        let (duration, start) = if is_long {
            (long_field(entry, 0), long_field(entry, 8).cast_signed())
        } else {
            (u64::from(field(entry, 0)), i64::from(field(entry, 4).cast_signed()))
        };
        u64::try_from(start).ok().map(|start| (start, duration))
    })
}

/// Delay and number of samples of iTunes' comment `iTunSMPB`.
fn itunes_gaps(moov: &[u8]) -> Option<(u64, u64)> {
    let meta = child(child(moov, b"udta")?, b"meta")?;
    let items = child(meta.get(4..)?, b"ilst").or_else(|| child(meta, b"ilst"))?;
    let comment = boxes(items)
        .filter(|(kind, _)| *kind == b"----")
        .find(|(_, body)| child(body, b"name").and_then(|name| name.get(4..)) == Some(b"iTunSMPB"))?;
    let text = std::str::from_utf8(child(comment.1, b"data")?.get(8..)?).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|number| u64::from_str_radix(number, 16));
    let (_, delay, _, count) =
        (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((delay, count))
}

/// An audio sample entry of `stsd`.
struct Entry<'b> {
    kind: [u8; 4],
    channels: usize,
    bits: u16,
    sample_rate: u32,
    /// Flags of `lpcm` in version 2.
    flags: u32,
    /// The boxes in it.
    rest: &'b [u8],
}

/// A format, and the bytes and frames of its packets where these stand without sizes; or the name of a codec that is not read.
type Found = Result<(Format, Option<(usize, u64)>), String>;

impl<'b> Entry<'b> {
    fn parse(kind: &[u8; 4], body: &'b [u8]) -> Self {
        let version = half_field(body, 8);
        let mut entry = Self {
            kind: *kind,
            channels: usize::from(half_field(body, 16)),
            bits: half_field(body, 18),
            sample_rate: u32::from(half_field(body, 24)),
            flags: 0,
            rest: body.get(28..).unwrap_or_default(),
        };
        match version {
            // Of an MP4 the version may be wrong: then the boxes follow at once.
            1 if boxes(entry.rest).next().is_none_or(|(kind, _)| !kind.is_ascii()) => {
                entry.rest = body.get(44..).unwrap_or_default();
            }
            2 => {
                entry.sample_rate = f64::from_bits(long_field(body, 32)).round() as u32;
                entry.channels = field(body, 40) as usize;
                entry.bits = field(body, 48) as u16;
                entry.flags = field(body, 52);
                entry.rest = body.get(64..).unwrap_or_default();
            }
            _ => (),
        }
        entry
    }

    /// The box of `kind` in the entry, or in the `wave` box of QuickTime.
    fn find(&self, kind: &[u8; 4]) -> Option<&'b [u8]> {
        child(self.rest, kind).or_else(|| child(child(self.rest, b"wave")?, kind))
    }

    fn codec(&self) -> Result<Found> {
        let (rate, channels) = (self.sample_rate, self.channels);
        if let Some(pcm) = self.pcm() {
            let Some((encoding, endian)) = pcm else {
                return Ok(Err(format!("PCM of {} bits", self.bits)));
            };
            let format = Format::pcm(encoding, endian, rate, channels);
            return Ok(Ok((format, Some((encoding.bytes() * channels.max(1), 1)))));
        }
        let found = match &self.kind {
            b"mp4a" => return self.mp4a(),
            b".mp3" | b"ms\0\x55" => Format::packets(CODEC_ID_MP3, rate, channels, |_| ()),
            b".mp2" | b"ms\0\x50" => Format::packets(CODEC_ID_MP2, rate, channels, |_| ()),
            b"alac" => match alac(self.find(b"alac").unwrap_or_default(), rate, channels) {
                Some(format) => format,
                None => return Err(corrupt("its header of ALAC is missing")),
            },
            b"fLaC" => {
                let info = self.find(b"dfLa").and_then(|body| flac::StreamInfo::parse(body.get(8..)?));
                info.ok_or_else(|| corrupt("its header of FLAC is missing"))?.format()
            }
            b"Opus" => {
                let header = self
                    .find(b"dOps")
                    .filter(|header| header.len() >= 11)
                    .ok_or_else(|| corrupt("its header of Opus is missing"))?;
                ogg::opus_format(&opus_head(header))
            }
            b"ima4" => {
                let (bytes, frames) = (IMA4.0 * channels.max(1), IMA4.1);
                let format = Format::packets(CODEC_ID_ADPCM_IMA_QT, rate, channels, |params| {
                    params.with_max_frames_per_packet(frames).with_frames_per_block(frames);
                });
                return Ok(Ok((format, Some((bytes, frames)))));
            }
            b"ms\0\x02" | b"ms\0\x11" => return Ok(self.ms_adpcm()),
            kind => {
                let name =
                    codec_of_type(kind).map_or_else(|| format!("codec \"{}\"", kind.escape_ascii()), str::to_owned);
                return Ok(Err(name));
            }
        };
        Ok(Ok((found, None)))
    }

    /// The samples of a type of PCM; `Some(None)` for a width that is not read.
    fn pcm(&self) -> Option<Option<(Encoding, Endian)>> {
        let is_little = self.find(b"enda").is_some_and(|body| body.get(1) == Some(&1));
        let bytes = u32::from(self.bits.div_ceil(8));
        let integer = |bytes: u32| if bytes == 1 { Some(Encoding::S8) } else { Encoding::integer(bytes) };
        let endian = |is_little: bool| if is_little { Endian::Little } else { Endian::Big };
        match &self.kind {
            b"lpcm" => {
                // Flags of Core Audio: 1 is floating point, 2 big-endian, 4 signed.
                let encoding = match (self.flags & 1, self.flags & 4, bytes) {
                    (1, ..) => Encoding::float(bytes),
                    (_, 0, 1) => Some(Encoding::U8),
                    _ => integer(bytes),
                };
                Some(encoding.map(|encoding| (encoding, endian(self.flags & 2 == 0))))
            }
            // ISO/IEC 23003-5: `pcmC` has flags, of which 1 is little-endian, and the bits.
            b"ipcm" | b"fpcm" => {
                let config = child(self.rest, b"pcmC")?;
                let bytes = u32::from(config.get(5)?.div_ceil(8));
                let encoding = if &self.kind == b"ipcm" { integer(bytes) } else { Encoding::float(bytes) };
                Some(encoding.map(|encoding| (encoding, endian(config[4] & 1 == 1))))
            }
            kind => {
                let bits = if self.bits == 0 { 16 } else { self.bits };
                let (encoding, endian) = quicktime_pcm(kind, bits)?;
                let is_little = is_little && matches!(kind, b"in24" | b"in32" | b"fl32" | b"fl64");
                Some(Some((encoding, if is_little { Endian::Little } else { endian })))
            }
        }
    }

    /// ISO/IEC 14496-14: the object type tells the codec.
    fn mp4a(&self) -> Result<Found> {
        let descriptor = self.find(b"esds").and_then(|body| body.get(4..)).and_then(descriptor);
        let Some((kind, config)) = descriptor else {
            return Err(corrupt("its header of AAC is missing"));
        };
        Ok(match (kind, config) {
            (0x40 | 0x66..=0x68, Some(config)) => Ok((aac(config), None)),
            (0x69 | 0x6b, _) => Ok((Format::packets(CODEC_ID_MP3, self.sample_rate, self.channels, |_| ()), None)),
            (0xa5, _) => Err("AC-3".into()),
            (0xa6, _) => Err("E-AC-3".into()),
            (0xa9 | 0xac, _) => Err("DTS".into()),
            (0xdd, _) => Err("Vorbis in MP4".into()),
            (0xe1, _) => Err("QCELP".into()),
            (kind, _) => Err(format!("MPEG-4 object type {kind:#04x}")),
        })
    }

    fn ms_adpcm(&self) -> Found {
        let (wave, rate, channels) =
            (self.find(&self.kind).unwrap_or_default(), self.sample_rate, self.channels.max(1));
        let align = wave.get(12..14).map_or(0, |v| usize::from(u16::from_le_bytes([v[0], v[1]])));
        let (id, header, extra) = if self.kind[3] == 2 {
            (CODEC_ID_ADPCM_MS, 7 * channels, 2)
        } else {
            (CODEC_ID_ADPCM_IMA_WAV, 4 * channels, 1)
        };
        if align <= header {
            return Err("ADPCM without the size of its blocks".into());
        }
        let frames = ((align - header) * 2 / channels + extra) as u64;
        let format = Format::packets(id, rate, channels, |params| {
            params.with_max_frames_per_packet(frames).with_frames_per_block(frames);
        });
        Ok((format, Some((align, frames))))
    }
}

fn corrupt(detail: &str) -> Error {
    Error::Corrupt { container: "m4a", detail: detail.into() }
}

/// The format of ALAC with the "magic cookie" in the body of an `alac` box, or by itself: 24 bytes.
pub(super) fn alac(body: &[u8], sample_rate: u32, channels: usize) -> Option<Format> {
    // Around it there may be the boxes `frma` and `alac`, and before it version and flags.
    let mut cookie = body;
    for kind in [b"frma", b"alac"] {
        if cookie.get(4..8) == Some(kind) {
            cookie = cookie.get(12..)?;
        }
    }
    if cookie.first_chunk() == Some(&[0, 0, 0, 0]) && cookie.len() >= 28 {
        cookie = &cookie[4..];
    }
    let cookie = cookie.get(..24)?;
    let bits = u32::from(cookie[5]);
    let own_rate = field(cookie, 20);
    let rate = if own_rate > 0 { own_rate } else { sample_rate };
    let n = match cookie[9] {
        0 => channels,
        n => usize::from(n),
    };
    Some(Format {
        bits: Some(bits),
        ..Format::packets(CODEC_ID_ALAC, rate, n, |params| {
            params.with_extra_data(cookie.into());
        })
    })
}

/// The header of Opus as it stands in Ogg, of that in a `dOps` box, whose numbers are big-endian.
fn opus_head(header: &[u8]) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(header[1]);
    head.extend([header[3], header[2], header[7], header[6], header[5], header[4], header[9], header[8]]);
    head.extend_from_slice(&header[10..]);
    head
}

/// Where the next sample of the table is.
#[derive(Default)]
struct Cursor {
    sample: u64,
    /// The chunk that it is in, counted from 0, and what is left of that: position, samples.
    chunk: usize,
    position: u64,
    left: u64,
    /// The entry of the table of samples for each chunk.
    entry: usize,
    /// For samples without sizes, the bytes left in the chunk.
    bytes: u64,
}

impl Cursor {
    /// Goes to the next chunk.
    fn next_chunk(&mut self, track: &Track) -> bool {
        let Some(position) = track.chunk(self.chunk) else { return false };
        let entries = track.chunks.get(4..).unwrap_or_default();
        let first = |index: usize| entries.get(12 * index..12 * index + 12).map(|entry| field(entry, 0) as usize);
        // Chunks are counted from 1 there.
        while first(self.entry + 1).is_some_and(|first| first <= self.chunk + 1) {
            self.entry += 1;
        }
        let Some(_) = first(self.entry) else { return false };
        self.left = u64::from(field(entries, 12 * self.entry + 4));
        self.position = position;
        self.chunk += 1;
        true
    }
}

struct Mp4 {
    format: Option<Format>,
    track: Track,
    next: Cursor,
    is_fragmented: bool,
    /// Positions and sizes of samples of the fragment being read.
    queue: VecDeque<(u64, usize)>,
    /// Where the box after the last fragment begins.
    top: u64,
    /// Samples that were met.
    gone: u64,
}

impl Reader for Mp4 {
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>> {
        if let Some(format) = self.format.take() {
            return Ok(Some(Event::Format(Box::new(format))));
        }
        loop {
            let found = match self.track.packet {
                Some(packet) => self.next_block(packet),
                None => self.next_sample(),
            };
            let (position, size, frames) = match found {
                Some(found) => found,
                None => match self.next_of_fragment(source, log)? {
                    Some((position, size)) => (position, size, 0),
                    None => return Ok(None),
                },
            };
            self.gone += 1;
            // Every sample takes bytes of the file, except in a table of empty ones made to keep us busy.
            if self.gone > source.end() + 1 {
                return Err(corrupt("it has more samples than bytes"));
            }
            if size == 0 {
                continue;
            }
            if position.saturating_add(size as u64) > source.end() {
                self.missing(position, source, log);
                return Ok(None);
            }
            if size > MAX_SAMPLE {
                return Err(corrupt("a sample has more than 16 MiB"));
            }
            source.seek(position)?;
            let data = source.take(size)?;
            return Ok(Some(Event::Packet(Packet { data, frames, ..Packet::default() })));
        }
    }
}

impl Mp4 {
    /// Position, bytes and frames of the next sample of the table; frames are not known.
    fn next_sample(&mut self) -> Option<(u64, usize, u64)> {
        let size = self.track.size(self.next.sample)?;
        while self.next.left == 0 {
            if !self.next.next_chunk(&self.track) {
                return None;
            }
        }
        let position = self.next.position;
        self.next.left -= 1;
        self.next.sample += 1;
        self.next.position = position.saturating_add(size as u64);
        Some((position, size, 0))
    }

    /// Position, bytes and frames of the next part of a chunk of packets of `bytes` and `frames`.
    fn next_block(&mut self, (bytes, frames): (usize, u64)) -> Option<(u64, usize, u64)> {
        while self.next.bytes < bytes as u64 {
            if !self.next.next_chunk(&self.track) {
                return None;
            }
            // A sample is a packet, or a frame of a packet of several.
            let is_packet = self.track.size(0) == Some(bytes);
            let packets = if is_packet { self.next.left } else { self.next.left / frames };
            self.next.bytes = packets.saturating_mul(bytes as u64);
        }
        let count = if frames == 1 { (BLOCK / bytes).max(1) as u64 } else { 1 };
        let count = count.min(self.next.bytes / bytes as u64);
        let (position, size) = (self.next.position, count * bytes as u64);
        self.next.position = position.saturating_add(size);
        self.next.bytes -= size;
        Some((position, size as usize, count * frames))
    }

    /// Position and bytes of the next sample of a fragment.
    fn next_of_fragment(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<(u64, usize)>> {
        loop {
            if let Some(found) = self.queue.pop_front() {
                return Ok(Some(found));
            }
            source.seek(self.top)?;
            let start = source.position();
            let Some((kind, header, size)) = top_box(source)? else {
                if source.remaining() > 8 {
                    log.warn(WarningKind::TrailingData, format!("{} bytes follow its last box", source.remaining()));
                }
                return Ok(None);
            };
            self.top = start.saturating_add(size);
            if &kind == b"moof" {
                if self.top > source.end() || size > MAX_TABLE {
                    log.truncated(None, "the file ends within the header of a fragment");
                    return Ok(None);
                }
                source.skip(header)?;
                let body = source.take((size - header) as usize)?;
                self.read_fragment(&body, start);
            } else if self.top > source.end() {
                if self.is_fragmented && &kind == b"mdat" {
                    log.truncated(None, "the file ends within a fragment");
                } else {
                    log.warn(WarningKind::TrailingData, format!("{} bytes follow its last box", source.end() - start));
                }
                return Ok(None);
            }
        }
    }

    /// Queues the samples of the fragment whose header has `body` and begins at `start`.
    fn read_fragment(&mut self, body: &[u8], start: u64) {
        let mut position = start;
        for (_, traf) in boxes(body).filter(|(kind, _)| *kind == b"traf") {
            let Some(header) = child(traf, b"tfhd").filter(|header| field(header, 4) == self.track.id) else {
                continue;
            };
            let flags = field(header, 0) & 0xff_ffff;
            let mut at = 8;
            let mut optional = |flag: u32, bytes: usize| {
                let found = (flags & flag != 0).then_some(at);
                at += if flags & flag != 0 { bytes } else { 0 };
                found
            };
            let base = optional(1, 8).map_or(start, |at| long_field(header, at));
            optional(2, 4);
            optional(8, 4);
            let size = optional(0x10, 4).map_or(self.track.default_size, |at| field(header, at));
            for (_, run) in boxes(traf).filter(|(kind, _)| *kind == b"trun") {
                let flags = field(run, 0) & 0xff_ffff;
                let count = field(run, 4) as usize;
                let mut at = 8;
                if flags & 1 != 0 {
                    position = base.saturating_add_signed(i64::from(field(run, at).cast_signed()));
                    at += 4;
                }
                at += if flags & 4 != 0 { 4 } else { 0 };
                let width = [0x100, 0x200, 0x400, 0x800].iter().filter(|&&flag| flags & flag != 0).count() * 4;
                let size_at = if flags & 0x100 != 0 { 4 } else { 0 };
                for index in 0..count {
                    let entry = at + index * width;
                    if width > 0 && entry + width > run.len() || self.queue.len() > body.len() + (1 << 20) {
                        break;
                    }
                    let size = if flags & 0x200 != 0 { field(run, entry + size_at) } else { size };
                    self.queue.push_back((position, size as usize));
                    position = position.saturating_add(u64::from(size));
                }
            }
        }
    }

    /// The file ends before a sample at `position`.
    fn missing(&mut self, position: u64, source: &Source<'_>, log: &mut Log) {
        let total = self.track.total_ticks() as f64 / self.track.scale.max(1) as f64;
        let lost = (total - log.now).max(0.0);
        let detail = format!("a sample should stand at byte {position} of {}", source.end());
        log.truncated((total > 0.0).then_some(lost), detail);
        self.queue.clear();
    }
}
