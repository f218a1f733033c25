//! Which container the bytes are of. File names are never asked.

use crate::{Error, Result};

/// A container that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    Au,
    Flac,
    Mp3,
    Ogg,
    Aiff,
    M4a,
    /// AAC frames without a container.
    Adts,
}

impl Container {
    /// Its name in errors and in [`AudioInfo`](super::AudioInfo).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Au => "au",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Aiff => "aiff",
            Self::M4a => "m4a",
            Self::Adts => "aac",
        }
    }
}

/// How far into a file the first MPEG frame is searched for: a cut from a broadcast begins within a frame, and some taggers
/// leave padding.
const MAX_JUNK: usize = 16 * 1024;

/// How many frames in a row, each where the one before says, tell MPEG from chance.
const FRAMES_IN_A_ROW: usize = 3;

/// The container of `bytes`, and these without ID3 tags around them.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotAudio`] with what it looks like, or [`Error::Truncated`] for an ID3 tag that is longer
/// than the file.
pub(super) fn sniff(bytes: &[u8]) -> Result<(Container, &[u8])> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let (body, had_tag) = skip_id3(bytes)?;
    let at = |offset: usize, magic: &[u8]| body.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let container = if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") {
        Container::Wav
    } else if at(0, b".snd") {
        Container::Au
    } else if at(0, b"fLaC") {
        Container::Flac
    } else if at(0, b"OggS") {
        Container::Ogg
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Container::Aiff
    } else if at(4, b"ftyp") {
        Container::M4a
    } else if let Some((offset, container)) = find_mpeg(body) {
        return Ok((container, &body[offset..]));
    } else if had_tag {
        return Err(Error::NotAudio { detail: "an ID3 tag without audio behind it".into() });
    } else {
        return Err(Error::NotAudio { detail: describe(bytes) });
    };
    Ok((container, body))
}

/// Bytes of the ID3v2 tag that `bytes` begin with; `None` without one.
pub(super) fn id3_length(bytes: &[u8]) -> Option<usize> {
    // "ID3", version, revision, flags, size in four bytes of seven bits (id3.org/id3v2.4.0-structure, 3.1).
    let header = bytes.first_chunk::<10>().filter(|header| header.starts_with(b"ID3"))?;
    let footer = if header[5] & 0x10 == 0 { 0 } else { 10 };
    let size = header[6..].iter().fold(0, |size, &byte| size << 7 | usize::from(byte & 0x7f));
    Some(10 + size + footer)
}

/// `bytes` without ID3v2 tags before and an ID3v1 tag behind, and whether there was a tag before.
fn skip_id3(bytes: &[u8]) -> Result<(&[u8], bool)> {
    let mut rest = bytes;
    while let Some(length) = id3_length(rest) {
        rest = rest.get(length..).ok_or_else(|| Error::Truncated {
            container: "mp3",
            detail: format!("its ID3 tag should have {} bytes, {} are there", length - 10, rest.len() - 10),
        })?;
    }
    let had_tag = rest.len() < bytes.len();
    if let Some(end) = rest.len().checked_sub(128)
        && rest[end..].starts_with(b"TAG")
    {
        rest = &rest[..end];
    }
    Ok((rest, had_tag))
}

/// The fixed part of a frame header of MPEG audio or of ADTS.
#[derive(PartialEq)]
struct Frame {
    container: Container,
    /// What must stay the same from frame to frame: version, layer and sample rate.
    constant: u32,
}

/// Where frames of MPEG layer III or ADTS begin, and of which.
fn find_mpeg(bytes: &[u8]) -> Option<(usize, Container)> {
    (0..bytes.len().min(MAX_JUNK)).find_map(|start| {
        let (first, _) = frame_at(&bytes[start..])?;
        let mut position = start;
        for count in 0..FRAMES_IN_A_ROW {
            let rest = bytes.get(position..).unwrap_or_default();
            match frame_at(rest) {
                Some((frame, length)) if frame == first => position += length,
                // A short file that begins with a frame may end after it, but not go on with something else.
                _ if start == 0 && count > 0 && rest.len() < 7 => break,
                _ => return None,
            }
        }
        Some((start, first.container))
    })
}

/// The frame that `bytes` begin with, and its length in bytes.
fn frame_at(bytes: &[u8]) -> Option<(Frame, usize)> {
    let word = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
    let is_adts = word & 0xfff6_0000 == 0xfff0_0000;
    if is_adts {
        // ISO/IEC 13818-7, 6.2: 13 bits of length from bit 30 on, header included.
        let length = u64::from_be_bytes([0, *bytes.get(3)?, *bytes.get(4)?, *bytes.get(5)?, 0, 0, 0, 0]);
        let length = ((length >> 37) & 0x1fff) as usize;
        let rate = (word >> 10) & 0xf;
        let frame = Frame { container: Container::Adts, constant: word & 0xffff_fdc0 };
        return (length > 7 && rate < 13).then_some((frame, length));
    }
    // ISO/IEC 11172-3, 2.4.2.3: sync, version (3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5), layer (1 is III).
    let (version, layer) = ((word >> 19) & 3, (word >> 17) & 3);
    let (rate_index, rate) = ((word >> 12) & 0xf, (word >> 10) & 3);
    if word >> 21 != 0x7ff || version == 1 || layer != 1 || !(1..15).contains(&rate_index) || rate == 3 {
        return None;
    }
    const KBIT_MPEG1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KBIT_MPEG2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let sample_rate = [44_100, 48_000, 32_000][rate as usize] >> [2, 0, 1, 0][version as usize];
    let (kbit, slots) = if version == 3 { (KBIT_MPEG1, 144_000) } else { (KBIT_MPEG2, 72_000) };
    let padding = (word >> 9) & 1;
    let length = slots * kbit[rate_index as usize] / sample_rate + padding as usize;
    Some((Frame { container: Container::Mp3, constant: word & 0xfffe_0c00 }, length))
}

/// A description of bytes that are no audio, for the error.
fn describe(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 15] = [
        (b"%PDF", "a PDF document"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
        (b"caff", "a Core Audio file"),
        (b"MThd", "a MIDI file"),
        (b"wvpk", "WavPack audio"),
        (b"MAC ", "Monkey's Audio"),
        (b"#!AMR", "AMR speech"),
        (b"RIFF", "a RIFF file that is not WAVE"),
        (b"RIFX", "a big-endian RIFF file"),
        (b"\x30\x26\xb2\x75", "Windows Media"),
    ];
    if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return format!("it looks like {name}");
    }
    let start = &bytes[..bytes.len().min(512)];
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        return "it looks like an HTML page".into();
    }
    if start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) {
        return "it looks like text".into();
    }
    format!("it starts with the bytes \"{}\"", start[..start.len().min(8)].escape_ascii())
}
