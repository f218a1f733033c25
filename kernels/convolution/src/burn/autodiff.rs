//! The gradients of [`ConvRelu`], by the kernels of this crate.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        tensor::FloatTensor,
    },
    tensor::Bytes,
};
use burn_flex::FlexTensor;

use super::{ChannelsLast, ConvRelu, FilterCache, Weights, channels_first, memory, run, tensor};
use crate::{
    Epilogue, Images, Packed, Plan, convolve, filter_gradient,
    gradient::{Saved, through_epilogue},
};

impl<C: CheckpointStrategy> ConvRelu for Autodiff<Flex, C> {
    fn conv_relu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pool: bool,
        cache: FilterCache,
    ) -> FloatTensor<Self> {
        match Differentiable.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x = ChannelsLast::of(x.primitive());
                let weight = Weights::of(weight.primitive());
                // They change before they are used again: caching gains nothing.
                let packed = Packed::new(weight.filters(), Plan::once(x.size(), weight.outputs, weight.inputs));
                let (output, argmax) = run(&x, &packed, bias.primitive(), pool, true);
                let saved =
                    if pool { SavedForward::Argmax(argmax.into()) } else { SavedForward::Output(output.clone()) };
                prep.finish(State { x, weight, saved }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::conv_relu(
                x.into_primitive(),
                weight.into_primitive(),
                bias.into_primitive(),
                pool,
                cache,
            )),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct Differentiable;

/// What the backward step needs of the forward step.
#[derive(Clone, Debug)]
struct State {
    x: ChannelsLast,
    weight: Weights,
    saved: SavedForward,
}

#[derive(Clone, Debug)]
enum SavedForward {
    Output(FlexTensor),
    Argmax(Arc<[u8]>),
}

impl Backward<Flex, 3> for Differentiable {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [of_x, of_weight, of_bias] = ops.parents;
        let State { x, weight, saved } = ops.state;
        let gradient = ChannelsLast::of(&grads.consume::<Flex>(&ops.node));
        let [n, h, w, inputs] = x.shape;
        let shape = [n, h, w, weight.outputs];
        let output;
        let saved = match &saved {
            SavedForward::Argmax(argmax) => Saved::MaxPool(argmax),
            SavedForward::Output(of_relu) => {
                output = ChannelsLast::of(of_relu);
                Saved::Relu(output.values())
            }
        };
        let (before, bias) = through_epilogue(gradient.values(), shape, saved);
        let before = Images::new(&before, shape);
        if let Some(node) = of_bias {
            grads.register::<Flex>(node.id, tensor(Bytes::from_elems(bias), vec![weight.outputs]));
        }
        if let Some(node) = of_weight {
            let gradient = filter_gradient(x.images(), before);
            grads.register::<Flex>(node.id, tensor(memory(gradient), vec![weight.outputs, weight.inputs, 3, 3]));
        }
        if let Some(node) = of_x {
            let packed = Packed::new(weight.filters().reversed(), Plan::once([n, h, w], inputs, weight.outputs));
            let gradient = convolve(before, &packed, &[], Epilogue::default(), true).values;
            grads.register::<Flex>(node.id, channels_first(gradient, x.shape));
        }
    }
}
