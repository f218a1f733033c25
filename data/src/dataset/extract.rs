//! [`extract`]: audio becomes a feature store.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::AtomicBool,
};

use features::{
    Extractor, FeatureSpec,
    decode::Limits,
    parallel::{for_each_ordered, threads_of},
};

use super::{
    audio::{AudioClip, AudioDataset},
    feature_store::{Row, RowWriter, StoreTarget},
    relabel::LabelOptions,
    unused::{Reason, Unused},
    warned::Warned,
};
use crate::{Error, Result, gtzan::recognise::Recogniser};

/// Most bytes of each tensor that wait in memory for the store to be written.
const IN_MEMORY: usize = 1 << 20;

/// How a dataset is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What becomes of labels.
    pub labels: LabelOptions,
    /// How much audio a file may hold.
    pub limits: Limits,
    /// Whether a file is left out if something is wrong with it, although it could be decoded.
    pub strict: bool,
}

/// How [`extract`] works, not what it gives: no option changes a byte of the store, but for what `limits` and `strict` refuse.
pub struct ExtractOptions<'a> {
    /// Threads that decode and extract; 0 for one a core.
    pub threads: usize,
    /// Called with (clips done, clips in all), on the calling thread.
    pub progress: &'a dyn Fn(usize, usize),
    /// What becomes of labels.
    pub labels: LabelOptions,
    /// How much audio a file may hold.
    pub limits: Limits,
    /// Whether a file is left out if something is wrong with it, although it could be decoded.
    pub strict: bool,
    /// Where [`LabelledDataset`](crate::LabelledDataset) keeps the rows of audio folders that memory should not hold, in files
    /// without a name; the system's temporary folder by default.
    pub scratch: Option<&'a Path>,
}

impl Default for ExtractOptions<'_> {
    fn default() -> Self {
        Self {
            threads: 0,
            progress: &|_, _| (),
            labels: LabelOptions::default(),
            limits: Limits::default(),
            strict: false,
            scratch: None,
        }
    }
}

impl fmt::Debug for ExtractOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractOptions")
            .field("threads", &self.threads)
            .field("labels", &self.labels)
            .field("limits", &self.limits)
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}

/// What [`extract`] did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ExtractReport {
    /// Clips in the store.
    pub written: usize,
    /// Every file that is not used, ordered by reason and name.
    pub unused: Vec<Unused>,
    /// Every file that is used although something is wrong with it, ordered by name. The store keeps nothing of this.
    pub warned: Vec<Warned>,
    /// What a reader should know of the dataset.
    pub notes: Vec<String>,
}

/// Decodes every clip of `audio`, extracts its features and writes the feature store `out`.
///
/// Rows are in order of clip id and their bytes do not depend on the number of threads. Clips are padded to
/// one segment of `spec` (30 s in the presets); of a longer one the first segment is kept if it has fewer than twice as many
/// frames, else the middle one. Memory does not grow with the dataset. A clip that cannot be decoded or is too short is left
/// out and reported, and so is one that something is wrong with if `options.strict`; else that is reported. Labels become what `options.labels` says. An existing store is replaced at the very end; until then it stays as it is.
///
/// # Errors
/// [`Error::NotEmpty`] if `out` holds something other than a store; [`Error::NothingUsable`] if every clip was
/// left out; [`Error::Io`]; [`Error::Features`] for a specification that cannot be computed.
pub fn extract(
    audio: &AudioDataset,
    spec: &FeatureSpec,
    out: &Path,
    options: &ExtractOptions<'_>,
) -> Result<ExtractReport> {
    spec.validate()?;
    let mut counts = BTreeMap::new();
    audio.clips().iter().for_each(|clip| *counts.entry(clip.label.clone()).or_default() += 1);
    let (becomes, variants) = options.labels.apply(&counts)?;
    let mut audio = Cow::Borrowed(audio);
    if !becomes.is_empty() {
        audio.to_mut().relabel(&becomes);
    }
    let target = StoreTarget::new(out)?;
    let mut rows = RowWriter::new(spec, target.scratch(), IN_MEMORY);
    let Extracted { refused, warned } = extract_rows(&audio, &mut rows, options)?;
    let written = rows.len();
    rows.write(target)?;
    let mut unused: Vec<Unused> = audio.unused().iter().cloned().chain(refused).collect();
    unused.sort();
    let notes = audio.notes().iter().cloned().chain(options.labels.notes(&variants)).collect();
    Ok(ExtractReport { written, unused, warned, notes })
}

/// What decoding the clips of a dataset found.
pub(super) struct Extracted {
    /// Files that could not be used.
    pub(super) refused: Vec<Unused>,
    /// Files that are used although something is wrong with them, ordered by name.
    pub(super) warned: Vec<Warned>,
}

/// Decodes every clip of `audio` and adds its row to `rows`, in order of clip id.
///
/// # Errors
/// Those of [`extract`].
pub(super) fn extract_rows(
    audio: &AudioDataset,
    rows: &mut RowWriter,
    options: &ExtractOptions<'_>,
) -> Result<Extracted> {
    let spec = rows.spec().clone();
    let extractor = Extractor::new(spec.clone())?;
    let recogniser = Recogniser::new()?;
    let (limits, strict) = (&options.limits, options.strict);
    let extract = |clip: &AudioClip| {
        let mut decoded = clip.decode(limits)?;
        let warnings = std::mem::take(&mut decoded.info.warnings);
        if strict && !warnings.is_empty() {
            return Err(Error::Warned { warnings });
        }
        let gtzan = match clip.span {
            None => recogniser.recognise(&clip.clip_id, &clip.label, clip.artist.as_deref(), &decoded),
            Some(_) => None,
        };
        Ok((Row::encode(&extractor.extract(&decoded.clip)?, &spec)?, gtzan, warnings))
    };
    let mut refused = Vec::new();
    let mut warned = BTreeMap::new();
    for_each_clip(audio.clips(), options.threads, extract, |done, clip, extracted| {
        match extracted {
            Ok((row, gtzan, warnings)) => {
                rows.push(clip, &row, gtzan)?;
                warned.insert(audio.file_of(clip), warnings);
            }
            Err((reason, detail)) => refused.push(Unused::new(reason, audio.file_of(clip), detail)),
        }
        (options.progress)(done, audio.clips().len());
        Ok(())
    })?;
    if rows.len() == 0 {
        let first = refused.first();
        let first = first.map_or_else(|| "no clip".into(), |unused| format!("`{}`: {}", unused.file, unused.detail));
        return Err(Error::NothingUsable { path: audio.root().to_owned(), clips: audio.clips().len(), first });
    }
    Ok(Extracted { refused, warned: Warned::of(warned) })
}

/// A pool of so many threads; of one for each core for 0.
///
/// # Errors
/// [`Error::Option`].
pub(crate) fn workers(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads_of(threads)).build();
    pool.map_err(|error| Error::threads(threads, error))
}

/// Computes `work` of every clip on `threads` threads and hands the results to `take` on this thread, in order, with how
/// many are done. A failure of a clip, even a panic in a decoder, is its reason and message; a failure of `take` stops everything.
pub(crate) fn for_each_clip<T: Send>(
    clips: &[AudioClip],
    threads: usize,
    work: impl Fn(&AudioClip) -> Result<T> + Sync,
    mut take: impl FnMut(usize, &AudioClip, Result<T, (Reason, String)>) -> Result<()>,
) -> Result<()> {
    let work = |index: usize| match catch_unwind(AssertUnwindSafe(|| work(&clips[index]))) {
        Ok(result) => result.map_err(|error| (Reason::of(&error), error.to_string())),
        Err(_) => Err((Reason::Unreadable, "the program failed on this file; please report it".into())),
    };
    for_each_ordered(clips.len(), threads, &AtomicBool::new(false), work, |index, result| {
        take(index + 1, &clips[index], result).map_err(Failure::Take)
    })
    .map_err(|failure| match failure {
        Failure::Take(error) => error,
        Failure::Threads(error) => Error::threads(threads, error),
    })
}

enum Failure {
    Take(Error),
    Threads(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Threads(error)
    }
}
