//! `train synth`: the synthetic corpus as files, to train on or to listen to.

use anyhow::Result;
use data::synth::SynthSpec;
use serde_json::json;

use super::print_json;
use crate::{
    cli::args::SynthArgs,
    console::{output, progress::Stage},
    source,
};

/// Writes the corpus.
///
/// # Errors
/// When the settings are out of range, or the folder exists or cannot be written.
pub fn run(args: &SynthArgs) -> Result<()> {
    let spec = SynthSpec { clips_per_genre: args.clips_per_genre, seconds: args.seconds, seed: args.seed };
    let stage = Stage::new("making music");
    source::write_synthetic(&args.out, &spec, args.run.threads.into(), &stage)?;
    drop(stage);
    if args.run.json {
        return print_json(
            &json!({ "out": args.out, "clips_per_genre": spec.clips_per_genre, "seconds": spec.seconds, "seed": spec.seed }),
        );
    }
    output::line(format!(
        "{}: ten genres of {} clips of {} s, from seed {}",
        args.out.display(),
        spec.clips_per_genre,
        spec.seconds,
        spec.seed
    ))
}
