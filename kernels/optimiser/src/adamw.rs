//! [`AdamW`]: Burn's, in one pass over memory.
//!
//! Burn goes over weights, gradients and moments once for each of some fifteen operations, on one thread and mostly into fresh
//! memory. For the 20 million weights of the convolutions that is a large part of a training step.

use burn::{
    backend::{BackendTensor, DispatchTensor, DispatchTensorKind},
    optim::{AdamW as OfBurn, AdamWConfig, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer},
    tensor::{DType, Device, Tensor},
};
use burn_flex::FlexTensor;
use rayon::prelude::*;
use simd::{Level, Simd, WithSimd};

/// Decay of the mean of the gradients, and of that of their squares.
const BETAS: [f32; 2] = [0.9, 0.999];
/// Added to the root of the mean square, as everywhere else in the field.
const EPSILON: f32 = 1e-8;
/// Values that a thread works on at once.
const CHUNK: usize = 1 << 14;

/// AdamW (Loshchilov and Hutter 2019) with the usual β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
///
/// It gives the bits of [`burn::optim::AdamW`]. On a flex device it works on every core, and in place where it is the only owner of
/// the tensors; elsewhere, and in the first step of a tensor, Burn does it.
#[derive(Clone)]
pub struct AdamW {
    weight_decay: f32,
    of_burn: OfBurn,
}

impl AdamW {
    /// With a weight decay, which the learning rate multiplies.
    #[must_use]
    pub fn new(weight_decay: f32) -> Self {
        let [beta_1, beta_2] = BETAS;
        let config = AdamWConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(EPSILON);
        Self { weight_decay, of_burn: config.with_weight_decay(weight_decay).build() }
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        value: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let Some(AdamWState { momentum: AdaptiveMomentumState { time, moment_1, moment_2, .. } }) = state else {
            return self.of_burn.step(rate, value, gradient, None);
        };
        let state =
            |time, moment_1, moment_2| Some(AdamWState::new(AdaptiveMomentumState::new(time, moment_1, moment_2)));
        let mut tensors = [value, moment_1, moment_2, gradient].map(Tensor::into_dispatch);
        let lengths = tensors.each_ref().map(|tensor| flex(tensor).map(<[f32]>::len));
        if lengths[0].is_none() || lengths.iter().any(|length| *length != lengths[0]) {
            let [value, moment_1, moment_2, gradient] = tensors.map(Tensor::from_dispatch);
            return self.of_burn.step(rate, value, gradient, state(time, moment_1, moment_2));
        }
        let time = time + 1;
        let pass = Pass {
            rate: rate as f32,
            decay: (1.0 - rate * f64::from(self.weight_decay)) as f32,
            corrections: BETAS.map(|beta| 1.0 - beta.powi(time as i32)),
        };
        let [value, moment_1, moment_2, gradient] = &mut tensors;
        pass.over(flex_mut(value), [flex_mut(moment_1), flex_mut(moment_2)], flex(gradient).unwrap_or_default());
        let [value, moment_1, moment_2, _] = tensors.map(Tensor::from_dispatch);
        (value, state(time, moment_1, moment_2))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        OfBurn::to_device(state, device)
    }
}

/// The values of a tensor of a flex device that are all of its memory, in order.
fn flex(tensor: &DispatchTensor) -> Option<&[f32]> {
    match &tensor.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) if is_all(tensor) => Some(tensor.storage()),
        _ => None,
    }
}

/// The same, to be changed; other owners of the memory do not see it. Empty where [`flex`] gives none.
fn flex_mut(tensor: &mut DispatchTensor) -> &mut [f32] {
    match &mut tensor.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) if is_all(tensor) => tensor.storage_mut(),
        _ => &mut [],
    }
}

fn is_all(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F32
        && tensor.layout().contiguous_offsets() == Some((0, tensor.bytes().len() / size_of::<f32>()))
}

/// A step, over all values of a tensor.
#[derive(Clone, Copy)]
struct Pass {
    /// Learning rate.
    rate: f32,
    /// What the weight decay leaves of a value.
    decay: f32,
    /// What the moments are divided by, as they began with zero.
    corrections: [f32; 2],
}

impl Pass {
    fn over(self, value: &mut [f32], [moment_1, moment_2]: [&mut [f32]; 2], gradient: &[f32]) {
        let level = Level::current();
        let chunks = value.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        let moments = moment_1.par_chunks_mut(CHUNK).zip(moment_2.par_chunks_mut(CHUNK));
        chunks.zip(moments).for_each(|((value, gradient), (moment_1, moment_2))| {
            level.dispatch(Chunk { pass: self, value, moment_1, moment_2, gradient });
        });
    }
}

struct Chunk<'a> {
    pass: Pass,
    value: &'a mut [f32],
    moment_1: &'a mut [f32],
    moment_2: &'a mut [f32],
    gradient: &'a [f32],
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pass: Pass { rate, decay, corrections }, value, moment_1, moment_2, gradient } = self;
        let ([beta_1, beta_2], [correction_1, correction_2]) = (BETAS, corrections);
        let moments = moment_1.iter_mut().zip(moment_2);
        for ((value, &gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
            // Each operation rounds, as Burn's do.
            *first = *first * beta_1 + gradient * (1.0 - beta_1);
            *second = *second * beta_2 + gradient * gradient * (1.0 - beta_2);
            let delta = *first / correction_1 / ((*second / correction_2).sqrt() + EPSILON);
            *value = *value * decay - delta * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::testing::{Rng, values};

    /// Longer than a chunk, and no multiple of a vector.
    const SHAPE: [usize; 2] = [3, CHUNK / 2 + 5];

    fn draw(rng: &mut Rng, scale: f64, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (0..SHAPE[0] * SHAPE[1]).map(|_| (rng.normal() * scale) as f32).collect();
        Tensor::from_data(TensorData::new(values, SHAPE), device)
    }

    /// Bits of the value and of both moments after each of five steps.
    fn steps(optimiser: &impl Optimizer<State<2> = AdamWState<2>>, device: &Device) -> Vec<[Vec<u32>; 3]> {
        let mut rng = Rng::new(7);
        let bits = |tensor: &Tensor<2>| values(tensor.clone()).into_iter().map(f32::to_bits).collect();
        let (mut value, mut state) = (draw(&mut rng, 1.0, device), None);
        (1..=5)
            .map(|step| {
                let gradient = draw(&mut rng, 0.1f64.powi(step), device);
                let (next, moved) = optimiser.step(0.1 / f64::from(step), value.clone(), gradient, state.take());
                (value, state) = (next, moved);
                let momentum = &state.as_ref().unwrap().momentum;
                assert_eq!(momentum.time, step as usize);
                [bits(&value), bits(&momentum.moment_1), bits(&momentum.moment_2)]
            })
            .collect()
    }

    #[test]
    #[expect(deprecated, reason = "burn-ndarray is on its way out; it is the other device")]
    fn it_gives_the_bits_of_burn() {
        let (flex, ndarray) = (Device::flex(), Device::ndarray());
        for weight_decay in [0.0, 0.05] {
            let of_burn = AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(weight_decay).build();
            let expected = steps(&of_burn, &flex);
            assert_eq!(steps(&AdamW::new(weight_decay), &flex), expected);
            assert_eq!(steps(&AdamW::new(weight_decay), &ndarray), steps(&of_burn, &ndarray));
            let narrow = Level::available()[0];
            assert_eq!(simd::with_level(narrow, || steps(&AdamW::new(weight_decay), &flex)), expected);
        }
    }

    #[test]
    fn it_writes_in_place_only_as_the_only_owner() {
        let device = Device::flex();
        let mut rng = Rng::new(8);
        let mut draw = || draw(&mut rng, 1.0, &device);
        let adamw = AdamW::new(0.01);
        let (value, state) = adamw.step(0.1, draw(), draw(), None);
        let before = values(value.clone());
        let (next, state) = adamw.step(0.1, value.clone(), draw(), state);
        assert_eq!(values(value), before);
        let address = |tensor: &Tensor<2>| flex(&tensor.clone().into_dispatch()).unwrap().as_ptr();
        let before = address(&next);
        let (next, _) = adamw.step(0.1, next, draw(), state);
        assert_eq!(address(&next), before);
    }

    #[test]
    fn a_tensor_of_another_layout_is_left_to_burn() {
        let device = Device::flex();
        let mut rng = Rng::new(9);
        let mut draw = || draw(&mut rng, 1.0, &device);
        let (value, gradient, again) = (draw(), draw(), draw());
        let run = |turn: fn(Tensor<2>) -> Tensor<2>| {
            let adamw = AdamW::new(0.01);
            let (value, state) = adamw.step(0.1, value.clone(), gradient.clone(), None);
            values(adamw.step(0.1, value, turn(again.clone()), state).0)
        };
        assert_eq!(run(|tensor| tensor), run(|tensor| (tensor.transpose() * 1.0).transpose()));
    }
}
