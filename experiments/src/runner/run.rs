//! [`Runner`]: does each job once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use data::{Fold, Split};
use models::artifact::DataDescription;
use serde_json::{Value, json};
use train::{
    console::output,
    evaluation::{
        comparison::pairs,
        metrics::{Evaluation, Scored},
    },
    source::{self, Source},
    training::{FitInput, Fitted, Pretrained, SvmLearner, Vgg19Learner, vgg19::TrainingConfig},
};

use crate::{
    declarations::declaration::{DEFAULT_SEED, Experiment, Learner, Weight},
    results::store::{FoldOutcome, Results, Row, RunResult, StoredResult},
    runner::{
        ensemble,
        fit::Single,
        job::{self, Identity, Model, REVISION},
        music::Music,
    },
};

/// Where jobs are done.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// Corpora, where they are named for all; else those of each declaration, else those that `train` would find.
    pub corpora: Vec<PathBuf>,
    /// Where results are kept.
    pub results: Results,
    /// Weights of networks whose declarations name none.
    pub weights: Option<PathBuf>,
    /// Where networks keep embeddings.
    pub cache: PathBuf,
    /// Threads.
    pub threads: usize,
}

/// What tells sets of clips apart: corpora, features, parts and pieces.
type MusicKey = (Vec<PathBuf>, String, String);

/// Does jobs, and keeps what several of them need: opened corpora, vectors, weights.
pub struct Runner {
    place: RunContext,
    music: BTreeMap<MusicKey, Rc<Music>>,
    /// By file, blocks and, where they are drawn, seed.
    weights: BTreeMap<(Option<PathBuf>, usize, Option<u64>), Arc<Pretrained>>,
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

/// A result, and whether it was there before.
#[derive(Clone, Debug)]
pub struct Done {
    /// The result.
    pub kept: StoredResult,
    /// Whether it was there before.
    pub found: bool,
}

impl Runner {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(place: RunContext) -> Self {
        Self { place, music: BTreeMap::new(), weights: BTreeMap::new() }
    }

    /// Refuses a job that cannot be done, before others take long.
    ///
    /// # Errors
    /// When the music, the split or the weights cannot be used.
    pub fn check(&mut self, Job { experiment, split, seed }: &Job) -> Result<()> {
        let mut check = || -> Result<()> {
            match &experiment.learner {
                Learner::Ensemble { members, .. } => {
                    return members
                        .iter()
                        .try_for_each(|member| self.check(&member_job(member, experiment, *split, *seed)));
                }
                Learner::Vgg19 { recipe, weights, backend } => {
                    backend.open()?;
                    self.pretrained(
                        weights.as_deref(),
                        &TrainingConfig { seed: *seed, ..TrainingConfig::clone(recipe) },
                    )?;
                }
                Learner::Svm(_) => {}
            }
            self.music(experiment)?.folds(*split, *seed)?;
            Ok(())
        };
        check().with_context(|| format!("{} cannot be judged by {split}", experiment.name))
    }

    /// The result of a job, which is done unless it was done before.
    ///
    /// # Errors
    /// When the music, the split or the weights cannot be used, or the result cannot be kept.
    pub fn job(&mut self, job: &Job) -> Result<Done> {
        let Job { experiment, split, seed } = job;
        let (split, seed) = (*split, *seed);
        let cache = self.place.cache.clone();
        let done = match &experiment.learner {
            Learner::Svm(search) => {
                self.single(experiment, split, seed, &Single::Svm(SvmLearner { search: search.clone() }))
            }
            Learner::Vgg19 { recipe, weights, backend } => {
                let config = TrainingConfig { seed, ..TrainingConfig::clone(recipe) };
                let weights = self.pretrained(weights.as_deref(), &config)?;
                let learner = Vgg19Learner { config, weights, backend: *backend, cache: Some(cache) };
                self.single(experiment, split, seed, &Single::Vgg19(Box::new(learner)))
            }
            Learner::Ensemble { members, weight } => self.ensemble(experiment, split, seed, (members, *weight)),
        };
        done.with_context(|| format!("failed to do {} by {split} with seed {seed}", experiment.name))
    }

    fn single(&mut self, experiment: &Experiment, split: Split, seed: u64, single: &Single) -> Result<Done> {
        let music = self.music(experiment)?;
        let folds = music.folds(split, seed)?;
        let mut used: Vec<usize> = folds.iter().flat_map(|fold| fold.train.iter().chain(&fold.test)).copied().collect();
        used.sort_unstable();
        used.dedup();
        let dataset = music.data.dataset();
        let digest = dataset.digest_of(&used)?;
        let model = single.identity(&music, &digest);
        let made_from = Identity { revision: REVISION, split: split.to_string(), seed, model }.json()?;
        let key = job::key(&made_from);
        if let Some(kept) = self.found(experiment, split, seed, &key)? {
            return Ok(Done { kept, found: true });
        }
        let (mut scores, mut cross_validated, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for (number, fold) in folds.iter().enumerate() {
            let Fold { train, test } = fold;
            let threads = self.place.threads;
            let input = FitInput { data: &music.data, train, held_out: test, labels: &music.labels, seed, threads };
            let fit = || -> Result<(Fitted, Vec<Scored>)> {
                let fitted = single.learner().fit(&input)?;
                let scored = fitted.score(&music.data, test, threads)?.scored;
                Ok((fitted, scored))
            };
            let (fitted, scored) = fit().with_context(|| format!("fold {} of {}", number + 1, folds.len()))?;
            outcomes.push(outcome_of(&scored, train.len(), fitted.summary));
            scores.extend(rows(number, scored, |index| dataset.clips()[test[index]].whole.clone()));
            // A clip of which nothing was said is left out, so these may be fewer than the fold has.
            cross_validated.extend(rows(number, fitted.cross_validated, |_| String::new()));
        }
        self.keep(
            experiment,
            (split, seed),
            Judged {
                setting: job::setting(&made_from, single.drawn(), None),
                key,
                made_from,
                data: DataDescription { digest, description: dataset.description().to_string(), clips: used.len() },
                remarks: single.remarks(),
                labels: &music.labels,
                scores,
                cross_validated,
                folds: outcomes,
            },
        )
    }

    fn ensemble(
        &mut self,
        experiment: &Experiment,
        split: Split,
        seed: u64,
        (members, weight): (&[Experiment; 2], Weight),
    ) -> Result<Done> {
        let [a, b] = members;
        let mut of_member = |member| self.job(&member_job(member, experiment, split, seed));
        let (a, b) = (of_member(a)?.kept, of_member(b)?.kept);
        let keys = [a.outcome.key.as_str(), &b.outcome.key];
        let model = Model::Ensemble { members: keys, weight: serde_json::to_value(weight)? };
        let made_from = Identity { revision: REVISION, split: split.to_string(), seed, model }.json()?;
        let key = job::key(&made_from);
        if let Some(kept) = self.found(experiment, split, seed, &key)? {
            return Ok(Done { kept, found: true });
        }
        let of_fold = |rows: &[Row], fold: usize| -> Vec<Scored> {
            rows.iter().filter(|row| row.fold == fold).map(|row| row.scored.clone()).collect()
        };
        let (judged_a, judged_b) = (a.scores()?, b.scores()?);
        let (unseen_a, unseen_b) = (a.cross_validated()?, b.cross_validated()?);
        let wholes: BTreeMap<&str, &str> =
            judged_a.iter().map(|row| (row.scored.clip_id.as_str(), row.whole.as_str())).collect();
        let (mut scores, mut outcomes) = (Vec::new(), Vec::new());
        for (number, fold) in a.outcome.folds.iter().enumerate() {
            let share = ensemble::share(weight, &of_fold(&unseen_a, number), &of_fold(&unseen_b, number))?;
            let (a, b) = (of_fold(&judged_a, number), of_fold(&judged_b, number));
            let mix = |(a, b): (&Scored, &Scored)| Scored {
                probabilities: ensemble::mixed(&a.probabilities, &b.probabilities, share),
                ..a.clone()
            };
            let scored: Vec<_> = pairs(&a, &b)?.into_iter().map(mix).collect();
            outcomes.push(outcome_of(&scored, fold.fitted_on, json!({ "share_of_the_first": share })));
            let clip_ids: Vec<_> = scored.iter().map(|clip| clip.clip_id.clone()).collect();
            scores.extend(rows(number, scored, |index| wholes[clip_ids[index].as_str()].to_owned()));
        }
        let remarks: BTreeSet<_> = a.outcome.remarks.iter().chain(&b.outcome.remarks).cloned().collect();
        self.keep(
            experiment,
            (split, seed),
            Judged {
                setting: job::setting(&made_from, None, Some([&a.outcome.setting, &b.outcome.setting])),
                key,
                made_from,
                data: a.outcome.data.clone(),
                remarks: remarks.into_iter().collect(),
                labels: &a.outcome.evaluation.labels,
                scores,
                cross_validated: Vec::new(),
                folds: outcomes,
            },
        )
    }

    fn keep(&self, experiment: &Experiment, (split, seed): (Split, u64), judged: Judged<'_>) -> Result<Done> {
        let Judged { key, setting, made_from, data, mut remarks, labels, scores, cross_validated, folds } = judged;
        let scored: Vec<Scored> = scores.iter().map(|row| row.scored.clone()).collect();
        let warning = source::synthetic_warning(scored.iter().map(|clip| clip.clip_id.as_str())).map(str::to_owned);
        if let Some(warning) = warning.filter(|warning| !remarks.contains(warning)) {
            remarks.insert(0, warning);
        }
        let pieces = experiment.data.pieces;
        let outcome = RunResult {
            format: RunResult::FORMAT,
            key,
            setting,
            name: experiment.name.clone(),
            point: experiment.point.clone(),
            model: experiment.learner.name().to_owned(),
            split: split.to_string(),
            leaks: split.leaks().to_owned(),
            pieces,
            seed,
            made_from,
            data,
            remarks,
            evaluation: Evaluation::new(labels, &scored, seed),
            of_whole_clips: pieces.map(|_| Evaluation::new(labels, &of_whole_clips(&scores), seed)),
            folds,
        };
        let kept = self.place.results.keep(outcome, &scores, &cross_validated)?;
        Ok(Done { kept, found: false })
    }

    /// The result of this key. It may have been done under another label of a grid.
    fn found(&self, experiment: &Experiment, split: Split, seed: u64, key: &str) -> Result<Option<StoredResult>> {
        let mut kept = self.place.results.find(&experiment.name, (split, experiment.data.pieces), seed, key)?;
        if let Some(kept) = &mut kept {
            kept.outcome.point.clone_from(&experiment.point);
        }
        Ok(kept)
    }

    fn music(&mut self, experiment: &Experiment) -> Result<Rc<Music>> {
        let data = &experiment.data;
        let spec = match experiment.learner {
            Learner::Vgg19 { .. } => &experiment.spec.log_mel_alone(),
            _ => &experiment.spec,
        };
        let named = if self.place.corpora.is_empty() { &data.corpora } else { &self.place.corpora };
        let key = (named.clone(), spec.canonical_json(), format!("{:?} {:?}", data.parts, data.pieces));
        if let Some(music) = self.music.get(&key) {
            return Ok(Rc::clone(music));
        }
        let source = Source::choose(named, DEFAULT_SEED, self.place.threads)?;
        if self.music.is_empty() {
            output::remark(&source.announcement);
        }
        let music = Rc::new(Music::open(&source.corpora, spec, data, self.place.threads)?);
        self.music.insert(key, Rc::clone(&music));
        Ok(music)
    }

    fn pretrained(&mut self, named: Option<&Path>, recipe: &TrainingConfig) -> Result<Arc<Pretrained>> {
        let file = named.map(Path::to_owned).or_else(|| self.place.weights.clone());
        let blocks = recipe.pooled_blocks.iter().copied().max().unwrap_or(0);
        let key = |drawn: Option<u64>| (file.clone(), blocks, drawn);
        if let Some(weights) = [None, Some(recipe.seed)].into_iter().find_map(|drawn| self.weights.get(&key(drawn))) {
            return Ok(Arc::clone(weights));
        }
        let weights = Arc::new(Pretrained::choose(file.as_deref(), recipe, Path::new("artifacts"))?);
        let drawn = weights.is_random().then_some(recipe.seed);
        self.weights.insert(key(drawn), Arc::clone(&weights));
        Ok(weights)
    }
}

/// What a job gave, before it is kept.
struct Judged<'a> {
    key: String,
    setting: String,
    made_from: Value,
    data: DataDescription,
    remarks: Vec<String>,
    labels: &'a [String],
    scores: Vec<Row>,
    cross_validated: Vec<Row>,
    folds: Vec<FoldOutcome>,
}

/// The job of a member of an ensemble, on the clips of that.
fn member_job(member: &Experiment, ensemble: &Experiment, split: Split, seed: u64) -> Job {
    Job { experiment: Experiment { data: ensemble.data.clone(), ..member.clone() }, split, seed }
}

fn outcome_of(scored: &[Scored], fitted_on: usize, fit: Value) -> FoldOutcome {
    let right: f64 = scored.iter().map(Scored::right).sum();
    FoldOutcome { fitted_on, judged: scored.len(), accuracy: right / scored.len().max(1) as f64, fit }
}

fn rows(fold: usize, scored: Vec<Scored>, whole: impl Fn(usize) -> String) -> Vec<Row> {
    scored.into_iter().enumerate().map(|(index, scored)| Row { fold, whole: whole(index), scored }).collect()
}

/// Each clip by the mean of its pieces, in the order of the clips' ids.
fn of_whole_clips(scores: &[Row]) -> Vec<Scored> {
    let mut by_clip: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    scores.iter().for_each(|row| by_clip.entry(&row.whole).or_default().push(&row.scored));
    let of_clip = |(whole, pieces): (&str, Vec<&Scored>)| Scored {
        clip_id: whole.to_owned(),
        probabilities: models::pool(pieces.iter().map(|piece| piece.probabilities.as_slice())),
        ..pieces[0].clone()
    };
    by_clip.into_iter().map(of_clip).collect()
}
