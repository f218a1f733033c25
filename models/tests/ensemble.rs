//! The ensemble: the formula over what its members predict, to the bit; and no member that is not there or does not fit.

mod noise;

use std::{
    fs,
    path::{Path, PathBuf},
};

use features::{ClipFeatures, Extractor, FeatureSpec, LogMel, spec::Needs};
use labels::LabelSet;
use models::{
    Error, Explain, PredictRequest,
    artifact::{DataDescription, Draft, Written, set_current},
    ensemble::{EnsembleParameters, LEAST_PROBABILITY, Member, pooled},
    svm::{Svm, SvmParameters, pairs},
    vgg19::{BackboneWeights, Channels, HeadParameters, Statistic, Vgg19Config, Vgg19Parameters, no_normalisation},
};
use ndarray::Array2;
use serde_json::json;

use noise::noise;

const LABELS: [&str; 3] = ["blues", "metal", "rock"];

fn spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some descriptors are left")
}

fn draft(model: &str, spec: FeatureSpec, weights: Vec<u8>) -> Draft {
    Draft {
        model: model.into(),
        labels: LabelSet::from_names(LABELS).expect("labels"),
        spec,
        training: json!({ "seed": 1 }),
        data: DataDescription { digest: "ab".repeat(32), description: "no clips".into(), clips: 2 },
        metrics: Vec::new(),
        weights,
        metrics_json: b"{}\n".to_vec(),
        report_html: b"<!doctype html>\n".to_vec(),
    }
}

/// A machine whose support vectors are clips of noise.
fn machine() -> Draft {
    let extractor = Extractor::new(spec()).expect("valid");
    let vectors: Vec<Vec<f32>> =
        (0..3).map(|seed| extractor.segments(&clip(100 + seed, 344)).expect("long enough").remove(0).vector).collect();
    let dim = extractor.names().len();
    let mean = (0..dim).map(|d| vectors.iter().map(|vector| f64::from(vector[d])).sum::<f64>() / 3.0).collect();
    let n_machines = pairs(3).count();
    let svm = Svm::new(SvmParameters {
        mean,
        inverse_deviation: vec![1e-2; dim],
        gamma: 1.0 / dim as f64,
        support_vectors: vectors.concat(),
        coefficients: vec![1.5, -1.5, 0.0, 1.5, 0.0, -1.5, 0.0, 1.5, -1.5],
        rho: vec![0.1, -0.05, 0.0],
        platt_a: vec![-2.0; n_machines],
        platt_b: vec![0.2; n_machines],
        temperature: 1.25,
    });
    draft("svm", spec(), svm.expect("a machine").to_tensors().expect("bytes"))
}

/// A network of one block with random weights.
fn network(spec: FeatureSpec) -> Draft {
    let mut draws = noise(1, 1 << 16).into_iter().map(f64::from).cycle();
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![1],
        statistics: vec![Statistic::Average, Statistic::Deviation],
        log_covariance: None,
        n_classes: 3,
    };
    let dim = config.embedding_dim();
    let parameters = Vgg19Parameters {
        weights: BackboneWeights::random(1, || (0..3).filter_map(|_| draws.next()).sum()),
        channels: Channels::Repeat,
        band_upsampling: 1,
        mean: vec![-40.0; 128],
        deviation: vec![12.0; 128],
        head: HeadParameters {
            mean: vec![0.0; dim],
            scale: vec![0.05; dim],
            weight: noise(6, dim * config.n_classes),
            bias: vec![0.25, 0.0, -0.25],
        },
        axes: Vec::new(),
        config,
        temperature: 1.3,
    };
    draft("vgg19", spec, parameters.to_tensors().expect("bytes"))
}

/// The log-mel of a clip of noise whose spectrum tilts with its seed.
fn clip(seed: u32, frames: usize) -> ClipFeatures {
    let values = noise(seed + 1, 128 * frames);
    let tilt = (seed % 7) as f32 / 7.0;
    let db = values.iter().enumerate().map(|(at, value)| -40.0 + 20.0 * value - tilt * (at / frames) as f32 / 4.0);
    let db = Array2::from_shape_vec((128, frames), db.collect()).expect("as many values");
    LogMel::new(db).expect("finite").into()
}

fn joined(members: &[(&str, &Written, f64)]) -> EnsembleParameters {
    let member = |&(name, written, weight): &(&str, &Written, f64)| Member {
        name: name.to_owned(),
        version: written.version.clone(),
        weight,
    };
    EnsembleParameters { members: members.iter().map(member).collect() }
}

fn ensemble(parameters: &EnsembleParameters, spec: FeatureSpec) -> Draft {
    draft("ensemble", spec, parameters.to_tensors().expect("bytes"))
}

/// The artifacts of a machine and a network below `root`.
fn members(root: &Path) -> [Written; 2] {
    [machine(), network(spec().log_mel_alone())].map(|draft| draft.write(root).expect("written"))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn an_ensemble_predicts_by_the_formula_over_its_members() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, vgg19] = members(root.path());
    let parameters = joined(&[("svm", &svm, 0.375), ("vgg19", &vgg19, 0.625)]);
    let written = ensemble(&parameters, spec()).write(root.path()).expect("written");
    set_current(&root.path().join("ensemble"), &written.version).expect("in use");
    // As a server finds it, and as a person names it.
    let model = models::load(&root.path().join("ensemble")).expect("loaded");
    let [a, b] = [&svm, &vgg19].map(|member| models::load(&member.dir).expect("loaded"));
    assert_eq!((model.identity().name.as_str(), &model.identity().version), ("ensemble", &written.version));
    assert!(model.explains() && !a.explains() && b.explains());
    assert_eq!(*model.extractor().spec(), spec());

    for (seed, frames) in [(1, 20), (2, 128), (3, 300), (4, 700)] {
        let features = clip(seed, frames);
        let said = model.predict(&features).expect("a prediction");
        let [of_a, of_b] = [&a, &b].map(|member| member.predict(&features).expect("a prediction"));
        let pool = |a: &[f64], b: &[f64]| {
            // The definition, beside the function.
            let power = |p: &f64, weight: f64| p.max(LEAST_PROBABILITY).powf(weight);
            let powers: Vec<f64> = a.iter().zip(b).map(|(a, b)| power(a, 0.375) * power(b, 0.625)).collect();
            let total: f64 = powers.iter().sum();
            let pooled = pooled([(a, 0.375), (b, 0.625)]);
            assert!(pooled.iter().zip(&powers).all(|(pooled, power)| (pooled - power / total).abs() < 1e-12));
            bits(&pooled)
        };
        assert_eq!(bits(&said.probabilities), pool(&of_a.probabilities, &of_b.probabilities), "{frames} frames");
        assert_ne!(bits(&said.probabilities), bits(&of_a.probabilities));
        assert_eq!(said.windows.len(), of_a.windows.len());
        for ((window, of_a), of_b) in said.windows.iter().zip(&of_a.windows).zip(&of_b.windows) {
            assert_eq!((window.start_seconds, window.end_seconds), (of_a.start_seconds, of_a.end_seconds));
            assert_eq!(bits(&window.probabilities), pool(&of_a.probabilities, &of_b.probabilities));
        }
        assert_eq!(said.features_digest, of_a.features_digest, "it takes the features of the machine");
    }
}

#[test]
fn each_clip_of_a_batch_is_predicted_as_alone_and_the_label_of_the_ensemble_is_explained() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, vgg19] = members(root.path());
    // The machine decides, so that the network often predicts another label.
    let parameters = joined(&[("vgg19", &vgg19, 0.0625), ("svm", &svm, 0.9375)]);
    let model = models::load(&ensemble(&parameters, spec()).write(root.path()).expect("written").dir).expect("loaded");
    let network = models::load(&vgg19.dir).expect("loaded");
    let clips: Vec<ClipFeatures> = (0..6).map(|seed| clip(seed, 150)).collect();
    let mut requests: Vec<PredictRequest<'_>> = clips.iter().map(PredictRequest::new).collect();
    requests[1].explain = Some(Explain::Predicted);
    requests[2].explain = Some(Explain::Label(2));
    requests[3].cancelled = &|| true;
    requests[4].explain = Some(Explain::Label(3));
    requests[5].explain = Some(Explain::Predicted);
    let outputs = model.predict_batch(&requests);
    assert_eq!(outputs.len(), requests.len());
    for (number, (request, output)) in requests.iter().zip(outputs).enumerate() {
        match (number, output) {
            (3, output) => assert!(matches!(output, Err(Error::Cancelled))),
            (4, output) => assert!(matches!(output, Err(Error::NoSuchClass { index: 3, n_classes: 3 }))),
            (_, output) => {
                let output = output.expect("an output");
                assert_eq!(output, model.predict_one(*request).expect("an output"));
                let label = match request.explain {
                    None => None,
                    Some(Explain::Label(label)) => Some(label),
                    Some(Explain::Predicted) => Some(output.prediction.best()),
                };
                let expected = label.map(|label| network.explain(request.features, label).expect("explains"));
                assert_eq!(output.explanation, expected.flatten());
            }
        }
    }
}

#[test]
fn two_machines_are_an_ensemble_that_explains_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, _] = members(root.path());
    let mut other = machine();
    other.training = json!({ "seed": 2 });
    let other = other.write_as(root.path(), "other").expect("written");
    let parameters = joined(&[("svm", &svm, 0.5), ("other", &other, 0.5)]);
    let model = models::load(&ensemble(&parameters, spec()).write(root.path()).expect("written").dir).expect("loaded");
    assert!(!model.explains() && model.explain(&clip(1, 150), 0).expect("predicted").is_none());
}

#[test]
fn members_that_are_not_there_or_do_not_fit_are_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, vgg19] = members(root.path());
    let both = joined(&[("svm", &svm, 0.5), ("vgg19", &vgg19, 0.5)]);
    let written = ensemble(&both, spec()).write(root.path()).expect("written");
    models::load(&written.dir).expect("loaded");
    let refused = |dir: &PathBuf| models::load(dir).expect_err("refused");
    let write = |draft: Draft| draft.write(root.path()).expect("written").dir;

    // Labels in another order, or others.
    for labels in [["blues", "rock", "metal"], ["blues", "metal", "jazz"]] {
        let mut draft = network(spec().log_mel_alone());
        draft.labels = LabelSet::from_names(labels).expect("labels");
        let other = draft.write(root.path()).expect("written");
        let error = refused(&write(ensemble(&joined(&[("svm", &svm, 0.5), ("vgg19", &other, 0.5)]), spec())));
        assert!(matches!(error, Error::Ensemble { .. }) && error.to_string().contains("labels"), "{error}");
    }
    // Another log-mel, and features that are those of none of the members.
    let mut coarse = spec().log_mel_alone();
    coarse.stft.hop_length = 960;
    let other = network(coarse).write(root.path()).expect("written");
    let error = refused(&write(ensemble(&joined(&[("svm", &svm, 0.5), ("vgg19", &other, 0.5)]), spec())));
    assert!(error.to_string().contains("log-mel"), "{error}");
    let mut fewer = spec();
    fewer.descriptors.pop();
    let error = refused(&write(ensemble(&both, fewer)));
    assert!(error.to_string().contains("none of its members"), "{error}");
    // An ensemble of an ensemble.
    let error = refused(&write(ensemble(&joined(&[("svm", &svm, 0.5), ("ensemble", &written, 0.5)]), spec())));
    assert!(matches!(error, Error::Member { .. }), "{error}");
    // Weights that are no ensemble's.
    let error = refused(&write(draft("ensemble", spec(), machine().weights)));
    assert!(matches!(error, Error::Weights { .. }), "{error}");

    // A member that is damaged, and one that is gone.
    let file = vgg19.dir.join("weights.safetensors");
    let whole = fs::read(&file).expect("read");
    fs::write(&file, &whole[..whole.len() - 1]).expect("written");
    assert!(matches!(refused(&written.dir), Error::Digest { .. }));
    fs::remove_dir_all(&vgg19.dir).expect("removed");
    let error = refused(&written.dir);
    assert!(matches!(&error, Error::Member { name, version, .. } if name == "vgg19" && *version == vgg19.version));
    assert!(error.to_string().contains(&vgg19.version), "{error}");
    // Copied alone, it has no members beside it.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let copy = elsewhere.path().join("ensemble").join(&written.version);
    fs::create_dir_all(&copy).expect("a folder");
    for entry in fs::read_dir(&written.dir).expect("listed") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    assert!(matches!(refused(&copy), Error::Member { .. }));
}
