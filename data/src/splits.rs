//! Named ways to split clips into those to train on and those to evaluate on, and what each one leaks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use crate::{Error, Result, gtzan::FaultFiltered, rng::Rng};

/// Part of a split that a dataset comes with, such as GTZAN's fault-filtered one, whose 70 excluded clips are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Part {
    Train,
    Valid,
    Test,
    /// Train, valid and test.
    All,
}

impl Part {
    /// The name, such as `valid`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
            Self::All => "all",
        }
    }

    /// The part that datasets call by this name, in any case: `train` or `training`; `valid`, `validation`, `val` or `dev`; `test`,
    /// `testing`, `eval` or `evaluation`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "valid" | "validation" | "val" | "dev" | "development" => Some(Self::Valid),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        }
    }

    /// The part of that name in a split, such as `fault-filtered:valid`.
    fn of_split(name: &str) -> Option<Self> {
        [Self::Train, Self::Valid, Self::Test, Self::All].into_iter().find(|part| part.name() == name)
    }

    /// Whether clips of `part` are in it.
    #[must_use]
    pub fn has(self, part: FaultFiltered) -> bool {
        match self {
            Self::Train => part == FaultFiltered::Train,
            Self::Valid => part == FaultFiltered::Valid,
            Self::Test => part == FaultFiltered::Test,
            Self::All => part != FaultFiltered::Excluded,
        }
    }
}

/// A way to split, written `given:valid`, `fault-filtered:valid`, `artist-kfold:5`, `artist-holdout:20`, `leave-one-artist-out`,
/// `track-kfold:5` or `segment-kfold:5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// GTZAN's split of Kereliuk, Sturm and Larsen (2015): trained on train, evaluated on this part.
    FaultFiltered(Part),
    /// The split that the dataset came with: trained on train, evaluated on this part.
    Given(Part),
    /// One fold that holds out about so many percent of the clips; clips that may share an artist or recording are on one side.
    ArtistHoldout {
        /// Percent of the clips that are held out, 1 to 50.
        percent: usize,
    },
    /// A fold for each group of clips that may share an artist or recording.
    LeaveOneArtistOut,
    /// `k` folds; clips that may share an artist or recording are in the same fold.
    ArtistKFold {
        /// Folds, at least 2.
        k: usize,
    },
    /// `k` folds; whole clips are dealt at random.
    TrackKFold {
        /// Folds, at least 2.
        k: usize,
    },
    /// `k` folds; segments of clips are dealt at random.
    SegmentKFold {
        /// Folds, at least 2.
        k: usize,
    },
}

/// What a split needs to know of a clip, or of a segment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitItem<'a> {
    /// The track; segments of one clip share it.
    pub track_id: &'a str,
    /// Index of its genre.
    pub label: usize,
    /// From [`artist_groups`](crate::artist_groups).
    pub group: &'a str,
    /// Its part of the fault-filtered split, `None` for what is not a clip of GTZAN.
    pub part: Option<FaultFiltered>,
    /// Its part of the split that its dataset came with.
    pub given: Option<Part>,
}

/// Indices of the items to train on and of those to evaluate on, ascending, none in both but where [`Split::leaks`] says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Fold {
    pub train: Vec<usize>,
    pub test: Vec<usize>,
}

impl Split {
    /// What a figure measured by this split has seen that it should not have.
    #[must_use]
    pub fn leaks(&self) -> &'static str {
        match self {
            Self::FaultFiltered(Part::Train) => "everything: these are the clips that are fitted on",
            Self::FaultFiltered(Part::Valid) => {
                "no artist but guests in two clips; what was chosen by the valid part is flattered by it"
            }
            Self::FaultFiltered(Part::Test) => "no recording; no artist but one guest and a track of an unknown artist",
            Self::FaultFiltered(Part::All) => "everything: most of these clips are fitted on or chosen by",
            Self::Given(Part::Train | Part::All) => "everything: these clips are fitted on, or chosen by",
            Self::Given(_) => "what the dataset's own split leaks",
            Self::ArtistHoldout { .. } | Self::LeaveOneArtistOut => {
                "no known artist; clips of an unknown artist may share one with others"
            }
            Self::ArtistKFold { .. } => "no known artist; clips whose artist nobody knows may share one across folds",
            Self::TrackKFold { .. } => "artists, albums and repeated recordings are on both sides",
            Self::SegmentKFold { .. } => {
                "segments of the same clip are on both sides: for showing by how much that flatters"
            }
        }
    }

    /// Splits `items`. The fault-filtered split has one fold, whose `train` is its train part, empty for
    /// [`Part::All`]; items outside it are in neither list. The others have `k` folds that test every item once,
    /// stratified by label and dealt by `seed`. [`Split::SegmentKFold`] tells segments apart only when every segment is an
    /// item.
    ///
    /// # Errors
    /// [`Error::Split`] if the part holds none of the items, or there are fewer groups than folds.
    pub fn folds(&self, items: &[SplitItem<'_>], seed: u64) -> Result<Vec<Fold>> {
        let bad = |problem: String| Err(Error::Split { split: self.to_string(), problem });
        let by_artist = || items.iter().map(|item| item.group.to_owned()).collect::<Vec<_>>();
        let (k, groups): (usize, Vec<String>) = match *self {
            Self::FaultFiltered(part) | Self::Given(part) => {
                let of_gtzan = matches!(self, Self::FaultFiltered(_));
                let is_in = |part: Part, item: &SplitItem<'_>| {
                    if of_gtzan {
                        item.part.is_some_and(|found| part.has(found))
                    } else {
                        item.given.is_some_and(|found| part == Part::All || part == found)
                    }
                };
                let within = |part: Part| (0..items.len()).filter(|&i| is_in(part, &items[i])).collect::<Vec<_>>();
                let train = if part == Part::All { Vec::new() } else { within(Part::Train) };
                let test = within(part);
                if test.is_empty() && of_gtzan {
                    return bad(format!(
                        "none of the {} clips belongs to it; it is defined for GTZAN only",
                        items.len()
                    ));
                }
                if test.is_empty() {
                    let mut there: Vec<&str> = items.iter().filter_map(|item| item.given.map(Part::name)).collect();
                    there.sort_unstable();
                    there.dedup();
                    return bad(if there.is_empty() {
                        "the dataset comes with no split: use artist-kfold:5".into()
                    } else {
                        format!("the dataset's own split has no such part; it has {}", there.join(" and "))
                    });
                }
                return Ok(vec![Fold { train, test }]);
            }
            Self::ArtistHoldout { percent } => {
                // Of so many folds one has that part of the clips.
                let k = (100.0 / percent.max(1) as f64).round() as usize;
                let folds = Self::ArtistKFold { k: k.max(2) }.folds(items, seed);
                return match folds {
                    Ok(folds) => Ok(folds.into_iter().take(1).collect()),
                    Err(Error::Split { problem, .. }) => bad(problem),
                    Err(error) => Err(error),
                };
            }
            Self::LeaveOneArtistOut => {
                let mut of_group: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
                items.iter().enumerate().for_each(|(i, item)| of_group.entry(item.group).or_default().push(i));
                if of_group.len() < 2 {
                    return bad(format!("there is only {} group of artists; at least 2 are needed", of_group.len()));
                }
                let outside = |group: &str| (0..items.len()).filter(|&i| items[i].group != group).collect();
                return Ok(of_group
                    .iter()
                    .map(|(group, test)| Fold { train: outside(group), test: test.clone() })
                    .collect());
            }
            Self::ArtistKFold { k } => (k, by_artist()),
            Self::TrackKFold { k } => (k, items.iter().map(|item| item.track_id.to_owned()).collect()),
            Self::SegmentKFold { k } => (k, (0..items.len()).map(|i| format!("{i:012}")).collect()),
        };
        let labels: Vec<usize> = items.iter().map(|item| item.label).collect();
        let distinct = groups.iter().collect::<BTreeSet<_>>().len();
        if k < 2 || distinct < k {
            return bad(format!(
                "{k} folds of {distinct} groups; at least 2 folds, and a group for each, are needed (clips that may share an artist, an \
                 album or a recording are one group): add clips of others, or name fewer folds"
            ));
        }
        let folds = grouped_kfold(&labels, &groups, k, seed).into_iter().map(|test| {
            let held: BTreeSet<usize> = test.iter().copied().collect();
            Fold { train: (0..items.len()).filter(|i| !held.contains(i)).collect(), test }
        });
        Ok(folds.collect())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FaultFiltered(part) => write!(f, "fault-filtered:{}", part.name()),
            Self::Given(part) => write!(f, "given:{}", part.name()),
            Self::ArtistHoldout { percent } => write!(f, "artist-holdout:{percent}"),
            Self::LeaveOneArtistOut => f.write_str("leave-one-artist-out"),
            Self::ArtistKFold { k } => write!(f, "artist-kfold:{k}"),
            Self::TrackKFold { k } => write!(f, "track-kfold:{k}"),
            Self::SegmentKFold { k } => write!(f, "segment-kfold:{k}"),
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |problem: &str| Error::Split { split: text.to_owned(), problem: problem.to_owned() };
        let (name, argument) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "fault-filtered" => {
                let part = Part::of_split(argument);
                let part = part.ok_or_else(|| bad("its parts are fault-filtered:train, :valid, :test and :all"))?;
                return Ok(Self::FaultFiltered(part));
            }
            "given" => {
                let part = Part::of_split(argument);
                return Ok(Self::Given(part.ok_or_else(|| bad("its parts are given:train, :valid, :test and :all"))?));
            }
            "artist-holdout" => {
                return match argument.parse() {
                    Ok(percent @ 1..=50) => Ok(Self::ArtistHoldout { percent }),
                    _ => Err(bad("the percentage of clips to hold out must follow, 1 to 50, as in artist-holdout:20")),
                };
            }
            "leave-one-artist-out" if text == name => return Ok(Self::LeaveOneArtistOut),
            _ => {}
        }
        let k = || match argument.parse() {
            Ok(k @ 2..=1000) => Ok(k),
            _ => Err(bad("the number of folds must follow, 2 to 1000, as in artist-kfold:5")),
        };
        match name {
            "artist-kfold" => Ok(Self::ArtistKFold { k: k()? }),
            "track-kfold" => Ok(Self::TrackKFold { k: k()? }),
            "segment-kfold" => Ok(Self::SegmentKFold { k: k()? }),
            _ => Err(bad("the splits are given:PART, fault-filtered:PART, artist-kfold:K, artist-holdout:PERCENT, \
                 leave-one-artist-out, track-kfold:K and segment-kfold:K")),
        }
    }
}

/// Test indices of `k` folds (ascending; fewer folds if there are fewer groups): every index is in one fold, a group is
/// never in two, and the labels of each fold are as near to those of the whole as groups allow.
///
/// Greedy, as scikit-learn's `StratifiedGroupKFold`: groups with the most uneven labels first (ties by `seed`), each to
/// the fold where the labels stay most even over the folds. `labels` and `groups` have the same length; what is beyond
/// the shorter one is not dealt.
#[must_use]
pub fn grouped_kfold(labels: &[usize], groups: &[String], k: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate().take(labels.len()) {
        members.entry(group).or_default().push(index);
    }
    let k = k.min(members.len());
    if k == 0 {
        return Vec::new();
    }
    // Labels as 0, 1, …, so that a large label costs nothing.
    let dense: BTreeMap<usize, usize> =
        labels.iter().copied().collect::<BTreeSet<_>>().into_iter().enumerate().map(|(i, l)| (l, i)).collect();
    let mut totals = vec![0u64; dense.len()];
    labels.iter().zip(groups).for_each(|(label, _)| totals[dense[label]] += 1);
    let counts_of = |indices: &[usize]| {
        let mut counts = vec![0u64; dense.len()];
        indices.iter().for_each(|&i| counts[dense[&labels[i]]] += 1);
        counts
    };
    let mut dealt: Vec<(Vec<usize>, Vec<u64>)> =
        members.into_values().map(|indices| (counts_of(&indices), indices)).map(|(c, i)| (i, c)).collect();
    Rng::new(seed).shuffle(&mut dealt);
    // A stable sort: groups that are equally uneven stay in random order.
    dealt.sort_by(|a, b| variance(b.1.iter().map(|&c| c as f64)).total_cmp(&variance(a.1.iter().map(|&c| c as f64))));

    let mut folds: Vec<(Vec<usize>, Vec<u64>)> = vec![(Vec::new(), vec![0; dense.len()]); k];
    let n_groups = dealt.len();
    for (position, (indices, counts)) in dealt.into_iter().enumerate() {
        let empty = folds.iter().filter(|(indices, _)| indices.is_empty()).count();
        // No fold may stay empty: the last groups go to those that still are.
        let must_fill = n_groups - position <= empty;
        let mut best: Option<(f64, usize, usize)> = None;
        for fold in 0..k {
            if must_fill && !folds[fold].0.is_empty() {
                continue;
            }
            let unevenness: f64 = (0..totals.len())
                .filter(|&label| counts[label] > 0)
                .map(|label| {
                    variance((0..k).map(|f| {
                        let added = if f == fold { counts[label] } else { 0 };
                        (folds[f].1[label] + added) as f64 / totals[label].max(1) as f64
                    }))
                })
                .sum();
            let candidate = (unevenness, folds[fold].0.len(), fold);
            // Equal up to rounding counts as equal: the smaller fold takes it.
            if best.is_none_or(|b| unevenness < b.0 - 1e-12 || (unevenness < b.0 + 1e-12 && candidate.1 < b.1)) {
                best = Some(candidate);
            }
        }
        if let Some((_, _, fold)) = best {
            folds[fold].0.extend(&indices);
            folds[fold].1.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    folds
        .into_iter()
        .map(|(mut indices, _)| {
            indices.sort_unstable();
            indices
        })
        .collect()
}

fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    values.map(|value| (value - mean) * (value - mean)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtzan::{CatalogueEntry, Genre, catalogue};
    use proptest::prelude::*;

    fn gtzan() -> Vec<SplitItem<'static>> {
        let item = |e: &'static CatalogueEntry| SplitItem {
            track_id: &e.clip_id,
            label: e.genre.index(),
            group: &e.artist_group,
            part: Some(e.split),
            given: None,
        };
        catalogue().entries().iter().map(item).collect()
    }

    #[test]
    fn names_survive() {
        for name in [
            "fault-filtered:train",
            "fault-filtered:valid",
            "fault-filtered:test",
            "fault-filtered:all",
            "given:valid",
            "given:test",
            "artist-holdout:20",
            "leave-one-artist-out",
            "artist-kfold:5",
            "track-kfold:10",
            "segment-kfold:2",
        ] {
            assert_eq!(name.parse::<Split>().expect("a split").to_string(), name);
        }
        for name in [
            "",
            "fault-filtered",
            "fault-filtered:excluded",
            "given",
            "given:x",
            "artist-holdout",
            "artist-holdout:0",
            "artist-holdout:51",
            "leave-one-artist-out:2",
            "artist-kfold",
            "artist-kfold:1",
            "artist-kfold:x",
            "kfold:5",
        ] {
            assert!(name.parse::<Split>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_fault_filtered_split_has_its_published_sizes() {
        let items = gtzan();
        for (split, sizes) in [("valid", (443, 197)), ("test", (443, 290)), ("train", (443, 443)), ("all", (0, 930))] {
            let folds =
                format!("fault-filtered:{split}").parse::<Split>().and_then(|s| s.folds(&items, 0)).expect("GTZAN");
            assert_eq!(folds.iter().map(|f| (f.train.len(), f.test.len())).collect::<Vec<_>>(), [sizes], "{split}");
        }
        let stranger = SplitItem { track_id: "x", label: 0, group: "x", part: None, given: None };
        assert!(Split::FaultFiltered(Part::Valid).folds(&[stranger], 0).is_err());
    }

    #[test]
    fn gtzan_by_artist_is_stratified_and_never_shares_one() {
        let items = gtzan();
        let folds = Split::ArtistKFold { k: 5 }.folds(&items, 1).expect("enough artists");
        for fold in &folds {
            let trained: BTreeSet<&str> = fold.train.iter().map(|&i| items[i].group).collect();
            assert!(fold.test.iter().all(|&i| !trained.contains(items[i].group)));
            for genre in Genre::ALL {
                let n = fold.test.iter().filter(|&&i| items[i].label == genre.index()).count();
                // 20 would be even; Bob Marley alone has 36 of reggae's 100, Coleman Hawkins 28 of jazz's.
                assert!((9..=40).contains(&n), "{n} of {genre}");
            }
        }
        assert_ne!(folds, Split::ArtistKFold { k: 5 }.folds(&items, 2).expect("enough artists"), "the seed matters");
    }

    #[test]
    fn segments_of_a_clip_leak_only_by_segment() {
        let clips: Vec<String> = (0..40).map(|i| format!("clip {i}")).collect();
        let items: Vec<SplitItem<'_>> = (0..400)
            .map(|i| SplitItem {
                track_id: &clips[i / 10],
                label: i / 200,
                group: "one artist",
                part: None,
                given: None,
            })
            .collect();
        let shared = |split: Split| {
            let fold = split.folds(&items, 3).expect("enough").remove(0);
            let trained: BTreeSet<&str> = fold.train.iter().map(|&i| items[i].track_id).collect();
            fold.test.iter().filter(|&&i| trained.contains(items[i].track_id)).count()
        };
        assert_eq!(shared(Split::TrackKFold { k: 4 }), 0);
        assert_eq!(shared(Split::SegmentKFold { k: 4 }), 100);
        assert!(Split::ArtistKFold { k: 4 }.folds(&items, 3).is_err(), "one artist cannot be in four folds");
    }

    #[test]
    fn single_clips_are_dealt_evenly() {
        let labels: Vec<usize> = (0..100).map(|i| i % 10).collect();
        let groups: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        for fold in grouped_kfold(&labels, &groups, 5, 9) {
            for label in 0..10 {
                assert_eq!(fold.iter().filter(|&&i| labels[i] == label).count(), 2);
            }
        }
    }

    proptest! {
        #[test]
        fn every_index_is_dealt_once_and_groups_stay_whole(
            items in proptest::collection::vec((0usize..4, 0usize..12), 0..80), k in 1usize..8, seed: u64,
        ) {
            let labels: Vec<usize> = items.iter().map(|item| item.0 * 1_000_000).collect();
            let groups: Vec<String> = items.iter().map(|item| item.1.to_string()).collect();
            let folds = grouped_kfold(&labels, &groups, k, seed);
            let n_groups = groups.iter().collect::<BTreeSet<_>>().len();
            prop_assert_eq!(folds.len(), k.min(n_groups));
            prop_assert!(folds.iter().all(|fold| !fold.is_empty()));
            let mut dealt: Vec<usize> = folds.concat();
            dealt.sort_unstable();
            prop_assert_eq!(dealt, (0..items.len()).collect::<Vec<_>>());
            for (a, b) in folds.iter().enumerate().flat_map(|(i, a)| folds[i + 1..].iter().map(move |b| (a, b))) {
                prop_assert!(a.iter().all(|&x| b.iter().all(|&y| groups[x] != groups[y])));
            }
            prop_assert_eq!(folds, grouped_kfold(&labels, &groups, k, seed), "the same seed gives the same folds");
        }
    }
}
