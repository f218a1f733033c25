//! `experiments export`: what was found, told to an MLflow server.

use std::{collections::BTreeSet, io::IsTerminal as _, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use train::console::output::{self, print_json};

use crate::{
    cli::args::ExportArgs,
    mlflow::{Client, Credentials, Exporter, Status},
    results::store::{Results, StoredResult},
};

/// Sends the results that were asked for, and says of each what became of it.
///
/// # Errors
/// When there is none, before anything is sent; when the server cannot be used. What was sent before stays.
pub fn run(args: &ExportArgs) -> Result<()> {
    let client = Client::new(&args.mlflow, Credentials::from_env()?)?;
    let server = client.base().to_owned();
    let kept = asked(args)?;
    let mut exporter = Exporter::new(client, &args.prefix);
    let total = kept.len();
    let (mut sent, mut remarks) = (Vec::new(), BTreeSet::new());
    for (number, kept) in kept.iter().enumerate() {
        let outcome = &kept.outcome;
        let what = format!("{} by {}, seed {}", outcome.name, outcome.split, outcome.seed);
        if std::io::stderr().is_terminal() {
            output::remark(&format!("[{} of {}] {what}", number + 1, total));
        }
        let exported = exporter.send(kept).with_context(|| format!("failed to export {}", kept.dir.display()))?;
        let status = match exported.status {
            Status::SentNow => "sent now",
            Status::FinishedNow => "begun before, finished now",
            Status::ThereBefore => "there before",
        };
        let line = format!("{what}: {status}, {}", exported.url);
        if args.json {
            output::remark(&line);
        } else {
            output::line(line)?;
        }
        if let Some(reason) = &exported.without_files {
            remarks.insert(format!("result.json and scores.parquet were not sent: {reason}"));
        }
        let mut object = serde_json::to_value(exported)?;
        object["folder"] = json!(kept.dir);
        object["key"] = json!(outcome.key);
        sent.push(object);
    }
    remarks.iter().for_each(|remark| output::remark(remark));
    if args.json {
        return print_json(&json!({ "server": server, "results": sent, "remarks": remarks }));
    }
    Ok(())
}

/// The results that the arguments name.
fn asked(args: &ExportArgs) -> Result<Vec<StoredResult>> {
    let results = Results::new(&args.results.results);
    let mut kept = Vec::new();
    for name in &args.names {
        match Path::new(name) {
            dir if StoredResult::is_at(dir) => kept.push(StoredResult::read(dir)?),
            _ => kept.extend(results.of(name)?),
        }
    }
    if args.names.is_empty() {
        kept = results.all()?;
        if kept.is_empty() {
            bail!("there is no result in {}; `experiments run FILE` makes some", args.results.results.display());
        }
    }
    let splits: Vec<_> = args.splits.iter().map(ToString::to_string).collect();
    let mut keys = BTreeSet::new();
    kept.retain(|StoredResult { outcome, .. }| {
        (splits.is_empty() || splits.contains(&outcome.split))
            && (args.seeds.is_empty() || args.seeds.contains(&outcome.seed))
            // An experiment that is named twice.
            && keys.insert((outcome.name.clone(), outcome.key.clone()))
    });
    if kept.is_empty() {
        bail!("no result has a split and seed that was asked for; `experiments leaderboard` lists what there is");
    }
    Ok(kept)
}
