//! From labelled clips to a classifier: what `train` and the experiments do alike.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use data::LabelledDataset;
use features::{Extractor, FeatureSpec, Fingerprint};
use models::{
    Identity,
    svm::SvmClassifier,
    vgg19::{BackboneWeights, Backend, Vgg19Classifier},
};
use serde_json::json;

use crate::{
    console::progress::Stage,
    training::{
        svm::{self, FittedSvm, Search, TrainingSet},
        vgg19::{self, FitContext, Fitted, PreparedDataset, TrainingConfig},
    },
};

/// Clips of a set: those that are fitted on and those that are held out.
#[derive(Clone, Copy, Debug)]
pub struct Clips<'a> {
    /// The set.
    pub set: &'a LabelledDataset,
    /// Indices of the clips to fit on.
    pub train: &'a [usize],
    /// Indices of those that are held out. A machine does not look at them, nor does a frozen network; a tuning is stopped early by them.
    pub held_out: &'a [usize],
    /// Names of the classes.
    pub labels: &'a [String],
}

/// How a network is trained, and where.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// Every choice.
    pub recipe: &'a TrainingConfig,
    /// The convolutions to begin with.
    pub weights: &'a BackboneWeights,
    /// What computes.
    pub backend: Backend,
    /// Folder of embeddings and unfinished trainings; `None` keeps none.
    pub cache: Option<&'a Path>,
}

/// Who a classifier is before it is written: it has no version yet.
#[must_use]
pub fn unwritten(name: &str, spec: &FeatureSpec) -> Identity {
    Identity { name: name.into(), version: String::new(), fingerprint: spec.fingerprint() }
}

/// Fits a machine on vectors that `extractor` made of clips of these classes.
///
/// # Errors
/// Those of [`svm::fit`], with names in the place of numbers.
pub fn svm(
    training: &TrainingSet,
    labels: &[String],
    extractor: Extractor,
    search: &Search,
    seed: u64,
    threads: usize,
) -> Result<(SvmClassifier, FittedSvm)> {
    let stage = Stage::new("choosing C and gamma");
    let fitted = svm::fit(training, search, seed, threads, &|done, total| stage.at(done, total));
    let fitted = fitted.map_err(|error| match error {
        svm::Error::TooFewGroups { class, clips, groups } => anyhow!(
            "{} has {clips} clip(s) of {groups} artist(s) to fit on; two artists of every genre are needed, so that choices can \
             be judged on music of artists that were not fitted on: add clips, leave the genre out, or name artists in clips.csv",
            labels[class]
        ),
        other => other.into(),
    })?;
    let identity = unwritten(SvmClassifier::NAME, extractor.spec());
    let classifier = SvmClassifier::new(identity, labels.to_vec(), extractor, fitted.svm.clone())?;
    Ok((classifier, fitted))
}

/// Fits a network. The set must have no descriptors.
///
/// # Errors
/// When the device cannot be used, or as of [`vgg19::fit`].
pub fn vgg19(clips: Clips<'_>, network: Network<'_>, threads: usize) -> Result<(Vgg19Classifier, Fitted)> {
    let Clips { set, train, held_out, labels } = clips;
    let Network { recipe, weights, backend, cache } = network;
    let extractor = Extractor::new(set.spec().clone())?;
    let spec = extractor.spec().clone();
    let sounds = PreparedDataset::new(set, train, labels, &extractor)?;
    let judging = PreparedDataset::new(set, held_out, labels, &extractor)?;
    let device = backend.open()?;
    let identity = json!([
        recipe,
        weights.digest(),
        spec.fingerprint(),
        set.digest_of(train)?,
        set.digest_of(held_out)?,
        backend.name(),
    ]);
    let run = Fingerprint::of(identity.to_string().as_bytes()).to_string();
    let workplace = FitContext {
        backend,
        device: device.clone(),
        embeddings: cache.map(|folder| folder.join("embeddings")),
        checkpoints: cache.map(|folder| folder.join("tuning").join(run.get(..16).unwrap_or(&run))),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
    let fitted = pool.install(|| vgg19::fit(&sounds, &judging, labels.len(), &spec, weights, recipe, &workplace))?;
    let identity = unwritten(Vgg19Classifier::NAME, &spec);
    let classifier = Vgg19Classifier::new(identity, labels.to_vec(), extractor, &fitted.parts, &device)?;
    Ok((classifier, fitted))
}
