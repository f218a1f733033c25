//! Which kept results a person means.

use std::path::Path;

use anyhow::{Result, bail};
use data::Split;

use crate::results::store::{Results, StoredResult};

/// What a result was judged by: its split, and the pieces of clips, if clips were cut.
pub(super) type Judged = (String, Option<usize>);

/// The results of an experiment, or the one in a folder; of one seed where one was asked for.
pub(super) fn found(results: &Results, name: &str, seed: Option<u64>) -> Result<Vec<StoredResult>> {
    let mut kept = match Path::new(name) {
        dir if StoredResult::is_at(dir) => vec![StoredResult::read(dir)?],
        _ => results.of(name)?,
    };
    kept.retain(|kept| seed.is_none_or(|seed| kept.outcome.seed == seed));
    Ok(kept)
}

/// The first of `a` that `b` was judged by too, of those with the split that was asked for.
pub(super) fn common(a: &[StoredResult], b: &[StoredResult], asked: Option<Split>) -> Option<Judged> {
    let asked = asked.map(|split| split.to_string());
    a.iter().map(judged).find(|judged_a| {
        asked.as_ref().is_none_or(|asked| *asked == judged_a.0) && b.iter().any(|kept| judged(kept) == *judged_a)
    })
}

/// Of these, what was judged so.
///
/// # Errors
/// When that was done in several settings.
pub(super) fn by(kept: Vec<StoredResult>, asked: &Judged) -> Result<Vec<StoredResult>> {
    let kept: Vec<_> = kept.into_iter().filter(|kept| judged(kept) == *asked).collect();
    if let Some(first) = kept.iter().find(|other| other.outcome.setting != kept[0].outcome.setting) {
        bail!(
            "`{}` was done in several settings, or has several points; name the folder of a result",
            first.outcome.name
        );
    }
    Ok(kept)
}

fn judged(kept: &StoredResult) -> Judged {
    (kept.outcome.split.clone(), kept.outcome.pieces)
}
