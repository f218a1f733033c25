//! Networks that others start from: those of the first fold of a job, in the cache.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use data::labels::LabelSet;
use features::Fingerprint;
use models::vgg19::Vgg19Parameters;
use train::{
    source,
    training::{InitProvenance, InitialNetwork, Pretrained, cached_file, vgg19::TrainingConfig},
};

use super::{Job, Runner};
use crate::{declarations::ModelConfig, results::store::RunResult};

/// Digits of a key that stand for a network in messages.
const VERSION_DIGITS: usize = 12;

/// The cache of networks that others start from.
pub(super) struct Networks {
    folder: PathBuf,
    /// Jobs whose network another is to start from.
    wanted: BTreeSet<[String; 3]>,
    /// The one that was asked for last, by the key of its job.
    last: Option<(String, Arc<Pretrained>)>,
}

impl Networks {
    /// Of a folder for what need not be computed twice.
    pub(super) fn new(cache: &Path) -> Self {
        Self { folder: cache.join("networks"), wanted: BTreeSet::new(), last: None }
    }

    /// The network of this job is to be kept when it is done.
    pub(super) fn will_start(&mut self, job: &Job) {
        self.wanted.insert(name(job));
    }

    /// Keeps the network of a job, if another is to start from it. `weights` are those of its first fold.
    pub(super) fn keep(&self, job: &Job, key: &str, weights: &[u8]) -> Result<()> {
        if !self.wanted.contains(&name(job)) {
            return Ok(());
        }
        let path = self.path(key);
        cached_file::write(&path, weights).with_context(|| format!("failed to write {}", path.display()))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }
}

/// By what a job is known before anything is computed.
fn name(Job { experiment, split, seed }: &Job) -> [String; 3] {
    [experiment.name.clone(), split.to_string(), seed.to_string()]
}

impl Runner {
    /// The network of a job that was done. It is fitted again where it was not kept.
    ///
    /// # Errors
    /// When it cannot be fitted or kept.
    pub(super) fn network(&mut self, job: &Job, result: &RunResult) -> Result<Arc<Pretrained>> {
        if let Some((key, network)) = &self.networks.last
            && *key == result.key
        {
            return Ok(Arc::clone(network));
        }
        let ModelConfig::Vgg19 { training, .. } = &job.experiment.model else {
            bail!("`{}` declares no network", job.experiment.name);
        };
        let bytes = match cached_file::read(&self.networks.path(&result.key)) {
            Some(bytes) => bytes,
            None => {
                let weights = self.fit_first_fold(job)?;
                self.networks.will_start(job);
                self.networks.keep(job, &result.key, &weights)?;
                weights
            }
        };
        let config = TrainingConfig { seed: job.seed, ..training.clone() };
        let network = Arc::new(self.start(job, result, config, &bytes)?);
        self.networks.last = Some((result.key.clone(), Arc::clone(&network)));
        Ok(network)
    }

    fn fit_first_fold(&mut self, job: &Job) -> Result<Vec<u8>> {
        let weights = match job.init() {
            Some(init) => {
                let result = self.run(&init)?.stored.result;
                Some(self.network(&init, &result)?)
            }
            None => self.pretrained(job)?,
        };
        let learner = self.learner(job, weights)?;
        let open = self.dataset(&job.experiment)?;
        let folds = open.folds(job)?;
        let first = folds.first().context("a split has a fold")?;
        Ok(learner.fit(&open.input(job, first, self.context.threads))?.weights)
    }

    /// The network of these bytes, as what a training starts from.
    fn start(&mut self, job: &Job, result: &RunResult, config: TrainingConfig, bytes: &[u8]) -> Result<Pretrained> {
        let parameters = Vgg19Parameters::from_tensors(bytes)?;
        let open = self.dataset(&job.experiment)?;
        let (dataset, mut tuned_on, mut tuned) = (open.data.dataset(), BTreeSet::new(), config.finetune.is_some());
        if tuned {
            let fitted_on = open.folds(job)?.into_iter().take(1).flat_map(|fold| fold.train);
            tuned_on.extend(fitted_on.map(|clip| dataset.clips()[clip].clip_id.clone()));
        }
        let (before, is_random) = match job.init() {
            Some(init) => {
                let result = self.run(&init)?.stored.result;
                let network = self.network(&init, &result)?;
                (network.initial().cloned(), network.is_random())
            }
            None => (None, self.pretrained(job)?.is_some_and(|weights| weights.is_random())),
        };
        if let Some(before) = &before {
            tuned |= before.provenance.tuned;
            tuned_on.extend(before.tuned_on.iter().cloned());
        }
        let provenance = InitProvenance {
            name: Some(result.name.clone()),
            version: result.key.get(..VERSION_DIGITS).unwrap_or(&result.key).to_owned(),
            weights: Fingerprint::of(bytes).to_string(),
            labels: LabelSet::from_names(&open.labels)?,
            data: result.data.clone(),
            synthetic: source::synthetic_warning(dataset.clips().iter().map(|clip| clip.clip_id.as_str())).is_some(),
            tuned,
            init: before.map(|before| Box::new(before.provenance)),
        };
        let initial = InitialNetwork {
            config,
            mean: parameters.mean.clone(),
            deviation: parameters.deviation.clone(),
            fingerprint: dataset.spec().fingerprint(),
            provenance,
            is_random,
            tuned_on,
        };
        Ok(Pretrained::of_network(initial, parameters))
    }
}
