//! Bytes of an audio file → [`Clip`]: WAV and its kin, AU, AIFF, VOC, CAF, FLAC, MPEG audio, Ogg, MP4, Matroska and AAC.
//!
//! What a file is, is told by its content, and sizes in headers are compared with what is there: truncated and damaged files are
//! decoded as far as they go, with a [`Warning`] for what is wrong (`docs/formats.md`). The file is read through a window and mixed to mono
//! packet by packet, so memory is bounded by [`Limits`] and never by what a header announces. Hostile input gives an [`Error`],
//! never a panic.

mod aac;
mod codecs;
mod containers;
mod mp3;
mod opus;
mod pcm;
mod pipeline;
mod sink;
mod sniff;
mod source;
pub mod tags;
mod warnings;

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use serde::Serialize;

use crate::{Clip, Error, Result};
use pipeline::Wanted;
use source::Source;
pub use tags::Tags;
use warnings::Log;
pub use warnings::{Warning, WarningKind};

/// How much audio is accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest file in bytes.
    pub max_bytes: u64,
    /// Longest audio in seconds. A whole clip has at most two hours, and of a file with more than 192,000 samples a second as many as that
    /// rate would have; [`stream_file`] has no such bounds.
    pub max_seconds: f64,
}

impl Default for Limits {
    /// 256 MiB and 15 minutes.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_seconds: 900.0 }
    }
}

/// What audio is read from, for [`stream`].
#[derive(Clone, Copy, Debug)]
pub enum AudioInput<'a> {
    /// The file at this path, whatever its name.
    File(&'a Path),
    /// The content of a file.
    Bytes(&'a [u8]),
}

/// What of the audio [`stream`] gives; by default all of it, mixed to mono.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamOptions {
    /// Whether the channels stay apart.
    pub keep_channels: bool,
    /// Seconds after which decoding stops; infinity for the end. A little more is given, for packets are decoded whole.
    pub end_seconds: f64,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { keep_channels: false, end_seconds: f64::INFINITY }
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
    /// `wav`, `w64`, `au`, `aiff`, `voc`, `caf`, `flac`, `ogg`, `m4a`, `matroska`, `webm`, or frames without a container: `mp1`, `mp2`, `mp3`, `aac`.
    pub container: &'static str,
    /// The codec, such as `pcm_s16le` or `vorbis`, as FFmpeg names it.
    pub codec: &'static str,
    /// Samples a second for each channel, in Hz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: usize,
    /// Length in seconds.
    pub seconds: f64,
    /// Bits of a sample in the file; `None` for a codec whose samples have no fixed width.
    pub bits_per_sample: Option<u32>,
    /// What is wrong with the file; one for each kind.
    pub warnings: Vec<Warning>,
    /// What its tags say.
    pub tags: Tags,
}

/// Decodes the audio file whose content is `bytes`.
///
/// Integer samples are scaled to ±1 as libsndfile does it; what the encoder added at both ends is left out where the file states it.
/// Where the rate or the number of channels changes, what follows is converted to the first rate.
///
/// # Errors
/// - [`Error::Empty`] without a byte or without a sample, [`Error::NotAudio`] if no container is recognised,
///   [`Error::Unsupported`] for a codec that is not read;
/// - [`Error::Truncated`] and [`Error::Corrupt`] if nothing can be decoded, if less than 2 s are left of a file of which a part is missing, or
///   if more of it is damaged than not; [`Error::BadSample`] for a NaN, an infinity or a value beyond ±1e10;
/// - [`Error::Silent`] for half a second or more of silence or a constant;
/// - [`Error::TooLarge`] and [`Error::TooLong`] by `limits`.
pub fn decode<B: AsRef<[u8]>>(bytes: B, limits: &Limits) -> Result<Decoded> {
    let bytes = bytes.as_ref();
    refuse_too_large(bytes.len() as u64, limits)?;
    let mut decoded = collect(|| Source::new(Cursor::new(bytes), Path::new("")), limits)?;
    decoded.info.tags = tags::tags(bytes);
    Ok(decoded)
}

/// Decodes the audio file at `path`, whatever its name; see [`decode`].
///
/// # Errors
/// Those of [`decode`], and [`Error::Io`] if the file cannot be read.
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Decoded> {
    match whole_of_pipe(path, limits)? {
        Some(bytes) => decode(bytes, limits),
        None => {
            let mut decoded = collect(|| open(path, limits), limits)?;
            decoded.info.tags = tags::read_tags(path);
            Ok(decoded)
        }
    }
}

/// Decodes the audio file at `path` piece by piece: `push` is given mono samples (full scale ±1) and their rate in Hz, which stays the
/// same, once for each piece and in order.
///
/// Memory is bounded, however long the file is: some megabytes, and the table of contents of an MP4. Only where the channels of the
/// first seconds cancel each other out is the file decoded once before, to know whether they do so all along; so `push` never has to
/// begin anew. The pieces together are what [`decode_file`] gives.
///
/// # Errors
/// Those of [`decode_file`] and of `push`. [`Error::Silent`], and those of a file of which too little is left, come at the end, after the
/// pieces.
pub fn stream_file(path: &Path, limits: &Limits, push: &mut dyn FnMut(&[f32], u32) -> Result<()>) -> Result<AudioInfo> {
    let mut push = |samples: &[f32], sample_rate: u32, _: usize| push(samples, sample_rate);
    match whole_of_pipe(path, limits)? {
        Some(bytes) => {
            let mut info = stream(AudioInput::Bytes(&bytes), &StreamOptions::default(), limits, &mut push)?;
            info.tags = tags::tags(&bytes);
            Ok(info)
        }
        None => {
            let mut info = stream(AudioInput::File(path), &StreamOptions::default(), limits, &mut push)?;
            info.tags = tags::read_tags(path);
            Ok(info)
        }
    }
}

/// Takes interleaved samples, their rate in Hz and their number of channels; see [`stream`].
pub type Push<'a> = dyn FnMut(&[f32], u32, usize) -> Result<()> + 'a;

/// Decodes `input`, or the part of it that `options` say, piece by piece: `push` is given interleaved samples (full scale ±1), their rate
/// in Hz and their number of channels (1, unless channels are kept), which stay the same, once for each piece and in order.
///
/// As [`stream_file`], but that tags are not read. Of a part, what is said of warnings, of channels that cancel each other out and of
/// silence is said of that part.
///
/// # Errors
/// Those of [`stream_file`]; [`Error::Unsupported`] where channels are kept and their number, or the sample rate, changes.
pub fn stream(
    input: AudioInput<'_>,
    options: &StreamOptions,
    limits: &Limits,
    push: &mut Push<'_>,
) -> Result<AudioInfo> {
    let wanted = Wanted { is_stream: true, options: *options };
    match input {
        AudioInput::Bytes(bytes) => {
            refuse_too_large(bytes.len() as u64, limits)?;
            pipeline::run(|| Source::new(Cursor::new(bytes), Path::new("")), limits, wanted, push)
        }
        AudioInput::File(path) => match whole_of_pipe(path, limits)? {
            Some(bytes) => pipeline::run(|| Source::new(Cursor::new(bytes.as_slice()), path), limits, wanted, push),
            None => pipeline::run(|| open(path, limits), limits, wanted, push),
        },
    }
}

fn collect<'a>(open: impl FnMut() -> Result<Source<'a>>, limits: &Limits) -> Result<Decoded> {
    let mut samples = Vec::new();
    let wanted = Wanted { is_stream: false, options: StreamOptions::default() };
    let info = pipeline::run(open, limits, wanted, &mut |piece, _, _| {
        samples.extend_from_slice(piece);
        Ok(())
    })?;
    let clip = Clip::new(samples, info.sample_rate)?;
    Ok(Decoded { clip, info })
}

/// The bytes of what is no file that can be read twice: a pipe or a device. `None` for a file.
fn whole_of_pipe(path: &Path, limits: &Limits) -> Result<Option<Vec<u8>>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_file() && metadata.len() > 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    File::open(path).map_err(io)?.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    refuse_too_large(bytes.len() as u64, limits)?;
    Ok(Some(bytes))
}

fn open(path: &Path, limits: &Limits) -> Result<Source<'static>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let source = Source::new(File::open(path).map_err(io)?, path)?;
    refuse_too_large(source.end(), limits)?;
    Ok(source)
}

/// The container of the audio file at `path`, such as `flac`, whatever its name: by its beginning, or what stands behind its tags.
/// Nothing is decoded.
///
/// # Errors
/// [`Error::Io`], [`Error::Empty`], [`Error::NotAudio`] and [`Error::Unsupported`].
pub fn container_of_file(path: &Path) -> Result<&'static str> {
    let mut source = open(path, &Limits { max_bytes: u64::MAX, ..Limits::default() })?;
    sniff::sniff(&mut source, &mut Log::default()).map(sniff::Container::name)
}

fn refuse_too_large(bytes: u64, limits: &Limits) -> Result<()> {
    if bytes > limits.max_bytes {
        return Err(Error::TooLarge { bytes, limit: limits.max_bytes });
    }
    Ok(())
}
