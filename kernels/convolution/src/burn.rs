//! The extension of Burn's flex backend: [`conv_relu`] for any device, by the kernels of this crate on flex, and [`Conv3x3`], a module of it.

#[cfg(feature = "autodiff")]
mod autodiff;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::{
    backend::{Backend, Dispatch, DispatchTensorKind, Flex, backend_extension, tensor::FloatTensor},
    module::{Module, Param},
    tensor::{
        AllocationProperty, Bytes, DType, Shape, Tensor,
        activation::relu,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    },
};
use burn_flex::{FlexTensor, Layout};

use crate::{Epilogue, Filters, Images, Packed, Plan, Values, channels_last, convolve};

/// A 3 × 3 convolution with ReLU.
#[derive(Module, Debug)]
pub struct Conv3x3 {
    /// `[outputs, inputs, 3, 3]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    cache: FilterCache,
}

impl Conv3x3 {
    /// A convolution with these filters.
    #[must_use]
    pub fn new(weight: Param<Tensor<4>>, bias: Param<Tensor<1>>) -> Self {
        Self { weight, bias, cache: FilterCache::default() }
    }

    /// The convolution and ReLU.
    ///
    /// # Shapes
    /// - `x`: `[n, inputs, h, w]`
    /// - result: `[n, outputs, h, w]`
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv_relu(x, self.weight.val(), self.bias.val(), false, &self.cache)
    }

    /// The same, then the largest of each 2 × 2 positions.
    ///
    /// # Shapes
    /// - `x`: `[n, inputs, h, w]`
    /// - result: `[n, outputs, h / 2, w / 2]`, halves rounded down
    #[must_use]
    pub fn forward_pooled(&self, x: Tensor<4>) -> Tensor<4> {
        conv_relu(x, self.weight.val(), self.bias.val(), true, &self.cache)
    }
}

/// Filters that were packed for a call, for the next one with the same weights.
///
/// The weights are known by their memory, which is held too, so that no owner writes to it in place meanwhile. Clones share the cache.
#[derive(Clone, Debug, Default)]
pub struct FilterCache(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    weights: Arc<Bytes>,
    plan: Plan,
    packed: Arc<Packed>,
}

impl FilterCache {
    fn packed(&self, weights: &Weights, plan: Plan) -> Arc<Packed> {
        let find = |entries: &mut Vec<Entry>| {
            entries.retain(|entry| Arc::ptr_eq(&entry.weights, &weights.memory));
            entries.iter().find(|entry| entry.plan == plan).map(|entry| Arc::clone(&entry.packed))
        };
        if let Some(packed) = find(&mut self.entries()) {
            return packed;
        }
        // Without the lock: while a thread waits for its part of this it may begin another call that comes here.
        let packed = Arc::new(Packed::new(weights.filters(), plan));
        let mut entries = self.entries();
        // Another thread may have been as quick.
        find(&mut entries).unwrap_or_else(|| {
            entries.push(Entry { weights: Arc::clone(&weights.memory), plan, packed: Arc::clone(&packed) });
            packed
        })
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `max(0, x ∗ weight + bias)` with a border of one zero, then, where `pool` says so, the largest of each 2 × 2 positions.
///
/// On a flex device, this crate's kernels compute it in `f32`, and give a tensor with channels last in memory. Elsewhere Burn does.
///
/// # Shapes
/// - `x`: `[n, inputs, h, w]`
/// - `weight`: `[outputs, inputs, 3, 3]`
/// - `bias`: `[outputs]`
/// - result: `[n, outputs, h, w]`, pooled `[n, outputs, h / 2, w / 2]`, halves rounded down
#[must_use]
pub fn conv_relu(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, pool: bool, cache: &FilterCache) -> Tensor<4> {
    let f32s = [x.dtype(), weight.dtype(), bias.dtype()] == [DType::F32; 3];
    let [_, _, height, width] = weight.dims();
    let x = x.into_dispatch();
    if f32s && (height, width) == (3, 3) && is_flex(&x.kind) {
        let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as ConvRelu>::conv_relu(x, weight, bias, pool, cache.clone()));
    }
    let y = relu(conv2d(Tensor::from_dispatch(x), weight, Some(bias), ConvOptions::new([1, 1], [1, 1], [1, 1], 1)));
    if pool { max_pool2d(y, MaxPoolOptions::new([2, 2])) } else { y }
}

fn is_flex(kind: &DispatchTensorKind) -> bool {
    #[cfg(feature = "autodiff")]
    if let DispatchTensorKind::Autodiff(inner) = kind {
        return is_flex(inner);
    }
    matches!(kind, DispatchTensorKind::Flex(_))
}

/// What a backend must have for [`conv_relu`].
#[cfg_attr(not(feature = "autodiff"), backend_extension(Flex))]
#[cfg_attr(feature = "autodiff", backend_extension(Flex, Autodiff))]
trait ConvRelu: Backend {
    fn conv_relu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pool: bool,
        cache: FilterCache,
    ) -> FloatTensor<Self>;
}

impl ConvRelu for Flex {
    fn conv_relu(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, pool: bool, cache: FilterCache) -> FlexTensor {
        let (x, weight) = (ChannelsLast::of(&x), Weights::of(&weight));
        let packed = cache.packed(&weight, Plan::choose(x.size(), weight.outputs, weight.inputs));
        run(&x, &packed, &bias, pool, false).0
    }
}

fn run(x: &ChannelsLast, packed: &Packed, bias: &FlexTensor, pool: bool, training: bool) -> (FlexTensor, Vec<u8>) {
    let epilogue = Epilogue { relu: true, pool };
    let bias = bias.to_contiguous();
    let bias = bias.as_slice::<f32>().unwrap_or_default();
    let outputs = convolve(x.images(), packed, bias, epilogue, training);
    let [n, h, w, _] = x.shape;
    (channels_first(outputs.values, [n, epilogue.size(h), epilogue.size(w), packed.outputs()]), outputs.argmax)
}

/// The memory of values. Memory of a pool goes back to it with the last tensor that holds it, and a write goes to a copy.
fn memory(values: Values) -> Bytes {
    if values.is_from_pool() {
        Bytes::from_shared(bytes::Bytes::from_owner(values), AllocationProperty::Native)
    } else {
        Bytes::from_elems(values.into_vec())
    }
}

/// A tensor of contiguous values.
fn tensor(values: Bytes, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::new(values, Layout::contiguous(Shape::from(shape)), DType::F32)
}

/// The tensor `[n, c, h, w]` of values in the order `[n][h][w][c]`.
fn channels_first(values: Values, [n, h, w, c]: [usize; 4]) -> FlexTensor {
    let strides = [h * w * c, 1, w * c, c].map(|stride| stride as isize);
    tensor(memory(values), vec![n, h, w, c]).with_layout(Layout::new(
        Shape::from(vec![n, c, h, w]),
        strides.to_vec(),
        0,
    ))
}

/// A tensor `[n, c, h, w]` whose values lie in the order `[n][h][w][c]`.
#[derive(Clone, Debug)]
struct ChannelsLast {
    tensor: FlexTensor,
    /// `[n, h, w, c]`.
    shape: [usize; 4],
}

impl ChannelsLast {
    /// Of any tensor of four dimensions; turns it where it lies otherwise.
    fn of(tensor: &FlexTensor) -> Self {
        let [n, c, h, w] = std::array::from_fn(|dim| tensor.layout().shape()[dim]);
        let shape = [n, h, w, c];
        let turned = tensor.permute(&[0, 2, 3, 1]);
        if turned.as_slice::<f32>().is_some() {
            return Self { tensor: turned, shape };
        }
        let contiguous = tensor.to_contiguous();
        let values = channels_last(contiguous.as_slice::<f32>().unwrap_or_default(), n, c, h * w);
        Self { tensor: self::tensor(Bytes::from_elems(values), shape.to_vec()), shape }
    }

    fn values(&self) -> &[f32] {
        self.tensor.as_slice::<f32>().unwrap_or_default()
    }

    fn images(&self) -> Images<'_> {
        Images::new(self.values(), self.shape)
    }

    /// Images, rows, columns.
    fn size(&self) -> [usize; 3] {
        let [n, h, w, _] = self.shape;
        [n, h, w]
    }
}

/// Filters `[outputs, inputs, 3, 3]`.
#[derive(Clone, Debug)]
struct Weights {
    tensor: FlexTensor,
    memory: Arc<Bytes>,
    outputs: usize,
    inputs: usize,
}

impl Weights {
    fn of(tensor: &FlexTensor) -> Self {
        let [outputs, inputs] = std::array::from_fn(|dim| tensor.layout().shape()[dim]);
        let tensor = tensor.to_contiguous();
        Self { memory: tensor.data_arc(), tensor, outputs, inputs }
    }

    fn filters(&self) -> Filters<'_> {
        Filters::new(self.tensor.as_slice::<f32>().unwrap_or_default(), self.outputs, self.inputs)
    }
}
