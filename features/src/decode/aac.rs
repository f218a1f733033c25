//! AAC of every kind. Symphonia decodes plain AAC-LC of one or two channels, as it always has; `rusty_aac` decodes what symphonia lacks:
//! HE-AAC (spectral band replication, SBR, and parametric stereo), more channels, program configurations, AAC Main, LTP and LD.
//!
//! Most files of HE-AAC look like AAC-LC of half the rate: SBR is said behind the configuration, or not at all and found in the packets
//! (ISO/IEC 14496-3, 1.6.5). So both decode the first packets of what looks plain. `docs/decisions/0023-decoders.md` has the reasons.

use rusty_aac::config::{self, StreamConfig, aot};
use symphonia::{
    core::{
        audio::{
            AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef, Position,
        },
        codecs::{
            CodecInfo,
            audio::{
                AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult,
                well_known::{
                    CODEC_ID_AAC,
                    profiles::{CODEC_PROFILE_AAC_LTP, CODEC_PROFILE_AAC_MAIN, CODEC_PROFILE_AAC_SSR},
                },
            },
            registry::{RegisterableAudioDecoder, SupportedAudioCodec},
        },
        errors::{Error, Result},
        packet::PacketRef,
    },
    default::codecs::AacDecoder as PlainDecoder,
};

use crate::clip::are_within;

/// Packets in which SBR may turn up that nothing announces: a fifth of a second. Encoders write it into each packet.
const UNDECIDED: usize = 8;

/// Packets that fail in a row until the decoder starts afresh: a damaged packet may have changed the layout of the channels.
const MAX_FAILURES: usize = 3;

/// A sample beyond is no music, but a damaged packet: 30 dB above full scale.
const LOUDEST: f32 = 32.0;

/// Frames of the longest packet: 1024, doubled by SBR.
const MAX_FRAMES: usize = 2048;

const CODECS: &[SupportedAudioCodec] = &[SupportedAudioCodec {
    id: CODEC_ID_AAC,
    info: CodecInfo { short_name: "aac", long_name: "Advanced Audio Coding", profiles: &[] },
}];

/// Decodes AAC of up to eight channels.
///
/// The rate and the channels of what comes out may be others than the container says: SBR doubles the rate, and one channel that may
/// carry parametric stereo comes as two, as FFmpeg has it.
pub(super) struct AacDecoder {
    params: AudioCodecParameters,
    /// Symphonia's, as long as the stream is plain.
    plain: Option<PlainDecoder>,
    full: FullDecoder,
    /// Packets of a plain stream in which SBR may still turn up.
    undecided: usize,
}

impl AacDecoder {
    /// A decoder for the stream that `params` describe: by the AudioSpecificConfig in the extra data, or without one, as for ADTS, by its
    /// profile, rate and channels (none if a program configuration in the packets says them).
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the name of what is not decoded, [`Error::DecodeError`] for a damaged configuration.
    pub(super) fn try_new(params: &AudioCodecParameters, options: &AudioDecoderOptions) -> Result<Self> {
        if params.codec != CODEC_ID_AAC {
            return Err(Error::Unsupported("another codec"));
        }
        let config = configuration(params)?;
        let is_plain = config.object_type == aot::AAC_LC
            && config.frame_length == 1024
            && !config.sbr
            && config.pce.is_none()
            && matches!(config.channels(), 1 | 2);
        let plain = if is_plain { PlainDecoder::try_new(params, options).ok() } else { None };
        let undecided = if config.sbr_explicitly_absent { 0 } else { UNDECIDED };
        let mut params = params.clone();
        params.with_sample_rate(if config.sbr { config.ext_sample_rate } else { config.sample_rate });
        if let Some(channels) = layout(config.channels()) {
            params.with_channels(channels);
        }
        Ok(Self { params, plain, full: FullDecoder::new(config)?, undecided })
    }

    /// Decodes `packet`; the output is that of [`AudioDecoder::last_decoded`].
    fn decode_packet(&mut self, packet: &PacketRef<'_>) -> Result<()> {
        let Self { plain, full, undecided, .. } = self;
        let mut decoded = None;
        if plain.is_some() && *undecided > 0 {
            let result = full.decode(packet.data);
            match &result {
                Ok(()) if full.decoder.saw_sbr() => *plain = None,
                Ok(()) => *undecided -= 1,
                // What looks like SBR in a damaged packet decides nothing.
                Err(_) => full.reset(),
            }
            decoded = Some(result);
        }
        if let Some(decoder) = plain {
            match decoder.decode_ref(packet) {
                // A program configuration or a coupling channel among the packets.
                Err(Error::Unsupported(_)) => *plain = None,
                result => return result.map(drop),
            }
        }
        decoded.unwrap_or_else(|| full.decode(packet.data))
    }
}

/// What the container says of the stream.
fn configuration(params: &AudioCodecParameters) -> Result<StreamConfig> {
    let config = match params.extra_data.as_deref() {
        Some(bytes) => config::parse(bytes).map_err(|_| match object_type(bytes).and_then(unread) {
            Some(name) => Error::Unsupported(name),
            None => Error::DecodeError("aac: the configuration is damaged"),
        })?,
        None => {
            let object_type = match params.profile {
                Some(CODEC_PROFILE_AAC_MAIN) => aot::AAC_MAIN,
                Some(CODEC_PROFILE_AAC_SSR) => aot::AAC_SSR,
                Some(CODEC_PROFILE_AAC_LTP) => aot::AAC_LTP,
                _ => aot::AAC_LC,
            };
            let rate = params.sample_rate.filter(|&rate| rate > 0).ok_or(Error::DecodeError("aac: no sample rate"))?;
            // Table 1.19. Without channels, the packets say what they are.
            let channels = match params.channels.as_ref().map_or(0, Channels::count) {
                channels @ 1..=6 => channels as u8,
                8 => 7,
                _ => 0,
            };
            StreamConfig::lc(object_type, rate, channels)
        }
    };
    if let Some(name) = unread(config.object_type) {
        return Err(Error::Unsupported(name));
    }
    if config.eld.as_ref().is_some_and(|eld| eld.ld_sbr) {
        return Err(Error::Unsupported("AAC-ELD with spectral band replication"));
    }
    Ok(config)
}

/// The audio object type that an AudioSpecificConfig begins with (ISO/IEC 14496-3, table 1.16).
fn object_type(config: &[u8]) -> Option<u8> {
    match *config.first()? >> 3 {
        31 => Some(32 + (config[0] << 3 & 0x38 | config.get(1)? >> 5)),
        object_type => Some(object_type),
    }
}

/// The name of an audio object type that is not decoded (table 1.17).
fn unread(object_type: u8) -> Option<&'static str> {
    match object_type {
        1 | 2 | 4 | 5 | 17 | 19 | 23 | 29 | 39 => None,
        3 => Some("AAC SSR"),
        6 | 20 => Some("scalable AAC"),
        7 | 21 => Some("TwinVQ"),
        8 | 24 => Some("CELP"),
        9 | 25 => Some("HVXC"),
        22 => Some("BSAC"),
        36 => Some("MPEG-4 ALS"),
        37 | 38 => Some("MPEG-4 SLS"),
        42 => Some("xHE-AAC (USAC)"),
        _ => Some("a kind of MPEG-4 audio that is not AAC"),
    }
}

/// Positions of `channels` channels in the order that `rusty_aac` and FFmpeg give them, which is that of symphonia.
fn layout(channels: usize) -> Option<Channels> {
    const FRONT: Position = Position::FRONT_LEFT.union(Position::FRONT_RIGHT);
    const THREE: Position = FRONT.union(Position::FRONT_CENTER);
    const FIVE: Position = THREE.union(Position::REAR_LEFT).union(Position::REAR_RIGHT);
    const FIVE_ONE: Position = FIVE.union(Position::LFE1);
    Some(Channels::Positioned(match channels {
        1 => Position::FRONT_LEFT,
        2 => FRONT,
        3 => THREE,
        4 => THREE.union(Position::REAR_CENTER),
        5 => FIVE,
        6 => FIVE_ONE,
        7 => FIVE_ONE.union(Position::REAR_CENTER),
        8 => FIVE_ONE.union(Position::SIDE_LEFT).union(Position::SIDE_RIGHT),
        _ => return None,
    }))
}

/// `rusty_aac` with a buffer of symphonia's.
struct FullDecoder {
    config: StreamConfig,
    decoder: rusty_aac::decode::Decoder,
    /// Packets in a row that could not be decoded.
    failures: usize,
    buffer: AudioBuffer<f32>,
}

impl FullDecoder {
    fn new(config: StreamConfig) -> Result<Self> {
        let decoder = rusty_aac::decode::Decoder::with_stream_config(config.clone())
            .map_err(|_| Error::Unsupported("error resilience, or a layout of channels that is not known"))?;
        // In case nothing is decoded, for there is no buffer without a channel.
        let channels = layout(config.channels().max(1)).ok_or(Error::Unsupported("more than 8 channels"))?;
        let buffer = AudioBuffer::new(AudioSpec::new(config.sample_rate, channels), MAX_FRAMES);
        Ok(Self { config, decoder, failures: 0, buffer })
    }

    fn decode(&mut self, data: &[u8]) -> Result<()> {
        self.buffer.clear();
        let damaged = || Error::DecodeError("aac: the packet is damaged");
        let audio = match self.decoder.decode(data, None) {
            Ok(audio) => audio,
            // No channels are known yet.
            Err(rusty_aac::Error::Again) => return Ok(()),
            Err(_) => {
                self.failures += 1;
                if self.failures.is_multiple_of(MAX_FAILURES) {
                    self.reset();
                }
                return Err(damaged());
            }
        };
        self.failures = 0;
        let channels = usize::from(audio.channels);
        let is_sound = are_within(&audio.samples, LOUDEST);
        let Some(positions) = layout(channels).filter(|_| is_sound && audio.frames() <= MAX_FRAMES) else {
            // What is heard beyond the packet's end would be as wrong.
            self.reset();
            return Err(damaged());
        };
        if (self.buffer.spec().rate(), self.buffer.spec().channels()) != (audio.sample_rate, &positions) {
            self.buffer = AudioBuffer::new(AudioSpec::new(audio.sample_rate, positions), MAX_FRAMES);
        }
        self.buffer.render_uninit(Some(audio.frames()));
        self.buffer.copy_from_slice_interleaved(&audio.samples);
        Ok(())
    }

    fn reset(&mut self) {
        // It was made of this configuration before.
        if let Ok(decoder) = rusty_aac::decode::Decoder::with_stream_config(self.config.clone()) {
            self.decoder = decoder;
        }
    }
}

impl AudioDecoder for AacDecoder {
    fn reset(&mut self) {
        if let Some(plain) = &mut self.plain {
            plain.reset();
        }
        self.full.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &CODECS[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.decode_packet(packet)?;
        Ok(self.last_decoded())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        match &self.plain {
            Some(plain) => plain.last_decoded(),
            None => self.full.buffer.as_generic_audio_buffer_ref(),
        }
    }
}

impl RegisterableAudioDecoder for AacDecoder {
    fn try_registry_new(params: &AudioCodecParameters, options: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::try_new(params, options)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        CODECS
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;
    use symphonia::core::units::{Duration, Timestamp};

    use super::*;

    fn read(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/aac").join(name)).unwrap()
    }

    /// The configuration of a file of `tests/fixtures/aac`, and its packets.
    fn fixture(name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (file, mut parts) = (read(&format!("{name}.packets")), Vec::new());
        let mut rest = &file[..];
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (part, behind) = behind.split_at(usize::from(u16::from_le_bytes(*length)));
            parts.push(part.to_vec());
            rest = behind;
        }
        (parts.remove(0), parts)
    }

    fn decoder(config: &[u8]) -> Result<AacDecoder> {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_AAC).with_extra_data(config.into());
        AacDecoder::try_new(&params, &AudioDecoderOptions::default())
    }

    /// Rate, channels and interleaved samples of a packet.
    fn decode(decoder: &mut dyn AudioDecoder, data: &[u8]) -> Result<(u32, usize, Vec<f32>)> {
        let packet = PacketRef::new(0, Timestamp::new(0), Duration::new(1024), data);
        let buffer = decoder.decode_ref(&packet)?;
        let mut samples = Vec::new();
        buffer.copy_to_vec_interleaved(&mut samples);
        Ok((buffer.spec().rate(), buffer.spec().channels().count(), samples))
    }

    /// All that a decoder makes of `packets`, of which none fails or changes the format.
    fn decode_all(decoder: &mut dyn AudioDecoder, packets: &[Vec<u8>]) -> (u32, usize, Vec<f32>) {
        let mut all = Vec::new();
        let mut format = None;
        for packet in packets {
            let (rate, channels, samples) = decode(decoder, packet).unwrap();
            assert_eq!(*format.get_or_insert((rate, channels)), (rate, channels));
            all.extend(samples);
        }
        let (rate, channels) = format.unwrap();
        (rate, channels, all)
    }

    fn distance(found: impl Iterator<Item = f32>, expected: impl Iterator<Item = f32>) -> f64 {
        let (mut signal, mut error) = (0.0, 0.0);
        for (found, expected) in found.zip(expected) {
            signal += f64::from(expected).powi(2);
            error += f64::from(found - expected).powi(2);
        }
        10.0 * (signal / error.max(1e-30)).log10()
    }

    #[test]
    fn every_kind_is_decoded_as_ffmpeg_does() {
        let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).unwrap();
        let manifest = manifest.as_object().unwrap();
        assert!(manifest.len() >= 15);
        for (name, entry) in manifest {
            let (config, packets) = fixture(name);
            let (rate, channels, found) = decode_all(&mut decoder(&config).unwrap(), &packets);
            assert_eq!(u64::from(rate), entry["rate"], "{name}");
            assert_eq!(channels as u64, entry["channels"], "{name}");
            assert_eq!((found.len() / channels) as u64, entry["frames"], "{name}");
            let expected = read(&format!("{name}.f32"));
            let expected = expected.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let found = found.chunks_exact(channels).step_by(16).flatten().copied();
            let snr = distance(found, expected);
            assert!(snr > 90.0, "{name}: {snr:.1} dB from FFmpeg");
        }
    }

    #[test]
    fn plain_streams_are_symphonias_to_the_bit() {
        for name in ["lc_mono", "lc_stereo"] {
            let (config, packets) = fixture(name);
            let mut params = AudioCodecParameters::new();
            params.for_codec(CODEC_ID_AAC).with_extra_data(config.clone().into());
            let mut plain = PlainDecoder::try_new(&params, &AudioDecoderOptions::default()).unwrap();
            assert_eq!(
                decode_all(&mut decoder(&config).unwrap(), &packets),
                decode_all(&mut plain, &packets),
                "{name}"
            );
        }
    }

    #[test]
    fn without_a_configuration_the_rate_and_the_channels_do() {
        // As for ADTS: the rate is the core's.
        for (name, rate, channels) in [
            ("he_v2_implicit", 24_000, Some(1)),
            ("he_stereo_implicit", 24_000, Some(2)),
            ("lc_6", 44_100, Some(6)),
            ("lc_5", 44_100, None),
        ] {
            let (config, packets) = fixture(name);
            let mut params = AudioCodecParameters::new();
            params.for_codec(CODEC_ID_AAC).with_sample_rate(rate);
            if let Some(channels) = channels.and_then(layout) {
                params.with_channels(channels);
            }
            let mut bare = AacDecoder::try_new(&params, &AudioDecoderOptions::default()).unwrap();
            assert_eq!(decode_all(&mut bare, &packets), decode_all(&mut decoder(&config).unwrap(), &packets), "{name}");
        }
    }

    #[test]
    fn a_program_configuration_among_the_packets_is_no_end() {
        let (config, packets) = fixture("lc_stereo");
        // ID 5, tag 0, LC, 48 kHz, one front element; it has two channels and tag 0; no comment; ID 7.
        let program = [0xa0, 0x98, 0x80, 0x00, 0x04, 0x00, 0, 0xe0];
        for place in [2, UNDECIDED + 2] {
            let mut decoder = decoder(&config).unwrap();
            for (index, packet) in packets.iter().enumerate() {
                if index == place {
                    decode(&mut decoder, &program).unwrap();
                    assert!(decoder.plain.is_none());
                }
                let (rate, channels, samples) = decode(&mut decoder, packet).unwrap();
                assert_eq!((rate, channels, samples.len()), (48_000, 2, 2048));
            }
        }
    }

    #[test]
    fn what_is_not_decoded_has_a_name() {
        let refused = |config: &[u8]| match decoder(config) {
            Err(Error::Unsupported(name)) => name,
            Err(cause) => panic!("{cause}"),
            Ok(_) => panic!("a decoder for {config:02x?}"),
        };
        // Object types of five bits, and 31 with six more.
        assert_eq!(refused(&[3 << 3 | 2, 0x10]), "AAC SSR");
        assert_eq!(refused(&[22 << 3 | 2, 0x10, 0, 0]), "BSAC");
        assert_eq!(refused(&[0xf8 | 1, 0x4a, 0x20, 0]), "xHE-AAC (USAC)");
        assert_eq!(refused(&[0xf8, 0x9a, 0x20, 0]), "MPEG-4 ALS");
        assert_eq!(refused(&[34 - 32, 0x10]), "a kind of MPEG-4 audio that is not AAC");
        for damaged in [&[][..], &[0x12], &[0x17, 0xf0]] {
            assert!(matches!(decoder(damaged), Err(Error::DecodeError(_))), "{damaged:02x?}");
        }
    }

    #[test]
    fn after_a_reset_the_same_comes_out() {
        for name in ["he_v2", "lc_6"] {
            let (config, packets) = fixture(name);
            let mut decoder = decoder(&config).unwrap();
            let first = decode_all(&mut decoder, &packets);
            decoder.reset();
            assert_eq!(decode_all(&mut decoder, &packets), first, "{name}");
        }
    }

    #[test]
    fn a_damaged_packet_leaves_nothing_behind() {
        let (config, packets) = fixture("he_stereo");
        let mut decoder = decoder(&config).unwrap();
        decode(&mut decoder, &packets[0]).unwrap();
        for _ in 0..4 {
            for data in [&packets[1][..20], &[], &packets[2][..2]] {
                assert!(decode(&mut decoder, data).map_or(true, |(_, _, samples)| samples.is_empty()));
                assert!(decoder.last_decoded().is_empty());
            }
        }
        let after = &packets[2..];
        assert_eq!(decode_all(&mut decoder, after).2.len(), 2 * MAX_FRAMES * after.len());
    }

    proptest! {
        #[test]
        fn hostile_packets_give_errors(
            name in prop::sample::select(vec!["lc_stereo", "lc_3_program_config", "main_stereo", "he_stereo_implicit", "he_v2", "he_6"]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
            cut: prop::sample::Index,
        ) {
            let (config, mut packets) = fixture(name);
            for (packet, at, byte) in changes {
                let packet = packet.index(packets.len());
                let at = at.index(packets[packet].len());
                packets[packet][at] = byte;
            }
            let last = packets.len() - 1;
            let length = cut.index(packets[last].len() + 1);
            packets[last].truncate(length);
            let mut decoder = decoder(&config).unwrap();
            for packet in &packets {
                if let Ok((_, channels, samples)) = decode(&mut decoder, packet) {
                    prop_assert!(channels <= 8 && samples.len() <= channels * MAX_FRAMES);
                    prop_assert!(decoder.plain.is_some() || samples.iter().all(|sample| sample.abs() <= LOUDEST));
                }
            }
        }

        #[test]
        fn any_configuration_is_no_panic(config in prop::collection::vec(any::<u8>(), 0..40), packet in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(mut decoder) = decoder(&config) {
                drop(decode(&mut decoder, &packet));
            }
        }
    }
}
