//! The audio of a file apart from its tags: the packets that its container holds, and a digest of them.
//!
//! Packets are taken out by Symphonia, which writes no tags, so that it also tells whether the program that wrote some left all else
//! as it was.

use std::{
    fmt,
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest as _, Sha256};
use symphonia::{
    core::{
        codecs::CodecParameters,
        common::Limit,
        errors::Error as Cause,
        formats::{
            FormatId, FormatOptions, FormatReader,
            probe::Hint,
            well_known::{
                FORMAT_ID_ADTS, FORMAT_ID_AIFF, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP1, FORMAT_ID_MP2,
                FORMAT_ID_MP3, FORMAT_ID_OGG, FORMAT_ID_WAVE,
            },
        },
        io::{MediaSource, MediaSourceStream, ReadOnlySource},
        meta::{MetadataOptions, RawTag, RawValue, StandardTag},
    },
    default::get_probe,
};

/// A digest of the audio of a file: SHA-256 of its packets with their times, and of what a decoder is told. Tags do not change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AudioDigest([u8; 32]);

/// A container whose packets are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Adts,
    Aiff,
    Flac,
    Mp4,
    Mpeg,
    Ogg,
    Wav,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Payload {
    pub(super) container: Container,
    /// Logical streams: in Ogg there may be several, beside or behind one another.
    pub(super) streams: usize,
    pub(super) audio: AudioDigest,
    /// What its tags say, as far as Symphonia reads them, in an order of their own.
    pub(super) tags: Vec<TagText>,
}

/// A tag: its key in the file, and what it holds, written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TagText {
    pub(super) key: String,
    /// The name that the file gives to a field of somebody's own.
    pub(super) name: Option<String>,
    pub(super) is_genre: bool,
    value: String,
}

/// What the genre is called in ID3v2, ID3v2.2, MP4, RIFF and Vorbis comments.
const GENRE_KEYS: [&str; 6] = ["TCON", "TCO", "\u{a9}gen", "gnre", "IGNR", "GENRE"];

impl AudioDigest {
    /// Of the audio file whose bytes these are: of its packets or, where it is of a container whose packets are not known, of the bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        read(|| Ok(Cursor::new(bytes))).map_or_else(|_| Self(Sha256::digest(bytes).into()), |found| found.audio)
    }

    /// The same of the audio file at `path`, which is not held in memory. `progress` is called with the bytes of each step.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of_file(path: &Path, progress: impl Fn(u64) + Send + Sync) -> io::Result<Self> {
        let (seen, progress) = (AtomicU64::new(0), &progress);
        let open = || File::open(path).map(|file| Watched { file, seen: &seen, progress });
        if let Ok(found) = read(open) {
            return Ok(found.audio);
        }
        let (mut file, mut digest, mut block) = (open()?, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut block)? {
                0 => return Ok(Self(digest.finalize().into())),
                read => digest.update(&block[..read]),
            }
        }
    }

    /// From 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() || !text.is_ascii() {
            return None;
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for AudioDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AudioDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file that tells how far it was read for the first time.
struct Watched<'a, P> {
    file: File,
    /// The furthest byte that was read.
    seen: &'a AtomicU64,
    progress: &'a P,
}

impl<P: Fn(u64)> Read for Watched<'_, P> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        let here = self.file.stream_position()?;
        let before = self.seen.fetch_max(here, Ordering::Relaxed);
        (self.progress)(here.saturating_sub(before));
        Ok(read)
    }
}

impl<P> Seek for Watched<'_, P> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl<P: Fn(u64) + Send + Sync> MediaSource for Watched<'_, P> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        self.file.metadata().ok().map(|metadata| metadata.len())
    }
}

impl Container {
    fn of(format: FormatId) -> Option<Self> {
        Some(match format {
            FORMAT_ID_ADTS => Self::Adts,
            FORMAT_ID_AIFF => Self::Aiff,
            FORMAT_ID_FLAC => Self::Flac,
            FORMAT_ID_ISOMP4 => Self::Mp4,
            FORMAT_ID_MP1 | FORMAT_ID_MP2 | FORMAT_ID_MP3 => Self::Mpeg,
            FORMAT_ID_OGG => Self::Ogg,
            FORMAT_ID_WAVE => Self::Wav,
            _ => return None,
        })
    }
}

/// Takes apart the file that `open` opens.
///
/// # Errors
/// What is wrong with it, or that it is of no [`Container`].
pub(super) fn read<S: MediaSource>(open: impl Fn() -> io::Result<S>) -> Result<Payload, String> {
    let open = || open().map_err(|error| error.to_string());
    let mut reader = probe(Box::new(open()?))?;
    let info = reader.format_info();
    let container = Container::of(info.format).ok_or_else(|| format!("the container is {}", info.long_name))?;
    let (mut streams, mut tags) = (0, Vec::new());
    collect_tags(&mut *reader, &mut tags);
    if matches!(container, Container::Mpeg | Container::Adts | Container::Flac) {
        // Where it can seek, Symphonia estimates the length of an MP3 from its first frames and ends there.
        reader = probe(Box::new(ReadOnlySource::new(open()?)))?;
    }
    let mut digest = Sha256::new();
    describe(&*reader, &mut digest, &mut streams);
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                let head = [
                    u64::from(packet.track_id),
                    packet.pts.get().cast_unsigned(),
                    packet.dur.get(),
                    packet.trim_start.get(),
                    packet.trim_end.get(),
                    packet.data.len() as u64,
                ];
                head.iter().for_each(|number| digest.update(number.to_le_bytes()));
                digest.update(&packet.data);
            }
            Ok(None) => break,
            // One Ogg stream behind another.
            Err(Cause::ResetRequired) => describe(&*reader, &mut digest, &mut streams),
            Err(cause) => return Err(cause.to_string()),
        }
    }
    // Those behind the audio are known by now.
    collect_tags(&mut *reader, &mut tags);
    tags.sort();
    tags.dedup();
    Ok(Payload { container, streams, audio: AudioDigest(digest.finalize().into()), tags })
}

fn probe<'s>(source: Box<dyn MediaSource + 's>) -> Result<Box<dyn FormatReader + 's>, String> {
    let stream = MediaSourceStream::new(source, Default::default());
    // A tag that is left out for its size would be missed.
    let options = MetadataOptions::default().limit_tag_bytes(Limit::None).limit_visual_bytes(Limit::None);
    let reader = get_probe().probe(&Hint::new(), stream, FormatOptions::default(), options);
    reader.map_err(|cause| cause.to_string())
}

/// What a decoder is told of each track.
fn describe(reader: &dyn FormatReader, digest: &mut Sha256, streams: &mut usize) {
    for track in reader.tracks() {
        *streams += 1;
        digest.update(format!(
            "{} {:?} {:?} {:?} {:?}\n",
            track.id, track.num_frames, track.delay, track.padding, track.start_ts
        ));
        if let Some(CodecParameters::Audio(codec)) = &track.codec_params {
            digest.update(format!(
                "{} {:?} {:?} {:?} {:?}\n",
                codec.codec, codec.sample_rate, codec.channels, codec.bits_per_sample, codec.extra_data
            ));
        }
    }
}

fn collect_tags(reader: &mut dyn FormatReader, tags: &mut Vec<TagText>) {
    let mut metadata = reader.metadata();
    loop {
        if let Some(revision) = metadata.current() {
            let of_tracks = revision.per_track.iter().map(|track| &track.metadata);
            for held in std::iter::once(&revision.media).chain(of_tracks) {
                tags.extend(held.tags.iter().filter_map(|tag| {
                    let is_genre = matches!(tag.std, Some(StandardTag::Genre(_)))
                        // Of several genres in one tag Symphonia makes none.
                        || GENRE_KEYS.iter().any(|key| tag.raw.key.eq_ignore_ascii_case(key));
                    TagText::of(&tag.raw, is_genre)
                }));
                tags.extend(held.visuals.iter().map(|image| TagText {
                    key: "a picture".to_owned(),
                    name: None,
                    is_genre: false,
                    value: format!("{:?} {:?} {:?}", image.usage, image.media_type, Sha256::digest(&image.data)),
                }));
            }
        }
        if metadata.pop().is_none() {
            break;
        }
    }
}

impl TagText {
    /// Nothing, if it holds nothing.
    fn of(tag: &RawTag, is_genre: bool) -> Option<Self> {
        let is_empty = |value: &RawValue| match value {
            RawValue::String(text) => text.is_empty(),
            RawValue::StringList(texts) => texts.iter().all(String::is_empty),
            // A count of 0 may be left out.
            RawValue::UnsignedInt(number) => *number == 0,
            _ => false,
        };
        let parts = tag.sub_fields.iter().flatten().filter(|part| !is_empty(&part.value));
        let parts: Vec<String> = parts.map(|part| format!("{} {:?}", part.field, part.value)).collect();
        if is_empty(&tag.value) && parts.is_empty() {
            return None;
        }
        // ID3's `TXXX` has it in a part of its own, MP4 behind the last colon, Vorbis comments as the key.
        let described = tag.sub_fields.iter().flatten().find(|part| part.field == "DESCRIPTION");
        let name = match described.map(|part| &part.value) {
            Some(RawValue::String(text)) => Some(text.to_string()),
            _ => tag.key.rsplit(':').next().map(str::to_owned),
        };
        Some(Self { key: tag.key.clone(), name, is_genre, value: format!("{:?} {}", tag.value, parts.join(", ")) })
    }
}
