//! Container → packets → decoder → samples, piece by piece.

use super::{
    AudioInfo, Limits, Push, StreamOptions,
    codecs::{Coding, Format, PacketDecoder, Undecoded},
    containers::{self, Event, Packet},
    pcm,
    sink::{Mix, Sink},
    sniff::{self, Container},
    source::Source,
    tags::Tags,
    warnings::{Log, WarningKind},
};
use crate::{Error, Result, clip::are_within};

/// Seconds that must be left of audio of which a part is missing.
const MIN_SECONDS_LEFT: f64 = 2.0;

/// A sample of a lossy codec beyond this is no music, but what a damaged packet was decoded to: 30 dB above full scale.
const LOUDEST: f32 = 32.0;

/// Packets at the beginning of a stream that may refer to others that are gone, and are left out without a word.
const MAX_FIRST_FAILURES: u64 = 4;

/// What is wanted of the audio.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Whether nothing is collected in memory.
    pub(super) is_stream: bool,
    /// All of it, or what comes before some seconds, in mono or with its channels.
    pub(super) options: StreamOptions,
}

/// Decodes what `open` gives, and gives samples to `push`, which is called for each of them once and in order.
///
/// The mean of the channels is what is given, unless the channels are to be kept. Only where the channels of the first seconds cancel each
/// other out is the whole file decoded once more before, to know whether they do so all along.
pub(super) fn run<'a>(
    mut open: impl FnMut() -> Result<Source<'a>>,
    limits: &Limits,
    wanted: Wanted,
    push: &mut Push<'_>,
) -> Result<AudioInfo> {
    let mut mix = if wanted.options.keep_channels { Mix::Interleaved } else { Mix::Undecided };
    loop {
        let mut source = open()?;
        match pass(&mut source, limits, wanted, mix, push)? {
            Outcome::Done(info) => return Ok(info),
            Outcome::Again(next) => mix = next,
        }
    }
}

/// What a pass over a file comes to.
enum Outcome {
    Done(AudioInfo),
    /// Nothing was given on; another pass is to use this mix.
    Again(Mix),
}

/// A format of the file, and its decoder.
struct Track {
    format: Format,
    decoder: Option<PacketDecoder>,
    /// Frames decoded, those left out included.
    position: u64,
    n_failed: u64,
    n_decoded: u64,
    /// Frames of the last packet, and their rate.
    frames: u64,
    rate: u32,
}

fn pass(source: &mut Source<'_>, limits: &Limits, wanted: Wanted, mix: Mix, push: &mut Push<'_>) -> Result<Outcome> {
    let mut log = Log::default();
    let container = sniff::sniff(source, &mut log)?;
    let mut reader = containers::open(container, source, &mut log)?;
    let mut sink = Sink::new(push, mix, limits, wanted.is_stream).ending_at(wanted.options.end_seconds);
    let mut track = None::<Track>;
    let mut first = None::<(&'static str, Option<u32>)>;
    let (mut n_packets, mut n_failed) = (0u64, 0u64);
    while let Some(event) = reader.next(source, &mut log)? {
        match event {
            Event::Format(format) => {
                let opened = Track::open(container, *format)?;
                first.get_or_insert((opened.format.codec, opened.bits()));
                track = Some(opened);
            }
            Event::Packet(packet) => {
                let Some(track) = &mut track else { continue };
                n_packets += 1;
                n_failed += u64::from(!track.decode(container, &packet, &mut sink, &mut log)?);
                log.now = sink.seconds();
                if sink.is_doubtful() {
                    return Ok(Outcome::Again(Mix::Measure));
                }
                if sink.is_full() {
                    break;
                }
            }
        }
    }
    log.now = sink.seconds();
    if sink.frames() == 0 {
        return Err(nothing(container, n_packets, n_failed, log));
    }
    if let Some(next) = sink.finish()? {
        return Ok(Outcome::Again(next));
    }
    let (sample_rate, channels) = sink.format();
    let seconds = sink.seconds();
    // A part that was asked for may be short.
    if !sink.is_full() {
        refuse_too_little(container, seconds, &log)?;
    }
    if let Mix::Channel(channel) = mix {
        let detail = format!("their mean would be almost silent, so channel {} is used", channel + 1);
        log.warn(WarningKind::Antiphase, detail);
    }
    let (codec, bits_per_sample) = first.unwrap_or(("unknown", None));
    Ok(Outcome::Done(AudioInfo {
        container: container.name(),
        codec,
        sample_rate,
        channels,
        seconds,
        bits_per_sample,
        warnings: log.finish(),
        tags: Tags::default(),
    }))
}

/// Why a file with a container has no sample.
fn nothing(container: Container, n_packets: u64, n_failed: u64, log: Log) -> Error {
    let container = container.name();
    let is_incomplete = log.is_incomplete;
    let detail = log
        .finish()
        .into_iter()
        .find(|warning| warning.lost_seconds.is_some() || warning.kind == WarningKind::Truncated);
    match detail {
        Some(warning) if warning.kind == WarningKind::Truncated => {
            Error::Truncated { container, detail: warning.detail }
        }
        _ if n_failed > 0 => {
            Error::Corrupt { container, detail: format!("none of its {n_packets} packets can be decoded") }
        }
        Some(warning) if is_incomplete => Error::Corrupt { container, detail: warning.detail },
        _ => Error::Empty,
    }
}

/// Refuses audio of which more is damaged than not, and what is left of a part if it is short.
fn refuse_too_little(container: Container, seconds: f64, log: &Log) -> Result<()> {
    let container = container.name();
    if log.damaged_seconds > seconds {
        let detail = format!(
            "more than half of it is damaged: {seconds:.1} s can be decoded, {:.1} s cannot",
            log.damaged_seconds
        );
        return Err(Error::Corrupt { container, detail });
    }
    if !log.is_incomplete || seconds >= MIN_SECONDS_LEFT {
        return Ok(());
    }
    let left = format!("only {seconds:.1} s can be decoded");
    Err(match log.first_loss() {
        Some((WarningKind::Damaged, detail)) => Error::Corrupt { container, detail: format!("{detail}; {left}") },
        Some((_, detail)) => Error::Truncated { container, detail: format!("{detail}; {left}") },
        None => Error::Truncated { container, detail: left },
    })
}

impl Track {
    fn open(container: Container, format: Format) -> Result<Self> {
        let decoder = match &format.coding {
            Coding::Pcm(..) => None,
            Coding::Packets(params) => Some(PacketDecoder::new(container.name(), params)?),
        };
        let rate = format.sample_rate;
        Ok(Self { format, decoder, position: 0, n_failed: 0, n_decoded: 0, frames: 0, rate })
    }

    fn bits(&self) -> Option<u32> {
        self.format.bits.or_else(|| self.decoder.as_ref().and_then(PacketDecoder::bits))
    }

    /// Decodes a packet into `sink`; whether it could be decoded.
    fn decode(
        &mut self,
        container: Container,
        packet: &Packet,
        sink: &mut Sink<'_, '_>,
        log: &mut Log,
    ) -> Result<bool> {
        let Self { format, decoder, .. } = self;
        let (rate, channels, samples) = match (&format.coding, decoder) {
            (Coding::Pcm(encoding, endian), _) => {
                sink.set_format(container.name(), format.sample_rate, format.channels, log)?;
                let frame = encoding.bytes() * format.channels;
                let frames = (packet.data.len() / frame.max(1)) as u64;
                let kept = kept(self.position, frames, packet, format, 1.0);
                self.position += frames;
                let bytes = kept.start as usize * frame..kept.end as usize * frame;
                pcm::push(sink, &packet.data[bytes], *encoding, *endian)?;
                return Ok(true);
            }
            (Coding::Packets(_), None) => return Ok(false),
            (Coding::Packets(_), Some(decoder)) => {
                if packet.is_after_gap {
                    decoder.reset();
                }
                match decoder.decode(&packet.data, packet.frames) {
                    Ok((_, _, samples)) if format.bits.is_none() && !are_within(samples, LOUDEST) => {
                        // What it holds for the next packet is as wrong.
                        decoder.reset();
                        return Ok(self.failed(packet, "its samples are far louder than any music", log));
                    }
                    Ok(decoded) => decoded,
                    Err(Undecoded::Codec(error)) if sink.frames() == 0 => return Err(error),
                    Err(Undecoded::Codec(error)) => return Ok(self.failed(packet, &error.to_string(), log)),
                    Err(Undecoded::Packet(detail)) => return Ok(self.failed(packet, &detail, log)),
                }
            }
        };
        if channels == 0 || samples.is_empty() {
            return Ok(true);
        }
        sink.set_format(container.name(), rate, channels, log)?;
        let frames = (samples.len() / channels) as u64;
        // Gaps are counted at the rate of the header; a decoder may double that.
        let scale = if format.sample_rate == 0 { 1.0 } else { f64::from(rate) / f64::from(format.sample_rate) };
        let kept = kept(self.position, frames, packet, format, scale);
        (self.position, self.frames, self.rate) = (self.position + frames, frames, rate);
        self.n_decoded += 1;
        sink.push_interleaved(&samples[kept.start as usize * channels..kept.end as usize * channels])?;
        Ok(true)
    }

    /// Notes a packet that cannot be decoded.
    fn failed(&mut self, packet: &Packet, detail: &str, log: &mut Log) -> bool {
        self.n_failed += 1;
        // A decoder that is thrown out of step fails for those packets too that build on this one.
        if self.n_decoded > 0 || self.n_failed > MAX_FIRST_FAILURES {
            let frames = if self.frames > 0 { self.frames } else { packet.frames };
            log.damaged(frames as f64 / f64::from(self.rate.max(1)), format!("a packet cannot be decoded ({detail})"));
        }
        false
    }
}

/// Which of the `frames` frames of a packet, that follow `position` others, are neither delay nor padding.
fn kept(position: u64, frames: u64, packet: &Packet, format: &Format, scale: f64) -> std::ops::Range<u64> {
    let scaled = |n: u64| if scale == 1.0 { n } else { (n as f64 * scale).round() as u64 };
    let delay = scaled(format.delay);
    let mut start = scaled(packet.skip).max(delay.saturating_sub(position)).min(frames);
    let mut end = frames - scaled(packet.trim).min(frames);
    if let Some(length) = format.length {
        end = end.min(delay.saturating_add(scaled(length)).saturating_sub(position));
    }
    start = start.min(end);
    start..end
}
