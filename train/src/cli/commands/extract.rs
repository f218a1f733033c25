//! `train extract`: an audio tree becomes a log-mel store.

use anyhow::{Context, Result, bail};
use data::{Dataset, ExtractOptions};
use serde_json::json;

use super::{print_json, read_spec, say_rejected};
use crate::{
    cli::args::ExtractArgs,
    console::{interrupt::Unfinished, output, progress::Stage},
};

/// Writes the store.
///
/// # Errors
/// When the corpus is no audio tree, the specification is invalid, or the store cannot be written.
pub fn run(args: &ExtractArgs) -> Result<()> {
    let spec = read_spec(&args.spec)?;
    let Dataset::AudioFolder(tree) = Dataset::open(&args.data)? else {
        bail!("{} is a log-mel store already; name a folder of genre folders with audio files", args.data.display());
    };
    let stage = Stage::new("extracting features");
    let options = ExtractOptions {
        threads: args.run.threads.into(),
        progress: &|done, total| stage.at(done, total),
        ..ExtractOptions::default()
    };
    let _unfinished = Unfinished::beside(&args.out, format!(".tonearm-store-{}-", std::process::id()));
    let report = data::extract(&tree, &spec, &args.out, &options)
        .with_context(|| format!("failed to extract {}", args.data.display()))?;
    drop(stage);
    if args.run.json {
        let rejected: Vec<_> =
            report.rejected.iter().map(|(clip_id, reason)| json!({ "clip_id": clip_id, "reason": reason })).collect();
        return print_json(&json!({
            "written": report.written,
            "rejected": rejected,
            "fingerprint": spec.fingerprint(),
            "log_mel_fingerprint": spec.log_mel_fingerprint(),
        }));
    }
    say_rejected(&report.rejected);
    output::line(format!("{}: {} clips, specification {}", args.out.display(), report.written, spec.fingerprint()))
}
