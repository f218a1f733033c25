//! An ensemble of models that are trained: how much each member counts, how good they are together, and the artifact.
//!
//! The weights make the log-loss least of the clips that the members were fitted on, each predicted in cross-validation by models that
//! did not see its artist. The clips that evaluate are predicted by weights that were learnt on other clips.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use anyhow::{Context as _, Result, bail, ensure};
use data::Split;
use features::Fingerprint;
use models::{
    artifact::{self, Artifact, Draft},
    conformal::{Conformal, PredictionSets},
    ensemble::{EnsembleClassifier, EnsembleParameters, LEAST_PROBABILITY, Member, common_spec, pooled},
    svm::SvmClassifier,
    vgg19::Vgg19Classifier,
};
use serde_json::{Value, json};

use super::{
    golden,
    predictions::HeldOutPredictions,
    publish::{self, Published, Target},
};
use crate::{
    evaluation::{
        comparison::pairs,
        conformal::{ConformalFigures, SetFigures},
        documents::Documents,
        learning::LearningCurve,
        metrics::{Evaluation, Scored},
        scoring::ScoredClips,
    },
    source,
};

/// Steps of the search of how two members share what both count: to within 1e-6.
const STEPS: usize = 30;
/// How often each pair of three members or more shares anew. The loss has one minimum, and each time comes nearer to it.
const ROUNDS: usize = 20;

/// How much each of two members or more counts: the weights of [`pooled`], which sum to 1, that make the log-loss of these clips
/// least. All members predicted the same clips, in any order.
///
/// # Errors
/// When a member predicted a clip that another did not.
pub fn weights(members: &[&[Scored]]) -> Result<Vec<f64>> {
    let clips = aligned(members).context("the weights of an ensemble cannot be learnt")?;
    let loss = |weights: &[f64]| -> f64 {
        let of_clip = |clip: &Vec<&Scored>| {
            let pooled = pooled(clip.iter().zip(weights).map(|(member, &weight)| (&member.probabilities[..], weight)));
            -libm::log(pooled[clip[0].truth].max(LEAST_PROBABILITY))
        };
        clips.iter().map(of_clip).sum()
    };
    let n = members.len();
    let mut weights = vec![1.0 / n as f64; n];
    for _ in 0..if n == 2 { 1 } else { ROUNDS } {
        for a in 0..n {
            for b in a + 1..n {
                let both = if n == 2 { 1.0 } else { weights[a] + weights[b] };
                let shared = |share: f64| {
                    let mut shared = weights.clone();
                    (shared[a], shared[b]) = (share * both, (1.0 - share) * both);
                    shared
                };
                let at = |share: f64| loss(&shared(share));
                let least = golden::minimum([0.0, 1.0], STEPS, at);
                // The search never tries the ends.
                let least = [0.0, least, 1.0].into_iter().min_by(|x, y| at(*x).total_cmp(&at(*y))).unwrap_or(least);
                weights = shared(least);
            }
        }
    }
    Ok(weights)
}

/// What all members say together of the same clips, in the order of the first.
///
/// # Errors
/// When a member predicted a clip that another did not.
pub fn predictions(members: &[&[Scored]], weights: &[f64]) -> Result<Vec<Scored>> {
    let one = |clip: Vec<&Scored>| Scored {
        probabilities: pooled(clip.iter().zip(weights).map(|(member, &weight)| (&member.probabilities[..], weight))),
        ..clip[0].clone()
    };
    Ok(aligned(members)?.into_iter().map(one).collect())
}

/// `[clip][member]`, in the order of the clips of the first member.
fn aligned<'a>(members: &[&'a [Scored]]) -> Result<Vec<Vec<&'a Scored>>> {
    let [first, others @ ..] = members else { bail!("an ensemble has two members or more") };
    ensure!(!others.is_empty(), "an ensemble has two members or more");
    let mut clips: Vec<Vec<&Scored>> = first.iter().map(|clip| vec![clip]).collect();
    for other in others {
        for (clip, (_, also)) in clips.iter_mut().zip(pairs(first, other)?) {
            ensure!(clip[0].truth == also.truth, "{} has another label in each of them", also.clip_id);
            clip.push(also);
        }
    }
    Ok(clips)
}

/// A model that is to be a member.
#[derive(Debug)]
pub struct TrainedMember {
    name: String,
    artifact: Artifact,
    predictions: HeldOutPredictions,
}

impl TrainedMember {
    /// The model `name` of that artifact.
    ///
    /// # Errors
    /// When it is an ensemble itself, or keeps no predictions of clips that its training held out.
    pub fn new(name: &str, artifact: Artifact) -> Result<Self> {
        let kind = &artifact.manifest().model;
        if ![SvmClassifier::NAME, Vgg19Classifier::NAME].contains(&kind.as_str()) {
            bail!(
                "{name} {} is of the kind `{kind}`; an ensemble joins models of the kinds `svm` and `vgg19`",
                artifact.version()
            );
        }
        let predictions = HeldOutPredictions::of(&artifact).with_context(|| format!("{name} cannot be a member"))?;
        Ok(Self { name: name.to_owned(), artifact, predictions })
    }

    /// Name and version.
    #[must_use]
    pub fn called(&self) -> String {
        format!("{} {}", self.name, self.artifact.version())
    }

    fn training(&self) -> &Value {
        &self.artifact.manifest().training
    }

    /// The clips that evaluate, and the fold of each.
    fn dealt(&self) -> Vec<(&str, usize)> {
        let HeldOutPredictions { held_out, folds, .. } = &self.predictions;
        held_out.iter().map(|clip| clip.clip_id.as_str()).zip(folds.iter().copied()).collect()
    }
}

/// What was learnt, before it is written.
struct Learnt {
    labels: Vec<String>,
    weights: Vec<f64>,
    /// Of the clips that the members were fitted on.
    cross_validated: Evaluation,
    /// Calibrated on them.
    sets: Option<PredictionSets>,
    /// What the sets are worth.
    conformal: ConformalFigures,
    /// The same of each member.
    of_members: Vec<Evaluation>,
    scored: Vec<Scored>,
    /// The weights that predicted the clips of each fold that evaluates.
    of_folds: BTreeMap<usize, Vec<f64>>,
}

/// Refuses members that cannot be joined, or compared: they must have the same labels, in the same order, and have been fitted and
/// evaluated on the same clips, in the same folds.
fn check(members: &[TrainedMember]) -> Result<()> {
    let [first, others @ ..] = members else { bail!("an ensemble has two members or more") };
    for other in others {
        let (a, b) = (first.artifact.manifest(), other.artifact.manifest());
        if a.labels != b.labels {
            bail!(
                "{} and {} have other labels, or the same in another order; train both on the same dataset",
                first.called(),
                other.called()
            );
        }
        let split =
            |member: &TrainedMember| (member.training()["held_out"].clone(), member.training()["refit"].clone());
        if split(first) != split(other) || first.dealt() != other.dealt() {
            bail!(
                "{} and {} were not evaluated on the same clips in the same folds ({}, {}); train both on the same dataset, with the \
                 same --held-out, --refit and --seed",
                first.called(),
                other.called(),
                held_out(first),
                held_out(other)
            );
        }
        if first.training()["clip_ids"] != other.training()["clip_ids"] {
            bail!(
                "{} and {} were not fitted on the same clips; train both on the same dataset",
                first.called(),
                other.called()
            );
        }
    }
    Ok(())
}

/// How the clips that evaluate were held out, as it was typed.
fn held_out(member: &TrainedMember) -> String {
    let refit = if member.training()["refit"] == true { " --refit" } else { "" };
    format!("{}{refit}", member.training()["held_out"].as_str().unwrap_or("unknown"))
}

/// Learns the weights, and evaluates.
fn learn(members: &[TrainedMember], seed: u64) -> Result<Learnt> {
    check(members)?;
    let labels: Vec<String> = members[0].artifact.manifest().labels.iter().map(ToString::to_string).collect();
    let all = cross_validated(members, &BTreeSet::new());
    let all: Vec<&[Scored]> = all.iter().map(Vec::as_slice).collect();
    let weights = learn_from(&all)?;
    let together = predictions(&all, &weights)?;
    let (mut scored, mut of_folds) = (Vec::new(), BTreeMap::new());
    for (clip, &(_, fold)) in members[0].dealt().iter().enumerate() {
        let weights = match of_folds.entry(fold) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(weights_without(members, fold).with_context(|| format!("fold {}", fold + 1))?)
            }
        };
        let of_clip: Vec<&[Scored]> = members.iter().map(|member| &member.predictions.held_out[clip..=clip]).collect();
        scored.extend(predictions(&of_clip, weights)?);
    }
    Ok(Learnt {
        weights,
        cross_validated: Evaluation::new(&labels, &together, seed),
        sets: PredictionSets::calibrate(together.iter().map(|clip| (&clip.probabilities[..], clip.truth))),
        conformal: ConformalFigures {
            sets_cross_validated: SetFigures::cross_validated(&labels, &together, seed),
            sets: None,
            novelty: None,
            novel: None,
        },
        of_members: all.iter().map(|clips| Evaluation::new(&labels, clips, seed)).collect(),
        scored,
        of_folds,
        labels,
    })
}

/// What each member predicted in cross-validation, of the clips that all of them predicted so and that are not `left_out`.
fn cross_validated(members: &[TrainedMember], left_out: &BTreeSet<&str>) -> Vec<Vec<Scored>> {
    let ids = |member: &TrainedMember| -> BTreeSet<String> {
        member.predictions.cross_validated.iter().map(|clip| clip.clip_id.clone()).collect()
    };
    let each: Vec<BTreeSet<String>> = members.iter().map(ids).collect();
    let is_wanted = |clip: &&Scored| {
        !left_out.contains(clip.clip_id.as_str()) && each.iter().all(|ids| ids.contains(&clip.clip_id))
    };
    let of_member =
        |member: &TrainedMember| member.predictions.cross_validated.iter().filter(is_wanted).cloned().collect();
    members.iter().map(of_member).collect()
}

/// The weights from what the members predicted in cross-validation of the clips that are not held out in that fold.
fn weights_without(members: &[TrainedMember], fold: usize) -> Result<Vec<f64>> {
    let in_fold = members[0].dealt().into_iter().filter(|(_, of)| *of == fold).map(|(clip, _)| clip);
    let others = cross_validated(members, &in_fold.collect());
    learn_from(&others.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// [`weights`], from at least one clip.
fn learn_from(members: &[&[Scored]]) -> Result<Vec<f64>> {
    ensure!(members.iter().all(|clips| !clips.is_empty()), "no clip is left to learn the weights of the ensemble from");
    weights(members)
}

/// Learns the weights of an ensemble of members, writes its artifact into the folder of `target`, and puts it in use by the rules of
/// [`publish::publish`].
///
/// # Errors
/// When the members cannot be joined, or the artifact cannot be written.
pub fn publish(target: Target<'_>, members: &[TrainedMember], seed: u64) -> Result<PublishedEnsemble> {
    let learnt = learn(members, seed)?;
    let first = members[0].artifact.manifest();
    let specs: Vec<_> = members.iter().map(|member| &member.artifact.manifest().spec).collect();
    let spec = common_spec(&specs)?;
    let fingerprint = spec.fingerprint();
    let named = members.iter().zip(&learnt.weights).map(|(member, &weight)| Member {
        name: member.name.clone(),
        version: member.artifact.version().to_owned(),
        weight,
    });
    let weights = EnsembleParameters { members: named.collect() }.to_tensors()?;
    let weights = Conformal { novelty: None, sets: learnt.sets }.add_to(&weights)?;
    let split = first.training["held_out"].as_str().context("a member does not say which clips evaluated it")?;
    let leaks = split.parse::<Split>()?.leaks();
    let clip_ids = members[0].predictions.cross_validated.iter().map(|clip| clip.clip_id.as_str());
    let warning = source::synthetic_warning(clip_ids);
    let short = training(members, &learnt, seed, warning);
    let mut training = short.clone();
    training["clip_ids"] = first.training["clip_ids"].clone();
    let evaluation = Evaluation::new(&learnt.labels, &learnt.scored, seed);
    let clips = ScoredClips { scored: learnt.scored, embeddings: Vec::new() };
    let left_out = Some("its members are fitted by trainings of their own, whose reports have their curves");
    let learning = LearningCurve { left_out, ..LearningCurve::default() };
    let documents = Documents {
        model: EnsembleClassifier::NAME,
        split,
        leaks,
        warning,
        seed,
        clips: &clips,
        evaluation: &evaluation,
        evaluation_data: evaluation_data(&members[0].artifact)?,
        fingerprint: &fingerprint,
        weights: &weights,
        data: &first.data,
        training: &short,
        command: &command(members, seed),
        against: None,
        learning: Some(&learning),
        conformal: Some(&learnt.conformal),
        robustness: None,
        curves: &[],
    };
    let draft = Draft {
        model: EnsembleClassifier::NAME.to_owned(),
        labels: first.labels.clone(),
        metrics_json: serde_json::to_vec_pretty(&documents.metrics())?,
        report_html: documents.page().into_bytes(),
        spec,
        training,
        data: first.data.clone(),
        metrics: vec![publish::split_metrics(split, &evaluation)],
        weights,
    };
    let (artifact, in_use) = publish::write(target, &draft, &[], warning.is_some())?;
    let published = Published {
        artifact,
        in_use,
        name: target.name.to_owned(),
        evaluation,
        cross_validated_accuracy: learnt.cross_validated.accuracy,
        fingerprint: fingerprint.to_string(),
        remarks: remarks(members, &learnt.weights, &learnt.cross_validated, &learnt.of_members),
        init: None,
    };
    Ok(PublishedEnsemble { published, training: short })
}

/// An ensemble in its artifact.
#[derive(Debug)]
pub struct PublishedEnsemble {
    /// The artifact, and how good it is.
    pub published: Published,
    /// What the artifact says of its training.
    training: Value,
}

impl PublishedEnsemble {
    /// The object of `train ensemble --json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { published, training } = self;
        json!({
            "name": published.name,
            "artifact": published.artifact.dir,
            "version": published.artifact.version,
            "in_use": published.is_in_use(),
            "not_in_use": published.not_in_use(),
            "fingerprint": published.fingerprint,
            "members": training["members"],
            "held_out": training["held_out"],
            "refit": training["refit"] == true,
            "cross_validated_accuracy": published.cross_validated_accuracy,
            "evaluation": published.evaluation,
        })
    }
}

/// What the artifact says of the training, but for the ids of the clips.
fn training(members: &[TrainedMember], learnt: &Learnt, seed: u64, warning: Option<&str>) -> Value {
    let figures = |evaluation: &Evaluation| json!({ "accuracy": evaluation.accuracy, "log_loss": evaluation.log_loss });
    let of_member = |((member, weight), evaluation): ((&TrainedMember, &f64), &Evaluation)| {
        json!({
            "name": member.name,
            "version": member.artifact.version(),
            "kind": member.artifact.manifest().model,
            "weight": weight,
            "cross_validated": figures(evaluation),
        })
    };
    let listed = members.iter().zip(&learnt.weights).zip(&learnt.of_members).map(of_member);
    let mut training = json!({
        "members": listed.collect::<Vec<_>>(),
        "cross_validated": figures(&learnt.cross_validated),
        "weights_of_folds": learnt.of_folds.values().collect::<Vec<_>>(),
        "seed": seed,
        "held_out": members[0].training()["held_out"],
        "warning": warning,
    });
    if members[0].training()["refit"] == true {
        training["refit"] = json!(true);
    }
    training
}

/// What a reader should know of the fit.
fn remarks(members: &[TrainedMember], weights: &[f64], together: &Evaluation, each: &[Evaluation]) -> Vec<String> {
    let shares = members.iter().zip(weights).map(|(member, weight)| format!("{} {weight:.3}", member.called()));
    let losses = members.iter().zip(each).map(|(member, of)| format!("{} {:.3}", member.name, of.log_loss));
    vec![
        format!("Weights: {}.", shares.collect::<Vec<_>>().join(", ")),
        format!(
            "Log-loss of the clips that the members were fitted on, in cross-validation: {}; together {:.3}.",
            losses.collect::<Vec<_>>().join(", "),
            together.log_loss
        ),
    ]
}

/// The command that makes it again.
fn command(members: &[TrainedMember], seed: u64) -> String {
    let named: Vec<String> =
        members.iter().map(|member| format!("{}@{}", member.name, member.artifact.version())).collect();
    format!("train ensemble --members {} --seed {seed}", named.join(","))
}

/// Digest of the clips that evaluated a member, as its metrics say it; of its predictions, where they do not.
fn evaluation_data(artifact: &Artifact) -> Result<String> {
    let metrics: Value = serde_json::from_slice(artifact.file(artifact::METRICS)?)
        .with_context(|| format!("failed to understand {} of {}", artifact::METRICS, artifact.dir().display()))?;
    Ok(match metrics["made_from"]["evaluation_data"].as_str() {
        Some(digest) => digest.to_owned(),
        None => Fingerprint::of(artifact.file(artifact::PREDICTIONS)?).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(number: usize, truth: usize, first: f64) -> Scored {
        let (metadata, group) = Default::default();
        Scored { clip_id: number.to_string(), metadata, group, truth, probabilities: vec![first, 1.0 - first] }
    }

    fn knows() -> Vec<Scored> {
        (0..20).map(|i| clip(i, i % 2, if i % 2 == 0 { 0.9 } else { 0.1 })).collect()
    }

    fn guesses() -> Vec<Scored> {
        (0..20).rev().map(|i| clip(i, i % 2, if i % 3 == 0 { 0.9 } else { 0.1 })).collect()
    }

    #[test]
    fn the_one_that_knows_gets_the_weight() {
        let (knows, guesses) = (knows(), guesses());
        assert!(weights(&[&knows, &guesses]).unwrap()[0] > 0.9);
        assert!(weights(&[&guesses, &knows]).unwrap()[0] < 0.1);
        assert!(weights(&[&knows, &guesses[1..]]).is_err());
        assert!(weights(&[&knows]).is_err());
        let mut other = guesses.clone();
        other[3].truth = 1 - other[3].truth;
        assert!(weights(&[&knows, &other]).is_err(), "another label of the same clip");
    }

    #[test]
    fn three_members_share_as_two_of_them_do_where_the_third_says_nothing_new() {
        // Two that err on different clips, and one that is always unsure.
        let one: Vec<_> =
            (0..24).map(|i| clip(i, i % 2, if (i % 2 == 0) != (i % 5 == 0) { 0.8 } else { 0.2 })).collect();
        let two: Vec<_> =
            (0..24).map(|i| clip(i, i % 2, if (i % 2 == 0) != (i % 7 == 0) { 0.8 } else { 0.2 })).collect();
        let unsure: Vec<_> = (0..24).map(|i| clip(i, i % 2, 0.5)).collect();
        let of_two = weights(&[&one, &two]).unwrap();
        let of_three = weights(&[&one, &unsure, &two]).unwrap();
        assert!((of_three.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(of_three[1] < 1e-3, "{of_three:?}");
        assert!(
            (of_three[0] - of_two[0]).abs() < 1e-2 && (of_three[2] - of_two[1]).abs() < 1e-2,
            "{of_three:?} {of_two:?}"
        );
    }

    #[test]
    fn predictions_are_the_pool_in_the_order_of_the_first() {
        let (knows, guesses) = (knows(), guesses());
        let together = predictions(&[&knows, &guesses], &[0.25, 0.75]).unwrap();
        for (at, clip) in together.iter().enumerate() {
            assert_eq!(clip.clip_id, at.to_string());
            let expected = pooled([(&knows[at].probabilities[..], 0.25), (&guesses[19 - at].probabilities[..], 0.75)]);
            assert_eq!(clip.probabilities, expected);
        }
    }
}
