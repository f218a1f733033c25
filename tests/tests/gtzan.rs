//! On the real dataset, where it is at hand; each test says so where it is not.

use std::path::Path;

use features::{Extractor, FeatureSpec, spec::Needs};
use serde_json::Value;
use tests::{shared, train};

fn json(at: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&train(at, arguments)).expect("JSON")
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len() as f64;
    let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn the_svm_holds_on_valid_clips_and_on_their_audio() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let path = |name: &str| shared.join(name).canonicalize().expect("it exists").display().to_string();
    let (store, clips) = (path("gtzan/logmel"), path("gtzan/clips"));
    train(at, &["svm", "--data", &store, "--artifacts", "artifacts"]);
    let evaluate = |data: &str| {
        let arguments =
            ["evaluate", "--artifact", "artifacts/svm", "--data", data, "--split", "fault-filtered:valid", "--json"];
        json(at, &arguments)
    };
    let valid = evaluate(&store);
    assert_eq!(valid["n"], 197);
    assert_eq!(valid["left_out"], 710 - 197);
    assert_eq!(valid["seen_in_training"], 0);
    let accuracy = valid["accuracy"].as_f64().expect("a number");
    println!("valid: {accuracy:.3}, log-loss {}", valid["log_loss"]);
    assert!(accuracy >= 0.70, "{accuracy}");
    let confusion: u64 = valid["confusion"]
        .as_array()
        .expect("rows")
        .iter()
        .flat_map(|row| row.as_array().expect("columns").iter().filter_map(Value::as_u64))
        .sum();
    assert_eq!(confusion, 197);
    for field in ["ci95", "macro_f1", "log_loss", "ece", "labels", "per_class", "fingerprint"] {
        assert!(!valid[field].is_null(), "{field} is missing");
    }

    // The same clips as audio and as rows of the store.
    train(at, &["extract", "--data", &clips, "--out", "extracted"]);
    let (ours, theirs) = (
        data::FeatureStore::open(&at.join("extracted")).expect("a store"),
        data::FeatureStore::open(Path::new(&store)).expect("a store"),
    );
    let rows: std::collections::BTreeMap<_, _> =
        (0..theirs.len()).map(|row| (theirs.id(row).to_owned(), row)).collect();
    let mut correlations = Vec::new();
    for row in 0..ours.len() {
        let Some(&same) = rows.get(ours.id(row)) else { continue };
        let flat = |analysis: &features::ClipFeatures| analysis.log_mel().db().iter().copied().collect::<Vec<_>>();
        let (a, b) = (ours.features(row).expect("a row"), theirs.features(same).expect("a row"));
        correlations.push(correlation(&flat(&a), &flat(&b)));
    }
    correlations.sort_by(f64::total_cmp);
    println!(
        "{} clips: log-mels of audio and store correlate {:.4} (median), {:.4} (worst)",
        correlations.len(),
        correlations[correlations.len() / 2],
        correlations[0]
    );
    assert_eq!(correlations.len(), 96);
    assert!(correlations[48] >= 0.99);

    let audio = evaluate(&clips);
    let n = audio["n"].as_u64().expect("a number");
    assert_eq!(n, 49);
    // The same 49 as rows of the store: a store of them alone is what the extraction of the audio names.
    let extractor =
        Extractor::new(FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left")).expect("valid");
    let classifier = models::load(&at.join("artifacts/svm")).expect("an artifact");
    assert_eq!(classifier.extractor().spec(), extractor.spec());
    let (mut right, mut agree, mut of) = (0, 0, 0);
    for row in 0..ours.len() {
        let entry = data::gtzan::catalogue().get(ours.id(row)).expect("a clip of GTZAN");
        if entry.split != data::FaultFiltered::Valid {
            continue;
        }
        let best = |analysis: features::ClipFeatures| classifier.predict(&analysis).expect("a prediction").best();
        let from_store = best(theirs.features(rows[ours.id(row)]).expect("a row"));
        let from_audio = best(ours.features(row).expect("a row"));
        of += 1;
        right += u64::from(classifier.labels()[from_store] == entry.genre.name());
        agree += u64::from(from_store == from_audio);
    }
    let audio_accuracy = audio["accuracy"].as_f64().expect("a number");
    let store_accuracy = right as f64 / of as f64;
    println!(
        "{of} valid clips: accuracy {audio_accuracy:.3} on audio, {store_accuracy:.3} on their store rows, {agree} alike"
    );
    assert_eq!(of, n);
    assert!(
        (audio_accuracy - store_accuracy).abs() <= 0.07,
        "{audio_accuracy} on audio, {store_accuracy} on the store"
    );
}

/// The pretrained weights, where they are at hand.
fn weights(shared: &Path) -> String {
    let path = shared.join("weights/vgg19_imagenet_conv.f16.safetensors");
    path.canonicalize().expect("the weights lie beside the dataset").display().to_string()
}

#[test]
#[ignore = "embeds 640 clips of 30 s, some minutes; run with -- --ignored"]
fn the_frozen_network_holds_on_valid_clips_and_on_their_audio() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let path = |name: &str| shared.join(name).canonicalize().expect("it exists").display().to_string();
    let (store, clips) = (path("gtzan/logmel"), path("gtzan/clips"));
    let trained = json(at, &["vgg19", "--data", &store, "--weights", &weights(&shared), "--json"]);
    let valid = &trained["evaluation"];
    let accuracy = valid["accuracy"].as_f64().expect("a number");
    println!("valid: {accuracy:.3}, log-loss {}, ECE {}", valid["log_loss"], valid["ece"]);
    assert_eq!(valid["n"], 197);
    assert!(accuracy >= 0.62, "{accuracy}");
    assert!(valid["ece"].as_f64().expect("a number") <= 0.08, "{}", valid["ece"]);

    // The same clips as audio and as rows of the store.
    train(at, &["extract", "--data", &clips, "--out", "extracted"]);
    let score = |data: &str, scores: &str| {
        let split = ["--split", "fault-filtered:valid", "--scores", scores, "--json"];
        json(at, &[&["evaluate", "--artifact", "artifacts/vgg19", "--data", data][..], &split].concat());
        let table = std::fs::read_to_string(at.join(scores)).expect("the scores");
        let row = |line: &str| -> (String, (String, String)) {
            let mut fields = line.split(',').map(|field| field.trim_matches('"').to_owned());
            let mut next = || fields.next().expect("a field");
            (next(), (next(), next()))
        };
        table.lines().skip(1).map(row).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (of_store, of_audio) = (score(&store, "store.csv"), score("extracted", "audio.csv"));
    assert_eq!(of_audio.len(), 49);
    let share = |right: &dyn Fn(&str) -> bool| of_audio.keys().filter(|id| right(id)).count() as f64 / 49.0;
    let audio_accuracy = share(&|id| of_audio[id].0 == of_audio[id].1);
    let store_accuracy = share(&|id| of_store[id].0 == of_store[id].1);
    println!("49 valid clips: accuracy {audio_accuracy:.3} on audio, {store_accuracy:.3} on their store rows");
    assert!((audio_accuracy - store_accuracy).abs() <= 0.03, "{audio_accuracy} and {store_accuracy}");
}
