//! Experiments as TOML declares them: what is fitted on what, and by which splits and seeds it is evaluated.
//!
//! A file is read as a table. A point of its `[grid]` is written over it, defaults are put under it, and the whole becomes an
//! [`Experiment`] at once, so that serde names the field that is wrong.

use std::{
    collections::BTreeSet,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, anyhow, bail};
use data::{FaultFiltered, Part, Split};
use features::FeatureSpec;
use models::vgg19::Backend;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use toml::{Table, Value};
use train::training::{svm::Search, vgg19::TrainingConfig};

/// The seed of a declaration that names none, as in `train`.
pub const DEFAULT_SEED: u64 = 42;
/// Most points of one grid.
const MAX_POINTS: usize = 10_000;

/// A declaration that was checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The name that its results are stored under: 1 to 64 of a to z, 0 to 9 and -.
    pub name: String,
    /// What the grid sets, such as `model.search.c = [8.0]`; empty without a grid.
    #[serde(skip)]
    pub point: String,
    /// How it is evaluated; at least one, none twice.
    #[serde(deserialize_with = "splits")]
    pub splits: Vec<Split>,
    /// The seeds of everything that is drawn, the folds too; at least one, none twice.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// Which clips are dealt to folds.
    #[serde(default)]
    pub data: DataConfig,
    /// The features that are extracted.
    pub features: FeatureSpec,
    /// The model that is fitted.
    pub model: ModelConfig,
    /// The two members of an ensemble; else none. Their clips, splits and seeds are those of the ensemble.
    #[serde(skip)]
    pub members: Option<Box<[Self; 2]>>,
    /// The experiment whose network this one starts from; else none. Its clips are its own.
    #[serde(skip)]
    pub init: Option<Box<Self>>,
}

/// Which clips are dealt to folds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Datasets, from the folder of the file; without any, those that `--data` names or `train` would find.
    #[serde(alias = "corpora")]
    pub datasets: Vec<PathBuf>,
    /// Parts of GTZAN whose clips are dealt to folds. Clips that are not GTZAN's are always dealt.
    pub parts: BTreeSet<FaultFiltered>,
    /// Equal segments that each clip is cut into, 2 to 1000, each then fitted on and evaluated as a clip of its own.
    #[serde(alias = "pieces")]
    pub segments_per_clip: Option<usize>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            parts: [FaultFiltered::Train, FaultFiltered::Valid].into(),
            segments_per_clip: None,
        }
    }
}

/// The model that is fitted, with every hyperparameter. In a file its variant is the field `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one of them for each experiment")]
pub enum ModelConfig {
    /// The support vector machine.
    Svm {
        /// The grid of its hyperparameters, and how cross-validation chooses among them.
        search: Search,
    },
    /// The network.
    Vgg19 {
        /// Its training. The seed is 0 here, and that of the job when it is fitted.
        training: TrainingConfig,
        /// The convolutions to begin with, from the folder of the file; `None` for those that `train vgg19` would take.
        weights: Option<PathBuf>,
        /// The file of the experiment, from the folder of this file, whose network it starts from: that of the first fold of the first
        /// split that is declared there, with the seed of the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        init: Option<PathBuf>,
        /// What computes.
        #[serde(default, serialize_with = "device_name", deserialize_with = "parsed")]
        device: Backend,
    },
    /// Two of the above.
    Ensemble {
        /// Files of two experiments, from the folder of the file. Their features and models count; their clips, splits and seeds
        /// are those of the ensemble.
        members: [PathBuf; 2],
        /// How much the first counts.
        #[serde(default)]
        weight: Weight,
    },
}

impl ModelConfig {
    /// `svm`, `vgg19` or `ensemble`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Svm { .. } => "svm",
            Self::Vgg19 { .. } => "vgg19",
            Self::Ensemble { .. } => "ensemble",
        }
    }
}

/// How much the first member of an ensemble counts: its probabilities to the power of this, times those of the second to the
/// power of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weight {
    /// As much as makes the log-loss least of clips that are fitted on, predicted in cross-validation by artist.
    #[default]
    Learnt,
    /// 0 to 1.
    Fixed(f64),
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Learnt => serializer.serialize_str("learnt"),
            Self::Fixed(share) => serializer.serialize_f64(*share),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Float(share) if (0.0..=1.0).contains(&share) => Ok(Self::Fixed(share)),
            Value::String(word) if word == "learnt" => Ok(Self::Learnt),
            other => Err(D::Error::custom(format!("expected \"learnt\" or 0.0 to 1.0, found {other}"))),
        }
    }
}

pub(crate) fn default_seeds() -> Vec<u64> {
    vec![DEFAULT_SEED]
}

fn splits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Split>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
}

pub(crate) fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn device_name<S: Serializer>(device: &Backend, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(device.name())
}

/// Reads a file without a grid.
///
/// # Errors
/// When it cannot be read or has a grid, or names the field that is wrong.
pub fn read(path: &Path) -> Result<Experiment> {
    read_in_chain(path, &[])
}

/// The same of a file that those of a chain lead to, each of which starts from the network of the next.
fn read_in_chain(path: &Path, chain: &[PathBuf]) -> Result<Experiment> {
    let table = table(path)?;
    if table.contains_key("grid") {
        bail!("{} has a [grid]; do it with `experiments sweep`", path.display());
    }
    experiment(table, String::new(), path, chain)
}

/// Reads a file with a grid: every point, and the table that declares it alone.
///
/// # Errors
/// When it cannot be read, has no grid, or has splits that nothing is chosen by; or names the field that is wrong.
pub fn read_sweep(path: &Path) -> Result<Vec<(Experiment, Table)>> {
    let mut table = table(path)?;
    let Some(grid) = table.remove("grid") else {
        bail!("{} has no [grid]; do it with `experiments run`", path.display());
    };
    let points = points(table, grid).with_context(|| format!("failed to read {}", path.display()))?;
    let one = |(point, table): (String, Table)| {
        let experiment = experiment(table.clone(), point, path, &[])?;
        experiment.may_choose().with_context(|| format!("{} cannot be swept", path.display()))?;
        Ok((experiment, table))
    };
    points.into_iter().map(one).collect()
}

fn table(path: &Path) -> Result<Table> {
    let read = || -> Result<Table> { Ok(fs::read_to_string(path)?.parse()?) };
    read().with_context(|| format!("failed to read {}", path.display()))
}

fn experiment(table: Table, point: String, path: &Path, chain: &[PathBuf]) -> Result<Experiment> {
    let read = || -> Result<Experiment> {
        let init = initial(&table, path, chain).context("`model.init`")?;
        // What serde says of a field stands in two lines, the second with where it is.
        let experiment: Result<Experiment, _> = with_defaults(table, init.as_ref())?.try_into();
        let mut experiment = experiment.map_err(|error| anyhow!(error.to_string().trim().replace('\n', " ")))?;
        experiment.point = point;
        experiment.init = init.map(Box::new);
        experiment.check(path)?;
        Ok(experiment)
    };
    read().with_context(|| format!("failed to read {}", path.display()))
}

/// The experiment whose network that of the table starts from, if it names one.
fn initial(table: &Table, path: &Path, chain: &[PathBuf]) -> Result<Option<Experiment>> {
    let model = table.get("model");
    let field = |name: &str| model.and_then(|model| model.get(name)).and_then(Value::as_str);
    let (Some("vgg19"), Some(init)) = (field("kind"), field("init")) else { return Ok(None) };
    let file = path.parent().unwrap_or(Path::new(".")).join(init);
    let of = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let chain = [chain, &[of(path)]].concat();
    if chain.contains(&of(&file)) {
        bail!("the experiments lead back to {}", file.display());
    }
    let initial = read_in_chain(&file, &chain)?;
    if !matches!(initial.model, ModelConfig::Vgg19 { .. }) {
        bail!(
            "{} declares a model of the kind `{}`; a network starts from a network (`vgg19`)",
            file.display(),
            initial.model.name()
        );
    }
    Ok(Some(initial))
}

/// Every combination of the values of a grid, each with what it sets and the declaration with that set. The last field changes
/// fastest.
fn points(declaration: Table, grid: Value) -> Result<Vec<(String, Table)>> {
    let Value::Table(grid) = grid else { bail!("`grid`: expected a table, found {grid}") };
    let mut points = vec![(String::new(), declaration)];
    for (path, values) in &grid {
        let Value::Array(values) = values else {
            bail!("`grid.\"{path}\"`: expected a list of values, found {values}")
        };
        if values.is_empty() {
            bail!("`grid.\"{path}\"` is empty");
        }
        if points.len() * values.len() > MAX_POINTS {
            bail!("the grid has more than {MAX_POINTS} points");
        }
        let with = |(label, table): &(String, Table), value: &Value| -> Result<(String, Table)> {
            let mut table = table.clone();
            set(&mut table, path, value)?;
            let separator = if label.is_empty() { "" } else { ", " };
            Ok((format!("{label}{separator}{path} = {value}"), table))
        };
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| with(point, value)))
            .collect::<Result<_>>()?;
    }
    Ok(points)
}

/// Sets the field that lies at `path`, names with points between.
fn set(mut table: &mut Table, path: &str, value: &Value) -> Result<()> {
    let (tables, field) = path.rsplit_once('.').unwrap_or(("", path));
    if field.is_empty() || ["name", "seeds", "splits"].contains(&path) {
        bail!("`grid.\"{path}\"` cannot be searched");
    }
    for name in tables.split('.').filter(|_| !tables.is_empty()) {
        let inner = table.entry(name).or_insert_with(|| Table::new().into());
        let Value::Table(inner) = inner else { bail!("`grid.\"{path}\"`: `{name}` is not a table") };
        table = inner;
    }
    table.insert(field.to_owned(), value.clone());
    Ok(())
}

/// The declaration with every field of its features and its model, and the model below its kind, as serde reads an enum. A network that
/// starts from that of `init` is made as that one is.
fn with_defaults(mut declaration: Table, init: Option<&Experiment>) -> Result<Table> {
    let model = declaration.remove("model").unwrap_or_else(|| Table::new().into());
    let Value::Table(mut model) = model else { bail!("`model`: expected a table, found {model}") };
    let Some(Value::String(kind)) = model.remove("kind") else {
        bail!("`model.kind`: expected `svm`, `vgg19` or `ensemble`, found none of them");
    };
    if kind == "ensemble" && declaration.get("features").is_some_and(|features| *features != Table::new().into()) {
        bail!("`features` of an ensemble are those of its members");
    }
    let features = declaration.get_mut("features").and_then(Value::as_table_mut);
    let preset = match features.and_then(|features| features.remove("preset")) {
        None => FeatureSpec::gtzan_store(),
        Some(Value::String(name)) => FeatureSpec::preset(&name).context("`features.preset`")?,
        Some(other) => bail!("`features.preset`: expected the name of a preset, found {other}"),
    };
    put_under(&mut declaration, "features", &preset)?;
    match kind.as_str() {
        "svm" => put_under(&mut model, "search", &Search::default())?,
        "vgg19" => {
            // What fields were called before.
            rename(&mut model, "recipe", "training");
            if let Some(Value::Table(training)) = model.get_mut("training") {
                rename(training, "views", "normalisations");
                if let Some(Value::Table(finetune)) = training.get_mut("finetune") {
                    rename(finetune, "thaw", "unfreeze_from");
                    rename(finetune, "look_every", "evaluate_every");
                }
            }
            let sets = |field| model.get("training").is_some_and(|training| training.get(field).is_some());
            if sets("seed") {
                bail!("`model.training.seed` is that of each job; `seeds` lists them");
            }
            let tunes = sets("finetune");
            let head = model.remove("head");
            let logistic = match head.as_ref().map(Value::as_str) {
                None | Some(Some("ridge")) => false,
                Some(Some("logistic")) => true,
                Some(_) => bail!("`model.head`: expected `ridge` or `logistic`, found {}", serde_json::json!(head)),
            };
            let defaults = match model.remove("regime") {
                Some(Value::String(regime)) if regime == "finetune" && head.is_some() && !logistic => {
                    bail!("`model.head`: fine-tuning tunes the `logistic` head; leave it out")
                }
                Some(Value::String(regime)) if regime == "finetune" => TrainingConfig::finetune(0),
                Some(Value::String(regime)) if regime != "frozen" => {
                    bail!("`model.regime`: unknown regime `{regime}`, expected `frozen` or `finetune`")
                }
                None | Some(Value::String(_)) if tunes => {
                    bail!("`model.training.finetune` needs `model.regime` = \"finetune\"")
                }
                None | Some(Value::String(_)) if logistic => TrainingConfig::logistic(0),
                None | Some(Value::String(_)) => TrainingConfig::frozen(0),
                Some(other) => bail!("`model.regime`: expected `frozen` or `finetune`, found {other}"),
            };
            let defaults = match init.map(|init| &init.model) {
                Some(ModelConfig::Vgg19 { training, .. }) => defaults.with_network_of(training),
                _ => defaults,
            };
            put_under(&mut model, "training", &defaults)?;
        }
        _ => {}
    }
    declaration.insert("model".to_owned(), Table::from_iter([(kind, Value::Table(model))]).into());
    Ok(declaration)
}

/// Gives a field its new name.
fn rename(table: &mut Table, old: &str, new: &str) {
    if let Some(value) = table.remove(old) {
        table.insert(new.to_owned(), value);
    }
}

/// Fills in what a table leaves out of a field.
fn put_under(table: &mut Table, field: &str, defaults: &impl Serialize) -> Result<()> {
    let defaults = Value::try_from(defaults)?;
    let value = match table.remove(field) {
        Some(given) => merged(defaults, given),
        None => defaults,
    };
    table.insert(field.to_owned(), value);
    Ok(())
}

/// What is given, and of tables those defaults that it leaves out. `"none"` in the place of a table is none of it: TOML has no null.
fn merged(defaults: Value, given: Value) -> Value {
    let (Value::Table(mut all), Value::Table(given)) = (defaults, given.clone()) else { return given };
    for (field, value) in given {
        let value = match all.remove(&field) {
            Some(Value::Table(_)) if value.as_str() == Some("none") => continue,
            Some(default) => merged(default, value),
            None => value,
        };
        all.insert(field, value);
    }
    all.into()
}

/// Refuses a name that is not 1 to 64 of a to z, 0 to 9 and -.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(word) {
        bail!("expected 1 to 64 of a to z, 0 to 9 and -, found \"{name}\"");
    }
    Ok(())
}

impl Experiment {
    /// Checks what types do not say, reads the members of an ensemble, and makes paths those from the current folder.
    fn check(&mut self, path: &Path) -> Result<()> {
        let Self { name, splits, seeds, data, features, model, members, init, .. } = self;
        check_name(name).context("`name`")?;
        let distinct: BTreeSet<_> = splits.iter().map(ToString::to_string).collect();
        if splits.is_empty() || distinct.len() < splits.len() {
            bail!("`splits` must name one or more, none twice");
        }
        for split in &*splits {
            match split {
                Split::FaultFiltered(Part::Train | Part::All) => {
                    bail!("`splits`: {split} evaluates on clips that are fitted on")
                }
                Split::SegmentKFold { .. } if data.segments_per_clip.is_none() => {
                    bail!("`splits`: {split} deals segments of clips; set `data.segments_per_clip`")
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
        if let Some(n) = data.segments_per_clip.filter(|n| !(2..=1000).contains(n)) {
            bail!("`data.segments_per_clip` = {n}: expected 2 to 1000");
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        data.datasets.iter_mut().for_each(|dataset| *dataset = folder.join(&*dataset));
        features.validate().context("`features`")?;
        match model {
            ModelConfig::Svm { search } => {
                features.require_descriptors().context("`features`")?;
                search.validate().context("`model.search`")?;
            }
            ModelConfig::Vgg19 { training, weights, init: file, .. } => {
                training.check().map_err(|rule| anyhow!("`model.training`: {rule}"))?;
                *weights = weights.take().map(|weights| folder.join(weights));
                *file = file.take().map(|file| folder.join(file));
                if let Some(init) = init {
                    if weights.is_some() {
                        bail!("`model.weights`: the convolutions are those of the network of `model.init`");
                    }
                    init.can_start(training, features)?;
                }
            }
            ModelConfig::Ensemble { members: files, .. } => {
                let member = |file: &mut PathBuf| -> Result<Self> {
                    *file = folder.join(&*file);
                    if file.canonicalize().ok() == path.canonicalize().ok() {
                        bail!("`model.members` names the ensemble itself");
                    }
                    let member = read(file).context("`model.members`")?;
                    if member.members.is_some() {
                        bail!("`model.members`: {} is an ensemble too", file.display());
                    }
                    Ok(member)
                };
                let [a, b] = files;
                *members = Some(Box::new([member(a)?, member(b)?]));
            }
        }
        Ok(())
    }

    /// Refuses a training that cannot start from the network of this experiment.
    fn can_start(&self, training: &TrainingConfig, features: &FeatureSpec) -> Result<()> {
        let Self { name, model: ModelConfig::Vgg19 { training: ours, .. }, .. } = self else { return Ok(()) };
        if features.log_mel_alone().fingerprint() != self.features.log_mel_alone().fingerprint() {
            bail!("`features` are not those of `{name}`, whose network this one starts from");
        }
        if let Some((field, wanted, kept)) = training.other_network(ours) {
            bail!("`model.training.{field}` is {wanted}, and {kept} in `{name}`, whose network this one starts from");
        }
        Ok(())
    }

    /// Refuses to let clips choose anything that are to evaluate the model at the end.
    ///
    /// # Errors
    /// When a split is neither the valid part nor one by artist, or the folds hold clips of the test part.
    pub fn may_choose(&self) -> Result<()> {
        for split in &self.splits {
            match split {
                Split::FaultFiltered(Part::Valid) => {}
                Split::ArtistKFold { .. } if self.data.parts.contains(&FaultFiltered::Test) => bail!(
                    "`data.parts` holds the test part, by which nothing is chosen: it evaluates, once, what was chosen by others"
                ),
                Split::ArtistKFold { .. } => {}
                Split::FaultFiltered(Part::Test) => {
                    bail!("`splits`: nothing is chosen by {split}: it evaluates, once, what was chosen by others")
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
    const NETWORK: &str = "name = \"a\"\nsplits = [\"artist-kfold:5\"]\n[model]\nkind = \"vgg19\"\n";

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
        assert_eq!(experiment.model, ModelConfig::Svm { search: Search::default() });
        assert_eq!(experiment.features, FeatureSpec::gtzan_store());
        assert_eq!(experiment.seeds, [42]);
        assert_eq!(experiment.data, DataConfig::default());
        let (_folder, path) = file(&format!("{PLAIN}search.band_limited = false\n[features]\nfloor = \"none\"\n"));
        let experiment = read(&path).expect("a declaration");
        assert_eq!(experiment.features, FeatureSpec { floor: None, ..FeatureSpec::gtzan_store() });
        assert_eq!(experiment.model, ModelConfig::Svm { search: Search { band_limited: false, ..Search::default() } });
        for (regime, expected) in [
            ("", TrainingConfig::frozen(0)),
            ("regime = \"frozen\"", TrainingConfig::frozen(0)),
            ("head = \"ridge\"", TrainingConfig::frozen(0)),
            ("head = \"logistic\"", TrainingConfig::logistic(0)),
            ("regime = \"finetune\"", TrainingConfig::finetune(0)),
        ] {
            let (_folder, path) = file(&format!("{NETWORK}{regime}"));
            let (weights, init, device) = Default::default();
            let expected = ModelConfig::Vgg19 { training: expected, weights, init, device };
            assert_eq!(read(&path).expect("a declaration").model, expected);
        }
    }

    #[test]
    fn fields_are_replaced_and_the_rest_stays() {
        // `recipe` is what the table was called before.
        for table in ["training", "recipe"] {
            let text = format!("{NETWORK}[model.{table}]\npooled_blocks = [1, 2]\n[model.{table}.head]\nsteps = 7");
            let (_folder, path) = file(&text);
            let ModelConfig::Vgg19 { training, .. } = read(&path).expect("they fit").model else { panic!("a network") };
            let expected = TrainingConfig { pooled_blocks: vec![1, 2], ..TrainingConfig::frozen(0) };
            assert_eq!(training.head.steps, 7);
            assert_eq!(TrainingConfig { head: expected.head.clone(), ..training }, expected);
        }
        let former = "regime = \"finetune\"\nrecipe.views = [\"cmn\"]\nrecipe.finetune = { thaw = 3, look_every = 1 }";
        let (_folder, path) = file(&format!("{NETWORK}{former}"));
        let ModelConfig::Vgg19 { training, .. } = read(&path).expect("they fit").model else { panic!("a network") };
        let finetune = training.finetune.expect("it is tuned");
        assert_eq!((training.normalisations.len(), finetune.unfreeze_from, finetune.evaluate_every), (1, 3, 1));
        let (_folder, path) = file(&format!("{PLAIN}[features]\npreset = \"librosa\"\nstft.hop_length = 256"));
        let mut expected = FeatureSpec::librosa();
        expected.stft.hop_length = 256;
        assert_eq!(read(&path).expect("they fit").features, expected);
    }

    #[test]
    fn every_mistake_is_named_with_file_and_field() {
        let model = |model: &str| format!("name = \"a\"\nsplits = [\"artist-kfold:5\"]\n[model]\n{model}");
        for (text, words) in [
            (PLAIN.replace("name", "nom"), "unknown field `nom`, expected one of `name`, `splits`"),
            (PLAIN.replace("\"a\"", "\"A b\""), "`name`: expected 1 to 64 of a to z, 0 to 9 and -, found \"A b\""),
            (PLAIN.replace("artist-kfold:5", "artist-kfold"), "artist-kfold:5"),
            (
                PLAIN.replace("artist-kfold:5", "fault-filtered:all"),
                "fault-filtered:all evaluates on clips that are fitted on",
            ),
            (PLAIN.replace("artist-kfold:5", "segment-kfold:5"), "`data.segments_per_clip`"),
            (PLAIN.replace("splits", "seeds = [1, 1]\nsplits"), "`seeds`"),
            (format!("{PLAIN}search.c = [-1.0]"), "`c`"),
            (format!("{PLAIN}search.d = 3"), "unknown field `d`, expected one of `c`, `gamma`"),
            (format!("{PLAIN}search.d = 3"), "in `model.search`"),
            (format!("{PLAIN}[features]\nn_mfcc = 3"), "n_mfcc"),
            (format!("{PLAIN}[features]\nmfcc = 3"), "unknown field `mfcc`, expected one of `revision`"),
            (format!("{PLAIN}[features]\nmfcc = 3"), "in `features`"),
            (format!("{PLAIN}[features]\ndescriptors = []"), "descriptors"),
            (format!("{PLAIN}[features]\npreset = \"none\""), "`features.preset`"),
            (format!("{PLAIN}[data]\nparts = []"), "`data.parts`"),
            (format!("{PLAIN}[data]\npieces = 1"), "`data.segments_per_clip` = 1"),
            (format!("{PLAIN}[grid]\n\"model.search.folds\" = [3, 4]"), "experiments sweep"),
            (model(""), "`model.kind`"),
            (model("kind = \"tree\""), "unknown variant `tree`, expected one of `svm`, `vgg19`, `ensemble` in `model`"),
            (model("kind = \"vgg19\"\nregime = \"hot\""), "unknown regime `hot`, expected `frozen` or `finetune`"),
            (model("kind = \"vgg19\"\nhead = \"svm\""), "`model.head`: expected `ridge` or `logistic`, found \"svm\""),
            (model("kind = \"vgg19\"\nhead = \"ridge\"\nregime = \"finetune\""), "tunes the `logistic` head"),
            (model("kind = \"vgg19\"\ndevice = \"abacus\""), "abacus"),
            (model("kind = \"vgg19\"\ndevice = \"abacus\""), "in `model.device`"),
            (model("kind = \"vgg19\"\ntraining.folds = 1"), "`model.training`: the folds"),
            (model("kind = \"vgg19\"\ntraining.seed = 1"), "`model.training.seed`"),
            (model("kind = \"vgg19\"\nrecipe.seed = 1"), "`model.training.seed`"),
            (model("kind = \"ensemble\"\nmembers = [\"b.toml\"]"), "invalid length 1"),
            (model("kind = \"ensemble\"\nmembers = [\"b.toml\", \"c.toml\", \"d.toml\"]"), "in `model.members`"),
            (model("kind = \"ensemble\"\nmembers = [\"b.toml\", \"c.toml\"]"), "b.toml"),
            (model("kind = \"ensemble\"\nmembers = [\"a.toml\", \"a.toml\"]"), "the ensemble itself"),
            (model("kind = \"ensemble\"\nmembers = []\n[features]\nn_mfcc = 20"), "`features` of an ensemble"),
            (
                model("kind = \"ensemble\"\nmembers = [\"b.toml\", \"c.toml\"]\nweight = 2.0"),
                "expected \"learnt\" or 0.0 to 1.0, found 2.0",
            ),
        ] {
            let error = refusal(&text, false);
            assert!(error.contains("a.toml") && error.contains(words), "{text}: {error}");
        }
        for (training, words) in [
            ("head.step = 7", ["unknown field `step`, expected one of `steps`", "in `model.training.head`"]),
            ("head.steps = \"many\"", ["invalid type: string \"many\"", "in `model.training.head.steps`"]),
            ("channels = \"stereo\"", ["`stereo`", "in `model.training.channels`"]),
            ("head = 3", ["invalid type: integer `3`", "in `model.training.head`"]),
            ("finetune.epochs = 3", ["`model.training.finetune` needs", "\"finetune\""]),
        ] {
            let error = refusal(&format!("{NETWORK}[model.training]\n{training}"), false);
            assert!(words.iter().all(|words| error.contains(words)), "{training}: {error}");
        }
    }

    #[test]
    fn a_network_starts_from_that_of_another_declaration() {
        let (folder, path) = file(&format!("{NETWORK}init = \"b.toml\"\ntraining.head.steps = 7"));
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("written");
        let refused = || format!("{:#}", read(&path).expect_err("refused"));
        assert!(refused().contains("b.toml") && refused().contains("`model.init`"), "{}", refused());
        let other = NETWORK.replace("\"a\"", "\"b\"");
        write("b.toml", format!("{other}regime = \"finetune\"\ntraining.pooled_blocks = [1, 4]"));
        let experiment = read(&path).expect("a declaration");
        let ModelConfig::Vgg19 { training, init, .. } = &experiment.model else { panic!("a network") };
        assert_eq!(training.pooled_blocks, [1, 4], "what it is made of is as there");
        assert_eq!((training.head.steps, &training.finetune), (7, &None), "how it is trained is not");
        assert_eq!(init.as_deref(), Some(folder.path().join("b.toml").as_path()));
        assert_eq!(experiment.init.map(|init| init.name).as_deref(), Some("b"));
        // A declaration without is stored as it always was.
        let alone = read(&folder.path().join("b.toml")).expect("a declaration");
        assert!(!serde_json::to_string(&alone.model).expect("JSON").contains("init"));

        for (text, words) in [
            (format!("{other}init = \"a.toml\""), "lead back to"),
            (PLAIN.replace("\"a\"", "\"b\""), "a network starts from a network (`vgg19`)"),
            (format!("{other}[features]\nmel.n_mels = 64"), "`features` are not those of `b`"),
        ] {
            write("b.toml", text);
            assert!(refused().contains(words), "{}", refused());
        }
        write("b.toml", other);
        for (more, words) in [
            ("weights = \"w.pth\"", "`model.weights`"),
            ("training.band_upsampling = 1", "`model.training.band_upsampling` is 1, and 2 in `b`"),
        ] {
            fs::write(&path, format!("{NETWORK}init = \"b.toml\"\n{more}")).expect("written");
            assert!(refused().contains(words), "{}", refused());
        }
        let error = refusal(&format!("{PLAIN}init = \"b.toml\""), false);
        assert!(error.contains("unknown field `init`"), "{error}");
    }

    #[test]
    fn every_combination_is_a_point() {
        let text = format!(
            "{PLAIN}search.folds = 3\n[grid]\n\"model.search.c\" = [[1.0], [2.0]]\n\"features.n_mfcc\" = [13, 20, 40]"
        );
        let (_folder, path) = file(&text);
        let points = read_sweep(&path).expect("a grid");
        assert_eq!(points.len(), 6);
        assert_eq!(points[1].0.point, "features.n_mfcc = 13, model.search.c = [2.0]");
        let (experiment, table) = &points[5];
        let search = Search { c: vec![2.0], folds: 3, ..Search::default() };
        assert_eq!((&experiment.model, experiment.features.n_mfcc), (&ModelConfig::Svm { search }, 40));
        assert_eq!(table["features"]["n_mfcc"].as_integer(), Some(40));
        assert!(!table.contains_key("grid") && table["model"].get("training").is_none());
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        for (text, words) in [
            ("grid = 3", "expected a table"),
            ("[grid]\n\"a.b\" = 3", "`grid.\"a.b\"`: expected a list"),
            ("[grid]\n\"a.b\" = []", "is empty"),
            ("a = 1\n[grid]\n\"a.b\" = [1]", "`a` is not a table"),
            ("[grid]\nseeds = [[1], [2]]", "cannot be searched"),
            ("[grid]\n\"\" = [1]", "cannot be searched"),
        ] {
            let error = refusal(text, true);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn nothing_is_chosen_by_what_is_to_evaluate_it() {
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
        // To be evaluated on the test part is no choice.
        let (_folder, path) = file(&PLAIN.replace("artist-kfold:5", "fault-filtered:test"));
        assert!(read(&path).is_ok());
    }
}
