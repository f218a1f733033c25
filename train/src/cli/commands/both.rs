//! `train` without a command: both models from the same music.

use anyhow::Result;
use serde_json::json;

use super::{
    fit::{self, Music},
    print_json, svm,
    vgg19::{self, Pretrained},
};
use crate::{
    cli::args::{FitArgs, Vgg19Args},
    console::output,
    training::svm::Search,
};

/// Trains the machine, then the network with a frozen body, and puts both in use.
///
/// # Errors
/// Those of `train svm` and `train vgg19`.
pub fn run(args: &FitArgs) -> Result<()> {
    let spec = Music::spec(args)?;
    spec.require_descriptors()?;
    let network = Vgg19Args::of(args.clone());
    let recipe = vgg19::recipe(&network)?;
    let weights = Pretrained::choose(network.weights.as_deref(), &recipe, &args.artifacts)?;
    let mut music = Music::prepare(args, &spec)?;
    let machine = svm::train(args, &Search::default(), &music)?;
    if !args.run.json {
        fit::say_first(&music)?;
        output::line("\nSupport vector machine")?;
        machine.say(args, &music)?;
    }
    music.set.forget_descriptors();
    let tuned = vgg19::train(&network, &recipe, &weights, &music)?;
    if args.run.json {
        return print_json(&json!({ "svm": machine.json(&music), "vgg19": tuned.json(&music) }));
    }
    output::line("\nVGG19")?;
    tuned.say(args, &music)?;
    output::line("")?;
    fit::say_how_to_serve(args, &music, "all", "127.0.0.1:8083/predict")?;
    output::line("or open   http://127.0.0.1:8083")
}
