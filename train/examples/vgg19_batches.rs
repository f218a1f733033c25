//! What batching is worth: the time of each clip, by how many go through the convolutions at once, and by how many a
//! classifier predicts at once, which sends fewer of them through the convolutions if that is quicker.
//!
//! ```sh
//! cargo run --release -p train --example vgg19_batches -- [REPEATS [THREADS [FRAMES]]]
//! ```
//!
//! Of the default network, with random weights; clips have 344 frames (30 s) unless told. The least of all repeats,
//! since whatever else runs only adds.

use std::time::Instant;

use anyhow::{Context as _, Result};
use data::rng::Rng;
use features::{ClipFeatures, Extractor, FeatureSpec, LogMel};
use models::{
    Classifier as _, Identity, PredictRequest,
    vgg19::{BackboneWeights, Backend, HeadParameters, Vgg19Classifier, Vgg19Parameters},
};
use train::training::vgg19::TrainingConfig;

const N_CLASSES: usize = 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let repeats = arguments.next().transpose().context("REPEATS is a number")?.unwrap_or(10);
    let threads = arguments.next().transpose().context("THREADS is a number")?.unwrap_or(2);
    let frames = arguments.next().transpose().context("FRAMES is a number")?.unwrap_or(344);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let mut rng = Rng::stream(42, 0);
    let training = TrainingConfig::frozen(42);
    let config = training.network(N_CLASSES);
    let dim = config.embedding_dim();
    let spec = FeatureSpec::gtzan_store().log_mel_alone();
    let parts = Vgg19Parameters {
        weights: BackboneWeights::random(config.n_blocks(), || rng.normal()),
        channels: training.channels,
        band_upsampling: training.band_upsampling,
        mean: vec![-40.0; spec.mel.n_mels],
        deviation: vec![12.0; spec.mel.n_mels],
        axes: config
            .pooled_blocks
            .iter()
            .map(|&block| {
                let axes = config.log_covariance.map_or(0, |log_covariance| log_covariance.axes_of(block));
                let n = config.normalisations.len() * models::vgg19::channels(block) * axes;
                (0..n).map(|_| 0.1 * rng.normal() as f32).collect()
            })
            .collect(),
        head: HeadParameters {
            mean: vec![0.0; dim],
            scale: vec![0.05; dim],
            weight: (0..dim * N_CLASSES).map(|_| rng.normal() as f32).collect(),
            bias: vec![0.0; N_CLASSES],
        },
        config,
        temperature: 1.0,
    };
    let identity = Identity { name: "vgg19".into(), version: String::new(), fingerprint: spec.fingerprint() };
    let labels = data::labels::LabelSet::from_names((0..N_CLASSES).map(|class| class.to_string()))?;
    let bands = spec.mel.n_mels;
    let device = Backend::Flex.open()?;
    let (input, network) = (parts.preprocessor(&spec), parts.network(&device)?);
    let classifier = Vgg19Classifier::new(identity, labels, Extractor::new(spec)?, &parts, &device)?;
    let mut clip = || -> Result<ClipFeatures> {
        let db = ndarray::Array2::from_shape_fn((bands, frames), |_| (-40.0 + 12.0 * rng.normal()) as f32);
        Ok(LogMel::new(db)?.into())
    };
    let clips = (0..8).map(|_| clip()).collect::<Result<Vec<_>>>()?;
    let predict = |n: usize| -> Result<f64> {
        let jobs: Vec<_> = clips.iter().take(n).map(PredictRequest::new).collect();
        let start = Instant::now();
        for output in classifier.predict_batch(&jobs) {
            output?;
        }
        Ok(start.elapsed().as_secs_f64() / n as f64)
    };
    let convolve = |n: usize| -> Result<f64> {
        let standardised: Vec<_> = clips.iter().take(n).map(|clip| input.standardise(clip.log_mel())).collect();
        let start = Instant::now();
        let given = network.activations(input.planes(&standardised, &device));
        drop(given);
        Ok(start.elapsed().as_secs_f64() / n as f64)
    };
    say_least("convolutions", repeats, convolve)?;
    say_least("predictions", repeats, predict)
}

/// The least time a clip of all repeats, for each number at once.
fn say_least(what: &str, repeats: usize, seconds: impl Fn(usize) -> Result<f64>) -> Result<()> {
    let mut least = [1, 2, 4, 8].map(|n| (n, f64::INFINITY));
    for _ in 0..repeats {
        for (n, least) in &mut least {
            *least = least.min(seconds(*n)?);
        }
    }
    for (n, seconds) in least {
        println!("{what}, {n} at once: {:.1} ms a clip", 1e3 * seconds);
    }
    Ok(())
}
