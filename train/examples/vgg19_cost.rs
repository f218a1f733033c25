//! Our side of `experiments/bench/vgg19_peer.py`.
//!
//! `vgg19_cost DEVICE forward|training SHAPE THREADS REPEATS [WEIGHTS]` times the sixteen convolutions of VGG19 with their
//! pools on a batch of `SHAPE`, such as `1x3x128x128`: forward, or a training step (forward, backward, AdamW on everything).
//! `WEIGHTS` is what `train vgg19 --weights` takes; random ones without. Prints one JSON object: the mean of the output, or
//! the loss of the first step; the seconds of each repeat; the peak of the resident memory in MiB where the system tells.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use data::rng::Rng;
use models::vgg19::{BackboneWeights, Backend, Statistic, Vgg19Config, no_normalisation};
use optimiser::AdamW;
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, work, shape, threads, repeats, weights @ ..] = arguments.as_slice() else {
        bail!("usage: vgg19_cost DEVICE forward|training SHAPE THREADS REPEATS [WEIGHTS]");
    };
    let backend: Backend = device.parse().map_err(|error: String| anyhow!(error))?;
    let shape = parse_shape(shape)?;
    let threads: usize = threads.parse().context("THREADS is not a number")?;
    let repeats: usize = repeats.parse().context("REPEATS is not a number")?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let device = backend.open()?;
    let mut rng = Rng::new(1);
    let weights = match weights.first() {
        Some(path) => BackboneWeights::read(Path::new(path), 5)?,
        None => BackboneWeights::random(5, || rng.normal()),
    };
    let (answer, seconds) = match work.as_str() {
        "forward" => forward(weights, shape, &device, repeats)?,
        "training" => training(weights, shape, &device, repeats)?,
        other => bail!("`{other}` is neither forward nor training"),
    };
    println!("{}", json!({ "answer": answer, "seconds": seconds, "peak_mib": peak_mib() }));
    Ok(())
}

fn parse_shape(text: &str) -> Result<[usize; 4]> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    sizes.context("SHAPE is not as 1x3x128x128")?.try_into().map_err(|_| anyhow!("SHAPE has not four numbers"))
}

fn config() -> Vgg19Config {
    Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![5],
        statistics: vec![Statistic::Average],
        log_covariance: None,
        n_classes: 10,
    }
}

fn forward(weights: BackboneWeights, shape: [usize; 4], device: &Device, repeats: usize) -> Result<(f64, Vec<f64>)> {
    let network = config().init(&weights, device)?;
    drop(weights);
    let x = images(shape, device);
    measure(repeats, || read(network.activations(x.clone()).pop().context("a network has blocks")?.mean()))
}

fn training(weights: BackboneWeights, shape: [usize; 4], device: &Device, repeats: usize) -> Result<(f64, Vec<f64>)> {
    let autodiff = device.clone().autodiff();
    let x = Tensor::from_inner(images(shape, device));
    let mut optimiser = ModuleOptimizer::from(AdamW::new(1e-4));
    // It moves in and out of a step: a clone would keep the old weights until the end of it.
    let mut trained = Some(config().init(&weights, &autodiff)?);
    drop(weights);
    measure(repeats, || {
        let network = trained.take().context("the step before failed")?;
        let loss = network.activations(x.clone()).pop().context("a network has blocks")?.square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        // So small that the outputs do not die away in the course of the repeats.
        trained = Some(optimiser.step(1e-6, network, gradients));
        read(loss.inner())
    })
}

/// The same numbers as in the other programs, so that what they make of them can be compared.
fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Waits for a result.
fn read(scalar: Tensor<1>) -> Result<f64> {
    let values = scalar.into_data().try_to_vec::<f32>().map_err(|error| anyhow!("not f32: {error:?}"))?;
    values.first().map(|&value| f64::from(value)).context("it is empty")
}

/// The first answer, and the seconds of each repeat after a warm-up of two runs and a second at least.
fn measure(repeats: usize, mut work: impl FnMut() -> Result<f64>) -> Result<(f64, Vec<f64>)> {
    let mut timed = || -> Result<(f64, f64)> {
        let start = Instant::now();
        let answer = work()?;
        Ok((answer, start.elapsed().as_secs_f64()))
    };
    let start = Instant::now();
    let (answer, seconds) = timed()?;
    // A single repeat is one that takes minutes: it is its own warm-up.
    if repeats <= 1 {
        return Ok((answer, vec![seconds]));
    }
    timed()?;
    while start.elapsed() < Duration::from_secs(1) {
        timed()?;
    }
    let seconds = (0..repeats).map(|_| timed().map(|(_, seconds)| seconds)).collect::<Result<_>>()?;
    Ok((answer, seconds))
}

/// Most memory that the process had so far; `None` where the system does not tell.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
