//! The decoders of packets, and the codecs that are known but not read.
//!
//! Symphonia's SIMD features are off: they would choose a transform by CPU. Its lossless codecs are exact. AAC and Vorbis make
//! tables by the `sin`, `cos` and `powf` of the platform's C library, which may choose a kernel by CPU: the samples were found equal
//! with glibc's FMA, AVX2 and AVX-512 kernels on and off (50 files and 30 s of audio in each codec), but another C library may
//! differ in a last bit.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use symphonia::core::{
    codecs::{
        audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::*},
        registry::CodecRegistry,
    },
    errors::Error as Cause,
    packet::PacketRef,
    units::{Duration, Timestamp},
};

use super::{
    aac::AacDecoder,
    containers::is_beyond_32_bits,
    mp3::Mp3Decoder,
    opus::OpusDecoder,
    pcm::{Encoding, Endian},
};
use crate::{Error, Result};

/// Every decoder of packets that there is.
fn codecs() -> &'static CodecRegistry {
    static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        // In the place of symphonia's own, which it uses for what that can.
        registry.register_audio_decoder::<AacDecoder>();
        registry.register_audio_decoder::<Mp3Decoder>();
        registry.register_audio_decoder::<OpusDecoder>();
        registry
    });
    &CODECS
}

/// How audio is coded.
#[derive(Clone, Debug)]
pub(super) enum Coding {
    /// Samples one after another.
    Pcm(Encoding, Endian),
    /// Packets of a codec.
    Packets(Box<AudioCodecParameters>),
}

/// A track of audio, or a part of it that has headers of its own.
#[derive(Clone, Debug)]
pub(super) struct Format {
    /// The codec's name as FFmpeg has it.
    pub(super) codec: &'static str,
    /// Hz; 0 if only the packets say it.
    pub(super) sample_rate: u32,
    /// Channels; 0 if only the packets say it.
    pub(super) channels: usize,
    /// Bits of a sample; `None` for a codec whose samples have no fixed width.
    pub(super) bits: Option<u32>,
    pub(super) coding: Coding,
    /// Frames to leave out at the start.
    pub(super) delay: u64,
    /// Frames to keep after those; `None` for all.
    pub(super) length: Option<u64>,
}

impl Format {
    /// Samples of `encoding` one after another.
    pub(super) fn pcm(encoding: Encoding, endian: Endian, sample_rate: u32, channels: usize) -> Self {
        Self {
            codec: encoding.codec(endian),
            sample_rate,
            channels,
            bits: Some(encoding.bits()),
            coding: Coding::Pcm(encoding, endian),
            delay: 0,
            length: None,
        }
    }

    /// Packets of the codec `id`; `set` completes what the decoder is to know.
    pub(super) fn packets(
        id: AudioCodecId,
        sample_rate: u32,
        channels: usize,
        set: impl FnOnce(&mut AudioCodecParameters),
    ) -> Self {
        let mut params = AudioCodecParameters::new();
        params.for_codec(id);
        if sample_rate > 0 {
            params.with_sample_rate(sample_rate);
        }
        if let Some(channels) = channel_layout(channels) {
            params.with_channels(channels);
        }
        set(&mut params);
        let codec = codec_name(id);
        Self {
            codec,
            sample_rate,
            channels,
            bits: params.bits_per_sample,
            coding: Coding::Packets(Box::new(params)),
            delay: 0,
            length: None,
        }
    }
}

/// `n` channels in the order of WAVE; `None` for 0 and for more than symphonia has places for.
fn channel_layout(n: usize) -> Option<symphonia::core::audio::Channels> {
    use symphonia::core::audio::{Channels, Position};
    match n {
        // Every codec that is read with one channel calls it the left one.
        1..=18 => Position::from_count(n as u32).map(Channels::Positioned),
        0 => None,
        _ => u16::try_from(n).ok().map(Channels::Discrete),
    }
}

/// The name of a codec as FFmpeg has it.
fn codec_name(id: AudioCodecId) -> &'static str {
    match id {
        CODEC_ID_MP1 => "mp1",
        CODEC_ID_MP2 => "mp2",
        CODEC_ID_MP3 => "mp3",
        CODEC_ID_AAC => "aac",
        CODEC_ID_ALAC => "alac",
        CODEC_ID_FLAC => "flac",
        CODEC_ID_VORBIS => "vorbis",
        CODEC_ID_OPUS => "opus",
        CODEC_ID_ADPCM_MS => "adpcm_ms",
        CODEC_ID_ADPCM_IMA_WAV => "adpcm_ima_wav",
        CODEC_ID_ADPCM_IMA_QT => "adpcm_ima_qt",
        _ => "unknown",
    }
}

/// A decoder of packets, and its output.
pub(super) struct PacketDecoder {
    container: &'static str,
    params: AudioCodecParameters,
    decoder: Box<dyn AudioDecoder>,
    interleaved: Vec<f32>,
}

/// Why a packet was not decoded.
pub(super) enum Undecoded {
    /// The packet is damaged, or refers to one that is not there.
    Packet(String),
    /// No packet can be decoded.
    Codec(Error),
}

impl PacketDecoder {
    pub(super) fn new(container: &'static str, params: &AudioCodecParameters) -> Result<Self> {
        let decoder = make(container, params)?;
        Ok(Self { container, params: params.clone(), decoder, interleaved: Vec::new() })
    }

    /// Forgets what came before.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
    }

    /// The interleaved samples of a packet of `frames` frames, with their rate and channels.
    pub(super) fn decode(&mut self, data: &[u8], frames: u64) -> Result<(u32, usize, &[f32]), Undecoded> {
        if self.params.codec == CODEC_ID_FLAC && is_beyond_32_bits(data, self.bits()) {
            let detail = "flac of 32 bits with joint stereo".to_owned();
            return Err(Undecoded::Codec(Error::Unsupported { container: self.container, detail }));
        }
        let packet = PacketRef::new(0, Timestamp::new(0), Duration::new(frames), data);
        let Self { decoder, interleaved, .. } = self;
        // Decoders of other crates index and subtract by what damaged packets say, and a panic of one must not end a server. This
        // is the one place where they are called with the bytes of a file.
        let result = catch_unwind(AssertUnwindSafe(|| {
            decoder.decode_ref(&packet).map(|buffer| {
                buffer.copy_to_vec_interleaved::<f32>(interleaved);
                (buffer.spec().rate(), buffer.spec().channels().count())
            })
        }));
        match result {
            Ok(Ok((rate, channels))) => Ok((rate, channels, &self.interleaved)),
            Ok(Err(Cause::Unsupported(detail))) => {
                Err(Undecoded::Codec(Error::Unsupported { container: self.container, detail: detail.to_owned() }))
            }
            Ok(Err(cause)) => Err(Undecoded::Packet(cause.to_string())),
            Err(_) => {
                // What the decoder holds may be half changed.
                self.decoder = make(self.container, &self.params).map_err(Undecoded::Codec)?;
                Err(Undecoded::Packet("its decoder failed".into()))
            }
        }
    }

    /// Bits of a sample, where only the decoder knows them.
    pub(super) fn bits(&self) -> Option<u32> {
        self.decoder.codec_params().bits_per_sample
    }
}

fn make(container: &'static str, params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>> {
    let unreadable = |detail: String| Error::Unsupported { container, detail };
    let made = catch_unwind(AssertUnwindSafe(|| codecs().make_audio_decoder(params, &AudioDecoderOptions::default())));
    match made {
        Ok(Ok(decoder)) => Ok(decoder),
        Ok(Err(Cause::Unsupported(detail))) => Err(unreadable(match codec_name(params.codec) {
            "unknown" => detail.to_owned(),
            name => format!("{name}: {detail}"),
        })),
        Ok(Err(cause)) => Err(Error::Corrupt { container, detail: format!("its codec's header: {cause}") }),
        Err(_) => Err(Error::Corrupt { container, detail: "its codec's header cannot be read".into() }),
    }
}
