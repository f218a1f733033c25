//! A trained VGG19 as bytes and as a classifier: nothing is lost, nothing wrong is taken, and time keeps its order.

mod noise;

use std::path::Path;

use burn::tensor::Tensor;
use features::{ClipFeatures, Extractor, FeatureSpec, LogMel};
use labels::LabelSet;
use models::{
    Classifier, Error, Identity,
    artifact::{DataDescription, Draft, SplitMetrics},
    vgg19::{
        BackboneWeights, Backend, Channels, ConvWeights, HeadParameters, Normalisation, Statistic, Vgg19Classifier,
        Vgg19Config, Vgg19Parameters, embed, softmax,
    },
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use noise::noise;

const N_CLASSES: usize = 3;
const CONFIG: &str = "tonearm.vgg19";

/// A network of one block that has learnt nothing. The weights of its second convolution need 32 bits.
fn parts() -> Vgg19Parameters {
    let mut draws = noise(1, 1 << 16).into_iter().map(f64::from).cycle();
    let weights = BackboneWeights::random(1, || (0..3).filter_map(|_| draws.next()).sum());
    let second = &weights.convs()[1];
    let weight = second.weight.iter().map(|value| value * 1.0001).collect();
    let second = ConvWeights { weight, ..second.clone() };
    let config = Vgg19Config {
        normalisations: vec![Normalisation::None, Normalisation::Cmn],
        pooled_blocks: vec![1],
        statistics: vec![Statistic::Average, Statistic::Deviation],
        log_covariance: None,
        n_classes: N_CLASSES,
    };
    let dim = config.embedding_dim();
    Vgg19Parameters {
        config,
        channels: Channels::Deltas,
        band_upsampling: 2,
        mean: noise(2, 128).into_iter().map(|value| value * 10.0 - 40.0).collect(),
        deviation: noise(3, 128).into_iter().map(|value| value * 2.0 + 10.0).collect(),
        weights: weights.with(vec![second]),
        axes: Vec::new(),
        head: HeadParameters {
            mean: noise(4, dim),
            scale: noise(5, dim),
            weight: noise(6, dim * N_CLASSES),
            bias: vec![0.25, -0.0, 1e-40],
        },
        temperature: 1.3,
    }
}

type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// The tensors of a file, and the text that says what network it holds.
fn opened(bytes: &[u8]) -> (Vec<Stored>, String) {
    let file = SafeTensors::deserialize(bytes).expect("a file");
    let (_, metadata) = SafeTensors::read_metadata(bytes).expect("a header");
    let config = metadata.metadata().as_ref().expect("fields")[CONFIG].clone();
    let tensor =
        |(name, view): (String, TensorView<'_>)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec());
    (file.tensors().into_iter().map(tensor).collect(), config)
}

fn closed(tensors: &[Stored], config: Option<String>) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a shape that fits"))
    });
    let metadata = config.map(|config| [(CONFIG.to_owned(), config)].into());
    safetensors::serialize(views, metadata).expect("bytes")
}

/// The same file after a change of one tensor.
fn with(name: &str, change: impl FnOnce(&mut Stored)) -> Vec<u8> {
    let (mut tensors, config) = opened(&parts().to_tensors().expect("bytes"));
    change(tensors.iter_mut().find(|tensor| tensor.0 == name).expect(name));
    closed(&tensors, Some(config))
}

fn refusal(bytes: &[u8]) -> Error {
    Vgg19Parameters::from_tensors(bytes).expect_err("refused")
}

#[track_caller]
fn assert_says(bytes: &[u8], words: &[&str]) {
    let said = refusal(bytes).to_string();
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn parts_survive_their_bytes_and_equal_parts_give_equal_bytes() {
    let parts = parts();
    let bytes = parts.to_tensors().expect("bytes");
    let again = Vgg19Parameters::from_tensors(&bytes).expect("readable");
    assert_eq!(again, parts);
    // Equality takes -0 for 0.
    for (again, parts) in [
        (&again.mean, &parts.mean),
        (&again.deviation, &parts.deviation),
        (&again.head.mean, &parts.head.mean),
        (&again.head.scale, &parts.head.scale),
        (&again.head.weight, &parts.head.weight),
        (&again.head.bias, &parts.head.bias),
    ] {
        assert_eq!(bits(again), bits(parts));
    }
    for (again, conv) in again.weights.convs().iter().zip(parts.weights.convs()) {
        assert_eq!(bits(&again.weight), bits(&conv.weight));
        assert_eq!(bits(&again.bias), bits(&conv.bias));
    }
    assert_eq!(again.temperature.to_bits(), parts.temperature.to_bits());
    assert_eq!(again.to_tensors().expect("bytes"), bytes);
    assert_eq!(crate::parts().to_tensors().expect("bytes"), bytes);

    let dtypes: std::collections::BTreeMap<_, _> =
        opened(&bytes).0.into_iter().map(|(name, dtype, ..)| (name, dtype)).collect();
    assert_eq!(dtypes["features.0.weight"], Dtype::F16, "16 bits hold it");
    assert_eq!(dtypes["features.2.weight"], Dtype::F32, "16 bits do not hold it");
    assert_eq!(dtypes["features.2.bias"], Dtype::F16);
    assert_eq!(dtypes["head.weight"], Dtype::F32);

    let mut other = parts.clone();
    other.temperature = 1.4;
    assert_ne!(other.to_tensors().expect("bytes"), bytes);
}

#[test]
fn an_artifact_of_parts_gives_its_convolutions_to_the_next_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, parts().to_tensors().expect("bytes")).expect("written");
    assert_eq!(BackboneWeights::read(&path, 1).expect("weights"), parts().weights);
    let said = BackboneWeights::read(&path, 2).expect_err("one block alone").to_string();
    assert!(said.contains("features.5.weight"), "{said}");
}

#[test]
fn tensors_that_are_missing_or_surplus_are_named() {
    let (tensors, config) = opened(&parts().to_tensors().expect("bytes"));
    assert_eq!(tensors.len(), 11);
    for (name, ..) in &tensors {
        let rest: Vec<_> = tensors.iter().filter(|tensor| tensor.0 != *name).cloned().collect();
        assert_says(&closed(&rest, Some(config.clone())), &[name, "is missing"]);
    }
    for name in ["head.weight2", "features.5.weight", "features.0.weight.weight", "classifier.0.weight", ""] {
        let mut more = tensors.clone();
        more.push((name.to_owned(), Dtype::F32, vec![1], vec![0; 4]));
        assert_says(&closed(&more, Some(config.clone())), &[&format!("`{name}`"), "is not one of this network"]);
    }
    // A VGG16 has a third convolution in its third block where a VGG19 has a fourth.
    let mut more = tensors;
    more.push(("features.17.weight".into(), Dtype::F32, vec![1], vec![0; 4]));
    assert_says(&closed(&more, Some(config)), &["features.17.weight"]);
}

#[test]
fn tensors_of_another_shape_or_type_are_named() {
    for (name, shape) in [
        ("features.0.weight", vec![3, 64, 3, 3]),
        ("features.2.bias", vec![1, 64]),
        ("input.mean", vec![2, 64]),
        ("input.deviation", vec![64, 2]),
        ("head.mean", vec![1, 256]),
        ("head.scale", vec![256, 1]),
        ("head.weight", vec![256, 3]),
        ("head.bias", vec![3, 1]),
        ("temperature", vec![]),
    ] {
        assert_says(&with(name, |tensor| tensor.2.clone_from(&shape)), &[name, "is of shape", &format!("{shape:?}")]);
    }
    for (name, dtype, size) in [
        ("features.0.weight", Dtype::I16, 2),
        ("features.2.weight", Dtype::I32, 4),
        ("input.mean", Dtype::F16, 2),
        ("input.deviation", Dtype::F64, 8),
        ("head.mean", Dtype::BF16, 2),
        ("head.scale", Dtype::U32, 4),
        ("head.weight", Dtype::F64, 8),
        ("head.bias", Dtype::F16, 2),
        ("temperature", Dtype::F32, 4),
    ] {
        let retyped = |tensor: &mut Stored| {
            tensor.1 = dtype;
            tensor.3 = vec![0; size * tensor.2.iter().product::<usize>()];
        };
        assert_says(&with(name, retyped), &[name, "is of type", &format!("{dtype:?}")]);
    }
    // One band or class too few, everywhere or in one place.
    assert_says(
        &with("input.mean", |tensor| (tensor.2, tensor.3) = (vec![127], vec![0; 127 * 4])),
        &["input.deviation"],
    );
    assert_says(&with("head.bias", |tensor| (tensor.2, tensor.3) = (vec![2], vec![0; 8])), &["head.bias", "[2]"]);
}

#[test]
fn values_that_no_training_gives_are_named() {
    let name_and_nan = [
        ("features.0.weight", vec![0x00, 0x7e], "NaN"),
        ("features.0.bias", vec![0x00, 0x7c], "inf"),
        ("features.2.weight", f32::NEG_INFINITY.to_le_bytes().to_vec(), "-inf"),
        ("input.mean", f32::NAN.to_le_bytes().to_vec(), "NaN"),
        ("input.deviation", f32::INFINITY.to_le_bytes().to_vec(), "inf"),
        ("input.deviation", 0.0_f32.to_le_bytes().to_vec(), "not over 0"),
        ("input.deviation", (-1.0_f32).to_le_bytes().to_vec(), "not over 0"),
        ("head.mean", f32::NAN.to_le_bytes().to_vec(), "NaN"),
        ("head.scale", f32::INFINITY.to_le_bytes().to_vec(), "inf"),
        ("head.weight", f32::NAN.to_le_bytes().to_vec(), "NaN"),
        ("head.bias", f32::NAN.to_le_bytes().to_vec(), "NaN"),
        ("temperature", f64::NAN.to_le_bytes().to_vec(), "not over 0"),
        ("temperature", f64::INFINITY.to_le_bytes().to_vec(), "not over 0"),
        ("temperature", 0.0_f64.to_le_bytes().to_vec(), "not over 0"),
        ("temperature", (-1.0_f64).to_le_bytes().to_vec(), "not over 0"),
    ];
    for (name, value, word) in name_and_nan {
        // The last value of the tensor.
        let changed = with(name, |tensor| {
            let at = tensor.3.len() - value.len();
            tensor.3[at..].copy_from_slice(&value);
        });
        assert_says(&changed, &[name, word]);
    }
}

#[test]
fn a_network_that_cannot_be_made_is_refused() {
    let (tensors, config) = opened(&parts().to_tensors().expect("bytes"));
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let network = |field: &str, value: Value| {
        let mut config = config.clone();
        config["network"][field] = value;
        closed(&tensors, Some(config.to_string()))
    };
    for blocks in [json!([]), json!([0]), json!([6]), json!([1, 1]), json!([2, 1]), json!([u64::MAX])] {
        assert_says(&network("pooled_blocks", blocks), &["pooled blocks", "1 to 5"]);
    }
    for statistics in [json!([]), json!(["average", "average"])] {
        assert_says(&network("statistics", statistics), &["statistics"]);
    }
    for views in [json!([]), json!(["relative", "relative"])] {
        assert_says(&network("views", views), &["views"]);
    }
    for n_classes in [0, 1, 65_537, usize::MAX] {
        assert_says(&network("n_classes", json!(n_classes)), &["classes", &n_classes.to_string()]);
    }
    for (field, value) in [
        ("pooled_blocks", json!([-1])),
        ("pooled_blocks", json!("1")),
        ("statistics", json!(["median"])),
        ("views", json!(["sideways"])),
        ("n", json!(1)),
    ] {
        assert_says(&network(field, value), &[CONFIG]);
    }
    // What it says is possible, but is not what follows.
    assert_says(&network("pooled_blocks", json!([1, 2])), &["features.5.weight", "is missing"]);
    assert_says(&network("n_classes", json!(4)), &["head.", "[4"]);
    assert_says(&network("statistics", json!(["maximum"])), &["head.", "[128]"]);
    assert_says(&network("views", json!(["relative"])), &["head.", "[128]"]);
    for text in ["", "{", "[]", "null", &"[".repeat(100_000), r#"{"network": {}, "channels": "repeat"}"#] {
        assert_says(&closed(&tensors, Some(text.to_owned())), &[CONFIG]);
    }
    assert_says(&closed(&tensors, None), &[CONFIG]);
}

#[test]
fn the_tensors_of_another_model_are_refused() {
    let svm = models::svm::Svm::new(models::svm::SvmParameters {
        mean: vec![0.5; 2],
        inverse_deviation: vec![1e-3; 2],
        gamma: 0.5,
        support_vectors: vec![1.0, 2.0, -1.0, 3.0],
        coefficients: vec![1.5, -1.5],
        rho: vec![0.1],
        platt_a: vec![-2.0],
        platt_b: vec![0.2],
        temperature: 1.25,
    });
    let svm = svm.expect("a machine").to_tensors().expect("bytes");
    assert_says(&svm, &[CONFIG, "does not say what network it holds"]);
    models::svm::Svm::from_tensors(&parts().to_tensors().expect("bytes")).expect_err("a network is no machine");
}

#[test]
fn cut_bytes_are_refused() {
    let bytes = parts().to_tensors().expect("bytes");
    let data = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))).expect("small");
    for end in (0..data + 16).chain((data..bytes.len()).step_by(4099)).chain([bytes.len() - 1]) {
        refusal(&bytes[..end]);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    refusal(&longer);
}

/// Whatever a flipped bit makes of the header: an error, or parts that a network is made of.
#[test]
fn flipped_bits_are_never_a_panic() {
    let bytes = parts().to_tensors().expect("bytes");
    let data = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))).expect("small");
    let device = Backend::Flex.open().expect("the CPU");
    let (mut taken, mut refused) = (0, 0);
    let places = (0..data).chain((data..bytes.len()).step_by(1021));
    for (at, bit) in places.flat_map(|at| [0, 1, 3, 5, 6, 7].map(|bit| (at, bit))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        match Vgg19Parameters::from_tensors(&flipped) {
            Ok(parts) if at < data => {
                parts.network(&device).expect("a network");
                taken += 1;
            }
            Ok(_) => taken += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > data);
}

fn spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().log_mel_alone()
}

fn identity() -> Identity {
    Identity { name: "vgg19".into(), version: "0".repeat(12), fingerprint: spec().fingerprint() }
}

fn labels() -> LabelSet {
    labels_of(3)
}

fn labels_of(n: usize) -> LabelSet {
    LabelSet::from_names(&["blues", "jazz", "metal"][..n]).expect("labels")
}

fn classifier_of(labels: LabelSet, spec: FeatureSpec, parts: &Vgg19Parameters) -> models::Result<Vgg19Classifier> {
    let device = Backend::Flex.open().expect("the CPU");
    Vgg19Classifier::new(identity(), labels, Extractor::new(spec).expect("valid"), parts, &device)
}

fn classifier() -> Vgg19Classifier {
    classifier_of(labels(), spec(), &parts()).expect("a classifier")
}

/// A clip of `frames` frames: the same start for the same seed.
fn clip(seed: u32, frames: usize) -> LogMel {
    let values = noise(seed, 128 * frames);
    let db = ndarray::Array2::from_shape_fn((128, frames), |(band, frame)| {
        values[128 * frame + band] * 20.0 - 40.0 - band as f32 / 8.0
    });
    LogMel::new(db).expect("a log-mel")
}

fn joined(parts: &[&LogMel]) -> ClipFeatures {
    let views: Vec<_> = parts.iter().map(|part| part.db()).collect();
    LogMel::new(ndarray::concatenate(ndarray::Axis(1), &views).expect("of one height")).expect("a log-mel").into()
}

#[test]
fn a_short_clip_is_repeated_to_fill_a_window() {
    let (classifier, short) = (classifier(), clip(1, 20));
    let prediction = classifier.predict(&short.clone().into()).expect("a prediction");
    let tail = short.frames(0, 8).expect("frames");
    let tiled =
        classifier.predict(&joined(&[&short, &short, &short, &short, &short, &short, &tail])).expect("a prediction");
    assert_eq!(prediction.probabilities, tiled.probabilities);
    assert_eq!(prediction.windows.len(), 1);
    assert_eq!(prediction.windows[0].start_seconds, 0.0);
    assert!((prediction.windows[0].end_seconds - spec().seconds(20)).abs() < 1e-9);
    let other = classifier.predict(&clip(1, 19).into()).expect("a prediction");
    assert_ne!(other.probabilities, prediction.probabilities);
    classifier.predict(&clip(1, 15).into()).expect_err("fewer frames than the specification takes");
}

#[test]
fn a_clip_of_thirty_seconds_has_three_windows() {
    let (classifier, parts, log_mel) = (classifier(), parts(), clip(2, 344));
    let prediction = classifier.predict(&log_mel.clone().into()).expect("a prediction");
    assert_eq!(prediction.windows.len(), 3);

    // The same by hand, from the parts.
    let device = Backend::Flex.open().expect("the CPU");
    let (network, input) = (parts.network(&device).expect("a network"), parts.preprocessor(&spec()));
    let given = network.activations(input.planes(&[input.standardise(&log_mel)], &device));
    let probabilities = |frames| {
        let logits = network.head.forward(embed(&parts.config, &given, frames));
        softmax(&logits.into_data().try_to_vec::<f32>().expect("f32"), parts.temperature)
    };
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(near(&prediction.probabilities, &probabilities(None)));
    let hop = 1920.0 / 22_050.0;
    for (segment, start) in prediction.windows.iter().zip([0_u16, 108, 216]) {
        assert!((segment.start_seconds - f64::from(start) * hop).abs() < 1e-9);
        let frames = usize::from(start)..usize::from(start) + 128;
        assert!(near(&segment.probabilities, &probabilities(Some(frames))), "{start}");
    }
    assert!(!near(&prediction.windows[0].probabilities, &prediction.windows[1].probabilities), "they are told apart");
}

#[test]
fn the_windows_of_a_long_clip_are_in_order_and_leave_no_gap() {
    let classifier = classifier();
    // 80 seconds.
    let (first, second, third) = (clip(3, 500), clip(4, 418), clip(5, 418));
    let quieter = LogMel::new(third.db().mapv(|db| db - 15.0)).expect("a log-mel");
    let analysis = joined(&[&first, &second]);
    let prediction = classifier.predict(&analysis).expect("a prediction");
    let windows = &prediction.windows;
    assert_eq!(windows.len(), 9);
    assert_eq!(windows[0].start_seconds, 0.0);
    for pair in windows.windows(2) {
        assert!(pair[0].start_seconds < pair[1].start_seconds);
        assert!(pair[1].start_seconds <= pair[0].end_seconds, "a gap");
    }
    let end = spec().seconds(918);
    assert!((windows[8].end_seconds - end).abs() < 1e-9, "{} {end}", windows[8].end_seconds);

    // Another end changes the windows of the end alone.
    let other = classifier.predict(&joined(&[&first, &quieter])).expect("a prediction");
    assert_eq!(other.windows[..2], windows[..2]);
    for (a, b) in other.windows[5..].iter().zip(&windows[5..]) {
        assert_eq!(a.start_seconds, b.start_seconds);
        assert_ne!(a.probabilities, b.probabilities, "{}", a.start_seconds);
    }
    assert_ne!(other.probabilities, prediction.probabilities);
}

#[test]
fn probabilities_sum_to_one_and_are_the_same_again_in_any_thread() {
    let classifier = classifier();
    for frames in [16, 100, 344, 700] {
        let analysis = ClipFeatures::from(clip(6, frames));
        let prediction = classifier.predict(&analysis).expect("a prediction");
        let rows = prediction.windows.iter().map(|segment| &segment.probabilities);
        for row in rows.chain([&prediction.probabilities]) {
            assert_eq!(row.len(), N_CLASSES);
            assert!(row.iter().all(|&p| p > 0.0 && p < 1.0), "{row:?}");
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
        }
        std::thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| classifier.predict(&analysis).expect("a prediction")));
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), prediction);
            }
        });
    }
}

#[test]
fn a_classifier_refuses_what_its_network_does_not_take() {
    let says = |labels, spec, parts: &Vgg19Parameters, words: &[&str]| {
        let said = classifier_of(labels, spec, parts).expect_err("refused").to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    says(labels(), FeatureSpec::gtzan_store(), &parts(), &["descriptors"]);
    let mut other = spec();
    other.mel.n_mels = 64;
    says(labels(), other, &parts(), &["128 bands", "64"]);
    says(labels_of(2), spec(), &parts(), &["2", "3 classes"]);
    // Windows of 20 frames do not reach through five blocks.
    let mut narrow = spec();
    narrow.segmentation.window = features::spec::SpanSpec { frames: 20, hop: 20 };
    let mut deep = parts();
    deep.config.pooled_blocks = vec![5];
    says(labels(), narrow, &deep, &["20 frames"]);
    // The configuration wants blocks that the weights do not have.
    says(labels(), spec(), &deep, &["weights end", "block 2"]);

    let half =
        LogMel::new(clip(1, 344).db().slice_axis(ndarray::Axis(0), (..64).into()).to_owned()).expect("a log-mel");
    let said = classifier().predict(&half.into()).expect_err("64 bands").to_string();
    assert!(said.contains("64 bands"), "{said}");
}

fn draft(weights: Vec<u8>) -> Draft {
    Draft {
        model: Vgg19Classifier::NAME.into(),
        labels: labels(),
        spec: spec(),
        training: json!({"seed": 1}),
        data: DataDescription { digest: "ab".repeat(32), description: "no clips".into(), clips: 2 },
        metrics: vec![SplitMetrics {
            split: "fault-filtered:valid".into(),
            n: 197,
            accuracy: 0.3,
            more: [("log_loss".to_owned(), json!(1.1))].into(),
        }],
        weights,
        metrics_json: b"{}\n".to_vec(),
        report_html: b"<!doctype html><p>report</p>\n".to_vec(),
    }
}

fn from_folder(folder: &Path, backend: Backend) -> models::Result<Box<dyn Classifier>> {
    models::from_artifact(&models::artifact::Artifact::open(folder)?, backend)
}

#[test]
fn an_artifact_is_loaded_by_its_kind_onto_a_device() {
    let root = tempfile::tempdir().expect("a folder");
    let written = draft(parts().to_tensors().expect("bytes")).write(root.path()).expect("written");
    let analysis = ClipFeatures::from(clip(7, 344));
    let expected = classifier().predict(&analysis).expect("a prediction");
    let loaded = from_folder(&written.dir, Backend::Flex).expect("a classifier");
    assert_eq!(loaded.predict(&analysis).expect("a prediction"), expected);
    assert_eq!((loaded.identity().name.as_str(), &loaded.identity().version), ("vgg19", &written.version));
    assert_eq!(*loaded.labels(), labels());
    let slower = from_folder(&written.dir, Backend::Ndarray).expect("a classifier").predict(&analysis);
    for (a, b) in slower.expect("a prediction").probabilities.iter().zip(&expected.probabilities) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }

    let forged = draft(b"not a safetensors file".to_vec()).write(root.path()).expect("written");
    let said = from_folder(&forged.dir, Backend::Flex).map(|_| ()).expect_err("refused").to_string();
    assert!(said.contains("safetensors"), "{said}");
}

#[test]
fn devices_are_named_on_the_command_line() {
    assert_eq!(Backend::default(), Backend::Flex);
    for backend in Backend::ALL {
        assert_eq!(backend.name().parse::<Backend>(), Ok(backend));
        assert_eq!(backend.to_string(), backend.name());
    }
    for name in ["", "Flex", "gpu", "wgpu "] {
        let said = name.parse::<Backend>().expect_err("unknown device");
        assert!(said.contains(&format!("`{name}`")) && said.contains("flex, ndarray, wgpu, cuda"), "{said}");
    }
    for backend in [Backend::Flex, Backend::Ndarray] {
        let device = backend.open().expect("a CPU");
        assert_eq!(Tensor::<1>::from_floats([1.0, 2.0], &device).sum().into_scalar::<f32>(), 3.0);
    }
}

#[test]
fn a_device_that_the_program_was_built_without_says_how_to_build_it() {
    for (backend, there) in [(Backend::Wgpu, cfg!(feature = "wgpu")), (Backend::Cuda, cfg!(feature = "cuda"))] {
        if !there {
            let said = backend.open().expect_err("not built").to_string();
            assert!(said.contains(&format!("device {backend}")), "{said}");
            assert!(said.contains(&format!("--features {backend}")), "{said}");
        }
    }
}

/// The child of the test below.
#[cfg(feature = "wgpu")]
#[test]
#[ignore = "run by another test, with other variables"]
fn open_wgpu_and_say_how_it_went() {
    match Backend::Wgpu.open() {
        Ok(_) => println!("opened"),
        Err(error) => println!("refused: {error}"),
    }
    assert!(std::panic::catch_unwind(|| panic!("this is still said")).is_err());
}

/// In a process of its own, since devices are found once for each.
#[cfg(feature = "wgpu")]
#[test]
fn a_machine_without_such_a_device_is_an_error() {
    let run = |name: &str, value: &str| {
        let output = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "open_wgpu_and_say_how_it_went", "--ignored", "--nocapture"])
            .env(name, value)
            .output()
            .expect("a child");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains("this is still said"), "the panic hook is put back: {said}");
        said
    };
    let said = run("CUBECL_WGPU_DEFAULT_DEVICE", "DiscreteGpu(63)");
    assert!(said.contains("refused: device wgpu: no such device works on this machine"), "{said}");
    assert!(!said.contains("RecvError"), "the device's own reason is given: {said}");
    // Without a Vulkan driver; OpenGL may be there.
    let said = run("VK_ICD_FILENAMES", "/dev/null");
    assert!(said.contains("refused: ") || said.contains("opened"), "{said}");
}
