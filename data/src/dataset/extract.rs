//! [`extract`]: an audio folder becomes a feature store.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::AtomicBool,
};

use features::{
    Extractor, FeatureSpec,
    decode::{Limits, decode_file},
    parallel::for_each_ordered,
};

use crate::{
    AudioClip, AudioFolder, Error, Result,
    dataset::feature_store::{Row, RowWriter, StoreTarget},
};

/// Most bytes of each tensor that wait in memory for the store to be written.
const IN_MEMORY: usize = 1 << 20;

/// How [`extract`] works, not what it gives: no option changes a byte of the store, but for what `limits` refuse.
pub struct ExtractOptions<'a> {
    /// Threads that decode and extract; 0 for one a core.
    pub threads: usize,
    /// Called with (clips done, clips in all), on the calling thread.
    pub progress: &'a dyn Fn(usize, usize),
    /// Called with each clip that is left out and why, on the calling thread.
    pub on_reject: &'a dyn Fn(&AudioClip, &str),
    /// How much audio a file may hold.
    pub limits: Limits,
    /// Where [`LabelledDataset`](crate::LabelledDataset) keeps the rows of audio folders that memory should not hold, in files
    /// without a name; the system's temporary folder by default.
    pub scratch: Option<&'a Path>,
}

impl Default for ExtractOptions<'_> {
    fn default() -> Self {
        Self { threads: 0, progress: &|_, _| (), on_reject: &|_, _| (), limits: Limits::default(), scratch: None }
    }
}

impl fmt::Debug for ExtractOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractOptions")
            .field("threads", &self.threads)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What [`extract`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtractReport {
    /// Clips in the store.
    pub written: usize,
    /// Clips that were left out, by id, and why.
    pub rejected: Vec<(String, String)>,
}

/// Decodes every clip of `folder`, extracts its features and writes the feature store `out`.
///
/// Rows are in order of clip id and their bytes do not depend on the number of threads. Clips are padded to
/// one segment of `spec` (30 s in the presets); of a longer one the first segment is kept if it has fewer than twice as many
/// frames, else the middle one. Memory does not grow with the dataset. A clip that cannot be decoded or is too short is left
/// out and reported. An existing store is replaced at the very end; until then it stays as it is.
///
/// # Errors
/// [`Error::NotEmpty`] if `out` holds something other than a store; [`Error::NothingUsable`] if every clip was
/// left out; [`Error::Io`]; [`Error::Features`] for a specification that cannot be computed.
pub fn extract(
    folder: &AudioFolder,
    spec: &FeatureSpec,
    out: &Path,
    options: &ExtractOptions<'_>,
) -> Result<ExtractReport> {
    spec.validate()?;
    let target = StoreTarget::new(out)?;
    let mut rows = RowWriter::new(spec, target.scratch(), IN_MEMORY);
    let report = extract_rows(folder, &mut rows, options)?;
    rows.write(target)?;
    Ok(report)
}

/// Decodes every clip of `folder` and adds its row to `rows`, in order of clip id.
///
/// # Errors
/// Those of [`extract`].
pub(super) fn extract_rows(
    folder: &AudioFolder,
    rows: &mut RowWriter,
    options: &ExtractOptions<'_>,
) -> Result<ExtractReport> {
    let spec = rows.spec().clone();
    let extractor = Extractor::new(spec.clone())?;
    let limits = &options.limits;
    let extract = |clip: &AudioClip| {
        let decoded = decode_file(&clip.path, limits)?;
        Row::encode(&extractor.extract(&decoded.clip)?, &spec)
    };
    let mut report = ExtractReport::default();
    for_each_clip(folder.clips(), options.threads, extract, |done, clip, row| {
        match row {
            Ok(row) => rows.push(clip, &row)?,
            Err(reason) => {
                (options.on_reject)(clip, &reason);
                report.rejected.push((clip.clip_id.clone(), reason));
            }
        }
        (options.progress)(done, folder.clips().len());
        Ok(())
    })?;
    report.written = rows.len();
    if report.written == 0 {
        let first =
            report.rejected.first().map_or_else(|| "no clip".into(), |(id, reason)| format!("`{id}`: {reason}"));
        return Err(Error::NothingUsable { path: folder.root().to_owned(), clips: folder.clips().len(), first });
    }
    Ok(report)
}

/// Computes `work` of every clip on `threads` threads and hands the results to `take` on this thread, in order, with how
/// many are done. A failure of a clip, even a panic in a decoder, is its message; a failure of `take` stops everything.
pub(crate) fn for_each_clip<T: Send>(
    clips: &[AudioClip],
    threads: usize,
    work: impl Fn(&AudioClip) -> Result<T> + Sync,
    mut take: impl FnMut(usize, &AudioClip, Result<T, String>) -> Result<()>,
) -> Result<()> {
    let work = |index: usize| match catch_unwind(AssertUnwindSafe(|| work(&clips[index]))) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the program failed on this file; please report it".into()),
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
