//! Our side of `experiments/bench/vgg19_peer.py`.
//!
//! `vgg19_cost DEVICE THREADS REPEATS` times the sixteen convolutions of VGG19 with their pools, from random weights:
//! forward of one image and of eight, and a training step (forward, backward, AdamW on everything) of four images. Prints
//! one JSON object: medians in seconds an image, and the peak of the resident memory in MiB where the system tells.

use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use burn::{
    module::Module as _,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use data::rng::Rng;
use models::vgg19::{Backend, Statistic, Vgg19Config, Weights, embed};
use serde_json::json;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: vgg19_cost DEVICE THREADS REPEATS";
    let backend: Backend = arguments.next().context(usage)?.parse().map_err(|error: String| anyhow!(error))?;
    let threads: usize = arguments.next().context(usage)?.parse().context(usage)?;
    let repeats: usize = arguments.next().context(usage)?.parse().context(usage)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let device = backend.open()?;
    let mut rng = Rng::new(1);
    let weights = Weights::random(5, || rng.normal());
    let config = Vgg19Config { pooled_blocks: vec![5], statistics: vec![Statistic::Average], n_classes: 10 };

    let network = config.init(&weights, &device)?;
    let mut forward = |n: usize, bands: usize, frames: usize| -> Result<f64> {
        let x = noise(&mut rng, [n, 3, bands, frames], &device);
        let run = || -> Result<()> {
            let last = network.activations(x.clone()).pop().context("a network has blocks")?;
            read(last.sum())
        };
        median(repeats, run).map(|seconds| seconds / n as f64)
    };
    let of_one = forward(1, 128, 128)?;
    let of_a_clip = forward(1, 128, 344)?;
    let of_eight = forward(8, 128, 128)?;
    let forward_memory = peak_mib();

    let autodiff = device.clone().autodiff();
    let x = Tensor::from_inner(noise(&mut rng, [4, 3, 128, 128], &device));
    let mut trained = config.init(&weights, &autodiff)?;
    let mut optimiser = AdamWConfig::new().init();
    let step = || -> Result<()> {
        let logits = trained.head.forward(embed(&config, &trained.activations(x.clone()), None));
        let loss = logits.square().mean() + trained.blocks[4].convs[3].weight.val().square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &trained);
        trained = optimiser.step(1e-4, trained.clone(), gradients);
        read(loss.inner())
    };
    let of_a_step = median(repeats.div_ceil(2), step)? / 4.0;
    let report = json!({
        "device": backend.name(),
        "threads": threads,
        "parameters": network.num_params(),
        "forward_128x128": of_one,
        "forward_128x344": of_a_clip,
        "forward_128x128_in_8": of_eight,
        "training_128x128_in_4": of_a_step,
        "peak_mib_forward": forward_memory,
        "peak_mib": peak_mib(),
    });
    println!("{report:#}");
    Ok(())
}

fn noise(rng: &mut Rng, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Waits for a result.
fn read(tensor: Tensor<1>) -> Result<()> {
    let values = tensor.into_data().try_to_vec::<f32>().map_err(|error| anyhow!("not f32: {error:?}"))?;
    anyhow::ensure!(values.iter().all(|value| value.is_finite()), "the result is not finite");
    Ok(())
}

fn median(repeats: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    // A single repeat is one that takes minutes: it is not warmed up.
    if repeats > 1 {
        work()?;
    }
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// Most memory that the process had so far; `None` where the system does not tell.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
