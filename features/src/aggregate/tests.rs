//! Against the reference in numpy: `experiments/parity/descriptors_golden.py`.

use serde::Deserialize;

use super::Aggregator;
use crate::{ClipFeatures, FeatureSpec, LogMel, descriptors::descriptor::Needs};

#[derive(Deserialize)]
struct Golden {
    names: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    frames: usize,
    seed: u64,
    zero: bool,
    vector: Vec<f64>,
}

/// The same levels as the script's `synthetic`.
fn levels(case: &Case) -> Vec<u8> {
    let mut state = case.seed;
    let mut level = |band: usize, frame: usize| {
        if case.zero {
            return 0;
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let beat = if frame.is_multiple_of(6) { 20 } else { 0 };
        (150 - band / 2 + band * frame % 17 + beat + (state >> 59) as usize) as u8
    };
    (0..128).flat_map(|band| (0..case.frames).map(|frame| level(band, frame)).collect::<Vec<_>>()).collect()
}

#[test]
fn descriptors_of_a_log_mel_are_those_of_the_reference() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../tests/golden/descriptors.json")).expect("the script writes JSON");
    let spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left");
    let aggregator = Aggregator::new(&spec).expect("valid");
    let names = aggregator.names();
    let at: Vec<usize> = golden
        .names
        .iter()
        .map(|name| names.iter().position(|ours| ours == name).unwrap_or_else(|| panic!("no dimension {name}")))
        .collect();
    assert_eq!(names.len(), golden.names.len());
    for case in &golden.cases {
        let quantisation = spec.quantisation.as_ref().expect("a store has levels");
        let log_mel = LogMel::from_levels(&levels(case), 128, case.frames, quantisation).expect("128 bands");
        let vector = aggregator.vector(&ClipFeatures::from(log_mel)).expect("long enough");
        assert_eq!(vector.len(), names.len());
        for ((&at, name), &expected) in at.iter().zip(&golden.names).zip(&case.vector) {
            let found = f64::from(vector[at]);
            assert!(
                (found - expected).abs() <= 2e-4 * (1.0 + expected.abs()),
                "{name} of {} frames: {found}, the reference has {expected}",
                case.frames
            );
        }
    }
}
