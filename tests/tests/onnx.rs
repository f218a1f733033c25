//! `train export --onnx`, in ONNX Runtime and tract from PyPI: what they give is what the models of the repository predict, and others of every
//! form that a file may have. `experiments/parity/onnx.sh` compares all `valid` clips of GTZAN.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use features::{Clip, ClipFeatures, FeatureSpec, LogMel, decode, spec::Needs};
use models::Classifier;
use serde_json::json;
use tests::{command, shipped_artifacts, shipped_version, small, train};

/// Frames that no window of the repository's specification has: a network repeats them.
const FEW_FRAMES: usize = 40;

/// A folder with the trained models of the tests, to write into.
struct Folder {
    at: tempfile::TempDir,
    small: PathBuf,
    python: PathBuf,
}

impl Folder {
    /// None without Python's packages, which is said on stderr.
    fn new() -> Option<Self> {
        // They come from PyPI: `tests/run` installs them, and says where they are.
        let Some(environment) = std::env::var_os("TONEARM_ONNX") else {
            eprintln!("skipped: TONEARM_ONNX is not set; tests/run installs ONNX Runtime and tract and sets it");
            return None;
        };
        let at = tempfile::tempdir().expect("a folder");
        Some(Self { at, small: small::shared(), python: PathBuf::from(environment).join("bin/python") })
    }

    fn path(&self, name: &str) -> String {
        self.at.path().join(name).into_os_string().into_string().expect("UTF-8")
    }

    /// Trains a model on a dataset of the folder of small models, by the specification and the options that are given, and names its
    /// artifact.
    fn trained(&self, kind: &str, dataset: &str, name: &str, options: &[&str]) -> String {
        let dataset = self.small.join(dataset).into_os_string().into_string().expect("UTF-8");
        let artifacts = self.path("artifacts");
        let cache = if kind == "vgg19" { &["--no-cache"][..] } else { &[] };
        let all = [&[kind, "--data", &dataset, "--artifacts", &artifacts, "--name", name][..], options, cache].concat();
        train(self.at.path(), &all);
        self.path(&format!("artifacts/{name}"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Exports a model, compares it on tracks, cut to `frames`, and gives the bytes of the file.
    fn compare(&self, artifact: &str, tracks: usize, frames: Option<usize>) -> Vec<u8> {
        let model = models::load(artifact.as_ref()).expect("a model");
        let (onnx, inputs, expected) =
            (self.path("model.onnx"), self.path("inputs.npy"), self.path("probabilities.npy"));
        let number = frames.map(|frames| frames.to_string());
        let option: Vec<&str> = number.iter().flat_map(|number| ["--frames", number]).collect();
        train(self.at.path(), &[&["export", artifact, "--onnx", &onnx], option.as_slice()].concat());
        let file = fs::read(&onnx).expect("a file");

        let segments = segments(&*model, &self.small, tracks, frames);
        let by_log_mel = model.extractor().spec().needs() == Needs::LogMel;
        let (mut values, mut probabilities, mut shape) = (Vec::new(), Vec::new(), Vec::new());
        for segment in &segments {
            let prediction = model.predict(segment).expect("a prediction");
            probabilities.extend(prediction.probabilities.iter().flat_map(|value| value.to_le_bytes()));
            if by_log_mel {
                let db = segment.log_mel().db();
                values.extend(db.iter().flat_map(|value| value.to_le_bytes()));
                shape = vec![segments.len(), db.nrows(), db.ncols()];
            } else {
                let vectors = model.embed(segment).expect("vectors");
                assert_eq!(vectors.len(), 1, "one segment");
                values.extend(vectors[0].iter().flat_map(|value| value.to_le_bytes()));
                shape = vec![segments.len(), vectors[0].len()];
            }
        }
        write_npy(&inputs, "<f4", &shape, &values);
        write_npy(&expected, "<f8", &[segments.len(), model.labels().len()], &probabilities);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/compare.py");
        let status = Command::new(&self.python)
            // tract computes in one thread.
            .args([script, &onnx, &inputs, &expected, "--tract", "3"])
            .status()
            .expect("Python");
        assert!(status.success(), "{artifact} as ONNX gives something else; what it said is above");
        file
    }
}

/// Segments of synthetic tracks, then two that no music is: one constant level, and levels that jump over the whole range.
fn segments(model: &dyn Classifier, small: &Path, tracks: usize, frames: Option<usize>) -> Vec<ClipFeatures> {
    let genres = ["blues", "classical", "disco", "jazz", "metal", "rock"];
    let limits = decode::Limits::default();
    let mut segments: Vec<ClipFeatures> = genres[..tracks]
        .iter()
        .map(|genre| {
            let clip = decode::decode_file(&small::track(small, genre), &limits).expect("a track").clip;
            model.extractor().extract(&clip).expect("features")
        })
        .collect();
    let spec = model.extractor().spec();
    let n_frames = frames.unwrap_or(spec.segmentation.segment.frames);
    if spec.needs() == Needs::LogMel {
        let quantisation = spec.quantisation.expect("levels");
        let jumping = |at: usize| if (at * at / 7) % 5 < 2 { 255 } else { (at * 31 % 256) as u8 };
        for levels in [vec![90; spec.mel.n_mels * n_frames], (0..spec.mel.n_mels * n_frames).map(jumping).collect()] {
            let log_mel = LogMel::from_levels(&levels, spec.mel.n_mels, n_frames, &quantisation).expect("levels");
            segments.push(log_mel.into());
        }
    } else {
        let silence = Clip::new(vec![0.0; 30 * 22_050], 22_050).expect("samples");
        segments.push(model.extractor().extract(&silence).expect("features"));
    }
    segments.iter().map(|segment| segment.frames(0, n_frames).expect("as many frames")).collect()
}

/// Writes an array in NumPy's format, version 1.0.
fn write_npy(path: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, length and header are a multiple of 64 bytes.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((length as u16).to_le_bytes());
    file.extend(format!("{header:<width$}\n", width = length - 1).bytes());
    file.extend(bytes);
    fs::write(path, file).expect("a file");
}

/// The artifact of a model that comes with the repository.
fn shipped(model: &str) -> String {
    let version = shipped_artifacts().join(model).join(shipped_version(model));
    version.into_os_string().into_string().expect("UTF-8")
}

#[test]
fn the_machine_of_the_repository_is_the_same_elsewhere() {
    let Some(folder) = Folder::new() else { return };
    let svm = shipped("svm");
    let file = folder.compare(&svm, 6, None);
    assert!(file == folder.compare(&svm, 1, None), "an export has the same bytes again");
    folder.compare(&svm, 3, Some(FEW_FRAMES));
}

#[test]
fn the_network_of_the_repository_is_the_same_elsewhere() {
    let Some(folder) = Folder::new() else { return };
    let vgg19 = shipped("vgg19");
    folder.compare(&vgg19, 1, None);
    folder.compare(&vgg19, 1, Some(FEW_FRAMES));
}

#[test]
fn machines_of_other_descriptors_are_the_same_elsewhere() {
    let Some(folder) = Folder::new() else { return };
    let mut spec = FeatureSpec::gtzan_store();
    spec.floor = None;
    spec.descriptors = serde_json::from_value(json!([
        "mel_contrast",
        "mfcc",
        "mfcc_delta",
        "mfcc_correlation",
        "onset_covariance",
        "mfcc_modulation",
    ]))
    .expect("descriptors");
    let path = folder.write("log_mel.json", &spec.canonical_json());
    let machine = folder.trained("svm", "store", "machine", &["--spec", &path]);
    folder.compare(&machine, 4, None);
    folder.compare(&machine, 4, Some(FEW_FRAMES));

    spec.descriptors = serde_json::from_value(json!(["mfcc", "rms"])).expect("descriptors");
    let path = folder.write("waveform.json", &spec.canonical_json());
    let machine = folder.trained("svm", "dataset", "waveform", &["--spec", &path]);
    folder.compare(&machine, 4, None);
    let output = command("train", folder.at.path())
        .args(["export", &machine, "--onnx", "never.onnx", "--frames", "40"])
        .output()
        .expect("train starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("descriptors"), "{said}");
}

#[test]
fn networks_of_other_inputs_are_the_same_elsewhere() {
    let Some(folder) = Folder::new() else { return };
    let config = |channels: &str, upsampling: usize, blocks: &[usize], statistics: &[&str]| {
        json!({
            "seed": 0, "channels": channels, "band_upsampling": upsampling, "standardisation": "band", "pooled_blocks": blocks,
            "normalisations": ["relative", "absolute"], "statistics": statistics, "windows": true, "folds": 2,
            "log_covariance": { "axes": 40 }, "ridge": { "penalty": 0.4 },
            "head": { "steps": 40, "learning_rate": 0.5, "weight_decay": 0.01, "dropout": 0.5, "label_smoothing": 0.0, "heads": 2 },
            "finetune": null,
        })
        .to_string()
    };
    let deltas = folder.write("deltas.json", &config("deltas", 1, &[1, 2], &["deviation", "maximum"]));
    let network = folder.trained("vgg19", "store", "deltas", &["--config", &deltas]);
    folder.compare(&network, 4, None);
    let resolutions = folder.write("resolutions.json", &config("resolutions", 2, &[2], &["average"]));
    let network = folder.trained("vgg19", "store", "resolutions", &["--config", &resolutions]);
    folder.compare(&network, 4, Some(FEW_FRAMES));
}
