//! `experiments compare`: two experiments on the same clips.

use anyhow::{Result, bail};
use train::console::output::{self, print_json};

use super::chosen::{by, common, found};
use crate::{
    cli::args::CompareArgs,
    results::{
        compare::{Comparison, OfSeed, compare},
        store::Results,
        summary::aligned,
    },
};

/// Compares what was found by the split that was asked for, or else by the first that both have.
///
/// # Errors
/// When there are no results that can be compared.
pub fn run(args: &CompareArgs) -> Result<()> {
    let results = Results::new(&args.results.results);
    let (a, b) = (found(&results, &args.a, args.seed)?, found(&results, &args.b, args.seed)?);
    let Some(common) = common(&a, &b, args.split) else {
        bail!("{} and {} have no split and seed in common that was asked for", args.a, args.b);
    };
    let comparison = compare(&by(a, &common)?, &by(b, &common)?)?;
    if args.json {
        return print_json(&comparison);
    }
    output::write(&text(&comparison))
}

fn text(comparison: &Comparison) -> String {
    let Comparison { a, b, split, leaks, remarks, n, difference, ci95: [low, high], seeds, genres } = comparison;
    let mut text: String = remarks.iter().map(|remark| format!("{remark}\n\n")).collect();
    text += &format!(
        "{a} beside {b}, by {split} on {n} clips, {} seed(s)\nThis split leaks: {leaks}.\n\n\
         difference of accuracy {difference:+.3}, 95 % interval {low:+.3} to {high:+.3} (paired, by artist)\n\n",
        seeds.len()
    );
    let head = ["seed", a, b, "difference", "95 % by artist", "only the first right", "only the second", "McNemar's p"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for OfSeed { seed, accuracy, ci95, only_a, only_b, p } in seeds {
        rows.push(vec![
            seed.to_string(),
            format!("{:.3}", accuracy[0]),
            format!("{:.3}", accuracy[1]),
            format!("{:+.3}", accuracy[0] - accuracy[1]),
            format!("{:+.3} to {:+.3}", ci95[0], ci95[1]),
            only_a.to_string(),
            only_b.to_string(),
            format!("{p:.3}"),
        ]);
    }
    text.push_str(&aligned(1, &rows));
    text.push_str("McNemar's test takes clips as independent; those of one artist are not, so the interval by artist is the safer guide.\n\n");
    let mut rows = vec![["genre", "clips", a, b, "difference"].map(str::to_owned).to_vec()];
    for (genre, of) in genres {
        rows.push(vec![
            genre.clone(),
            (of.n / seeds.len().max(1)).to_string(),
            format!("{:.2}", of.recall[0]),
            format!("{:.2}", of.recall[1]),
            format!("{:+.2}", of.recall[0] - of.recall[1]),
        ]);
    }
    text.push_str("Recall of each genre:\n");
    text.push_str(&aligned(1, &rows));
    text
}
