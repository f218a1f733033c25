//! The Rust side of `experiments/bench/vgg19_peer.py`.
//!
//! `vgg19_peers tract|candle forward SHAPE THREADS REPEATS FILE` times a forward of VGG19's convolutions. `SHAPE` is such
//! as `1x3x128x128`; `FILE` is an `.onnx` for tract, a `.safetensors` with torchvision's names for candle. Prints one JSON object.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module};
use serde_json::json;

/// Runs the network once and gives the mean of its outputs.
type Forward = Box<dyn FnMut() -> Result<f64>>;

/// Convolutions of each block.
const BLOCKS: [usize; 5] = [2, 2, 4, 4, 4];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, work, shape, threads, repeats, file] = arguments.as_slice() else {
        bail!("usage: vgg19_peers tract|candle forward SHAPE THREADS REPEATS FILE");
    };
    ensure!(work == "forward", "`{work}` is not forward, which is all that they do here");
    let shape = parse_shape(shape)?;
    let threads: usize = threads.parse().context("THREADS is not a number")?;
    let repeats: usize = repeats.parse().context("REPEATS is not a number")?;
    // The same numbers in every program, so that their outputs can be compared.
    let x: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let forward = match program.as_str() {
        "tract" => tract(x, shape, threads, file)?,
        "candle" => candle(x, shape, threads, file)?,
        other => bail!("`{other}` is neither tract nor candle"),
    };
    let (answer, seconds) = measure(forward, repeats)?;
    println!("{}", json!({ "answer": answer, "seconds": seconds, "peak_mib": peak_mib() }));
    Ok(())
}

fn parse_shape(text: &str) -> Result<[usize; 4]> {
    let sizes =
        text.split('x').map(str::parse).collect::<Result<Vec<usize>, _>>().context("SHAPE is not as 1x3x128x128")?;
    sizes.try_into().map_err(|_| anyhow!("SHAPE has not four numbers"))
}

fn tract(x: Vec<f32>, shape: [usize; 4], threads: usize, file: &str) -> Result<Forward> {
    use tract_onnx::prelude::*;

    let executor = (threads > 1).then(|| multithread::Executor::multithread(threads));
    let plan = tract_onnx::onnx()
        .model_for_path(file)?
        .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
        .into_optimized()?
        .into_runnable_with_options(&RunOptions { executor, ..RunOptions::default() })?;
    let x = Tensor::from_shape(&shape, &x)?.into_tvalue();
    Ok(Box::new(move || {
        let outputs = plan.run(tvec!(x.clone()))?;
        let output = outputs.first().context("the network has no output")?;
        Ok(mean(output.to_plain_array_view::<f32>()?.iter().copied()))
    }))
}

fn candle(x: Vec<f32>, shape: [usize; 4], threads: usize, file: &str) -> Result<Forward> {
    // candle takes the number from RAYON_NUM_THREADS alone.
    ensure!(candle_core::utils::get_num_threads() == threads, "set RAYON_NUM_THREADS to {threads}");
    let weights = candle_core::safetensors::load(file, &Device::Cpu)?;
    let tensor = |index: usize, kind: &str| {
        let name = format!("features.{index}.{kind}");
        weights.get(&name).cloned().with_context(|| format!("{file} has no {name}"))
    };
    let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let mut index = 0;
    let mut blocks = Vec::with_capacity(BLOCKS.len());
    for n in BLOCKS {
        let mut convs = Vec::with_capacity(n);
        for _ in 0..n {
            convs.push(Conv2d::new(tensor(index, "weight")?, Some(tensor(index, "bias")?), config));
            index += 2; // a ReLU lies between
        }
        blocks.push(convs);
        index += 1; // the pool
    }
    let x = Tensor::from_vec(x, shape.as_slice(), &Device::Cpu)?;
    Ok(Box::new(move || {
        let mut x = x.clone();
        for convs in &blocks {
            for conv in convs {
                x = conv.forward(&x)?.relu()?;
            }
            x = x.max_pool2d(2)?;
        }
        Ok(mean(x.flatten_all()?.to_vec1::<f32>()?.into_iter()))
    }))
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f64 {
    let n = values.len() as f64;
    values.map(f64::from).sum::<f64>() / n
}

/// The answer, and the seconds of each repeat after a warm-up of two runs and a second at least.
fn measure(mut forward: Forward, repeats: usize) -> Result<(f64, Vec<f64>)> {
    let start = Instant::now();
    let answer = forward()?;
    forward()?;
    while start.elapsed() < Duration::from_secs(1) {
        forward()?;
    }
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        let start = Instant::now();
        forward()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((answer, seconds))
}

/// Most memory that the process had so far; `None` where the system does not tell.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
