//! Bytes of an audio file → [`Clip`]: WAV, AU, FLAC, MP3, OGG, AIFF, M4A and ADTS.
//!
//! What a file is, is told by its content. It is mixed to mono packet by packet, so memory is bounded by [`Limits`] and
//! never by what a header announces. Hostile input gives an [`Error`], never a panic.

mod aac;
mod opus;
mod pcm;
mod sink;
mod sniff;
mod symphonia;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use serde::Serialize;

use crate::{Clip, Error, Result};
use sniff::Container;

/// How much audio is accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest file in bytes.
    pub max_bytes: u64,
    /// Longest audio in seconds, at most two hours. Of a file with more than 192,000 samples a second, as many are decoded as that rate
    /// would have.
    pub max_seconds: f64,
}

impl Default for Limits {
    /// 256 MiB and 15 minutes.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_seconds: 900.0 }
    }
}

/// What a file held.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The mean of its channels at its own sample rate.
    pub clip: Clip,
    /// What was found.
    pub info: AudioInfo,
}

/// The audio of a file as it was found, before the down-mix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AudioInfo {
    /// `wav`, `au`, `flac`, `mp3`, `ogg`, `aiff`, `m4a` or `aac` (frames without a container).
    pub container: &'static str,
    /// The codec, such as `pcm_s16le` or `vorbis`.
    pub codec: &'static str,
    /// Samples a second for each channel, in Hz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: usize,
    /// Length in seconds.
    pub seconds: f64,
    /// Bits of a sample in the file; `None` for a codec whose samples have no fixed width.
    pub bits_per_sample: Option<u32>,
}

/// Decodes the audio file whose content is `bytes`.
///
/// Integer samples are scaled to ±1 as libsndfile does it; the encoder's delay is trimmed from MP3, Vorbis and M4A
/// where the file states it.
///
/// # Errors
/// - [`Error::Empty`] without a byte or without a sample, [`Error::NotAudio`] if no container is recognised,
///   [`Error::Unsupported`] for a codec that is not read;
/// - [`Error::Truncated`] if there is less than the file announces, [`Error::Corrupt`] if it contradicts itself,
///   [`Error::BadSample`] for a NaN, an infinity or a value beyond ±1e10;
/// - [`Error::TooLarge`] and [`Error::TooLong`] by `limits`.
pub fn decode<B: AsRef<[u8]>>(bytes: B, limits: &Limits) -> Result<Decoded> {
    let bytes = bytes.as_ref();
    refuse_too_large(bytes.len() as u64, limits)?;
    match sniff::sniff(bytes)? {
        (Container::Wav, body) => pcm::decode_wav(body, limits),
        (Container::Au, body) => pcm::decode_au(body, limits),
        (container, body) => symphonia::decode(container, body, limits),
    }
}

/// Decodes the audio file at `path`, whatever its name; see [`decode`].
///
/// # Errors
/// Those of [`decode`], and [`Error::Io`] if the file cannot be read.
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Decoded> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let announced = file.metadata().map_err(io)?.len();
    refuse_too_large(announced, limits)?;
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    // One byte more than allowed shows a file that grows, or a device that announces nothing.
    file.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    decode(bytes, limits)
}

/// How much of a file is read to know its container.
const HEAD: u64 = 64 << 10;

/// The container of the audio file at `path`, such as `flac`, whatever its name: by its first 64 KiB, or those behind its ID3 tags.
/// Nothing is decoded.
///
/// # Errors
/// [`Error::Io`], [`Error::Empty`] and [`Error::NotAudio`]; [`Error::Truncated`] for an ID3 tag that is longer than the file.
pub fn container_of_file(path: &Path) -> Result<&'static str> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut start = 0;
    loop {
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        (&mut file).take(HEAD).read_to_end(&mut head).map_err(io)?;
        match sniff::id3_length(&head).map(|tag| start + tag as u64) {
            // A tag with a cover is longer than what was read.
            Some(end) if end < length => start = end,
            _ => return sniff::sniff(&head).map(|(container, _)| container.name()),
        }
    }
}

fn refuse_too_large(bytes: u64, limits: &Limits) -> Result<()> {
    if bytes > limits.max_bytes {
        return Err(Error::TooLarge { bytes, limit: limits.max_bytes });
    }
    Ok(())
}
