//! Files to be fetched, and a call that fetches them.

use super::*;

/// `name`, element type, shape.
pub(crate) type Tensor = (&'static str, Dtype, Vec<usize>);

/// The tensors of a small network, between others. The first two wanted ones touch, the third lies apart.
pub(crate) fn source_tensors() -> Vec<Tensor> {
    vec![
        ("classifier.0.weight", Dtype::F32, vec![100, 100]),
        ("features.0.bias", Dtype::F32, vec![20]),
        ("features.0.weight", Dtype::F32, vec![20, 3, 3, 3]),
        ("features.1.running_mean", Dtype::F32, vec![20]),
        ("features.2.weight", Dtype::F32, vec![30, 20, 3, 3]),
        ("head.weight", Dtype::F32, vec![7]),
    ]
}

pub(crate) fn expected() -> Vec<Expected> {
    source_tensors()
        .into_iter()
        .filter(|(name, ..)| ["features.0.weight", "features.0.bias", "features.2.weight"].contains(name))
        .map(|(name, _, shape)| Expected { name: name.to_owned(), shape })
        .collect()
}

/// A file of these tensors, whose bytes depend on the tensor's name and the salt only.
pub(crate) fn file_of(tensors: &[Tensor], salt: u8, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(name, dtype, shape)| {
            let seed = name.bytes().fold(salt, u8::wrapping_add);
            let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape), bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    serialize(views, metadata).unwrap()
}

pub(crate) fn source() -> Vec<u8> {
    let metadata = HashMap::from([("host".to_owned(), "example.org".to_owned())]);
    file_of(&source_tensors(), 0, Some(metadata))
}

/// What `safetensors` itself writes for the wanted ones of these tensors.
pub(crate) fn reduced(tensors: &[Tensor], salt: u8) -> Vec<u8> {
    let wanted = expected();
    let wanted: Vec<Tensor> =
        tensors.iter().filter(|(name, ..)| wanted.iter().any(|tensor| tensor.name == *name)).cloned().collect();
    file_of(&wanted, salt, Some(HashMap::from([("format".to_owned(), "pt".to_owned())])))
}

/// Where the wanted tensors lie in the source: two spans.
pub(crate) fn spans(source: &[u8]) -> [Range<u64>; 2] {
    let (header, metadata) = SafeTensors::read_metadata(source).unwrap();
    let at = |name: &str| {
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        (8 + header + from) as u64..(8 + header + to) as u64
    };
    [at("features.0.bias").start..at("features.0.weight").end, at("features.2.weight")]
}

pub(crate) fn range(bytes: Range<u64>) -> Option<String> {
    Some(format!("bytes={}-{}", bytes.start, bytes.end - 1))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A PyTorch file, as far as anybody looks.
pub(crate) fn pytorch() -> Vec<u8> {
    let mut file = b"PK\x03\x04\0\0\x08\x08".to_vec();
    file.extend((0..50_000_u32).flat_map(u32::to_le_bytes));
    file
}

// ---- A call.

pub(crate) struct Call {
    pub(crate) folder: TempDir,
    pub(crate) request: Fetch,
}

impl Call {
    pub(crate) fn to(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = Fetch {
            retries: 0,
            wait: Duration::ZERO,
            ..Fetch::new(server.url(), folder.path().join("weights.safetensors"))
        };
        Self { folder, request }
    }

    pub(crate) fn retries(mut self, retries: u32) -> Self {
        self.request.retries = retries;
        self
    }

    pub(crate) fn run(&self) -> Result<Fetched, Error> {
        fetch_tensors(&self.request, &expected(), &|_, _| {})
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        fs::read(&self.request.out).unwrap()
    }

    /// The names of the files that there are.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs and fails, and leaves nothing.
    pub(crate) fn refused(&self) -> Error {
        let error = self.run().unwrap_err();
        assert_eq!(self.files(), [""; 0], "{error}");
        error
    }
}

pub(crate) const OUT: [&str; 1] = ["weights.safetensors"];
pub(crate) const PARTIAL: [&str; 2] = ["weights.safetensors.partial", "weights.safetensors.partial.json"];
