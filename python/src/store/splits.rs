//! The splits of `data`, and what it knows of artists and of GTZAN.

use data::{
    FaultFiltered, Part, Split, SplitItem, TrackMetadata, artist_groups as groups_of,
    gtzan::{catalogue, known_faults},
};
use pyo3::{prelude::*, wrap_pyfunction};

use crate::error::parameter;

/// Indices of those to train on, and of those to evaluate on.
type Fold = (Vec<usize>, Vec<usize>);

/// The folds of the split `split`, such as `artist-kfold:5`. For each item its class, its track, its group, its part of GTZAN's
/// fault-filtered split and its part of the split that its dataset came with.
#[pyfunction]
#[pyo3(signature = (split, labels, tracks, groups, parts, seed))]
fn folds(
    split: String,
    labels: Vec<usize>,
    tracks: Vec<String>,
    groups: Vec<String>,
    parts: Vec<(Option<String>, Option<String>)>,
    seed: u64,
) -> PyResult<Vec<Fold>> {
    let split = split.parse::<Split>().map_err(wrong)?;
    let n = labels.len();
    if [tracks.len(), groups.len(), parts.len()].into_iter().any(|other| other != n) {
        return Err(parameter(format!(
            "{n} labels, {} tracks, {} groups and {} parts: expected one of each for an item",
            tracks.len(),
            groups.len(),
            parts.len()
        )));
    }
    let mut items = Vec::with_capacity(n);
    for (((&label, track_id), group), (part, given)) in labels.iter().zip(&tracks).zip(&groups).zip(&parts) {
        let part = part.as_deref().map(str::parse::<FaultFiltered>).transpose().map_err(wrong)?;
        let given = given.as_deref().map(|name| {
            Part::named(name).ok_or_else(|| parameter(format!("unknown part `{name}`; expected train, valid or test")))
        });
        items.push(SplitItem { track_id, label, group, part, given: given.transpose()? });
    }
    let folds = split.folds(&items, seed).map_err(wrong)?;
    Ok(folds.into_iter().map(|fold| (fold.train, fold.test)).collect())
}

/// What a figure measured by a split has seen that it should not have.
#[pyfunction]
fn leaks(split: String) -> PyResult<&'static str> {
    split.parse::<Split>().map(|split| split.leaks()).map_err(wrong)
}

fn wrong(e: data::Error) -> PyErr {
    parameter(e.to_string())
}

/// A group for each track: equal for two that may share an artist.
#[pyfunction]
#[pyo3(signature = (ids, artists, albums, titles))]
fn artist_groups(
    ids: Vec<String>,
    artists: Vec<Option<String>>,
    albums: Vec<Option<String>>,
    titles: Vec<Option<String>>,
) -> PyResult<Vec<String>> {
    if [artists.len(), albums.len(), titles.len()].into_iter().any(|other| other != ids.len()) {
        return Err(parameter("expected one artist, album and title, or None, for each track"));
    }
    let tracks: Vec<TrackMetadata<'_>> = ids
        .iter()
        .zip(&artists)
        .zip(albums.iter().zip(&titles))
        .map(|((clip_id, artist), (album, title))| TrackMetadata {
            clip_id,
            artist: artist.as_deref(),
            album: album.as_deref(),
            title: title.as_deref(),
            ..TrackMetadata::default()
        })
        .collect();
    Ok(groups_of(&tracks))
}

/// A clip of GTZAN: id, label, artist, title, part of the fault-filtered split, group, known faults.
type Entry = (String, String, Option<String>, Option<String>, &'static str, String, Vec<String>);

/// The 1000 clips of GTZAN, by their ids.
#[pyfunction]
fn gtzan_catalogue() -> Vec<Entry> {
    let entry = |entry: &data::gtzan::CatalogueEntry| {
        let faults = known_faults(&entry.clip_id).iter().map(ToString::to_string).collect();
        (
            entry.clip_id.clone(),
            entry.genre.to_string(),
            entry.artist.clone(),
            entry.title.clone(),
            entry.split.name(),
            entry.artist_group.clone(),
            faults,
        )
    };
    catalogue().entries().iter().map(entry).collect()
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(folds, module)?)?;
    module.add_function(wrap_pyfunction!(leaks, module)?)?;
    module.add_function(wrap_pyfunction!(artist_groups, module)?)?;
    module.add_function(wrap_pyfunction!(gtzan_catalogue, module)?)
}
