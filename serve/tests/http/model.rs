//! Artifacts of a real SVM and a real network of three sounds, and models that wait or fail on demand.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, OnceLock},
};

use features::{Clip, ClipFeatures, Extractor, FeatureSpec, spec::Needs, spec::SpanSpec};
use labels::LabelSet;
use models::{
    Classifier, Identity, PredictOutput, PredictRequest, Prediction, WindowPrediction,
    artifact::{self, DataDescription, Draft, Written},
    conformal::{Conformal, NoveltyDetector, NoveltyParameters, PredictionSets},
    ensemble::{EnsembleParameters, Member},
    svm::{Svm, SvmParameters, pairs},
    vgg19::Backend,
};
use serve::{Model, config::ModelKind};

use crate::{
    network,
    wav::{RATE, Sound},
};

/// Windows of 30 frames (2.6 s), one every 15, so that a short clip has several.
pub(crate) fn spec() -> FeatureSpec {
    let mut spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some descriptors are left");
    spec.segmentation.segment = SpanSpec { frames: 60, hop: 30 };
    spec.segmentation.window = SpanSpec { frames: 30, hop: 15 };
    spec
}

/// A machine whose support vectors are a few clips of each sound, all at their bound, as a C-SVC of a small C has it. It
/// sees the dimensions that tell the sounds apart whatever the length and the seed.
fn machine(extractor: &Extractor, temperature: f64) -> Svm {
    const SECONDS: [f64; 4] = [2.0, 3.0, 4.5, 6.0];
    let extract_vector = |sound: Sound, seed: usize, seconds: f64| {
        let clip = Clip::new(sound.samples(seconds, seed as u64 + 1), RATE).expect("finite");
        let analysis = extractor.extract(&clip).expect("long enough");
        extractor.segments(&analysis).expect("long enough").remove(0).vector
    };
    let vectors: Vec<(usize, Vec<f32>)> = (0..Sound::ALL.len())
        .flat_map(|class| SECONDS.into_iter().enumerate().map(move |(seed, seconds)| (class, seed, seconds)))
        .map(|(class, seed, seconds)| (class, extract_vector(Sound::ALL[class], seed, seconds)))
        .collect();
    let dim = extractor.names().len();
    let mean_and_deviation = |d: usize, only: Option<usize>| {
        let values = || {
            vectors
                .iter()
                .filter(move |(class, _)| only.is_none_or(|only| only == *class))
                .map(|(_, v)| f64::from(v[d]))
        };
        let mean = values().sum::<f64>() / values().count() as f64;
        (mean, (values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values().count() as f64).sqrt())
    };
    let mean = (0..dim).map(|d| mean_and_deviation(d, None).0).collect();
    let inverse_deviation: Vec<f64> = (0..dim)
        .map(|d| {
            let all = mean_and_deviation(d, None).1;
            let within = (0..Sound::ALL.len()).map(|class| mean_and_deviation(d, Some(class)).1).fold(0.0, f64::max);
            if all > 1e-6 && all > 4.0 * within { 1.0 / all } else { 0.0 }
        })
        .collect();
    let seen = inverse_deviation.iter().filter(|inverse| **inverse > 0.0).count();
    assert!(seen > 3, "{seen} of {dim} dimensions tell the sounds apart");
    let pairs: Vec<(usize, usize)> = pairs(Sound::ALL.len()).collect();
    let coefficient = |&(a, b): &(usize, usize), class: usize| match class {
        class if class == a => 1.0,
        class if class == b => -1.0,
        _ => 0.0,
    };
    Svm::new(SvmParameters {
        mean,
        inverse_deviation,
        gamma: 0.5 / seen as f64,
        support_vectors: vectors.iter().flat_map(|(_, vector)| vector.iter().copied()).collect(),
        coefficients: pairs
            .iter()
            .flat_map(|pair| vectors.iter().map(move |(class, _)| coefficient(pair, *class)))
            .collect(),
        rho: vec![0.0; pairs.len()],
        platt_a: vec![-2.0; pairs.len()],
        platt_b: vec![0.0; pairs.len()],
        temperature,
    })
    .expect("consistent parts")
}

/// Writes an artifact of the model `kind` below `root` and puts it in use.
pub(crate) fn write(root: &Path, kind: ModelKind) -> Written {
    let written = write_variant(root, kind, 0);
    artifact::set_current(&root.join(kind.name()), &written.version).expect("puts in use");
    written
}

/// Writes one of any number of artifacts that differ in their version, and in an SVM in what they predict.
pub(crate) fn write_variant(root: &Path, kind: ModelKind, variant: usize) -> Written {
    draft(kind, variant).write(root).expect("writes")
}

/// Writes such an artifact under a name of its own and puts it in use.
pub(crate) fn write_as(root: &Path, name: &str, draft: &Draft) -> Written {
    let written = draft.write_as(root, name).expect("writes");
    artifact::set_current(&root.join(name), &written.version).expect("puts in use");
    written
}

/// Such an artifact, before it is written.
pub(crate) fn draft(kind: ModelKind, variant: usize) -> Draft {
    let (spec, weights) = match kind {
        ModelKind::Svm => (spec(), machine(&Extractor::new(spec()).expect("valid"), 1.0 + variant as f64).to_tensors()),
        ModelKind::Vgg19 => (network::spec(), network::parts().to_tensors()),
        ModelKind::Ensemble => unreachable!("an ensemble is one of members: see `ensemble`"),
    };
    Draft {
        model: kind.name().to_owned(),
        labels: LabelSet::from_names(Sound::ALL.map(Sound::label)).expect("labels"),
        spec,
        training: serde_json::json!({ "variant": variant }),
        data: DataDescription { digest: "0".repeat(64), description: "three seeded sounds".to_owned(), clips: 12 },
        metrics: vec![],
        weights: weights.expect("finite"),
        metrics_json: b"[]".to_vec(),
        report_html: b"<!doctype html>".to_vec(),
    }
}

/// An ensemble of those versions of models, each with its weight.
pub(crate) fn ensemble(members: &[(&str, &str, f64)]) -> Draft {
    let member = |&(name, version, weight): &(&str, &str, f64)| Member {
        name: name.to_owned(),
        version: version.to_owned(),
        weight,
    };
    let parameters = EnsembleParameters { members: members.iter().map(member).collect() };
    Draft {
        model: ModelKind::Ensemble.name().to_owned(),
        weights: parameters.to_tensors().expect("weights that sum to 1"),
        ..draft(ModelKind::Svm, 0)
    }
}

/// The model of that artifact, loaded as the server loads it.
pub(crate) fn of(kind: ModelKind) -> Arc<Model> {
    static MODELS: [OnceLock<Arc<Model>>; ModelKind::MEMBERS.len()] =
        [const { OnceLock::new() }; ModelKind::MEMBERS.len()];
    let index = ModelKind::MEMBERS.iter().position(|known| *known == kind).expect("every model is known");
    Arc::clone(MODELS[index].get_or_init(|| {
        let root = tempfile::tempdir().expect("a folder");
        let written = write(root.path(), kind);
        serve::engine::slot::load(&written.dir, kind, Backend::default()).expect("loads")
    }))
}

/// That SVM with a detector to which every clip is as those of its training set, so that the kind of sound decides, and with sets of labels.
pub(crate) fn calibrated() -> Arc<Model> {
    let draft = draft(ModelKind::Svm, 0);
    let dim = Extractor::new(draft.spec.clone()).expect("valid").names().len();
    let novelty = NoveltyDetector::new(NoveltyParameters {
        mean: vec![0.0; dim],
        axes: vec![0.0; dim],
        centres: vec![0.0],
        precision: vec![0.0],
        nearest: vec![0.0, 1.0],
        relative: [0.0, 1.0],
        frames: vec![60.0],
        calibration: vec![1.0; 99],
        threshold: 0.02,
    });
    let probabilities = [0.6, 0.3, 0.1];
    let clip = (probabilities.as_slice(), 2);
    let conformal =
        Conformal { novelty: Some(novelty.expect("consistent parts")), sets: PredictionSets::calibrate([clip; 20]) };
    let weights = conformal.add_to(&draft.weights).expect("a safetensors file");
    let root = tempfile::tempdir().expect("a folder");
    let written = Draft { weights, ..draft }.write(root.path()).expect("writes");
    serve::engine::slot::load(&written.dir, ModelKind::Svm, Backend::default()).expect("loads")
}

/// What a [`Scripted`] model does instead of an inference.
#[derive(Debug)]
pub(crate) enum Script {
    /// Waits for [`Gate::open`].
    Wait(Arc<Gate>),
    /// Panics for clips of over 5 seconds.
    PanicOnLong,
    /// Gives probabilities that are none.
    Nonsense,
}

/// A model that misbehaves.
#[derive(Debug)]
pub(crate) struct Scripted {
    identity: Identity,
    labels: LabelSet,
    extractor: Extractor,
    script: Script,
}

impl Scripted {
    pub(crate) fn model(script: Script) -> Arc<Model> {
        let identity =
            Identity { name: "svm".to_owned(), version: "000000000000".to_owned(), fingerprint: spec().fingerprint() };
        let labels = LabelSet::from_names(["blues", "rock"]).expect("labels");
        let scripted = Self { identity, labels, extractor: Extractor::new(spec()).expect("valid"), script };
        Arc::new(Model::of_classifier(Arc::new(scripted), ModelKind::Svm.into(), ModelKind::Svm))
    }
}

impl Classifier for Scripted {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn labels(&self) -> &LabelSet {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    fn predict_batch(&self, jobs: &[PredictRequest<'_>]) -> Vec<models::Result<PredictOutput>> {
        jobs.iter()
            .map(|job| {
                Ok(PredictOutput { prediction: self.script(job.features), explanation: None, vectors: Vec::new() })
            })
            .collect()
    }
}

impl Scripted {
    fn script(&self, analysis: &ClipFeatures) -> Prediction {
        let end_seconds = self.extractor.spec().seconds(analysis.log_mel().n_frames());
        let mut probabilities = vec![0.75, 0.25];
        match &self.script {
            Script::Wait(gate) => gate.pass(),
            Script::PanicOnLong => assert!(end_seconds < 5.0, "on purpose"),
            Script::Nonsense => probabilities[0] = f64::NAN,
        }
        let segment = WindowPrediction { start_seconds: 0.0, end_seconds, probabilities: probabilities.clone() };
        let features_digest = features::digest(analysis, &[]);
        Prediction { probabilities, windows: vec![segment], features_digest, novelty: None, labels_90: None }
    }
}

/// Counts calls, and blocks them until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("not poisoned");
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, open)| !*open).expect("not poisoned"));
    }

    pub(crate) fn open(&self) {
        self.state.lock().expect("not poisoned").1 = true;
        self.changed.notify_all();
    }

    /// Waits until so many have arrived, ever.
    pub(crate) fn wait_for(&self, arrivals: usize) {
        let state = self.state.lock().expect("not poisoned");
        drop(self.changed.wait_while(state, |(arrived, _)| *arrived < arrivals).expect("not poisoned"));
    }

    pub(crate) fn arrivals(&self) -> usize {
        self.state.lock().expect("not poisoned").0
    }
}
