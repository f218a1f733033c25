//! What is wrong with a dataset: files that cannot be used, recordings with faults, and the same recording twice.
//!
//! An audio folder is examined by its samples, a feature store only for repeats. The faults of GTZAN that it looks for are those
//! of Sturm (2013), "The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use".

mod fingerprint;
mod signal;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use features::{
    Extractor, FeatureSpec,
    decode::{AudioInfo, decode},
    parallel::threads_of,
    spec::Needs,
};
use labels::Label;
use md5::Md5;
use polars::prelude::{DataFrame, NamedFrom, Series};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    AudioClip, AudioFolder, Dataset, Error, ExtractOptions, FeatureStore, Result,
    dataset::{extract::for_each_clip, feature_store::hex},
    gtzan::catalogue,
};
use fingerprint::SoundPrint;

/// The rate of GTZAN's clips, which both presets extract at, in Hz.
const RATE: u32 = 22_050;

/// A kind of fault, ordered by how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be decoded.
    Unreadable,
    /// The file is not the one of GTZAN that its name says, by the MD5 of the catalogue.
    WrongMd5,
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
    /// Files of an audio folder that are not clips, such as `.DS_Store`.
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
/// `progress` and `limits` are used. The comparison of pairs takes time with the square of the number of clips: seconds
/// for a thousand, minutes for ten thousand.
///
/// # Errors
/// [`Error::Io`] and [`Error::FeatureStore`] for a store that cannot be read; a file of an audio folder that cannot be read
/// is a finding. [`Error::Option`] for `threads` that cannot be had.
pub fn audit(dataset: &Dataset, options: &ExtractOptions<'_>) -> Result<Audit> {
    let mut audit = Audit { clips: dataset.len(), ..Audit::default() };
    let examined = match dataset {
        Dataset::AudioFolder(folder) => examine_folder(folder, options, &mut audit)?,
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

fn examine_folder(folder: &AudioFolder, options: &ExtractOptions<'_>, audit: &mut Audit) -> Result<Vec<Examined>> {
    audit.skipped = folder.skipped().len();
    let extractor = Extractor::new(FeatureSpec::gtzan_store().restricted_to(Needs::LogMel)?)?;
    let limits = &options.limits;
    let examine = |clip: &AudioClip| {
        // Read here and not by `decode_file`, for the digest is of the same bytes that are decoded.
        let size = fs::metadata(&clip.path).map_err(Error::io("read", &clip.path))?.len();
        if size > limits.max_bytes {
            return Err(features::Error::TooLarge { bytes: size, limit: limits.max_bytes }.into());
        }
        let bytes = fs::read(&clip.path).map_err(Error::io("read", &clip.path))?;
        let decoded = decode(&bytes, limits)?;
        let samples = decoded.clip.samples();
        let mut faults = Vec::new();
        let md5_compared = compare_md5(clip, &bytes, samples, &decoded.info, &mut faults);
        if let Some(entry) = catalogue().get(&clip.clip_id).filter(|entry| entry.genre.name() != &*clip.label) {
            faults.push((
                Fault::WrongGenre,
                format!("in a folder of {}; GTZAN's {} is {}", clip.label, clip.clip_id, entry.genre),
            ));
        }
        check_format(clip, &decoded.info, &mut faults);
        faults.extend(signal::faults(samples, &decoded.info));
        let print = match extractor.extract(&decoded.clip) {
            Ok(features) => SoundPrint::of(features.log_mel(), extractor.spec()),
            Err(error) => {
                faults.push((Fault::WrongLength, error.to_string()));
                None
            }
        };
        let mut hash = Sha256::new();
        hash.update(decoded.info.sample_rate.to_le_bytes());
        samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
        Ok(Pass { faults, md5_compared, digest: hex(&hash.finalize()), print })
    };
    let mut examined = Vec::with_capacity(folder.clips().len());
    for_each_clip(folder.clips(), options.threads, examine, |done, clip, pass| {
        match pass {
            Ok(Pass { faults, md5_compared, digest, print }) => {
                faults.into_iter().for_each(|(fault, detail)| audit.add(&clip.clip_id, fault, detail));
                audit.md5_compared += usize::from(md5_compared == Some(true));
                audit.md5_not_comparable += usize::from(md5_compared == Some(false));
                examined.push(Examined { clip_id: clip.clip_id.clone(), label: clip.label.clone(), digest, print });
            }
            Err(reason) => audit.add(&clip.clip_id, Fault::Unreadable, reason),
        }
        (options.progress)(done, folder.clips().len());
        Ok(())
    })?;
    Ok(examined)
}

/// Compares a clip of GTZAN with the catalogue's MD5 of its WAV file: the bytes of a `.wav`; of another lossless file,
/// the WAV that its samples make. `None` for what is not a clip of GTZAN, `Some(false)` for what cannot be compared.
fn compare_md5(
    clip: &AudioClip,
    bytes: &[u8],
    samples: &[f32],
    info: &AudioInfo,
    faults: &mut Vec<(Fault, String)>,
) -> Option<bool> {
    let entry = clip.catalogue()?;
    let is_wav = clip.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    let rebuilt = (info.channels == 1 && info.bits_per_sample == Some(16)).then(|| wav_of(samples, info.sample_rate));
    let digest = |bytes: &[u8]| hex(&Md5::digest(bytes));
    // A `.wav` that was written anew by another program has another header around the same samples.
    let found: Vec<String> = is_wav.then(|| digest(bytes)).into_iter().chain(rebuilt.as_deref().map(digest)).collect();
    if found.is_empty() {
        return Some(false);
    }
    if !found.contains(&entry.wav_md5) {
        faults.push((Fault::WrongMd5, format!("MD5 {}, GTZAN's file has {}", found[0], entry.wav_md5)));
    }
    Some(true)
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

fn check_format(clip: &AudioClip, info: &AudioInfo, faults: &mut Vec<(Fault, String)>) {
    let of_gtzan = clip.catalogue().is_some();
    if info.sample_rate < RATE {
        faults.push((Fault::WrongRate, format!("{} Hz: what lies above half of that is missing", info.sample_rate)));
    } else if of_gtzan && info.sample_rate != RATE {
        faults.push((Fault::WrongRate, format!("{} Hz; GTZAN's clips have {RATE} Hz", info.sample_rate)));
    }
    if of_gtzan && (info.seconds - 30.0).abs() > 1.0 {
        faults.push((Fault::WrongLength, format!("{:.2} s; GTZAN's clips have 30 s", info.seconds)));
    }
}

fn find_repeats(examined: &[Examined], threads: usize, audit: &mut Audit) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads_of(threads))
        .build()
        .map_err(|error| Error::threads(threads, error))?;
    let matches: Vec<Vec<(usize, Fault, String)>> = pool.install(|| {
        (0..examined.len())
            .into_par_iter()
            .map(|later| {
                (0..later)
                    .filter_map(|earlier| {
                        let (a, b) = (&examined[earlier], &examined[later]);
                        if a.digest == b.digest {
                            return Some((earlier, Fault::ExactRepeat, format!("the same samples as `{}`", a.clip_id)));
                        }
                        let found = a.print.as_ref()?.find(b.print.as_ref()?)?;
                        let detail = format!(
                            "the same recording as `{}`: {:.0} % of {:.1} s agree, {:+.2} s apart",
                            a.clip_id,
                            100.0 * (1.0 - found.error),
                            found.overlap_seconds,
                            found.shift_seconds
                        );
                        Some((earlier, Fault::Repeat, detail))
                    })
                    .collect()
            })
            .collect()
    });
    for (later, found) in matches.into_iter().enumerate() {
        for (earlier, fault, detail) in found {
            let (a, b) = (&examined[earlier], &examined[later]);
            let other = Some(a.clip_id.clone());
            if a.label != b.label {
                let detail = format!("{} here, {} as `{}`", b.label, a.label, a.clip_id);
                let other = other.clone();
                audit.findings.push(Finding { clip_id: b.clip_id.clone(), fault: Fault::TwoGenres, detail, other });
            }
            audit.findings.push(Finding { clip_id: b.clip_id.clone(), fault, detail, other });
        }
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
