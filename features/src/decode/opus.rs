//! Opus (RFC 6716 and 8251) for symphonia, which has none: `opus-pure` decodes the streams, this module reads `OpusHead` and
//! joins the streams of surround sound (RFC 7845, 5.1.1).
//!
//! The output is at 48 kHz whatever was encoded, in float and beyond ±1 where the codec overshoots, as libopus has it.
//! `docs/decisions/0023-decoders.md` has the reasons and the figures.

use opus_pure::{MAX_PACKET_SAMPLES, packet::samples_48k};
use symphonia::core::{
    audio::{
        AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef, Position,
    },
    codecs::{
        CodecInfo,
        audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult, well_known::CODEC_ID_OPUS},
        registry::{RegisterableAudioDecoder, SupportedAudioCodec},
    },
    errors::{Error, Result},
    packet::PacketRef,
};

use crate::clip::are_within;

/// Samples a second that every Opus stream is decoded at.
const SAMPLE_RATE: u32 = 48_000;

/// More streams than any layout of eight channels has use for: each costs some 100 KiB.
const MAX_STREAMS: usize = 16;

/// A sample beyond is no music, but a damaged packet: 30 dB above full scale.
const LOUDEST: f32 = 32.0;

const CODECS: &[SupportedAudioCodec] = &[SupportedAudioCodec {
    id: CODEC_ID_OPUS,
    info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
}];

/// What the identification header says (RFC 7845, 5.1; in MP4 the box `dOps`, in Matroska the private data).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    /// 1 to 8.
    pub(super) channels: usize,
    /// Samples at 48 kHz that are not played at the start. The demuxers of symphonia leave them to the caller, as [`Track::delay`] where
    /// they state them at all.
    ///
    /// [`Track::delay`]: symphonia::core::formats::Track
    pub(super) pre_skip: u16,
    /// In 1/256 dB.
    gain: i16,
    /// Streams in a packet, and how many of them, the first, are stereo.
    streams: usize,
    coupled: usize,
    /// For each channel which decoded channel it is; 255 is silence.
    mapping: Vec<u8>,
    /// 0: mono and stereo, 1: surround, 255: channels without positions.
    family: u8,
}

impl Head {
    /// Reads `OpusHead`, with its name in front as symphonia gives it.
    ///
    /// # Errors
    /// [`Error::DecodeError`] if it is none, and [`Error::Unsupported`] for more than 8 channels and for ambisonics.
    pub(super) fn parse(header: &[u8]) -> Result<Self> {
        const BAD: Error = Error::DecodeError("opus: the identification header is damaged");
        let body = header.strip_prefix(b"OpusHead").ok_or(BAD)?;
        let (fixed, table) = body.split_first_chunk::<11>().ok_or(BAD)?;
        // Version 0 is that of MP4, whose numbers are big-endian.
        let number = |at: usize| match fixed[0] {
            0 => u16::from_be_bytes([fixed[at], fixed[at + 1]]),
            _ => u16::from_le_bytes([fixed[at], fixed[at + 1]]),
        };
        let (channels, pre_skip, gain, family) = (usize::from(fixed[1]), number(2), number(8).cast_signed(), fixed[10]);
        let (streams, coupled, mapping) = match family {
            0 if channels == 1 || channels == 2 => (1, channels - 1, (0..fixed[1]).collect()),
            1 | 255 if (1..=8).contains(&channels) => {
                let (&[streams, coupled], mapping) = table.split_first_chunk().ok_or(BAD)?;
                (usize::from(streams), usize::from(coupled), mapping.get(..channels).ok_or(BAD)?.to_vec())
            }
            2 | 3 => return Err(Error::Unsupported("ambisonics")),
            _ => return Err(Error::Unsupported("this number of channels")),
        };
        let decoded = streams + coupled;
        if streams == 0 || coupled > streams || mapping.iter().any(|&m| m != 255 && usize::from(m) >= decoded) {
            return Err(BAD);
        }
        if streams > MAX_STREAMS {
            return Err(Error::Unsupported("more than 16 streams"));
        }
        Ok(Self { channels, pre_skip, gain, streams, coupled, mapping, family })
    }

    /// For a container that holds the packets alone.
    fn plain(channels: usize) -> Result<Self> {
        if channels != 1 && channels != 2 {
            return Err(Error::Unsupported("surround without its identification header"));
        }
        let (coupled, mapping) = (channels - 1, (0..channels as u8).collect());
        Ok(Self { channels, pre_skip: 0, gain: 0, streams: 1, coupled, mapping, family: 0 })
    }

    /// Positions of the channels, and which plane of symphonia's order each channel of Opus's order is.
    fn layout(&self) -> (Channels, &'static [usize]) {
        const FRONT: Position = Position::FRONT_LEFT.union(Position::FRONT_RIGHT);
        const THREE: Position = FRONT.union(Position::FRONT_CENTER);
        const REAR: Position = Position::REAR_LEFT.union(Position::REAR_RIGHT);
        const SIDE: Position = Position::SIDE_LEFT.union(Position::SIDE_RIGHT);
        const FIVE_ONE: Position = THREE.union(REAR).union(Position::LFE1);
        let (positions, planes): (_, &[usize]) = match (self.family, self.channels) {
            (255, channels) => return (Channels::Discrete(channels as u16), &[0, 1, 2, 3, 4, 5, 6, 7]),
            (_, 1) => (Position::FRONT_LEFT, &[0]),
            (_, 2) => (FRONT, &[0, 1]),
            (_, 3) => (THREE, &[0, 2, 1]),
            (_, 4) => (FRONT.union(REAR), &[0, 1, 2, 3]),
            (_, 5) => (THREE.union(REAR), &[0, 2, 1, 3, 4]),
            (_, 6) => (FIVE_ONE, &[0, 2, 1, 4, 5, 3]),
            (_, 7) => (THREE.union(SIDE).union(Position::REAR_CENTER).union(Position::LFE1), &[0, 2, 1, 5, 6, 4, 3]),
            (_, _) => (FIVE_ONE.union(SIDE), &[0, 2, 1, 6, 7, 4, 5, 3]),
        };
        (Channels::Positioned(positions), planes)
    }
}

/// Decodes Opus packets of up to eight channels.
pub(super) struct OpusDecoder {
    params: AudioCodecParameters,
    options: AudioDecoderOptions,
    head: Head,
    /// One for each stream.
    decoders: Vec<opus_pure::OpusDecoder>,
    /// Interleaved samples of one stream.
    stream: Vec<f32>,
    /// A packet of a stream without its length.
    packet: Vec<u8>,
    buffer: AudioBuffer<f32>,
}

impl OpusDecoder {
    /// A decoder for the stream that `params` describe.
    ///
    /// # Errors
    /// Those of [`Head::parse`]; [`Error::Unsupported`] for another codec.
    pub(super) fn try_new(params: &AudioCodecParameters, options: &AudioDecoderOptions) -> Result<Self> {
        if params.codec != CODEC_ID_OPUS {
            return Err(Error::Unsupported("another codec"));
        }
        let head = match params.extra_data.as_deref() {
            Some(header) if header.starts_with(b"OpusHead") => Head::parse(header)?,
            _ => Head::plain(params.channels.as_ref().map_or(2, Channels::count))?,
        };
        let mut decoders = Vec::with_capacity(head.streams);
        for stream in 0..head.streams {
            let channels = if stream < head.coupled { 2 } else { 1 };
            let mut decoder = opus_pure::OpusDecoder::new(SAMPLE_RATE.cast_signed(), channels)
                .map_err(|_| Error::Unsupported("this sample rate"))?;
            decoder.gain_q8 = i32::from(head.gain);
            decoders.push(decoder);
        }
        let (channels, _) = head.layout();
        let mut params = params.clone();
        params.with_sample_rate(SAMPLE_RATE).with_channels(channels.clone());
        let buffer = AudioBuffer::new(AudioSpec::new(SAMPLE_RATE, channels), MAX_PACKET_SAMPLES);
        let stream = vec![0.0; 2 * MAX_PACKET_SAMPLES];
        Ok(Self { params, options: *options, head, decoders, stream, packet: Vec::new(), buffer })
    }

    /// Decodes all streams of `data` into the buffer, which is empty.
    fn decode_streams(&mut self, data: &[u8]) -> Result<()> {
        let Self { head, decoders, stream, packet, buffer, .. } = self;
        let (_, planes) = head.layout();
        let (mut rest, mut frames, last) = (data, None, head.streams - 1);
        for (index, decoder) in decoders.iter_mut().enumerate() {
            let one = if index == last { rest } else { take_stream(&mut rest, packet)? };
            let n = decode_stream(decoder, one, stream)?;
            match frames {
                None => {
                    buffer.render_silence(Some(n));
                    frames = Some(n);
                }
                Some(frames) if frames != n => return Err(Error::DecodeError("opus: streams of different lengths")),
                Some(_) => (),
            }
            let (first, width) = if index < head.coupled { (2 * index, 2) } else { (head.coupled + index, 1) };
            for (channel, &source) in head.mapping.iter().enumerate() {
                // The silent channel, 255, is beyond every stream.
                let Some(offset) = usize::from(source).checked_sub(first).filter(|&offset| offset < width) else {
                    continue;
                };
                if let Some(plane) = buffer.plane_mut(planes[channel]) {
                    for (sample, frame) in plane.iter_mut().zip(stream.chunks_exact(width)) {
                        *sample = frame[offset];
                    }
                }
            }
        }
        Ok(())
    }
}

/// Decodes a packet of one stream into interleaved `samples`, and returns how many frames.
fn decode_stream(decoder: &mut opus_pure::OpusDecoder, packet: &[u8], samples: &mut [f32]) -> Result<usize> {
    let invalid = |_| Error::DecodeError("opus: invalid packet");
    let frames = samples_48k(packet).map_err(invalid)?;
    match packet {
        // Discontinuous transmission: a frame without content continues the last one (RFC 6716, 3.2.1), as a lost packet does.
        [toc] if toc & 3 == 0 => decoder.decode(&[], frames, samples),
        _ => decoder.decode(packet, MAX_PACKET_SAMPLES, samples),
    }
    .map_err(invalid)
}

/// Takes the packet of one stream from those of several, which say their own lengths (RFC 6716, appendix B), and returns it as a packet that
/// does not, in `packet`.
fn take_stream<'p>(rest: &mut &[u8], packet: &'p mut Vec<u8>) -> Result<&'p [u8]> {
    let (length_at, length_bytes, end) = self_delimited(rest)
        .filter(|&(.., end)| end <= rest.len())
        .ok_or(Error::DecodeError("opus: a packet is cut"))?;
    packet.clear();
    packet.extend_from_slice(&rest[..length_at]);
    packet.extend_from_slice(&rest[length_at + length_bytes..end]);
    *rest = &rest[end..];
    Ok(packet)
}

/// Of the self-delimited packet that `data` begin with: where the length is that other packets leave out, how many bytes it has, and where
/// the packet ends, which may be behind the data. `None` if even the lengths are not there.
fn self_delimited(data: &[u8]) -> Option<(usize, usize, usize)> {
    // A length of one or two bytes at `at`, and its bytes (3.2.1).
    let length = |at: usize| match *data.get(at)? {
        low @ 252.. => Some((2, 4 * usize::from(*data.get(at + 1)?) + usize::from(low))),
        low => Some((1, usize::from(low))),
    };
    // The lengths of `n` frames from `at` on, in sum, and where they end.
    let lengths = |mut at: usize, n: usize| {
        let mut sum = 0;
        for _ in 0..n {
            let (bytes, frame) = length(at)?;
            (at, sum) = (at + bytes, sum + frame);
        }
        Some((at, sum))
    };
    let (at, before, last_frames, padding) = match data.first()? & 3 {
        0 => (1, 0, 1, 0),
        1 => (1, 0, 2, 0),
        2 => {
            let (at, before) = lengths(1, 1)?;
            (at, before, 1, 0)
        }
        _ => {
            let count = *data.get(1)?;
            let (mut at, mut padding) = (2, 0);
            if count & 0x40 != 0 {
                // 255 stands for 254 bytes, and that more follow (3.2.5).
                while *data.get(at)? == 255 {
                    (at, padding) = (at + 1, padding + 254);
                }
                padding += usize::from(data[at]);
                at += 1;
            }
            let frames = usize::from(count & 0x3f);
            if count & 0x80 == 0 {
                (at, 0, frames, padding)
            } else {
                let (at, before) = lengths(at, frames.checked_sub(1)?)?;
                (at, before, 1, padding)
            }
        }
    };
    let (bytes, last) = length(at)?;
    Some((at, bytes, at + bytes + before + last_frames * last + padding))
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        for decoder in &mut self.decoders {
            // It has no way to fail; if it had, the old state would be heard for a moment.
            drop(decoder.reset_state());
        }
    }

    fn codec_info(&self) -> &CodecInfo {
        &CODECS[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let mut decoded = self.decode_streams(packet.data);
        if decoded.is_ok() && !self.buffer.iter_planes().all(|plane| are_within(plane, LOUDEST)) {
            // What is heard beyond the packet's end would be as wrong.
            self.reset();
            decoded = Err(Error::DecodeError("opus: the packet is damaged"));
        }
        if let Err(cause) = decoded {
            self.buffer.clear();
            return Err(cause);
        }
        if self.options.gapless {
            let frames = |duration: u64| usize::try_from(duration).unwrap_or(usize::MAX);
            self.buffer.trim(frames(packet.trim_start.get()), frames(packet.trim_end.get()));
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

impl RegisterableAudioDecoder for OpusDecoder {
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
    use symphonia::core::packet::PacketBuilder;

    use super::*;

    /// The identification header of a file of `tests/fixtures/opus`, and its packets.
    fn fixture(name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/opus/{name}.packets"));
        let (mut rest, mut parts) = (&fs::read(path).unwrap()[..], Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (part, behind) = behind.split_at(usize::from(u16::from_le_bytes(*length)));
            parts.push(part.to_vec());
            rest = behind;
        }
        (parts.remove(0), parts)
    }

    fn decoder(header: &[u8]) -> OpusDecoder {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_OPUS).with_extra_data(header.into());
        OpusDecoder::try_new(&params, &AudioDecoderOptions::default()).unwrap()
    }

    /// The channels of a packet, in symphonia's order; a start and an end of it are left out.
    fn decode(decoder: &mut OpusDecoder, data: &[u8], trim: (u64, u64)) -> Result<Vec<Vec<f32>>> {
        let packet = PacketBuilder::new()
            .track_id(0)
            .pts(0.into())
            .dur(0u64.into())
            .data(data)
            .trim_start(trim.0.into())
            .trim_end(trim.1.into())
            .build();
        match decoder.decode(&packet)? {
            GenericAudioBufferRef::F32(buffer) => Ok(buffer.iter_planes().map(<[f32]>::to_vec).collect()),
            _ => unreachable!("the decoder has a buffer of f32"),
        }
    }

    #[test]
    fn every_mode_is_decoded_as_libopus_does() {
        // Opus's channel for each of symphonia's: left, right, centre, low frequencies, rear, side.
        let order = |channels| match channels {
            3 => vec![0, 2, 1],
            6 => vec![0, 2, 1, 5, 3, 4],
            8 => vec![0, 2, 1, 7, 5, 6, 3, 4],
            _ => (0..channels).collect(),
        };
        for (name, channels) in [
            ("silk_nb_mono_20", 1),
            ("silk_mb_mono_10", 1),
            ("silk_wb_stereo_60", 2),
            ("hybrid_swb_mono_20", 1),
            ("hybrid_fb_stereo_40", 2),
            ("celt_fb_mono_2.5", 1),
            ("celt_fb_stereo_20", 2),
            ("celt_wb_stereo_120", 2),
            ("modes_stereo_20", 2),
            ("pause_mono_20", 1),
            ("surround_3_20", 3),
            ("surround_6_20", 6),
            ("surround_8_60", 8),
            ("discrete_2_20", 2),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/opus/{name}.f32"));
            let expected: Vec<f32> =
                fs::read(path).unwrap().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let (header, packets) = fixture(name);
            let mut decoder = decoder(&header);
            let mut found = vec![Vec::new(); channels];
            for packet in &packets {
                let planes = decode(&mut decoder, packet, (0, 0)).unwrap();
                assert_eq!(planes.len(), channels, "{name}");
                found.iter_mut().zip(planes).for_each(|(all, plane)| all.extend(plane));
            }
            assert_eq!(found[0].len().div_ceil(8), expected.len() / channels, "{name}");
            let (mut signal, mut error) = (0.0, 0.0);
            for (plane, channel) in found.iter().zip(order(channels)) {
                for (sample, frame) in plane.iter().step_by(8).zip(expected.chunks_exact(channels)) {
                    signal += f64::from(frame[channel]).powi(2);
                    error += f64::from(sample - frame[channel]).powi(2);
                }
            }
            let snr = 10.0 * (signal / error.max(1e-30)).log10();
            // Where the mode changes, the cross-fade is of a concealed frame, which is not defined to the bit.
            let least = if name == "modes_stereo_20" { 45.0 } else { 90.0 };
            assert!(snr > least, "{name}: {snr:.1} dB from libopus");
        }
    }

    #[test]
    fn headers_of_ogg_and_of_mp4_say_the_same() {
        let head = |version, pre_skip: [u8; 2], gain: [u8; 2]| {
            let rest = [&pre_skip[..], &[0; 4], &gain, &[1, 4, 2, 0, 4, 1, 2, 3, 5]].concat();
            Head::parse(&[b"OpusHead", &[version, 6][..], &rest].concat()).unwrap()
        };
        let (ogg, mp4) = (head(1, [0x38, 1], [0, 0xfa]), head(0, [1, 0x38], [0xfa, 0]));
        assert_eq!(ogg, mp4);
        assert_eq!((ogg.channels, ogg.pre_skip, ogg.gain, ogg.streams, ogg.coupled), (6, 312, -1536, 4, 2));
    }

    #[test]
    fn damaged_headers_are_refused() {
        let head = |channels: u8, table: &[u8]| {
            Head::parse(&[b"OpusHead", &[1, channels, 0, 0, 0, 0, 0, 0, 0, 0][..], table].concat())
        };
        assert!(head(2, &[0]).is_ok());
        assert!(head(3, &[1, 2, 1, 0, 2, 1]).is_ok());
        // No streams, more stereo than streams, channel 3 of 3, a table that is cut, no header at all.
        for table in [&[1, 0, 0, 0, 0, 0][..], &[1, 1, 2, 0, 1, 2], &[1, 2, 1, 0, 2, 3], &[1, 2, 1, 0, 2], &[1], &[]] {
            assert!(matches!(head(3, table), Err(Error::DecodeError(_))), "{table:?}");
        }
        for (channels, table) in
            [(0, &[0][..]), (3, &[0]), (9, &[1]), (4, &[2, 4, 0, 0, 1, 2, 3]), (1, &[255, 17, 0, 0])]
        {
            assert!(matches!(head(channels, table), Err(Error::Unsupported(_))), "{channels} {table:?}");
        }
    }

    #[test]
    fn the_gain_of_the_header_is_applied() {
        let (mut header, packets) = fixture("celt_fb_stereo_20");
        let level = |header: &[u8]| {
            let mut decoder = decoder(header);
            let planes = packets.iter().map(|packet| decode(&mut decoder, packet, (0, 0)).unwrap());
            planes.flatten().flatten().map(|sample| f64::from(sample).powi(2)).sum::<f64>()
        };
        let before = level(&header);
        header[16..18].copy_from_slice(&(-6 * 256i16).to_le_bytes());
        let decibels = 10.0 * (level(&header) / before).log10();
        assert!((decibels + 6.0).abs() < 1e-3, "{decibels}");
    }

    #[test]
    fn what_the_packet_says_is_left_out() {
        let (header, packets) = fixture("celt_fb_stereo_20");
        let whole = decode(&mut decoder(&header), &packets[0], (0, 0)).unwrap();
        let part = decode(&mut decoder(&header), &packets[0], (312, 100)).unwrap();
        assert_eq!(part, whole.iter().map(|plane| plane[312..860].to_vec()).collect::<Vec<_>>());
        assert!(decode(&mut decoder(&header), &packets[0], (960, 0)).unwrap()[0].is_empty());
    }

    #[test]
    fn after_a_reset_the_same_comes_out() {
        let (header, packets) = fixture("surround_6_20");
        let mut decoder = decoder(&header);
        let first = decode(&mut decoder, &packets[0], (0, 0)).unwrap();
        decode(&mut decoder, &packets[1], (0, 0)).unwrap();
        decoder.reset();
        assert_eq!(decode(&mut decoder, &packets[0], (0, 0)).unwrap(), first);
    }

    #[test]
    fn a_damaged_packet_leaves_nothing_behind() {
        let (header, packets) = fixture("surround_6_20");
        let mut decoder = decoder(&header);
        decode(&mut decoder, &packets[0], (0, 0)).unwrap();
        for data in [&packets[1][..20], &[], &[0xff, 0xff]] {
            assert!(matches!(decode(&mut decoder, data, (0, 0)), Err(Error::DecodeError(_))));
            assert_eq!(decoder.last_decoded().frames(), 0);
        }
        assert!(decode(&mut decoder, &packets[2], (0, 0)).is_ok());
    }

    proptest! {
        /// Against the framing of opus-pure: code 0, 1, 2 and 3, with and without equal lengths.
        #[test]
        fn packets_that_say_their_length_are_taken_apart(
            lengths in prop::collection::vec(0usize..600, 1..=6),
            equal: bool,
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut packets = opus_pure::Repacketizer::new();
            for (index, &length) in lengths.iter().enumerate() {
                let length = if equal { lengths[0] } else { length };
                // CELT of 20 ms.
                packets.cat(&[&[31 << 3][..], &vec![index as u8; length]].concat()).unwrap();
            }
            let joined = [packets.out_self_delimited().unwrap(), behind.clone()].concat();
            let (mut rest, mut packet) = (&joined[..], Vec::new());
            let found = take_stream(&mut rest, &mut packet).unwrap().to_vec();
            prop_assert_eq!(rest, behind);
            let mut again = opus_pure::Repacketizer::new();
            again.cat(&found).unwrap();
            prop_assert_eq!(again.out().unwrap(), packets.out().unwrap());
        }

        #[test]
        fn hostile_packets_give_errors(
            name in prop::sample::select(vec!["silk_wb_stereo_60", "celt_fb_stereo_20", "modes_stereo_20", "surround_6_20"]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
            cut: prop::sample::Index,
        ) {
            let (header, mut packets) = fixture(name);
            for (packet, at, byte) in changes {
                let packet = packet.index(packets.len());
                let at = at.index(packets[packet].len());
                packets[packet][at] = byte;
            }
            let last = packets.len() - 1;
            let length = cut.index(packets[last].len() + 1);
            packets[last].truncate(length);
            let mut decoder = decoder(&header);
            for packet in &packets {
                if let Ok(planes) = decode(&mut decoder, packet, (0, 0)) {
                    prop_assert!(planes.iter().all(|plane| plane.len() <= MAX_PACKET_SAMPLES));
                    prop_assert!(planes.iter().flatten().all(|sample| sample.is_finite()));
                }
            }
        }

        #[test]
        fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(Head::parse(&bytes));
            drop(Head::parse(&[b"OpusHead", &bytes[..]].concat()));
            let (mut rest, mut packet) = (&bytes[..], Vec::new());
            while take_stream(&mut rest, &mut packet).is_ok() {}
        }
    }
}
