//! MPEG audio of layers I, II and III, of MPEG-1, 2 and 2.5, by `nanomp3-core`: minimp3 in safe Rust.
//!
//! It has tables of its own and no kernel that hangs on the processor, so the samples have the same bits everywhere.
//! `docs/decisions/0023-decoders.md` has the reasons and the figures.

use nanomp3_core::{DecodeError, Decoder, MAX_SAMPLES_PER_FRAME};
use symphonia::core::{
    audio::{
        AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef, Position,
    },
    codecs::{
        CodecInfo,
        audio::{
            AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
            well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3},
        },
        registry::{RegisterableAudioDecoder, SupportedAudioCodec},
    },
    errors::{Error, Result},
    packet::PacketRef,
};

use super::containers::{frame_length, has_mixed_blocks_of_8_khz};

const CODECS: &[SupportedAudioCodec] = &[
    SupportedAudioCodec {
        id: CODEC_ID_MP1,
        info: CodecInfo { short_name: "mp1", long_name: "MPEG Audio Layer 1", profiles: &[] },
    },
    SupportedAudioCodec {
        id: CODEC_ID_MP2,
        info: CodecInfo { short_name: "mp2", long_name: "MPEG Audio Layer 2", profiles: &[] },
    },
    SupportedAudioCodec {
        id: CODEC_ID_MP3,
        info: CodecInfo { short_name: "mp3", long_name: "MPEG Audio Layer 3", profiles: &[] },
    },
];

/// Decodes packets of a frame each.
pub(super) struct Mp3Decoder {
    params: AudioCodecParameters,
    decoder: Decoder,
    interleaved: Box<[f32; MAX_SAMPLES_PER_FRAME]>,
    buffer: AudioBuffer<f32>,
}

impl Mp3Decoder {
    /// A decoder for the stream that `params` describe; rate and channels are those of the frames.
    pub(super) fn new(params: &AudioCodecParameters) -> Self {
        let rate = params.sample_rate.unwrap_or(44_100);
        Self {
            params: params.clone(),
            decoder: Decoder::new(),
            interleaved: Box::new([0.0; MAX_SAMPLES_PER_FRAME]),
            buffer: buffer(rate, positions(params.channels.as_ref().map_or(2, Channels::count))),
        }
    }
}

fn positions(channels: usize) -> Channels {
    let left = Position::FRONT_LEFT;
    Channels::Positioned(if channels == 1 { left } else { left | Position::FRONT_RIGHT })
}

/// Room for the samples of a frame.
fn buffer(rate: u32, channels: Channels) -> AudioBuffer<f32> {
    AudioBuffer::new(AudioSpec::new(rate, channels), MAX_SAMPLES_PER_FRAME / 2)
}

impl AudioDecoder for Mp3Decoder {
    fn reset(&mut self) {
        self.decoder = Decoder::new();
    }

    fn codec_info(&self) -> &CodecInfo {
        &CODECS.iter().find(|codec| codec.id == self.params.codec).unwrap_or(&CODECS[2]).info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        // The decoder takes a single frame for one where nothing stands behind it.
        let frame = frame_length(packet.data).and_then(|length| packet.data.get(..length)).unwrap_or(packet.data);
        if has_mixed_blocks_of_8_khz(frame) {
            return Err(Error::DecodeError("mpa: it has mixed blocks at 8 kHz"));
        }
        let info = match self.decoder.decode(frame, &mut self.interleaved[..]).1 {
            Ok(info) => info,
            Err(DecodeError::ReservoirUnavailable(_)) => {
                return Err(Error::DecodeError("mpa: it refers to a frame that is not there"));
            }
            Err(_) => return Err(Error::DecodeError("mpa: the frame is damaged")),
        };
        let channels = usize::from(info.channels.num());
        let spec = self.buffer.spec();
        if (spec.rate(), spec.channels().count()) != (info.sample_rate, channels) {
            self.buffer = buffer(info.sample_rate, positions(channels));
        }
        self.buffer.render_uninit(Some(info.samples_produced));
        let interleaved = &self.interleaved[..info.samples_produced * channels];
        self.buffer.copy_from_slice_interleaved(&interleaved);
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

impl RegisterableAudioDecoder for Mp3Decoder {
    fn try_registry_new(params: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(params)))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        CODECS
    }
}
