//! Jobs of `experiments robustness`: the models of an experiment, fitted as ever, measured on bad and short recordings of the clips that they
//! hold out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use data::{OpenOptions, Split};
use models::{
    artifact::{self, Artifact, DataDescription},
    ensemble::novelty,
    vgg19::Backend,
};
use serde_json::{Value, json};
use train::{
    console::output,
    evaluation::{metrics::Scored, robustness::Robustness, scoring},
    source::Source,
    training::TrainingData,
};

use super::{Job, Prepared, Runner, ensemble, identity, warn_of_synthetic};
use crate::{
    declarations::{DEFAULT_SEED, DataConfig, ModelConfig},
    results::{
        robustness::{RobustnessResult, StoredRobustness},
        store::{Row, RunResult},
    },
    robustness::{Head, Kind, Measuring, Prediction, figures},
};

/// Revision of what is measured with what its identity says. Raise it when the same identity gives another result.
const REVISION: u32 = 1;

/// What decides a result, and what it is called.
struct Identity<'a> {
    declaration: &'a str,
    key: String,
    configuration: String,
    fit: String,
    made_from: Value,
}

impl<'a> Identity<'a> {
    /// Of models whose job has the key `fit` and the configuration id `configuration`.
    fn new(declaration: &'a str, measured: &Value, fit: &str, configuration: &str) -> Self {
        let made_from = |fit: &str| json!({ "revision": REVISION, "fit": fit, "measured": measured });
        Self {
            declaration,
            key: identity::digest(&made_from(fit)),
            configuration: identity::digest(&made_from(configuration)),
            fit: fit.to_owned(),
            made_from: made_from(fit),
        }
    }
}

impl Runner {
    /// Refuses a job that cannot be measured, before others take long.
    ///
    /// # Errors
    /// Those of [`Runner::check`]; when there is no audio of the held-out clips.
    pub fn check_robustness(&mut self, job: &Job, measuring: &Measuring) -> Result<()> {
        self.check(job)?;
        let first = job.members().map_or_else(|| job.clone(), |[first, _]| first);
        let open = self.dataset(&first.experiment)?;
        let held_out = held_out(open.folds(&first)?.iter().map(|fold| fold.test.as_slice()));
        let files = measuring.files(&ids(&open.data, &held_out), open.data.extractor());
        files.map(drop).with_context(|| format!("{} cannot be measured by {}", job.experiment.name, job.split))
    }

    /// What bad and short recordings do to the models of a job; whether it was measured before.
    ///
    /// # Errors
    /// When the dataset, the split, the weights or the audio cannot be used, or the result cannot be stored.
    pub fn robustness(
        &mut self,
        job: &Job,
        declaration: &str,
        measuring: &Measuring,
    ) -> Result<(StoredRobustness, bool)> {
        let done = match job.members() {
            None => self.robustness_of_single(job, declaration, measuring),
            Some(members) => self.robustness_of_ensemble(job, &members, declaration, measuring),
        };
        done.with_context(|| {
            format!("failed to measure {} by {} with seed {}", job.experiment.name, job.split, job.seed)
        })
    }

    fn robustness_of_single(
        &mut self,
        job: &Job,
        declaration: &str,
        measuring: &Measuring,
    ) -> Result<(StoredRobustness, bool)> {
        let prepared = self.prepare(job)?;
        let (data, threads) = (&prepared.open.data, self.context.threads);
        let held_out = held_out(prepared.folds.iter().map(|fold| fold.test.as_slice()));
        let files = measuring.files(&ids(data, &held_out), data.extractor())?;
        let fit = &prepared.identity;
        let identity = Identity::new(declaration, &measuring.identity(&files), &fit.key, &fit.configuration);
        if let Some(stored) = self.find_robustness(job, &identity)? {
            return Ok((stored, true));
        }
        let (learner, remarks) = self.learner_of(job, &prepared)?;
        let Prepared { open, folds, data, .. } = prepared;
        let (mut predictions, mut cross_validated) = (Vec::new(), Vec::new());
        for (number, fold) in folds.iter().enumerate() {
            let measure = || -> Result<_> {
                let input = open.input(job, fold, threads);
                let fitted = learner.fit(&input)?.calibrated(&input)?;
                let held_out = (number, fold.test.as_slice());
                let dataset = open.data.dataset();
                let measured = measuring.predict(fitted.classifier.as_ref(), dataset, held_out, &files, threads)?;
                Ok((measured, fitted.cross_validated))
            };
            let (measured, scored) = measure().with_context(|| format!("fold {} of {}", number + 1, folds.len()))?;
            predictions.extend(measured);
            cross_validated.extend(scored.into_iter().map(|scored| Row { fold: number, whole: String::new(), scored }));
        }
        let head = Head {
            fitted_on: folds.iter().map(|fold| fold.train.len()).min().unwrap_or(0),
            held_out: held_out.len(),
            remarks,
            ..head(job, measuring)
        };
        self.store_robustness(job, identity, head, (data, &open.labels), predictions, cross_validated)
    }

    fn robustness_of_ensemble(
        &mut self,
        job: &Job,
        members: &[Job; 2],
        declaration: &str,
        measuring: &Measuring,
    ) -> Result<(StoredRobustness, bool)> {
        let [a, b] = members;
        let (a, b) = (self.robustness(a, declaration, measuring)?.0, self.robustness(b, declaration, measuring)?.0);
        let of_both = |field: fn(&RobustnessResult) -> &String| json!([field(&a.result), field(&b.result)]);
        // What is declared of the ensemble itself: how much each member counts.
        let weight = match job.experiment.model {
            ModelConfig::Ensemble { weight, .. } => weight,
            _ => bail!("{} declares no ensemble", job.experiment.name),
        };
        let measured = json!({ "members": of_both(|result| &result.key), "weight": weight });
        let without_seed = json!({ "members": of_both(|result| &result.configuration), "weight": weight });
        let identity = Identity {
            configuration: identity::digest(&without_seed),
            ..Identity::new(declaration, &measured, "", "")
        };
        if let Some(stored) = self.find_robustness(job, &identity)? {
            return Ok((stored, true));
        }
        let folds: BTreeSet<usize> = a.predictions.iter().map(|one| one.fold).collect();
        let mut shares = BTreeMap::new();
        for fold in folds {
            let of_fold = |rows: &[Row]| -> Vec<Scored> {
                rows.iter().filter(|row| row.fold == fold).map(|row| row.scored.clone()).collect()
            };
            shares.insert(fold, ensemble::share(weight, &of_fold(&a.cross_validated), &of_fold(&b.cross_validated))?);
        }
        let predictions = joined(&a.predictions, &b.predictions, &shares)?;
        let RobustnessResult { data, labels, robustness: of_a, .. } = &a.result;
        let remarks: BTreeSet<_> = of_a.remarks.iter().chain(&b.result.robustness.remarks).cloned().collect();
        let head = Head {
            fitted_on: of_a.fitted_on,
            held_out: of_a.clips + of_a.without_audio,
            remarks: remarks.into_iter().collect(),
            ..head(job, measuring)
        };
        self.store_robustness(job, identity, head, (data.clone(), labels), predictions, Vec::new())
    }

    /// What bad and short recordings do to a model that was trained: of the clips that the split holds out of the datasets of these options.
    ///
    /// # Errors
    /// When the artifact, the dataset or the audio cannot be used, or the labels are not those of the model.
    pub fn robustness_of_artifact(&mut self, dir: &Path, split: Split, measuring: &Measuring) -> Result<Robustness> {
        let artifact = Artifact::open(&artifact::resolve(dir, None)?)?;
        let classifier = models::from_artifact(&artifact, Backend::default())?;
        let classifier = classifier.as_ref();
        let threads = self.context.threads;
        let source = Source::choose(&self.context.datasets, DEFAULT_SEED, threads)?;
        output::remark(&source.announcement);
        let opening = OpenOptions::default();
        let data = TrainingData::open(&source.datasets, classifier.extractor().spec(), &opening, None, threads)?;
        output::say_dataset(data.dataset());
        if data.dataset().spec() != classifier.extractor().spec() {
            bail!("{} needs descriptors that a feature store does not hold", classifier.identity());
        }
        let folds = data.dataset().folds(split, &DataConfig::default().parts, DEFAULT_SEED)?;
        let held_out = held_out(folds.iter().map(|fold| fold.test.as_slice()));
        let files = measuring.files(&ids(&data, &held_out), data.extractor())?;
        let predictions = measuring.predict(classifier, data.dataset(), (0, &held_out), &files, threads)?;
        let manifest = artifact.manifest();
        let mut remarks = Vec::new();
        let seen = scoring::seen_in_training(
            &manifest.training,
            predictions.iter().filter(|one| one.kind == Kind::Clean).map(|one| &one.scored),
        );
        if seen > 0 {
            remarks.push(format!("Of these clips, {seen} were seen in training: the figures flatter."));
        }
        warn_of_synthetic(&mut remarks, predictions.iter().map(|one| &one.scored));
        let labels: Vec<String> = classifier.labels().iter().map(ToString::to_string).collect();
        let head = Head {
            name: classifier.identity().to_string(),
            model: manifest.model.clone(),
            split: split.to_string(),
            seeds: Vec::new(),
            fitted_on: manifest.data.clips,
            held_out: held_out.len(),
            remarks,
            left_out: measuring.left_out().to_vec(),
        };
        figures(head, &labels, &[&predictions])
    }

    fn find_robustness(&self, job: &Job, identity: &Identity<'_>) -> Result<Option<StoredRobustness>> {
        let names = [identity.declaration, job.experiment.name.as_str()];
        self.context.results.find_robustness(names, job.split, job.seed, &identity.key)
    }

    fn store_robustness(
        &self,
        job: &Job,
        identity: Identity<'_>,
        mut head: Head,
        (data, labels): (DataDescription, &[String]),
        predictions: Vec<Prediction>,
        cross_validated: Vec<Row>,
    ) -> Result<(StoredRobustness, bool)> {
        warn_of_synthetic(&mut head.remarks, predictions.iter().map(|one| &one.scored));
        let Identity { declaration, key, configuration, fit, made_from } = identity;
        let result = RobustnessResult {
            format: RunResult::FORMAT,
            key,
            configuration,
            fit,
            declaration: declaration.to_owned(),
            seed: job.seed,
            made_from,
            data,
            labels: labels.to_vec(),
            robustness: figures(head, labels, &[&predictions])?,
        };
        Ok((self.context.results.store_robustness(result, predictions, cross_validated)?, false))
    }
}

/// What the figures of a job are about, but for what is known once it is done.
fn head(job: &Job, measuring: &Measuring) -> Head {
    Head {
        name: job.experiment.name.clone(),
        model: job.experiment.model.name().to_owned(),
        split: job.split.to_string(),
        seeds: vec![job.seed],
        fitted_on: 0,
        held_out: 0,
        remarks: Vec::new(),
        left_out: measuring.left_out().to_vec(),
    }
}

/// The figures of results that differ in their seeds alone, as means.
///
/// # Errors
/// When there is none, or they are of different clips.
pub fn over_seeds(results: &[StoredRobustness]) -> Result<Robustness> {
    let mut results: Vec<_> = results.iter().collect();
    results.sort_by_key(|stored| stored.result.seed);
    let Some(first) = results.first().map(|stored| &stored.result) else { bail!("there is no result") };
    let of_first = &first.robustness;
    let remarks: BTreeSet<_> =
        results.iter().flat_map(|stored| stored.result.robustness.remarks.iter().cloned()).collect();
    let head = Head {
        name: of_first.name.clone(),
        model: of_first.model.clone(),
        split: of_first.split.clone(),
        seeds: results.iter().map(|stored| stored.result.seed).collect(),
        fitted_on: results.iter().map(|stored| stored.result.robustness.fitted_on).min().unwrap_or(0),
        held_out: of_first.clips + of_first.without_audio,
        remarks: remarks.into_iter().collect(),
        left_out: of_first.left_out.clone(),
    };
    let predictions: Vec<&[Prediction]> = results.iter().map(|stored| &*stored.predictions).collect();
    figures(head, &first.labels, &predictions)
}

/// The clips that are held out in any fold, ascending.
fn held_out<'a>(folds: impl Iterator<Item = &'a [usize]>) -> Vec<usize> {
    folds.flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

fn ids<'a>(data: &'a TrainingData, clips: &[usize]) -> Vec<&'a str> {
    clips.iter().map(|&clip| data.dataset().clips()[clip].clip_id.as_str()).collect()
}

/// What two members say together, of each clip in each condition; `shares` say how much the first counts in each fold.
fn joined(a: &[Prediction], b: &[Prediction], shares: &BTreeMap<usize, f64>) -> Result<Vec<Prediction>> {
    if a.len() != b.len() {
        bail!("the members were not measured in the same conditions");
    }
    let mut all = Vec::new();
    for (a, b) in a.iter().zip(b) {
        let share = shares.get(&a.fold).copied().context("a fold has a share")?;
        let same = |one: &Prediction| (one.kind, one.condition.clone(), one.excerpt, one.fold);
        if same(a) != same(b) {
            bail!("the members were not measured in the same conditions");
        }
        let scored = ensemble::predictions(std::slice::from_ref(&a.scored), std::slice::from_ref(&b.scored), share)?
            .swap_remove(0);
        all.push(Prediction { scored, novelty: novelty([a.novelty, b.novelty].into_iter().flatten()), ..a.clone() });
    }
    Ok(all)
}
