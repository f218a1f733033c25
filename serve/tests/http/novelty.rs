//! Models that say what their predictions are worth, and a server that refuses what is unlike their training set.

use serde_json::{Value, json};
use serve::Limits;

use crate::{
    client::predict,
    model,
    server::{Options, Server},
    wav::Sound,
};

#[test]
fn the_response_says_what_the_labels_are_worth() {
    let server = Server::start(Options { model: Some(model::calibrated()), ..Options::default() });
    for (sound, signal, words) in [
        (Sound::Low, "constant", "It sounds like a constant hum or tone."),
        (Sound::Noise, "noise-like", "It sounds like noise."),
    ] {
        let json = server.send(&predict(&sound.wav(3.0, 1))).json();
        let note = format!("This does not resemble the music that the model was trained on. {words}");
        let novelty = json!({
            "p_value": 1.0, "threshold": 0.02, "out_of_distribution": true, "signal": signal, "note": note,
        });
        assert_eq!(json["novelty"], novelty);
        let labels = json["labels_90"].as_array().expect("a list");
        assert_eq!(labels[0], json["predicted_genre"]);
        assert!(
            labels.len() <= 3
                && labels.iter().all(|label| json["probabilities"][label.as_str().expect("a name")].is_number())
        );
    }
}

#[test]
fn a_model_that_was_not_calibrated_says_nothing_of_it() {
    let server = Server::start(Options::default());
    let json = server.send(&predict(&Sound::Low.wav(3.0, 1))).json();
    assert_eq!(json.get("novelty"), Some(&Value::Null));
    assert_eq!(json.get("labels_90"), None);
}

#[test]
fn what_is_unlike_the_training_set_is_refused_where_that_is_wanted() {
    let limits = Limits { reject_novel: true, ..Options::default().limits };
    let strict =
        |model| Server::start(Options { model: Some(model), limits, cache_bytes: 1 << 20, ..Options::default() });
    let server = strict(model::calibrated());
    // The second time it is not in the cache.
    for _ in 0..2 {
        let detail = server.send(&predict(&Sound::Low.wav(3.0, 1))).assert_problem("out-of-distribution", 422);
        assert!(detail.contains("constant hum"), "{detail}");
    }
    // A model that cannot tell refuses nothing.
    let uncalibrated = strict(model::of(serve::config::ModelKind::Svm));
    assert_eq!(uncalibrated.send(&predict(&Sound::Low.wav(3.0, 1))).status, 200);
}

/// For the test that has every problem answered.
pub(crate) fn refused() -> String {
    let limits = Limits { reject_novel: true, ..Options::default().limits };
    let server = Server::start(Options { model: Some(model::calibrated()), limits, ..Options::default() });
    server.send(&predict(&Sound::Noise.wav(3.0, 1))).assert_problem("out-of-distribution", 422)
}
