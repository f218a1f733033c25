//! Copies of clips that lack the frequencies above some limit, as files of low sample rates and bit rates do. A model that is fitted on them
//! besides predicts such files about as well as whole ones: see [decision 29](../../../docs/decisions/0029-bad-recordings.md).

use anyhow::Result;
use data::rng::Rng;
use features::{Extractor, Fingerprint, LogMel};

/// Limits in Hz, as shares of the highest frequency of the log-mel; the logarithm of a limit is drawn uniformly.
const LIMITS: [f64; 2] = [0.27, 0.73];
/// How fast a copy falls above its limit, in dB an octave: from a gentle filter to a steep one.
const SLOPES: [f64; 3] = [100.0, 200.0, 400.0];

/// The copy of a log-mel. Limit and slope are drawn from its content, so that they depend on no order, seed or name.
///
/// # Errors
/// [`features::Error::Shape`] for a log-mel of other bands than the specification's.
pub fn copy(log_mel: &LogMel, extractor: &Extractor) -> Result<LogMel> {
    let spec = extractor.spec();
    let mut rng = Rng::new(seed(log_mel));
    let highest = spec.mel.f_max;
    let limit = libm::exp(rng.uniform(libm::log(LIMITS[0] * highest), libm::log(LIMITS[1] * highest)));
    let slope = SLOPES[rng.below(SLOPES.len())];
    let mut db = log_mel.db().to_owned();
    // The least that the specification can say.
    let least = match (&spec.quantisation, spec.db.top_db) {
        (Some(quantisation), _) => quantisation.floor_db,
        (None, Some(range)) => f64::from(db.iter().copied().fold(f32::MIN, f32::max)) - range,
        (None, None) => 10.0 * libm::log10(spec.db.amin),
    } as f32;
    for (mut band, &centre) in db.outer_iter_mut().zip(extractor.band_centres()) {
        let above = libm::log2((centre / limit).max(1.0));
        if above > 0.0 {
            let loss = (slope * above) as f32;
            band.mapv_inplace(|value| (value - loss).max(least));
        }
    }
    let copy = LogMel::new(db)?;
    Ok(match &spec.quantisation {
        Some(quantisation) => copy.quantised(quantisation),
        None => copy,
    })
}

/// A number that the content of a log-mel gives.
fn seed(log_mel: &LogMel) -> u64 {
    let bytes: Vec<u8> = log_mel.db().iter().flat_map(|value| value.to_le_bytes()).collect();
    let digest = Fingerprint::of(&bytes).to_string();
    // It has 64 hexadecimal digits.
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use features::FeatureSpec;
    use ndarray::Array2;

    use super::*;

    fn log_mel(seed: u64) -> LogMel {
        let mut rng = Rng::new(seed);
        LogMel::new(Array2::from_shape_fn((128, 40), |_| rng.uniform(-30.0, 10.0) as f32)).expect("finite")
    }

    #[test]
    fn a_copy_keeps_what_is_below_its_limit_and_loses_what_is_above() {
        for spec in [FeatureSpec::gtzan_store(), FeatureSpec { quantisation: None, ..FeatureSpec::gtzan_store() }] {
            let extractor = Extractor::new(spec.clone()).expect("a preset");
            let mut limits = Vec::new();
            for seed in 0..40 {
                let whole = match &spec.quantisation {
                    Some(quantisation) => log_mel(seed).quantised(quantisation),
                    None => log_mel(seed),
                };
                let copy = copy(&whole, &extractor).expect("of 128 bands");
                let changed = |band: usize| copy.db().row(band) != whole.db().row(band);
                let first = (0..128).find(|&band| changed(band)).expect("the highest bands are above every limit");
                assert!((first + 1..128).all(changed));
                assert!(copy.db().row(127).iter().all(|&value| value <= -30.0));
                limits.push(extractor.band_centres()[first]);
            }
            assert!(limits.iter().all(|limit| (2_900.0..8_700.0).contains(limit)), "{limits:?}");
            assert!(limits.iter().any(|&limit| limit < 4_000.0) && limits.iter().any(|&limit| limit > 6_000.0));
        }
    }

    #[test]
    fn the_same_clip_has_the_same_copy() {
        let extractor = Extractor::new(FeatureSpec::gtzan_store()).expect("a preset");
        let copies = [1, 1, 2].map(|seed| copy(&log_mel(seed), &extractor).expect("of 128 bands"));
        assert_eq!(copies[0], copies[1]);
        assert_ne!(copies[0], copies[2]);
    }
}
