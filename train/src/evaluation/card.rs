//! The model card of an artifact (Mitchell et al. 2019, "Model cards for model reporting"), written from what the artifact holds.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use data::{Split, labels::display};
use models::{
    artifact::{self, Artifact, Manifest},
    ensemble::EnsembleClassifier,
    svm::SvmClassifier,
    vgg19::Normalisation,
};
use serde_json::Value;

use crate::{
    evaluation::{
        metrics::{ClassFigures, Evaluation},
        ranking::{self, Confusion, EXTREMES, Ranked},
        robustness::{Condition, LeftOut, OverDegradations, Robustness},
    },
    source,
    training::{InitProvenance, transfer},
};

/// Confusions that the limits name.
const CONFUSIONS: usize = 3;
/// Labels that a sentence names, at most.
const NAMED: usize = 20;

/// The card as Markdown, with what bad recordings and short ones do to the model where that was measured. The same artifact and figures
/// give the same bytes.
///
/// # Errors
/// When the artifact does not hold what `train` writes.
pub fn markdown(artifact: &Artifact, robustness: Option<&Robustness>) -> Result<String> {
    let manifest = artifact.manifest();
    let evaluation: Evaluation = serde_json::from_slice(artifact.file(artifact::METRICS)?)
        .with_context(|| format!("{} holds no metrics as `train` writes them", artifact.dir().display()))?;
    let conformal: Value = serde_json::from_slice::<Value>(artifact.file(artifact::METRICS)?)
        .ok()
        .and_then(|mut metrics| Some(metrics.get_mut("conformal")?.take()))
        .unwrap_or_default();
    let training_set = TrainingSet::of(manifest);
    let mut card = String::new();
    let _ = writeln!(
        card,
        "<!-- Written by `train card` from the artifact. Do not edit: change the model, and write it anew. -->\n\
         # {}{} `{}`\n",
        title(manifest),
        if training_set.gtzan { " genres" } else { "" },
        artifact.version()
    );
    if let Some(warning) = training_set.warning {
        let _ = writeln!(card, "**{warning}**\n");
    }
    card.push_str(&what_it_is(manifest, &training_set));
    use_section(&mut card, &training_set);
    figures(&mut card, manifest, &evaluation, &training_set);
    worth(&mut card, &conformal, &training_set);
    if let Some(robustness) = robustness {
        bad_recordings(&mut card, artifact, robustness);
    }
    limits(&mut card, manifest, &evaluation, &training_set);
    data_section(&mut card, manifest, &training_set);
    how_it_was_made(&mut card, artifact)?;
    Ok(card)
}

/// What the ids of the clips say of the training set.
struct TrainingSet {
    clips: usize,
    gtzan: bool,
    /// What its labels are called.
    kind: &'static str,
    warning: Option<&'static str>,
}

impl TrainingSet {
    fn of(manifest: &Manifest) -> Self {
        let ids: Vec<&str> =
            manifest.training["clip_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let gtzan = !ids.is_empty() && ids.iter().all(|id| data::gtzan::catalogue().get(id).is_some());
        Self {
            clips: manifest.data.clips,
            gtzan,
            kind: if gtzan { "genre" } else { "label" },
            warning: source::synthetic_warning(ids.iter().copied()).filter(|_| !ids.is_empty()),
        }
    }
}

/// A name within Markdown: nothing in it is taken for markup.
fn plain(name: &str) -> String {
    let mut text = String::new();
    for letter in display::isolated(name).chars() {
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => text.extend(['\\', letter]),
            _ => text.push(letter),
        }
    }
    text
}

/// How many labels there are, and all of few, or the first of many by name. `kind` is what they are called.
fn labels(manifest: &Manifest, kind: &str) -> String {
    let mut names: Vec<&str> = manifest.labels.iter().map(AsRef::as_ref).collect();
    let n = names.len();
    let list = |names: Vec<&str>| names.into_iter().map(plain).collect::<Vec<_>>().join(", ");
    if n <= NAMED {
        return format!("{n} {kind}s: {}", list(names));
    }
    names.sort_unstable();
    names.truncate(NAMED);
    format!("{n} {kind}s (the first {NAMED} by name: {})", list(names))
}

fn is_svm(manifest: &Manifest) -> bool {
    manifest.model == SvmClassifier::NAME
}

fn is_ensemble(manifest: &Manifest) -> bool {
    manifest.model == EnsembleClassifier::NAME
}

fn title(manifest: &Manifest) -> &'static str {
    match manifest.model.as_str() {
        SvmClassifier::NAME => "Support vector machine for music",
        EnsembleClassifier::NAME => "Ensemble for music",
        _ => "VGG19 for music",
    }
}

/// The members of an ensemble, each with its version and its weight, as its training says them.
fn members(training: &Value) -> String {
    let members = training["members"].as_array().into_iter().flatten().map(|member| {
        let text = |field: &str| plain(member[field].as_str().unwrap_or_default());
        format!(
            "{} `{}` to the power of {:.3}",
            text("name"),
            text("version"),
            member["weight"].as_f64().unwrap_or(0.0)
        )
    });
    members.collect::<Vec<_>>().join(", ")
}

fn what_it_is(manifest: &Manifest, TrainingSet { kind, .. }: &TrainingSet) -> String {
    let training = &manifest.training;
    let spec = &manifest.spec;
    let model = if is_ensemble(manifest) {
        format!(
            "The probabilities of several models multiplied: {}, normalised. The artifact names its members and holds none of them; it predicts \
             as long as these versions are there.",
            members(training)
        )
    } else if is_svm(manifest) {
        let counts = &training["counts"];
        let low_rank = &training["fit"]["low_rank"];
        let machines = match low_rank["scheme"].as_str() {
            None => format!("One C-SVC with a Gaussian kernel for each pair of {kind}s"),
            Some("one_vs_rest") => format!(
                "One least-squares support vector machine for each {kind} against the rest, on a low-rank map ({} landmarks) of a Gaussian kernel",
                low_rank["landmarks"]
            ),
            Some(_) => format!(
                "One linear C-SVC for each pair of {kind}s, on a low-rank map ({} landmarks) of a Gaussian kernel",
                low_rank["landmarks"]
            ),
        };
        format!(
            "{machines}, {} support vectors of {} descriptors of the log-mel, coupled to probabilities.",
            counts["support_vectors"], counts["dimensions"]
        )
    } else {
        let config = network_config(training);
        let blocks = config["pooled_blocks"].as_array().and_then(|blocks| blocks.last()?.as_u64()).unwrap_or_default();
        let normalisations = config.get("normalisations").or_else(|| config.get("views")).cloned().unwrap_or_default();
        let normalisations: Vec<Normalisation> = serde_json::from_value(normalisations).unwrap_or_default();
        let input = match normalisations.as_slice() {
            [Normalisation::Cmn] => "as an image with cepstral mean normalisation (CMN: each band minus its mean)",
            [] | [Normalisation::None] => "as an image",
            _ => "as two images, one of them with cepstral mean normalisation (CMN: each band minus its mean)",
        };
        let tuned = !config["finetune"].is_null();
        let init = InitProvenance::of_artifact(training);
        let tuned_before = init.as_ref().is_some_and(|init| init.tuned);
        let convolutions = match (training["weights"].as_str(), tuned, tuned_before) {
            (Some("random"), _, false) => "random",
            (Some("random"), false, true) => "random, the last of them fine-tuned on other clips",
            (Some("random"), true, true) => {
                "random, the last of them fine-tuned on other clips and then on the training set"
            }
            (_, true, false) => "pretrained on ImageNet, the last of them fine-tuned on the training set",
            (_, true, true) => {
                "pretrained on ImageNet, the last of them fine-tuned on other clips and then on the training set"
            }
            (_, false, true) => "pretrained on ImageNet, the last of them fine-tuned on other clips",
            (_, false, false) => "pretrained on ImageNet",
        };
        let start = init.map_or_else(String::new, |init| started_from(&init));
        let taken = if config["log_covariance"].is_null() { "statistics" } else { "statistics and log-covariances" };
        format!(
            "The convolutions of VGG19 up to block {blocks}, {convolutions}, over the log-mel {input}; a linear head on {taken} of \
             their channels.{start}"
        )
    };
    let mel = &spec.mel;
    format!(
        "{model} It takes a track of any rate and length (resampled to {} Hz, {} mel bands) and gives a probability for each of {}; \
         and the same for every window of {:.0} s.\n\n",
        spec.sample_rate,
        mel.n_mels,
        labels(manifest, kind),
        spec.seconds(spec.segmentation.window.frames),
    )
}

/// From which network a training started, as sentences that follow others.
fn started_from(init: &InitProvenance) -> String {
    let InitProvenance { labels, data, synthetic, init: before, .. } = init;
    let mut names: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    let n = names.len();
    names.truncate(NAMED);
    let named = names.into_iter().map(plain).collect::<Vec<_>>().join(", ");
    let more = if n > NAMED { format!(" and {} more", n - NAMED) } else { String::new() };
    let synthetic = if *synthetic { " synthetic" } else { "" };
    let before = before.as_ref().map_or_else(String::new, |before| {
        format!(" That one started from {} (`training.init.init` in `artifact.json`).", plain(&before.called()))
    });
    format!(
        " It started from the network {}, of {n} labels ({named}{more}), fitted on {}{synthetic} clips of {}: the convolutions, the \
         normalisation and the standardisation of the input were kept, the head is new.{before}",
        plain(&init.called()),
        data.clips,
        plain(&data.description),
    )
}

/// How a network was trained. Versions before called it a recipe.
fn network_config(training: &Value) -> &Value {
    let fit = &training["fit"];
    fit.get("config").unwrap_or(&fit["recipe"])
}

fn use_section(card: &mut String, training_set: &TrainingSet) {
    card.push_str("## Use\n\n");
    if training_set.warning.is_some() {
        card.push_str("For showing that training and serving work, and for nothing else.\n\n");
        return;
    }
    let kind = training_set.kind;
    let _ = writeln!(
        card,
        "For: a first sorting of a collection that somebody checks; teaching; a baseline to compare other models with, \
         under the same splits.\n\n\
         Not for: deciding what an artist is paid or who is recommended; saying what {kind} a track *is*. Its {kind}s are those of its \
         training set, and there is no class for anything else: speech, silence or another {kind} get the name of one of them.\n",
    );
}

fn figures(card: &mut String, manifest: &Manifest, evaluation: &Evaluation, TrainingSet { kind, .. }: &TrainingSet) {
    card.push_str("## Figures\n\n| evaluated on | clips | accuracy | 95 % interval (by artist) | macro F1 | log-loss | ECE |\n|---|---|---|---|---|---|---|\n");
    for metrics in &manifest.metrics {
        let number =
            |name: &str| metrics.more.get(name).and_then(Value::as_f64).map_or("–".into(), |x| format!("{x:.3}"));
        let interval = match metrics.more.get("ci95").and_then(Value::as_array).map(Vec::as_slice) {
            Some([low, high]) => format!("{:.3} to {:.3}", low.as_f64().unwrap_or(0.0), high.as_f64().unwrap_or(0.0)),
            _ => "–".into(),
        };
        let _ = writeln!(
            card,
            "| `{}` | {} | **{:.3}** | {interval} | {} | {} | {} |",
            metrics.split,
            metrics.n,
            metrics.accuracy,
            number("macro_f1"),
            number("log_loss"),
            number("ece")
        );
    }
    card.push('\n');
    if is_ensemble(manifest) {
        card.push_str(
            "Each clip was predicted by the models that evaluated the members, which were not fitted on it, with weights that were learnt on clips \
             of other folds.\n\n",
        );
    } else if manifest.training["refit"] == true {
        card.push_str(
            "Each clip was predicted by a model that was fitted on the clips of the other folds with the same hyperparameters. This model was \
             fitted on all of them, so none of these clips can evaluate it.\n\n",
        );
    }
    for metrics in &manifest.metrics {
        if let Ok(split) = metrics.split.parse::<Split>() {
            let _ = writeln!(card, "`{split}` leaks: {}.\n", split.leaks());
        }
    }
    let _ = writeln!(card, "| {kind} | clips | precision | recall |\n|---|---|---|---|");
    let row = |card: &mut String, label: &str, class: &ClassFigures| {
        let _ =
            writeln!(card, "| {} | {} | {:.2} | {:.2} |", plain(label), class.support, class.precision, class.recall);
    };
    if evaluation.labels.len() > 2 * EXTREMES {
        let Ranked { worst, between, best, without_clips } = Ranked::by_recall(evaluation, EXTREMES);
        best.iter().rev().for_each(|(label, class)| row(card, label, class));
        if between > 0 {
            let _ = writeln!(card, "| … {between} between … | | | |");
        }
        worst.iter().rev().for_each(|(label, class)| row(card, label, class));
        let _ = writeln!(
            card,
            "\nThe {} labels that it recalls best and the {} that it recalls worst, of {}; {without_clips} have no clip among these. \
             `metrics.json` has all of them.",
            best.len(),
            worst.len(),
            evaluation.labels.len()
        );
    } else {
        for label in &evaluation.labels {
            evaluation.per_class.get(label).into_iter().for_each(|class| row(card, label, class));
        }
    }
    card.push('\n');
}

/// What is said of sets of labels and of novelty; nothing of an artifact of an earlier program.
fn worth(card: &mut String, conformal: &Value, TrainingSet { kind, .. }: &TrainingSet) {
    let of_sets = [("sets_cross_validated", "by cross-validation"), ("sets", "on the clips that evaluate")];
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_default();
    let sets: Vec<_> = of_sets.into_iter().filter(|(name, _)| conformal[*name].is_object()).collect();
    if !sets.is_empty() {
        let _ = writeln!(
            card,
            "## Sets of {kind}s\n\n`labels_90` is to hold the true {kind} of nine tracks in ten by new artists.\n"
        );
    }
    for (name, how) in &sets {
        let figures = &conformal[*name];
        let _ = writeln!(
            card,
            "- {how}: {:.3} of {} clips have it, {:.2} {kind}s on average; of {} sets of one {kind} {:.3} are right.",
            number(figures, "coverage"),
            figures["n"],
            number(figures, "mean_size"),
            figures["singletons"],
            number(figures, "singletons_right")
        );
    }
    if let Some((name, how)) = sets.first() {
        let labels = conformal[*name]["per_label"].as_object();
        if labels.is_some_and(|labels| labels.len() <= NAMED) {
            let _ = writeln!(card, "\n| {kind} ({how}) | clips | have it | {kind}s in a set |\n|---|---|---|---|");
            for (label, figures) in labels.into_iter().flatten() {
                let (coverage, size) = (number(figures, "coverage"), number(figures, "mean_size"));
                let _ = writeln!(card, "| {} | {} | {coverage:.2} | {size:.2} |", plain(label), figures["support"]);
            }
        }
        card.push('\n');
    }
    let novelty = &conformal["novelty"];
    if !novelty.is_object() {
        return;
    }
    let _ = writeln!(
        card,
        "## Novelty\n\n`novelty` says of a track whether it is like the training set: `p_value` compares its distance with those of {} clips whose \
         artists were held out, and it is out of distribution at {} or below, or where it is no music.{}\n",
        novelty["calibrated_on"],
        novelty["threshold"],
        match conformal["novel"]["share"].as_f64() {
            Some(share) =>
                format!(" Of {} clips that evaluate, {share:.3} have such a p-value.", conformal["novel"]["n"]),
            None => String::new(),
        }
    );
    if let (Some(left_out), Some(mean)) = (novelty["left_out"].as_object(), novelty["left_out_mean"].as_f64()) {
        let areas: Vec<String> = left_out
            .iter()
            .map(|(label, area)| format!("{} {:.2}", plain(label), area.as_f64().unwrap_or_default()))
            .collect();
        let _ = writeln!(
            card,
            "How well it tells a {kind} that was left out of the training set (area under the ROC curve): {mean:.2} on average; {}. Tracks of another \
             {kind} than these may well be taken for one of them.\n",
            areas.join(", ")
        );
    }
}

/// What bad recordings and short ones do to predictions.
fn bad_recordings(card: &mut String, artifact: &Artifact, robustness: &Robustness) {
    let measured = if robustness.seeds.is_empty() && robustness.name.ends_with(artifact.version()) {
        ""
    } else {
        " The figures are those of that fit, not of the one of this card."
    };
    let _ = writeln!(card, "## Bad and short recordings\n\n{}{measured}\n", robustness.about());
    for remark in &robustness.remarks {
        let _ = writeln!(card, "**{}**\n", plain(remark));
    }
    card.push_str(
        "| condition | accuracy | 95 % interval (by artist) | difference | agreement | mean probability | log-loss | ECE | flagged as unlike the training set |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (_, condition) in robustness.rows() {
        let Condition {
            name,
            accuracy,
            ci95: [low, high],
            difference,
            agreement,
            confidence,
            log_loss,
            ece,
            novel,
            ..
        } = condition;
        let novel = novel.map_or_else(|| "–".to_owned(), |novel| format!("{novel:.2}"));
        let _ = writeln!(
            card,
            "| {} | {accuracy:.3} | {low:.3} to {high:.3} | {difference:+.3} | {agreement:.2} | {confidence:.2} | {log_loss:.2} | {ece:.2} | {novel} |",
            plain(name)
        );
    }
    card.push('\n');
    if let Some(OverDegradations { accuracy, agreement, least_accuracy, least }) = &robustness.over_degradations {
        let _ = writeln!(
            card,
            "Over {} degradations: accuracy {accuracy:.3} on average, agreement {agreement:.3}; the least accuracy is {least_accuracy:.3} ({}).\n",
            robustness.degradations.len(),
            plain(least)
        );
    }
    for LeftOut { name, reason } in &robustness.left_out {
        let _ = writeln!(card, "Left out: {}: {}.\n", plain(name), plain(reason));
    }
}

fn limits(card: &mut String, manifest: &Manifest, evaluation: &Evaluation, training_set: &TrainingSet) {
    card.push_str("## Limits\n\n");
    let _ = writeln!(
        card,
        "- Of ten tracks by artists that it was not trained on, it names the {} of {:.0} rightly.",
        training_set.kind,
        10.0 * evaluation.accuracy
    );
    let name = |label: usize| plain(&evaluation.labels[label]);
    let confusions = ranking::confusions(evaluation);
    let said: Vec<_> = confusions
        .iter()
        .take(CONFUSIONS)
        .map(|&Confusion { truth, called, clips, .. }| format!("{} for {} ({clips} clips)", name(called), name(truth)))
        .collect();
    if !said.is_empty() {
        let _ = writeln!(card, "- What it mistakes most: {}.", said.join(", "));
    }
    if training_set.gtzan {
        let _ = writeln!(
            card,
            "- {} clips of 30 s by few artists a genre, collected in 2000 and 2001: other times and \
             countries are not in it, and further tracks of an artist seen in training are recognised better than those of others \
             (docs/evaluation.md says by how much).",
            training_set.clips
        );
    }
    if !is_svm(manifest) && manifest.training["weights"] == "random" {
        card.push_str(
            "- Its convolutions are random, not pretrained: it is less accurate than a pretrained network.\n",
        );
    }
    let kind = training_set.kind;
    let _ = writeln!(
        card,
        "- A probability is that of the named {kind} among these alone. For a track of several {kind}s the shares are not calibrated.\n"
    );
}

fn data_section(card: &mut String, manifest: &Manifest, training_set: &TrainingSet) {
    let data = &manifest.data;
    let _ = writeln!(
        card,
        "## Data and licence\n\nFitted on {} clips of {}, digest `{}`.",
        data.clips, data.description, data.digest
    );
    if training_set.gtzan {
        card.push_str(
            "They are GTZAN (Tzanetakis and Cook 2002), without the repeats and faults that Kereliuk, Sturm and Larsen (2015) exclude. Its \
             audio is commercial and was not licensed: it is not part of this project, and the model holds none of it, only numbers \
             that were computed from it. Whether those may be used commercially is for its users to find out.\n",
        );
    }
    if is_ensemble(manifest) {
        card.push_str("The cards of its members say what they are made of, and under which licences.\n");
    }
    if !is_svm(manifest) && manifest.training["weights"] == "pretrained" {
        card.push_str(
            "The convolutions are those of K. Simonyan and A. Zisserman, \"Very deep convolutional networks for large-scale image recognition\" \
             (2014), Visual Geometry Group, University of Oxford, under the Creative Commons Attribution licence; changed: rounded to 16-bit \
             floats, block 5 and the classifier left out.\n",
        );
    }
    card.push('\n');
}

fn how_it_was_made(card: &mut String, artifact: &Artifact) -> Result<()> {
    let manifest = artifact.manifest();
    let training = &manifest.training;
    card.push_str("## How it was made\n\n");
    if is_ensemble(manifest) {
        let named: Vec<String> = training["members"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|member| {
                let text = |field: &str| member[field].as_str().unwrap_or_default();
                format!("{}@{}", text("name"), text("version"))
            })
            .collect();
        let _ = writeln!(
            card,
            "The weights make the log-loss least of the clips that the members were fitted on, each predicted in cross-validation by models \
             that did not see its artist.\n\n\
             ```sh\ncargo run --release -p train -- ensemble --members {} --seed {}\n```\n\n\
             gives these weights again from the artifacts of its members.\n\n| | SHA-256 |\n|---|---|\n| features | `{}` |",
            named.join(","),
            training["seed"],
            manifest.fingerprint,
        );
        return files(card, artifact);
    }
    let (hyperparameters, flag) = if is_svm(manifest) {
        let chosen = &training["chosen"];
        let _ = writeln!(
            card,
            "C {}, gamma {} / (D · variance), by artist-grouped cross-validation among the clips that were fitted on.",
            chosen["c"], chosen["gamma"]
        );
        (&training["search"], "search")
    } else {
        let fit = &training["fit"];
        let _ = writeln!(
            card,
            "Temperature {:.3}, by artist-grouped cross-validation among the clips that were fitted on.",
            fit["calibration"]["temperature"].as_f64().unwrap_or(1.0)
        );
        (network_config(training), "config")
    };
    let refit = if training["refit"] == true { " --refit" } else { "" };
    let weights = match training.get(transfer::FIELD) {
        _ if is_svm(manifest) => "",
        Some(_) => " --init INIT",
        None => " --weights WEIGHTS",
    };
    let _ = writeln!(
        card,
        "\n```sh\ncargo run --release -p train -- {} --data DATASET{weights} --{flag} {flag}.json --spec spec.json --held-out {}{refit} --seed {}\n```\n\n\
         gives these weights again from the same dataset; `{flag}.json`:\n\n```json\n{}\n```\n\n\
         and `spec.json` is `spec` in `artifact.json`.\n\n| | SHA-256 |\n|---|---|\n| features | `{}` |",
        manifest.model,
        training["held_out"].as_str().unwrap_or("SPLIT"),
        training["seed"],
        serde_json::to_string_pretty(hyperparameters)?,
        manifest.fingerprint,
    );
    files(card, artifact)
}

/// The rows of the files, with their digests.
fn files(card: &mut String, artifact: &Artifact) -> Result<()> {
    for (file, digest) in &artifact.manifest().files {
        let _ = writeln!(card, "| {file} ({} bytes) | `{digest}` |", artifact.file(file)?.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use data::labels::LabelSet;

    use super::*;
    use crate::evaluation::{
        ranking::tests::{evaluation, labels as names},
        robustness::tests::robustness,
    };

    /// An artifact that is included.
    fn included(model: &str) -> Artifact {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artifacts").join(model);
        Artifact::open(&artifact::resolve(&folder, None).expect("a version")).expect("an artifact")
    }

    #[test]
    fn the_cards_of_the_included_models_are_as_they_were_written() {
        for model in ["svm", "vgg19"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artifacts").join(model);
            let written = fs::read_to_string(folder.join("README.md")).expect("a card");
            // Figures that were measured stand beside the card.
            let measured = folder.join("robustness.json");
            let robustness = measured.is_file().then(|| Robustness::read(&measured, model).expect("figures"));
            assert!(markdown(&included(model), robustness.as_ref()).expect("a card") == written, "{model}");
        }
    }

    #[test]
    fn a_card_says_what_bad_recordings_do_and_of_which_fit() {
        let (artifact, measured) = (included("svm"), robustness());
        let card = markdown(&artifact, Some(&measured)).expect("a card");
        let part = card.split_once("## Bad and short recordings\n").expect("a part").1;
        let part = part.split_once("\n## ").expect("another follows").0;
        assert_eq!(part.lines().filter(|line| line.starts_with('|')).count(), 2 + 6, "{part}");
        for words in
            ["| noise | 0.625 |", "of that fit, not of the one of this card", "Over 2 degradations", "mp3 &lt;1>"]
        {
            assert!(part.contains(words), "{words}: {part}");
        }
        // Without it the rest is the same.
        let (before, after) = card.split_once("## Bad and short recordings\n").expect("a part");
        let after = after.split_once("\n## ").expect("another follows").1;
        assert_eq!(format!("{before}## {after}"), markdown(&artifact, None).expect("a card"));
        let of_this = Robustness { name: format!("svm {}", artifact.version()), seeds: Vec::new(), ..measured };
        let card = markdown(&artifact, Some(&of_this)).expect("a card");
        assert!(card.contains("as it is in its artifact") && !card.contains("of that fit"));
    }

    #[test]
    fn a_card_of_many_labels_names_some_of_them() {
        for (k, listed, rows) in [(2, 2, 2), (10, 10, 10), (20, 20, 20), (26, 20, 26), (50, 20, 41), (500, 20, 41)] {
            let mut manifest = included("svm").manifest().clone();
            manifest.labels = LabelSet::from_names(names(k)).expect("labels");
            manifest.training["clip_ids"] = serde_json::json!(["mine.1"]);
            let training_set = TrainingSet::of(&manifest);
            let evaluation = evaluation(k, 6);
            let mut card = what_it_is(&manifest, &training_set);
            let sentence = card.clone();
            assert!(sentence.contains(&format!(" each of {k} labels")), "{sentence}");
            let is_named = |label: &&String| sentence.contains(&plain(label));
            // The one of 200 letters holds no other name.
            assert_eq!(names(k).iter().filter(is_named).count(), listed, "{sentence}");
            figures(&mut card, &manifest, &evaluation, &training_set);
            limits(&mut card, &manifest, &evaluation, &training_set);
            let table =
                card.split_once("| label | clips | precision | recall |\n|---|---|---|---|\n").expect("a table").1;
            assert_eq!(table.lines().take_while(|line| line.starts_with('|')).count(), rows, "{k}");
            assert!(card.len() < 20_000 && !card.contains("<b>") && !card.contains("a|b"), "{card}");
        }
    }
}
