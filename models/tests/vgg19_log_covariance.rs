//! Log-covariances against SciPy, what they do not depend on, and the network that takes them.

mod noise;

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use features::{ClipFeatures, Extractor, FeatureSpec, LogMel};
use labels::LabelSet;
use models::{
    Classifier, Identity, PredictRequest,
    artifact::{Artifact, DataDescription, Draft},
    vgg19::{
        Axes, BackboneWeights, Backend, Channels, Columns, HeadParameters, LogCovariance, Normalisation, Statistic,
        Vgg19Classifier, Vgg19Config, Vgg19Parameters, channels, embed, principal_axes,
    },
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use noise::noise;

/// `golden/log_covariance.py`, which says what is in it.
const GOLDEN: &str = include_str!("golden/log_covariance.json");
const AXES: usize = 5;
/// Numbers of a log-covariance.
const DIM: usize = AXES * (AXES + 1) / 2;
const SHAPES: [[usize; 4]; 2] = [[2, 64, 6, 9], [2, 128, 3, 4]];

fn config(pooled_blocks: Vec<usize>) -> Vgg19Config {
    Vgg19Config {
        normalisations: vec![Normalisation::None, Normalisation::Cmn],
        pooled_blocks,
        statistics: vec![Statistic::Average],
        log_covariance: Some(LogCovariance { axes: AXES }),
        n_classes: 3,
    }
}

/// Axes of the pooled blocks, as the script has them.
fn axes(config: &Vgg19Config) -> Vec<Vec<f32>> {
    let of_block = |&block: &usize| {
        let n = config.normalisations.len() * channels(block) * AXES;
        noise(10 + u32::try_from(block).expect("small"), n).into_iter().map(|value| value / 4.0).collect()
    };
    config.pooled_blocks.iter().map(of_block).collect()
}

/// Activations of two blocks for two normalisations, as the script has them.
fn activations() -> [Vec<f32>; 2] {
    [1, 2].map(|block| {
        let n = SHAPES[block - 1].iter().product();
        noise(u32::try_from(block).expect("small"), n).into_iter().map(|value| value.max(0.0)).collect()
    })
}

/// The log-covariances of activations: those of both blocks of one normalisation, then those of the other.
fn log_covariances(values: &[Vec<f32>; 2], frames: Option<Range<usize>>, device: &Device) -> Vec<f32> {
    let config = config(vec![1, 2]);
    let axes = Axes::new(&config, &axes(&config), device);
    let given: Vec<Tensor<4>> = values
        .iter()
        .zip(SHAPES)
        .map(|(values, shape)| Tensor::from_data(TensorData::new(values.clone(), shape), device))
        .collect();
    let embedding = Columns::new(&config, axes.as_ref(), &given).embed(frames.clone());
    let embedding: Vec<f32> = embedding.into_data().try_to_vec().expect("f32");
    assert_eq!(embedding.len(), config.embedding_dim());
    // The statistics beside them are those of a network without log-covariances.
    let plain = Vgg19Config { log_covariance: None, ..config.clone() };
    let statistics: Vec<f32> = embed(&plain, &given, frames).into_data().try_to_vec().expect("f32");
    let (both, alone) = (config.dim_per_normalisation(), plain.dim_per_normalisation());
    assert_eq!(both, alone + 2 * DIM);
    for (row, statistics) in embedding.chunks(both).zip(statistics.chunks(alone)) {
        assert_eq!(row[..alone], *statistics);
    }
    embedding.chunks(both).flat_map(|row| row[alone..].to_vec()).collect()
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    // `max` passes over a NaN; this does not.
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

#[test]
fn they_are_those_of_scipy() {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    for backend in [Backend::Flex, Backend::Ndarray] {
        let device = backend.open().expect("a CPU");
        for (what, frames) in [("whole", None), ("part", Some(4..13))] {
            let expected: Vec<f64> =
                golden[what].as_array().expect("numbers").iter().filter_map(Value::as_f64).collect();
            let difference = largest_difference(&log_covariances(&activations(), frames, &device), &expected);
            assert!(difference < 1e-4, "{backend}: {what} differs by {difference}");
        }
    }
}

#[test]
fn a_level_changes_nothing_and_a_gain_moves_the_diagonal() {
    let device = Device::flex();
    let before: Vec<f64> = log_covariances(&activations(), None, &device).into_iter().map(f64::from).collect();
    // Another level for every channel.
    let raised = activations().map(|mut values| {
        let positions = if values.len() == SHAPES[0].iter().product::<usize>() { 54 } else { 12 };
        for (channel, values) in values.chunks_mut(positions).enumerate() {
            values.iter_mut().for_each(|value| *value += (channel % 7) as f32 / 4.0);
        }
        values
    });
    let difference = largest_difference(&log_covariances(&raised, None, &device), &before);
    assert!(difference < 1e-3, "{difference}");
    // Frames in another order.
    let reversed = activations().map(|mut values| {
        let columns = if values.len() == SHAPES[0].iter().product::<usize>() { 9 } else { 4 };
        values.chunks_mut(columns).for_each(<[f32]>::reverse);
        values
    });
    let difference = largest_difference(&log_covariances(&reversed, None, &device), &before);
    assert!(difference < 1e-4, "{difference}");
    // A gain so large that the floor counts for nothing: log(g²·C) = log(C) + 2·log(g)·I.
    let louder = |gain: f32| {
        log_covariances(
            &activations().map(|values| values.into_iter().map(|value| value * gain).collect()),
            None,
            &device,
        )
    };
    let (loud, louder) = (louder(1024.0), louder(4096.0));
    let diagonal = [0, 5, 9, 12, 14];
    for (at, (a, b)) in loud.iter().zip(&louder).enumerate() {
        let expected = if diagonal.contains(&(at % DIM)) { 2.0 * 4.0_f32.ln() } else { 0.0 };
        assert!((b - a - expected).abs() < 1e-3, "{at}: {a} {b}");
    }
    // Silence has the logarithm of the floor.
    let silent = log_covariances(&activations().map(|values| vec![0.0; values.len()]), None, &device);
    for (at, value) in silent.iter().enumerate() {
        let expected = if diagonal.contains(&(at % DIM)) { 0.01_f32.ln() } else { 0.0 };
        assert!((value - expected).abs() < 1e-6, "{at}: {value}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let parts = parts();
    let clip = clip(7, 344);
    let predicted = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let classifier = classifier(&parts);
            let explained = classifier.explain(&clip, 1).expect("a prediction").expect("an explanation");
            (classifier.embed(&clip).expect("long enough"), classifier.predict(&clip).expect("a prediction"), explained)
        })
    };
    let one = predicted(1);
    for threads in [2, 5] {
        assert!(predicted(threads) == one, "{threads} threads");
    }
}

fn spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().log_mel_alone()
}

/// A network of two blocks with random weights, axes and head.
fn parts() -> Vgg19Parameters {
    let mut draws = noise(1, 1 << 16).into_iter().map(f64::from).cycle();
    let config = config(vec![1, 2]);
    let dim = config.embedding_dim();
    Vgg19Parameters {
        weights: BackboneWeights::random(2, || (0..3).filter_map(|_| draws.next()).sum()),
        channels: Channels::Repeat,
        band_upsampling: 1,
        mean: vec![-40.0; 128],
        deviation: vec![12.0; 128],
        axes: axes(&config),
        head: HeadParameters {
            mean: vec![0.0; dim],
            scale: vec![0.05; dim],
            weight: noise(6, dim * config.n_classes),
            bias: vec![0.25, 0.0, -0.25],
        },
        config,
        temperature: 0.7,
    }
}

fn classifier(parts: &Vgg19Parameters) -> Vgg19Classifier {
    let labels = LabelSet::from_names(["a", "b", "c"]).expect("labels");
    let identity = Identity { name: "vgg19".into(), version: "0".repeat(12), fingerprint: spec().fingerprint() };
    let extractor = Extractor::new(spec()).expect("valid");
    Vgg19Classifier::new(identity, labels, extractor, parts, &Device::flex()).expect("a classifier")
}

fn clip(seed: u32, frames: usize) -> ClipFeatures {
    let values = noise(seed, 128 * frames);
    let db = ndarray::Array2::from_shape_fn((128, frames), |(band, frame)| {
        values[128 * frame + band] * 20.0 - 35.0 - band as f32 / 8.0
    });
    LogMel::new(db).expect("a log-mel").into()
}

#[test]
fn the_window_of_a_clip_that_is_one_gets_the_bits_of_the_clip() {
    let classifier = classifier(&parts());
    // As long as a window.
    let prediction = classifier.predict(&clip(3, 128)).expect("a prediction");
    assert_eq!(prediction.windows.len(), 1);
    assert_eq!(prediction.windows[0].probabilities, prediction.probabilities);
    // The windows of a longer one differ from each other and from the whole.
    let long = classifier.predict(&clip(3, 344)).expect("a prediction");
    assert_eq!(long.windows.len(), 3);
    assert!(long.windows.iter().all(|window| window.probabilities != long.probabilities));
}

#[test]
fn each_clip_of_a_batch_gets_the_bits_that_it_gets_alone() {
    let classifier = classifier(&parts());
    let clips: Vec<_> =
        [344, 16, 128, 700, 100].into_iter().zip(1..).map(|(frames, seed)| clip(seed, frames)).collect();
    let alone: Vec<_> = clips.iter().map(|clip| classifier.predict(clip).expect("a prediction")).collect();
    let requests: Vec<_> = clips.iter().rev().map(PredictRequest::new).collect();
    for (output, alone) in classifier.predict_batch(&requests).into_iter().zip(alone.iter().rev()) {
        assert!(output.expect("a prediction").prediction == *alone);
    }
    for (clip, alone) in clips.iter().zip(&alone) {
        let segments = classifier.embed(clip).expect("long enough");
        assert_eq!(classifier.predict_embedded(&segments).expect("its own"), alone.probabilities);
    }
}

type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// The file of a network after a change of its tensors and of the text that says what it is.
fn edited(parts: &Vgg19Parameters, change: impl FnOnce(&mut Vec<Stored>, &mut String)) -> Vec<u8> {
    let bytes = parts.to_tensors().expect("bytes");
    let file = SafeTensors::deserialize(&bytes).expect("a file");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let mut fields = metadata.metadata().clone().expect("fields");
    let mut tensors: Vec<Stored> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    change(&mut tensors, fields.get_mut("tonearm.vgg19").expect("what it is"));
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a shape that fits"))
    });
    safetensors::serialize(views, Some(fields)).expect("bytes")
}

#[test]
fn a_network_survives_its_bytes_and_a_wrong_one_is_refused() {
    let parts = parts();
    let bytes = parts.to_tensors().expect("bytes");
    let again = Vgg19Parameters::from_tensors(&bytes).expect("readable");
    assert!(again == parts);
    assert_eq!(again.to_tensors().expect("bytes"), bytes);

    type Change = fn(&mut Vec<Stored>, &mut String);
    let wrong: [(Change, &[&str]); 6] = [
        (|tensors, _| tensors.retain(|tensor| tensor.0 != "axes.2"), &["axes.2", "missing"]),
        (
            |tensors, _| {
                tensors.iter_mut().filter(|tensor| tensor.0 == "axes.2").for_each(|tensor| tensor.2.swap(0, 2))
            },
            &["axes.2", "shape"],
        ),
        (
            |tensors, _| {
                let axes = tensors.iter_mut().filter(|tensor| tensor.0 == "axes.1");
                axes.for_each(|tensor| tensor.3[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
            },
            &["axes.1", "NaN"],
        ),
        (|_, config| *config = config.replace("\"axes\":5", "\"axes\":500"), &["500 axes", "2 to 64"]),
        (|_, config| *config = config.replace("\"axes\":5", "\"axes\":5,\"kind\":\"cubic\""), &["kind"]),
        // Axes, and a head that takes none.
        (
            |_, config| *config = config.replace("\"log_covariance\":{\"axes\":5},", ""),
            &["axes.", "not one of this network"],
        ),
    ];
    for (number, (change, words)) in wrong.into_iter().enumerate() {
        let edited = edited(&parts, change);
        let said = Vgg19Parameters::from_tensors(&edited).expect_err("refused").to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{number}: {said}");
    }
}

#[test]
fn artifacts_with_log_covariances_are_of_a_newer_format() {
    let plain = {
        let mut parts = parts();
        parts.config.log_covariance = None;
        parts.axes.clear();
        let dim = parts.config.embedding_dim();
        parts.head.mean.truncate(dim);
        parts.head.scale.truncate(dim);
        parts.head.weight.truncate(dim * parts.config.n_classes);
        parts
    };
    for (parts, format) in [(plain, "1.0"), (parts(), "1.2")] {
        let draft = Draft {
            model: Vgg19Classifier::NAME.into(),
            labels: LabelSet::from_names(["a", "b", "c"]).expect("labels"),
            spec: spec(),
            training: json!({}),
            data: DataDescription { digest: "ab".repeat(32), description: "no clips".into(), clips: 2 },
            metrics: Vec::new(),
            weights: parts.to_tensors().expect("bytes"),
            metrics_json: b"{}\n".to_vec(),
            report_html: b"<!doctype html>\n".to_vec(),
        };
        let root = tempfile::tempdir().expect("a folder");
        let artifact = Artifact::open(&draft.write(root.path()).expect("written").dir).expect("readable");
        assert_eq!(artifact.manifest().format.to_string(), format);
        let classifier = models::from_artifact(&artifact, Backend::Flex).expect("a classifier");
        let clip = clip(5, 344);
        let prediction = classifier.predict(&clip).expect("a prediction");
        assert_eq!(prediction, self::classifier(&parts).predict(&clip).expect("a prediction"));
    }
}

#[test]
fn principal_axes_are_those_along_which_a_network_varies() {
    let parts = parts();
    let preprocessor = parts.preprocessor(&spec());
    let device = Device::flex();
    let log_mels = || {
        (1..4).map(|seed| {
            let values = noise(seed, 128 * 160);
            ndarray::Array2::from_shape_fn((128, 160), |(band, frame)| 2.0 * values[160 * band + frame])
        })
    };
    let found = principal_axes(&parts, &preprocessor, log_mels(), &device).expect("finite");
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), parts.config.axes_lengths());
    assert!(found == principal_axes(&parts, &preprocessor, log_mels(), &device).expect("finite"));
    // Along them, the mean covariance is the identity.
    let axes = Axes::new(&parts.config, &found, &device);
    let network = parts.network(&device).expect("a network");
    let mut mean = vec![0.0; 2 * 2 * AXES * AXES];
    for log_mel in log_mels() {
        let planes = preprocessor.planes(&[log_mel], &device);
        let embedding = Columns::new(&parts.config, axes.as_ref(), &network.activations(planes)).embed(None);
        let embedding: Vec<f32> = embedding.into_data().try_to_vec().expect("f32");
        let rows = embedding.chunks(parts.config.dim_per_normalisation());
        let logs = rows.flat_map(|row| row[row.len() - 2 * DIM..].chunks(DIM).map(<[f32]>::to_vec));
        for (sums, log) in mean.chunks_mut(AXES * AXES).zip(logs) {
            for (sum, value) in sums.iter_mut().zip(exponential(&log)) {
                *sum += value / 3.0;
            }
        }
    }
    for (at, value) in mean.iter().enumerate() {
        let (i, j) = (at % (AXES * AXES) / AXES, at % AXES);
        let expected = if i == j { 1.01 } else { 0.0 };
        assert!((value - expected).abs() < 1e-3, "{i}, {j}: {value}");
    }
}

/// The matrix of a vector of its logarithm, by the series of the exponential of a 64th of it, squared six times.
fn exponential(log: &[f32]) -> Vec<f64> {
    let mut matrix = vec![0.0; AXES * AXES];
    let places = (0..AXES).flat_map(|i| (i..AXES).map(move |j| (i, j)));
    for ((i, j), &value) in places.zip(log) {
        let value = f64::from(value) / if i == j { 64.0 } else { 64.0 * std::f64::consts::SQRT_2 };
        (matrix[i * AXES + j], matrix[j * AXES + i]) = (value, value);
    }
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
        let element = |at: usize| (0..AXES).map(|k| a[at / AXES * AXES + k] * b[k * AXES + at % AXES]).sum();
        (0..AXES * AXES).map(element).collect()
    };
    let mut sum: Vec<f64> = (0..AXES * AXES).map(|at| f64::from(u8::from(at / AXES == at % AXES))).collect();
    let mut term = sum.clone();
    for k in 1..20 {
        term = product(&term, &matrix).into_iter().map(|value| value / f64::from(k)).collect();
        sum.iter_mut().zip(&term).for_each(|(sum, term)| *sum += term);
    }
    (0..6).fold(sum, |power, _| product(&power, &power))
}
