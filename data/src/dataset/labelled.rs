//! [`LabelledDataset`]: several datasets as the one list that training and evaluation read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
};

use features::{ClipFeatures, FeatureSpec, spec::Descriptor};
use labels::{Label, LabelSet};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    extract::{ExtractOptions, Extracted, extract_rows, workers},
    feature_store::{FeatureStore, RowWriter},
    open::Dataset,
    unused::{Reason, Unused},
    warned::Warned,
};
use crate::{
    Error, FaultFiltered, Fold, Part, Result, Split, SplitItem, TrackMetadata, artist_groups,
    digest::hex,
    fingerprint::{self, SoundPrint},
    gtzan,
};

/// Most bytes of each tensor of an audio folder that are kept in memory.
const IN_MEMORY: usize = 64 << 20;

/// Clips of one or several datasets with their labels. Their features are read as they are needed.
#[derive(Debug)]
pub struct LabelledDataset {
    spec: FeatureSpec,
    stores: Vec<FeatureStore>,
    labels: LabelSet,
    clips: Vec<LabelledClip>,
    description: Description,
    unused: Vec<Unused>,
    warned: Vec<Warned>,
    notes: Vec<String>,
}

/// One clip of a [`LabelledDataset`], or one segment of a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelledClip {
    /// Unique in the dataset. A clip that has the name of one of GTZAN's and is another ends in `~`.
    pub clip_id: String,
    /// Id of the clip that it is a segment of (see [`LabelledDataset::in_segments`]); else `clip_id`.
    pub track_id: String,
    /// Index of its label in [`LabelledDataset::labels`].
    pub label: usize,
    /// Who made it, where known.
    pub artist: Option<String>,
    /// What it is called, where known.
    pub title: Option<String>,
    /// Clips that may share an artist or a recording have the same: see [`artist_groups`].
    pub group: String,
    /// Part of the fault-filtered split, if it was recognised as a clip of GTZAN.
    pub part: Option<FaultFiltered>,
    /// Part of the split that its dataset came with.
    pub given: Option<Part>,
    /// Which store and which row of it.
    source: (usize, usize),
    /// Frames of the row, for a segment.
    frames: Option<Range<usize>>,
}

/// What a dataset was made of, without a path: the same folders elsewhere give the same description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// In the order in which they were named.
    #[serde(rename = "corpora")]
    pub sources: Vec<SourceDescription>,
    /// Clips in it.
    pub clips: usize,
    /// Clips whose id an earlier source had already.
    pub repeats: usize,
    /// Files that could not be used.
    pub rejected: usize,
    /// Clips of each label.
    #[serde(rename = "by_genre")]
    pub by_label: BTreeMap<Label, usize>,
}

/// One source of a [`Description`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceDescription {
    /// `audio folder`, `feature store`, or the name of another [`AudioForm`](crate::AudioForm).
    pub kind: &'static str,
    /// Clips taken from it.
    pub clips: usize,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<String> = self.sources.iter().map(|c| format!("{} of one {}", c.clips, c.kind)).collect();
        write!(f, "{} clips ({}", self.clips, sources.join(", "))?;
        if self.repeats > 0 {
            write!(f, "; {} repeated ids left out", self.repeats)?;
        }
        if self.rejected > 0 {
            write!(f, "; {} files rejected", self.rejected)?;
        }
        f.write_str(")")
    }
}

impl LabelledDataset {
    /// Opens the datasets at `paths`, extracts the features of audio, and joins them all.
    ///
    /// Of `spec`, those descriptors are kept that every source suffices for; [`LabelledDataset::spec`] has them. Of clips
    /// with the same id the first is kept. Labels become what `options.labels` says.
    ///
    /// Clips belong to one group where they may share an artist or a recording: by their artists, albums and titles, and by their sound, as
    /// [`audit`](mod@crate::audit) finds it; of GTZAN's clips the catalogue says it.
    ///
    /// # Errors
    /// [`Error::Incompatible`] for a store whose log-mels differ from `spec`; [`Error::Option`] without a path; [`Error::Labels`] for
    /// more than 1000 labels; those of [`Dataset::open`] and [`extract`](crate::extract()).
    pub fn open<P: AsRef<Path>>(paths: &[P], spec: &FeatureSpec, options: &ExtractOptions<'_>) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::Option { name: "data", problem: "names no dataset".into() });
        }
        let mut sources = paths.iter().map(|path| Dataset::open(path.as_ref())).collect::<Result<Vec<_>>>()?;
        let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
        for (label, count) in sources.iter().flat_map(Dataset::by_label) {
            *counts.entry(label).or_default() += count;
        }
        let (becomes, variants) = options.labels.apply(&counts)?;
        sources.iter_mut().for_each(|source| source.relabel(&becomes));
        let asked = spec;
        let mut spec = asked.clone();
        for source in &sources {
            if let Dataset::FeatureStore(store) = source {
                let (ours, theirs) = (spec.log_mel_fingerprint(), store.spec().log_mel_fingerprint());
                if ours != theirs {
                    return Err(Error::Incompatible {
                        path: store.dir().to_owned(),
                        theirs: theirs.to_string(),
                        ours: ours.to_string(),
                    });
                }
                spec.descriptors.retain(|&descriptor| store.suffices_for(descriptor));
            }
        }
        spec.validate()?;
        if !asked.descriptors.is_empty() {
            spec.require_descriptors()?;
        }

        let mut stores = Vec::with_capacity(sources.len());
        let (mut unused, mut warned, mut notes, mut rejected) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut kinds = Vec::with_capacity(sources.len());
        for source in sources {
            match source {
                Dataset::FeatureStore(store) => {
                    kinds.push("feature store");
                    stores.push(store);
                }
                Dataset::Audio(audio) => {
                    let scratch = options.scratch.map_or_else(std::env::temp_dir, Path::to_owned);
                    let mut rows = RowWriter::new(&spec, &scratch, IN_MEMORY);
                    let Extracted { refused, warned: of_files } = extract_rows(&audio, &mut rows, options)?;
                    rejected += refused.len();
                    unused.extend(audio.unused().iter().cloned().chain(refused));
                    warned.extend(of_files);
                    notes.extend(audio.notes().iter().cloned());
                    kinds.push(audio.form().name());
                    stores.push(rows.into_store(audio.root()));
                }
            }
        }
        let left_out: BTreeSet<&Label> =
            becomes.iter().filter(|(_, new)| new.is_none()).map(|(label, _)| label).collect();
        let Joined { labels, clips, repeats } = join(&stores, &left_out, options.threads, &mut unused)?;
        if clips.is_empty() {
            return Err(Error::Option {
                name: "data",
                problem: "has no clip left: the label map leaves out every label".into(),
            });
        }
        let named_like_gtzan = clips.iter().filter(|clip| clip.clip_id.ends_with('~')).count();
        if named_like_gtzan > 0 {
            notes.push(format!(
                "{named_like_gtzan} clips have the names of GTZAN's and are others, by checksum, length and spectrum; their ids end in `~`."
            ));
        }
        notes.extend(options.labels.notes(&variants));
        unused.sort();
        let mut by_label = BTreeMap::new();
        clips.iter().for_each(|clip| *by_label.entry(labels[clip.label].clone()).or_default() += 1);
        let taken = |store: usize| clips.iter().filter(|clip| clip.source.0 == store).count();
        let sources =
            kinds.into_iter().enumerate().map(|(i, kind)| SourceDescription { kind, clips: taken(i) }).collect();
        let description = Description { sources, clips: clips.len(), repeats, rejected, by_label };
        Ok(Self { spec, stores, labels, clips, description, unused, warned, notes })
    }

    /// The labels of all clips, ordered by name.
    #[must_use]
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The label of clip `index`.
    ///
    /// # Panics
    /// If `index` is not below [`LabelledDataset::len`].
    #[must_use]
    pub fn label(&self, index: usize) -> &Label {
        &self.labels[self.clips[index].label]
    }

    /// The labels of some clips, ordered by name: those of a model that is trained on them.
    ///
    /// # Panics
    /// If an index is not below [`LabelledDataset::len`].
    #[must_use]
    pub fn labels_of(&self, indices: &[usize]) -> LabelSet {
        let present: BTreeSet<usize> = indices.iter().map(|&index| self.clips[index].label).collect();
        let present = present.into_iter().map(|label| self.labels[label].clone()).collect();
        LabelSet::in_order(present).expect("labels of a set are different, and no more than it has")
    }

    /// The class of each of the clips `indices` in a model that has the labels `labels`.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] for a clip whose label is not among them.
    ///
    /// # Panics
    /// If an index is not below [`LabelledDataset::len`].
    pub fn classes(&self, indices: &[usize], labels: &LabelSet) -> Result<Vec<usize>> {
        let classes: Vec<Option<usize>> = self.labels.iter().map(|label| labels.index_of(label)).collect();
        let class = |&index: &usize| {
            let clip = &self.clips[index];
            let unknown =
                || Error::UnknownLabel { clip_id: clip.clip_id.clone(), label: self.labels[clip.label].clone() };
            classes[clip.label].ok_or_else(unknown)
        };
        indices.iter().map(class).collect()
    }

    /// The specification that was asked for, with those descriptors that every source suffices for.
    #[must_use]
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// From here on the dataset is one of log-mels alone: for a model that uses no descriptors.
    pub fn forget_descriptors(&mut self) {
        self.spec = self.spec.log_mel_alone();
    }

    /// The same dataset with every clip cut into so many equal segments, 2 to 1000, each of which is a clip of its own: to show
    /// by how much it flatters to have seen other segments of a clip in training
    /// ([`Split::SegmentKFold`](crate::Split::SegmentKFold)). Frames that are left over at the end are in none.
    ///
    /// A segment is called as in Kaggle's `features_3_sec.csv`, which is GTZAN in ten segments: `blues.00000.3` is the fourth of
    /// `blues.00000`. [`LabelledDataset::description`] stays that of the whole clips.
    ///
    /// # Errors
    /// [`Error::Option`] for another number of segments, and when they would be shorter than what makes a vector.
    pub fn in_segments(mut self, segments: usize) -> Result<Self> {
        let bad = |problem: String| Err(Error::Option { name: "segments_per_clip", problem });
        if !(2..=1000).contains(&segments) {
            return bad(format!("is {segments}; a clip is cut into 2 to 1000"));
        }
        let least = self.spec.segmentation.min_frames;
        let mut cut = Vec::with_capacity(self.clips.len() * segments);
        for clip in self.clips {
            let (store, row) = clip.source;
            let length = self.stores[store].n_frames(row) / segments;
            if length < least {
                return bad(format!(
                    "is {segments}: a segment of {} would have {length} frames, fewer than {least}",
                    clip.clip_id
                ));
            }
            cut.extend((0..segments).map(|segment| LabelledClip {
                clip_id: format!("{}.{segment}", clip.clip_id),
                frames: Some(segment * length..(segment + 1) * length),
                ..clip.clone()
            }));
        }
        self.clips = cut;
        Ok(self)
    }

    /// The clips: sources in the order given, within each the order of its store; at least one.
    #[must_use]
    pub fn clips(&self) -> &[LabelledClip] {
        &self.clips
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Never: no dataset without a clip is opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// What [`Split::folds`](crate::Split::folds) takes, in order of [`LabelledDataset::clips`].
    #[must_use]
    pub fn items<'a>(&'a self) -> Vec<SplitItem<'a>> {
        let item = |clip: &'a LabelledClip| SplitItem {
            track_id: &clip.track_id,
            label: clip.label,
            group: &clip.group,
            part: clip.part,
            given: clip.given,
        };
        self.clips.iter().map(item).collect()
    }

    /// The folds of a split, of indices into [`LabelledDataset::clips`]. Where the split deals clips to folds, those of GTZAN
    /// take part only where theirs is one of `parts`, and clips of other datasets always; [`Split::FaultFiltered`] and [`Split::Given`] have
    /// parts of their own.
    ///
    /// # Errors
    /// Those of [`Split::folds`].
    pub fn folds(&self, split: Split, parts: &BTreeSet<FaultFiltered>, seed: u64) -> Result<Vec<Fold>> {
        let items = self.items();
        if let Split::FaultFiltered(_) | Split::Given(_) = split {
            return split.folds(&items, seed);
        }
        let dealt = |&index: &usize| self.clips[index].part.is_none_or(|part| parts.contains(&part));
        let dealt: Vec<usize> = (0..self.len()).filter(dealt).collect();
        let of_dealt: Vec<_> = dealt.iter().map(|&index| items[index]).collect();
        let back = |positions: Vec<usize>| positions.into_iter().map(|at| dealt[at]).collect();
        let folds = split.folds(&of_dealt, seed)?.into_iter();
        Ok(folds.map(|Fold { train, test }| Fold { train: back(train), test: back(test) }).collect())
    }

    /// Reads the features of clip `index`; from any thread.
    ///
    /// # Errors
    /// Those of [`FeatureStore::features`].
    ///
    /// # Panics
    /// If `index` is not below [`LabelledDataset::len`].
    pub fn features(&self, index: usize) -> Result<ClipFeatures> {
        let LabelledClip { source: (store, row), frames, .. } = &self.clips[index];
        let features = self.stores[*store].features(*row)?;
        Ok(match frames {
            Some(frames) => features.frames(frames.start, frames.end)?,
            None => features,
        })
    }

    /// What the dataset was made of.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Every file that is not used, ordered by reason and name.
    #[must_use]
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// Every file of audio that is used although something is wrong with it: in the order of the datasets, then by name. A feature store
    /// says nothing of the files that it was made of.
    #[must_use]
    pub fn warned(&self) -> &[Warned] {
        &self.warned
    }

    /// What a reader should know of the dataset: spellings of labels, names like GTZAN's, how many artists are known.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// SHA-256, in hexadecimal, of what training sees of the whole dataset. See [`LabelledDataset::digest_of`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<String> {
        self.digest_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// SHA-256, in hexadecimal, of what training sees of these clips, in this order: the front end, and id, label,
    /// artist, log-mel and the series of the dataset's descriptors of each, and of a segment which frames it has. Where they lie
    /// and in how many sources is no part of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Panics
    /// If an index is not below [`LabelledDataset::len`].
    pub fn digest_of(&self, indices: &[usize]) -> Result<String> {
        let seen: BTreeSet<Descriptor> = self.spec.descriptors.iter().copied().collect();
        let mut hash = Sha256::new();
        hash.update(self.spec.log_mel_fingerprint().to_string());
        for &index in indices {
            let LabelledClip { source: (store, row), frames, .. } = &self.clips[index];
            hash.update(self.stores[*store].row_digest(*row, |descriptor| seen.contains(&descriptor))?);
            if let Some(Range { start, end }) = frames {
                hash.update(format!("frames {start} to {end}"));
            }
        }
        Ok(hex(&hash.finalize()))
    }
}

/// All clips of several stores.
struct Joined {
    labels: LabelSet,
    clips: Vec<LabelledClip>,
    /// Clips that were left out for their id.
    repeats: usize,
}

/// All clips of the stores, the first of each id, with their labels; those of labels that are `left_out` are not among them.
fn join(
    stores: &[FeatureStore],
    left_out: &BTreeSet<&Label>,
    threads: usize,
    unused: &mut Vec<Unused>,
) -> Result<Joined> {
    let mut seen = BTreeSet::new();
    let mut sources = Vec::new();
    let mut repeats = 0;
    for (index, store) in stores.iter().enumerate() {
        for row in 0..store.len() {
            if left_out.contains(store.label(row)) {
                let detail = format!("the label map leaves out `{}`", store.label(row));
                unused.push(Unused::new(Reason::Excluded, store.id(row).to_owned(), detail));
            } else if seen.insert(store.id(row)) {
                sources.push((index, row));
            } else {
                repeats += 1;
                let detail = "an earlier dataset has a clip of this id";
                unused.push(Unused::new(Reason::Duplicate, store.id(row).to_owned(), detail));
            }
        }
    }
    let mut tracks: Vec<TrackMetadata<'_>> = Vec::with_capacity(sources.len());
    for &(index, row) in &sources {
        let store = &stores[index];
        tracks.push(TrackMetadata {
            clip_id: store.id(row),
            artist: store.artist(row),
            album: store.album(row),
            title: store.title(row),
            recording: store.catalogue(row).map(|entry| entry.wav_md5.as_str()),
            repeats: None,
        });
    }
    for (earlier, later) in repeated(stores, &sources, threads)? {
        tracks[later].repeats.get_or_insert(earlier);
    }
    let labels = LabelSet::distinct(sources.iter().map(|&(index, row)| stores[index].label(row).clone()))?;
    let clips = artist_groups(&tracks).into_iter().zip(sources).filter_map(|(group, (index, row))| {
        let store = &stores[index];
        let entry = store.catalogue(row);
        let mut clip_id = store.id(row).to_owned();
        // What is known of GTZAN's clips is found by their ids: another clip must not have one of these.
        if entry.is_none_or(|entry| entry.clip_id != clip_id) && gtzan::catalogue().get(&clip_id).is_some() {
            clip_id.push('~');
        }
        Some(LabelledClip {
            track_id: clip_id.clone(),
            clip_id,
            label: labels.index_of(store.label(row))?,
            artist: store.artist(row).map(str::to_owned),
            title: store.title(row).map(str::to_owned),
            group,
            part: entry.map(|entry| entry.split),
            given: store.given(row),
            source: (index, row),
            frames: None,
        })
    });
    let clips = clips.collect();
    Ok(Joined { labels, clips, repeats })
}

/// Pairs of clips that are one recording by their sound, the earlier one first; not of two clips of GTZAN, whose repeats are known.
fn repeated(stores: &[FeatureStore], sources: &[(usize, usize)], threads: usize) -> Result<Vec<(usize, usize)>> {
    let of_gtzan = |&(index, row): &(usize, usize)| stores[index].catalogue(row).is_some();
    if sources.iter().all(of_gtzan) {
        return Ok(Vec::new());
    }
    workers(threads)?.install(|| {
        let print = |&(index, row): &(usize, usize)| -> Result<Option<SoundPrint>> {
            let store = &stores[index];
            Ok(SoundPrint::of(&store.log_mel_of(row)?, store.spec()))
        };
        let prints = sources.par_iter().map(print).collect::<Result<Vec<_>>>()?;
        let found = fingerprint::repeats(&prints).into_iter();
        let pairs = found.filter(|&(a, b, _)| !(of_gtzan(&sources[a]) && of_gtzan(&sources[b])));
        Ok(pairs.map(|(earlier, later, _)| (earlier, later)).collect())
    })
}
