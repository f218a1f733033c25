//! Triton's configuration and statistics of models.

use serde_json::{Value, json};
use serve::config::ModelKind;

use crate::{
    client::{get, predict},
    model,
    server::{Options, Server},
    wav::Sound,
};

fn stats(server: &Server) -> Value {
    get(server.address, "/v2/models/stats").json()["model_stats"][0].clone()
}

#[test]
fn requests_are_counted_with_the_time_of_each_step() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options { cache_bytes: 1 << 20, ..Options::of(kind) });
        let none = stats(&server);
        assert_eq!((&none["name"], &none["version"]), (&kind.name().into(), &json!(model::of(kind).version())));
        assert_eq!(
            (&none["inference_count"], &none["last_inference"], &none["batch_stats"]),
            (&0.into(), &0.into(), &json!([]))
        );
        for (track, status) in [
            (Sound::Low.wav(2.0, 1), 200),
            (Sound::Low.wav(2.0, 1), 200),
            (Sound::High.wav(2.0, 1), 200),
            (b"no track".to_vec(), 415),
        ] {
            assert_eq!(server.send(&predict(&track)).status, status);
        }
        let some = stats(&server);
        let step = |name: &str| some["inference_stats"][name].clone();
        assert_eq!((&some["inference_count"], &some["execution_count"]), (&2.into(), &2.into()), "{some}");
        assert!(some["last_inference"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{some}");
        for (name, count) in [
            ("success", 3),
            ("fail", 1),
            ("queue", 2),
            ("compute_input", 2),
            ("compute_infer", 2),
            ("compute_output", 2),
            ("cache_hit", 1),
            ("cache_miss", 2),
        ] {
            assert_eq!(step(name)["count"], count, "{name}: {some}");
            assert!(step(name)["ns"].as_u64().is_some_and(|ns| ns > 0), "{name}: {some}");
        }
        let ns = |name: &str| step(name)["ns"].as_u64().expect("a number");
        let steps = ["queue", "compute_input", "compute_infer", "compute_output"].map(ns);
        assert!(steps.iter().sum::<u64>() <= ns("success"), "{some}");
        assert_eq!(some["batch_stats"][0]["batch_size"], 1);
        assert_eq!(some["batch_stats"][0]["compute_infer"]["count"], 2);
        let of_version = format!("/v2/models/{}/versions/{}/stats", kind.name(), model::of(kind).version());
        assert_eq!(get(server.address, &of_version).json()["model_stats"][0], stats(&server));
        for (path, status) in
            [("/v2/models/none/stats", 404), (&format!("/v2/models/{}/versions/ffffffffffff/stats", kind.name()), 404)]
        {
            let response = get(server.address, path);
            assert_eq!(response.status, status);
            assert!(response.json()["error"].is_string(), "{response:?}");
        }
    }
}

#[test]
fn a_model_is_configured_as_its_metadata_say() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let path = format!("/v2/models/{}", kind.name());
        let (config, metadata) =
            (get(server.address, &format!("{path}/config")).json(), get(server.address, &path).json());
        assert_eq!((&config["name"], &config["platform"]), (&metadata["name"], &metadata["platform"]));
        for (tensors, of) in [("input", "inputs"), ("output", "outputs")] {
            let (tensors, of) = (config[tensors].as_array().expect("a list"), metadata[of].as_array().expect("a list"));
            assert_eq!(tensors.len(), of.len());
            for (tensor, of) in tensors.iter().zip(of) {
                assert_eq!((&tensor["name"], &tensor["dims"]), (&of["name"], &of["shape"]));
                let datatype = of["datatype"].as_str().expect("a name").replace("BYTES", "STRING");
                assert_eq!(tensor["data_type"], format!("TYPE_{datatype}"));
            }
        }
        let parameter = |name: &str| config["parameters"][name]["string_value"].as_str().expect(name).to_owned();
        let labels: Vec<String> = serde_json::from_str(&parameter("label_names")).expect("JSON");
        assert_eq!(labels, model::of(kind).labels().iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!((parameter("labels"), parameter("max_clips")), (labels.len().to_string(), "64".to_owned()));
        assert_eq!(config["parameters"].get("max_batch").is_some(), kind == ModelKind::Vgg19);
        let count = if kind == ModelKind::Vgg19 { 1 } else { 2 };
        assert_eq!(config["instance_group"], json!([{"kind": "KIND_CPU", "count": count}]));
        assert_eq!(get(server.address, "/v2/models/none/config").status, 404);
        assert_eq!(
            get(server.address, &format!("{path}/versions/{}/config", model::of(kind).version())).json(),
            config
        );
    }
    let described = get(Server::start(Options::default()).address, "/v2").json();
    for extension in ["model_configuration", "statistics"] {
        assert!(described["extensions"].as_array().is_some_and(|all| all.contains(&extension.into())), "{described}");
    }
}
