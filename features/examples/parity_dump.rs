//! Writes the descriptor set of an audio file for `experiments/parity/compare.py` to lay beside librosa's.
//!
//! ```text
//! cargo run --release -p features --example parity_dump -- AUDIO OUT.safetensors
//! cargo run --release -p features --example parity_dump -- --kaggle AUDIO…      # a line of JSON for each file
//! ```

#[path = "../tests/parity/librosa_set.rs"]
mod librosa_set;

use std::{collections::BTreeMap, error::Error, path::Path};

use features::{
    decode::{Limits, decode_file},
    descriptors::kaggle57,
};
use safetensors::{Dtype, serialize_to_file, tensor::TensorView};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--kaggle", files @ ..] => files.iter().try_for_each(|file| print_kaggle(file)),
        [audio, out] => write_set(audio, out),
        _ => Err("usage: parity_dump AUDIO OUT.safetensors | parity_dump --kaggle AUDIO…".into()),
    }
}

fn write_set(audio: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let clip = decode_file(Path::new(audio), &Limits::default())?.clip;
    let set = librosa_set::describe(clip.samples(), clip.sample_rate())?;
    let bytes: BTreeMap<_, (_, Vec<u8>)> = set
        .iter()
        .map(|(name, values)| (*name, (values.dim(), values.iter().flat_map(|v| v.to_le_bytes()).collect())))
        .collect();
    let tensors = bytes
        .iter()
        .map(|(name, ((rows, frames), data))| Ok((*name, TensorView::new(Dtype::F32, vec![*rows, *frames], data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(serialize_to_file(tensors, None, Path::new(out))?)
}

fn print_kaggle(audio: &str) -> Result<(), Box<dyn Error>> {
    let clip = decode_file(Path::new(audio), &Limits::default())?.clip;
    let values: serde_json::Map<_, _> =
        kaggle57::describe(&clip)?.into_iter().map(|(name, value)| (name, value.into())).collect();
    println!("{}", serde_json::json!({ "file": audio, "values": values }));
    Ok(())
}
