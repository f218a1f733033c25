//! The header of a safetensors file, read without its data and written for data that are streamed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use safetensors::tensor::{Dtype, Metadata};
use serde_json::json;

use crate::{Error, Result};

/// Longest header that is read, in bytes. Ours have a few kilobytes.
const MAX_HEADER: u64 = 16 << 20;

/// Reads and checks the header: tensors follow each other without holes and end where the file ends. Returns it with
/// the offset of the data in the file.
pub(super) fn read(file: &mut File, path: &Path) -> Result<(Metadata, u64)> {
    let bad = |problem: String| Error::store(path, problem);
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length < 8 {
        return Err(bad(format!("it has {length} bytes, not even the 8 that say how long its header is")));
    }
    let mut announced = [0; 8];
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read", path))?;
    file.read_exact(&mut announced).map_err(Error::io("read", path))?;
    let header_length = u64::from_le_bytes(announced);
    if header_length > MAX_HEADER || header_length > length - 8 {
        return Err(bad(format!(
            "it announces a header of {header_length} bytes, but {} follow and {MAX_HEADER} are allowed: it is \
             truncated or not safetensors",
            length - 8
        )));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(Error::io("read", path))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| bad(format!("its header is not valid safetensors: {error}")))?;
    let data = metadata.tensors().values().map(|tensor| tensor.data_offsets.1 as u64).max().unwrap_or(0);
    let present = length - 8 - header_length;
    if data != present {
        return Err(bad(format!(
            "its header announces {data} bytes of data, but {present} are there: it is truncated, or padded"
        )));
    }
    Ok((metadata, 8 + header_length))
}

/// The bytes before the data: length and header, padded so that the data are aligned to 8 bytes. `tensors` are
/// (name, dtype, shape, bytes), in the order of their data.
pub(super) fn encode(
    metadata: &BTreeMap<&str, String>,
    tensors: &[(String, Dtype, Vec<usize>, usize)],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut header: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    header.insert("__metadata__", json!(metadata));
    let mut offset = 0usize;
    for (name, dtype, shape, bytes) in tensors {
        header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes] }));
        offset += bytes;
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut encoded = (text.len() as u64).to_le_bytes().to_vec();
    encoded.extend(text);
    Ok(encoded)
}
