//! `train svm`: from music to a support vector machine that a server loads.

use anyhow::Result;
use serde_json::json;

use super::{
    fit::{self, Kept, Model, Music},
    print_json,
};
use crate::{cli::FitArgs, describe, fitting, learning, svm::Search};

/// Trains, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable music, or the artifact cannot be written.
pub fn run(args: &FitArgs) -> Result<()> {
    // What is wrong with the settings is said before anything that takes long.
    let spec = Music::spec(args)?;
    spec.require_descriptors()?;
    let music = Music::prepare(args, &spec)?;
    let kept = train(args, &music)?;
    if args.run.json {
        return print_json(&kept.json(&music));
    }
    fit::say_first(&music)?;
    kept.say(args, &music)?;
    kept.say_how_to_serve(args, &music)
}

/// Fits the machine on music that is ready, and keeps it.
pub(super) fn train(args: &FitArgs, music: &Music) -> Result<Kept> {
    let threads = args.run.threads.into();
    let extractor = music.extractor()?;
    let training = describe::training_set(&music.set, &music.train, &music.labels, &extractor, threads)?;
    let search = Search::default();
    let (classifier, fitted) = fitting::svm(&training, &music.labels, extractor, &search, args.seed, threads)?;
    let model = Model {
        classifier: &classifier,
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
        learning: learning::svm(&training, &search, fitted.report.chosen.hyperparameters, args.seed, threads),
        cross_validated: fitted.report.cross_validated.accuracy,
        command: format!("train svm --data CORPUS --held-out {} --seed {}", music.split, args.seed),
        role: "svm",
        address: "127.0.0.1:8081/predict",
        remarks: Vec::new(),
    };
    fit::keep(args, music, model)
}
