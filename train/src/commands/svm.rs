//! `train svm`: from music to a support vector machine that a server loads.

use anyhow::{Result, anyhow};
use models::svm::SvmClassifier;
use serde_json::json;

use super::{
    fit::{self, Kept, Model, Music},
    print_json,
};
use crate::{
    cli::FitArgs,
    describe,
    progress::Stage,
    svm::{self, FittedSvm, Search, TrainingSet},
};

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
    let fitted = search(&training, &music.labels, args.seed, threads)?;
    let identity = fit::unwritten(SvmClassifier::NAME, extractor.spec());
    let classifier = SvmClassifier::new(identity, music.labels.clone(), extractor, fitted.svm.clone())?;
    let model = Model {
        classifier: &classifier,
        weights: fitted.svm.to_tensors()?,
        training: json!({
            "search": Search::default(),
            "fit": fitted.report,
            "chosen": fitted.report.chosen,
            "counts": fitted.report.counts,
            "warnings": fitted.report.warnings,
        }),
        long: &["fit"],
        curves: Vec::new(),
        cross_validated: fitted.report.cross_validated.accuracy,
        command: format!("train svm --data CORPUS --held-out {} --seed {}", music.split, args.seed),
        role: "svm",
        address: "127.0.0.1:8081/predict",
        remarks: Vec::new(),
    };
    fit::keep(args, music, model)
}

fn search(training: &TrainingSet, labels: &[String], seed: u64, threads: usize) -> Result<FittedSvm> {
    let stage = Stage::new("choosing C and gamma");
    svm::fit(training, &Search::default(), seed, threads, &|done, total| stage.at(done, total)).map_err(|error| match error {
        svm::Error::TooFewGroups { class, clips, groups } => anyhow!(
            "{} has {clips} clip(s) of {groups} artist(s) to fit on; two artists of every genre are needed, so that choices can \
             be judged on music of artists that were not fitted on: add clips, leave the genre out, or name artists in clips.csv",
            labels[class]
        ),
        other => other.into(),
    })
}
