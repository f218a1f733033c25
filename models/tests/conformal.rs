//! What predictions are worth, beside a machine in one file of weights.

use features::FeatureSpec;
use labels::LabelSet;
use models::{
    Error,
    artifact::{Artifact, DataDescription, Draft},
    conformal::{Conformal, NoveltyDetector, NoveltyParameters, PredictionSets},
    svm::{Svm, SvmParameters},
};
use safetensors::{SafeTensors, tensor::TensorView};

fn machine() -> Svm {
    Svm::new(SvmParameters {
        mean: vec![0.0, 1.0],
        inverse_deviation: vec![1.0, 2.0],
        gamma: 0.5,
        support_vectors: vec![0.0, 0.0, 1.0, 1.0],
        coefficients: vec![1.0, -1.0],
        rho: vec![0.25],
        platt_a: vec![-1.0],
        platt_b: vec![0.0],
        temperature: 1.0,
    })
    .expect("consistent parts")
}

fn conformal() -> Conformal {
    let detector = NoveltyDetector::new(NoveltyParameters {
        mean: vec![0.0, 1.0],
        axes: vec![1.0, 0.5],
        centres: vec![-1.0, 1.0],
        precision: vec![0.5],
        nearest: vec![1.0, 2.0, 3.0, 4.0],
        relative: [0.5, 0.25],
        frames: vec![344.0, 24.0],
        calibration: vec![-1.0, 0.0, 2.0, 0.5, 0.75, 8.0],
        threshold: 0.02,
    });
    let probabilities = [0.75, 0.25];
    let clip = (probabilities.as_slice(), 1);
    Conformal { novelty: Some(detector.expect("consistent parts")), sets: PredictionSets::calibrate([clip; 10]) }
}

#[test]
fn both_survive_their_tensors_and_the_machine_is_the_same() {
    let alone = machine().to_tensors().expect("bytes");
    let both = conformal().add_to(&alone).expect("bytes");
    assert_eq!(both, conformal().add_to(&alone).expect("bytes"), "equal parts give equal bytes");
    assert_eq!(Svm::from_tensors(&both).expect("the same machine"), machine());
    assert_eq!(Conformal::from_tensors(&both).expect("the same parts"), conformal());
    assert!(matches!(conformal().add_to(&both), Err(Error::Weights { detail }) if detail.contains("already")));

    assert!(Conformal::from_tensors(&alone).expect("none").is_empty());
    assert_eq!(Conformal::default().add_to(&alone).expect("bytes"), alone);
    for part in [Conformal { novelty: None, ..conformal() }, Conformal { sets: None, ..conformal() }] {
        assert_eq!(Conformal::from_tensors(&part.add_to(&alone).expect("bytes")).expect("one part"), part);
    }
    assert!(matches!(conformal().add_to(b"no tensors"), Err(Error::Weights { .. })));
}

#[test]
fn the_format_says_which_programs_can_read_it() {
    let format = |weights: Vec<u8>| {
        let draft = Draft {
            model: "svm".to_owned(),
            labels: LabelSet::from_names(["blues", "rock"]).expect("labels"),
            spec: FeatureSpec::gtzan_store(),
            training: serde_json::Value::Null,
            data: DataDescription { digest: "0".repeat(64), description: "a test".to_owned(), clips: 2 },
            metrics: vec![],
            weights,
            metrics_json: b"[]".to_vec(),
            report_html: b"<!doctype html>".to_vec(),
        };
        let root = tempfile::tempdir().expect("a folder");
        let written = draft.write(root.path()).expect("written");
        Artifact::open(&written.dir).expect("readable").manifest().format.to_string()
    };
    let alone = machine().to_tensors().expect("bytes");
    assert_eq!(format(conformal().add_to(&alone).expect("bytes")), "1.2");
    assert_eq!(format(alone), "1.0");
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    let both = conformal().add_to(&machine().to_tensors().expect("bytes")).expect("bytes");
    let file = SafeTensors::deserialize(&both).expect("a file");
    let names: Vec<String> =
        file.names().into_iter().filter(|name| name.starts_with("novelty.")).map(str::to_owned).collect();
    assert_eq!(names.len(), 9);
    for missing in names {
        let rest: Vec<(String, TensorView<'_>)> =
            file.tensors().into_iter().filter(|(name, _)| *name != missing).collect();
        let bytes = safetensors::serialize(rest, None).expect("bytes");
        let error = Conformal::from_tensors(&bytes).expect_err("refused").to_string();
        assert!(error.contains(&missing), "{error}");
    }
}
