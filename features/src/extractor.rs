//! [`Extractor`]: from a [`Clip`], or a row of a store, to the vectors that a classifier sees.

use std::{hint::black_box, path::Path, sync::Once};

use ndarray::{Array2, Axis, Slice};

use crate::{
    Clip, ClipFeatures, Error, FeatureSpec, Fingerprint, LogMel, Result,
    aggregate::Aggregator,
    clip::check_samples,
    decode::{AudioInfo, Limits, stream_file},
    dsp::{db::power_to_db, mel::MelFilterbank, resample::Resampler, stft::Stft},
    series,
    spec::{Needs, SpanSpec, StftSpec},
};

/// The vector of one span of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureVector {
    /// Where it starts, in seconds from the start of the clip.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// Its dimensions, in the order of [`Extractor::names`].
    pub vector: Vec<f32>,
}

/// A range of frames: a segment or a texture window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Its first frame.
    pub start: usize,
    /// The frame after its last.
    pub end: usize,
    /// Where it starts, in seconds from the start of the clip.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
}

/// Computes what a [`FeatureSpec`] says. Made once, used for many clips, from any number of threads.
#[derive(Debug)]
pub struct Extractor {
    spec: FeatureSpec,
    names: Vec<String>,
    stft: Stft,
    filterbank: MelFilterbank,
    aggregator: Aggregator,
}

impl Extractor {
    /// Prepares windows, twiddles and filter banks.
    ///
    /// # Errors
    /// Those of [`FeatureSpec::validate`].
    pub fn new(spec: FeatureSpec) -> Result<Self> {
        spec.validate()?;
        keep_freed();
        let stft = Stft::new(&spec.stft)?;
        let filterbank = MelFilterbank::new(spec.sample_rate, spec.stft.n_fft, &spec.mel)?;
        let aggregator = Aggregator::new(&spec)?;
        Ok(Self { names: aggregator.names(), stft, filterbank, aggregator, spec })
    }

    /// The specification that this extractor computes.
    #[must_use]
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Name of each dimension of a vector, such as `mfcc.3.mean`.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Centre of each mel band, in Hz, rising.
    #[must_use]
    pub fn band_centres(&self) -> &[f64] {
        self.filterbank.center_frequencies()
    }

    /// Extracts the features of a clip: resamples, transforms, and computes the log-mel and every series that the specification names.
    ///
    /// # Errors
    /// [`Error::TooShort`] for a clip of fewer than `segment.min_frames` frames.
    pub fn extract(&self, clip: &Clip) -> Result<ClipFeatures> {
        let clip = clip.resampled(self.spec.sample_rate)?;
        self.check_length(self.stft.n_frames(clip.samples().len()), clip.seconds())?;
        let mel = self.filterbank.spectrogram(&self.stft, clip.samples())?;
        self.features(mel, clip.samples())
    }

    /// Extracts the features of audio of `sample_rate` in Hz that comes piece by piece: [`ClipStream::finish`] gives the bits of
    /// [`extract`](Self::extract). Of a specification that needs the log-mel alone no sample is kept.
    ///
    /// # Errors
    /// [`Error::Spec`] for a rate outside [`SAMPLE_RATES`](crate::dsp::resample::SAMPLE_RATES).
    pub fn stream(&self, sample_rate: u32) -> Result<ClipStream<'_>> {
        let resampler = (sample_rate != self.spec.sample_rate)
            .then(|| Resampler::new(sample_rate, self.spec.sample_rate))
            .transpose()?;
        let silence = if self.spec.stft.center { self.spec.stft.n_fft / 2 } else { 0 };
        let needs = self.spec.descriptors.iter().map(|descriptor| descriptor.needs()).max();
        Ok(ClipStream {
            extractor: self,
            stft: Stft::new(&StftSpec { center: false, ..self.spec.stft })?,
            resampler,
            pending: vec![0.0; silence],
            n_samples: 0,
            kept: needs.is_some_and(|needs| needs > Needs::LogMel).then(Vec::new),
            mel: Vec::new(),
        })
    }

    /// Extracts the features of the audio file at `path`, decoded piece by piece: those of [`extract`](Self::extract), and what was found in
    /// the file. See [`stream`](Self::stream) for what is kept in memory.
    ///
    /// # Errors
    /// Those of [`stream_file`] and of [`extract`](Self::extract).
    pub fn extract_file(&self, path: &Path, limits: &Limits) -> Result<(ClipFeatures, AudioInfo)> {
        let mut stream = None;
        let info = stream_file(path, limits, &mut |samples, sample_rate| {
            let stream = match &mut stream {
                Some(stream) => stream,
                None => stream.insert(self.stream(sample_rate)?),
            };
            stream.push(samples)
        })?;
        Ok((stream.ok_or(Error::Empty)?.finish()?, info))
    }

    /// The features of a mel spectrogram of powers, `[n_mels, n_frames]`, and of the samples, as far as the specification needs them.
    fn features(&self, mut mel: Array2<f32>, samples: &[f32]) -> Result<ClipFeatures> {
        power_to_db(&mut mel, &self.spec.db);
        let mut log_mel = LogMel::new(mel)?;
        if let Some(quantisation) = &self.spec.quantisation {
            log_mel = log_mel.quantised(quantisation);
        }
        let series = series::compute(&self.spec, &self.stft, samples, &log_mel)?;
        ClipFeatures::new(log_mel, series)
    }

    /// The segments of a clip, whose probabilities are averaged into those of the clip, each with its vector.
    ///
    /// # Errors
    /// [`Error::TooShort`] for fewer than `segment.min_frames` frames; [`Error::Shape`] when `features` has another
    /// number of bands than the specification, or lacks a series that it names.
    pub fn segments(&self, features: &ClipFeatures) -> Result<Vec<FeatureVector>> {
        self.vectors(features, self.spec.segmentation.segment)
    }

    /// The texture windows of a clip, which make its timeline, each with its vector.
    ///
    /// # Errors
    /// As [`segments`](Self::segments).
    pub fn windows(&self, features: &ClipFeatures) -> Result<Vec<FeatureVector>> {
        self.vectors(features, self.spec.segmentation.window)
    }

    /// The spans of the segments of a clip of `n_frames` frames, in the order of time; at least one.
    ///
    /// # Errors
    /// [`Error::TooShort`] for fewer than `segment.min_frames` frames.
    pub fn segment_spans(&self, n_frames: usize) -> Result<Vec<Span>> {
        self.spans(n_frames, self.spec.segmentation.segment)
    }

    /// The spans of its texture windows.
    ///
    /// # Errors
    /// As [`segment_spans`](Self::segment_spans).
    pub fn window_spans(&self, n_frames: usize) -> Result<Vec<Span>> {
        self.spans(n_frames, self.spec.segmentation.window)
    }

    fn spans(&self, n_frames: usize, spans: SpanSpec) -> Result<Vec<Span>> {
        self.check_length(n_frames, self.spec.seconds(n_frames))?;
        let length = spans.frames.min(n_frames);
        let span = |start| {
            let start_seconds = start as f64 * self.hop_seconds();
            Span { start, end: start + length, start_seconds, end_seconds: start_seconds + self.spec.seconds(length) }
        };
        Ok(starts(n_frames, length, spans.hop).into_iter().map(span).collect())
    }

    /// The vector of one span.
    ///
    /// # Errors
    /// [`Error::Shape`] when the span does not lie in `features`, or as of [`segments`](Self::segments).
    pub fn vector(&self, features: &ClipFeatures, span: Span) -> Result<FeatureVector> {
        self.check_bands(features)?;
        Ok(FeatureVector {
            start_seconds: span.start_seconds,
            end_seconds: span.end_seconds,
            vector: self.aggregator.vector(&features.frames(span.start, span.end)?)?,
        })
    }

    fn vectors(&self, features: &ClipFeatures, spans: SpanSpec) -> Result<Vec<FeatureVector>> {
        let spans = self.spans(features.log_mel().n_frames(), spans)?;
        spans.into_iter().map(|span| self.vector(features, span)).collect()
    }

    /// Whether `features` were extracted with this specification, as far as its log-mel tells.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has another number of bands.
    pub fn check_bands(&self, features: &ClipFeatures) -> Result<()> {
        if features.log_mel().n_mels() != self.spec.mel.n_mels {
            return Err(Error::Shape {
                what: "log-mel",
                expected: format!("{} bands", self.spec.mel.n_mels),
                found: format!("{} bands", features.log_mel().n_mels()),
            });
        }
        Ok(())
    }

    fn hop_seconds(&self) -> f64 {
        self.spec.stft.hop_length as f64 / f64::from(self.spec.sample_rate)
    }

    fn check_length(&self, n_frames: usize, seconds: f64) -> Result<()> {
        let minimum = self.spec.segmentation.min_frames;
        if n_frames < minimum {
            return Err(Error::TooShort { seconds, minimum: self.spec.seconds(minimum) });
        }
        Ok(())
    }
}

/// Frames of a stream that are transformed together.
const STREAM_FRAMES: usize = 256;

/// Audio that comes piece by piece, on its way to [`ClipFeatures`]: see [`Extractor::stream`].
#[derive(Debug)]
pub struct ClipStream<'a> {
    extractor: &'a Extractor,
    /// Not centred: the silence before and after is written into `pending`.
    stft: Stft,
    resampler: Option<Resampler>,
    /// Samples from the first frame on that is not transformed yet.
    pending: Vec<f32>,
    /// Samples so far, at the rate of the specification.
    n_samples: usize,
    /// All samples, where more than the log-mel is computed from them.
    kept: Option<Vec<f32>>,
    /// Mel spectrograms of powers, `[n_mels, frames]`, one behind the other.
    mel: Vec<Array2<f32>>,
}

impl ClipStream<'_> {
    /// Takes the next samples: full scale ±1, at the rate that the stream was made for.
    ///
    /// # Errors
    /// [`Error::BadSample`] for a NaN, an infinity or a value beyond ±1e10.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        check_samples(samples)?;
        match &mut self.resampler {
            Some(resampler) => {
                let resampled = resampler.push(samples);
                self.take(&resampled)
            }
            None => self.take(samples),
        }
    }

    fn take(&mut self, samples: &[f32]) -> Result<()> {
        self.n_samples += samples.len();
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(samples);
        }
        self.pending.extend_from_slice(samples);
        let hop = self.stft.hop_length();
        let (step, span) = (STREAM_FRAMES * hop, (STREAM_FRAMES - 1) * hop + self.stft.n_fft());
        let mut start = 0;
        // A hop may be longer than a frame.
        while self.pending.len() >= start + step.max(span) {
            let piece = &self.pending[start..start + span];
            self.mel.push(self.extractor.filterbank.spectrogram(&self.stft, piece)?);
            start += step;
        }
        self.pending.drain(..start);
        Ok(())
    }

    /// The features of all of it.
    ///
    /// # Errors
    /// [`Error::Empty`] without a sample; [`Error::TooShort`] for fewer than `segment.min_frames` frames.
    pub fn finish(mut self) -> Result<ClipFeatures> {
        if let Some(resampler) = self.resampler.take() {
            let rest = resampler.finish();
            self.take(&rest)?;
        }
        if self.n_samples == 0 {
            return Err(Error::Empty);
        }
        let (extractor, n_samples) = (self.extractor, self.n_samples);
        let n_frames = extractor.stft.n_frames(n_samples);
        extractor.check_length(n_frames, n_samples as f64 / f64::from(extractor.spec.sample_rate))?;
        if extractor.spec.stft.center {
            let silence = vec![0.0; extractor.spec.stft.n_fft / 2];
            let kept = self.kept.take();
            self.take(&silence)?;
            self.kept = kept;
        }
        let done: usize = self.mel.iter().map(Array2::ncols).sum();
        if done < n_frames {
            self.mel.push(extractor.filterbank.spectrogram(&self.stft, &self.pending)?);
        }
        let mut mel = Array2::zeros((extractor.spec.mel.n_mels, n_frames));
        let mut at = 0;
        for piece in self.mel.drain(..) {
            let end = at + piece.ncols();
            mel.slice_axis_mut(Axis(1), Slice::from(at..end)).assign(&piece);
            at = end;
        }
        extractor.features(mel, &self.kept.unwrap_or_default())
    }
}

/// The last span is added when at least one part in this many of it would be left out otherwise.
const LEAST_REMAINDER: usize = 8;

/// First frames of the spans of `length` frames (at most `n_frames`).
///
/// The last is aligned with the end, unless the spans before it leave out less than an eighth of a span: a clip of
/// 30.1 s is one segment of 30 s, as it is in a store, and not two that are almost the same.
fn starts(n_frames: usize, length: usize, hop: usize) -> Vec<usize> {
    let last = n_frames - length;
    let mut starts: Vec<_> = (0..=last).step_by(hop).collect();
    if starts.last().is_some_and(|start| last > *start && (last - start) * LEAST_REMAINDER >= length) {
        starts.push(last);
    }
    starts
}

/// SHA-256 of the features and the vectors of a clip: equal digests mean equal bits.
#[must_use]
pub fn digest(features: &ClipFeatures, segments: &[FeatureVector]) -> Fingerprint {
    let series = features.all_series().flat_map(|(_, values)| values.iter().copied().collect::<Vec<_>>());
    let vectors = segments.iter().flat_map(|segment| segment.vector.iter().copied());
    let bytes: Vec<u8> =
        features.log_mel().db().iter().copied().chain(series).chain(vectors).flat_map(f32::to_le_bytes).collect();
    Fingerprint::of(&bytes)
}

/// The largest block that glibc takes as a hint: its `DEFAULT_MMAP_THRESHOLD_MAX` of 32 MiB, less room for its own header.
const HINT_BYTES: usize = (32 << 20) - (64 << 10);

/// Makes the allocator keep what is freed (up to 64 MiB a thread) instead of giving it back to the system at once.
///
/// A clip of 30 s takes tens of MiB of spectrograms and frees them again; fetching their pages anew for every clip is a
/// third of the time of its extraction. glibc's malloc keeps at most twice the largest block that was ever mapped
/// and freed, so one such block, of which no page is touched, raises the bound. Other allocators see an unused block
/// come and go.
pub fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(HINT_BYTES))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two seconds and more of a chord with a beat.
    fn clip(seconds: f64) -> Clip {
        let n = (seconds * 22_050.0) as usize;
        let samples = (0..n)
            .map(|i| {
                let t = i as f64 / 22_050.0;
                let beat = libm::exp(-8.0 * (t % 0.5));
                let chord: f64 = [220.0, 277.2, 329.6].iter().map(|f| libm::sin(std::f64::consts::TAU * f * t)).sum();
                (0.2 * beat * chord) as f32
            })
            .collect();
        Clip::new(samples, 22_050).expect("samples")
    }

    #[test]
    fn a_clip_and_its_store_row_give_the_same_vector() {
        let spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left");
        let quantisation = spec.quantisation.expect("a store has levels");
        let extractor = Extractor::new(spec).expect("valid");
        let features = extractor.extract(&clip(5.0)).expect("long enough");
        let log_mel = features.log_mel();
        let row =
            LogMel::from_levels(&log_mel.levels(&quantisation), log_mel.n_mels(), log_mel.n_frames(), &quantisation)
                .expect("the same shape");
        let from_store = extractor.segments(&ClipFeatures::from(row)).expect("long enough");
        assert_eq!(from_store, extractor.segments(&features).expect("long enough"));
    }

    #[test]
    fn no_preset_gives_a_nan_for_sound_silence_or_a_constant() {
        for name in crate::spec::PRESETS {
            let extractor = Extractor::new(FeatureSpec::preset(name).expect("a preset")).expect("valid");
            let constant = |value| Clip::new(vec![value; 3 * 22_050], 22_050).expect("samples");
            for clip in [clip(3.0), clip(40.0), constant(0.0), constant(0.5), constant(1e-20)] {
                let features = extractor.extract(&clip).expect("long enough");
                let segments = extractor.segments(&features).expect("long enough");
                for segment in segments.iter().chain(&extractor.windows(&features).expect("long enough")) {
                    assert_eq!(segment.vector.len(), extractor.names().len());
                    let bad = segment.vector.iter().position(|value| !value.is_finite());
                    assert_eq!(bad.map(|i| &extractor.names()[i]), None, "{name}");
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let extractor = Extractor::new(FeatureSpec::gtzan_store()).expect("valid");
        let names: std::collections::BTreeSet<_> = extractor.names().iter().collect();
        assert_eq!(names.len(), extractor.names().len());
    }

    #[test]
    fn a_clip_that_is_too_short_says_how_long_it_must_be() {
        let extractor = Extractor::new(FeatureSpec::gtzan_store()).expect("valid");
        let message = extractor.extract(&clip(0.5)).expect_err("refused").to_string();
        assert!(message.contains("0.500 s") && message.contains("at least"), "{message}");
    }

    #[test]
    fn the_same_bits_at_every_simd_level() {
        let extractor = Extractor::new(FeatureSpec::gtzan_store()).expect("valid");
        let digests: std::collections::BTreeSet<_> = simd::Level::available()
            .into_iter()
            .map(|level| {
                simd::with_level(level, || {
                    let features = extractor.extract(&clip(4.0)).expect("long enough");
                    digest(&features, &extractor.segments(&features).expect("long enough"))
                })
            })
            .collect();
        assert_eq!(digests.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn a_stream_has_the_bits_of_the_whole_clip(
            name in prop::sample::select(crate::spec::PRESETS.to_vec()), rate in prop::sample::select(vec![22_050u32, 44_100, 8_000]),
            seconds in 3.0f64..40.0, piece in 1usize..100_000,
        ) {
            let extractor = Extractor::new(FeatureSpec::preset(name).expect("a preset")).expect("valid");
            let clip = Clip::new(clip(seconds).samples().to_vec(), rate).expect("samples");
            let mut stream = extractor.stream(rate).expect("a rate");
            for piece in clip.samples().chunks(piece) {
                stream.push(piece).expect("samples");
            }
            match (stream.finish(), extractor.extract(&clip)) {
                (Ok(streamed), Ok(whole)) => prop_assert!(streamed == whole),
                (streamed, whole) => prop_assert_eq!(format!("{streamed:?}"), format!("{whole:?}")),
            }
        }
    }

    proptest! {
        #[test]
        fn spans_leave_out_less_than_an_eighth_of_one(n_frames in 1usize..2_000, length in 1usize..400, hop in 1usize..400) {
            let length = length.min(n_frames);
            let hop = hop.min(length);
            let starts = starts(n_frames, length, hop);
            prop_assert_eq!(starts[0], 0);
            let left_out = n_frames - (starts[starts.len() - 1] + length);
            prop_assert!(left_out == 0 || left_out * LEAST_REMAINDER < length);
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= hop));
        }
    }
}
