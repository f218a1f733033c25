//! What is wrong with a dataset: files that cannot be used, recordings with faults, and the same recording twice.
//!
//! An audio folder is examined by its samples, a feature store only for repeats. The faults of GTZAN that it looks for are those
//! of Sturm (2013), "The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use".

mod signal;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use features::{
    Extractor, FeatureSpec, LogMel,
    decode::{AudioInfo, decode},
    spec::Needs,
};
use labels::Label;
use polars::prelude::{DataFrame, NamedFrom, Series};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    AudioClip, AudioDataset, Dataset, Error, ExtractOptions, FeatureStore, Result,
    dataset::extract::{for_each_clip, workers},
    digest::hex,
    fingerprint::{self, SoundPrint},
    gtzan::{CatalogueEntry, catalogue, recognise},
};

/// The rate of GTZAN's clips, which both presets extract at, in Hz.
const RATE: u32 = 22_050;

/// A kind of fault, ordered by how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be decoded.
    Unreadable,
    /// A clip of GTZAN by name, length and spectrum whose MD5 is not that of the catalogue.
    WrongMd5,
    /// The name is that of a clip of GTZAN, which it is not: neither by its MD5, nor by length and spectrum.
    NotGtzan,
    /// The catalogue has the clip under another label.
    WrongGenre,
    /// A clip of GTZAN that is not at 22 050 Hz, or any clip below that.
    WrongRate,
    /// A clip of GTZAN that is not 30 ± 1 s, or a clip too short to classify.
    WrongLength,
    /// More than a quarter of it is below −60 dB of full scale.
    Silent,
    /// More than one sample in 10 000 is within a run of three or more at full scale.
    Clipped,
    /// Its mean is more than 1 % of full scale.
    DcOffset,
    /// The same samples as another clip.
    ExactRepeat,
    /// The same recording as another clip, at another level, from another codec, or shifted in time.
    Repeat,
    /// The same recording stands under another label too.
    TwoGenres,
}

impl Fault {
    /// The name, such as `exact_repeat`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::WrongMd5 => "wrong_md5",
            Self::NotGtzan => "not_gtzan",
            Self::WrongGenre => "wrong_genre",
            Self::WrongRate => "wrong_rate",
            Self::WrongLength => "wrong_length",
            Self::Silent => "silent",
            Self::Clipped => "clipped",
            Self::DcOffset => "dc_offset",
            Self::ExactRepeat => "exact_repeat",
            Self::Repeat => "repeat",
            Self::TwoGenres => "two_genres",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One fault of one clip.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The clip; of a repeat, the later one by id.
    pub clip_id: String,
    /// What is wrong.
    pub fault: Fault,
    /// The same for a reader, with figures.
    pub detail: String,
    /// The clip that it repeats.
    pub other: Option<String>,
}

/// What [`audit`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// Clips examined.
    pub clips: usize,
    /// Files of an audio dataset that are not clips, such as `.DS_Store`.
    pub skipped: usize,
    /// Clips whose MD5 was compared with the catalogue's.
    pub md5_compared: usize,
    /// Clips of GTZAN that cannot be compared, for they are lossy copies or were converted.
    pub md5_not_comparable: usize,
    /// Clips too short, or with features too coarse, to be compared by fingerprint; they are compared exactly.
    pub not_fingerprinted: usize,
    /// The faults, ordered by clip and kind.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// One row a finding: `clip_id`, `fault`, `other` (null but for repeats), `detail`.
    ///
    /// # Errors
    /// [`Error::Frame`].
    pub fn frame(&self) -> Result<DataFrame> {
        let text = |name: &str, of: fn(&Finding) -> Option<&str>| {
            Series::new(name.into(), self.findings.iter().map(of).collect::<Vec<_>>()).into()
        };
        Ok(DataFrame::new_infer_height(vec![
            text("clip_id", |finding| Some(&finding.clip_id)),
            text("fault", |finding| Some(finding.fault.name())),
            text("other", |finding| finding.other.as_deref()),
            text("detail", |finding| Some(&finding.detail)),
        ])?)
    }

    /// Findings of each kind that there is.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Fault, usize> {
        let mut counts = BTreeMap::new();
        self.findings.iter().for_each(|finding| *counts.entry(finding.fault).or_default() += 1);
        counts
    }

    fn add(&mut self, clip_id: &str, fault: Fault, detail: String) {
        self.findings.push(Finding { clip_id: clip_id.to_owned(), fault, detail, other: None });
    }
}

/// Examines every clip of a dataset, and every pair of clips for being one recording. Of `options`, `threads`,
/// `progress` and `limits` are used. Of more than 1,000 clips, pairs are found by an index, and the time grows little more than the number of
/// clips does; repeats of which more than a quarter of the bits differ may be missed then.
///
/// # Errors
/// [`Error::Io`] and [`Error::FeatureStore`] for a store that cannot be read; a file of an audio folder that cannot be read
/// is a finding. [`Error::Option`] for `threads` that cannot be had.
pub fn audit(dataset: &Dataset, options: &ExtractOptions<'_>) -> Result<Audit> {
    let mut audit = Audit { clips: dataset.len(), ..Audit::default() };
    let examined = match dataset {
        Dataset::Audio(audio) => examine_audio(audio, options, &mut audit)?,
        Dataset::FeatureStore(store) => examine_store(store, options)?,
    };
    audit.not_fingerprinted = examined.iter().filter(|clip| clip.print.is_none()).count();
    find_repeats(&examined, options.threads, &mut audit)?;
    audit.findings.sort_by(|a, b| (&a.clip_id, a.fault, &a.other).cmp(&(&b.clip_id, b.fault, &b.other)));
    Ok(audit)
}

/// What a clip is compared with all others by.
struct Examined {
    clip_id: String,
    label: Label,
    /// Of the samples, or of the levels of a store.
    digest: String,
    print: Option<SoundPrint>,
}

fn examine_store(store: &FeatureStore, options: &ExtractOptions<'_>) -> Result<Vec<Examined>> {
    (0..store.len())
        .map(|row| {
            let features = store.features(row)?;
            let mut hash = Sha256::new();
            features.log_mel().db().iter().for_each(|db| hash.update(db.to_le_bytes()));
            (options.progress)(row + 1, store.len());
            Ok(Examined {
                clip_id: store.id(row).to_owned(),
                label: store.label(row).clone(),
                digest: hex(&hash.finalize()),
                print: SoundPrint::of(features.log_mel(), store.spec()),
            })
        })
        .collect()
}

/// What one pass over a file gives.
struct Pass {
    faults: Vec<(Fault, String)>,
    md5_compared: Option<bool>,
    digest: String,
    print: Option<SoundPrint>,
}

fn examine_audio(audio: &AudioDataset, options: &ExtractOptions<'_>, audit: &mut Audit) -> Result<Vec<Examined>> {
    audit.skipped = audio.unused().len();
    let extractor = Extractor::new(FeatureSpec::gtzan_store().restricted_to(Needs::LogMel)?)?;
    let limits = &options.limits;
    let examine = |clip: &AudioClip| {
        // Read here and not by `decode_file`, for the digest is of the same bytes that are decoded.
        let size = fs::metadata(&clip.path).map_err(Error::io("read", &clip.path))?.len();
        if size > limits.max_bytes {
            return Err(features::Error::TooLarge { bytes: size, limit: limits.max_bytes }.into());
        }
        let bytes = fs::read(&clip.path).map_err(Error::io("read", &clip.path))?;
        let decoded = match decode(&bytes, limits) {
            Ok(decoded) => clip.cut(decoded)?,
            Err(features::Error::Silent { detail }) => {
                let (faults, digest) = (vec![(Fault::Silent, detail)], hex(&Sha256::digest(&bytes)));
                return Ok(Pass { faults, md5_compared: None, digest, print: None });
            }
            Err(error) => return Err(error.into()),
        };
        let samples = decoded.clip.samples();
        let mut faults = Vec::new();
        let features = match extractor.extract(&decoded.clip) {
            Ok(features) => Some(features),
            Err(error) => {
                faults.push((Fault::WrongLength, error.to_string()));
                None
            }
        };
        let log_mel = features.as_ref().map(features::ClipFeatures::log_mel);
        let md5s =
            if clip.span.is_none() { recognise::wav_md5s(Some(&bytes), samples, &decoded.info) } else { Vec::new() };
        let (entry, md5_compared) = compare_with_gtzan(clip, &md5s, log_mel, &mut faults);
        check_rate(entry, &decoded.info, &mut faults);
        faults.extend(signal::faults(samples, &decoded.info));
        let mut hash = Sha256::new();
        hash.update(decoded.info.sample_rate.to_le_bytes());
        samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
        let print = log_mel.and_then(|log_mel| SoundPrint::of(log_mel, extractor.spec()));
        Ok(Pass { faults, md5_compared, digest: hex(&hash.finalize()), print })
    };
    let mut examined = Vec::with_capacity(audio.clips().len());
    for_each_clip(audio.clips(), options.threads, examine, |done, clip, pass| {
        match pass {
            Ok(Pass { faults, md5_compared, digest, print }) => {
                faults.into_iter().for_each(|(fault, detail)| audit.add(&clip.clip_id, fault, detail));
                audit.md5_compared += usize::from(md5_compared == Some(true));
                audit.md5_not_comparable += usize::from(md5_compared == Some(false));
                examined.push(Examined { clip_id: clip.clip_id.clone(), label: clip.label.clone(), digest, print });
            }
            Err((_, detail)) => audit.add(&clip.clip_id, Fault::Unreadable, detail),
        }
        (options.progress)(done, audio.clips().len());
        Ok(())
    })?;
    Ok(examined)
}

/// The clip of GTZAN that a clip is, and whether its MD5 was compared with the catalogue's: `None` for what is not a clip of GTZAN,
/// `Some(false)` for what cannot be compared.
fn compare_with_gtzan(
    clip: &AudioClip,
    md5s: &[String],
    log_mel: Option<&LogMel>,
    faults: &mut Vec<(Fault, String)>,
) -> (Option<&'static CatalogueEntry>, Option<bool>) {
    let AudioClip { clip_id, label, artist, .. } = clip;
    if let Some(entry) = recognise::by_checksum(md5s, clip_id) {
        if entry.genre.name() != label.as_str() {
            let detail = format!("in a folder of {label}; GTZAN's {} is {}", entry.clip_id, entry.genre);
            faults.push((Fault::WrongGenre, detail));
        }
        return (Some(entry), Some(true));
    }
    let by_spectrum = |log_mel| recognise::by_spectrum(clip_id, label, artist.as_deref(), log_mel);
    if let Some(entry) = log_mel.and_then(by_spectrum) {
        if let Some(md5) = md5s.first() {
            faults.push((Fault::WrongMd5, format!("MD5 {md5}, GTZAN's file has {}", entry.wav_md5)));
        }
        return (Some(entry), Some(!md5s.is_empty()));
    }
    if catalogue().get(clip_id).is_some() {
        let detail = "named as a clip of GTZAN, but neither its MD5, nor its length and spectrum are that clip's";
        faults.push((Fault::NotGtzan, detail.to_owned()));
    }
    (None, None)
}

fn check_rate(entry: Option<&CatalogueEntry>, info: &AudioInfo, faults: &mut Vec<(Fault, String)>) {
    if info.sample_rate < RATE {
        faults.push((Fault::WrongRate, format!("{} Hz: what lies above half of that is missing", info.sample_rate)));
    } else if entry.is_some() && info.sample_rate != RATE {
        faults.push((Fault::WrongRate, format!("{} Hz; GTZAN's clips have {RATE} Hz", info.sample_rate)));
    }
}

fn find_repeats(examined: &[Examined], threads: usize, audit: &mut Audit) -> Result<()> {
    let mut of_digest: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut found: BTreeMap<(usize, usize), (Fault, String)> = BTreeMap::new();
    for (later, clip) in examined.iter().enumerate() {
        let same = of_digest.entry(&clip.digest).or_default();
        for &earlier in same.iter() {
            let detail = format!("the same samples as `{}`", examined[earlier].clip_id);
            found.insert((later, earlier), (Fault::ExactRepeat, detail));
        }
        same.push(later);
    }
    let prints: Vec<Option<SoundPrint>> = examined.iter().map(|clip| clip.print.clone()).collect();
    for (earlier, later, agreement) in workers(threads)?.install(|| fingerprint::repeats(&prints)) {
        let detail = format!(
            "the same recording as `{}`: {:.0} % of {:.1} s agree, {:+.2} s apart",
            examined[earlier].clip_id,
            100.0 * (1.0 - agreement.error),
            agreement.overlap_seconds,
            agreement.shift_seconds
        );
        found.entry((later, earlier)).or_insert((Fault::Repeat, detail));
    }
    for ((later, earlier), (fault, detail)) in found {
        let (a, b) = (&examined[earlier], &examined[later]);
        let other = Some(a.clip_id.clone());
        if a.label != b.label {
            let detail = format!("{} here, {} as `{}`", b.label, a.label, a.clip_id);
            let other = other.clone();
            audit.findings.push(Finding { clip_id: b.clip_id.clone(), fault: Fault::TwoGenres, detail, other });
        }
        audit.findings.push(Finding { clip_id: b.clip_id.clone(), fault, detail, other });
    }
    Ok(())
}

/// [`audit`] of the dataset at `path`.
///
/// # Errors
/// Those of [`Dataset::open`] and [`audit`].
pub fn audit_path(path: &Path, options: &ExtractOptions<'_>) -> Result<Audit> {
    audit(&Dataset::open(path)?, options)
}
