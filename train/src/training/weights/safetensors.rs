//! The convolutions of VGG19 in a safetensors file: which there must be, where they lie, the file that has only them.

use std::{collections::HashMap, ops::Range};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::{Error, error::Result};

/// Bytes of the number that a safetensors file begins with: the length of its header.
const LENGTH_BYTES: usize = 8;
/// Bytes that a header may have, by the format.
const MAX_HEADER: u64 = 100_000_000;
/// How many bytes of a file tell what it is.
pub(super) const SIGNATURE_BYTES: usize = LENGTH_BYTES + 1;

/// A tensor that a file of weights must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its name, such as `features.0.weight`.
    pub name: String,
    /// Its shape: OIHW of a convolution's weight, `[O]` of its bias.
    pub shape: Vec<usize>,
}

/// Weight and bias of the 16 convolutions of VGG19 by torchvision's names, in their order: 3×3 kernels, first on RGB.
#[must_use]
pub fn vgg19() -> Vec<Expected> {
    /// The index of a convolution in `features`, and its output channels.
    const CONVOLUTIONS: [(usize, usize); 16] = [
        (0, 64),
        (2, 64),
        (5, 128),
        (7, 128),
        (10, 256),
        (12, 256),
        (14, 256),
        (16, 256),
        (19, 512),
        (21, 512),
        (23, 512),
        (25, 512),
        (28, 512),
        (30, 512),
        (32, 512),
        (34, 512),
    ];
    let mut channels = 3;
    let mut tensors = Vec::with_capacity(2 * CONVOLUTIONS.len());
    for (index, outputs) in CONVOLUTIONS {
        tensors.push(Expected { name: format!("features.{index}.weight"), shape: vec![outputs, channels, 3, 3] });
        tensors.push(Expected { name: format!("features.{index}.bias"), shape: vec![outputs] });
        channels = outputs;
    }
    tensors
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A safetensors file, whose data begin at byte `data`.
    Safetensors { data: u64 },
    /// A ZIP archive or a pickle, as PyTorch writes them.
    PyTorch,
}

impl Kind {
    /// Tells from the beginning of a file, of which [`SIGNATURE_BYTES`] suffice if there are as many.
    pub(super) fn of(url: &str, start: &[u8]) -> Result<Self> {
        let url = url.to_owned();
        if let Some((length, [b'{', ..])) = start.split_first_chunk::<LENGTH_BYTES>() {
            let bytes = u64::from_le_bytes(*length);
            if bytes > MAX_HEADER {
                return Err(Error::HeaderTooLarge { url, bytes, limit: MAX_HEADER });
            }
            return Ok(Self::Safetensors { data: LENGTH_BYTES as u64 + bytes });
        }
        match start {
            [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => return Ok(Self::PyTorch),
            _ => {}
        }
        let text = start.trim_ascii_start().to_ascii_lowercase();
        if text.starts_with(b"<") {
            return Err(Error::Html { url });
        }
        let detail = match start {
            [] => "it is empty".to_owned(),
            _ => format!("it begins with \"{}\"", start[..start.len().min(16)].escape_ascii()),
        };
        Err(Error::NotWeights { url, detail })
    }
}

/// How the wanted tensors of a safetensors file make a file of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What the new file begins with: the length of the header, and the header.
    pub(super) head: Vec<u8>,
    /// Which bytes of the source follow, in their order; spans that touch are one. None is empty.
    pub(super) spans: Vec<Range<u64>>,
}

impl Plan {
    /// Reads the header in `start`, the beginning of a file of `total` bytes up to its data.
    ///
    /// The new file holds the tensors as `safetensors` itself writes them, with `"format": "pt"`: it depends on the
    /// wanted tensors, and on nothing else in the source.
    pub(super) fn of(url: &str, start: &[u8], total: u64, expected: &[Expected]) -> Result<Self> {
        let damaged = |detail: String| Error::Header { url: url.to_owned(), detail };
        let json = start.get(LENGTH_BYTES..).unwrap_or_default();
        let header: Metadata = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        let data = start.len() as u64;
        let described = header.data_len() as u64;
        if data.checked_add(described) != Some(total) {
            let found = total.saturating_sub(data);
            return Err(damaged(format!("it describes {described} bytes of data, and {found} follow")));
        }

        let mut wanted = Vec::with_capacity(expected.len());
        for Expected { name, shape } in expected {
            let wrong = |detail: String| Error::Tensor { url: url.to_owned(), name: name.clone(), detail };
            let info = header.info(name).ok_or_else(|| wrong("is missing".to_owned()))?;
            if info.shape != *shape {
                return Err(wrong(format!("is of shape {:?}, not {shape:?}", info.shape)));
            }
            if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                return Err(wrong(format!("is of type {}, not F32, F16 or BF16", info.dtype)));
            }
            wanted.push((name, info));
        }
        // The order in which the format aligns its data.
        wanted.sort_by(|left, right| right.1.dtype.cmp(&left.1.dtype).then(left.0.cmp(right.0)));

        let mut tensors = Vec::with_capacity(wanted.len());
        let mut spans: Vec<Range<u64>> = Vec::new();
        let mut offset = 0;
        for (name, info) in wanted {
            let (from, to) = info.data_offsets;
            let end = offset + (to - from);
            let moved = TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: (offset, end) };
            tensors.push((name.clone(), moved));
            offset = end;
            let span = data + from as u64..data + to as u64;
            match spans.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ if span.is_empty() => {}
                _ => spans.push(span),
            }
        }
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let header = Metadata::new(Some(format), tensors).map_err(|error| damaged(error.to_string()))?;
        let mut json = serde_json::to_vec(&header).map_err(|error| damaged(error.to_string()))?;
        json.resize(json.len().next_multiple_of(LENGTH_BYTES), b' ');
        let mut head = (json.len() as u64).to_le_bytes().to_vec();
        head.append(&mut json);
        Ok(Self { head, spans })
    }

    /// Whether the file that it was read from holds just what the plan keeps, as the plan would write it.
    pub(super) fn is_of(&self, start: &[u8], total: u64) -> bool {
        self.head == start && self.spans.iter().eq(Some(&(start.len() as u64..total)).filter(|span| !span.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "http://host/file";

    #[test]
    fn the_table_is_that_of_the_20_million_parameters() {
        let table = vgg19();
        assert_eq!(table.len(), 32);
        let parameters: usize = table.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        // torchvision: 143,667,240 in all, 123,642,856 of them in the classifier.
        assert_eq!(parameters, 143_667_240 - 123_642_856);
        assert_eq!(table[30], Expected { name: "features.34.weight".into(), shape: vec![512, 512, 3, 3] });
    }

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let of = |start: &[u8]| Kind::of(URL, start);
        // 640 is 80 02: a pickle's first bytes, but for the brace.
        assert_eq!(of(b"\x80\x02\0\0\0\0\0\0{").unwrap(), Kind::Safetensors { data: 648 });
        assert_eq!(of(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 ").unwrap(), Kind::PyTorch);
        assert_eq!(of(b"PK\x03\x04\0\0\x08\x08\0\0").unwrap(), Kind::PyTorch);
        assert!(matches!(of(b"\n <!DOCTYPE html>"), Err(Error::Html { .. })));
        assert!(matches!(of(b"\x01\xe1\xf5\x05\0\0\0\0{"), Err(Error::HeaderTooLarge { bytes: 100_000_001, .. })));
        assert!(matches!(of(b"\0\0\0\0\0\0\0\xff{"), Err(Error::HeaderTooLarge { .. })));
        assert!(matches!(of(b""), Err(Error::NotWeights { .. })));
        assert_eq!(
            of(b"\x01hello\n, world").unwrap_err().to_string(),
            "http://host/file is neither a safetensors nor a PyTorch file: it begins with \"\\x01hello\\n, world\""
        );
    }

    #[test]
    fn a_reduced_file_plans_itself() {
        let expected =
            [Expected { name: "b".into(), shape: vec![2] }, Expected { name: "a".into(), shape: vec![1, 3] }];
        let json = br#"{"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
            "b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},
            "a":{"dtype":"F16","shape":[1,3],"data_offsets":[16,22]}}"#;
        let start = [&(json.len() as u64).to_le_bytes()[..], json].concat();
        let data = start.len() as u64;
        let plan = Plan::of(URL, &start, data + 22, &expected).unwrap();
        let [span] = &plan.spans[..] else { panic!("not joined: {:?}", plan.spans) };
        assert_eq!(*span, data + 8..data + 22, "F32 before F16");
        assert!(!plan.is_of(&start, data + 22));
        let again = Plan::of(URL, &plan.head, plan.head.len() as u64 + 14, &expected).unwrap();
        assert!(again.is_of(&plan.head, plan.head.len() as u64 + 14));
        assert_eq!(plan.head.len() % 8, 0);
    }

    proptest! {
        #[test]
        fn no_header_panics(json in "[\\[\\]{}\":,a-b0-9 ]{0,60}", total in any::<u64>(), cut in 0_usize..80) {
            let start = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
            let _ = Kind::of(URL, &start);
            let _ = Plan::of(URL, &start[..cut.min(start.len())], total, &vgg19());
        }

        #[test]
        fn no_offsets_panic(offsets in any::<[usize; 2]>(), shape in any::<Vec<usize>>(), total in any::<u64>()) {
            let json = serde_json::json!({ "a": { "dtype": "F32", "shape": shape, "data_offsets": offsets } });
            let start = [&[0; 8][..], json.to_string().as_bytes()].concat();
            let _ = Plan::of(URL, &start, total, &[Expected { name: "a".into(), shape }]);
        }
    }
}
