//! Readers of containers: bytes → packets of one audio track. Sizes and counts in headers are compared with what is there.

mod aiff;
mod au;
mod caf;
mod flac;
mod matroska;
mod mp4;
mod mpeg;
mod ogg;
mod voc;
mod wav;

use super::{
    codecs::Format,
    pcm::{Encoding, Endian},
    sniff::Container,
    source::Source,
    warnings::{Log, WarningKind},
};
use crate::{Error, Result};

pub(super) use flac::{find as find_flac, is_beyond_32_bits};
pub(super) use mpeg::{at_start as mpeg_at_start, find as find_mpeg, frame_length, has_mixed_blocks_of_8_khz};

/// What a container gives.
pub(super) enum Event {
    /// What follows has this format, and a decoder of its own.
    Format(Box<Format>),
    /// A packet of the format given last.
    Packet(Packet),
}

/// Bytes that a decoder takes at a time; for PCM, whole frames.
#[derive(Default)]
pub(super) struct Packet {
    pub(super) data: Vec<u8>,
    /// Frames in it, gaps included; 0 if only the decoder knows.
    pub(super) frames: u64,
    /// Frames to leave out at its start and at its end.
    pub(super) skip: u64,
    pub(super) trim: u64,
    /// Whether packets before it are missing, so that the decoder must not build on them.
    pub(super) is_after_gap: bool,
}

/// A container being read.
pub(super) trait Reader {
    /// The next event; `None` at the end. The first one is a format.
    ///
    /// # Errors
    /// Those of the file system; [`Error::Unsupported`], [`Error::Corrupt`] and [`Error::Truncated`] where nothing can be read any more.
    fn next(&mut self, source: &mut Source<'_>, log: &mut Log) -> Result<Option<Event>>;
}

/// The reader of `container`, whose first byte is the next one of `source`.
pub(super) fn open(container: Container, source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    match container {
        Container::Wav => wav::open(source, log),
        Container::W64 => wav::open_w64(source, log),
        Container::Au => au::open(source, log),
        Container::Aiff => aiff::open(source, log),
        Container::Voc => voc::open(source, log),
        Container::Caf => caf::open(source, log),
        Container::Flac => flac::open(source, log),
        Container::Ogg => Ok(ogg::open()),
        Container::Mp4 => mp4::open(source),
        Container::Matroska | Container::Webm => matroska::open(container, source, log),
        Container::Mp1 | Container::Mp2 | Container::Mp3 | Container::Adts => Ok(mpeg::open(container.name())),
    }
}

/// The fields of the tags of a container that lofty does not read; `None` for the others.
pub(super) fn comments(container: Container, source: &mut Source<'_>) -> Option<Vec<(String, String)>> {
    match container {
        Container::Matroska | Container::Webm => matroska::comments(source),
        Container::Caf => caf::comments(source),
        Container::Ogg => ogg::comments(source),
        _ => None,
    }
}

/// Most bytes of tags that are read.
const MAX_COMMENTS: u64 = 16 << 20;

/// The fields of Vorbis comments (Vorbis I, 5.2.1).
fn vorbis_comments(bytes: &[u8]) -> Vec<(String, String)> {
    fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *rest = after;
        Some(text)
    }
    let mut rest = bytes;
    if text(&mut rest).is_none() {
        return Vec::new();
    }
    rest = rest.get(4..).unwrap_or_default();
    let fields = std::iter::from_fn(|| text(&mut rest));
    let pairs = fields
        .filter_map(|field| String::from_utf8_lossy(field).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
    pairs.collect()
}

/// Samples one after another from here to the end of the source.
struct Samples {
    format: Option<Format>,
    /// Bytes of one sample of all channels.
    frame: usize,
    /// Where the samples end.
    end: u64,
}

/// Bytes of samples that are read at a time.
const BLOCK: usize = 64 << 10;

impl Samples {
    fn new(encoding: Encoding, endian: Endian, sample_rate: u32, channels: usize, end: u64) -> Self {
        let frame = encoding.bytes().saturating_mul(channels).max(1);
        Self { format: Some(Format::pcm(encoding, endian, sample_rate, channels)), frame, end }
    }
}

impl Reader for Samples {
    fn next(&mut self, source: &mut Source<'_>, _: &mut Log) -> Result<Option<Event>> {
        if let Some(format) = self.format.take() {
            return Ok(Some(Event::Format(Box::new(format))));
        }
        let left = usize::try_from(self.end.saturating_sub(source.position())).unwrap_or(usize::MAX);
        let wanted = (BLOCK / self.frame).max(1).saturating_mul(self.frame).min(left);
        let mut data = source.take(wanted)?;
        let whole = data.len() / self.frame * self.frame;
        data.truncate(whole);
        Ok((!data.is_empty())
            .then(|| Event::Packet(Packet { frames: (whole / self.frame) as u64, data, ..Packet::default() })))
    }
}

/// How often a byte may be looked at in search of frames or pages, on average, before a file is called corrupt.
const MAX_VISITS: u64 = 32;

/// Bytes that were looked at in search of frames or pages, so that the time for a file does not grow faster than the file.
#[derive(Default)]
struct Visits(u64);

impl Visits {
    /// Counts `bytes`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if bytes were looked at more than [`MAX_VISITS`] times each.
    fn add(&mut self, bytes: usize, source: &Source<'_>, container: &'static str) -> Result<()> {
        self.0 += bytes as u64;
        if self.0 > MAX_VISITS * source.end() + (1 << 22) {
            let detail = "it has many headers, and little behind them".into();
            return Err(Error::Corrupt { container, detail });
        }
        Ok(())
    }
}

/// Packets of equal size, each decoded by itself, from here to `end`: ADPCM.
struct Blocks {
    format: Option<Format>,
    /// Bytes and frames of a packet, and bytes of its header.
    bytes: usize,
    frames: u64,
    header: usize,
    end: u64,
}

impl Reader for Blocks {
    fn next(&mut self, source: &mut Source<'_>, _: &mut Log) -> Result<Option<Event>> {
        if let Some(format) = self.format.take() {
            return Ok(Some(Event::Format(Box::new(format))));
        }
        let left = usize::try_from(self.end.saturating_sub(source.position())).unwrap_or(usize::MAX);
        let mut data = source.take(self.bytes.min(left))?;
        if data.len() <= self.header {
            return Ok(None);
        }
        // The last block may be cut: it is filled up, and what it lacks is left out.
        let body = (self.bytes - self.header) as u64;
        let missing = (self.bytes - data.len()) as u64;
        let trim = (missing * self.frames).div_ceil(body);
        data.resize(self.bytes, 0);
        Ok(Some(Event::Packet(Packet { data, frames: self.frames, trim, ..Packet::default() })))
    }
}

/// Where audio that should have `announced` bytes from here on ends, with a warning if that is not so.
///
/// `is_whole` says that another size of the header agrees with the length of the file. A size of a pipe, which is not known when the
/// header is written, is no fault: all ones, or the largest number of 31 or 32 bits, more or less what a header takes.
fn data_end(source: &Source<'_>, announced: u64, is_whole: bool, bytes_per_second: f64, log: &mut Log) -> u64 {
    let (here, there) = (source.position(), source.remaining());
    let Some(missing) = announced.checked_sub(there).filter(|&missing| missing > 0) else {
        return here + announced;
    };
    let is_placeholder =
        matches!(announced, 0x7fff_0000..=0x8000_ffff | 0xffff_0000..=0xffff_ffff | 0x7fff_ffff_0000_0000..);
    if is_placeholder {
        return source.end();
    }
    let detail = format!("its audio should have {announced} bytes, {there} are there");
    if is_whole || missing <= 64 {
        log.warn(WarningKind::WrongSize, detail);
    } else {
        let lost = missing as f64 / bytes_per_second;
        log.truncated(lost.is_finite().then_some(lost), detail);
    }
    source.end()
}

/// Refuses samples that are frames of a surround codec, as they are recorded from a digital output or put on a DTS CD: noise, if they are
/// played as they are.
fn refuse_bursts(container: &'static str, source: &mut Source<'_>) -> Result<()> {
    // IEC 61937, 6.1 (Pa and Pb) and ETSI TS 102 114, 5.3 (14 and 16 bits), in both orders of bytes.
    const SYNCS: [(&[u8], &str); 6] = [
        (b"\x72\xf8\x1f\x4e", "AC-3 or DTS (IEC 61937)"),
        (b"\xf8\x72\x4e\x1f", "AC-3 or DTS (IEC 61937)"),
        (b"\x7f\xfe\x80\x01", "DTS"),
        (b"\xfe\x7f\x01\x80", "DTS"),
        (b"\x1f\xff\xe8\x00\x07", "DTS"),
        (b"\xff\x1f\x00\xe8", "DTS"),
    ];
    let start = source.peek(BLOCK)?;
    for (sync, name) in SYNCS {
        if start.windows(sync.len()).filter(|window| *window == sync).count() >= 3 {
            let detail = format!("its samples are frames of {name}");
            return Err(Error::Unsupported { container, detail });
        }
    }
    Ok(())
}

/// The chunks' sizes are rounded up to a multiple of this.
fn padded(size: u64, multiple: u64) -> u64 {
    size.checked_next_multiple_of(multiple).unwrap_or(u64::MAX)
}

/// The MPEG-4 AudioSpecificConfig in an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6), and its object type indication.
fn descriptor(bytes: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    fn tagged<'b>(bytes: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
        let (&tag, mut rest) = bytes.split_first()?;
        let mut size = 0;
        for _ in 0..4 {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            size = size << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (body, after) = rest.split_at(size.min(rest.len()));
        *bytes = after;
        Some((tag, body))
    }
    let mut rest = bytes;
    while let Some((tag, mut body)) = tagged(&mut rest) {
        if tag == 3 {
            let flags = *body.get(2)?;
            let mut header = 3;
            header += if flags & 0x80 != 0 { 2 } else { 0 };
            header += if flags & 0x40 != 0 { 1 + usize::from(*body.get(header)?) } else { 0 };
            header += if flags & 0x20 != 0 { 2 } else { 0 };
            body = body.get(header..)?;
            rest = body;
            continue;
        }
        if tag == 4 {
            let kind = *body.first()?;
            let mut specific = body.get(13..).unwrap_or_default();
            while let Some((tag, config)) = tagged(&mut specific) {
                if tag == 5 {
                    return Some((kind, Some(config)));
                }
            }
            return Some((kind, None));
        }
    }
    None
}

/// Bits from the most significant on; zeros behind the end.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Bits<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, n: u32) -> u32 {
        (0..n).fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }
}

/// Rates by the index of MPEG-4 (ISO/IEC 14496-3, 1.6.3.4).
const MPEG4_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What an AudioSpecificConfig says: the rate (of HE-AAC, the half), and channels (0 if the stream says it).
struct AudioConfig {
    sample_rate: u32,
    channels: usize,
}

impl AudioConfig {
    /// ISO/IEC 14496-3, 1.6.2.1.
    fn parse(bytes: &[u8]) -> Self {
        let mut bits = Bits::new(bytes);
        let rate = |bits: &mut Bits<'_>| match bits.take(4) {
            15 => bits.take(24),
            index => MPEG4_RATES.get(index as usize).copied().unwrap_or(0),
        };
        // The object type.
        if bits.take(5) == 31 {
            bits.take(6);
        }
        let sample_rate = rate(&mut bits);
        let channels = match bits.take(4) {
            n @ 1..=6 => n as usize,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => 0,
        };
        Self { sample_rate, channels }
    }
}

/// The AAC of an AudioSpecificConfig.
fn aac(config: &[u8]) -> Format {
    use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
    let parsed = AudioConfig::parse(config);
    Format::packets(CODEC_ID_AAC, parsed.sample_rate, parsed.channels, |params| {
        params.with_extra_data(config.into());
    })
}
