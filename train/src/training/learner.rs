//! [`Learner`]: the one way from labelled clips to a classifier, whatever model it is; `train` and the experiments go by it.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, anyhow};
use data::labels::LabelSet;
use features::{ClipFeatures, Extractor, FeatureSpec, Fingerprint, spec::Needs};
use models::{
    Classifier, Identity,
    conformal::{Conformal, PredictionSets},
    pool,
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier, softmax},
};
use serde_json::{Value, json};

use super::{
    conformal::{self, NoveltyReport},
    dataset::{TrainingData, threads_of},
    pretrained::Pretrained,
    svm::{self, Hyperparameters, Search, TrainingSet},
    transfer,
    vgg19::{self, Embedder, Epoch, FitContext, FittedVgg19, Heads, PreparedDataset, TrainingConfig},
};
use crate::{
    console::progress::Stage,
    evaluation::{
        learning::Learning,
        metrics::Scored,
        scoring::{self, ScoredClips},
    },
};

/// What a model is fitted on.
#[derive(Clone, Copy, Debug)]
pub struct FitInput<'a> {
    /// The dataset. A network takes one without descriptors.
    pub data: &'a TrainingData,
    /// Indices of the clips to fit on.
    pub train: &'a [usize],
    /// Indices of clips that stop a tuning early. Nothing else of a training sees them.
    pub held_out: &'a [usize],
    /// Names of the classes.
    pub labels: &'a [String],
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Threads; 0 is one for each core. Their number changes no bit.
    pub threads: usize,
}

/// A way to fit a classifier.
pub trait Learner {
    /// Kind of model, such as `svm`.
    fn name(&self) -> &'static str;

    /// Fits a classifier. The same input gives the same bits.
    ///
    /// # Errors
    /// When a clip cannot be read, there are too few to fit on, the device cannot be used, or the training diverges.
    fn fit(&self, input: &FitInput<'_>) -> Result<Fitted>;
}

/// A fitted classifier, and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// The classifier; it has no version yet.
    pub classifier: Box<dyn Classifier>,
    /// The bytes of `weights.safetensors`.
    pub weights: Vec<u8>,
    /// What the artifact says of the training.
    pub training: Value,
    /// What the result of an experiment says of it.
    pub summary: Value,
    /// Fields of `training` that are too long for a page.
    pub long_fields: &'static [&'static str],
    /// Every epoch of a tuning.
    pub history: Vec<Epoch>,
    /// Clips that were fitted on, each by models that did not see its artist; those that all have seen are left out.
    pub cross_validated: Vec<Scored>,
    /// Accuracy by cross-validation among the clips that were fitted on, 0 to 1.
    pub cross_validated_accuracy: f64,
    /// How it is fitted again on less.
    pub learning: Learning<'static>,
    /// What a reader should know of the fit.
    pub remarks: Vec<String>,
    /// How its novelty detector came about; `None` of a model without, and before [`Fitted::calibrated`].
    pub novelty: Option<NoveltyReport>,
    /// Where the vectors come from that it decides by.
    vectors: Vectors,
}

/// Where the vectors of clips come from that a classifier decides by.
#[derive(Debug)]
enum Vectors {
    /// Of the dataset, as far as they were computed there.
    Dataset,
    /// Of frozen convolutions with a cache.
    Embedder(Box<Embedder>),
    /// Computed anew.
    Classifier,
}

impl Fitted {
    /// Calibrates what its predictions are worth, on the clips that it was fitted on, by folds of their artists: the classifier and its
    /// weights say it from here on. A network that was tuned has no novelty detector: its embeddings of the clips that it was tuned on
    /// are not those that it would have of others.
    ///
    /// # Errors
    /// When a clip cannot be read, or a vector of it cannot be computed.
    pub fn calibrated(mut self, input: &FitInput<'_>) -> Result<Self> {
        let clips = self.cross_validated.iter().map(|clip| (clip.probabilities.as_slice(), clip.truth));
        let sets = PredictionSets::calibrate(clips);
        let novelty = if self.history.is_empty() {
            let stage = Stage::new("calibrating novelty");
            let (classifier, vectors) = (&self.classifier, &self.vectors);
            let of_features = |features: &ClipFeatures| -> Result<Vec<Vec<f32>>> {
                match vectors {
                    Vectors::Embedder(embedder) => embedder.segments(features.log_mel(), classifier.extractor()),
                    Vectors::Dataset | Vectors::Classifier => Ok(classifier.embed(features)?),
                }
            };
            let of_clip = |clip: usize| -> Result<Vec<Vec<f32>>> {
                match (vectors, input.data.segments(clip)) {
                    (Vectors::Dataset, Some(segments)) => Ok(segments.to_vec()),
                    _ => of_features(&input.data.dataset().features(clip)?),
                }
            };
            let fitted = conformal::novelty(input, &of_clip, &of_features)?;
            drop(stage);
            fitted
        } else {
            None
        };
        let (detector, report) = novelty.map(|fitted| (fitted.detector, fitted.report)).unzip();
        let conformal = Conformal { novelty: detector, sets };
        self.weights = conformal.add_to(&self.weights)?;
        self.classifier = conformal.with(self.classifier);
        self.novelty = report;
        Ok(self)
    }

    /// Scores clips, in their order, by vectors that are at hand where they are, with the vectors.
    ///
    /// # Errors
    /// When a label of the dataset is none of the classifier, or a clip cannot be read.
    pub fn score(&self, data: &TrainingData, clips: &[usize], threads: usize) -> Result<ScoredClips> {
        let Self { classifier, vectors, .. } = self;
        let classifier = classifier.as_ref();
        scoring::score(classifier, data.dataset(), clips, threads, &|clip| match vectors {
            Vectors::Dataset => Ok(data.segments(clip).map(<[_]>::to_vec)),
            Vectors::Embedder(embedder) => {
                let features = data.dataset().features(clip)?;
                Ok(Some(embedder.segments(features.log_mel(), classifier.extractor())?))
            }
            Vectors::Classifier => Ok(None),
        })
    }
}

/// Fits the support vector machine.
#[derive(Clone, Debug)]
pub struct SvmLearner {
    /// How its hyperparameters are chosen.
    pub search: Search,
}

impl Learner for SvmLearner {
    fn name(&self) -> &'static str {
        SvmClassifier::NAME
    }

    fn fit(&self, input: &FitInput<'_>) -> Result<Fitted> {
        let FitInput { data, train, labels, seed, threads, .. } = *input;
        let set = data.training_set(train, labels, self.search.band_limited, threads)?;
        let stage = Stage::new("choosing C and gamma");
        let fitted = svm::fit(&set, &self.search, seed, threads, &|done, total| stage.at(done, total));
        drop(stage);
        let svm::FittedSvm { svm, report, cross_validated } = fitted.map_err(|error| match error {
            svm::Error::TooFewGroups { class, clips, groups } => anyhow!(
                "{} has {clips} clip(s) of {groups} artist(s) to fit on; two artists of every label are needed, so \
                 that choices can be evaluated on tracks of artists that were not fitted on: add clips, leave the \
                 label out, or name artists in clips.csv",
                labels[class]
            ),
            other => other.into(),
        })?;
        let weights = svm.to_tensors()?;
        let extractor = Extractor::new(data.dataset().spec().clone())?;
        let identity = unversioned(self.name(), extractor.spec());
        let mut remarks: Vec<String> = report.low_rank.iter().map(|low_rank| format!("Fitted: {low_rank}.")).collect();
        if self.search.band_limited && extractor.spec().needs() > Needs::LogMel {
            remarks.push(
                "Fitted on no band-limited copies: its descriptors need more than the log-mel, of which copies are made."
                    .to_owned(),
            );
        }
        // Fits of fewer clips are to be like this one, whatever their size.
        let search = Search { solver: report.solver(), ..self.search.clone() };
        Ok(Fitted {
            classifier: Box::new(SvmClassifier::new(identity, LabelSet::from_names(labels)?, extractor, svm)?),
            weights,
            training: json!({
                "search": self.search,
                "fit": report,
                "chosen": report.chosen,
                "counts": report.counts,
                "warnings": report.warnings,
            }),
            summary: json!({
                "chosen": report.chosen,
                "temperature": report.temperature,
                "cross_validated": report.cross_validated,
                "counts": report.counts,
                "warnings": report.warnings,
            }),
            long_fields: &["fit"],
            history: Vec::new(),
            cross_validated: scored(input, cross_validated)?,
            cross_validated_accuracy: report.cross_validated.accuracy,
            learning: refit_svm(set, &search, report.chosen.hyperparameters, seed, threads),
            remarks,
            novelty: None,
            vectors: Vectors::Dataset,
        })
    }
}

/// Fits the network.
#[derive(Clone, Debug)]
pub struct Vgg19Learner {
    /// Every choice, but for the seed, which is that of the input.
    pub config: TrainingConfig,
    /// What it begins with.
    pub weights: Arc<Pretrained>,
    /// What computes.
    pub backend: Backend,
    /// Folder of embeddings and unfinished trainings; `None` keeps none.
    pub cache: Option<PathBuf>,
}

impl Learner for Vgg19Learner {
    fn name(&self) -> &'static str {
        Vgg19Classifier::NAME
    }

    fn fit(&self, input: &FitInput<'_>) -> Result<Fitted> {
        let FitInput { data, train, held_out, labels, seed, threads } = *input;
        let config = TrainingConfig { seed, ..self.config.clone() };
        let weights = self.weights.weights();
        let dataset = data.dataset();
        let spec = dataset.spec();
        self.weights.check(&config, spec)?;
        let training = PreparedDataset::new(dataset, train, labels, data.extractor())?;
        let stopping = PreparedDataset::new(dataset, held_out, labels, data.extractor())?;
        let device = self.backend.open()?;
        let init = self.weights.initial().map(|initial| &initial.provenance);
        let mut identity = vec![
            json!(config),
            json!(weights.digest()),
            json!(spec.fingerprint()),
            json!(dataset.digest_of(train)?),
            json!(dataset.digest_of(held_out)?),
            json!(self.backend.name()),
        ];
        identity.extend(init.map(|init| json!(init.identity())));
        let run = Fingerprint::of(json!(identity).to_string().as_bytes()).to_string();
        let cache = self.cache.as_deref();
        let context = FitContext {
            backend: self.backend,
            device: device.clone(),
            embeddings: cache.map(|folder| folder.join("embeddings")),
            checkpoints: cache.map(|folder| folder.join("tuning").join(run.get(..16).unwrap_or(&run))),
        };
        let fitted = threads_of(threads)?
            .install(|| vgg19::fit(&training, &stopping, labels.len(), spec, &self.weights, &config, &context))?;
        let FittedVgg19 { parts, report, cross_validated, heads, embedder } = fitted;
        let identity = unversioned(self.name(), spec);
        let extractor = Extractor::new(spec.clone())?;
        let calibration = &report.calibration;
        let temperature = format!(
            "Temperature {:.3}, fitted by cross-validation: log-loss {:.3} without it, {:.3} with it.",
            calibration.temperature, calibration.log_loss_before, calibration.log_loss
        );
        let mut said = json!({ "weights": self.weights.description(), "fit": report });
        let mut remarks: Vec<String> = self.weights.remark().into_iter().chain([temperature]).collect();
        if report.too_many_for_ridge {
            remarks.push(
                "The clips are too many for ridge regression, which solves for all of them at once; logistic regression fitted the head, \
                 on the same embeddings."
                    .to_owned(),
            );
        }
        if let Some(init) = init {
            let clip_ids = train.iter().chain(held_out).map(|&clip| dataset.clips()[clip].clip_id.as_str());
            let before = self.weights.tuned_on_before(clip_ids);
            if before > 0 {
                remarks.push(format!(
                    "The network that it starts from was tuned on {before} of these clips, by their ids: the figures of those that are \
                     held out may be too high."
                ));
            }
            said[transfer::FIELD] = json!(init);
            said["tuned_on_before"] = json!(before);
        }
        Ok(Fitted {
            classifier: Box::new(Vgg19Classifier::new(
                identity,
                LabelSet::from_names(labels)?,
                extractor,
                &parts,
                &device,
            )?),
            weights: parts.to_tensors()?,
            training: said,
            summary: json!({ "calibration": calibration, "epochs": report.epochs }),
            long_fields: &[],
            cross_validated: scored(input, cross_validated)?,
            cross_validated_accuracy: calibration.accuracy,
            learning: refit_head(heads, parts.temperature, threads),
            remarks,
            history: report.history,
            novelty: None,
            vectors: embedder.map_or(Vectors::Classifier, |embedder| Vectors::Embedder(Box::new(embedder))),
        })
    }
}

/// Who a classifier is before it is written: it has no version yet.
fn unversioned(name: &str, spec: &FeatureSpec) -> Identity {
    Identity { name: name.into(), version: String::new(), fingerprint: spec.fingerprint() }
}

/// The clips that were fitted on with what was predicted for them; those of which nothing was are left out.
fn scored(input: &FitInput<'_>, predicted: Vec<Vec<f64>>) -> Result<Vec<Scored>> {
    let dataset = input.data.dataset();
    let classes = dataset.classes(input.train, &LabelSet::from_names(input.labels)?)?;
    let clips = input.train.iter().map(|&clip| &dataset.clips()[clip]).zip(classes);
    let predicted = clips.zip(predicted).filter(|(_, probabilities)| !probabilities.is_empty());
    Ok(predicted.map(|((clip, truth), probabilities)| scoring::scored(clip, truth, probabilities)).collect())
}

/// A machine with the hyperparameters that were chosen on all clips, fitted and calibrated anew.
fn refit_svm(
    set: TrainingSet,
    search: &Search,
    Hyperparameters { c, gamma, balance }: Hyperparameters,
    seed: u64,
    threads: usize,
) -> Learning<'static> {
    let search = Search { c: vec![c], gamma: vec![gamma], balance: vec![balance], ..search.clone() };
    Learning::Refit(Box::new(move |clips, held_out| {
        let machine = svm::fit(&set.some(clips), &search, seed, threads, &|_, _| {})?.svm;
        let predict = |segments: &Vec<Vec<f32>>| -> Result<Vec<f64>> {
            let each = segments.iter().map(|vector| machine.probabilities(vector)).collect::<Result<Vec<_>, _>>()?;
            Ok(pool(each.iter().map(Vec::as_slice)))
        };
        held_out.iter().map(predict).collect()
    }))
}

/// A head on the embeddings that are at hand, with the temperature of the network.
fn refit_head(heads: Option<Heads>, temperature: f64, threads: usize) -> Learning<'static> {
    let Some(heads) = heads else {
        return Learning::LeftOut("the network was tuned, and every point would be another tuning");
    };
    Learning::Refit(Box::new(move |clips, held_out| {
        let head = threads_of(threads)?.install(|| heads.fit(clips))?;
        let predict = |segments: &Vec<Vec<f32>>| {
            let each: Vec<_> = segments.iter().map(|row| softmax(&vgg19::logits(&head, row), temperature)).collect();
            pool(each.iter().map(Vec::as_slice))
        };
        Ok(held_out.iter().map(predict).collect())
    }))
}
