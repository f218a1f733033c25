//! What a file declares: read as it is written, and checked into an [`Experiment`].

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use data::{FaultFiltered, Part, Split};
use features::FeatureSpec;
use models::vgg19::Backend;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Table;
use train::training::{svm::Search, vgg19::TrainingConfig};

use crate::declarations::{grid, overlay::overlay};

/// What a declaration that names no seed is done with, as in `train`.
pub const DEFAULT_SEED: u64 = 42;

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    name: String,
    #[serde(deserialize_with = "splits")]
    splits: Vec<Split>,
    #[serde(default = "default_seeds")]
    seeds: Vec<u64>,
    #[serde(default)]
    data: Data,
    /// `preset`, and fields of [`FeatureSpec`] that are to be others.
    #[serde(default)]
    features: Table,
    model: Model,
}

fn default_seeds() -> Vec<u64> {
    vec![DEFAULT_SEED]
}

fn splits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Split>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
}

/// Which clips are dealt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Corpora, from the folder of the file; without any, those that `--data` names or `train` would find.
    pub corpora: Vec<PathBuf>,
    /// Parts of GTZAN whose clips are dealt to folds. Clips that are not GTZAN's are always dealt.
    pub parts: BTreeSet<FaultFiltered>,
    /// Equal pieces that each clip is cut into, each of which is then fitted on and judged as a clip of its own.
    pub pieces: Option<usize>,
}

impl Default for Data {
    fn default() -> Self {
        Self { corpora: Vec::new(), parts: [FaultFiltered::Train, FaultFiltered::Valid].into(), pieces: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Model {
    Svm {
        #[serde(default)]
        search: Table,
    },
    Vgg19 {
        #[serde(default)]
        regime: Regime,
        /// From the folder of the file.
        weights: Option<PathBuf>,
        #[serde(default)]
        device: Option<String>,
        #[serde(default)]
        recipe: Table,
    },
    Ensemble {
        /// From the folder of the file.
        members: Vec<PathBuf>,
        #[serde(default)]
        weight: Weight,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Regime {
    #[default]
    Frozen,
    Finetune,
}

/// How much the first member of an ensemble counts: its probabilities to the power of this, times those of the second to the
/// power of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weight {
    /// As much as makes the log-loss least of clips that are fitted on, by what cross-validation by artist says of them.
    #[default]
    Learnt,
    /// 0 to 1.
    Fixed(f64),
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Float(share) if (0.0..=1.0).contains(&share) => Ok(Self::Fixed(share)),
            toml::Value::String(word) if word == "learnt" => Ok(Self::Learnt),
            other => Err(D::Error::custom(format!("weight = {other}: it is \"learnt\" or 0.0 to 1.0"))),
        }
    }
}

/// A declaration that was checked.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name, of which its results are.
    pub name: String,
    /// What the grid sets for it; empty without a grid.
    pub point: String,
    /// How it is judged.
    pub splits: Vec<Split>,
    /// The seeds of everything that is drawn: the folds too.
    pub seeds: Vec<u64>,
    /// Clips.
    pub data: Data,
    /// What is heard of them.
    pub spec: FeatureSpec,
    /// What is fitted.
    pub learner: Learner,
}

/// What is fitted.
#[derive(Clone, Debug)]
pub enum Learner {
    /// The support vector machine.
    Svm(Search),
    /// The network.
    Vgg19 {
        /// Every choice; the seed is that of the job.
        recipe: Box<TrainingConfig>,
        /// The convolutions to begin with, where they are named.
        weights: Option<PathBuf>,
        /// What computes.
        backend: Backend,
    },
    /// Two of the above.
    Ensemble {
        /// Their features and models; their clips, splits and seeds are those of the ensemble.
        members: Box<[Experiment; 2]>,
        /// How much the first counts.
        weight: Weight,
    },
}

impl Learner {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Svm(_) => "svm",
            Self::Vgg19 { .. } => "vgg19",
            Self::Ensemble { .. } => "ensemble",
        }
    }
}

/// Reads a file without a grid.
///
/// # Errors
/// When it cannot be read or has a grid, or names the field that is wrong.
pub fn read(path: &Path) -> Result<Experiment> {
    let table = table(path)?;
    if table.contains_key("grid") {
        bail!("{} has a [grid]; do it with `experiments sweep`", path.display());
    }
    check(table, String::new(), path)
}

/// Reads a file with a grid: every point, as it would be declared alone.
///
/// # Errors
/// When it cannot be read, has no grid, or could not be chosen by; or names the field that is wrong.
pub fn read_sweep(path: &Path) -> Result<Vec<(Experiment, Table)>> {
    let table = table(path)?;
    if !table.contains_key("grid") {
        bail!("{} has no [grid]; do it with `experiments run`", path.display());
    }
    let points = grid::points(table).with_context(|| format!("failed to understand {}", path.display()))?;
    points
        .into_iter()
        .map(|point| {
            let experiment = check(point.table.clone(), point.label, path)?;
            experiment.may_choose().with_context(|| format!("{} cannot be swept", path.display()))?;
            Ok((experiment, point.table))
        })
        .collect()
}

fn table(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    text.parse().with_context(|| format!("failed to understand {}", path.display()))
}

fn check(table: Table, point: String, path: &Path) -> Result<Experiment> {
    let declared: Result<Declaration, _> = table.try_into();
    let checked = declared.map_err(anyhow::Error::from).and_then(|declared| declared.checked(point, path));
    checked.with_context(|| format!("failed to understand {}", path.display()))
}

impl Declaration {
    fn checked(self, point: String, path: &Path) -> Result<Experiment> {
        let Self { name, splits, seeds, mut data, mut features, model } = self;
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(word) {
            bail!("`name` = \"{name}\": it has 1 to 64 of a to z, 0 to 9 and -");
        }
        let distinct: BTreeSet<_> = splits.iter().map(ToString::to_string).collect();
        if splits.is_empty() || distinct.len() < splits.len() {
            bail!("`splits` must name one or more, none twice");
        }
        for split in &splits {
            match split {
                Split::FaultFiltered(Part::Train | Part::All) => {
                    bail!("`splits`: {split} judges clips that are fitted on")
                }
                Split::SegmentKFold { .. } if data.pieces.is_none() => {
                    bail!("`splits`: {split} deals pieces of clips, and `data.pieces` says not how many each has")
                }
                _ => {}
            }
        }
        if seeds.is_empty() || seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
            bail!("`seeds` must name one or more, none twice");
        }
        if data.parts.is_empty() {
            bail!("`data.parts` is empty");
        }
        if let Some(pieces) = data.pieces.filter(|pieces| !(2..=1000).contains(pieces)) {
            bail!("`data.pieces` = {pieces}: a clip is cut into 2 to 1000");
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        data.corpora.iter_mut().for_each(|corpus| *corpus = folder.join(&*corpus));
        if matches!(model, Model::Ensemble { .. }) && !features.is_empty() {
            bail!("`features` of an ensemble are those of its members");
        }
        let preset = match features.remove("preset") {
            None => FeatureSpec::gtzan_store(),
            Some(toml::Value::String(name)) => FeatureSpec::preset(&name).context("`features.preset`")?,
            Some(other) => bail!("`features.preset` = {other}: it is the name of a preset"),
        };
        let spec = overlay(&preset, &features, "features")?;
        spec.validate().context("`features`")?;
        let learner = model.checked(folder, path)?;
        if matches!(learner, Learner::Svm(_)) {
            spec.require_descriptors().context("`features`")?;
        }
        Ok(Experiment { name, point, splits, seeds, data, spec, learner })
    }
}

impl Model {
    fn checked(self, folder: &Path, path: &Path) -> Result<Learner> {
        match self {
            Self::Svm { search } => {
                let search = overlay(&Search::default(), &search, "model.search")?;
                search.validate().context("`model.search`")?;
                Ok(Learner::Svm(search))
            }
            Self::Vgg19 { regime, weights, device, recipe } => {
                let base = match regime {
                    Regime::Frozen => TrainingConfig::frozen(0),
                    Regime::Finetune => TrainingConfig::finetune(0),
                };
                if recipe.contains_key("seed") {
                    bail!("`model.recipe.seed` is that of each job; `seeds` lists them");
                }
                let recipe = overlay(&base, &recipe, "model.recipe")?;
                recipe.check().map_err(|rule| anyhow!("`model.recipe`: {rule}"))?;
                let backend = device.map_or_else(|| Ok(Backend::default()), |name| name.parse::<Backend>());
                Ok(Learner::Vgg19 {
                    recipe: Box::new(recipe),
                    weights: weights.map(|weights| folder.join(weights)),
                    backend: backend.map_err(|problem| anyhow!("`model.device`: {problem}"))?,
                })
            }
            Self::Ensemble { members, weight } => {
                let [a, b] = members.as_slice() else {
                    bail!("`model.members` names {} files, not 2", members.len());
                };
                let member = |file: &Path| -> Result<Experiment> {
                    let file = folder.join(file);
                    if file.canonicalize().ok() == path.canonicalize().ok() {
                        bail!("`model.members` names the ensemble itself");
                    }
                    let member = read(&file).context("`model.members`")?;
                    if matches!(member.learner, Learner::Ensemble { .. }) {
                        bail!("`model.members`: {} is an ensemble too", file.display());
                    }
                    Ok(member)
                };
                Ok(Learner::Ensemble { members: Box::new([member(a)?, member(b)?]), weight })
            }
        }
    }
}

impl Experiment {
    /// Refuses to let what is to be judged at the end choose anything.
    ///
    /// # Errors
    /// When a split is neither the valid part nor one by artist, or the folds hold clips of the test part.
    pub fn may_choose(&self) -> Result<()> {
        for split in &self.splits {
            match split {
                Split::FaultFiltered(Part::Valid) => {}
                Split::ArtistKFold { .. } if self.data.parts.contains(&FaultFiltered::Test) => bail!(
                    "`data.parts` holds the test part, by which nothing is chosen: it judges, once, what was chosen by others"
                ),
                Split::ArtistKFold { .. } => {}
                Split::FaultFiltered(Part::Test) => {
                    bail!("`splits`: nothing is chosen by {split}: it judges, once, what was chosen by others")
                }
                _ => bail!(
                    "`splits`: {split} leaks, so it prefers what learns by heart; choose by fault-filtered:valid or artist-kfold:K"
                ),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "name = \"a\"\nsplits = [\"artist-kfold:5\"]\n[model]\nkind = \"svm\"\n";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.toml");
        fs::write(&path, text).expect("written");
        (folder, path)
    }

    fn refusal(text: &str, sweep: bool) -> String {
        let (_folder, path) = file(text);
        let error = if sweep { read_sweep(&path).map(drop) } else { read(&path).map(drop) };
        format!("{:#}", error.expect_err("refused"))
    }

    #[test]
    fn what_is_left_out_is_as_in_train() {
        let (_folder, path) = file(PLAIN);
        let experiment = read(&path).expect("a declaration");
        assert!(matches!(&experiment.learner, Learner::Svm(search) if *search == Search::default()));
        assert_eq!(experiment.spec, FeatureSpec::gtzan_store());
        assert_eq!(experiment.seeds, [42]);
        assert_eq!(experiment.data, Data::default());
    }

    #[test]
    fn every_mistake_is_named_with_file_and_field() {
        let model = |model: &str| format!("name = \"a\"\nsplits = [\"artist-kfold:5\"]\n[model]\n{model}");
        for (text, words) in [
            (PLAIN.replace("name", "nom"), "nom"),
            (PLAIN.replace("\"a\"", "\"A b\""), "`name` = \"A b\""),
            (PLAIN.replace("artist-kfold:5", "artist-kfold"), "artist-kfold:5"),
            (
                PLAIN.replace("artist-kfold:5", "fault-filtered:all"),
                "fault-filtered:all judges clips that are fitted on",
            ),
            (PLAIN.replace("artist-kfold:5", "segment-kfold:5"), "`data.pieces`"),
            (PLAIN.replace("splits", "seeds = [1, 1]\nsplits"), "`seeds`"),
            (format!("{PLAIN}search.c = [-1.0]"), "`c`"),
            (format!("{PLAIN}search.d = 3"), "`model.search.d` is no field"),
            (format!("{PLAIN}[features]\nn_mfcc = 3"), "n_mfcc"),
            (format!("{PLAIN}[features]\nmfcc = 3"), "`features.mfcc` is no field"),
            (format!("{PLAIN}[features]\ndescriptors = []"), "descriptors"),
            (format!("{PLAIN}[features]\npreset = \"none\""), "`features.preset`"),
            (format!("{PLAIN}[data]\nparts = []"), "`data.parts`"),
            (format!("{PLAIN}[data]\npieces = 1"), "`data.pieces`"),
            (format!("{PLAIN}[grid]\n\"model.search.folds\" = [3, 4]"), "experiments sweep"),
            (model("kind = \"tree\""), "tree"),
            (model("kind = \"vgg19\"\nregime = \"hot\""), "hot"),
            (model("kind = \"vgg19\"\ndevice = \"abacus\""), "`model.device`"),
            (model("kind = \"vgg19\"\nrecipe.folds = 1"), "`model.recipe`: the folds"),
            (model("kind = \"vgg19\"\nrecipe.seed = 1"), "`model.recipe.seed`"),
            (model("kind = \"ensemble\"\nmembers = [\"b.toml\"]"), "`model.members` names 1"),
            (model("kind = \"ensemble\"\nmembers = [\"b.toml\", \"c.toml\"]"), "b.toml"),
            (model("kind = \"ensemble\"\nmembers = [\"a.toml\", \"a.toml\"]"), "the ensemble itself"),
            (model("kind = \"ensemble\"\nmembers = []\n[features]\nn_mfcc = 20"), "`features` of an ensemble"),
            (model("kind = \"ensemble\"\nmembers = []\nweight = 2.0"), "weight = 2.0"),
        ] {
            let error = refusal(&text, false);
            assert!(error.contains("a.toml") && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_is_chosen_by_what_is_to_judge_it() {
        let grid = "[grid]\n\"model.search.folds\" = [3, 4]";
        let sweep = |split: &str| format!("{}{grid}", PLAIN.replace("artist-kfold:5", split));
        for (text, words) in [
            (sweep("fault-filtered:test"), "nothing is chosen by fault-filtered:test"),
            (sweep("track-kfold:5"), "track-kfold:5 leaks"),
            (format!("{PLAIN}[data]\nparts = [\"train\", \"test\"]\n{grid}"), "holds the test part"),
            (PLAIN.to_owned(), "has no [grid]"),
        ] {
            let error = refusal(&text, true);
            assert!(error.contains(words), "{error}");
        }
        for split in ["fault-filtered:valid", "artist-kfold:3"] {
            let (_folder, path) = file(&sweep(split));
            assert_eq!(read_sweep(&path).expect("a sweep").len(), 2);
        }
        // A judgement by the test part is no choice.
        let (_folder, path) = file(&PLAIN.replace("artist-kfold:5", "fault-filtered:test"));
        assert!(read(&path).is_ok());
    }
}
