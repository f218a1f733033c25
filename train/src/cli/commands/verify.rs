//! `train verify`: whether the same inputs give the same bytes.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{
    read_spec,
    train::{check, read_config},
};
use crate::{
    cli::args::VerifyArgs,
    console::output,
    verify::{self, Against, Comparison, Holds, Inputs, Lock, Verification},
};

/// Trains the small configuration in every surroundings, compares, and fails if anything differs.
///
/// # Errors
/// When a training fails, the lock cannot be read or written, or anything differs: which stage did first.
pub fn run(args: &VerifyArgs) -> Result<()> {
    let lock = match (args.no_lock, args.write_lock) {
        (true, _) => None,
        (_, true) if !args.lock.exists() => Some(Lock::default()),
        _ => Some(Lock::read(&args.lock)?),
    };
    let dataset = args.data.as_ref().map(|path| {
        // The runs take place elsewhere.
        path.canonicalize().with_context(|| format!("failed to find {}", path.display()))
    });
    let config = args.config.as_deref().map_or_else(|| Ok(verify::small_config()), read_config)?;
    check(&config)?;
    let inputs = Inputs { dataset: dataset.transpose()?, spec: read_spec(&args.spec)?, config };
    let report = verify::run(&inputs, if args.write_lock { None } else { lock.as_ref() })?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::write(&text(&report))?;
    }
    if let Some(difference) = report.difference {
        bail!("not reproducible: {difference}");
    }
    if let Some(mut lock) = lock.filter(|_| args.write_lock) {
        lock.take(&report.items, &report.instruction_set);
        lock.write(&args.lock)?;
        output::remark(&format!("{} holds these digests now", args.lock.display()));
    }
    Ok(())
}

/// A table for people.
fn text(report: &Verification) -> String {
    let Verification { instruction_set: here, items, difference, .. } = report;
    let mut text = format!("{:<9} {:<19} {:<14} {:<24} sha256\n", "stage", "item", "runs", "lock");
    for Comparison { stage, item, sha256, lock, .. } in items {
        let made: Vec<_> = sha256.iter().flatten().collect();
        let same = made.iter().all(|digest| *digest == made[0]);
        let runs = format!("{} {}", made.len(), if same { "the same" } else { "different" });
        let lock = match lock {
            Against::Same => "the same".to_owned(),
            Against::Different => "different".to_owned(),
            Against::Missing => "not in it".to_owned(),
            Against::OtherMachines => format!("none for {here}"),
            Against::NotAsked => "not asked".to_owned(),
        };
        let stage = stage.name();
        let digest = made.first().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{stage:<9} {item:<19} {runs:<14} {lock:<24} {digest}");
    }
    if difference.is_some() {
        text.push_str("The steps after it were not run.\n");
    } else {
        let bound: Vec<_> = items.iter().filter(|of| of.holds == Holds::SameInstructionSet).map(|of| of.item).collect();
        let _ = writeln!(
            text,
            "On machines with another instruction set than {here}, {} may differ; the rest may not.",
            bound.join(", ")
        );
    }
    text
}
