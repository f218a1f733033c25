//! The operation in Burn, beside Burn's own convolution, ReLU and pooling on another backend.
#![cfg(feature = "burn")]

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData, activation::relu, module::max_pool2d, ops::MaxPoolOptions},
};
use convolution::burn::{Conv3x3, FilterCache, conv_relu};
use rayon::prelude::*;

fn noise<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0;
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

fn assert_close(ours: &[f32], reference: &[f32], what: &str) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let largest = reference.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    let error = ours.iter().zip(reference).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error <= 1e-5 * largest, "{what}: {error} of {largest}");
}

/// The devices to compare: the one with our kernels, and one that computes by Burn.
#[expect(deprecated, reason = "burn-ndarray is on its way out; it is the reference")]
fn devices() -> [Device; 2] {
    [Device::flex(), Device::ndarray()]
}

/// Output, and gradients of input, filters and bias, of two convolutions, the second of which may be pooled.
fn both(device: &Device, pool: bool, grad_of_x: bool) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let leaf = |tensor: Tensor<4>| tensor.require_grad();
    let x = noise([2, 20, 7, 10], 1, &device);
    let x = if grad_of_x { leaf(x) } else { x };
    let (first, second) = (leaf(noise([17, 20, 3, 3], 2, &device)), leaf(noise([33, 17, 3, 3], 3, &device)));
    let (one, two) = (noise([17], 4, &device).require_grad(), noise([33], 5, &device).require_grad());
    let hidden = conv_relu(x.clone(), first.clone(), one.clone(), false, &FilterCache::default());
    let y = conv_relu(hidden.clone(), second.clone(), two.clone(), pool, &FilterCache::default());
    // What follows need not know that channels are last in memory.
    let [n, c, h, w] = y.dims();
    let weights = noise([n, c, h * w], 6, &device);
    let loss = (y.clone().reshape([n, c, h * w]) * weights).sum() + hidden.mean();
    let gradients = loss.backward();
    let mut found = vec![values(y.inner())];
    found.extend(x.grad(&gradients).map(values));
    for weight in [first, second] {
        found.push(values(weight.grad(&gradients).expect("a gradient")));
    }
    for bias in [one, two] {
        found.push(values(bias.grad(&gradients).expect("a gradient")));
    }
    found
}

#[test]
fn outputs_and_gradients_are_those_of_burn() {
    for (pool, grad_of_x) in [(false, true), (true, true), (true, false)] {
        let [ours, burns] = devices().map(|device| both(&device, pool, grad_of_x));
        assert_eq!(ours.len(), if grad_of_x { 6 } else { 5 });
        for (number, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
            assert_close(ours, burns, &format!("pool {pool}, result {number}"));
        }
    }
}

#[test]
fn tensors_in_any_layout_are_understood() {
    let [flex, ndarray] = devices();
    let run = |device: &Device| {
        let x = noise([2, 9, 12, 7], 1, device).swap_dims(1, 3).slice([0..2, 0..5, 1..12, 0..9]);
        let weight = noise([3, 3, 5, 11], 2, device).permute([3, 2, 1, 0]);
        let y = conv_relu(x, weight, noise([11], 3, device), false, &FilterCache::default());
        let y =
            conv_relu(y.clone(), noise([4, 11, 3, 3], 4, device), noise([4], 5, device), true, &FilterCache::default());
        values(y.clone() + relu(y.clone().swap_dims(2, 3).swap_dims(2, 3)) + y.slice([0..2, 0..4, 0..5, 0..4]))
    };
    assert_close(&run(&flex), &run(&ndarray), "strided tensors");
}

#[test]
fn what_is_kept_of_the_weights_is_dropped_when_they_change() {
    let [device, _] = devices();
    let x = noise([1, 16, 8, 8], 1, &device);
    let param = |seed| Param::from_tensor(noise([16, 16, 3, 3], seed, &device));
    let mut conv = Conv3x3::new(param(2), Param::from_tensor(noise([16], 3, &device)));
    let (first, again) = (values(conv.forward(x.clone())), values(conv.forward(x.clone())));
    assert_eq!(first, again);
    let clone = conv.clone();
    conv.weight = param(4);
    let fresh = |seed| {
        let conv = Conv3x3::new(param(seed), Param::from_tensor(noise([16], 3, &device)));
        values(conv.forward(x.clone()))
    };
    assert_eq!(values(conv.forward(x.clone())), fresh(4));
    assert_eq!(values(clone.forward(x.clone())), first, "a clone keeps its own weights");
    // Written to in place, where a tensor is its only owner.
    conv.weight = conv.weight.map(|weight| weight.mul_scalar(2.0));
    assert_ne!(values(conv.forward(x.clone())), fresh(4));
    // Another size may take another method.
    let pooled = max_pool2d(clone.forward(noise([1, 16, 40, 40], 5, &device)), MaxPoolOptions::new([2, 2]));
    assert_close(
        &values(clone.forward_pooled(noise([1, 16, 40, 40], 5, &device))),
        &values(pooled),
        "pooled by Burn, and by ourselves",
    );
}

/// Threads that share a module for the first time, each of which waits for its part of the others' work.
#[test]
fn many_first_calls_at_once_do_not_wait_for_each_other() {
    let [device, _] = devices();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    for round in 0..20 {
        let weight = Param::from_tensor(noise([256, 32, 3, 3], round, &device));
        let conv = Conv3x3::new(weight, Param::from_tensor(noise([256], 3, &device)));
        let found: Vec<_> = pool.install(|| {
            (0..32).into_par_iter().map(|_| values(conv.forward(noise([1, 32, 9, 9], 1, &device)))).collect()
        });
        assert!(found.iter().all(|values| *values == found[0]));
    }
}

#[test]
fn other_types_and_sizes_are_left_to_burn() {
    let [device, _] = devices();
    let x = noise([1, 4, 6, 6], 1, &device);
    let y = conv_relu(x, noise([2, 4, 1, 1], 2, &device), noise([2], 3, &device), true, &FilterCache::default());
    // A border of one around a filter of one.
    assert_eq!(y.dims(), [1, 2, 4, 4]);
}
