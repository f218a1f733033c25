//! Where decoded frames go: mixed to mono as they come, counted, and stopped at the limit.

use super::{AudioInfo, Decoded, Limits};
use crate::{Clip, Error, Result};

/// Most frames of a second that are decoded whatever the sample rate says: 15 minutes at 192 kHz are 659 MiB of samples.
///
/// A few bytes of a lossless codec can announce an hour of silence at a megahertz, so seconds alone bound nothing.
const MAX_RATE: u32 = 192_000;

/// Most seconds that are decoded whatever the limits say.
const MAX_SECONDS: f64 = 7200.0;

/// Most samples that are reserved for on the word of a header; beyond it the memory grows with what is really decoded.
const MAX_RESERVED: u64 = 1 << 22;

/// Collects frames (one sample of every channel) as the mean of their channels.
///
/// The mean is a sum of `f32` in channel order, divided by the number of channels, as `librosa.to_mono` has it.
pub(super) struct Sink {
    container: &'static str,
    samples: Vec<f32>,
    sample_rate: u32,
    channels: usize,
    max_frames: u64,
    limit: f64,
}

impl Sink {
    /// For audio of `channels` at `sample_rate` in Hz; refuses 0 of either.
    pub(super) fn new(container: &'static str, sample_rate: u32, channels: usize, limits: &Limits) -> Result<Self> {
        let zero = |what: &str| Err(Error::Corrupt { container, detail: format!("its header says 0 {what}") });
        if channels == 0 {
            return zero("channels");
        }
        if sample_rate == 0 {
            return zero("samples a second");
        }
        // A cast to an integer saturates, and a NaN becomes 0.
        // Not `min`, which takes the other number for a NaN.
        let max_seconds = if limits.max_seconds > MAX_SECONDS { MAX_SECONDS } else { limits.max_seconds };
        let max_frames = (max_seconds * f64::from(sample_rate.min(MAX_RATE))) as u64;
        let limit = max_seconds.min(max_frames as f64 / f64::from(sample_rate));
        Ok(Self { container, samples: Vec::new(), sample_rate, channels, max_frames, limit })
    }

    pub(super) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.samples.len() as u64
    }

    /// Reserves for the `frames` that a header announces, as far as that is safe, and refuses too many of them.
    pub(super) fn announce(&mut self, frames: u64) -> Result<()> {
        self.refuse_over_limit(frames)?;
        self.samples.reserve(frames.min(MAX_RESERVED) as usize);
        Ok(())
    }

    /// Refuses `more` frames after those so far if they would pass the limit.
    fn room_for(&self, more: usize) -> Result<()> {
        self.refuse_over_limit(self.frames().saturating_add(more as u64))
    }

    fn refuse_over_limit(&self, frames: u64) -> Result<()> {
        if frames > self.max_frames {
            let seconds = frames as f64 / f64::from(self.sample_rate);
            return Err(Error::TooLong { seconds, limit: self.limit });
        }
        Ok(())
    }

    /// Adds interleaved samples; an incomplete last frame is left out.
    pub(super) fn push_interleaved(&mut self, interleaved: &[f32]) -> Result<()> {
        let (values, []) = interleaved.as_chunks::<1>() else { return Ok(()) };
        self.push_values(values, |[value]| value)
    }

    /// Adds interleaved values of any kind, each made a sample by `to_sample`; an incomplete last frame is left out.
    pub(super) fn push_values<V: Copy>(&mut self, values: &[V], to_sample: impl Fn(V) -> f32) -> Result<()> {
        self.room_for(values.len() / self.channels)?;
        match self.channels {
            1 => self.samples.extend(values.iter().map(|&v| to_sample(v))),
            2 => {
                let (pairs, _) = values.as_chunks::<2>();
                self.samples.extend(pairs.iter().map(|&[left, right]| (to_sample(left) + to_sample(right)) / 2.0));
            }
            channels => {
                let divisor = channels as f32;
                let mean = |frame: &[V]| frame.iter().fold(0.0, |sum, &v| sum + to_sample(v)) / divisor;
                self.samples.extend(values.chunks_exact(channels).map(mean));
            }
        }
        Ok(())
    }

    /// Leaves out the first `delay` frames, and those from frame `end` on (counted before that).
    pub(super) fn trim(&mut self, delay: u64, end: Option<u64>) {
        let index = |frame: u64| usize::try_from(frame).unwrap_or(usize::MAX);
        self.samples.truncate(end.map_or(usize::MAX, index));
        self.samples.drain(..index(delay).min(self.samples.len()));
    }

    /// The clip: refuses one of no samples or with a NaN or an infinity.
    pub(super) fn finish(self, codec: &'static str, bits_per_sample: Option<u32>) -> Result<Decoded> {
        let clip = Clip::new(self.samples, self.sample_rate)?;
        let info = AudioInfo {
            container: self.container,
            codec,
            sample_rate: self.sample_rate,
            channels: self.channels,
            seconds: clip.seconds(),
            bits_per_sample,
        };
        Ok(Decoded { clip, info })
    }
}
