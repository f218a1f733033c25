//! Several models as one: their probabilities multiplied, each to the power of its weight (log-linear pooling: Genest and Zidek 1986,
//! "Combining probability distributions: a critique and an annotated bibliography").
//!
//! The artifact holds no model. It names its members, each by its name and its version, with their weights
//! ([`EnsembleParameters`]); whoever opens it finds them. A version names every byte of an artifact, so an ensemble predicts the
//! same wherever its members come from.
//!
//! The clip is extracted once, by the specification of one of the members, which has all that the others take ([`common_spec`]).

use std::{collections::HashMap, sync::Arc};

use features::{Extractor, FeatureSpec, spec::Needs};
use labels::LabelSet;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};

use crate::{
    Classifier, Error, Explain, Identity, Novelty, PredictOutput, PredictRequest, Prediction, Result, WindowPrediction,
    artifact::{Artifact, names},
    conformal::{Conformal, PredictionSets},
};

/// Most members of an ensemble.
pub const MAX_MEMBERS: usize = 8;
/// Least probability whose logarithm is taken.
pub const LEAST_PROBABILITY: f64 = 1e-15;
/// How far the sum of the weights may be from 1.
const TOLERANCE: f64 = 1e-9;

const MEMBERS: &str = "tonearm.ensemble";
const WEIGHT: &str = "weight";

/// `Π p_i^w_i`, normalised to a sum of 1, of the probabilities and the weight of each member; all have as many classes.
#[must_use]
pub fn pooled<'a>(members: impl IntoIterator<Item = (&'a [f64], f64)>) -> Vec<f64> {
    let mut logs: Vec<f64> = Vec::new();
    for (probabilities, weight) in members {
        logs.resize(probabilities.len(), 0.0);
        for (sum, probability) in logs.iter_mut().zip(probabilities) {
            *sum += weight * libm::log(probability.max(LEAST_PROBABILITY));
        }
    }
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// One of the models of an ensemble, as its artifact names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Name of the model, that of its folder.
    pub name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    pub version: String,
    /// The power of its probabilities, 0 to 1; the weights of all members sum to 1.
    #[serde(skip)]
    pub weight: f64,
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What the artifact of an ensemble holds.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleParameters {
    /// 2 to [`MAX_MEMBERS`] models, none twice.
    pub members: Vec<Member>,
}

impl EnsembleParameters {
    /// The bytes of a safetensors file; equal parameters give equal bytes.
    ///
    /// # Shapes
    /// `weight`: F64 `[members]`. The names and versions of the members are JSON in the header, under `tonearm.ensemble`.
    ///
    /// # Errors
    /// [`Error::Ensemble`] and [`Error::Name`] for parameters that [`EnsembleParameters::from_tensors`] would refuse.
    pub fn to_tensors(&self) -> Result<Vec<u8>> {
        self.check()?;
        let weights: Vec<u8> = self.members.iter().flat_map(|member| member.weight.to_le_bytes()).collect();
        let named =
            serde_json::to_string(&self.members).map_err(|error| Error::Weights { detail: error.to_string() })?;
        let view = TensorView::new(Dtype::F64, vec![self.members.len()], &weights).map_err(unreadable)?;
        serialize([(WEIGHT, view)], Some(HashMap::from([(MEMBERS.to_owned(), named)]))).map_err(unreadable)
    }

    /// Reads a safetensors file of [`EnsembleParameters::to_tensors`].
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file, or not one of an ensemble; [`Error::Tensor`] for a tensor that is
    /// missing, surplus, or of another type or shape; [`Error::Ensemble`] for weights that are not shares of 1, and for a member that
    /// is there twice; [`Error::Name`].
    pub fn from_tensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let named = header.metadata().as_ref().and_then(|fields| fields.get(MEMBERS));
        let named = named.ok_or_else(|| Error::Weights {
            detail: format!("the file does not say which models it joins (no `{MEMBERS}` in its header)"),
        })?;
        let mut members: Vec<Member> =
            serde_json::from_str(named).map_err(|error| Error::Weights { detail: format!("`{MEMBERS}`: {error}") })?;
        if let Some(name) =
            file.names().into_iter().filter(|name| **name != *WEIGHT && !Conformal::has_tensor(name)).min()
        {
            return Err(Error::tensor(name.to_owned(), "is not one of an ensemble"));
        }
        let view = file.tensor(WEIGHT).map_err(|_| Error::tensor(WEIGHT, "is missing"))?;
        if view.dtype() != Dtype::F64 || view.shape() != [members.len()] {
            let detail = format!("is {:?} of shape {:?}, not F64 of [{}]", view.dtype(), view.shape(), members.len());
            return Err(Error::tensor(WEIGHT, detail));
        }
        let (weights, _) = view.data().as_chunks::<8>();
        for (member, weight) in members.iter_mut().zip(weights) {
            member.weight = f64::from_le_bytes(*weight);
        }
        let parameters = Self { members };
        parameters.check()?;
        Ok(parameters)
    }

    /// What holds for every ensemble that this program writes or reads.
    fn check(&self) -> Result<()> {
        let Self { members } = self;
        if !(2..=MAX_MEMBERS).contains(&members.len()) {
            return Err(ensemble(format!("it has {} member(s), not 2 to {MAX_MEMBERS}", members.len())));
        }
        for (at, member) in members.iter().enumerate() {
            names::check_model(&member.name)?;
            names::check_version(&member.version)?;
            if members[..at].iter().any(|before| before.version == member.version) {
                return Err(ensemble(format!("the version {} is a member twice", member.version)));
            }
            if !(0.0..=1.0).contains(&member.weight) {
                return Err(ensemble(format!("the weight of {member} is {}, not 0 to 1", member.weight)));
            }
        }
        let total: f64 = members.iter().map(|member| member.weight).sum();
        if (total - 1.0).abs() > TOLERANCE {
            return Err(ensemble(format!("the weights of its members sum to {total}, not to 1")));
        }
        Ok(())
    }
}

/// The specification of `specs` whose features suffice for the members of all of them: the first that has every series of the
/// others. The vectors of a member are computed from the features of a clip, by the member's own specification.
///
/// # Errors
/// [`Error::Ensemble`] where none suffices: of members whose log-mels, segments or windows differ, or each of which has a
/// series that the others lack.
pub fn common_spec(specs: &[&FeatureSpec]) -> Result<FeatureSpec> {
    let suffices = |spec: &&&FeatureSpec| specs.iter().all(|other| lack(spec, other).is_none());
    if let Some(spec) = specs.iter().find(suffices) {
        return Ok((**spec).clone());
    }
    let first = specs.iter().flat_map(|spec| specs.iter().filter_map(move |other| lack(spec, other))).next();
    Err(ensemble(first.unwrap_or_else(|| "it has no member".to_owned())))
}

/// What features by `spec` lack for a model that takes those of `other`; `None` where they suffice.
fn lack(spec: &FeatureSpec, other: &FeatureSpec) -> Option<String> {
    let frames = |spec: &FeatureSpec| FeatureSpec { n_mfcc: 0, floor: None, descriptors: Vec::new(), ..spec.clone() };
    if frames(spec) != frames(other) {
        return Some(
            "the log-mels, segments or windows of its members differ; train them with the same --spec".to_owned(),
        );
    }
    let is_series = |descriptor: &&features::spec::Descriptor| descriptor.needs() > Needs::LogMel;
    let missing = other.descriptors.iter().filter(is_series).find(|series| !spec.descriptors.contains(series))?;
    Some(format!("each of its members has a descriptor that another lacks, such as {}", missing.name()))
}

/// The classifier of an artifact of model `ensemble`.
#[derive(Debug)]
pub struct EnsembleClassifier {
    identity: Identity,
    labels: LabelSet,
    extractor: Extractor,
    /// With their weights.
    members: Vec<(Arc<dyn Classifier>, f64)>,
    /// Index of the member that takes the features as they are extracted.
    whole: usize,
    /// Index of the member that explains.
    explaining: Option<usize>,
    /// Makes sets of labels of what the members say together.
    sets: Option<PredictionSets>,
}

impl EnsembleClassifier {
    /// What a [`Manifest`](crate::artifact::Manifest) calls this model, and how an ensemble without a name of its own is called.
    pub const NAME: &str = "ensemble";

    /// Joins members, each with its weight. The features are those of `extractor`.
    ///
    /// # Errors
    /// [`Error::Ensemble`] for members of other labels, or in another order; and where the features do not suffice for each, or are
    /// those of none.
    pub fn new(
        identity: Identity,
        labels: LabelSet,
        extractor: Extractor,
        members: Vec<(Arc<dyn Classifier>, f64)>,
    ) -> Result<Self> {
        for (member, _) in &members {
            if *member.labels() != labels {
                let detail = format!(
                    "{} has other labels ({}) than it ({}), or the same in another order",
                    member.identity(),
                    member.labels().join(", "),
                    labels.join(", ")
                );
                return Err(ensemble(detail));
            }
            if let Some(lack) = lack(extractor.spec(), member.extractor().spec()) {
                return Err(ensemble(format!("{}: {lack}", member.identity())));
            }
        }
        let whole = members.iter().position(|(member, _)| member.extractor().spec() == extractor.spec());
        let whole = whole.ok_or_else(|| ensemble("its features are those of none of its members".to_owned()))?;
        let explaining = members.iter().position(|(member, _)| member.explains());
        Ok(Self { identity, labels, extractor, members, whole, explaining, sets: None })
    }

    /// Joins the members that the artifact names ([`EnsembleParameters::from_tensors`]), in their order.
    ///
    /// # Errors
    /// Those of [`EnsembleParameters::from_tensors`], [`Extractor::new`] and [`EnsembleClassifier::new`]; [`Error::Ensemble`] for other
    /// members.
    pub fn from_artifact(artifact: &Artifact, members: Vec<Arc<dyn Classifier>>) -> Result<Self> {
        let manifest = artifact.manifest();
        let EnsembleParameters { members: named } = EnsembleParameters::from_tensors(artifact.weights()?)?;
        let is_named = |(named, member): (&Member, &Arc<dyn Classifier>)| named.version == member.identity().version;
        if named.len() != members.len() || !named.iter().zip(&members).all(is_named) {
            return Err(ensemble("its members are not those that its artifact names".to_owned()));
        }
        let members = members.into_iter().zip(named).map(|(member, named)| (member, named.weight)).collect();
        let identity = Identity {
            name: manifest.model.clone(),
            version: artifact.version().to_owned(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let extractor = Extractor::new(manifest.spec.clone())?;
        let sets = Conformal::from_tensors(artifact.weights()?)?.sets;
        Ok(Self { sets, ..Self::new(identity, manifest.labels.clone(), extractor, members)? })
    }

    /// What member number `member` is to explain, if the ensemble is to explain `explain`.
    #[must_use]
    pub fn explain_of_member(&self, member: usize, explain: Option<Explain>) -> Option<Explain> {
        explain.filter(|_| self.explaining == Some(member))
    }

    /// The output of the ensemble from that of each member, in their order, by [`pooled`]: of the whole clip, and of each window.
    /// The explanation is the member's.
    ///
    /// # Errors
    /// [`Error::Ensemble`] for outputs of other members, whose windows or labels are not the same.
    pub fn combine(&self, outputs: Vec<PredictOutput>) -> Result<PredictOutput> {
        let is_same = |output: &PredictOutput| {
            let (windows, first) = (&output.prediction.windows, &outputs[0].prediction.windows);
            let coincide = |(a, b): (&WindowPrediction, &WindowPrediction)| {
                (a.start_seconds, a.end_seconds) == (b.start_seconds, b.end_seconds)
                    && a.probabilities.len() == self.labels.len()
            };
            output.prediction.probabilities.len() == self.labels.len()
                && windows.len() == first.len()
                && windows.iter().zip(first).all(coincide)
        };
        if outputs.len() != self.members.len() || !outputs.iter().all(is_same) {
            return Err(ensemble("the windows or the labels of what its members predict differ".to_owned()));
        }
        let pool = |of: &dyn Fn(&Prediction) -> Vec<f64>| {
            let each: Vec<Vec<f64>> = outputs.iter().map(|output| of(&output.prediction)).collect();
            pooled(
                each.iter().zip(&self.members).map(|(probabilities, (_, weight))| (probabilities.as_slice(), *weight)),
            )
        };
        let windows = outputs[0].prediction.windows.iter().enumerate().map(|(at, window)| WindowPrediction {
            probabilities: pool(&|prediction| prediction.windows[at].probabilities.clone()),
            ..*window
        });
        let probabilities = pool(&|prediction| prediction.probabilities.clone());
        let prediction = Prediction {
            windows: windows.collect(),
            labels_90: self.sets.as_ref().map(|sets| sets.labels(&probabilities)),
            probabilities,
            features_digest: outputs[self.whole].prediction.features_digest.clone(),
            novelty: novelty(outputs.iter().filter_map(|output| output.prediction.novelty)),
        };
        let explanation = self.explaining.and_then(|at| outputs[at].explanation.clone());
        Ok(PredictOutput { prediction, explanation, vectors: Vec::new() })
    }

    /// The member, and the label, that is still to be explained after [`EnsembleClassifier::combine`]: the member explained the label
    /// that it predicts itself, and the ensemble predicts another.
    #[must_use]
    pub fn unexplained(&self, explain: Option<Explain>, output: &PredictOutput) -> Option<(usize, usize)> {
        let (at, explained) = (self.explaining?, output.explanation.as_ref()?.label);
        let wanted = match explain? {
            Explain::Predicted => output.prediction.best(),
            Explain::Label(label) => label,
        };
        (explained != wanted).then_some((at, wanted))
    }

    /// The members, in the order of their weights.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&dyn Classifier, f64)> {
        self.members.iter().map(|(member, weight)| (&**member, *weight))
    }

    fn finish(&self, request: &PredictRequest<'_>, outputs: Vec<PredictOutput>) -> Result<PredictOutput> {
        let mut output = self.combine(outputs)?;
        if let Some((at, label)) = self.unexplained(request.explain, &output) {
            let request = PredictRequest { explain: Some(Explain::Label(label)), ..*request };
            output.explanation = self.members[at].0.predict_one(request)?.explanation;
        }
        Ok(output)
    }
}

impl Classifier for EnsembleClassifier {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn labels(&self) -> &LabelSet {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    fn explains(&self) -> bool {
        self.explaining.is_some()
    }

    /// Each member predicts all requests together, one member after the other.
    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        let mut outputs: Vec<Result<Vec<PredictOutput>>> =
            requests.iter().map(|request| request.check_class(self.labels.len()).map(|()| Vec::new())).collect();
        for (at, (member, _)) in self.members.iter().enumerate() {
            let open: Vec<usize> = (0..requests.len()).filter(|&request| outputs[request].is_ok()).collect();
            let of_member = |&request: &usize| PredictRequest {
                explain: self.explain_of_member(at, requests[request].explain),
                ..requests[request]
            };
            let predicted = member.predict_batch(&open.iter().map(of_member).collect::<Vec<_>>());
            for (request, output) in open.into_iter().zip(predicted) {
                match (&mut outputs[request], output) {
                    (Ok(outputs), Ok(output)) => outputs.push(output),
                    (slot, Err(error)) => *slot = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
        outputs.into_iter().zip(requests).map(|(outputs, request)| self.finish(request, outputs?)).collect()
    }
}

/// How unlike the training set a clip is by those of the members that can say: the least of their p-values times their number, which is a
/// p-value whatever they have in common (Bonferroni).
#[must_use]
pub fn novelty(members: impl Iterator<Item = Novelty>) -> Option<Novelty> {
    let members: Vec<Novelty> = members.collect();
    let least = members.iter().copied().min_by(|a, b| a.p_value.total_cmp(&b.p_value))?;
    let threshold = members.iter().map(|member| member.threshold).fold(least.threshold, f64::min);
    Some(Novelty { p_value: (least.p_value * members.len() as f64).min(1.0), threshold, ..least })
}

fn ensemble(detail: String) -> Error {
    Error::Ensemble { detail }
}

fn unreadable(error: safetensors::SafeTensorError) -> Error {
    Error::Weights { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(weights: &[f64]) -> EnsembleParameters {
        let member = |(at, weight): (usize, &f64)| Member {
            name: format!("model-{at}"),
            version: format!("{at:012x}"),
            weight: *weight,
        };
        EnsembleParameters { members: weights.iter().enumerate().map(member).collect() }
    }

    #[test]
    fn the_ends_are_the_members() {
        let (a, b) = ([0.7, 0.2, 0.1], [0.1, 0.1, 0.8]);
        let pool = |share: f64| pooled([(a.as_slice(), share), (&b, 1.0 - share)]);
        for (share, expected) in [(1.0, a), (0.0, b)] {
            assert!(pool(share).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
        }
        let half = pool(0.5);
        assert!((half[0] / half[2] - (0.07f64 / 0.08).sqrt()).abs() < 1e-12);
        assert!(pooled([([1.0, 0.0].as_slice(), 0.5), (&[0.0, 1.0], 0.5)]).iter().all(|p| (p - 0.5).abs() < 1e-12));
    }

    #[test]
    fn the_most_unlike_member_counts_for_all_that_can_say() {
        let member = |p_value| Novelty { p_value, threshold: 0.05, signal: features::Signal::Music };
        let of = |p_values: &[f64]| novelty(p_values.iter().map(|&p_value| member(p_value))).map(|found| found.p_value);
        assert_eq!((of(&[]), of(&[0.3]), of(&[0.3, 0.125]), of(&[0.7, 0.6])), (None, Some(0.3), Some(0.25), Some(1.0)));
    }

    #[test]
    fn only_shares_of_one_are_weights() {
        let whole = parameters(&[0.25, 0.75]);
        let bytes = whole.to_tensors().expect("bytes");
        assert_eq!(EnsembleParameters::from_tensors(&bytes).expect("parameters"), whole);
        assert_eq!(whole.to_tensors().expect("bytes"), bytes);
        for bad in [&[1.0][..], &[0.5, 0.6], &[-0.5, 1.5], &[f64::NAN, 1.0], &[0.125; 9]] {
            assert!(parameters(bad).to_tensors().is_err(), "{bad:?}");
        }
        let mut twice = whole.clone();
        twice.members[1].version = twice.members[0].version.clone();
        assert!(matches!(twice.to_tensors(), Err(Error::Ensemble { .. })));
        let mut outside = whole;
        outside.members[1].name = "../svm".to_owned();
        assert!(matches!(outside.to_tensors(), Err(Error::Name { .. })));
        for bad in [&b""[..], b"no tensors", &bytes[..bytes.len() - 1]] {
            assert!(matches!(EnsembleParameters::from_tensors(bad), Err(Error::Weights { .. })));
        }
    }

    #[test]
    fn the_features_of_one_member_suffice_for_all() {
        let store = FeatureSpec::gtzan_store();
        let machine = store.restricted_to(Needs::LogMel).expect("some are left");
        let network = store.log_mel_alone();
        assert_eq!(common_spec(&[&network, &store]).expect("common"), store);
        assert_eq!(common_spec(&[&machine, &network]).expect("common"), machine);
        let other = FeatureSpec::librosa();
        assert!(matches!(common_spec(&[&network, &other]), Err(Error::Ensemble { .. })));
        let only = |descriptor| FeatureSpec { descriptors: vec![descriptor], ..store.clone() };
        let (rms, tempo) = (only(features::spec::Descriptor::Rms), only(features::spec::Descriptor::Tempo));
        let message = common_spec(&[&rms, &tempo]).expect_err("refused").to_string();
        assert!(message.contains("tempo"), "{message}");
    }

    proptest! {
        #[test]
        fn a_pool_is_a_distribution(
            members in proptest::collection::vec((proptest::collection::vec(0.0f64..1.0, 4), 0.0f64..1.0), 1..5),
        ) {
            let pooled = pooled(members.iter().map(|(values, weight)| (values.as_slice(), *weight)));
            prop_assert!((pooled.iter().sum::<f64>() - 1.0).abs() < 1e-12 && pooled.iter().all(|p| (0.0..=1.0).contains(p)));
        }

        #[test]
        fn any_bytes_are_parameters_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = EnsembleParameters::from_tensors(&bytes);
        }
    }
}
