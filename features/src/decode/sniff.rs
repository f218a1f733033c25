//! Which container the bytes are of. File names are never asked.

use super::{
    containers::{find_flac, find_mpeg, mpeg_at_start},
    source::Source,
    warnings::{Log, WarningKind},
};
use crate::{Error, Result};

/// A container that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    /// Sony Wave64.
    W64,
    Au,
    Aiff,
    /// Creative Voice.
    Voc,
    /// Core Audio Format.
    Caf,
    Flac,
    Ogg,
    Mp4,
    Matroska,
    Webm,
    /// Frames of MPEG audio without a container, by layer.
    Mp1,
    Mp2,
    Mp3,
    /// AAC frames without a container.
    Adts,
}

impl Container {
    /// Its name in errors and in [`AudioInfo`](super::AudioInfo).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::W64 => "w64",
            Self::Au => "au",
            Self::Aiff => "aiff",
            Self::Voc => "voc",
            Self::Caf => "caf",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp4 => "m4a",
            Self::Matroska => "matroska",
            Self::Webm => "webm",
            Self::Mp1 => "mp1",
            Self::Mp2 => "mp2",
            Self::Mp3 => "mp3",
            Self::Adts => "aac",
        }
    }
}

/// How far into a file a container is searched for, beyond tags and zeros.
const MAX_JUNK: usize = 256 << 10;

/// Tags behind the audio that are taken off at most.
const MAX_TAGS: usize = 16;

/// Goes to the first byte of the container in `source`, and ends that before the tags behind it.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotAudio`] with what it looks like, or [`Error::Unsupported`] with the name of a format that is not read.
pub(super) fn sniff(source: &mut Source<'_>, log: &mut Log) -> Result<Container> {
    if source.end() == 0 {
        return Err(Error::Empty);
    }
    let had_tag = skip_tags(source, log)?;
    cut_tags(source)?;
    let head = source.peek(64 + 8)?;
    if let Some(container) = container_of(head) {
        return Ok(container);
    }
    let start = source.position();
    if let Some((container, detail)) = unsupported(source)? {
        return Err(Error::Unsupported { container, detail: detail.into() });
    }
    if let Some(detail) = other_format(source.peek(512)?).filter(|_| !had_tag) {
        return Err(Error::NotAudio { detail });
    }
    skip_zeros(source)?;
    let bytes = source.peek(MAX_JUNK)?;
    // Most files begin with what is searched for.
    let found = named(bytes).or_else(|| mpeg_at_start(bytes)).map(|container| (0, container));
    let Some((at, container)) = found.or_else(|| search(bytes)) else {
        let detail = if had_tag { "an ID3 tag without audio behind it".into() } else { describe(source, start)? };
        return Err(Error::NotAudio { detail });
    };
    source.skip(at as u64)?;
    let junk = source.position() - start;
    // A cut from a broadcast begins within a frame.
    let is_mpeg = matches!(container, Container::Mp1 | Container::Mp2 | Container::Mp3 | Container::Adts);
    if junk > if is_mpeg { 4096 } else { 0 } {
        log.warn(WarningKind::LeadingData, format!("{junk} bytes stand before the audio"));
    }
    Ok(container)
}

/// The first container in `bytes`, and where it begins.
fn search(bytes: &[u8]) -> Option<(usize, Container)> {
    let by_name = (0..bytes.len()).find_map(|at| Some((at, named(&bytes[at..])?)));
    let mp4 = bytes.windows(8).position(|window| &window[4..] == b"ftyp").map(|at| (at, Container::Mp4));
    let flac = find_flac(bytes).map(|at| (at, Container::Flac));
    [by_name, mp4, flac, find_mpeg(bytes)].into_iter().flatten().min_by_key(|(at, _)| *at)
}

/// The container that `bytes` begin with, if more than four letters say so, which may stand anywhere by chance.
fn named(bytes: &[u8]) -> Option<Container> {
    container_of(bytes).filter(|container| !matches!(container, Container::Au | Container::Mp4 | Container::Voc))
}

/// The container that `bytes` begin with.
fn container_of(bytes: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let riff = at(0, b"RIFF") || at(0, b"RIFX") || at(0, b"RF64") || at(0, b"BW64");
    Some(if riff && at(8, b"WAVE") {
        Container::Wav
    } else if at(0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0") {
        Container::W64
    } else if at(0, b".snd") || at(0, b"dns.") {
        Container::Au
    } else if at(0, b"fLaC") {
        Container::Flac
    } else if at(0, b"OggS\0") {
        Container::Ogg
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Container::Aiff
    } else if at(0, b"caff\0") {
        Container::Caf
    } else if at(0, b"Creative Voice File\x1a") {
        Container::Voc
    } else if at(0, b"\x1a\x45\xdf\xa3") {
        let head = &bytes[..bytes.len().min(64)];
        if head.windows(4).any(|window| window == b"webm") { Container::Webm } else { Container::Matroska }
    } else if MP4_BOXES.iter().any(|kind| at(4, *kind)) {
        Container::Mp4
    } else {
        return None;
    })
}

/// Boxes that an MP4 may begin with; most begin with the first.
const MP4_BOXES: [&[u8; 4]; 9] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"moof"];

/// Bytes of the tag that `bytes` begin with: ID3v2, APEv2 or ID3v1.
pub(super) fn tag_length(bytes: &[u8]) -> Option<u64> {
    if let Some(header) = bytes.first_chunk::<10>().filter(|header| header.starts_with(b"ID3")) {
        // "ID3", version, revision, flags, size in four bytes of seven bits (id3.org/id3v2.4.0-structure, 3.1).
        if header[3] == 0xff || header[4] == 0xff {
            return None;
        }
        let footer = if header[5] & 0x10 == 0 { 0 } else { 10 };
        let size = header[6..].iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f));
        return Some(10 + size + footer);
    }
    if let Some(header) = bytes.first_chunk::<32>().filter(|header| header.starts_with(b"APETAGEX")) {
        // Version, size of items and footer, number of items, flags: bit 29 of them says that this is the header.
        let number = |at: usize| header[at..at + 4].as_array().map_or(0, |v| u32::from_le_bytes(*v));
        let is_header = number(20) & 1 << 29 != 0;
        return Some(32 + if is_header { u64::from(number(12)) } else { 0 });
    }
    if bytes.starts_with(b"TAG") && bytes.len() >= 128 {
        return Some(if bytes.starts_with(b"TAG+") { 227 } else { 128 });
    }
    None
}

/// Goes behind the tags before the audio; whether there were any.
fn skip_tags(source: &mut Source<'_>, log: &mut Log) -> Result<bool> {
    let mut had_tag = false;
    while let Some(length) = tag_length(source.peek(128)?) {
        had_tag = true;
        if length > source.remaining() {
            let there = source.remaining();
            log.warn(WarningKind::WrongSize, format!("a tag should have {length} bytes, {there} are there"));
            source.skip(10)?;
            break;
        }
        source.skip(length)?;
    }
    Ok(had_tag)
}

/// Ends the source before the tags behind the audio: ID3v1, APEv2, Lyrics3, and ID3v2.4 with a footer.
fn cut_tags(source: &mut Source<'_>) -> Result<()> {
    let start = source.position();
    for _ in 0..MAX_TAGS {
        let end = source.end();
        let mut tail = [0; 227];
        let n = end.saturating_sub(start).min(227) as usize;
        source.seek(end - n as u64)?;
        tail[227 - n..].copy_from_slice(source.peek(n)?);
        let at = |from_end: usize, magic: &[u8]| tail[227 - from_end..].starts_with(magic);
        let length = if at(128, b"TAG") {
            if at(227, b"TAG+") { 227 } else { 128 }
        } else if at(32, b"APETAGEX") {
            let number = |at: usize| tail[195 + at..199 + at].as_array().map_or(0, |v| u32::from_le_bytes(*v));
            u64::from(number(12)) + if number(20) & 1 << 31 == 0 { 0 } else { 32 }
        } else if at(9, b"LYRICS200") {
            let digits = std::str::from_utf8(&tail[212..218]).ok().and_then(|digits| digits.parse::<u64>().ok());
            digits.map_or(0, |size| size + 15)
        } else if at(10, b"3DI") {
            20 + tail[223..].iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f))
        } else {
            0
        };
        if length == 0 || length > end.saturating_sub(start) {
            break;
        }
        source.cut(end - length);
    }
    source.seek(start)
}

/// Goes to the last three of the zeros that come next, if they are many: three may be the size of a box.
fn skip_zeros(source: &mut Source<'_>) -> Result<()> {
    let start = source.position();
    loop {
        let bytes = source.peek(64 << 10)?;
        let n = bytes.iter().take_while(|&&byte| byte == 0).count();
        let is_all = n == bytes.len();
        source.skip(n as u64)?;
        if !is_all || n == 0 {
            break;
        }
    }
    source.seek(source.position().saturating_sub(3).max(start))
}

/// Container and name of an audio format that is known but not read.
fn unsupported(source: &mut Source<'_>) -> Result<Option<(&'static str, &'static str)>> {
    const KNOWN: [(usize, &[u8], &str, &str); 40] = [
        (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", "Windows Media Audio (WMA)"),
        (0, b"wvpk", "wavpack", "WavPack"),
        (0, b"MAC ", "ape", "Monkey's Audio"),
        (0, b"MPCK", "musepack", "Musepack"),
        (0, b"MP+", "musepack", "Musepack"),
        (0, b"TTA1", "tta", "True Audio (TTA)"),
        (0, b"TTA2", "tta", "True Audio (TTA)"),
        (0, b"DSD ", "dsf", "DSD"),
        (0, b"FRM8", "dsdiff", "DSD"),
        (0, b".ra\xfd", "realaudio", "RealAudio"),
        (0, b".RMF", "realmedia", "RealAudio"),
        (0, b"#!AMR-WB", "amr", "AMR-WB"),
        (0, b"#!AMR", "amr", "AMR"),
        (0, b"#!SILK", "silk", "SILK"),
        (0, b"\x02#!SILK", "silk", "SILK"),
        (0, b"#!EVRC", "evrc", "EVRC"),
        (0, b"\x0b\x77", "ac3", "AC-3"),
        (0, b"\x7f\xfe\x80\x01", "dts", "DTS"),
        (0, b"\xfe\x7f\x01\x80", "dts", "DTS"),
        (0, b"\x1f\xff\xe8\x00", "dts", "DTS"),
        (0, b"\xff\x1f\x00\xe8", "dts", "DTS"),
        (0, b"DTSHDHDR", "dts", "DTS"),
        (4, b"\xf8\x72\x6f\xba", "mlp", "Dolby TrueHD"),
        (0, b"EA3\x03", "oma", "ATRAC"),
        (0, b"ea3\x03", "oma", "ATRAC"),
        (0, b"OFR ", "optimfrog", "OptimFROG"),
        (0, b"ajkg", "shorten", "Shorten"),
        (0, b"LA0", "la", "Lossless Audio"),
        (0, b"TWIN97012000", "vqf", "TwinVQ"),
        (0, b"ADIF", "adif", "AAC as ADIF"),
        (0, b"NIST_1A", "sphere", "NIST SPHERE"),
        (0, b"2BIT", "avr", "Audio Visual Research"),
        (0, b"MThd", "midi", "MIDI"),
        (0, b"XMF_", "xmf", "MIDI"),
        (0, b"Extended Module: ", "module", "tracker module"),
        (0, b"IMPM", "module", "tracker module"),
        (44, b"SCRM", "module", "tracker module"),
        (0, b"SNES-SPC700 Sound", "spc", "SNES music"),
        (0, b"PSID", "sid", "Commodore 64 music"),
        (0, b"Vgm ", "vgm", "video game music"),
    ];
    const MODULES: [&[u8]; 10] =
        [b"M.K.", b"M!K!", b"FLT4", b"FLT8", b"4CHN", b"6CHN", b"8CHN", b"OCTA", b"CD81", b"M&K!"];
    let bytes = source.peek(1084)?;
    if let Some((_, _, container, name)) =
        KNOWN.iter().find(|(at, magic, ..)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
    {
        return Ok(Some((container, name)));
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"RMID") {
        return Ok(Some(("midi", "MIDI")));
    }
    if bytes.get(1080..).is_some_and(|mark| MODULES.contains(&mark)) {
        return Ok(Some(("module", "tracker module")));
    }
    // LOAS: a sync word of 11 bits and a length of 13, which leads to the next one.
    if let &[0x56, b, c, ..] = bytes
        && b & 0xe0 == 0xe0
    {
        let next = 3 + (usize::from(b & 0x1f) << 8 | usize::from(c));
        let bytes = source.peek(next + 2)?;
        if matches!(bytes.get(next..), Some([0x56, b, ..]) if b & 0xe0 == 0xe0) {
            return Ok(Some(("loas", "AAC as LOAS")));
        }
    }
    Ok(None)
}

/// What bytes that are no audio are, if that is known.
fn other_format(bytes: &[u8]) -> Option<String> {
    const KNOWN: [(&[u8], &str); 14] = [
        (b"%PDF", "a PDF document"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7-Zip archive"),
        (b"FLV\x01", "a Flash video"),
        (b"\0\0\x01\xba", "an MPEG video"),
        (b"\0\0\x01\xb3", "an MPEG video"),
        (b"\x7fELF", "a program"),
        (b"MZ", "a program"),
        (b"RIFF", "a RIFF file that is not WAVE"),
    ];
    if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(format!("it looks like {name}"));
    }
    let text = bytes.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        return Some("it looks like an HTML page".into());
    }
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    bytes.iter().all(is_text).then(|| "it looks like text".into())
}

/// The bytes at `start`, for the error.
fn describe(source: &mut Source<'_>, start: u64) -> Result<String> {
    source.seek(start)?;
    Ok(format!("it starts with the bytes \"{}\"", source.peek(8)?.escape_ascii()))
}
