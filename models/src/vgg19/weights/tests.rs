//! Files of the first block alone, which are small; their values are those of `tests/golden/vgg19_weights.py`.

use std::path::PathBuf;

use features::FeatureSpec;
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

use super::*;
use crate::artifact::{DataDescription, Draft, set_current};

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// Value `i` of tensor `k`, which float16 and bfloat16 hold exactly.
fn value(k: usize, i: usize) -> f32 {
    ((37 * i + 11 * k) % 251) as f32 / 256.0 - 125.0 / 256.0
}

fn encode(dtype: Dtype, value: f32) -> Vec<u8> {
    match dtype {
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::F32 => value.to_le_bytes().to_vec(),
        _ => f64::from(value).to_le_bytes().to_vec(),
    }
}

/// The first block, and a classifier of whole numbers.
fn tensors(dtype: Dtype) -> Vec<Tensor> {
    let shapes =
        [("0.weight", vec![64, 3, 3, 3]), ("0.bias", vec![64]), ("2.weight", vec![64, 64, 3, 3]), ("2.bias", vec![64])];
    let convs = shapes.into_iter().enumerate().map(|(k, (name, shape))| {
        let bytes = (0..shape.iter().product()).flat_map(|i| encode(dtype, value(k, i))).collect();
        (format!("features.{name}"), dtype, shape, bytes)
    });
    convs.chain([("classifier.0.weight".to_owned(), Dtype::I64, vec![2], vec![7; 16])]).collect()
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a shape that fits"))
    });
    safetensors::serialize(views, None).expect("bytes")
}

/// The block after a change.
fn changed(change: impl FnOnce(&mut Vec<Tensor>)) -> Vec<u8> {
    let mut tensors = tensors(Dtype::F32);
    change(&mut tensors);
    safetensors(&tensors)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vgg19").join(name)
}

fn read(bytes: &[u8], blocks: usize) -> Result<BackboneWeights> {
    let dir = TempDir::new().expect("a folder");
    // The name says nothing of the content.
    let path = dir.path().join("weights.bin");
    fs::write(&path, bytes).expect("writes");
    BackboneWeights::read(&path, blocks)
}

/// The message with which these bytes are refused; it names the file.
fn refusal(bytes: &[u8]) -> String {
    let message = read(bytes, 1).expect_err("refused").to_string();
    assert!(message.contains("weights.bin"), "{message}");
    message
}

/// Asserts that a message holds all of these.
fn says(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "`{part}` in: {message}"));
}

#[test]
fn the_table_is_configuration_e() {
    let (mut index, mut channels, mut layers) = (0, 3, Vec::new());
    for (n_convs, out_channels) in [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)] {
        for _ in 0..n_convs {
            layers.push(ConvLayer { index, in_channels: channels, out_channels });
            channels = out_channels;
            // The convolution and its ReLU.
            index += 2;
        }
        // The pooling.
        index += 1;
    }
    assert_eq!(BLOCKS.concat(), layers);
}

#[test]
fn the_same_values_give_the_same_weights_from_every_type() {
    let weights = read(&safetensors(&tensors(Dtype::F32)), 1).expect("reads");
    let [first, second] = weights.convs() else { panic!("two convolutions") };
    assert_eq!((first.layer, second.layer), (layer(0, 3, 64), layer(2, 64, 64)));
    for (k, values) in [&first.weight, &first.bias, &second.weight, &second.bias].into_iter().enumerate() {
        assert!(values.iter().enumerate().all(|(i, &found)| found == value(k, i)));
    }
    assert_eq!((first.weight.len(), first.bias.len(), second.weight.len(), second.bias.len()), (1728, 64, 36864, 64));
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let other = read(&safetensors(&tensors(dtype)), 1).expect("reads");
        assert!(other == weights, "{dtype}");
    }
    assert!(weights.digest().len() == 64 && weights.digest().bytes().all(|byte| byte.is_ascii_hexdigit()));
    let other = read(&changed(|tensors| tensors[3].3[0] ^= 1), 1).expect("reads");
    assert_ne!(other.digest(), weights.digest());
}

#[test]
fn every_container_of_pytorch_gives_the_same_weights() {
    let weights = read(&safetensors(&tensors(Dtype::F32)), 1).expect("reads");
    for name in ["block1.pth", "block1_legacy.pth", "block1_checkpoint.pth", "block1_module.pth"] {
        let other = BackboneWeights::read(&golden(name), 1).expect("reads");
        assert!(other == weights, "{name}");
    }
    let copy = read(&fs::read(golden("block1.pth")).expect("reads"), 1).expect("reads");
    assert_eq!(copy.digest(), weights.digest());
}

#[test]
fn names_of_checkpoints_are_understood_in_safetensors() {
    for prefix in ["module.", "model.", "model_state_dict.module."] {
        let bytes = changed(|tensors| tensors.iter_mut().for_each(|tensor| tensor.0.insert_str(0, prefix)));
        read(&bytes, 1).expect("reads");
    }
    let bytes = changed(|tensors| tensors.iter_mut().for_each(|tensor| tensor.0.insert_str(0, "other.")));
    says(&refusal(&bytes), &["`features.0.weight` is missing among the 5"]);
}

#[test]
fn other_networks_are_told_by_their_tensors() {
    let message = BackboneWeights::read(&golden("block1_bn.pth"), 1).expect_err("refused").to_string();
    says(&message, &["block1_bn.pth", "`features.1.running_mean`", "batch normalization"]);
    for (index, network) in [(3, "vgg11"), (15, "vgg13"), (17, "vgg16"), (40, "another")] {
        let bytes =
            changed(|tensors| tensors.push((format!("features.{index}.weight"), Dtype::F32, vec![1], vec![0; 4])));
        says(&refusal(&bytes), &[&format!("`features.{index}.weight`"), network]);
    }
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_or_type_is_named() {
    for index in 0..4 {
        let mut name = String::new();
        let bytes = changed(|tensors| name = tensors.remove(index).0);
        says(&refusal(&bytes), &[&format!("`{name}` is missing")]);

        let bytes = changed(|tensors| tensors[index].2.push(1));
        says(&refusal(&bytes), &[&format!("`{name}` is of shape"), ", 1], not [64"]);

        if index % 2 == 0 {
            let bytes = changed(|tensors| tensors[index].2[2..].copy_from_slice(&[1, 9]));
            says(&refusal(&bytes), &[&format!("`{name}` is of shape"), ", 1, 9], not [64"]);
        }

        let bytes = changed(|tensors| tensors[index].1 = Dtype::I32);
        says(&refusal(&bytes), &[&format!("`{name}` is of type I32")]);
    }
    let message = read(&changed(|_| {}), 2).expect_err("one block of two").to_string();
    says(&message, &["`features.5.weight` is missing"]);
    for blocks in [0, 6] {
        let message = read(&changed(|_| {}), blocks).expect_err("no such block").to_string();
        says(&message, &["5 blocks", &format!("not {blocks}")]);
    }
}

#[test]
fn values_that_are_not_finite_are_refused_with_their_place() {
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let bytes = changed(|tensors| {
            let at = 4 * (((5 * 64 + 63) * 3 + 2) * 3 + 1);
            tensors[2].3[at..at + 4].copy_from_slice(&value.to_le_bytes());
            // The first such value is named.
            tensors[2].3[at + 40..at + 44].copy_from_slice(&f32::NAN.to_le_bytes());
        });
        says(&refusal(&bytes), &["`features.2.weight` holds", text, "at [5, 63, 2, 1]"]);
    }
    let mut tensors = tensors(Dtype::F64);
    tensors[1].3[8..16].copy_from_slice(&1e300f64.to_le_bytes());
    says(&refusal(&safetensors(&tensors)), &["`features.0.bias` holds inf at [1]"]);
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let whole = safetensors(&tensors(Dtype::F16));
    for len in [9, 100, 600, whole.len() / 2, whole.len() - 1] {
        says(&refusal(&whole[..len]), &["is cut", &format!("it has {len};")]);
    }
    (1..9).for_each(|len| says(&refusal(&whole[..len]), &["holds no weights"]));
    for name in ["block1.pth", "block1_legacy.pth"] {
        let whole = fs::read(golden(name)).expect("reads");
        for len in (64..whole.len()).step_by(1999).chain([whole.len() - 1]) {
            says(&refusal(&whole[..len]), &["it is cut, or torch.save did not write it"]);
        }
    }
}

#[test]
fn a_file_longer_than_its_header_says_is_refused() {
    let mut bytes = safetensors(&tensors(Dtype::F16));
    bytes.push(0);
    says(&refusal(&bytes), &["though its header speaks of"]);
}

#[test]
fn lengths_that_a_file_claims_are_not_believed() {
    let mut bytes = safetensors(&tensors(Dtype::F16));
    bytes[..8].copy_from_slice(&(HEADER_LIMIT + 1).to_le_bytes());
    says(&refusal(&bytes), &["its header claims 1048577 bytes"]);
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    says(&refusal(&bytes), &["its header claims 18446744073709551615 bytes"]);

    let with_header = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    };
    let claim = |shape: &str, end: &str| {
        format!(r#"{{"features.0.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    says(&refusal(&with_header(&claim("[4611686018427387904]", "0"))), &["not a safetensors header"]);
    says(&refusal(&with_header(&claim("[1000000000000000]", "4000000000000000"))), &["is cut"]);
    says(&refusal(&with_header("{}")), &["`features.0.weight` is missing among the 0"]);
    says(&refusal(&with_header("{\u{1b}")), &["not a safetensors header"]);
    // The header's whole text does not come back in the message.
    assert!(refusal(&with_header(&format!(r#"{{"a":{{"dtype":"{}"}}}}"#, "X".repeat(1 << 19)))).len() < 1000);
}

#[test]
fn files_that_hold_no_weights_are_told_apart() {
    says(&refusal(b""), &["is empty"]);
    says(&refusal(b"import torch\n"), &["holds no weights", "safetensors"]);
    says(&refusal(b"\x89HDF\r\n\x1a\n and more"), &["HDF5"]);
    says(&refusal(b"version https://git-lfs.github.com/spec/v1\n"), &["Git LFS"]);
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    says(&refusal(&tar), &["tar archive"]);
    says(&refusal(b"PK\x03\x04 and nothing else"), &["torch.save did not write it"]);
    says(&refusal(b"\x80\x02}q\x00."), &["holds no weights"]);

    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("large.pth");
    File::create(&path).and_then(|file| file.set_len(FILE_LIMIT + 1)).expect("a file of holes");
    says(&BackboneWeights::read(&path, 1).expect_err("refused").to_string(), &["large.pth", "over 4294967296 bytes"]);
    let nowhere = BackboneWeights::read(&dir.path().join("none.pth"), 1).expect_err("refused");
    assert!(matches!(nowhere, Error::Io { .. }), "{nowhere}");
}

#[test]
fn a_flipped_bit_of_a_tensor_in_a_zip_is_found() {
    let mut bytes = fs::read(golden("block1.pth")).expect("reads");
    // The second convolution takes most of the file.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    says(&refusal(&bytes), &["`features.2.weight` cannot be read", "checksum"]);
}

#[test]
fn damage_never_panics() {
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let whole =
        ["block1.pth", "block1_legacy.pth", "block1_module.pth"].map(|name| fs::read(golden(name)).expect("reads"));
    let whole = whole.into_iter().chain([safetensors(&tensors(Dtype::F16))]);
    for whole in whole {
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..=random(4) {
                // What describes the tensors lies at both ends.
                let at = random(2000);
                let at = if random(2) == 0 { at } else { bytes.len() - 1 - at };
                bytes[at] = random(256) as u8;
            }
            let _ = read(&bytes, 1);
        }
    }
}

fn draft(model: &str) -> Draft {
    Draft {
        model: model.into(),
        labels: labels::LabelSet::from_names(["blues", "metal"]).expect("labels"),
        spec: FeatureSpec::gtzan_store(),
        training: serde_json::Value::Null,
        data: DataDescription { digest: "ab".repeat(32), description: "two clips".into(), clips: 2 },
        metrics: Vec::new(),
        weights: safetensors(&tensors(Dtype::F32)),
        metrics_json: b"{}\n".to_vec(),
        report_html: Vec::new(),
    }
}

#[test]
fn an_artifact_gives_its_convolutions_and_one_of_another_model_is_refused() {
    let root = TempDir::new().expect("a folder");
    let written = draft("vgg19").write(root.path()).expect("writes");
    let svm = draft("svm").write(root.path()).expect("writes");
    for (written, model) in [(&written, "vgg19"), (&svm, "svm")] {
        set_current(&root.path().join(model), &written.version).expect("in use");
    }
    let weights = read(&safetensors(&tensors(Dtype::F32)), 1).expect("reads");
    for path in [root.path(), &root.path().join("vgg19"), &written.dir] {
        assert!(BackboneWeights::read(path, 1).expect("reads") == weights, "{}", path.display());
    }
    let message = BackboneWeights::read(&written.dir, 2).expect_err("one block of two").to_string();
    says(&message, &["weights.safetensors", "`features.5.weight` is missing"]);
    for path in [&root.path().join("svm"), &svm.dir] {
        let message = BackboneWeights::read(path, 1).expect_err("refused").to_string();
        says(&message, &["artifact of the model `svm`, not `vgg19`", &svm.version]);
    }
}

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
