//! FLAC, MP3, OGG, AIFF, M4A, AAC and ADPCM in WAV, by symphonia.
//!
//! The reader is chosen by our own [`sniff`](super::sniff), so that symphonia never searches a file for something that it
//! knows. Its SIMD features are off: they would choose a transform by CPU.
//!
//! Lossless codecs are exact. MP3, AAC and Vorbis make tables by the `sin`, `cos` and `powf` of the platform's C library, which
//! may choose a kernel by CPU: the samples were found equal with glibc's FMA, AVX2 and AVX-512 kernels on and off (50 files and
//! 30 s of audio in each codec), but another C library may differ in a last bit.

use std::io::{Cursor, ErrorKind};

use symphonia::{
    core::{
        codecs::{
            CodecParameters,
            audio::{AudioDecoder, AudioDecoderOptions},
        },
        errors::Error as Cause,
        formats::{FormatOptions, FormatReader, TrackType},
        io::{MediaSource, MediaSourceStream, ReadBytes, ReadOnlySource},
        packet::Packet,
    },
    default::{
        formats::{AdtsReader, AiffReader, FlacReader, IsoMp4Reader, MpaReader, OggReader, WavReader},
        get_codecs,
    },
};

use super::{Decoded, Limits, sink::Sink, sniff::Container};
use crate::{Error, Result};

/// Decodes the first (or the default) audio track of `bytes`, which are of `container`.
pub(super) fn decode(container: Container, bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let stream = Stream::open(container, bytes)?;
    let delay = if container == Container::M4a { encoder_delay(bytes, stream.track.id) } else { 0 };
    stream.decode(bytes.len(), delay, limits)
}

/// A container being read.
struct Stream<'b> {
    container: Container,
    reader: Box<dyn FormatReader + 'b>,
    track: Track,
}

/// The track of it that is decoded.
struct Track {
    id: u32,
    decoder: Box<dyn AudioDecoder>,
    /// Frames that the container announces, gaps trimmed.
    announced: Option<u64>,
}

impl<'b> Stream<'b> {
    fn open(container: Container, bytes: &'b [u8]) -> Result<Self> {
        let source: Box<dyn MediaSource + 'b> = match container {
            // Where it can seek, symphonia estimates the length of an MP3 from its first frames and cuts it off there.
            Container::Flac | Container::Mp3 | Container::Adts => Box::new(ReadOnlySource::new(bytes)),
            _ => Box::new(Cursor::new(bytes)),
        };
        let mut stream = MediaSourceStream::new(source, Default::default());
        let options = FormatOptions::default();
        let reader: Result<Box<dyn FormatReader + 'b>, Cause> = match container {
            Container::Wav => WavReader::try_new(stream, options).map(|r| Box::new(r) as _),
            Container::Flac => FlacReader::try_new(stream, options).map(|r| Box::new(r) as _),
            Container::Mp3 => MpaReader::try_new(stream, options).map(|r| Box::new(r) as _),
            Container::Ogg => OggReader::try_new(stream, options).map(|r| Box::new(r) as _),
            Container::Aiff => AiffReader::try_new(stream, options).map(|r| Box::new(r) as _),
            Container::Adts => AdtsReader::try_new(stream, options).map(|r| Box::new(r) as _),
            // This reader steps back over the four bytes before "ftyp", by which symphonia's own probe finds it.
            Container::M4a => stream
                .read_quad_bytes()
                .map_err(Cause::from)
                .and_then(|_| IsoMp4Reader::try_new(stream, options))
                .map(|r| Box::new(r) as _),
            Container::Au => Err(Cause::Unsupported("au")),
        };
        let reader = reader.map_err(|cause| convert(container, cause))?;
        let track = Track::choose(container, reader.as_ref())?;
        Ok(Self { container, reader, track })
    }

    /// Decodes all of it, and leaves out `delay` frames at the start.
    fn decode(mut self, n_bytes: usize, delay: u64, limits: &Limits) -> Result<Decoded> {
        let container = self.container;
        let corrupt = |detail: String| Error::Corrupt { container: container.name(), detail };
        let (mut sink, mut interleaved) = (None::<Sink>, Vec::new());
        let (mut n_packets, mut n_failed) = (0, 0);
        while let Some(packet) = self.next_packet()? {
            n_packets += 1;
            // Every packet takes bytes of the file, except in a table of empty ones made to keep us busy.
            if n_packets > n_bytes {
                return Err(corrupt(format!("it has more packets than bytes ({n_bytes})")));
            }
            let buffer = match self.track.decoder.decode(&packet) {
                Ok(buffer) => buffer,
                // The first frames of a cut stream refer to frames that are gone; a player skips what it cannot read.
                Err(Cause::DecodeError(_) | Cause::IoError(_)) if container.tolerates_loss() => {
                    n_failed += 1;
                    continue;
                }
                Err(cause) => return Err(convert(container, cause)),
            };
            let (sample_rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
            let sink = match &mut sink {
                Some(sink) => sink,
                None => {
                    let mut new = Sink::new(container.name(), sample_rate, channels, limits)?;
                    new.announce(self.track.announced.unwrap_or(0))?;
                    sink.insert(new)
                }
            };
            if (sample_rate, channels) != (sink.sample_rate(), sink.channels()) {
                let (rate, n) = (sink.sample_rate(), sink.channels());
                return Err(corrupt(format!(
                    "it changes from {rate} Hz and {n} channels to {sample_rate} Hz and {channels} after {} samples",
                    sink.frames()
                )));
            }
            // A FLAC frame with a wrong checksum is passed over without a word: the position shows it.
            if container == Container::Flac && packet.pts.get() != sink.frames() as i64 {
                let (found, expected) = (packet.pts.get(), sink.frames());
                return Err(corrupt(format!(
                    "sample {expected} should follow, but the next intact frame starts at {found}"
                )));
            }
            buffer.copy_to_vec_interleaved::<f32>(&mut interleaved);
            sink.push_interleaved(&interleaved)?;
        }
        if n_failed * 10 > n_packets + 10 {
            return Err(corrupt(format!("{n_failed} of its {n_packets} frames cannot be decoded")));
        }
        let Some(mut sink) = sink else {
            return Err(match self.track.announced {
                Some(announced) if announced > 0 => self.truncated(announced, 0),
                _ if n_failed > 0 => corrupt(format!("none of its {n_packets} frames can be decoded")),
                _ => Error::Empty,
            });
        };
        if let Some(announced) = self.track.announced
            && sink.frames() + container.slack() < announced
        {
            return Err(self.truncated(announced, sink.frames()));
        }
        if container == Container::M4a {
            sink.trim(delay, self.track.announced);
        }
        let codec = self.track.decoder.codec_info().short_name;
        let params = self.track.decoder.codec_params();
        let bits = params.bits_per_sample.or_else(|| match codec {
            "pcm_alaw" | "pcm_mulaw" => Some(8),
            "pcm_f32le" | "pcm_f32be" => Some(32),
            "pcm_f64le" | "pcm_f64be" => Some(64),
            // Byte 5 of Apple's "magic cookie".
            "alac" => params.extra_data.as_ref().and_then(|cookie| cookie.get(5)).map(|&bits| u32::from(bits)),
            _ => None,
        });
        sink.finish(codec, bits)
    }

    /// The next packet of the track, or `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => return Ok(Some(packet)),
                Ok(Some(_)) => (),
                Ok(None) => return Ok(None),
                // One Ogg stream behind another: its own headers, so its own decoder.
                Err(Cause::ResetRequired) => {
                    self.track = Track { announced: None, ..Track::choose(self.container, self.reader.as_ref())? };
                }
                Err(cause) => return Err(convert(self.container, cause)),
            }
        }
    }

    fn truncated(&self, announced: u64, found: u64) -> Error {
        let detail = format!("its header announces {announced} samples for each channel, {found} are there");
        Error::Truncated { container: self.container.name(), detail }
    }
}

impl Track {
    fn choose(container: Container, reader: &dyn FormatReader) -> Result<Self> {
        let unsupported = |detail: &str| Error::Unsupported { container: container.name(), detail: detail.into() };
        let track =
            reader.default_track(TrackType::Audio).ok_or_else(|| unsupported("no audio track that is known"))?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(unsupported("an audio track without a codec"));
        };
        let decoder = get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(|cause| convert(container, cause))?;
        Ok(Self { id: track.id, decoder, announced: track.num_frames })
    }
}

impl Container {
    /// Whether frames are independent and damaged ones are left out, as players do.
    fn tolerates_loss(self) -> bool {
        matches!(self, Self::Mp3 | Self::Adts)
    }

    /// Frames that may be missing at the end of what is announced: the last packet of a lossy codec is often cut, and a
    /// Xing header may count itself.
    fn slack(self) -> u64 {
        match self {
            Self::Mp3 | Self::Adts => 2 * 1152,
            Self::M4a | Self::Ogg => 2048,
            // The last block of ADPCM may be filled up.
            Self::Wav => 4096,
            Self::Flac | Self::Aiff | Self::Au => 0,
        }
    }
}

/// Our error for one of symphonia's.
fn convert(container: Container, cause: Cause) -> Error {
    let container = container.name();
    match cause {
        Cause::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            Error::Truncated { container, detail: "the file ends before its audio does".into() }
        }
        Cause::Unsupported(detail) => Error::Unsupported { container, detail: detail.into() },
        Cause::DecodeError(detail) | Cause::LimitError(detail) => Error::Corrupt { container, detail: detail.into() },
        other => Error::Corrupt { container, detail: other.to_string() },
    }
}

/// Samples to leave out at the start of the MP4 track `track_id` (in ticks of its own clock); 0 if the file does not say so.
///
/// Symphonia reads the edit list of a track, but does not apply it.
/// ISO/IEC 14496-12, 8.6.6: `moov / trak / edts / elst`; the first entry with a media time of 0 or more is where it starts.
fn encoder_delay(bytes: &[u8], track_id: u32) -> u64 {
    let delay_of = |trak: &[u8]| {
        let list = child(child(trak, b"edts")?, b"elst")?;
        let (is_long, entries) = (*list.first()? == 1, list.get(8..)?);
        let media_times = entries.chunks_exact(if is_long { 20 } else { 12 }).map(|entry| match is_long {
            true => entry[8..16].as_array().map_or(-1, |v| i64::from_be_bytes(*v)),
            false => entry[4..8].as_array().map_or(-1, |v| i64::from(i32::from_be_bytes(*v))),
        });
        media_times.map(u64::try_from).find_map(Result::ok)
    };
    let is_wanted = |trak: &&[u8]| {
        let header = child(trak, b"tkhd").unwrap_or_default();
        let at = if header.first() == Some(&1) { 20 } else { 12 };
        header.get(at..at + 4) == Some(&track_id.to_be_bytes())
    };
    let movie = child(bytes, b"moov").unwrap_or_default();
    let track = boxes(movie).filter(|(kind, _)| *kind == b"trak").map(|(_, body)| body).find(is_wanted);
    track.and_then(delay_of).unwrap_or(0)
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
