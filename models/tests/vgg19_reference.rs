//! The network against PyTorch, its gradients against PyTorch's, and its bits against itself.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use models::vgg19::{
    BLOCKS, BackboneWeights, Backend, Block, ConvLayer, ConvWeights, Head, HeadParameters, Statistic, Vgg19Config,
    activations, channels, embed, no_normalisation,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// `golden/vgg19_reference.py`, which says what is in it.
const GOLDEN: &[u8] = include_bytes!("golden/vgg19/reference.safetensors");
/// Largest difference from PyTorch, as [`difference`] measures it.
const TOLERANCE: f64 = 1e-4;
const N_CLASSES: usize = 4;
const PART: Range<usize> = 7..19;
const LABELS: [i64; 2] = [1, 3];

/// Every device that this program was built for, opened.
fn devices() -> Vec<(Backend, Device)> {
    let mut backends = vec![Backend::Flex, Backend::Ndarray];
    if cfg!(feature = "wgpu") {
        backends.push(Backend::Wgpu);
    }
    let open = |backend: Backend| (backend, backend.open().expect("a device that this program was built for"));
    backends.into_iter().map(open).collect()
}

/// The largest `|a − b|` of two lists, divided by the largest `|b|`.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |largest, b| largest.max(f64::from(b.abs())));
    // `max` passes over a NaN; this does not.
    let worst = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
    worst.fold(0.0_f64, |worst, d| if d > worst || d.is_nan() { d } else { worst }) / largest
}

fn check(backend: Backend, what: &str, found: &[f32], expected: &[f32], tolerance: f64) {
    let difference = difference(found, expected);
    println!("{backend}: {what} differs by {difference:.1e} of the largest value");
    assert!(difference < tolerance, "{backend}: {what} differs by {difference:.1e} of the largest value");
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

fn stored(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect(name);
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// `draws` of the script.
fn draws(seed: u32, width: i32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let draw = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((i32::try_from(state >> 16).expect("16 bits") - 32_768) * width) as f32 / 4_194_304.0
    };
    (0..n).map(draw).collect()
}

/// The weights of the script, by way of a file.
fn golden_weights() -> BackboneWeights {
    let width = |layer: &ConvLayer| match layer.in_channels {
        3 => 60,
        64 => 13,
        _ => 9,
    };
    let bytes = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let tensors = BLOCKS[..2].iter().copied().flatten().flat_map(|layer| {
        let ConvLayer { index, in_channels, out_channels } = *layer;
        let seed = u32::try_from(index).expect("small");
        let weight = draws(100 + seed, width(layer), out_channels * in_channels * 9);
        let bias = draws(200 + seed, 8, out_channels);
        [
            (format!("features.{index}.weight"), vec![out_channels, in_channels, 3, 3], bytes(weight)),
            (format!("features.{index}.bias"), vec![out_channels], bytes(bias)),
        ]
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a shape that fits"))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    std::fs::write(&path, safetensors::serialize(views, None).expect("bytes")).expect("written");
    BackboneWeights::read(&path, 2).expect("weights")
}

fn golden_config() -> Vgg19Config {
    Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![1, 2],
        statistics: vec![Statistic::Average, Statistic::Maximum, Statistic::Deviation],
        log_covariance: None,
        n_classes: N_CLASSES,
    }
}

fn golden_head() -> HeadParameters {
    let dim = golden_config().embedding_dim();
    assert_eq!(dim, 3 * (64 + 128));
    HeadParameters {
        mean: draws(301, 32, dim),
        scale: draws(302, 16, dim).into_iter().map(|value| value + 0.25).collect(),
        weight: draws(303, 32, dim * N_CLASSES),
        bias: draws(304, 32, N_CLASSES),
    }
}

/// The first `n` inputs of the script; their height and width are not even.
fn golden_input(n: usize, device: &Device) -> Tensor<4> {
    let values = draws(1, 256, n * 3 * 20 * 27);
    Tensor::from_data(TensorData::new(values, [n, 3, 20, 27]), device)
}

#[test]
fn two_blocks_and_a_head_give_what_pytorch_gives() {
    let file = SafeTensors::deserialize(GOLDEN).expect("the golden values");
    let (config, weights) = (golden_config(), golden_weights());
    for (backend, device) in devices() {
        let mut network = config.init(&weights, &device).expect("a network");
        network.head = golden_head().head(&device);
        let given = network.activations(golden_input(1, &device));
        assert_eq!(given[0].dims(), [1, 64, 10, 13]);
        assert_eq!(given[1].dims(), [1, 128, 5, 6]);
        let whole = embed(&config, &given, None);
        let part = embed(&config, &given, Some(PART));
        let logits = network.head.forward(whole.clone());
        let found = [
            ("block1", values(given[0].clone())),
            ("block2", values(given[1].clone())),
            ("embedding", values(whole)),
            ("embedding_part", values(part)),
            ("logits", values(logits)),
        ];
        for (what, found) in found {
            check(backend, what, &found, &stored(&file, what), TOLERANCE);
        }
        // The range of all frames is no range; and of a range between two columns, one column is taken.
        let same = embed(&config, &given, Some(0..27));
        assert_eq!(values(same), values(embed(&config, &given, None)), "{backend}");
        let [narrow, column] = [25..26, 24..28].map(|frames| values(embed(&config, &given, Some(frames))));
        assert_eq!(narrow[..64], column[..64], "{backend}: column 12 of 13");
    }
}

/// The loss of a batch, mean over its clips.
fn cross_entropy(logits: Tensor<2>, labels: &[i64], device: &Device) -> Tensor<1> {
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels.to_vec(), [labels.len()]), device);
    log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).mean().neg()
}

/// Loss and gradients of one batch, as training computes them: blocks and head are leaves, the input is not.
struct Step {
    loss: f32,
    convs: Vec<(ConvLayer, Vec<f32>, Vec<f32>)>,
    /// Row-major `[dim, n_classes]`.
    head_weight: Vec<f32>,
    head_bias: Vec<f32>,
}

fn step(
    config: &Vgg19Config,
    weights: &BackboneWeights,
    head: &HeadParameters,
    x: Tensor<4>,
    labels: &[i64],
    device: &Device,
) -> Step {
    fn leaf<const D: usize>(param: &Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_inner(param.val()).require_grad())
    }
    let mut network = config.init(weights, device).expect("a network");
    let blocks: Vec<Block> = std::mem::take(&mut network.blocks)
        .into_iter()
        .map(|mut block| {
            for conv in &mut block.convs {
                conv.weight = leaf(&conv.weight);
                conv.bias = leaf(&conv.bias);
            }
            block
        })
        .collect();
    let mut head: Head = head.head(device);
    head.mean = Tensor::from_inner(head.mean);
    head.scale = Tensor::from_inner(head.scale);
    head.linear.weight = leaf(&head.linear.weight);
    head.linear.bias = head.linear.bias.as_ref().map(leaf);
    let given = activations(&blocks, Tensor::from_inner(x));
    let logits = head.forward(embed(config, &given, None));
    let loss = cross_entropy(logits, labels, &device.clone().autodiff());
    let gradients = loss.backward();
    let layers = weights.convs().iter().map(|conv| conv.layer);
    let convs = blocks.iter().flat_map(|block| &block.convs).zip(layers).map(|(conv, layer)| {
        let weight = conv.weight.val().grad(&gradients).expect("a gradient");
        let bias = conv.bias.val().grad(&gradients).expect("a gradient");
        (layer, values(weight), values(bias))
    });
    Step {
        convs: convs.collect(),
        head_weight: values(head.linear.weight.val().grad(&gradients).expect("a gradient")),
        head_bias: values(head.linear.bias.as_ref().expect("a bias").val().grad(&gradients).expect("a gradient")),
        loss: values(loss.inner())[0],
    }
}

#[test]
fn gradients_are_those_of_pytorch() {
    let file = SafeTensors::deserialize(GOLDEN).expect("the golden values");
    for (backend, device) in devices() {
        let x = golden_input(2, &device);
        let step = step(&golden_config(), &golden_weights(), &golden_head(), x, &LABELS, &device);
        check(backend, "the loss", &[step.loss], &stored(&file, "loss"), TOLERANCE);
        for (ConvLayer { index, .. }, weight, bias) in step.convs {
            let name = format!("grad.features.{index}");
            let length = weight.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt() as f32;
            let compare = |part: &str, found: &[f32]| {
                let name = format!("{name}.{part}");
                check(backend, &name, found, &stored(&file, &name), TOLERANCE);
            };
            compare("weight.length", &[length]);
            let weight: Vec<_> = weight.into_iter().step_by(if index == 0 { 1 } else { 97 }).collect();
            compare("weight", &weight);
            compare("bias", &bias);
        }
        // PyTorch's is `[n_classes, dim]`.
        let dim = step.head_weight.len() / N_CLASSES;
        let turned: Vec<_> = (0..N_CLASSES)
            .flat_map(|class| (0..dim).map(move |i| i * N_CLASSES + class))
            .map(|i| step.head_weight[i])
            .collect();
        check(backend, "the head's weight", &turned, &stored(&file, "grad.head.weight"), TOLERANCE);
        check(backend, "the head's bias", &step.head_bias, &stored(&file, "grad.head.bias"), TOLERANCE);
    }
}

/// The file of that name in `weights` of the shared folder (`TONEARM_SHARED`, else `shared` beside the clone), or `None`,
/// said on stderr.
fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TONEARM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = folder.join("weights").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: no {} (TONEARM_SHARED names another folder)", path.display());
    None
}

/// The public weights, all five blocks. The references were computed by another program from the weights before they were
/// rounded to 16 bits, which is most of the difference.
#[test]
fn the_imagenet_weights_give_the_reference_activations() {
    let weights = shared("vgg19_imagenet_conv.f16.safetensors");
    let reference = shared("vgg19_reference_activations.safetensors");
    let (Some(weights), Some(reference)) = (weights, reference) else { return };
    let weights = BackboneWeights::read(&weights, 5).expect("weights");
    let bytes = std::fs::read(reference).expect("read");
    let file = SafeTensors::deserialize(&bytes).expect("the reference");
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![5],
        statistics: vec![Statistic::Average],
        log_covariance: None,
        n_classes: 2,
    };
    for (backend, device) in devices() {
        let network = config.init(&weights, &device).expect("a network");
        let x = Tensor::<4>::from_data(TensorData::new(stored(&file, "x"), [2, 3, 224, 224]), &device);
        // After the ReLU, the upper left corner.
        let conv1_1 = network.blocks[0].convs[0].forward(x.clone());
        assert_eq!(conv1_1.dims(), [2, 64, 224, 224]);
        let corner = conv1_1.narrow(2, 0, 8).narrow(3, 0, 8);
        check(backend, "conv1_1", &values(corner), &stored(&file, "conv1_1"), 1e-3);
        let pool5 = network.activations(x).pop().expect("five blocks");
        assert_eq!(pool5.dims(), [2, channels(5), 7, 7]);
        check(backend, "pool5", &values(pool5), &stored(&file, "pool5"), 1e-3);
    }
}

/// Random weights of the first `blocks` blocks, with biases.
fn random_weights(blocks: usize) -> BackboneWeights {
    let mut uniform = draws(5, 64, 1 << 16).into_iter().cycle();
    let mut normal = || (0..4).filter_map(|_| uniform.next()).map(f64::from).sum::<f64>() * 3.0_f64.sqrt();
    let weights = BackboneWeights::random(blocks, &mut normal);
    let with_bias = |conv: &ConvWeights| {
        let seed = u32::try_from(conv.layer.index).expect("small");
        ConvWeights { bias: draws(400 + seed, 4, conv.bias.len()), ..conv.clone() }
    };
    weights.with(weights.convs().iter().map(with_bias).collect())
}

/// What `compute` gives in pools of 1, 2 and 3 threads, and a second time in the last.
fn in_pools<T: Send>(compute: impl Fn() -> T + Sync) -> Vec<T> {
    [1, 2, 3, 3]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(&compute))
        .into_iter()
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn embeddings_have_the_same_bits_for_any_number_of_threads() {
    let weights = random_weights(4);
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![3, 4],
        statistics: vec![Statistic::Average, Statistic::Maximum, Statistic::Deviation],
        log_covariance: None,
        n_classes: 2,
    };
    let device = Backend::Flex.open().expect("the CPU");
    let network = config.init(&weights, &device).expect("a network");
    let x = draws(9, 128, 3 * 128 * 344);
    let runs = in_pools(|| {
        let x = Tensor::<4>::from_data(TensorData::new(x.clone(), [1, 3, 128, 344]), &device);
        let given = network.activations(x);
        bits(&values(Tensor::cat(vec![embed(&config, &given, None), embed(&config, &given, Some(100..228))], 0)))
    });
    assert_eq!(runs[0].len(), 2 * config.embedding_dim());
    let alive = runs[0].iter().filter(|&&bits| f32::from_bits(bits) > 0.01).count();
    assert!(alive > runs[0].len() / 2, "{alive} of {} values are alive", runs[0].len());
    for run in &runs[1..] {
        assert!(*run == runs[0]);
    }
}

#[test]
fn gradients_have_the_same_bits_for_any_number_of_threads() {
    let weights = random_weights(4);
    let config = Vgg19Config {
        normalisations: no_normalisation(),
        pooled_blocks: vec![4],
        statistics: vec![Statistic::Deviation],
        log_covariance: None,
        n_classes: N_CLASSES,
    };
    let dim = config.embedding_dim();
    let head = HeadParameters {
        mean: draws(501, 32, dim),
        scale: vec![1.0; dim],
        weight: draws(503, 32, dim * N_CLASSES),
        bias: vec![0.0; N_CLASSES],
    };
    let device = Backend::Flex.open().expect("the CPU");
    let x = draws(9, 128, 3 * 64 * 64);
    let runs = in_pools(|| {
        let x = Tensor::from_data(TensorData::new(x.clone(), [1, 3, 64, 64]), &device);
        let Step { loss, convs, head_weight, head_bias } = step(&config, &weights, &head, x, &LABELS[..1], &device);
        let convs = convs.into_iter().flat_map(|(_, weight, bias)| [weight, bias]);
        bits(&convs.chain([head_weight, head_bias, vec![loss]]).flatten().collect::<Vec<_>>())
    });
    let moving = runs[0].iter().filter(|&&bits| f32::from_bits(bits) != 0.0).count();
    assert!(moving > runs[0].len() / 2, "{moving} of {} gradients are not 0", runs[0].len());
    for run in &runs[1..] {
        assert!(*run == runs[0]);
    }
}
