//! [`Model`]: a version of a model as it is served, and what every answer says of it.

use std::{fmt, ops::Deref, sync::Arc};

use features::{Clip, spec::Needs};
use models::{
    Classifier, Identity, Prediction,
    artifact::{Artifact, Manifest},
    ensemble::{EnsembleClassifier, EnsembleParameters, Member},
    vgg19::Backend,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::statistics::Statistics;
use crate::{
    Error, Result,
    config::{ModelKind, ModelName},
    repository::{Fetched, Origin},
};

/// What is said of a model that was trained on synthetic audio alone.
pub const SYNTHETIC_WARNING: &str = "trained on synthetic audio; its answers say nothing about real music";
/// Characters of an artifact's own words that an answer repeats, at most.
const MAX_WORDS: usize = 400;

/// A version of a model: what predicts, and what is said of it, which is put together once.
#[derive(Debug)]
pub struct Model {
    classifier: Arc<dyn Classifier>,
    name: ModelName,
    kind: ModelKind,
    identity: Identity,
    info: ModelInfo,
    parameters: Arc<ModelParameters>,
    found: Option<Place>,
    ensemble: Option<Ensemble>,
    statistics: Statistics,
}

/// An ensemble, and its members as they are served.
#[derive(Debug)]
pub struct Ensemble {
    classifier: Arc<EnsembleClassifier>,
    members: Vec<Arc<Model>>,
}

impl Ensemble {
    /// The members, in the order of [`EnsembleClassifier::combine`].
    #[must_use]
    pub fn members(&self) -> &[Arc<Model>] {
        &self.members
    }
}

impl Deref for Ensemble {
    type Target = EnsembleClassifier;

    fn deref(&self) -> &Self::Target {
        &self.classifier
    }
}

/// Where a model was found.
#[derive(Clone, Debug)]
struct Place {
    origin: Origin,
    address: String,
}

/// The model that answered: what it was trained on, and how good it was found to be.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelInfo {
    /// Its name: `svm`, `vgg19`, `ensemble`, or that of the folder of its artifacts.
    #[schema(example = "svm")]
    pub name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    pub version: String,
    /// Fingerprint of the features that it takes.
    pub fingerprint: String,
    /// Its kind: `svm`, `vgg19` or `ensemble`.
    #[schema(example = "svm")]
    pub kind: &'static str,
    /// How many labels it has; `GET /v1/models/{name}` lists them.
    pub labels: usize,
    /// What it was trained on, and how good it was found to be.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What a model was trained on, and how good it was found to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// What it was trained on.
    #[serde(default)]
    pub trained_on: Option<TrainedOn>,
    /// How good it was found to be by its training, if its artifact says so.
    #[serde(default)]
    pub evaluated: Option<Evaluated>,
    /// What a reader must know before any answer: that the model was trained on synthetic audio.
    #[serde(default)]
    pub warning: Option<String>,
    /// The network that its training started from; only of a network that was transferred to other labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub initialised_from: Option<InitialisedFrom>,
    /// The models that it joins; only of an ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberInfo>,
}

/// A model that an ensemble joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EnsembleMember)]
pub struct MemberInfo {
    /// Its name.
    #[schema(example = "svm")]
    pub name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    pub version: String,
    /// Its kind: `svm` or `vgg19`.
    #[schema(example = "svm")]
    pub kind: String,
    /// The power of its probabilities in their product, 0 to 1; those of all members sum to 1.
    pub weight: f64,
}

impl fmt::Display for MemberInfo {
    /// In words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (weight {:.3})", self.name, self.version, self.weight)
    }
}

/// A network that the training of another started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InitialisedFrom {
    /// Its name, if its training was given one.
    #[serde(default)]
    #[schema(example = "fma")]
    pub name: Option<String>,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    pub version: String,
    /// How many labels it had.
    pub labels: usize,
    /// What it was trained on.
    pub trained_on: TrainedOn,
}

/// The clips that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrainedOn {
    /// What they are, in words.
    #[schema(example = "710 clips (710 of one log-mel store)")]
    pub description: String,
    /// How many were fitted on.
    pub clips: usize,
    /// Whether all of them are synthetic.
    pub synthetic: bool,
}

/// How good a model was found to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evaluated {
    /// The split that it was evaluated on.
    #[schema(example = "artist-kfold:5")]
    pub split: String,
    /// Share of the clips whose label was right, 0 to 1.
    pub accuracy: f64,
    /// 95 % interval of the accuracy, if there is one: from, to.
    #[schema(value_type = Option<Vec<f64>>)]
    pub ci95: Option<[f64; 2]>,
    /// Clips that were scored.
    pub n: usize,
}

impl Provenance {
    /// What an artifact says of itself.
    fn of(manifest: &Manifest) -> Self {
        let synthetic = !manifest.training["warning"].is_null();
        let evaluated = manifest.metrics.first().map(|metrics| {
            let ci95 = metrics.more.get("ci95").and_then(|interval| serde_json::from_value(interval.clone()).ok());
            Evaluated { split: cut(&metrics.split), accuracy: metrics.accuracy, ci95, n: metrics.n }
        });
        let data = &manifest.data;
        Self {
            trained_on: Some(TrainedOn { description: cut(&data.description), clips: data.clips, synthetic }),
            evaluated,
            warning: synthetic.then(|| SYNTHETIC_WARNING.to_owned()),
            initialised_from: InitialisedFrom::of(&manifest.training["init"]),
            members: Vec::new(),
        }
    }
}

impl InitialisedFrom {
    /// What an artifact says of the network that its training started from; `None` where it says nothing that is understood.
    fn of(init: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(cut);
        let data = &init["data"];
        Some(Self {
            name: text(&init["name"]),
            version: text(&init["version"])?,
            labels: init["labels"].as_array()?.len(),
            trained_on: TrainedOn {
                description: text(&data["description"])?,
                clips: usize::try_from(data["clips"].as_u64()?).ok()?,
                synthetic: init["synthetic"].as_bool()?,
            },
        })
    }
}

impl fmt::Display for InitialisedFrom {
    /// In words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, labels, trained_on: TrainedOn { description, clips, synthetic } } = self;
        if let Some(name) = name {
            write!(f, "{name} ")?;
        }
        let synthetic = if *synthetic { "synthetic " } else { "" };
        write!(f, "{version}: {labels} labels, trained on {clips} {synthetic}clips ({description})")
    }
}

impl fmt::Display for Provenance {
    /// In words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trained_on {
            Some(TrainedOn { description, clips, .. }) => write!(f, "trained on {clips} clips ({description})")?,
            None => write!(f, "trained on unknown clips")?,
        }
        if let Some(network) = &self.initialised_from {
            write!(f, ", initialised from {network}")?;
        }
        if !self.members.is_empty() {
            write!(f, ", joins {}", joined(&self.members))?;
        }
        match &self.evaluated {
            Some(Evaluated { split, accuracy, ci95, n }) => {
                write!(f, ", accuracy {accuracy:.3}")?;
                if let Some([low, high]) = ci95 {
                    write!(f, " ({low:.3} to {high:.3})")?;
                }
                write!(f, " on {split}, {n} clips")
            }
            None => write!(f, ", not evaluated"),
        }
    }
}

/// The members of an ensemble in words.
fn joined(members: &[MemberInfo]) -> String {
    members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// The beginning of a text that an artifact holds, which may be of any length, without control characters.
fn cut(text: &str) -> String {
    let mut words: String = text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    if text.chars().nth(MAX_WORDS).is_some() {
        words.push('…');
    }
    words
}

impl Model {
    /// Loads a version as the model `name`, onto `device` if it is a network; checks it, and has it predict a test tone. `kinds` are
    /// those that it may have; `find` gives the members of an ensemble.
    ///
    /// # Errors
    /// [`Error::NoArtifact`], [`Error::Artifact`], [`Error::WrongModel`], [`Error::Warm`]; those of `find`.
    pub fn load(
        fetched: &Fetched,
        name: &ModelName,
        kinds: &'static [ModelKind],
        device: Backend,
        find: &dyn Fn(&Member) -> Result<Arc<Self>>,
    ) -> Result<Self> {
        let fail = |source: models::Error| Error::of_artifact(name.clone(), fetched.to_string(), source);
        let artifact = fetched.artifact().map_err(fail)?;
        let found = &artifact.manifest().model;
        let Some(kind) = ModelKind::named(found).filter(|kind| kinds.contains(kind)) else {
            let (artifacts, found) = (fetched.to_string(), found.clone());
            return Err(Error::WrongModel { name: name.clone(), kinds, artifacts, found });
        };
        let (classifier, ensemble): (Arc<dyn Classifier>, Option<Ensemble>) = match kind {
            ModelKind::Ensemble => {
                let named = members_of(&artifact).map_err(fail)?;
                let members = named.iter().map(find).collect::<Result<Vec<_>>>()?;
                let classifiers = members.iter().map(|member| Arc::clone(&member.classifier)).collect();
                let classifier = Arc::new(EnsembleClassifier::from_artifact(&artifact, classifiers).map_err(fail)?);
                (Arc::clone(&classifier) as _, Some(Ensemble { classifier, members }))
            }
            _ => (models::from_artifact(&artifact, device).map_err(fail)?.into(), None),
        };
        warm(&*classifier)
            .map_err(|problem| Error::Warm { model: format!("{name} {}", classifier.identity().version), problem })?;
        let place = Place { origin: fetched.origin(), address: fetched.address().to_owned() };
        let members = ensemble.iter().flat_map(|ensemble| {
            let with_weights = ensemble.members.iter().zip(ensemble.classifier.members());
            with_weights.map(|(member, (_, weight))| MemberInfo {
                name: member.name.to_string(),
                version: member.version().to_owned(),
                kind: member.kind.name().to_owned(),
                weight,
            })
        });
        let provenance = Provenance { members: members.collect(), ..Provenance::of(artifact.manifest()) };
        Ok(Self { ensemble, ..Self::with(classifier, name.clone(), kind, provenance, Some(place)) })
    }

    /// A classifier that comes from no artifact, as the model `name`; what it was trained on is unknown.
    #[must_use]
    pub fn of_classifier(classifier: Arc<dyn Classifier>, name: ModelName, kind: ModelKind) -> Self {
        Self::with(classifier, name, kind, Provenance::default(), None)
    }

    fn with(
        classifier: Arc<dyn Classifier>,
        name: ModelName,
        kind: ModelKind,
        provenance: Provenance,
        found: Option<Place>,
    ) -> Self {
        let identity = Identity { name: name.to_string(), ..classifier.identity().clone() };
        let info = ModelInfo {
            name: name.to_string(),
            version: identity.version.clone(),
            fingerprint: identity.fingerprint.to_string(),
            kind: kind.name(),
            labels: classifier.labels().len(),
            provenance,
        };
        let parameters = Arc::new(ModelParameters::of(&info));
        Self {
            classifier,
            name,
            kind,
            identity,
            info,
            parameters,
            found,
            ensemble: None,
            statistics: Statistics::default(),
        }
    }

    /// Where it comes from; `None` of one that comes from no artifact.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.found.as_ref().map(|place| place.origin)
    }

    /// Where it was found, in words that follow its name. For whoever runs the program: a client is not told of folders.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.found {
            None => "of no artifact".to_owned(),
            Some(Place { origin: Origin::Embedded, .. }) => "embedded in the program".to_owned(),
            Some(Place { origin: Origin::Fallback, address }) => format!("from the fallback {address}"),
            Some(Place { origin: Origin::Artifacts, address }) => format!("from {address}"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// What it is made of, if it is an ensemble.
    #[must_use]
    pub fn ensemble(&self) -> Option<&Ensemble> {
        self.ensemble.as_ref()
    }

    /// How often it predicted, and how long that took.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Whether its features are the log-mel alone: none of its descriptors needs the waveform or its spectrum.
    pub(crate) fn takes_log_mel_alone(&self) -> bool {
        self.extractor().spec().needs() == Needs::LogMel
    }

    /// Its version: 12 hexadecimal digits that name the content of its artifact.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// The identity of the classifier, under the name of the model.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What every answer says of it.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The same in the form of the Open Inference Protocol.
    pub(crate) fn parameters(&self) -> &Arc<ModelParameters> {
        &self.parameters
    }
}

/// The same as parameters of the Open Inference Protocol, which are flat.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = InferenceModelParameters)]
pub struct ModelParameters {
    /// Its kind: `svm`, `vgg19` or `ensemble`.
    #[schema(example = "svm")]
    pub(crate) kind: &'static str,
    /// How many labels it has.
    labels: usize,
    /// What it was trained on, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trained_on: Option<String>,
    /// How many clips it was fitted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trained_on_clips: Option<usize>,
    /// Whether all of them are synthetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trained_on_synthetic: Option<bool>,
    /// The split that it was evaluated on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "artist-kfold:5")]
    evaluated_on: Option<String>,
    /// Clips that were scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evaluated_clips: Option<usize>,
    /// Share of them whose label was right, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accuracy: Option<f64>,
    /// Where the 95 % interval of the accuracy begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accuracy_ci95_low: Option<f64>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accuracy_ci95_high: Option<f64>,
    /// What a reader must know before any answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    warning: Option<String>,
    /// The network that its training started from, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    initialised_from: Option<String>,
    /// The models that an ensemble joins, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    members: Option<String>,
}

impl ModelParameters {
    /// Of a model.
    #[must_use]
    pub fn of(info: &ModelInfo) -> Self {
        let (clips, evaluated) = (&info.provenance.trained_on, &info.provenance.evaluated);
        let of_clips = |clips: &TrainedOn| (clips.description.clone(), clips.clips, clips.synthetic);
        let (trained_on, trained_on_clips, trained_on_synthetic) = unzip(clips.as_ref().map(of_clips));
        let of_evaluated = |found: &Evaluated| (found.split.clone(), found.n, found.accuracy);
        let (evaluated_on, evaluated_clips, accuracy) = unzip(evaluated.as_ref().map(of_evaluated));
        let ci95 = evaluated.as_ref().and_then(|found| found.ci95);
        Self {
            kind: info.kind,
            labels: info.labels,
            trained_on,
            trained_on_clips,
            trained_on_synthetic,
            evaluated_on,
            evaluated_clips,
            accuracy,
            accuracy_ci95_low: ci95.map(|[low, _]| low),
            accuracy_ci95_high: ci95.map(|[_, high]| high),
            warning: info.provenance.warning.clone(),
            initialised_from: info.provenance.initialised_from.as_ref().map(ToString::to_string),
            members: Some(joined(&info.provenance.members)).filter(|members| !members.is_empty()),
        }
    }
}

fn unzip<A, B, C>(all: Option<(A, B, C)>) -> (Option<A>, Option<B>, Option<C>) {
    match all {
        Some((a, b, c)) => (Some(a), Some(b), Some(c)),
        None => (None, None, None),
    }
}

impl Deref for Model {
    type Target = dyn Classifier;

    fn deref(&self) -> &Self::Target {
        &*self.classifier
    }
}

impl fmt::Display for Model {
    /// Name and version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.identity)
    }
}

/// The members that the artifact of an ensemble names.
pub(crate) fn members_of(artifact: &Artifact) -> models::Result<Vec<Member>> {
    EnsembleParameters::from_tensors(artifact.weights()?).map(|parameters| parameters.members)
}

/// Serialises what an answer says of its model.
pub(crate) fn serialize_info<S: Serializer>(model: &Arc<Model>, serializer: S) -> Result<S::Ok, S::Error> {
    model.info.serialize(serializer)
}

/// Has `model` predict a chord of the shortest length that it takes, which also touches every table that it will need.
///
/// # Errors
/// What is wrong with its prediction.
fn warm(model: &dyn Classifier) -> Result<(), String> {
    let spec = model.extractor().spec();
    let rate = spec.sample_rate;
    // Two frames more than the fewest: centring and rounding may cost one.
    let seconds = spec.seconds(spec.segmentation.min_frames + 2);
    let clip = Clip::new(chord(seconds, rate), rate).map_err(|error| error.to_string())?;
    let prediction = model.predict_clip(&clip).map_err(|error| error.to_string())?;
    check(&prediction, model.labels().len()).map_err(str::to_owned)
}

/// A chord of three triangle waves under a slow swell: arithmetic alone, so the same bits everywhere.
fn chord(seconds: f64, rate: u32) -> Vec<f32> {
    let samples = (seconds * f64::from(rate)).ceil().max(1.0) as u32;
    let triangle = |phase: f64| 1.0 - 4.0 * (phase - phase.floor() - 0.5).abs();
    (0..samples)
        .map(|n| {
            let t = f64::from(n) / f64::from(rate);
            let swell = 0.6 + 0.4 * triangle(t * 2.0);
            let sum: f64 = [220.0, 277.18, 329.63].map(|hz| triangle(t * hz)).iter().sum();
            (0.2 * swell * sum) as f32
        })
        .collect()
}

/// Checks that every probability is within 0 to 1, and that those of the clip and of each window sum to 1.
///
/// # Errors
/// What is wrong, for a log.
pub(crate) fn check(prediction: &Prediction, labels: usize) -> Result<(), &'static str> {
    if prediction.windows.is_empty() {
        return Err("it has no window");
    }
    let of_windows = prediction.windows.iter().map(|window| &window.probabilities);
    for probabilities in std::iter::once(&prediction.probabilities).chain(of_windows) {
        if probabilities.len() != labels {
            return Err("it has not one probability for each label");
        }
        if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err("a probability is not within 0 to 1");
        }
        if (probabilities.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Err("its probabilities do not sum to 1");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use features::{FeatureSpec, Fingerprint};
    use labels::LabelSet;
    use models::{
        WindowPrediction,
        artifact::{DataDescription, FormatVersion, SplitMetrics},
    };
    use serde_json::json;

    use super::*;

    fn prediction(probabilities: &[f64]) -> Prediction {
        let window = WindowPrediction { start_seconds: 0.0, end_seconds: 1.0, probabilities: probabilities.to_vec() };
        let features_digest = Fingerprint::of(b"a test");
        Prediction {
            probabilities: probabilities.to_vec(),
            windows: vec![window],
            features_digest,
            novelty: None,
            labels_90: None,
        }
    }

    #[test]
    fn only_a_distribution_is_a_prediction() {
        assert_eq!(check(&prediction(&[0.25, 0.75]), 2), Ok(()));
        for bad in [vec![], vec![1.0], vec![0.5, 0.6], vec![f64::NAN, 1.0], vec![-0.5, 1.5], vec![f64::INFINITY, 0.0]] {
            assert!(check(&prediction(&bad), 2).is_err(), "{bad:?}");
        }
        assert!(check(&Prediction { windows: vec![], ..prediction(&[0.5, 0.5]) }, 2).is_err());
    }

    #[test]
    fn the_chord_is_audible_and_within_full_scale() {
        let samples = chord(1.5, 22_050);
        assert_eq!(samples.len(), 33_075);
        let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.2..=1.0).contains(&peak), "{peak}");
    }

    fn manifest(training: Value, metrics: Vec<SplitMetrics>, description: &str) -> Manifest {
        let spec = FeatureSpec::gtzan_store();
        Manifest {
            format: FormatVersion::CURRENT,
            program: "a test".to_owned(),
            model: "svm".to_owned(),
            labels: LabelSet::from_names(["blues", "rock"]).expect("labels"),
            fingerprint: spec.fingerprint(),
            spec,
            training,
            data: DataDescription { digest: String::new(), description: description.to_owned(), clips: 7 },
            metrics,
            files: [].into(),
        }
    }

    #[test]
    fn an_artifact_tells_where_it_comes_from() {
        let more = [("ci95".to_owned(), json!([0.6, 0.8]))].into();
        let metrics = vec![SplitMetrics { split: "artist-kfold:5".to_owned(), n: 70, accuracy: 0.7125, more }];
        let real = Provenance::of(&manifest(json!({"warning": null}), metrics, "seven clips"));
        let expected = json!({
            "trained_on": {"description": "seven clips", "clips": 7, "synthetic": false},
            "evaluated": {"split": "artist-kfold:5", "accuracy": 0.7125, "ci95": [0.6, 0.8], "n": 70},
            "warning": null,
        });
        assert_eq!(serde_json::to_value(&real).expect("JSON"), expected);
        let words = "trained on 7 clips (seven clips), accuracy 0.713 (0.600 to 0.800) on artist-kfold:5, 70 clips";
        assert_eq!(real.to_string(), words);

        let init = json!({
            "name": "fma", "version": "0123456789ab", "weights": "…", "labels": ["a", "b", "c"], "synthetic": true, "tuned": true,
            "data": {"digest": "…", "description": "many clips", "clips": 90},
        });
        let transferred = Provenance::of(&manifest(json!({"warning": null, "init": init}), vec![], "seven clips"));
        let trained_on = json!({"description": "many clips", "clips": 90, "synthetic": true});
        assert_eq!(
            serde_json::to_value(&transferred).expect("JSON")["initialised_from"],
            json!({"name": "fma", "version": "0123456789ab", "labels": 3, "trained_on": trained_on}),
        );
        let words =
            "initialised from fma 0123456789ab: 3 labels, trained on 90 synthetic clips (many clips), not evaluated";
        assert!(transferred.to_string().ends_with(words), "{transferred}");
        for (field, wrong) in
            [("version", json!(7)), ("labels", json!(3)), ("data", json!([])), ("synthetic", json!("no"))]
        {
            let mut init = init.clone();
            init[field] = wrong;
            assert_eq!(Provenance::of(&manifest(json!({"init": init}), vec![], "")).initialised_from, None, "{field}");
        }

        let synthetic = Provenance::of(&manifest(json!({"warning": "Synthetic music: …"}), vec![], "clips"));
        assert_eq!(synthetic.warning.as_deref(), Some(SYNTHETIC_WARNING));
        assert!(synthetic.trained_on.as_ref().is_some_and(|clips| clips.synthetic) && synthetic.evaluated.is_none());
        assert!(synthetic.to_string().ends_with("not evaluated"), "{synthetic}");
    }

    #[test]
    fn words_of_an_artifact_are_bounded_and_plain() {
        for (ci95, description) in [(json!("wide"), "é\n\u{7}".repeat(10_000)), (json!([1]), String::new())] {
            let metrics = SplitMetrics {
                split: "x".repeat(10_000),
                n: 1,
                accuracy: 1.0,
                more: [("ci95".to_owned(), ci95)].into(),
            };
            let provenance = Provenance::of(&manifest(Value::Null, vec![metrics], &description));
            let json = serde_json::to_string(&provenance).expect("JSON");
            assert!(json.len() < 3_000 && !json.contains("\\n"), "{} bytes", json.len());
            assert_eq!(provenance.evaluated.and_then(|evaluated| evaluated.ci95), None);
        }
    }
}
