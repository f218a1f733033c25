//! Where decoded frames go: mixed to mono as they come, counted, checked, and stopped at the limit.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Limits, Push, warnings::Log, warnings::WarningKind};
use crate::{
    Error, Result,
    clip::check_samples,
    dsp::resample::{Resampler, SAMPLE_RATES},
};

/// Most frames of a second that are decoded into memory whatever the sample rate says: 15 minutes at 192 kHz are 659 MiB of samples.
///
/// A few bytes of a lossless codec can announce an hour of silence at a megahertz, so seconds alone bound nothing.
const MAX_RATE: u32 = 192_000;

/// Most seconds that are decoded into memory whatever the limits say.
const MAX_SECONDS: f64 = 7200.0;

/// The mean of the channels is kept while its power is at least this part of theirs: -20 dB. Two channels of opposite phase
/// whose correlation is below -0.98 lie under it; no other stereo does.
const MIN_MIX_POWER: f64 = 0.01;

/// Seconds of audible sound after which the mix is chosen, and most seconds that are held back for it.
const DECIDE_SECONDS: f64 = 3.0;
const HOLD_SECONDS: f64 = 20.0;

/// Mean square of a channel that counts as audible: -60 dB of full scale.
const AUDIBLE_POWER: f64 = 1e-6;

/// Shortest audio that can be called silent or constant, in seconds, and least frames for that and for channels that cancel each other
/// out: of less there is too little to tell.
const MIN_SILENT_SECONDS: f64 = 0.5;
const MIN_FRAMES: u64 = 1_000;

/// Standard deviation of samples below which audio is silent: -80 dB of full scale, some three steps of 16 bits.
const SILENT_DEVIATION: f64 = 1e-4;

/// Most other rates that a file may change to: MPEG audio has nine in all.
const MAX_RATES: usize = 16;

/// Most channels: a WAV of Ambisonics has some hundreds. A damaged header may say any number, and each channel costs memory.
const MAX_CHANNELS: usize = 1024;

/// Sums side by side.
const LANES: usize = 8;

/// How the channels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Not known yet: samples are held back.
    Undecided,
    /// The mean: a sum of `f32` in channel order, divided by the number of channels, as `librosa.to_mono` has it.
    Mean,
    /// One channel, because the channels cancel each other out.
    Channel(usize),
    /// They stay as they are, interleaved.
    Interleaved,
    /// Nothing is given on; only the powers are measured.
    Measure,
}

/// Takes interleaved frames of any rate and number of channels, and gives samples of the first rate on: mono, unless the mix is
/// [`Mix::Interleaved`].
pub(super) struct Sink<'p, 'f> {
    push: &'p mut Push<'f>,
    mix: Mix,
    /// Rate of what is given on, and the channels found first.
    sample_rate: u32,
    channels: usize,
    /// Rate and channels of what comes in.
    current: (u32, usize),
    resampler: Option<Resampler>,
    /// For each rate that was converted so far, one that took nothing yet: a filter takes milliseconds to compute, and a rate may change with
    /// every packet.
    resamplers: BTreeMap<u32, Resampler>,
    limits: Limits,
    is_stream: bool,
    max_frames: u64,
    limit: f64,
    /// Seconds, and frames once the rate is known, after which nothing more is wanted.
    end_seconds: f64,
    end_frames: u64,
    held: Vec<f32>,
    mixed: Vec<f32>,
    powers: Powers,
    /// Frames given on or held.
    frames: u64,
    moments: Moments,
}

/// Sums of squares of the channels and of their mean.
#[derive(Clone, Debug, Default)]
struct Powers {
    channels: Vec<f64>,
    mean: f64,
    frames: u64,
    audible: u64,
}

/// What tells silence: the range, the sum and the sum of squares of the samples.
struct Moments {
    low: f32,
    high: f32,
    sum: f64,
    squares: f64,
}

impl<'p, 'f> Sink<'p, 'f> {
    /// Gives on to `push`; `is_stream` says that nothing is collected in memory.
    pub(super) fn new(push: &'p mut Push<'f>, mix: Mix, limits: &Limits, is_stream: bool) -> Self {
        Self {
            push,
            mix,
            sample_rate: 0,
            channels: 0,
            current: (0, 0),
            resampler: None,
            resamplers: BTreeMap::new(),
            limits: *limits,
            is_stream,
            max_frames: 0,
            limit: 0.0,
            end_seconds: f64::INFINITY,
            end_frames: u64::MAX,
            held: Vec::new(),
            mixed: Vec::new(),
            powers: Powers::default(),
            frames: 0,
            moments: Moments { low: f32::INFINITY, high: f32::NEG_INFINITY, sum: 0.0, squares: 0.0 },
        }
    }

    /// Nothing is wanted from `seconds` on.
    pub(super) fn ending_at(self, seconds: f64) -> Self {
        Self { end_seconds: seconds, ..self }
    }

    /// Whether all that is wanted is there.
    pub(super) fn is_full(&self) -> bool {
        self.frames > 0 && self.frames >= self.end_frames
    }

    /// Channels of what is given on.
    fn width(&self) -> usize {
        if self.mix == Mix::Interleaved { self.channels.max(1) } else { 1 }
    }

    /// Rate in Hz and channels of the audio as it began; zeros before it did.
    pub(super) fn format(&self) -> (u32, usize) {
        (self.sample_rate, self.channels)
    }

    /// Seconds so far.
    pub(super) fn seconds(&self) -> f64 {
        if self.sample_rate == 0 { 0.0 } else { self.frames as f64 / f64::from(self.sample_rate) }
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// What follows has `channels` at `sample_rate` in Hz; 0 of either is refused.
    pub(super) fn set_format(
        &mut self,
        container: &'static str,
        sample_rate: u32,
        channels: usize,
        log: &mut Log,
    ) -> Result<()> {
        if self.current == (sample_rate, channels) {
            return Ok(());
        }
        let zero = |what: &str| Err(Error::Corrupt { container, detail: format!("its header says 0 {what}") });
        if channels == 0 {
            return zero("channels");
        }
        if sample_rate == 0 {
            return zero("samples a second");
        }
        if channels > MAX_CHANNELS {
            let detail = format!("its header says {channels} channels");
            return Err(Error::Corrupt { container, detail });
        }
        if self.sample_rate == 0 {
            (self.sample_rate, self.channels) = (sample_rate, channels);
            (self.max_frames, self.limit) = self.allowed();
            // A cast to an integer saturates.
            self.end_frames = (self.end_seconds * f64::from(sample_rate)).ceil() as u64;
            if channels == 1 && matches!(self.mix, Mix::Undecided | Mix::Interleaved) {
                self.mix = Mix::Mean;
            }
        } else {
            let (rate, n) = self.current;
            if self.mix == Mix::Interleaved {
                let detail = format!(
                    "{rate} Hz and {n} channels become {sample_rate} Hz and {channels}, which only a mix to mono can follow"
                );
                return Err(Error::Unsupported { container, detail });
            }
            log.warn_here(
                WarningKind::FormatChange,
                format!("{rate} Hz and {n} channels become {sample_rate} Hz and {channels}"),
            );
            self.flush_resampler()?;
            if sample_rate != self.sample_rate {
                if let Some(rate) = [sample_rate, self.sample_rate].iter().find(|rate| !SAMPLE_RATES.contains(rate)) {
                    let detail = format!("its sample rate changes, and {rate} Hz cannot be converted");
                    return Err(Error::Corrupt { container, detail });
                }
                if self.resamplers.len() == MAX_RATES && !self.resamplers.contains_key(&sample_rate) {
                    let detail = format!("its sample rate changes to more than {MAX_RATES} others");
                    return Err(Error::Corrupt { container, detail });
                }
                let resampler = match self.resamplers.entry(sample_rate) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(Resampler::new(sample_rate, self.sample_rate)?),
                };
                self.resampler = Some(resampler.restarted());
            }
        }
        self.current = (sample_rate, channels);
        Ok(())
    }

    /// Most frames by the limits, and the seconds that they are.
    fn allowed(&self) -> (u64, f64) {
        let seconds = self.limits.max_seconds;
        let rate = f64::from(self.sample_rate);
        // A cast to an integer saturates, and a NaN becomes 0.
        if self.is_stream {
            return ((seconds * rate) as u64, seconds);
        }
        // Not `min`, which takes the other number for a NaN.
        let seconds = if seconds > MAX_SECONDS { MAX_SECONDS } else { seconds };
        let frames = (seconds * f64::from(self.sample_rate.min(MAX_RATE))) as u64;
        (frames, seconds.min(frames as f64 / rate))
    }

    /// Adds interleaved samples; an incomplete last frame is left out.
    pub(super) fn push_interleaved(&mut self, interleaved: &[f32]) -> Result<()> {
        let (values, []) = interleaved.as_chunks::<1>() else { return Ok(()) };
        self.push_values(values, |[value]| value)
    }

    /// Adds interleaved values of any kind, each made a sample by `to_sample`; an incomplete last frame is left out.
    pub(super) fn push_values<V: Copy>(&mut self, values: &[V], to_sample: impl Fn(V) -> f32) -> Result<()> {
        let channels = self.current.1;
        if channels == 0 {
            return Ok(());
        }
        self.refuse_over_limit(self.frames.saturating_add((values.len() / channels) as u64))?;
        let mut mixed = std::mem::take(&mut self.mixed);
        mixed.clear();
        match (self.mix, channels) {
            (_, 1) => mixed.extend(values.iter().map(|&v| to_sample(v))),
            (Mix::Channel(channel), _) => {
                let channel = if channel < channels { channel } else { 0 };
                mixed.extend(values.chunks_exact(channels).map(|frame| to_sample(frame[channel])));
            }
            (Mix::Interleaved, _) => {
                let whole = values.len() / channels * channels;
                mixed.extend(values[..whole].iter().map(|&v| to_sample(v)));
            }
            (_, 2) => {
                let (pairs, _) = values.as_chunks::<2>();
                mixed.extend(pairs.iter().map(|&[left, right]| (to_sample(left) + to_sample(right)) / 2.0));
            }
            (_, channels) => {
                let divisor = channels as f32;
                let mean = |frame: &[V]| frame.iter().fold(0.0, |sum, &v| sum + to_sample(v)) / divisor;
                mixed.extend(values.chunks_exact(channels).map(mean));
            }
        }
        if matches!(self.mix, Mix::Undecided | Mix::Measure) {
            self.powers.add(values, channels, &to_sample, &mixed);
        }
        let result = self.take_mixed(&mixed);
        self.mixed = mixed;
        result
    }

    fn refuse_over_limit(&self, frames: u64) -> Result<()> {
        if frames > self.max_frames {
            let seconds = frames as f64 / f64::from(self.sample_rate);
            return Err(Error::TooLong { seconds, limit: self.limit });
        }
        Ok(())
    }

    /// Takes mono samples of the current rate.
    fn take_mixed(&mut self, mixed: &[f32]) -> Result<()> {
        match &mut self.resampler {
            Some(resampler) => {
                let resampled = resampler.push(mixed);
                self.give(&resampled)
            }
            None => self.give(mixed),
        }
    }

    fn flush_resampler(&mut self) -> Result<()> {
        match self.resampler.take() {
            Some(resampler) => self.give(&resampler.finish()),
            None => Ok(()),
        }
    }

    /// Takes samples of the first rate: mono, or interleaved.
    fn give(&mut self, samples: &[f32]) -> Result<()> {
        let width = self.width();
        if let Err(Error::BadSample { index, value }) = check_samples(samples) {
            return Err(Error::BadSample { index: self.frames as usize + index / width, value });
        }
        let frames = (samples.len() / width) as u64;
        self.refuse_over_limit(self.frames.saturating_add(frames))?;
        self.frames += frames;
        match self.mix {
            Mix::Undecided => {
                self.held.extend_from_slice(samples);
                let rate = f64::from(self.sample_rate);
                let is_long =
                    self.powers.audible as f64 > DECIDE_SECONDS * rate || self.held.len() as f64 > HOLD_SECONDS * rate;
                if is_long && !self.powers.cancel() {
                    self.keep_mean()?;
                }
                Ok(())
            }
            Mix::Measure => Ok(()),
            Mix::Mean | Mix::Channel(_) | Mix::Interleaved => self.pass_on(samples),
        }
    }

    fn pass_on(&mut self, samples: &[f32]) -> Result<()> {
        self.moments.add(samples);
        let width = self.width();
        if samples.is_empty() { Ok(()) } else { (self.push)(samples, self.sample_rate, width) }
    }

    fn keep_mean(&mut self) -> Result<()> {
        self.mix = Mix::Mean;
        let held = std::mem::take(&mut self.held);
        self.pass_on(&held)
    }

    /// Whether what was held back so long cancels out, so that all of the audio must be measured before the mix is chosen.
    pub(super) fn is_doubtful(&self) -> bool {
        let rate = f64::from(self.sample_rate);
        self.mix == Mix::Undecided && self.held.len() as f64 > HOLD_SECONDS * rate && self.powers.cancel()
    }

    /// The end of the audio. With [`Mix::Undecided`] and [`Mix::Measure`]: the mix that it needs, if that is not the mean.
    ///
    /// # Errors
    /// [`Error::Silent`] for half a second or more without sound.
    pub(super) fn finish(&mut self) -> Result<Option<Mix>> {
        self.flush_resampler()?;
        match self.mix {
            Mix::Undecided | Mix::Measure if self.powers.cancel() => {
                return Ok(Some(Mix::Channel(self.powers.loudest())));
            }
            Mix::Undecided => self.keep_mean()?,
            Mix::Measure => return Ok(Some(Mix::Mean)),
            Mix::Mean | Mix::Channel(_) | Mix::Interleaved => (),
        }
        if self.seconds() >= MIN_SILENT_SECONDS
            && self.frames >= MIN_FRAMES
            && let Some(detail) = self.moments.silence(self.frames * self.width() as u64)
        {
            return Err(Error::Silent { detail });
        }
        Ok(None)
    }
}

impl Powers {
    fn add<V: Copy>(&mut self, values: &[V], n: usize, to_sample: impl Fn(V) -> f32, mean: &[f32]) {
        if self.channels.len() < n {
            self.channels.resize(n, 0.0);
        }
        let mut here = 0.0;
        for (channel, total) in self.channels.iter_mut().enumerate().take(n) {
            let square = |&v: &V| f64::from(to_sample(v)) * f64::from(to_sample(v));
            let sum: f64 = values.iter().skip(channel).step_by(n).map(square).sum();
            *total += sum;
            here += sum / n as f64;
        }
        self.mean += mean.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        self.frames += mean.len() as u64;
        if here > AUDIBLE_POWER * mean.len() as f64 {
            self.audible += mean.len() as u64;
        }
    }

    /// Whether the mean of the channels has much less power than they have.
    fn cancel(&self) -> bool {
        let n = self.channels.len().max(1) as f64;
        let power = self.channels.iter().sum::<f64>() / n;
        self.frames >= MIN_FRAMES && power > AUDIBLE_POWER * self.frames as f64 && self.mean < MIN_MIX_POWER * power
    }

    fn loudest(&self) -> usize {
        // The first of equal ones.
        (0..self.channels.len()).rev().max_by(|&a, &b| self.channels[a].total_cmp(&self.channels[b])).unwrap_or(0)
    }
}

impl Moments {
    fn add(&mut self, samples: &[f32]) {
        // Side by side, so that no addition waits for the one before.
        let (mut low, mut high) = ([self.low; LANES], [self.high; LANES]);
        let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
        let (chunks, rest) = samples.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &sample) in chunk.iter().enumerate() {
                low[lane] = if sample < low[lane] { sample } else { low[lane] };
                high[lane] = if sample > high[lane] { sample } else { high[lane] };
                let wide = f64::from(sample);
                sums[lane] += wide;
                squares[lane] += wide * wide;
            }
        }
        for (lane, &sample) in rest.iter().enumerate() {
            low[lane] = low[lane].min(sample);
            high[lane] = high[lane].max(sample);
            sums[lane] += f64::from(sample);
            squares[lane] += f64::from(sample) * f64::from(sample);
        }
        self.low = low.into_iter().fold(self.low, f32::min);
        self.high = high.into_iter().fold(self.high, f32::max);
        self.sum += sums.iter().sum::<f64>();
        self.squares += squares.iter().sum::<f64>();
    }

    /// Why `count` samples are no sound.
    fn silence(&self, count: u64) -> Option<String> {
        let (low, high) = (self.low, self.high);
        if low == 0.0 && high == 0.0 {
            return Some("every sample of the audio is 0: it is silent".into());
        }
        let mean = self.sum / count as f64;
        let deviation = (self.squares / count as f64 - mean * mean).max(0.0).sqrt();
        let range = high - low;
        if f64::from(range) > 40.0 * SILENT_DEVIATION || deviation > SILENT_DEVIATION {
            return None;
        }
        Some(if mean.abs() > 10.0 * SILENT_DEVIATION {
            format!("the audio is a constant of {mean:.4} and silent but for that")
        } else {
            format!(
                "the audio is silent: no sample is further from 0 than {:.6} of full scale",
                low.abs().max(high.abs())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(frames: &[[f32; 2]], mix: Mix) -> (Result<Option<Mix>>, Vec<f32>) {
        let mut out = Vec::new();
        let mut push = |samples: &[f32], _: u32, _: usize| {
            out.extend_from_slice(samples);
            Ok(())
        };
        let mut sink = Sink::new(&mut push, mix, &Limits::default(), false);
        let mut log = Log::default();
        sink.set_format("wav", 1_000, 2, &mut log).unwrap();
        sink.push_interleaved(frames.as_flattened()).unwrap();
        let end = sink.finish();
        (end, out)
    }

    fn noise(n: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn opposite_channels_are_not_lost() {
        let noise = noise(4_000);
        let opposite: Vec<[f32; 2]> = noise.iter().map(|&v| [v * 0.9, -v]).collect();
        let (end, out) = finish(&opposite, Mix::Undecided);
        assert_eq!((end.unwrap(), out.len()), (Some(Mix::Channel(1)), 0));
        let (end, out) = finish(&opposite, Mix::Channel(1));
        assert_eq!(end.unwrap(), None);
        assert!(out.iter().zip(&noise).all(|(a, b)| *a == -b));
        // Ordinary stereo is averaged, however different its channels are.
        let wide: Vec<[f32; 2]> = noise.windows(2).map(|pair| [pair[0], pair[1] - 0.5 * pair[0]]).collect();
        let (end, out) = finish(&wide, Mix::Undecided);
        assert_eq!((end.unwrap(), out.len()), (None, wide.len()));
        assert_eq!(out[7], (wide[7][0] + wide[7][1]) / 2.0);
    }

    #[test]
    fn channels_stay_apart_where_they_are_wanted() {
        let noise = noise(8_000);
        let frames: Vec<[f32; 2]> = noise.as_chunks::<2>().0.to_vec();
        let (end, out) = finish(&frames, Mix::Interleaved);
        assert_eq!((end.unwrap(), out), (None, noise.clone()));
        let silent = finish(&[[0.0; 2]; 4_000], Mix::Interleaved).0.unwrap_err();
        assert!(matches!(silent, Error::Silent { .. }), "{silent}");
        // What comes later has to have as many of them.
        let mut push = |_: &[f32], _: u32, _: usize| Ok(());
        let mut sink = Sink::new(&mut push, Mix::Interleaved, &Limits::default(), false);
        let mut log = Log::default();
        sink.set_format("wav", 1_000, 2, &mut log).unwrap();
        sink.push_interleaved(&noise).unwrap();
        assert_eq!((sink.frames(), sink.seconds()), (4_000, 4.0));
        assert!(matches!(sink.set_format("wav", 1_000, 1, &mut log), Err(Error::Unsupported { .. })));
    }

    #[test]
    fn it_is_full_at_the_end_that_is_asked_for() {
        let mut push = |_: &[f32], _: u32, _: usize| Ok(());
        let mut sink = Sink::new(&mut push, Mix::Mean, &Limits::default(), true).ending_at(0.25);
        assert!(!sink.is_full());
        sink.set_format("wav", 1_000, 1, &mut Log::default()).unwrap();
        sink.push_interleaved(&[0.5; 249]).unwrap();
        assert!(!sink.is_full());
        sink.push_interleaved(&[0.5; 1]).unwrap();
        assert!(sink.is_full());
    }

    #[test]
    fn silence_and_constants_are_refused_and_quiet_music_is_not() {
        let noise = noise(4_000);
        let with = |scale: f32, offset: f32| noise.iter().map(|v| [v * scale + offset; 2]).collect::<Vec<_>>();
        for (scale, offset, word) in
            [(0.0, 0.0, "silent"), (5e-5, 0.0, "silent"), (0.0, 0.3, "constant"), (1e-5, -0.2, "constant")]
        {
            let error = finish(&with(scale, offset), Mix::Undecided).0.unwrap_err();
            assert!(matches!(&error, Error::Silent { detail } if detail.contains(word)), "{error}");
        }
        assert!(finish(&with(1e-3, 0.0), Mix::Undecided).0.is_ok());
        assert!(finish(&with(0.01, 0.5), Mix::Undecided).0.is_ok());
        // Too short to tell.
        assert!(finish(&[[0.0; 2]; 10], Mix::Undecided).0.is_ok());
    }

    #[test]
    fn more_channels_than_there_can_be_are_refused() {
        let mut push = |_: &[f32], _: u32, _: usize| Ok(());
        let mut sink = Sink::new(&mut push, Mix::Undecided, &Limits::default(), false);
        for channels in [MAX_CHANNELS + 1, usize::MAX] {
            let error = sink.set_format("matroska", 48_000, channels, &mut Log::default()).unwrap_err();
            assert!(error.to_string().contains("channels"), "{error}");
        }
        sink.set_format("matroska", 48_000, MAX_CHANNELS, &mut Log::default()).unwrap();
    }

    #[test]
    fn another_rate_is_converted() {
        let mut out = Vec::new();
        let mut push = |samples: &[f32], _: u32, _: usize| {
            out.extend_from_slice(samples);
            Ok(())
        };
        let (mut log, noise) = (Log::default(), noise(2_000));
        let mut sink = Sink::new(&mut push, Mix::Mean, &Limits::default(), false);
        sink.set_format("mp3", 1_000, 1, &mut log).unwrap();
        sink.push_interleaved(&noise).unwrap();
        sink.set_format("mp3", 2_000, 1, &mut log).unwrap();
        sink.push_interleaved(&noise).unwrap();
        sink.set_format("mp3", 1_000, 2, &mut log).unwrap();
        sink.push_interleaved(&noise).unwrap();
        sink.finish().unwrap();
        assert_eq!((sink.seconds(), sink.format()), (4.0, (1_000, 1)));
        assert_eq!(out.len(), 4_000);
        assert_eq!(log.finish()[0].kind, WarningKind::FormatChange);
    }

    #[test]
    fn an_hour_at_a_megahertz_meets_the_limit_in_samples() {
        let mut push = |_: &[f32], _: u32, _: usize| Ok(());
        let limits = Limits { max_seconds: f64::INFINITY, ..Limits::default() };
        for (is_stream, allowed) in [(false, 7_200 * 192_000), (true, u64::MAX)] {
            let mut sink = Sink::new(&mut push, Mix::Mean, &limits, is_stream);
            sink.set_format("flac", 655_350, 1, &mut Log::default()).unwrap();
            assert_eq!(sink.max_frames, allowed);
        }
    }
}
