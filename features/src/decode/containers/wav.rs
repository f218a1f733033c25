//! WAV: RIFF, RIFX (big-endian), RF64 and BW64 (sizes of 64 bits), and Sony's Wave64.

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_MP2, CODEC_ID_MP3,
};

use super::*;

/// How far a chunk named `data` is searched where the size of another one is wrong.
const SEARCH: usize = 256 << 10;

/// How the chunks of a file are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Names of four bytes, sizes of 32 bits, padded to even ones.
    Riff(Endian),
    /// Names of 16 bytes that begin with those of RIFF; sizes of 64 bits that count the header too, padded to multiples of 8.
    W64,
}

/// What the chunks before the audio say.
#[derive(Default)]
struct Header {
    format: Option<FormatChunk>,
    data_size_64: Option<u64>,
}

/// The `fmt ` chunk.
struct FormatChunk {
    tag: u16,
    channels: u16,
    sample_rate: u32,
    byte_rate: u32,
    block_align: u16,
    bits: u16,
}

/// A WAV file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let start = source.position();
    let Some(head) = source.array::<12>()? else {
        return Err(truncated("the file ends within the RIFF header".into()));
    };
    let endian = if head.starts_with(b"RIFX") { Endian::Big } else { Endian::Little };
    let riff_size = u64::from(number(endian, [head[4], head[5], head[6], head[7]]));
    let is_long = head.starts_with(b"RF64") || head.starts_with(b"BW64");
    let length = source.end() - start;
    read_chunks(
        Layout::Riff(endian),
        source,
        log,
        |size, header, source| match header.data_size_64 {
            Some(size_64) if is_long && size == u64::from(u32::MAX) => Some(size_64),
            // 0 with audio behind it is the header of a recording that was never finished.
            _ if size == 0 && riff_size != length.saturating_sub(8) => None,
            // A size of 32 bits of a file that needs more.
            _ if source.remaining() > u64::from(u32::MAX) && size < source.remaining() - u64::from(u32::MAX) => None,
            _ => Some(size),
        },
        riff_size.saturating_add(8) == length,
    )
}

/// A Wave64 file.
pub(super) fn open_w64(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let length = source.remaining();
    let Some(head) = source.array::<40>()? else {
        return Err(Error::Truncated { container: "w64", detail: "the file ends within its header".into() });
    };
    let size = head[16..24].as_array().map_or(0, |v| u64::from_le_bytes(*v));
    read_chunks(Layout::W64, source, log, |size, _, _| (size > 0).then_some(size), size == length)
}

/// Reads chunks up to the audio; `announced` makes of the size of the data chunk the one to expect, `None` if it is not known.
fn read_chunks(
    layout: Layout,
    source: &mut Source<'_>,
    log: &mut Log,
    announced: impl Fn(u64, &Header, &Source<'_>) -> Option<u64>,
    is_whole: bool,
) -> Result<Box<dyn Reader>> {
    let container = layout.container();
    let mut header = Header::default();
    loop {
        let Some((id, size)) = layout.chunk(source)? else {
            let detail = format!("the file ends after {} bytes, before its audio", source.end());
            return Err(Error::Truncated { container, detail });
        };
        let body = source.position();
        match &id {
            b"data" => {
                let format = header.format.as_ref().ok_or_else(|| Error::Corrupt {
                    container,
                    detail: "no \"fmt \" chunk stands before its audio".into(),
                })?;
                let end = match announced(size, &header, source) {
                    Some(size) => data_end(source, size, is_whole, f64::from(format.byte_rate), log),
                    None => source.end(),
                };
                warn_of_rest(layout, source, end, log)?;
                return format.reader(layout, source, end, log);
            }
            b"fmt " => {
                let chunk = source.peek(usize::try_from(size.min(64)).unwrap_or(64))?;
                header.format = Some(FormatChunk::parse(layout, chunk)?);
            }
            b"ds64" => {
                header.data_size_64 =
                    source.peek(16)?.get(8..16).and_then(|v| v.as_array()).map(|v| u64::from_le_bytes(*v));
            }
            _ => (),
        }
        if size > source.remaining() {
            // A wrong size: the audio may stand a little further on.
            let found = source.peek(SEARCH)?.windows(4).position(|window| window == b"data");
            let found = found.filter(|_| layout != Layout::W64);
            let Some(offset) = found else {
                let (id, there) = (id.escape_ascii(), source.remaining());
                let detail = format!("its chunk \"{id}\" should have {size} bytes, {there} are there");
                return Err(Error::Truncated { container, detail });
            };
            log.warn(WarningKind::WrongSize, format!("its chunk \"{}\" should have {size} bytes", id.escape_ascii()));
            source.skip(offset as u64)?;
            continue;
        }
        source.seek(body.saturating_add(layout.padded(size)))?;
        // Some programs leave out the padding of a chunk of an odd length.
        if size % 2 == 1 && layout != Layout::W64 && !is_name(source.peek(4)?) {
            source.seek(body + size)?;
            if !is_name(source.peek(4)?) {
                source.seek(body + size + 1)?;
            }
        }
    }
}

/// Whether bytes may be the name of a chunk.
fn is_name(bytes: &[u8]) -> bool {
    bytes.len() == 4 && bytes.iter().all(|byte| (0x20..0x7f).contains(byte))
}

/// Warns of what stands behind the audio, if that is no chunk.
fn warn_of_rest(layout: Layout, source: &mut Source<'_>, end: u64, log: &mut Log) -> Result<()> {
    let here = source.position();
    let rest = source.end().saturating_sub(end);
    source.seek(end)?;
    let bytes = source.peek(10)?;
    let is_chunk = layout == Layout::W64
        || is_name(&bytes[..bytes.len().min(4)])
        || bytes.get(1..).is_some_and(|after| is_name(&after[..after.len().min(4)]));
    if rest > 8 && !is_chunk {
        log.warn(WarningKind::TrailingData, format!("{rest} bytes follow its audio"));
    }
    source.seek(here)
}

impl Layout {
    fn container(self) -> &'static str {
        if self == Self::W64 { "w64" } else { "wav" }
    }

    fn endian(self) -> Endian {
        if let Self::Riff(endian) = self { endian } else { Endian::Little }
    }

    fn padded(self, size: u64) -> u64 {
        padded(size, if self == Self::W64 { 8 } else { 2 })
    }

    /// Name and size of the chunk whose body is next.
    fn chunk(self, source: &mut Source<'_>) -> Result<Option<([u8; 4], u64)>> {
        Ok(match self {
            Self::Riff(endian) => {
                source.array::<8>()?.map(|[a, b, c, d, size @ ..]| ([a, b, c, d], u64::from(number(endian, size))))
            }
            Self::W64 => source.array::<24>()?.map(|header| {
                let size = header[16..].as_array().map_or(0, |v| u64::from_le_bytes(*v));
                ([header[0], header[1], header[2], header[3]], size.saturating_sub(24))
            }),
        })
    }
}

fn number(endian: Endian, bytes: [u8; 4]) -> u32 {
    if endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

fn truncated(detail: String) -> Error {
    Error::Truncated { container: "wav", detail }
}

impl FormatChunk {
    /// `chunk` is the body of a `fmt ` chunk: PCMWAVEFORMAT, WAVEFORMATEX or WAVEFORMATEXTENSIBLE of Microsoft's `mmreg.h`.
    fn parse(layout: Layout, chunk: &[u8]) -> Result<Self> {
        let field = |at: usize| {
            let bytes = chunk.get(at..at + 2).ok_or_else(|| Error::Corrupt {
                container: layout.container(),
                detail: format!("its \"fmt \" chunk has only {} bytes", chunk.len()),
            })?;
            let [low, high] = [bytes[0], bytes[1]];
            Ok(if layout.endian() == Endian::Big {
                u16::from_be_bytes([low, high])
            } else {
                u16::from_le_bytes([low, high])
            })
        };
        let wide = |at: usize| {
            let (first, second) = (u32::from(field(at)?), u32::from(field(at + 2)?));
            Ok(if layout.endian() == Endian::Big { first << 16 | second } else { second << 16 | first })
        };
        let tag = match field(0)? {
            // The true tag is the start of the GUID of the extension.
            0xfffe => field(24)?,
            tag => tag,
        };
        Ok(Self {
            tag,
            channels: field(2)?,
            sample_rate: wide(4)?,
            byte_rate: wide(8)?,
            block_align: field(12)?,
            bits: field(14)?,
        })
    }

    /// The reader of the audio that is next in `source` and ends at `end`.
    fn reader(&self, layout: Layout, source: &mut Source<'_>, end: u64, log: &mut Log) -> Result<Box<dyn Reader>> {
        let container = layout.container();
        let unsupported = |detail: String| Err(Error::Unsupported { container, detail });
        let channels = usize::from(self.channels);
        let bytes = u32::from(self.bytes_of_sample(log));
        let encoding = match self.tag {
            1 => Encoding::integer(bytes),
            3 => Encoding::float(bytes),
            6 => Some(Encoding::ALaw),
            7 => Some(Encoding::MuLaw),
            2 | 0x11 => return self.adpcm(container, end),
            0x50 | 0x55 | 0xff | 0x1600 => {
                source.cut(end);
                return Ok(mpeg::open(container));
            }
            tag => {
                return unsupported(match codec_of_tag(tag) {
                    Some(name) => format!("{name} (format tag {tag:#06x})"),
                    None => format!("format tag {tag:#06x}"),
                });
            }
        };
        let Some(encoding) = encoding else {
            return unsupported(format!("samples of {bytes} bytes under format tag {}", self.tag));
        };
        if encoding == Encoding::S16 {
            refuse_bursts(container, source)?;
        }
        Ok(Box::new(Samples::new(encoding, layout.endian(), self.sample_rate, channels, end)))
    }

    /// Bytes of a sample of one channel.
    ///
    /// As in libsndfile, the bytes that a sample takes decide, and fewer bits than these are the upper ones. Where bits and alignment
    /// contradict each other, the alignment is wrong if it has no room for the bits, or if the bytes a second go with the bits.
    fn bytes_of_sample(&self, log: &mut Log) -> u16 {
        let by_bits = self.bits.div_ceil(8);
        if matches!(self.tag, 6 | 7) {
            return 1;
        }
        let by_align = match (self.block_align, self.channels) {
            (align, channels) if align > 0 && channels > 0 && align % channels == 0 => Some(align / channels),
            _ => None,
        };
        let rate_by_bits = u64::from(self.sample_rate) * u64::from(self.channels) * u64::from(by_bits);
        let bytes = match by_align {
            Some(by_align) if by_bits == 0 || by_align == by_bits => return by_align,
            Some(by_align) if by_align > by_bits && rate_by_bits != u64::from(self.byte_rate) => return by_align,
            _ => by_bits,
        };
        if matches!(self.tag, 1 | 3) {
            let (align, bits, channels) = (self.block_align, self.bits, self.channels);
            log.warn(
                WarningKind::WrongHeader,
                format!("a block alignment of {align} bytes does not fit {channels} channels of {bits} bits"),
            );
        }
        bytes
    }

    fn adpcm(&self, container: &'static str, end: u64) -> Result<Box<dyn Reader>> {
        let (align, channels) = (usize::from(self.block_align), usize::from(self.channels));
        if channels == 0 {
            return Err(Error::Corrupt { container, detail: "its header says 0 channels".into() });
        }
        let (id, header) =
            if self.tag == 2 { (CODEC_ID_ADPCM_MS, 7 * channels) } else { (CODEC_ID_ADPCM_IMA_WAV, 4 * channels) };
        if align <= header {
            let detail = format!("its blocks of ADPCM have {align} bytes, of which the header takes {header}");
            return Err(Error::Corrupt { container, detail });
        }
        let frames = ((align - header) * 2 / channels + if self.tag == 2 { 2 } else { 1 }) as u64;
        let format = Format::packets(id, self.sample_rate, channels, |params| {
            params.with_max_frames_per_packet(frames).with_frames_per_block(frames);
        });
        Ok(Box::new(Blocks { format: Some(format), bytes: align, frames, header, end }))
    }
}

/// The format of packets that a WAVEFORMATEX describes; the name of a codec that is not read.
pub(super) fn packets(chunk: &[u8]) -> Result<Format, String> {
    let unknown = |_| "a codec without its header".to_owned();
    let format = FormatChunk::parse(Layout::Riff(Endian::Little), chunk).map_err(unknown)?;
    let (rate, channels) = (format.sample_rate, usize::from(format.channels));
    let bytes = u32::from(format.bits.div_ceil(8));
    let pcm = match format.tag {
        0x50 => return Ok(Format::packets(CODEC_ID_MP2, rate, channels, |_| ())),
        0x55 => return Ok(Format::packets(CODEC_ID_MP3, rate, channels, |_| ())),
        1 => Encoding::integer(bytes),
        3 => Encoding::float(bytes),
        6 => Some(Encoding::ALaw),
        7 => Some(Encoding::MuLaw),
        _ => None,
    };
    let name = || codec_of_tag(format.tag).map_or_else(|| format!("format tag {:#06x}", format.tag), str::to_owned);
    pcm.map(|encoding| Format::pcm(encoding, Endian::Little, rate, channels)).ok_or_else(name)
}

/// The names of codecs that are not read.
fn codec_of_tag(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x31 | 0x32 => "GSM 6.10",
        0x160 => "Windows Media Audio 1 (WMA)",
        0x161 => "Windows Media Audio 2 (WMA)",
        0x162 => "Windows Media Audio Professional (WMA)",
        0x163 => "Windows Media Audio Lossless (WMA)",
        0x0a | 0x0b => "Windows Media Audio Voice (WMA)",
        0x2000 | 0x92 => "AC-3",
        0x2001 | 0x08 => "DTS",
        0x270 | 0x402 => "ATRAC3",
        0x57 | 0x7361 | 0x7a21 => "AMR",
        0x58 | 0x7362 | 0x7a22 => "AMR-WB",
        0xa109 => "Speex",
        0x5756 => "WavPack",
        0xf1ac => "FLAC in WAV",
        0x704f => "Opus in WAV",
        0x566f | 0x674f | 0x6750 | 0x6751 | 0x676f | 0x6770 | 0x6771 => "Vorbis in WAV",
        0x1602 | 0x1610 => "AAC as LOAS",
        0x10 | 0x17 => "OKI ADPCM",
        0x20 => "Yamaha ADPCM",
        0x200 => "Creative ADPCM",
        0x40 | 0x45 | 0x64 => "G.726 ADPCM",
        0x65 | 0x28f => "G.722 ADPCM",
        0x14 | 0x42 => "G.723",
        0x83 => "G.729",
        0x22 => "TrueSpeech",
        0x130 => "ACELP (Sipro)",
        0x75 | 0x181c => "MetaVoice (VoxWare)",
        0x61 | 0x62 => "Duck ADPCM",
        _ => return None,
    })
}
