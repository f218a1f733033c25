//! Datasets as tables: a row for each clip.

use features::decode::{Limits, decode_file};
use polars::prelude::{DataFrame, NamedFrom, Series};

use crate::{
    Dataset, Part, Result,
    gtzan::{self, recognise::Recogniser},
};

/// One row a clip, in the dataset's order: `clip_id`, `genre`, `artist`, `title`, `split` (that which the dataset came with, or
/// GTZAN's fault-filtered one; null where there is none), `n_frames` (of a store; null for audio) and `file`
/// (from the folder of the dataset; null in a store).
///
/// # Errors
/// [`Error::Frame`](crate::Error::Frame).
pub fn of_dataset(dataset: &Dataset) -> Result<DataFrame> {
    let mut rows = Columns::default();
    match dataset {
        Dataset::Audio(audio) => {
            let recogniser = Recogniser::new()?;
            for clip in audio.clips() {
                // Only a clip that is named as one of GTZAN's is decoded to be recognised.
                let candidate = clip.given.is_none() && gtzan::catalogue().get(&clip.clip_id).is_some();
                let decoded = candidate.then(|| decode_file(&clip.path, &Limits::default()).ok()).flatten();
                let entry = decoded.and_then(|decoded| {
                    recogniser.recognise(&clip.clip_id, &clip.label, clip.artist.as_deref(), &decoded)
                });
                let artist = clip.artist.as_deref().or_else(|| entry?.artist.as_deref());
                rows.push(
                    &clip.clip_id,
                    &clip.label,
                    artist,
                    clip.title.as_deref().or_else(|| entry?.title.as_deref()),
                );
                rows.split.push(clip.given.map(Part::name).or_else(|| Some(entry?.split.name())));
                rows.n_frames.push(None);
                rows.file.push(Some(audio.file_of(clip)));
            }
        }
        Dataset::FeatureStore(store) => {
            for row in 0..store.len() {
                rows.push(store.id(row), store.label(row), store.artist(row), store.title(row));
                let entry = store.catalogue(row);
                rows.split.push(store.given(row).map(Part::name).or_else(|| Some(entry?.split.name())));
                rows.n_frames.push(Some(store.n_frames(row) as u32));
                rows.file.push(None);
            }
        }
    }
    let mut frame = rows.frame()?;
    frame.with_column(Series::new("n_frames".into(), rows.n_frames).into())?;
    frame.with_column(Series::new("file".into(), rows.file).into())?;
    Ok(frame)
}

/// GTZAN's catalogue, one row a clip: `clip_id`, `genre`, `artist`, `title`, `split`, `wav_md5`, `artist_group`.
///
/// # Errors
/// [`Error::Frame`](crate::Error::Frame).
pub fn of_gtzan() -> Result<DataFrame> {
    let mut rows = Columns::default();
    let entries = gtzan::catalogue().entries();
    for entry in entries {
        rows.push(&entry.clip_id, entry.genre.name(), entry.artist.as_deref(), entry.title.as_deref());
        rows.split.push(Some(entry.split.name()));
    }
    let column = |name: &str, of: fn(&gtzan::CatalogueEntry) -> &str| {
        Series::new(name.into(), entries.iter().map(of).collect::<Vec<_>>())
    };
    let mut frame = rows.frame()?;
    frame.with_column(column("wav_md5", |entry| &entry.wav_md5).into())?;
    frame.with_column(column("artist_group", |entry| &entry.artist_group).into())?;
    Ok(frame)
}

#[derive(Default)]
struct Columns {
    clip_id: Vec<String>,
    genre: Vec<String>,
    artist: Vec<Option<String>>,
    title: Vec<Option<String>>,
    split: Vec<Option<&'static str>>,
    n_frames: Vec<Option<u32>>,
    file: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, clip_id: &str, label: &str, artist: Option<&str>, title: Option<&str>) {
        self.clip_id.push(clip_id.to_owned());
        self.genre.push(label.to_owned());
        self.artist.push(artist.map(str::to_owned));
        self.title.push(title.map(str::to_owned));
    }

    /// The columns that every table has.
    fn frame(&self) -> Result<DataFrame> {
        Ok(DataFrame::new_infer_height(vec![
            Series::new("clip_id".into(), &self.clip_id).into(),
            Series::new("genre".into(), &self.genre).into(),
            Series::new("artist".into(), &self.artist).into(),
            Series::new("title".into(), &self.title).into(),
            Series::new("split".into(), &self.split).into(),
        ])?)
    }
}
