//! `experiments compare`: two experiments on the same clips.

use std::path::Path;

use anyhow::{Result, bail};
use train::{commands::print_json, output};

use crate::{
    cli::CompareArgs,
    compare::{Comparison, OfSeed, compare},
    results::{Kept, Results},
    summary::aligned,
};

/// Compares what was found by the split that was asked for, or else by the first that both have.
///
/// # Errors
/// When there are no results that can be compared.
pub fn run(args: &CompareArgs) -> Result<()> {
    let results = Results::new(&args.results.results);
    let found = |name: &str| -> Result<Vec<Kept>> {
        let mut kept = match Path::new(name) {
            dir if Kept::is_at(dir) => vec![Kept::read(dir)?],
            _ => results.of(name)?,
        };
        kept.retain(|kept| args.seed.is_none_or(|seed| kept.outcome.seed == seed));
        Ok(kept)
    };
    let (a, b) = (found(&args.a)?, found(&args.b)?);
    let judged = |kept: &Kept| (kept.outcome.split.clone(), kept.outcome.pieces);
    let asked = args.split.map(|split| split.to_string());
    let common = a.iter().map(judged).find(|judged_a| {
        asked.as_ref().is_none_or(|asked| *asked == judged_a.0) && b.iter().any(|kept| judged(kept) == *judged_a)
    });
    let Some(common) = common else {
        bail!("{} and {} have no split and seed in common that was asked for", args.a, args.b);
    };
    let by = |kept: Vec<Kept>| -> Result<Vec<Kept>> {
        let kept: Vec<_> = kept.into_iter().filter(|kept| judged(kept) == common).collect();
        if let Some(first) = kept.iter().find(|other| other.outcome.setting != kept[0].outcome.setting) {
            bail!(
                "`{}` was done in several settings, or has several points; name the folder of a result",
                first.outcome.name
            );
        }
        Ok(kept)
    };
    let comparison = compare(&by(a)?, &by(b)?)?;
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
