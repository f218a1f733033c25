//! `train svm`: from music to a support vector machine that a server loads.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    fit::{self, Kept, Model, Music},
    print_json,
};
use crate::{
    cli::args::{FitArgs, SvmArgs},
    evaluation::{describe, learning},
    training::{
        fitting,
        svm::{Search, TrainingSet},
    },
};

/// Trains, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable music, or the artifact cannot be written.
pub fn run(SvmArgs { fit: args, search }: &SvmArgs) -> Result<()> {
    // What is wrong with the settings is said before anything that takes long.
    let spec = Music::spec(args)?;
    spec.require_descriptors()?;
    let search = search.as_deref().map_or_else(|| Ok(Search::default()), read_search)?;
    let music = Music::prepare(args, &spec)?;
    let kept = train(args, &search, &music)?;
    if args.run.json {
        return print_json(&kept.json(&music));
    }
    fit::say_first(&music)?;
    kept.say(args, &music)?;
    kept.say_how_to_serve(args, &music)
}

/// Fits the machine on music that is ready, and keeps it.
pub(super) fn train(args: &FitArgs, search: &Search, music: &Music) -> Result<Kept> {
    let threads = args.run.threads.into();
    let extractor = music.extractor()?;
    let training = describe::training_set(&music.set, &music.train, &music.labels, &extractor, threads)?;
    let fit =
        |training: &TrainingSet| fitting::svm(training, &music.labels, music.extractor()?, search, args.seed, threads);
    let (classifier, fitted) = fit(&training)?;
    let judged = music.judged(&classifier, threads, |fold| {
        let among = |index: &usize| music.train.binary_search(index).ok();
        let members: Vec<usize> = fold.train.iter().filter_map(among).collect();
        Ok(fit(&training.some(&members))?.0)
    })?;
    let model = Model {
        classifier: &classifier,
        judged,
        weights: fitted.svm.to_tensors()?,
        training: json!({
            "search": search,
            "fit": fitted.report,
            "chosen": fitted.report.chosen,
            "counts": fitted.report.counts,
            "warnings": fitted.report.warnings,
        }),
        long: &["fit"],
        curves: Vec::new(),
        learning: learning::svm(&training, search, fitted.report.chosen.hyperparameters, args.seed, threads),
        cross_validated: fitted.report.cross_validated.accuracy,
        command: format!(
            "train svm --data CORPUS{} --held-out {}{} --seed {}",
            if *search == Search::default() { "" } else { " --search SEARCH" },
            music.split,
            music.flag(),
            args.seed
        ),
        role: "svm",
        address: "127.0.0.1:8081/predict",
        remarks: Vec::new(),
    };
    fit::keep(args, music, model)
}

/// Reads `--search`.
fn read_search(path: &Path) -> Result<Search> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("failed to read the search {}", path.display()))?;
    let wrong = || format!("failed to understand the search {}", path.display());
    let search: Search = serde_json::from_str(&text).with_context(wrong)?;
    search.validate().with_context(wrong)?;
    Ok(search)
}
