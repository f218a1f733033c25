//! The audio of clips that are held out: a feature store has none, and what degrades is audio.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use data::{audio_files, shown};
use features::{
    Clip, Extractor, Fingerprint,
    decode::{Limits, decode_file},
};
use train::console::output;

/// Audio of clips by their ids: the names of the files without their endings.
#[derive(Debug, Default)]
pub struct HeldOutAudio {
    files: BTreeMap<String, PathBuf>,
    /// What came of those that were asked for.
    read: Mutex<BTreeMap<String, Option<AudioFile>>>,
}

/// An audio file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFile {
    /// The file.
    pub path: PathBuf,
    /// The digest of its samples.
    pub digest: String,
}

impl AudioFile {
    /// Decodes it.
    ///
    /// # Errors
    /// Those of [`decode_file`].
    pub fn decode(&self) -> Result<Clip> {
        let decoded = decode_file(&self.path, &Limits::default());
        Ok(decoded.with_context(|| format!("failed to read {}", self.path.display()))?.clip)
    }
}

impl HeldOutAudio {
    /// The audio files in these folders and below them. Of two with one name the first counts, in the order of the folders and then of
    /// the paths; the other is named on stderr.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn open(folders: &[PathBuf]) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut repeated = Vec::new();
        for folder in folders {
            let (found, _) = audio_files(folder)?;
            for path in found {
                match files.entry(shown(path.file_stem().unwrap_or_default())) {
                    Entry::Vacant(vacant) => drop(vacant.insert(path)),
                    Entry::Occupied(first) => repeated.push((path, first.get().clone())),
                }
            }
        }
        if let Some((path, first)) = repeated.first() {
            output::remark(&format!(
                "{} audio file(s) have the name of another, which is used instead; the first: {}, as {}",
                repeated.len(),
                path.display(),
                first.display()
            ));
        }
        Ok(Self { files, read: Mutex::default() })
    }

    /// Of these clips those with audio that can be decoded and is long enough, by their ids. A file that cannot be used is named on
    /// stderr, once.
    #[must_use]
    pub fn of<'a>(
        &self,
        clip_ids: impl Iterator<Item = &'a str>,
        extractor: &Extractor,
    ) -> BTreeMap<String, AudioFile> {
        let mut all = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut usable = BTreeMap::new();
        for (clip_id, path) in clip_ids.filter_map(|id| Some((id, self.files.get(id)?))) {
            let file = all.entry(clip_id.to_owned()).or_insert_with(|| {
                let unused =
                    |error: &features::Error| output::remark(&format!("{} is not used: {error}", path.display()));
                let digest = read(path, extractor).inspect_err(unused).ok()?;
                Some(AudioFile { path: path.clone(), digest })
            });
            usable.extend(file.clone().map(|file| (clip_id.to_owned(), file)));
        }
        usable
    }
}

/// The digest of the samples of a file; a remark on stderr says what is wrong with one that can be used all the same.
fn read(path: &Path, extractor: &Extractor) -> features::Result<String> {
    let decoded = decode_file(path, &Limits::default())?;
    for warning in &decoded.info.warnings {
        output::remark(&format!("{} is used, although: {warning}", path.display()));
    }
    extractor.extract(&decoded.clip)?;
    Ok(digest(&decoded.clip))
}

/// The digest of the samples of a clip and their rate.
fn digest(clip: &Clip) -> String {
    let mut bytes = clip.sample_rate().to_le_bytes().to_vec();
    bytes.extend(clip.samples().iter().flat_map(|sample| sample.to_le_bytes()));
    Fingerprint::of(&bytes).to_string()
}
