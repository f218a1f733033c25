//! Several clips in a batch: each gets the prediction that it gets alone, or none when its request is cancelled. And
//! Grad-CAM: which places of a clip speak for a label.

mod noise;

use std::sync::atomic::{AtomicUsize, Ordering};

use features::{ClipFeatures, Extractor, FeatureSpec, LogMel, dsp::mel};
use labels::LabelSet;
use models::{
    Classifier, Error, Explain, Explanation, Identity, PredictOutput, PredictRequest,
    vgg19::{
        BATCH_FRAMES, BackboneWeights, Backend, Channels, ConvWeights, HeadParameters, Normalisation, Statistic,
        Vgg19Classifier, Vgg19Config, Vgg19Parameters, no_normalisation,
    },
};

use noise::noise;

fn spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().log_mel_alone()
}

fn classifier(parts: &Vgg19Parameters, backend: Backend) -> Vgg19Classifier {
    let labels = (0..parts.config.n_classes).map(|class| format!("label {class}"));
    let labels = LabelSet::from_names(labels).expect("labels");
    let identity = Identity { name: "vgg19".into(), version: "0".repeat(12), fingerprint: spec().fingerprint() };
    let device = backend.open().expect("a CPU");
    Vgg19Classifier::new(identity, labels, Extractor::new(spec()).expect("valid"), parts, &device)
        .expect("a classifier")
}

/// A network of random weights whose head takes all of its `blocks` blocks.
fn random_parts(blocks: usize) -> Vgg19Parameters {
    random_parts_of(no_normalisation(), blocks)
}

fn random_parts_of(normalisations: Vec<Normalisation>, blocks: usize) -> Vgg19Parameters {
    let mut draws = noise(1, 1 << 16).into_iter().map(f64::from).cycle();
    let config = Vgg19Config {
        normalisations,
        pooled_blocks: (1..=blocks).collect(),
        statistics: vec![Statistic::Average, Statistic::Deviation],
        log_covariance: None,
        n_classes: 3,
    };
    let dim = config.embedding_dim();
    Vgg19Parameters {
        weights: BackboneWeights::random(blocks, || (0..3).filter_map(|_| draws.next()).sum()),
        channels: Channels::Repeat,
        band_upsampling: 2,
        mean: vec![-40.0; 128],
        deviation: vec![12.0; 128],
        axes: Vec::new(),
        head: HeadParameters {
            mean: vec![0.0; dim],
            scale: vec![0.05; dim],
            weight: noise(6, dim * config.n_classes),
            bias: vec![0.25, 0.0, -0.25],
        },
        config,
        temperature: 1.3,
    }
}

fn clip(seed: u32, frames: usize) -> ClipFeatures {
    let values = noise(seed, 128 * frames);
    let db = ndarray::Array2::from_shape_fn((128, frames), |(band, frame)| {
        values[128 * frame + band] * 20.0 - 35.0 - band as f32 / 8.0
    });
    LogMel::new(db).expect("a log-mel").into()
}

#[test]
fn each_clip_of_a_batch_gets_the_bits_that_it_gets_alone() {
    for normalisations in [no_normalisation(), vec![Normalisation::None, Normalisation::Cmn]] {
        let parts = Vgg19Parameters { band_upsampling: 1, ..random_parts_of(normalisations, 4) };
        a_batch_changes_no_bit(&classifier(&parts, Backend::Flex));
    }
}

fn a_batch_changes_no_bit(classifier: &Vgg19Classifier) {
    // Shorter than a window, of a window, of a segment, and of several segments; more of a width than a batch holds.
    let clips: Vec<_> =
        [344, 16, 700, 128, 100, 344, 300].into_iter().zip(1..).map(|(n, seed)| clip(seed, n)).collect();
    let explain = [None, Some(Explain::Predicted), Some(Explain::Label(2))];
    let job = |index: usize| PredictRequest { explain: explain[index % 3], ..PredictRequest::new(&clips[index]) };
    let alone: Vec<PredictOutput> =
        (0..clips.len()).map(|index| classifier.predict_one(job(index)).expect("a prediction")).collect();
    assert!(alone.windows(2).all(|pair| pair[0].prediction != pair[1].prediction), "the clips are told apart");
    assert_eq!(classifier.predict(&clips[1]).expect("a prediction"), alone[1].prediction);
    for (clip, alone) in clips.iter().zip(&alone) {
        let segments = classifier.embed(clip).expect("long enough");
        let probabilities = classifier.predict_embedded(&segments).expect("they are its own");
        assert_eq!(probabilities, alone.prediction.probabilities, "the short way gives the same bits");
    }
    assert!(classifier.predict_embedded(&[vec![0.0; 3]]).is_err());

    let back: Vec<usize> = (0..clips.len()).rev().collect();
    for order in [back, vec![0, 5], vec![6, 2], vec![1, 4, 3, 1, 4, 3], vec![5, 5, 5]] {
        let jobs: Vec<_> = order.iter().map(|&index| job(index)).collect();
        let outputs = classifier.predict_batch(&jobs);
        assert_eq!(outputs.len(), jobs.len());
        for (output, &index) in outputs.into_iter().zip(&order) {
            assert!(output.expect("a prediction") == alone[index], "clip {index} of {order:?}");
        }
    }
    assert!(classifier.predict_batch(&[]).is_empty());
}

#[test]
fn a_request_that_fails_leaves_the_others_alone() {
    let classifier = classifier(&random_parts(1), Backend::Flex);
    let half = LogMel::new(ndarray::Array2::zeros((64, 344))).expect("a log-mel").into();
    let (good, short) = (clip(1, 344), clip(2, 15));
    let outputs = classifier.predict_batch(&[
        PredictRequest::new(&short),
        PredictRequest::new(&good),
        PredictRequest { explain: Some(Explain::Label(3)), ..PredictRequest::new(&good) },
        PredictRequest::new(&half),
        PredictRequest::new(&good),
    ]);
    assert!(matches!(outputs[0], Err(Error::Features(features::Error::TooShort { .. }))), "{outputs:?}");
    assert!(matches!(outputs[2], Err(Error::NoSuchClass { index: 3, n_classes: 3 })), "{outputs:?}");
    assert!(matches!(outputs[3], Err(Error::Features(features::Error::Shape { .. }))), "{outputs:?}");
    let expected = classifier.predict(&good).expect("a prediction");
    for index in [1, 4] {
        assert_eq!(outputs[index].as_ref().expect("a prediction").prediction, expected);
    }
}

#[test]
fn a_cancelled_request_is_left_at_its_next_segment() {
    let classifier = classifier(&random_parts(1), Backend::Flex);
    // 40 segments.
    let (long, short) = (clip(1, 172 * 41), clip(2, 344));
    let asked = AtomicUsize::new(0);
    let at_the_third_time = || asked.fetch_add(1, Ordering::Relaxed) >= 2;
    let already = || true;
    let outputs = classifier.predict_batch(&[
        PredictRequest { cancelled: &at_the_third_time, ..PredictRequest::new(&long) },
        PredictRequest { cancelled: &already, ..PredictRequest::new(&short) },
        PredictRequest::new(&short),
    ]);
    assert!(matches!(outputs[0], Err(Error::Cancelled)));
    assert!(matches!(outputs[1], Err(Error::Cancelled)));
    assert_eq!(
        outputs[2].as_ref().expect("a prediction").prediction,
        classifier.predict(&short).expect("a prediction"),
        "the others are predicted to their end"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 3, "two batches were computed, and no more");

    asked.store(0, Ordering::Relaxed);
    let counted = || asked.fetch_add(1, Ordering::Relaxed) == usize::MAX;
    classifier.predict_one(PredictRequest { cancelled: &counted, ..PredictRequest::new(&long) }).expect("a prediction");
    assert_eq!(asked.load(Ordering::Relaxed), 40_usize.div_ceil(BATCH_FRAMES / 344), "asked before each batch");
}

/// A network of one block whose channel 0 is the standardised log-mel where it is over 0, and whose other channels are silent.
/// Its head takes the average of channel 0: with weight 1 for class 1, −1 for class 0, and 0 for class 2.
fn parts_of_one_channel(statistics: Vec<Statistic>) -> Vgg19Parameters {
    let blank = BackboneWeights::random(1, || 0.0);
    let tap = |conv: &ConvWeights| {
        let mut weight = vec![0.0; conv.weight.len()];
        weight[4] = 1.0;
        ConvWeights { weight, bias: vec![0.0; conv.bias.len()], ..conv.clone() }
    };
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![1],
        statistics,
        log_covariance: None,
        n_classes: 3,
    };
    let dim = config.embedding_dim();
    let mut weight = vec![0.0; 3 * dim];
    for first in (0..dim).step_by(64) {
        (weight[first], weight[dim + first]) = (-1.0, 1.0);
    }
    Vgg19Parameters {
        weights: blank.with(blank.convs().iter().map(tap).collect()),
        channels: Channels::Repeat,
        band_upsampling: 2,
        mean: vec![-40.0; 128],
        deviation: vec![10.0; 128],
        axes: Vec::new(),
        head: HeadParameters { mean: vec![0.0; dim], scale: vec![1.0; dim], weight, bias: vec![0.0; 3] },
        config,
        temperature: 1.0,
    }
}

/// Silence of −60 dB with a burst of 0 dB in some bands and frames.
fn burst(frames: usize, at: std::ops::Range<usize>, bands: std::ops::Range<usize>) -> ClipFeatures {
    let db = ndarray::Array2::from_shape_fn((128, frames), |(band, frame)| {
        if at.contains(&frame) && bands.contains(&band) { 0.0 } else { -60.0 }
    });
    LogMel::new(db).expect("a log-mel").into()
}

fn explained(classifier: &Vgg19Classifier, clip: &ClipFeatures, label: usize) -> Explanation {
    classifier.explain(clip, label).expect("a prediction").expect("an explanation")
}

#[test]
fn a_head_of_one_channel_is_explained_by_where_that_channel_is_active() {
    let parts = parts_of_one_channel(vec![Statistic::Average]);
    // One segment; several, on odd starts and with overlaps; and one that is repeated to fill a window.
    let clips = [(344, 100..140), (918, 500..540), (344, 0..2), (918, 916..918), (921, 700..702), (60, 20..30)];
    for (backend, clips) in [(Backend::Flex, &clips[..]), (Backend::Ndarray, &clips[..2])] {
        let classifier = classifier(&parts, backend);
        for (frames, at) in clips.iter().cloned() {
            let clip = burst(frames, at.clone(), 16..24);
            let map = explained(&classifier, &clip, 1);
            assert_eq!((map.label, map.rows, map.columns), (1, 128, frames.div_ceil(2)), "{backend}");
            assert_eq!(map.values.len(), map.rows * map.columns);
            assert!((map.seconds - spec().seconds(frames)).abs() < 1e-9);
            assert!((map.seconds_per_column - 2.0 * 1920.0 / 22_050.0).abs() < 1e-9);
            for row in 0..map.rows {
                for column in 0..map.columns {
                    let value = map.values[row * map.columns + column];
                    // Rows between bands are drawn from both, and so are columns of segments that begin in their midst.
                    let speaks = (16..24).contains(&row) && at.contains(&(2 * column));
                    let near =
                        (15..25).contains(&row) && (at.start.saturating_sub(2)..at.end + 2).contains(&(2 * column));
                    assert!((0.0..=1.0).contains(&value));
                    // Filtering rounds a little of a burst into what is beside it.
                    assert!(value < 1e-6 || near, "{backend}: {value} at {row}, {column} of {frames} frames");
                    assert!(value > 0.4 || !speaks, "{backend}: {value} at {row}, {column} of {frames} frames");
                }
            }
            assert_eq!(map.values.iter().copied().fold(0.0, f32::max), 1.0);
            for other in [0, 2] {
                assert!(explained(&classifier, &clip, other).values.iter().all(|&value| value == 0.0), "{backend}");
            }
            let output = classifier
                .predict_one(PredictRequest { explain: Some(Explain::Predicted), ..PredictRequest::new(&clip) })
                .expect("a prediction");
            assert_eq!(output.prediction, classifier.predict(&clip).expect("a prediction"));
            assert_eq!(output.prediction.best(), 1);
            assert_eq!(output.explanation, Some(map));
        }
    }
}

#[test]
fn maximum_and_average_point_to_the_same_and_a_deviation_to_nothing() {
    let clip = burst(344, 100..140, 16..24);
    let of = |statistics| explained(&classifier(&parts_of_one_channel(statistics), Backend::Flex), &clip, 1).values;
    let average = of(vec![Statistic::Average]);
    assert_eq!(of(vec![Statistic::Maximum]), average);
    assert_eq!(of(vec![Statistic::Deviation, Statistic::Maximum, Statistic::Average]), average);
    assert!(of(vec![Statistic::Deviation]).iter().all(|&value| value == 0.0));
}

#[test]
fn rows_lie_between_the_centres_of_bands() {
    let centres = mel::MelFilterbank::new(22_050, 2048, &spec().mel).expect("valid");
    let centres = centres.center_frequencies();
    for blocks in 1..=4 {
        let map = explained(&classifier(&random_parts(blocks), Backend::Flex), &clip(3, 344), 0);
        assert_eq!((map.rows, map.columns), (256 >> blocks, 344_usize.div_ceil(1 << blocks)));
        assert!((map.seconds_per_column - f64::from(1 << blocks) * 1920.0 / 22_050.0).abs() < 1e-9);
        assert_eq!(map.row_edges_hz.len(), map.rows + 1);
        assert!(map.row_edges_hz.is_sorted_by(|a, b| a < b));
        let bands_in_row = 128 / map.rows;
        for (row, edges) in map.row_edges_hz.windows(2).enumerate() {
            for (band, &centre) in centres.iter().enumerate() {
                let inside = (edges[0]..edges[1]).contains(&centre);
                assert_eq!(inside, band / bands_in_row == row, "band {band} and row {row} of block {blocks}");
            }
        }
        assert!(map.row_edges_hz[0] > 0.0 && map.row_edges_hz[map.rows] < 11_025.0);
        assert_eq!(map.values.iter().copied().fold(0.0, f32::max), 1.0);
    }
}
