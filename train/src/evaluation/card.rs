//! The model card of an artifact (Mitchell et al. 2019, "Model cards for model reporting"), written from what the artifact holds.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use data::Split;
use models::{
    artifact::{self, Artifact, Manifest},
    svm::SvmClassifier,
    vgg19::Normalisation,
};
use serde_json::Value;

use crate::{evaluation::metrics::Evaluation, source};

/// Confusions that the limits name.
const CONFUSIONS: usize = 3;

/// The card as Markdown. The same artifact gives the same bytes.
///
/// # Errors
/// When the artifact does not hold what `train` writes.
pub fn markdown(artifact: &Artifact) -> Result<String> {
    let manifest = artifact.manifest();
    let evaluation: Evaluation = serde_json::from_slice(artifact.file(artifact::METRICS)?)
        .with_context(|| format!("{} has no figures as `train` writes them", artifact.dir().display()))?;
    let music = Music::of(manifest);
    let mut card = String::new();
    let _ = writeln!(
        card,
        "<!-- Written by `train card` from the artifact. Do not edit: change the model, and write it anew. -->\n\
         # {} `{}`\n",
        title(manifest),
        artifact.version()
    );
    if let Some(warning) = music.warning {
        let _ = writeln!(card, "**{warning}**\n");
    }
    card.push_str(&what_it_is(manifest));
    use_section(&mut card, &music);
    figures(&mut card, manifest, &evaluation);
    limits(&mut card, manifest, &evaluation, &music);
    data_section(&mut card, manifest, &music);
    how_it_was_made(&mut card, artifact)?;
    Ok(card)
}

/// What the ids of the clips say of the music that was fitted on.
struct Music {
    clips: usize,
    gtzan: bool,
    warning: Option<&'static str>,
}

impl Music {
    fn of(manifest: &Manifest) -> Self {
        let ids: Vec<&str> =
            manifest.training["clip_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Self {
            clips: manifest.data.clips,
            gtzan: !ids.is_empty() && ids.iter().all(|id| data::gtzan::catalogue().get(id).is_some()),
            warning: source::synthetic_warning(ids.iter().copied()).filter(|_| !ids.is_empty()),
        }
    }
}

fn is_svm(manifest: &Manifest) -> bool {
    manifest.model == SvmClassifier::NAME
}

fn title(manifest: &Manifest) -> &'static str {
    if is_svm(manifest) { "Support vector machine for music genres" } else { "VGG19 for music genres" }
}

fn what_it_is(manifest: &Manifest) -> String {
    let training = &manifest.training;
    let spec = &manifest.spec;
    let model = if is_svm(manifest) {
        let counts = &training["counts"];
        format!(
            "One C-SVC with a Gaussian kernel for each pair of genres, {} support vectors of {} descriptors of the log-mel, coupled to \
             probabilities.",
            counts["support_vectors"], counts["dimensions"]
        )
    } else {
        let config = network_config(training);
        let blocks = config["pooled_blocks"].as_array().and_then(|blocks| blocks.last()?.as_u64()).unwrap_or_default();
        let normalisations = config.get("normalisations").or_else(|| config.get("views")).cloned().unwrap_or_default();
        let normalisations: Vec<Normalisation> = serde_json::from_value(normalisations).unwrap_or_default();
        let picture = match normalisations.as_slice() {
            [Normalisation::Cmn] => "as a picture in which each band is less its mean",
            [] | [Normalisation::None] => "as a picture",
            _ => "as two pictures, one of which has each band less its mean and so knows nothing of equalisers",
        };
        let tuned = !config["finetune"].is_null();
        let convolutions = match (training["weights"].as_str(), tuned) {
            (Some("random"), _) => "random",
            (_, true) => "learnt on ImageNet's photographs, the last of them tuned to music",
            (_, false) => "as they were learnt on ImageNet's photographs",
        };
        format!(
            "The convolutions of VGG19 up to block {blocks}, {convolutions}, over the log-mel {picture}; a linear head on statistics of \
             their channels."
        )
    };
    let mel = &spec.mel;
    format!(
        "{model} A song goes in (any rate, any length; heard at {} Hz as {} mel bands), and the probability of each of {} genres comes \
         out: {}; the same for every {:.0} s of it.\n\n",
        spec.sample_rate,
        mel.n_mels,
        manifest.labels.len(),
        manifest.labels.join(", "),
        spec.seconds(spec.segmentation.window.frames),
    )
}

/// How a network was trained. Versions before called it a recipe.
fn network_config(training: &Value) -> &Value {
    let fit = &training["fit"];
    fit.get("config").unwrap_or(&fit["recipe"])
}

fn use_section(card: &mut String, music: &Music) {
    card.push_str("## Use\n\n");
    if music.warning.is_some() {
        card.push_str("For showing that training and serving work, and for nothing else.\n\n");
        return;
    }
    card.push_str(
        "For: sorting a collection as a first guess that somebody looks over; teaching; a baseline to compare other models with, \
         under the same splits.\n\n\
         Not for: deciding what an artist is paid or who hears them; saying what music *is*. Its genres are those of its data, \
         and nothing is none of them: speech, silence or a genre that it never heard get the name of one that it knows.\n\n",
    );
}

fn figures(card: &mut String, manifest: &Manifest, evaluation: &Evaluation) {
    card.push_str("## Figures\n\n| judged by | clips | accuracy | 95 % interval (by artist) | macro F1 | log-loss | ECE |\n|---|---|---|---|---|---|---|\n");
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
    if manifest.training["refit"] == true {
        card.push_str(
            "Each clip was judged by a model that was fitted on the clips of the other folds with the same settings. The model here was \
             fitted on all of them, so no clip of these can judge it.\n\n",
        );
    }
    for metrics in &manifest.metrics {
        if let Ok(split) = metrics.split.parse::<Split>() {
            let _ = writeln!(card, "`{split}` leaks: {}.\n", split.leaks());
        }
    }
    card.push_str("| genre | clips | precision | recall |\n|---|---|---|---|\n");
    for label in &evaluation.labels {
        if let Some(class) = evaluation.per_class.get(label) {
            let _ = writeln!(card, "| {label} | {} | {:.2} | {:.2} |", class.support, class.precision, class.recall);
        }
    }
    card.push('\n');
}

fn limits(card: &mut String, manifest: &Manifest, evaluation: &Evaluation, music: &Music) {
    card.push_str("## Limits\n\n");
    let _ = writeln!(
        card,
        "- Of ten songs by artists that it never heard, it names {:.0} right.",
        10.0 * evaluation.accuracy
    );
    let mut confusions: Vec<(usize, usize, usize)> = Vec::new();
    for (truth, row) in evaluation.confusion.iter().enumerate() {
        confusions.extend(
            row.iter().enumerate().filter(|(called, _)| *called != truth).map(|(called, &n)| (n, truth, called)),
        );
    }
    confusions.sort_by_key(|&(n, truth, called)| (std::cmp::Reverse(n), truth, called));
    let said: Vec<_> = confusions
        .iter()
        .take_while(|(n, ..)| *n > 0)
        .take(CONFUSIONS)
        .map(|&(n, truth, called)| {
            format!("{} for {} ({n} clips)", evaluation.labels[called], evaluation.labels[truth])
        })
        .collect();
    if !said.is_empty() {
        let _ = writeln!(card, "- What it mistakes most: {}.", said.join(", "));
    }
    if music.gtzan {
        let _ = writeln!(
            card,
            "- {} clips of 30 s by few artists a genre, collected in 2000 and 2001: other times and \
             places are not in it, and an artist's other songs are known better than a stranger's (docs/evaluation.md says by how much).",
            music.clips
        );
    }
    if !is_svm(manifest) && manifest.training["weights"] == "random" {
        card.push_str(
            "- Its convolutions are random: it knows nothing of photographs, and hears less than one that does.\n",
        );
    }
    card.push_str("- A probability is that of the named genre among these alone. A song of several genres gets shares that nobody calibrated.\n\n");
}

fn data_section(card: &mut String, manifest: &Manifest, music: &Music) {
    let data = &manifest.data;
    let _ = writeln!(
        card,
        "## Data and licence\n\nFitted on {} clips of {}, digest `{}`.",
        data.clips, data.description, data.digest
    );
    if music.gtzan {
        card.push_str(
            "They are GTZAN (Tzanetakis and Cook 2002), without the repeats and faults that Kereliuk, Sturm and Larsen (2015) exclude. Its \
             audio is commercial music that nobody licensed: it is not part of this project, and the model holds none of it, only numbers \
             that were computed from it. Whether those may be used commercially is for its users to find out.\n",
        );
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
    let (settings, flag) = if is_svm(manifest) {
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
    let weights = if is_svm(manifest) { "" } else { " --weights WEIGHTS" };
    let _ = writeln!(
        card,
        "\n```sh\ncargo run --release -p train -- {} --data CORPUS{weights} --{flag} {flag}.json --spec spec.json --held-out {}{refit} --seed {}\n```\n\n\
         gives these bytes again from the same corpus; `{flag}.json`:\n\n```json\n{}\n```\n\n\
         and `spec.json` is `spec` in `artifact.json`.\n\n| | SHA-256 |\n|---|---|\n| features | `{}` |",
        manifest.model,
        training["held_out"].as_str().unwrap_or("SPLIT"),
        training["seed"],
        serde_json::to_string_pretty(settings)?,
        manifest.fingerprint,
    );
    for (file, digest) in &manifest.files {
        let _ = writeln!(card, "| {file} ({} bytes) | `{digest}` |", artifact.file(file)?.len());
    }
    Ok(())
}
