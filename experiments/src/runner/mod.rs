//! [`Runner`]: does each job once.

mod ensemble;
mod identity;
mod networks;
mod robustness;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use data::{Fold, OpenOptions, Split};
use models::artifact::DataDescription;
use serde_json::{Value, json};
use train::{
    console::output,
    evaluation::metrics::{Evaluation, Scored},
    source::{self, Source},
    training::{FitInput, Learner, Pretrained, SvmLearner, TrainingData, Vgg19Learner, dataset, vgg19::TrainingConfig},
};

pub use self::robustness::over_seeds;
use self::{identity::Identity, networks::Networks};
use crate::{
    declarations::{DEFAULT_SEED, Experiment, ModelConfig},
    results::store::{ChainLink, FoldResult, Results, Row, RunResult, StoredResult},
};

/// Where jobs are done.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// Datasets, where they are named for all; else those of each declaration, else those that `train` would find.
    pub datasets: Vec<PathBuf>,
    /// Where results are stored.
    pub results: Results,
    /// Weights of networks whose declarations name none.
    pub weights: Option<PathBuf>,
    /// Where embeddings of networks and unfinished tunings are cached.
    pub cache: PathBuf,
    /// Threads.
    pub threads: usize,
}

/// Does jobs, and holds what several of them need: open datasets with their feature vectors, weights.
pub struct Runner {
    context: RunContext,
    /// By folders, features and segments of each clip.
    datasets: BTreeMap<(Vec<PathBuf>, String, Option<usize>), Rc<OpenDataset>>,
    /// By file, blocks and, where they are drawn, seed.
    weights: BTreeMap<(Option<PathBuf>, usize, Option<u64>), Arc<Pretrained>>,
    /// Those that others start from.
    networks: Networks,
}

/// What a job of one model is fitted on, and what decides its result.
struct Prepared {
    open: Rc<OpenDataset>,
    folds: Vec<Fold>,
    /// The clips of all folds.
    used: Vec<usize>,
    data: DataDescription,
    identity: Identity,
    /// The result of the job whose network this one starts from, and that job.
    init: Option<(RunResult, Job)>,
}

/// A dataset, and every label of it.
struct OpenDataset {
    data: TrainingData,
    labels: Vec<String>,
}

/// What is done once: an experiment by one split with one seed.
#[derive(Clone, Debug)]
pub struct Job {
    /// The experiment.
    pub experiment: Experiment,
    /// The split.
    pub split: Split,
    /// The seed.
    pub seed: u64,
}

impl Job {
    /// The jobs of an experiment: each of its splits with each of its seeds.
    #[must_use]
    pub fn declared_by(experiment: &Experiment) -> Vec<Self> {
        let job = |split, seed| Self { experiment: experiment.clone(), split, seed };
        let of_split = |&split: &Split| experiment.seeds.iter().map(move |&seed| job(split, seed));
        experiment.splits.iter().flat_map(of_split).collect()
    }

    /// The jobs of the members of an ensemble, on its clips; none of another model.
    fn members(&self) -> Option<[Self; 2]> {
        let member = |member: &Experiment| Self {
            experiment: Experiment { data: self.experiment.data.clone(), ..member.clone() },
            ..self.clone()
        };
        self.experiment.members.as_deref().map(|members| members.each_ref().map(member))
    }

    /// The job whose network this one starts from, if it starts from one: by the first split that is declared there, with the seed of this
    /// one.
    fn init(&self) -> Option<Self> {
        let experiment = self.experiment.init.as_deref()?.clone();
        Some(Self { split: *experiment.splits.first()?, seed: self.seed, experiment })
    }
}

/// A result, and whether it was there before.
#[derive(Clone, Debug)]
pub struct Done {
    /// The result.
    pub stored: StoredResult,
    /// Whether it was there before.
    pub found: bool,
}

/// What a job gives, before it is stored.
struct Output {
    labels: Vec<String>,
    data: DataDescription,
    remarks: Vec<String>,
    chain: Vec<ChainLink>,
    scores: Vec<Row>,
    cross_validated: Vec<Row>,
    folds: Vec<FoldResult>,
}

impl Output {
    fn new(labels: &[String], data: DataDescription, remarks: Vec<String>) -> Self {
        let (chain, scores, cross_validated, folds) = Default::default();
        Self { labels: labels.to_vec(), data, remarks, chain, scores, cross_validated, folds }
    }
}

impl Runner {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(context: RunContext) -> Self {
        let networks = Networks::new(&context.cache);
        Self { context, datasets: BTreeMap::new(), weights: BTreeMap::new(), networks }
    }

    /// Refuses a job that cannot be done, before others take long.
    ///
    /// # Errors
    /// When the dataset, the split, the weights or the device cannot be used.
    pub fn check(&mut self, job: &Job) -> Result<()> {
        if let Some(members) = job.members() {
            return members.iter().try_for_each(|member| self.check(member));
        }
        let init = job.init();
        if let Some(init) = &init {
            if !self.context.datasets.is_empty() {
                bail!(
                    "{} starts from a network that is trained on other clips: name datasets in the files (`data.datasets`), not by --data",
                    job.experiment.name
                );
            }
            self.check(init)?;
            self.networks.will_start(init);
        }
        let mut check = || -> Result<()> {
            if let ModelConfig::Vgg19 { device, .. } = &job.experiment.model {
                device.open()?;
            }
            if init.is_none() {
                self.pretrained(job)?;
            }
            self.dataset(&job.experiment)?.folds(job)?;
            Ok(())
        };
        check().with_context(|| format!("{} cannot be evaluated by {}", job.experiment.name, job.split))
    }

    /// The result of a job, which is done unless it was done before.
    ///
    /// # Errors
    /// When the dataset, the split or the weights cannot be used, or the result cannot be stored.
    pub fn run(&mut self, job: &Job) -> Result<Done> {
        let done = match job.members() {
            None => self.single(job),
            Some(members) => self.ensemble(job, &members),
        };
        done.with_context(|| format!("failed to do {} by {} with seed {}", job.experiment.name, job.split, job.seed))
    }

    fn single(&mut self, job: &Job) -> Result<Done> {
        let prepared = self.prepare(job)?;
        if let Some(stored) = self.find(job, &prepared.identity.key)? {
            return Ok(Done { stored, found: true });
        }
        let (learner, remarks) = self.learner_of(job, &prepared)?;
        let Prepared { open, folds, data, identity, init, .. } = prepared;
        let (dataset, threads) = (open.data.dataset(), self.context.threads);
        let mut output = Output::new(&open.labels, data, remarks);
        output.chain = init.map_or_else(Vec::new, |(result, _)| ChainLink::after(&result));
        for (number, fold) in folds.iter().enumerate() {
            let Fold { train, test } = fold;
            let fit = || -> Result<_> {
                let fitted = learner.fit(&open.input(job, fold, threads))?;
                if number == 0 {
                    self.networks.keep(job, &identity.key, &fitted.weights)?;
                }
                Ok((fitted.score(&open.data, test, threads)?.scored, fitted.cross_validated, fitted.summary))
            };
            let (scored, cross_validated, summary) =
                fit().with_context(|| format!("fold {} of {}", number + 1, folds.len()))?;
            output.folds.push(fold_result(&scored, train.len(), summary));
            let whole = |&clip: &usize| dataset.clips()[clip].track_id.clone();
            let rows = test.iter().map(whole).zip(scored);
            output.scores.extend(rows.map(|(whole, scored)| Row { fold: number, whole, scored }));
            let row = |scored| Row { fold: number, whole: String::new(), scored };
            output.cross_validated.extend(cross_validated.into_iter().map(row));
        }
        self.store(job, identity, output)
    }

    /// What a job of one model is fitted on, and what decides its result.
    fn prepare(&mut self, job: &Job) -> Result<Prepared> {
        // Done first. What it gives is known by its key; its network is needed only where this job was not done before.
        let init = match job.init() {
            Some(init) => Some((self.run(&init)?.stored.result, init)),
            None => None,
        };
        let open = self.dataset(&job.experiment)?;
        let dataset = open.data.dataset();
        let folds = open.folds(job)?;
        let used: BTreeSet<usize> =
            folds.iter().flat_map(|fold| fold.train.iter().chain(&fold.test)).copied().collect();
        let used: Vec<usize> = used.into_iter().collect();
        let digest = dataset.digest_of(&used)?;
        let mut inputs = vec![("data", json!(digest)), ("features", json!(dataset.spec()))];
        let mut without_seed = Vec::new();
        if let Some((init, _)) = &init {
            inputs.push(("init", json!(init.key)));
            without_seed.push(("init", json!(init.configuration)));
        } else if let Some(weights) = self.pretrained(job)? {
            inputs.push(("weights", json!(weights.weights().digest())));
            // They follow from the seed.
            without_seed.extend(weights.is_random().then(|| ("weights", json!(weights.description()))));
        }
        let identity = Identity::new(job, inputs, without_seed)?;
        let data = DataDescription { digest, description: dataset.description().to_string(), clips: used.len() };
        Ok(Prepared { open: Rc::clone(&open), folds, used, data, identity, init })
    }

    /// How the model of a job is fitted, and what a reader should know of it.
    fn learner_of(&mut self, job: &Job, prepared: &Prepared) -> Result<(Box<dyn Learner>, Vec<String>)> {
        let weights = match &prepared.init {
            Some((result, init)) => Some(self.network(init, result)?),
            None => self.pretrained(job)?,
        };
        let clips = prepared.open.data.dataset().clips();
        let clip_ids = prepared.used.iter().map(|&clip| clips[clip].clip_id.as_str());
        let remarks = self.remarks(job, weights.as_deref(), clip_ids)?;
        Ok((self.learner(job, weights)?, remarks))
    }

    fn ensemble(&mut self, job: &Job, [a, b]: &[Job; 2]) -> Result<Done> {
        let (a, b) = (self.run(a)?.stored, self.run(b)?.stored);
        let of_both = |field: fn(&RunResult) -> &String| json!([field(&a.result), field(&b.result)]);
        let members = vec![("members", of_both(|result| &result.key))];
        // Their keys follow from the seed.
        let identity = Identity::new(job, members, vec![("members", of_both(|result| &result.configuration))])?;
        if let Some(stored) = self.find(job, &identity.key)? {
            return Ok(Done { stored, found: true });
        }
        let remarks: BTreeSet<_> = a.result.remarks.iter().chain(&b.result.remarks).cloned().collect();
        let remarks = remarks.into_iter().collect();
        let mut output = Output::new(&a.result.evaluation.labels, a.result.data.clone(), remarks);
        let weight = match job.experiment.model {
            ModelConfig::Ensemble { weight, .. } => weight,
            _ => Default::default(),
        };
        let (scores_a, scores_b) = (a.scores()?, b.scores()?);
        let (cross_validated_a, cross_validated_b) = (a.cross_validated()?, b.cross_validated()?);
        for (number, fold) in a.result.folds.iter().enumerate() {
            let of_fold = |rows: &[Row]| -> Vec<Scored> {
                rows.iter().filter(|row| row.fold == number).map(|row| row.scored.clone()).collect()
            };
            let share = ensemble::share(weight, &of_fold(&cross_validated_a), &of_fold(&cross_validated_b))?;
            let scored = ensemble::predictions(&of_fold(&scores_a), &of_fold(&scores_b), share)?;
            output.folds.push(fold_result(&scored, fold.fitted_on, json!({ "share_of_the_first": share })));
            let wholes = scores_a.iter().filter(|row| row.fold == number).map(|row| row.whole.clone());
            output.scores.extend(wholes.zip(scored).map(|(whole, scored)| Row { fold: number, whole, scored }));
        }
        self.store(job, identity, output)
    }

    fn store(&self, job: &Job, identity: Identity, output: Output) -> Result<Done> {
        let Job { experiment, split, seed } = job;
        let Output { labels, data, mut remarks, chain, scores, cross_validated, folds } = output;
        let scored: Vec<Scored> = scores.iter().map(|row| row.scored.clone()).collect();
        warn_of_synthetic(&mut remarks, scored.iter());
        let segments_per_clip = experiment.data.segments_per_clip;
        let result = RunResult {
            format: RunResult::FORMAT,
            key: identity.key,
            configuration: identity.configuration,
            name: experiment.name.clone(),
            point: experiment.point.clone(),
            model: experiment.model.name().to_owned(),
            split: split.to_string(),
            leaks: split.leaks().to_owned(),
            segments_per_clip,
            seed: *seed,
            made_from: identity.made_from,
            chain,
            data,
            remarks,
            evaluation: Evaluation::new(&labels, &scored, *seed),
            of_whole_clips: segments_per_clip.map(|_| Evaluation::new(&labels, &of_whole_clips(&scores), *seed)),
            folds,
        };
        Ok(Done { stored: self.context.results.store(result, scores, cross_validated)?, found: false })
    }

    /// The result of this key. It may have been done as another point of a grid.
    fn find(&self, Job { experiment, split, seed }: &Job, key: &str) -> Result<Option<StoredResult>> {
        let split = (*split, experiment.data.segments_per_clip);
        let mut stored = self.context.results.find(&experiment.name, split, *seed, key)?;
        if let Some(stored) = &mut stored {
            stored.result.point.clone_from(&experiment.point);
        }
        Ok(stored)
    }

    fn dataset(&mut self, experiment: &Experiment) -> Result<Rc<OpenDataset>> {
        let Experiment { data, features, model, .. } = experiment;
        let spec = match model {
            ModelConfig::Vgg19 { .. } => &features.log_mel_alone(),
            _ => features,
        };
        let RunContext { datasets, threads, .. } = &self.context;
        let named = if datasets.is_empty() { &data.datasets } else { datasets };
        let key = (named.clone(), spec.canonical_json(), data.segments_per_clip);
        if let Some(open) = self.datasets.get(&key) {
            return Ok(Rc::clone(open));
        }
        let source = Source::choose(named, DEFAULT_SEED, *threads)?;
        if self.datasets.is_empty() {
            output::remark(&source.announcement);
        }
        let opening = OpenOptions::default();
        let data = TrainingData::open(&source.datasets, spec, &opening, data.segments_per_clip, *threads)?;
        output::say_dataset(data.dataset());
        let labels = dataset::labels(data.dataset(), &(0..data.dataset().len()).collect::<Vec<_>>());
        let open = Rc::new(OpenDataset { data, labels });
        self.datasets.insert(key, Rc::clone(&open));
        Ok(open)
    }

    /// How the model of a job is fitted; a network beginning with these weights.
    fn learner(&self, job: &Job, weights: Option<Arc<Pretrained>>) -> Result<Box<dyn Learner>> {
        Ok(match (&job.experiment.model, weights) {
            (ModelConfig::Svm { search }, _) => Box::new(SvmLearner { search: search.clone() }),
            (ModelConfig::Vgg19 { training, device, .. }, Some(weights)) => Box::new(Vgg19Learner {
                config: TrainingConfig { seed: job.seed, ..training.clone() },
                weights,
                backend: *device,
                cache: Some(self.context.cache.clone()),
            }),
            (model, _) => bail!("the model `{}` is not fitted itself", model.name()),
        })
    }

    /// What a reader should know of a model before the figures of these clips.
    fn remarks<'a>(
        &mut self,
        job: &Job,
        weights: Option<&Pretrained>,
        clip_ids: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<String>> {
        let mut remarks = Vec::new();
        if let Some(init) = job.init() {
            let open = self.dataset(&init.experiment)?;
            remarks.push(format!(
                "Starts from the network that `{}` fits on the first fold of {}: {} labels, of {}.",
                init.experiment.name,
                init.split,
                open.labels.len(),
                open.data.dataset().description(),
            ));
            if weights.is_some_and(|weights| weights.tuned_on_before(clip_ids) > 0) {
                remarks.push(
                    "Some of these clips are among those that the network it starts from was tuned on, by their ids, which flatters."
                        .to_owned(),
                );
            }
        }
        let mut first = job.clone();
        while let Some(init) = first.init() {
            first = init;
        }
        remarks.extend(self.pretrained(&first)?.and_then(|weights| weights.remark()));
        if matches!(&job.experiment.model, ModelConfig::Vgg19 { training, .. } if training.finetune.is_some()) {
            remarks.push("The tuning was stopped early on the very clips that evaluate it, which flatters.".to_owned());
        }
        Ok(remarks)
    }

    /// The convolutions that a network begins with that starts from no other; none of another model.
    fn pretrained(&mut self, job: &Job) -> Result<Option<Arc<Pretrained>>> {
        let ModelConfig::Vgg19 { training, weights: named, .. } = &job.experiment.model else { return Ok(None) };
        let config = &TrainingConfig { seed: job.seed, ..training.clone() };
        let file = named.clone().or_else(|| self.context.weights.clone());
        let blocks = config.pooled_blocks.iter().copied().max().unwrap_or(0);
        let key = |drawn: Option<u64>| (file.clone(), blocks, drawn);
        if let Some(weights) = [None, Some(config.seed)].into_iter().find_map(|drawn| self.weights.get(&key(drawn))) {
            return Ok(Some(Arc::clone(weights)));
        }
        let weights = Arc::new(Pretrained::choose(file.as_deref(), config, &[PathBuf::from("artifacts")])?);
        self.weights.insert(key(weights.is_random().then_some(config.seed)), Arc::clone(&weights));
        Ok(Some(weights))
    }
}

impl OpenDataset {
    /// The folds of a job, each with every label to fit on.
    fn folds(&self, Job { experiment, split, seed }: &Job) -> Result<Vec<Fold>> {
        let folds = self.data.dataset().folds(*split, &experiment.data.parts, *seed)?;
        dataset::check_folds(self.data.dataset(), &self.labels, *split, &folds)?;
        Ok(folds)
    }

    /// What is fitted on in a fold of a job.
    fn input<'a>(&'a self, job: &Job, Fold { train, test }: &'a Fold, threads: usize) -> FitInput<'a> {
        FitInput { data: &self.data, train, held_out: test, labels: &self.labels, seed: job.seed, threads }
    }
}

/// The remark that all of the clips are synthetic comes first, where they are.
fn warn_of_synthetic<'a>(remarks: &mut Vec<String>, scored: impl Iterator<Item = &'a Scored>) {
    let warning = source::synthetic_warning(scored.map(|clip| clip.clip_id.as_str())).map(str::to_owned);
    if let Some(warning) = warning.filter(|warning| !remarks.contains(warning)) {
        remarks.insert(0, warning);
    }
}

fn fold_result(scored: &[Scored], fitted_on: usize, fit: Value) -> FoldResult {
    let right: f64 = scored.iter().map(Scored::right).sum();
    FoldResult { fitted_on, evaluated_on: scored.len(), accuracy: right / scored.len().max(1) as f64, fit }
}

/// Each clip by the mean of its segments, in the order of the clips' ids.
fn of_whole_clips(scores: &[Row]) -> Vec<Scored> {
    let mut by_clip: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    scores.iter().for_each(|row| by_clip.entry(&row.whole).or_default().push(&row.scored));
    let of_clip = |(whole, segments): (&str, Vec<&Scored>)| Scored {
        clip_id: whole.to_owned(),
        probabilities: models::pool(segments.iter().map(|segment| segment.probabilities.as_slice())),
        ..segments[0].clone()
    };
    by_clip.into_iter().map(of_clip).collect()
}
