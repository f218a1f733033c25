//! Convolutions that do not come from a file: random ones, and changed ones.

use std::path::Path;

use half::f16;
use sha2::{Digest as _, Sha256};

use super::{BLOCKS, BackboneWeights, ConvLayer, ConvWeights};
use crate::Result;

impl BackboneWeights {
    /// The convolutions of the first blocks, from the input on.
    fn new(convs: Vec<ConvWeights>) -> Self {
        let mut digest = Sha256::new();
        for ConvWeights { layer: ConvLayer { index, in_channels, out_channels }, weight, bias } in &convs {
            super::note(&mut digest, &format!("features.{index}.weight"), &[*out_channels, *in_channels, 3, 3], weight);
            super::note(&mut digest, &format!("features.{index}.bias"), &[*out_channels], bias);
        }
        Self { convs, digest: super::hex(digest) }
    }

    /// Reads the tensors of an artifact.
    pub(in crate::vgg19) fn from_bytes(bytes: &[u8], blocks: usize) -> Result<Self> {
        let name = Path::new(crate::artifact::WEIGHTS);
        Self::from_safetensors(name, std::io::Cursor::new(bytes), bytes.len() as u64, blocks)
    }

    /// Convolutions that know nothing, of the first `blocks` blocks (1 to 5): weights of mean 0 and variance
    /// `2 / (9 · out_channels)`, as torchvision begins (He et al. 2015, fan-out), rounded to 16-bit floats; biases of 0.
    ///
    /// `normal` gives draws of the standard normal distribution.
    #[must_use]
    pub fn random(blocks: usize, mut normal: impl FnMut() -> f64) -> Self {
        let mut conv = |&layer: &ConvLayer| {
            let ConvLayer { in_channels, out_channels, .. } = layer;
            let deviation = libm::sqrt(2.0 / (9.0 * out_channels as f64));
            let weight = (0..out_channels * in_channels * 9).map(|_| half(normal() * deviation)).collect();
            ConvWeights { layer, weight, bias: vec![0.0; out_channels] }
        };
        Self::new(BLOCKS.iter().take(blocks).copied().flatten().map(&mut conv).collect())
    }

    /// Every value rounded to the nearest 16-bit float.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let round = |values: &[f32]| values.iter().map(|&value| half(value.into())).collect();
        let conv = |conv: &ConvWeights| ConvWeights {
            layer: conv.layer,
            weight: round(&conv.weight),
            bias: round(&conv.bias),
        };
        Self::new(self.convs.iter().map(conv).collect())
    }

    /// With `others` in place of the convolutions that stand where they do.
    #[must_use]
    pub fn with(&self, others: Vec<ConvWeights>) -> Self {
        let mut convs = self.convs.clone();
        for other in others {
            if let Some(conv) = convs.iter_mut().find(|conv| conv.layer == other.layer) {
                *conv = other;
            }
        }
        Self::new(convs)
    }
}

/// The nearest 16-bit float; the largest there is for what is beyond it.
fn half(value: f64) -> f32 {
    let largest = f64::from(f16::MAX.to_f32());
    f16::from_f64(value.clamp(-largest, largest)).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_weights_have_the_variance_that_keeps_signals_alive() {
        let mut state = 1u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        // The sum of twelve draws is as good a normal as is needed here.
        let weights = BackboneWeights::random(2, move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0);
        assert_eq!(weights.convs().len(), 4);
        let values = &weights.convs()[3].weight;
        let variance = values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64;
        assert!((variance * 9.0 * 128.0 / 2.0 - 1.0).abs() < 0.02, "{variance}");
        assert_eq!(weights.rounded(), weights, "they are 16-bit floats");
        assert_eq!(weights.with(vec![weights.convs()[1].clone()]).digest(), weights.digest());
        let mut other = weights.convs()[1].clone();
        other.bias[3] = 1.0;
        assert_ne!(weights.with(vec![other]).digest(), weights.digest());
    }
}
