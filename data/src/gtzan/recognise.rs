//! Whether a clip is one of GTZAN's: by its checksum, or by its name, length and spectrum together; never by a name alone.

use features::{
    Extractor, FeatureSpec, LogMel,
    decode::{AudioInfo, Decoded},
    spec::Needs,
};
use labels::Label;
use md5::Md5;
use sha2::Digest as _;

use super::{CatalogueEntry, Spectrum, catalogue};
use crate::{Result, artist_key, digest::hex};

/// Frames of a clip of GTZAN, which has 30 ± 1 s, in those features.
const FRAMES: std::ops::RangeInclusive<usize> = 332..=356;
/// Largest distance of two spectra of one clip, in dB: see [`Spectrum::distance`]. Of two clips of one genre, one pair in 500 is as near.
const NEAR: f64 = 1.0;

/// MD5s, in hexadecimal, that a file has or would have as one of GTZAN's WAV files: that of its bytes if it is a WAV file, and that of the
/// WAV file which its samples make if they are mono of 16 bits. A `.wav` that another program wrote anew has another header around the same
/// samples. `bytes` are those of the file, where they are at hand.
pub(crate) fn wav_md5s(bytes: Option<&[u8]>, samples: &[f32], info: &AudioInfo) -> Vec<String> {
    let digest = |bytes: &[u8]| hex(&Md5::digest(bytes));
    let rebuilt = (info.channels == 1 && info.bits_per_sample == Some(16)).then(|| wav_of(samples, info.sample_rate));
    bytes.filter(|_| info.container == "wav").into_iter().chain(rebuilt.as_deref()).map(digest).collect()
}

/// The 44-byte header that GTZAN's WAV files have, and the samples as 16-bit PCM.
fn wav_of(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let data = samples.len() as u32 * 2;
    let mut wav = Vec::with_capacity(44 + samples.len() * 2);
    wav.extend(b"RIFF");
    wav.extend((36 + data).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(sample_rate.to_le_bytes());
    wav.extend((sample_rate * 2).to_le_bytes());
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend(data.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| ((sample * 32_768.0).round() as i16).to_le_bytes()));
    wav
}

/// The clip of GTZAN with one of these checksums: of repeats the one that is called `clip_id`, else the first.
pub(crate) fn by_checksum(md5s: &[String], clip_id: &str) -> Option<&'static CatalogueEntry> {
    let catalogue = catalogue();
    let has = |entry: &CatalogueEntry| md5s.contains(&entry.wav_md5);
    catalogue.get(clip_id).filter(|entry| has(entry)).or_else(|| md5s.iter().find_map(|md5| catalogue.with_md5(md5)))
}

/// The clip of GTZAN that is called `clip_id`, if label, length and spectrum are its too, and no other artist is named. `log_mel` is one of
/// the features `gtzan-store`.
pub(crate) fn by_spectrum(
    clip_id: &str,
    label: &Label,
    artist: Option<&str>,
    log_mel: &LogMel,
) -> Option<&'static CatalogueEntry> {
    named(clip_id, label, artist).filter(|entry| {
        let near = |ours: Spectrum| entry.spectrum.is_some_and(|theirs| ours.distance(&theirs) <= NEAR);
        FRAMES.contains(&log_mel.n_frames()) && Spectrum::of(log_mel).is_some_and(near)
    })
}

/// The catalogue's entry of a clip id, unless the label or artist known of the clip contradict it: a candidate, and no more.
fn named(clip_id: &str, label: &Label, artist: Option<&str>) -> Option<&'static CatalogueEntry> {
    catalogue().get(clip_id).filter(|entry| {
        let same_artist = match (artist, &entry.artist) {
            (Some(ours), Some(theirs)) => artist_key(ours) == artist_key(theirs),
            // A named artist where GTZAN's is unknown: somebody else's clip, as GTZAN's stays unknown everywhere.
            (Some(_), None) => false,
            (None, _) => true,
        };
        entry.genre.name() == label.as_str() && same_artist
    })
}

/// Recognises decoded clips.
#[derive(Debug)]
pub(crate) struct Recogniser {
    extractor: Extractor,
}

impl Recogniser {
    /// # Errors
    /// Those of [`Extractor::new`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { extractor: Extractor::new(FeatureSpec::gtzan_store().restricted_to(Needs::LogMel)?)? })
    }

    /// The clip of GTZAN that was decoded, if it is one.
    pub(crate) fn recognise(
        &self,
        clip_id: &str,
        label: &Label,
        artist: Option<&str>,
        decoded: &Decoded,
    ) -> Option<&'static CatalogueEntry> {
        let Decoded { clip, info } = decoded;
        // All of GTZAN's files have this rate and about this length.
        let may_be = info.sample_rate == 22_050 && (25.0..35.0).contains(&info.seconds);
        let found = may_be.then(|| by_checksum(&wav_md5s(None, clip.samples(), info), clip_id)).flatten();
        found.or_else(|| {
            named(clip_id, label, artist)?;
            let features = self.extractor.extract(clip).ok()?;
            by_spectrum(clip_id, label, artist, features.log_mel())
        })
    }
}

/// The clip of GTZAN that a row of a store is, where its log-mel is of the features `gtzan-store`.
pub(crate) fn of_row(
    clip_id: &str,
    label: &Label,
    artist: Option<&str>,
    spec: &FeatureSpec,
    log_mel: impl FnOnce() -> Result<LogMel>,
) -> Result<Option<&'static CatalogueEntry>> {
    let candidate = named(clip_id, label, artist).is_some();
    if !candidate || spec.log_mel_fingerprint() != FeatureSpec::gtzan_store().log_mel_fingerprint() {
        return Ok(None);
    }
    Ok(by_spectrum(clip_id, label, artist, &log_mel()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// A log-mel whose bands have the levels that `of` gives.
    fn log_mel(n_frames: usize, of: impl Fn(usize) -> f32) -> LogMel {
        LogMel::new(Array2::from_shape_fn((128, n_frames), |(band, _)| of(band))).expect("finite")
    }

    #[test]
    fn a_name_alone_is_not_enough() {
        let entry = catalogue().entries().iter().find(|entry| entry.spectrum.is_some()).expect("some have one");
        let (id, label) = (entry.clip_id.as_str(), entry.genre.label());
        assert_eq!(named(id, &label, None), Some(entry));
        assert_eq!(by_spectrum(id, &label, None, &log_mel(344, |_| -40.0)), None, "another spectrum");
        let shape = entry.spectrum.expect("it has one").decibels();
        let its_own = |n_frames| log_mel(n_frames, |band| (shape[band / 8] - 30.0) as f32);
        assert_eq!(by_spectrum(id, &label, None, &its_own(344)), Some(entry));
        assert_eq!(by_spectrum(id, &label, None, &its_own(300)), None, "another length");
        assert_eq!(by_spectrum(id, &label, Some("Somebody Else"), &its_own(344)), None, "another artist");
        assert_eq!(by_spectrum(id, &Label::new("polka").expect("a label"), None, &its_own(344)), None, "another label");
        assert_eq!(by_spectrum("song", &label, None, &its_own(344)), None, "another name");
        assert_eq!(by_checksum(std::slice::from_ref(&entry.wav_md5), "song"), catalogue().with_md5(&entry.wav_md5));
    }
}
