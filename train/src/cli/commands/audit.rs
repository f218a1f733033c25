//! `train audit`: what is wrong with a corpus.

use anyhow::{Context, Result};
use data::{Dataset, ExtractOptions, audit::audit};

use super::{print_json, write_table};
use crate::{
    cli::args::AuditArgs,
    console::{output, progress::Stage},
};

/// Examines every clip and prints the findings.
///
/// # Errors
/// When the corpus cannot be opened, or the table cannot be written.
pub fn run(args: &AuditArgs) -> Result<()> {
    let corpus = Dataset::open(&args.data)?;
    let stage = Stage::new("listening");
    let options = ExtractOptions {
        threads: args.run.threads.into(),
        progress: &|done, total| stage.at(done, total),
        ..ExtractOptions::default()
    };
    let found = audit(&corpus, &options).with_context(|| format!("failed to audit {}", args.data.display()))?;
    drop(stage);
    if let Some(path) = &args.out {
        write_table(&mut found.frame()?, path)?;
    }
    if args.run.json {
        return print_json(&found);
    }
    for finding in &found.findings {
        output::line(format!("{:<24} {:<14} {}", finding.clip_id, finding.fault.name(), finding.detail))?;
    }
    let counts: Vec<_> = found.counts().into_iter().map(|(fault, n)| format!("{n} {}", fault.name())).collect();
    let summary = if counts.is_empty() { "no fault found".into() } else { counts.join(", ") };
    output::line(format!("{} clips: {summary}", found.clips))?;
    if matches!(corpus, Dataset::FeatureStore(_)) {
        output::line("A log-mel store was compared for repeats only; audit the audio for the rest.")?;
    }
    Ok(())
}
