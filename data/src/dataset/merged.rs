//! [`LabelledDataset`]: several corpora as the one list that training and evaluation read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
};

use features::{ClipFeatures, FeatureSpec, spec::Descriptor};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    Dataset, Error, ExtractOptions, FaultFiltered, FeatureStore, Fold, Genre, Result, Split, SplitItem, TrackMetadata,
    artist_groups,
    dataset::{extract::extract, store::hex},
};

/// Clips of one or several corpora with their labels. Their features are read from stores as they are needed.
#[derive(Debug)]
pub struct LabelledDataset {
    spec: FeatureSpec,
    stores: Vec<FeatureStore>,
    clips: Vec<LabelledClip>,
    description: Description,
    rejected: Vec<(String, String)>,
    /// Stores that were extracted for this set; they go with it.
    _temporary: Vec<TempDir>,
}

/// One clip of a [`LabelledDataset`], or one piece of a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelledClip {
    /// Unique in the set.
    pub clip_id: String,
    /// Id of the whole clip: another than `clip_id` for a piece (see [`LabelledDataset::in_pieces`]).
    pub whole: String,
    /// What it is.
    pub genre: Genre,
    /// Who made it, where known.
    pub artist: Option<String>,
    /// What it is called, where known.
    pub title: Option<String>,
    /// Clips that may share an artist or a recording have the same: see [`artist_groups`].
    pub group: String,
    /// Part of the fault-filtered split, if it is a clip of GTZAN.
    pub part: Option<FaultFiltered>,
    /// Which store and which row of it.
    source: (usize, usize),
    /// Frames of the row, for a piece.
    frames: Option<Range<usize>>,
}

/// What a set was made of, without a path: the same folders elsewhere give the same description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// In the order in which they were named.
    pub corpora: Vec<SourceDescription>,
    /// Clips in the set.
    pub clips: usize,
    /// Clips whose id an earlier corpus had already.
    pub repeats: usize,
    /// Files that could not be used.
    pub rejected: usize,
    /// Clips of each genre that there is.
    pub by_genre: BTreeMap<Genre, usize>,
}

/// One corpus of a [`Description`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceDescription {
    /// `audio tree` or `log-mel store`.
    pub kind: &'static str,
    /// Clips taken from it.
    pub clips: usize,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let corpora: Vec<String> = self.corpora.iter().map(|c| format!("{} of one {}", c.clips, c.kind)).collect();
        write!(f, "{} clips ({}", self.clips, corpora.join(", "))?;
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
    /// Opens the corpora at `paths`, extracts audio trees into temporary stores, and joins them all.
    ///
    /// Of `spec`, those descriptors are kept that every corpus suffices for; [`LabelledDataset::spec`] has them. Of clips
    /// with the same id the first is kept.
    ///
    /// # Errors
    /// [`Error::Incompatible`] for a store whose log-mels differ from `spec`; [`Error::Setting`] without a path; those
    /// of [`Dataset::open`] and [`extract`](crate::dataset::extract()).
    pub fn open<P: AsRef<Path>>(paths: &[P], spec: &FeatureSpec, options: &ExtractOptions<'_>) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::Setting { name: "data", problem: "names no corpus".into() });
        }
        let corpora = paths.iter().map(|path| Dataset::open(path.as_ref())).collect::<Result<Vec<_>>>()?;
        let asked = spec;
        let mut spec = asked.clone();
        for corpus in &corpora {
            if let Dataset::FeatureStore(store) = corpus {
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

        let mut stores = Vec::with_capacity(corpora.len());
        let mut temporary = Vec::new();
        let mut rejected = Vec::new();
        let mut kinds = Vec::with_capacity(corpora.len());
        for corpus in corpora {
            match corpus {
                Dataset::FeatureStore(store) => {
                    kinds.push("log-mel store");
                    stores.push(store);
                }
                Dataset::AudioFolder(tree) => {
                    let scratch = options.scratch.map_or_else(std::env::temp_dir, Path::to_owned);
                    let folder = tempfile::Builder::new()
                        .prefix("tonearm-")
                        .tempdir_in(&scratch)
                        .map_err(Error::io("create a temporary folder in", &scratch))?;
                    let store = folder.path().join("store");
                    rejected.extend(extract(&tree, &spec, &store, options)?.rejected);
                    kinds.push("audio tree");
                    stores.push(FeatureStore::open(&store)?);
                    temporary.push(folder);
                }
            }
        }
        let (clips, repeats) = join(&stores);
        let mut by_genre = BTreeMap::new();
        clips.iter().for_each(|clip| *by_genre.entry(clip.genre).or_default() += 1);
        let taken = |store: usize| clips.iter().filter(|clip| clip.source.0 == store).count();
        let corpora =
            kinds.into_iter().enumerate().map(|(i, kind)| SourceDescription { kind, clips: taken(i) }).collect();
        let description = Description { corpora, clips: clips.len(), repeats, rejected: rejected.len(), by_genre };
        Ok(Self { spec, stores, clips, description, rejected, _temporary: temporary })
    }

    /// The specification that was asked for, with those descriptors that every corpus suffices for.
    #[must_use]
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// From here on the set is one of log-mels alone: for a model that hears no descriptors.
    pub fn forget_descriptors(&mut self) {
        self.spec = self.spec.log_mel_alone();
    }

    /// The same music with every clip cut into so many equal pieces, 2 to 1000, each of which is a clip of its own: to show what it
    /// flatters to know other pieces of a clip ([`Split::SegmentKFold`](crate::Split::SegmentKFold)). Frames that are left over at
    /// the end are in none.
    ///
    /// A piece is called as in Kaggle's `features_3_sec.csv`, which is GTZAN in ten pieces: `blues.00000.3` is the fourth of
    /// `blues.00000`. [`LabelledDataset::description`] stays that of the whole clips.
    ///
    /// # Errors
    /// [`Error::Setting`] for another number of pieces, and when they would be shorter than what makes a vector.
    pub fn in_pieces(mut self, pieces: usize) -> Result<Self> {
        let bad = |problem: String| Err(Error::Setting { name: "pieces", problem });
        if !(2..=1000).contains(&pieces) {
            return bad(format!("is {pieces}; a clip is cut into 2 to 1000"));
        }
        let least = self.spec.segmentation.min_frames;
        let mut cut = Vec::with_capacity(self.clips.len() * pieces);
        for clip in self.clips {
            let (store, row) = clip.source;
            let length = self.stores[store].n_frames(row) / pieces;
            if length < least {
                return bad(format!(
                    "is {pieces}: a piece of {} would have {length} frames, fewer than {least}",
                    clip.clip_id
                ));
            }
            cut.extend((0..pieces).map(|piece| LabelledClip {
                clip_id: format!("{}.{piece}", clip.clip_id),
                frames: Some(piece * length..(piece + 1) * length),
                ..clip.clone()
            }));
        }
        self.clips = cut;
        Ok(self)
    }

    /// The clips: corpora in the order given, within each the order of its store; at least one.
    #[must_use]
    pub fn clips(&self) -> &[LabelledClip] {
        &self.clips
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Never: no corpus without a clip is opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// What [`Split::folds`](crate::Split::folds) takes, in order of [`LabelledDataset::clips`].
    #[must_use]
    pub fn items<'a>(&'a self) -> Vec<SplitItem<'a>> {
        let item = |clip: &'a LabelledClip| SplitItem {
            clip_id: &clip.whole,
            label: clip.genre.index(),
            group: &clip.group,
            part: clip.part,
        };
        self.clips.iter().map(item).collect()
    }

    /// The folds of a split, of indices into [`LabelledDataset::clips`]. Where the split deals clips to folds, those of GTZAN
    /// take part only where theirs is one of `parts`, and clips of other music always; [`Split::FaultFiltered`] has parts
    /// of its own.
    ///
    /// # Errors
    /// Those of [`Split::folds`].
    pub fn folds(&self, split: Split, parts: &BTreeSet<FaultFiltered>, seed: u64) -> Result<Vec<Fold>> {
        let items = self.items();
        if let Split::FaultFiltered(_) = split {
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
    /// Those of [`FeatureStore::analysis`].
    ///
    /// # Panics
    /// If `index` is not below [`LabelledDataset::len`].
    pub fn analysis(&self, index: usize) -> Result<ClipFeatures> {
        let LabelledClip { source: (store, row), frames, .. } = &self.clips[index];
        let analysis = self.stores[*store].analysis(*row)?;
        Ok(match frames {
            Some(frames) => analysis.frames(frames.start, frames.end)?,
            None => analysis,
        })
    }

    /// What the set was made of.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Audio files that could not be used: clip id and reason.
    #[must_use]
    pub fn rejected(&self) -> &[(String, String)] {
        &self.rejected
    }

    /// SHA-256, in hexadecimal, of what training sees of the whole set. See [`LabelledDataset::digest_of`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<String> {
        self.digest_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// SHA-256, in hexadecimal, of what training sees of these clips, in this order: the front end, and id, genre,
    /// artist, log-mel and the series of the set's descriptors of each, and of a piece which frames it has. Where they lie
    /// and in how many corpora is no part of it.
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

/// All clips of the stores, the first of each id, and how many were left out for their id.
fn join(stores: &[FeatureStore]) -> (Vec<LabelledClip>, usize) {
    let mut seen = BTreeSet::new();
    let mut sources = Vec::new();
    let mut credits = Vec::new();
    let mut repeats = 0;
    for (index, store) in stores.iter().enumerate() {
        for row in 0..store.len() {
            if !seen.insert(store.id(row)) {
                repeats += 1;
                continue;
            }
            sources.push((index, row));
            credits.push(TrackMetadata {
                clip_id: store.id(row),
                artist: store.artist(row),
                title: store.title(row),
                recording: store.catalogue(row).map(|entry| entry.wav_md5.as_str()),
            });
        }
    }
    let clips = artist_groups(&credits).into_iter().zip(sources).map(|(group, (index, row))| {
        let store = &stores[index];
        LabelledClip {
            clip_id: store.id(row).to_owned(),
            whole: store.id(row).to_owned(),
            genre: store.genre(row),
            artist: store.artist(row).map(str::to_owned),
            title: store.title(row).map(str::to_owned),
            group,
            part: store.catalogue(row).map(|entry| entry.split),
            source: (index, row),
            frames: None,
        }
    });
    (clips.collect(), repeats)
}
