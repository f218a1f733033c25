//! What the layers of VGG19 with many channels cost, with filters stored as factors and as taps: milliseconds to lay filters out, and
//! to convolve, in the median.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p convolution --example layers -- [REPEATS]`. Layers follow one another in every
//! repeat, so that each finds the filters of others in the caches.

use std::time::Instant;

use convolution::{Epilogue, Filters, Images, Method, Packed, Plan, convolve};

/// Images, rows and columns, inputs, outputs.
const LAYERS: [[usize; 4]; 11] = [
    [1, 64, 128, 256],
    [1, 32, 128, 256],
    [1, 32, 256, 256],
    [1, 28, 512, 512],
    [1, 16, 256, 512],
    [1, 16, 512, 512],
    [1, 14, 512, 512],
    [1, 8, 512, 512],
    [4, 16, 512, 512],
    [8, 16, 512, 512],
    [8, 8, 512, 512],
];

struct Layer {
    title: String,
    images: Vec<f32>,
    shape: [usize; 4],
    /// With factors, with taps.
    packed: [Packed; 2],
    laying_out: [f64; 2],
    convolving: [Vec<f64>; 2],
}

fn layer([n, side, inputs, outputs]: [usize; 4], repeats: usize) -> Layer {
    let numbers = |len: usize, step: f32| (0..len).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let weights = numbers(outputs * inputs * 9, 0.37);
    let filters = Filters::new(&weights, outputs, inputs);
    let method = Method::choose([side, side], outputs, inputs);
    let plans = [false, true].map(|taps| Plan { method, taps });
    let laid_out = |plan| median((0..repeats).map(|_| milliseconds(|| Packed::new(filters, plan)).0).collect());
    Layer {
        title: format!("{n}×{side}×{side}, {inputs} → {outputs}, {method:?}"),
        images: numbers(n * side * side * inputs, 0.11),
        shape: [n, side, side, inputs],
        laying_out: plans.map(laid_out),
        packed: plans.map(|plan| Packed::new(filters, plan)),
        convolving: [Vec::new(), Vec::new()],
    }
}

fn milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64() * 1e3, result)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let repeats = std::env::args().nth(1).map_or(21, |n| n.parse::<usize>().expect("REPEATS must be a number")).max(1);
    let mut layers: Vec<_> = LAYERS.into_iter().map(|shape| layer(shape, repeats.min(5))).collect();
    // The first round warms up.
    for round in 0..=repeats {
        for layer in &mut layers {
            let images = Images::new(&layer.images, layer.shape);
            let results = [0, 1].map(|form| {
                let work =
                    || convolve(images, &layer.packed[form], &[], Epilogue { relu: true, pool: false }, false).values;
                let (time, values) = milliseconds(work);
                if round > 0 {
                    layer.convolving[form].push(time);
                }
                values
            });
            assert!(results[0] == results[1], "{}: factors and taps differ", layer.title);
        }
    }
    println!("| layer | factors: laid out | convolved | taps: laid out | convolved |\n|---|---|---|---|---|");
    for Layer { title, laying_out: [factors, taps], convolving, .. } in layers {
        let [with_factors, with_taps] = convolving.map(median);
        println!("| {title} | {factors:.1} | {with_factors:.1} | {taps:.1} | {with_taps:.1} |");
    }
}
