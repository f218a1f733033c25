//! Feature stores: written, read back, joined, and broken in every way.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use data::{AudioDataset, Dataset, Error, ExtractOptions, FeatureStore, LabelledDataset, Part, Reason, Split, extract};
use features::{FeatureSpec, spec::Needs};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::fixtures;

fn log_mel_spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).unwrap()
}

/// Extracts `audio_dir` with `threads` threads and gives the bytes of every file of the store.
fn bytes_of(audio_dir: &Path, spec: &FeatureSpec, threads: usize) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let options = ExtractOptions { threads, ..ExtractOptions::default() };
    extract(&AudioDataset::open(audio_dir).unwrap(), spec, &out.path().join("store"), &options).unwrap();
    let left: Vec<PathBuf> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [out.path().join("store")], "no temporary folder is left");
    fs::read_dir(out.path().join("store"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_bytes_of_a_store_do_not_depend_on_threads_and_rows_are_the_features() {
    let folder = tempfile::tempdir().unwrap();
    let audio_dir = folder.path().join("audio_dir");
    fixtures::write_folder(&audio_dir, 4);
    fs::write(audio_dir.join("rock/broken.wav"), b"RIFF\x04\0\0\0WAVE").unwrap();
    fixtures::write_wav(&audio_dir.join("rock/short.wav"), &fixtures::tune(9, 0.2), fixtures::RATE);
    for name in features::spec::PRESETS {
        let spec = FeatureSpec::preset(name).unwrap();
        let bytes = bytes_of(&audio_dir, &spec, 1);
        assert_eq!(bytes.keys().collect::<Vec<_>>(), ["clips.csv", "ids.txt", "logmel.safetensors"]);
        for threads in [2, 5] {
            assert!(bytes == bytes_of(&audio_dir, &spec, threads), "{name}, {threads} threads");
        }
        let out = folder.path().join(name);
        let audio = AudioDataset::open(&audio_dir).unwrap();
        let calls = std::cell::Cell::new(0);
        let progress = |done: usize, total: usize| {
            calls.set(calls.get() + 1);
            assert_eq!((done, total), (calls.get(), 14));
        };
        let report =
            extract(&audio, &spec, &out, &ExtractOptions { progress: &progress, ..ExtractOptions::default() }).unwrap();
        assert_eq!((report.written, calls.get()), (12, 14));
        let unused: Vec<_> = report.unused.iter().map(|unused| (unused.file.as_str(), unused.reason)).collect();
        assert_eq!(unused, [("rock/broken.wav", Reason::Unreadable), ("rock/short.wav", Reason::TooShort)]);
        assert!(report.unused[1].detail.contains("too short"), "{:?}", report.unused);

        let store = FeatureStore::open(&out).unwrap();
        assert_eq!(store.spec(), &spec);
        assert_eq!(store.needs(), spec.needs());
        let extractor = features::Extractor::new(spec).unwrap();
        let kept: Vec<_> = audio.clips().iter().filter(|clip| clip.clip_id.contains("own")).collect();
        assert_eq!(store.ids().collect::<Vec<_>>(), kept.iter().map(|clip| clip.clip_id.as_str()).collect::<Vec<_>>());
        for (row, clip) in kept.into_iter().enumerate() {
            let decoded = features::decode::decode_file(&clip.path, &Default::default()).unwrap();
            assert_eq!(store.features(row).unwrap(), extractor.extract(&decoded.clip).unwrap(), "{}", clip.clip_id);
            assert_eq!(store.label(row), &clip.label);
        }
    }
}

#[test]
fn of_long_clips_the_start_or_the_middle_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = log_mel_spec();
    spec.segmentation.segment.frames = 40;
    spec.segmentation.segment.hop = 20;
    spec.segmentation.window = spec.segmentation.segment;
    // 70 and 100 frames.
    let seconds = |frames: usize| spec.seconds(frames) + 0.01;
    fixtures::write_wav(&folder.path().join("rock/long.wav"), &fixtures::tune(1, seconds(70)), fixtures::RATE);
    fixtures::write_wav(&folder.path().join("rock/longer.wav"), &fixtures::tune(2, seconds(100)), fixtures::RATE);
    let out = folder.path().join("store");
    let audio_dir = AudioDataset::open(folder.path()).unwrap();
    extract(&audio_dir, &spec, &out, &ExtractOptions::default()).unwrap();
    let store = FeatureStore::open(&out).unwrap();
    let extractor = features::Extractor::new(spec).unwrap();
    for (row, (start, frames)) in [(0, 70), (30, 100)].into_iter().enumerate() {
        let decoded = features::decode::decode_file(&audio_dir.clips()[row].path, &Default::default()).unwrap();
        let whole = extractor.extract(&decoded.clip).unwrap();
        assert_eq!(whole.log_mel().n_frames(), frames);
        assert_eq!(store.features(row).unwrap(), whole.frames(start, start + 40).unwrap());
    }
}

#[test]
fn only_stores_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fixtures::write_folder(&folder.path().join("audio_dir"), 1);
    let audio_dir = AudioDataset::open(&folder.path().join("audio_dir")).unwrap();
    let precious = folder.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("thesis.tex"), "x").unwrap();
    let refused = extract(&audio_dir, &log_mel_spec(), &precious, &ExtractOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
    let refused =
        extract(&audio_dir, &log_mel_spec(), &precious.join("thesis.tex"), &ExtractOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);

    let out = folder.path().join("a/b/store");
    for spec in [FeatureSpec::librosa(), log_mel_spec()] {
        extract(&audio_dir, &spec, &out, &ExtractOptions::default()).unwrap();
        assert_eq!(FeatureStore::open(&out).unwrap().spec(), &spec);
    }
    // What fails leaves the store that was there.
    fs::remove_dir_all(folder.path().join("audio_dir/jazz")).unwrap();
    for genre in ["blues", "rock"] {
        fs::write(folder.path().join(format!("audio_dir/{genre}/{genre}.own0.wav")), b"RIFF\x04\0\0\0WAVE").unwrap();
    }
    let audio_dir = AudioDataset::open(&folder.path().join("audio_dir")).unwrap();
    let failed = extract(&audio_dir, &log_mel_spec(), &out, &ExtractOptions::default()).unwrap_err();
    assert!(matches!(failed, Error::NothingUsable { clips: 2, .. }), "{failed}");
    assert_eq!(FeatureStore::open(&out).unwrap().len(), 3);
}

#[test]
fn datasets_are_joined_by_what_all_suffice_for() {
    let folder = tempfile::tempdir().unwrap();
    let [audio_dir, other] = ["audio_dir", "other"].map(|name| folder.path().join(name));
    fixtures::write_folder(&audio_dir, 2);
    fixtures::write_wav(&other.join("genres/pop/new.wav"), &fixtures::tune(70, 3.0), fixtures::RATE);
    fixtures::write_wav(&other.join("genres/blues/blues.own1.wav"), &fixtures::tune(71, 3.0), fixtures::RATE);
    let spec = FeatureSpec::gtzan_store();
    let whole = LabelledDataset::open(&[&audio_dir], &spec, &ExtractOptions::default()).unwrap();
    assert_eq!(whole.spec(), &spec, "an audio folder suffices for all");
    assert_eq!(whole.len(), 6);

    let store = folder.path().join("store");
    extract(&AudioDataset::open(&other).unwrap(), &log_mel_spec(), &store, &ExtractOptions::default()).unwrap();
    let set = LabelledDataset::open(&[&audio_dir, &store], &spec, &ExtractOptions::default()).unwrap();
    assert_eq!(set.spec(), &log_mel_spec(), "a log-mel store suffices for less");
    let ids: Vec<&str> = set.clips().iter().map(|clip| clip.clip_id.as_str()).collect();
    assert_eq!(ids, ["blues.own0", "blues.own1", "jazz.own0", "jazz.own1", "rock.own0", "rock.own1", "new"]);
    assert_eq!(set.description().repeats, 1);
    assert_eq!(set.description().by_label["blues"], 2);
    let text = set.description().to_string();
    assert_eq!(text, "7 clips (6 of one audio folder, 1 of one feature store; 1 repeated ids left out)");
    // The first wins: blues.own1 is the folder's.
    assert_eq!(set.features(1).unwrap().log_mel(), whole.features(1).unwrap().log_mel());

    // The digest tells what is seen, not where it lies.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&audio_dir, &elsewhere).unwrap();
    let moved = LabelledDataset::open(&[&elsewhere, &store], &spec, &ExtractOptions::default()).unwrap();
    assert_eq!(moved.digest().unwrap(), set.digest().unwrap());
    assert_ne!(moved.digest().unwrap(), whole.digest().unwrap());
    assert_ne!(set.digest_of(&[0, 1]).unwrap(), set.digest_of(&[1, 0]).unwrap());

    let refused = LabelledDataset::open(&[&store], &FeatureSpec::librosa(), &ExtractOptions::default()).unwrap_err();
    assert!(matches!(&refused, Error::Incompatible { .. }), "{refused}");
    let nothing: [&Path; 0] = [];
    assert!(LabelledDataset::open(&nothing, &spec, &ExtractOptions::default()).is_err());
}

#[test]
fn a_clip_in_segments_is_its_frames_in_order() {
    let folder = tempfile::tempdir().unwrap();
    fixtures::write_folder(folder.path(), 2);
    let mut spec = FeatureSpec::gtzan_store();
    spec.segmentation.min_frames = 4;
    let open = || LabelledDataset::open(&[folder.path()], &spec, &ExtractOptions::default()).unwrap();
    let whole = open();
    let segments = open().in_segments(2).unwrap();
    assert_eq!(segments.len(), 2 * whole.len());
    assert_eq!(segments.description(), whole.description());
    let n_frames = whole.features(1).unwrap().log_mel().n_frames();
    let half = n_frames / 2;
    for (index, range) in [(2, 0..half), (3, half..2 * half)] {
        let expected = whole.features(1).unwrap().frames(range.start, range.end).unwrap();
        assert_eq!(segments.features(index).unwrap(), expected, "of every series too");
    }
    let (clip, segment) = (&whole.clips()[1], &segments.clips()[3]);
    assert_eq!((segment.clip_id.as_str(), segment.track_id.as_str()), ("blues.own1.1", "blues.own1"));
    assert_eq!((&segment.group, segment.label, clip.track_id.as_str()), (&clip.group, clip.label, "blues.own1"));
    assert_eq!(segments.items()[3].track_id, "blues.own1", "segments of a clip share it");
    assert_ne!(segments.digest_of(&[2]).unwrap(), segments.digest_of(&[3]).unwrap());
    assert_ne!(segments.digest_of(&[2]).unwrap(), whole.digest_of(&[1]).unwrap());
    for segments in [0, 1, 1001, n_frames] {
        let refused = open().in_segments(segments).unwrap_err();
        assert!(matches!(&refused, Error::Option { name: "segments_per_clip", .. }), "{refused}");
    }
}

#[test]
fn the_real_store_is_read_as_it_is() {
    let Some(path) = fixtures::shared("gtzan/logmel") else { return };
    let store = FeatureStore::open(&path).unwrap();
    assert_eq!((store.len(), store.n_frames(0), store.id(0)), (710, 344, "blues.00000"));
    assert_eq!(store.spec(), &log_mel_spec());
    assert!((0..store.len()).all(|row| store.catalogue(row).is_some()));
    let log_mel = store.features(709).unwrap().log_mel().clone();
    assert_eq!((log_mel.n_mels(), log_mel.n_frames()), (128, 344));

    let set = LabelledDataset::open(&[&path], &FeatureSpec::gtzan_store(), &ExtractOptions::default()).unwrap();
    let folds = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0).unwrap();
    assert_eq!((folds[0].train.len(), folds[0].test.len()), (443, 197));
    assert_eq!(set.digest().unwrap(), set.digest().unwrap());
}

// ---- Broken stores ----

/// Two clips of three frames, made by the safetensors crate itself.
struct Parts {
    spec: Option<FeatureSpec>,
    version: Option<&'static str>,
    log_mel: (Dtype, Vec<usize>),
    n_frames: Option<(Dtype, Vec<u32>)>,
    series: Vec<(&'static str, Vec<usize>, f32)>,
    ids: &'static str,
    table: Option<&'static str>,
}

impl Parts {
    fn good() -> Self {
        let mut spec = FeatureSpec::gtzan_store();
        spec.mel.n_mels = 32;
        spec.n_mfcc = 16;
        spec.descriptors = vec![features::spec::Descriptor::Mfcc, features::spec::Descriptor::Rms];
        Self {
            spec: Some(spec),
            version: Some("1.0"),
            log_mel: (Dtype::U8, vec![2, 32, 3]),
            n_frames: Some((Dtype::U32, vec![3, 2])),
            series: vec![("series.rms", vec![2, 1, 3], 0.5)],
            ids: "blues.x\nown\n",
            table: Some("clip_id,genre,artist\nown,jazz,Somebody\n"),
        }
    }

    fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let (dtype, shape) = &self.log_mel;
        let log_mel: Vec<u8> =
            (0..count(shape) * if *dtype == Dtype::F32 { 4 } else { 1 }).map(|i| i as u8 % 60).collect();
        let lengths: Vec<u8> = self.n_frames.iter().flat_map(|(_, n)| n.iter().flat_map(|n| n.to_le_bytes())).collect();
        let series: Vec<Vec<u8>> =
            self.series.iter().map(|(_, shape, value)| value.to_le_bytes().repeat(count(shape))).collect();
        let name = if *dtype == Dtype::F32 { "logmel_f32" } else { "logmel_u8" };
        let mut tensors = vec![(name.to_owned(), TensorView::new(*dtype, shape.clone(), &log_mel).unwrap())];
        if let Some((dtype, n)) = &self.n_frames {
            tensors.push(("n_frames".into(), TensorView::new(*dtype, vec![n.len()], &lengths).unwrap()));
        }
        for ((name, shape, _), bytes) in self.series.iter().zip(&series) {
            tensors.push(((*name).into(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        }
        let mut metadata = std::collections::HashMap::new();
        self.spec.iter().for_each(|spec| drop(metadata.insert("tonearm_spec".to_owned(), spec.canonical_json())));
        self.version
            .iter()
            .for_each(|version| drop(metadata.insert("tonearm_store".to_owned(), (*version).to_owned())));
        fs::write(folder.path().join("logmel.safetensors"), serialize(tensors, Some(metadata)).unwrap()).unwrap();
        fs::write(folder.path().join("ids.txt"), self.ids).unwrap();
        self.table.iter().for_each(|table| fs::write(folder.path().join("clips.csv"), table).unwrap());
        folder
    }
}

/// Opens a store and reads all of it.
fn read_all(folder: &Path) -> Result<(), Error> {
    let store = FeatureStore::open(folder)?;
    (0..store.len()).try_for_each(|row| store.features(row).map(drop))?;
    store.digest().map(drop)
}

#[test]
fn a_store_of_another_writer_opens() {
    let folder = Parts::good().write();
    let store = FeatureStore::open(folder.path()).unwrap();
    assert_eq!(
        (store.label(0).as_str(), store.label(1).as_str(), store.artist(1)),
        ("blues", "jazz", Some("Somebody"))
    );
    let features = store.features(1).unwrap();
    let levels: Vec<f32> = features.log_mel().db().iter().copied().collect();
    // The third frame of each band is padding.
    let expected = (0..32).flat_map(|band| [96 + 3 * band, 97 + 3 * band]).map(|i| (i % 60) as f32 * 0.5 - 80.0);
    assert_eq!(levels, expected.collect::<Vec<_>>());
    assert_eq!(features.series(features::spec::Descriptor::Rms).unwrap().dim(), (1, 2));
    let full = FeatureStore::open(Parts { n_frames: None, ..Parts::good() }.write().path()).unwrap();
    assert_eq!(full.n_frames(1), 3);
}

#[test]
fn stores_that_contradict_themselves_are_refused_with_a_reason() {
    let good = Parts::good;
    let mut other_revision = good().spec.unwrap();
    other_revision.revision.algorithm += 1;
    let cases: Vec<(&str, Parts)> = vec![
        ("expected U8 [2, 32, 3]", Parts { log_mel: (Dtype::U8, vec![2, 33, 3]), ..good() }),
        ("not [clips, n_mels, frames]", Parts { log_mel: (Dtype::U8, vec![2, 96]), ..good() }),
        ("no tensor `logmel_u8`", Parts { log_mel: (Dtype::F32, vec![2, 32, 3]), ..good() }),
        ("expected U8", Parts { log_mel: (Dtype::I8, vec![2, 32, 3]), ..good() }),
        (
            "0 clips",
            Parts {
                log_mel: (Dtype::U8, vec![0, 32, 3]),
                n_frames: None,
                series: vec![("series.rms", vec![0, 1, 3], 0.0)],
                ids: "",
                ..good()
            },
        ),
        (
            "of 0 frames",
            Parts { log_mel: (Dtype::U8, vec![2, 32, 0]), series: vec![("series.rms", vec![2, 1, 0], 0.0)], ..good() },
        ),
        ("row 1 has 4 frames", Parts { n_frames: Some((Dtype::U32, vec![3, 4])), ..good() }),
        ("row 0 has 0 frames", Parts { n_frames: Some((Dtype::U32, vec![0, 1])), ..good() }),
        ("`n_frames` is U32 [3]", Parts { n_frames: Some((Dtype::U32, vec![3, 3, 3])), ..good() }),
        ("`n_frames` is F32", Parts { n_frames: Some((Dtype::F32, vec![3, 3])), ..good() }),
        ("no tensor `series.rms`", Parts { series: vec![("series.tempo", vec![2, 1, 3], 0.0)], ..good() }),
        ("`series.rms` is F32 [2, 1, 4]", Parts { series: vec![("series.rms", vec![2, 1, 4], 0.0)], ..good() }),
        ("`series.rms` has 0 rows", Parts { series: vec![("series.rms", vec![2, 0, 3], 0.0)], ..good() }),
        ("not finite", Parts { series: vec![("series.rms", vec![2, 1, 3], f32::NAN)], ..good() }),
        ("names 1 clips", Parts { ids: "blues.x\n", ..good() }),
        ("names 3 clips", Parts { ids: "blues.x\nown\nown2\n", ..good() }),
        ("a second time", Parts { ids: "own\nown\n", ..good() }),
        ("not a clip id", Parts { ids: "own\n\n", ..good() }),
        ("not a clip id", Parts { ids: "own\nblues.\u{7}\n", ..good() }),
        ("label of 1 clips is unknown (`own`)", Parts { table: None, ..good() }),
        ("label of 1 clips is unknown (`polka`)", Parts { ids: "polka\nown\n", ..good() }),
        ("control character", Parts { table: Some("clip_id,genre\nown,a\u{7}\n"), ..good() }),
        ("layout version `2.0`", Parts { version: Some("2.0"), ..good() }),
        ("layout version `one`", Parts { version: Some("one"), ..good() }),
        ("only one of", Parts { version: None, ..good() }),
        ("only one of", Parts { spec: None, ..good() }),
        ("cannot be reproduced", Parts { spec: Some(other_revision), ..good() }),
    ];
    for (expected, parts) in cases {
        let folder = parts.write();
        let message = read_all(folder.path()).expect_err(expected).to_string();
        assert!(message.contains(expected), "expected `{expected}`: {message}");
    }
    let folder = good().write();
    fs::remove_file(folder.path().join("ids.txt")).unwrap();
    assert!(read_all(folder.path()).unwrap_err().to_string().contains("ids.txt"));
    fs::write(folder.path().join("ids.txt"), [0xff, 0xfe]).unwrap();
    assert!(read_all(folder.path()).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn a_store_cut_short_anywhere_is_refused() {
    let folder = Parts::good().write();
    let path = folder.path().join("logmel.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = read_all(folder.path()).expect_err("cut short");
        assert!(matches!(error, Error::FeatureStore { .. }), "{length}: {error}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(read_all(folder.path()).unwrap_err().to_string().contains("padded"));
}

fn good_bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(Parts::good().write().path().join("logmel.safetensors")).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_bytes_never_panic(damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)) {
        let folder = Parts::good().write();
        let mut bytes = good_bytes().to_vec();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        fs::write(folder.path().join("logmel.safetensors"), bytes).unwrap();
        let _ = read_all(folder.path());
    }

    #[test]
    fn lying_headers_never_panic(length: u64, text in "\\PC{0,60}") {
        let folder = Parts::good().write();
        for length in [length, text.len() as u64] {
            let bytes = [&length.to_le_bytes()[..], text.as_bytes()].concat();
            fs::write(folder.path().join("logmel.safetensors"), bytes).unwrap();
            prop_assert!(read_all(folder.path()).is_err());
        }
    }

    #[test]
    fn lying_shapes_never_panic(shape in proptest::collection::vec(any::<u64>(), 0..5), end: u64) {
        let folder = Parts::good().write();
        let header = format!("{{\"logmel_u8\":{{\"dtype\":\"U8\",\"shape\":{shape:?},\"data_offsets\":[0,{end}]}}}}");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 24]].concat();
        fs::write(folder.path().join("logmel.safetensors"), bytes).unwrap();
        prop_assert!(read_all(folder.path()).is_err());
    }
}

#[test]
fn a_manifest_is_the_same_table_every_time() {
    let folder = tempfile::tempdir().unwrap();
    fixtures::write_folder(&folder.path().join("audio_dir"), 2);
    fs::write(folder.path().join("audio_dir/artists.csv"), "clip_id,artist\nblues.own0,\"A, \"\"B\"\"\"\n").unwrap();
    let dataset = Dataset::open(&folder.path().join("audio_dir")).unwrap();
    let mut frame = data::manifest::of_dataset(&dataset).unwrap();
    assert_eq!(frame.shape(), (6, 7));
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    data::tables::write_parquet(&mut frame, &a).unwrap();
    data::tables::write_parquet(&mut data::manifest::of_dataset(&dataset).unwrap(), &b).unwrap();
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    assert!(fs::read(&a).unwrap().starts_with(b"PAR1"));
    data::tables::write_csv(&mut frame, &a).unwrap();
    let text = fs::read_to_string(&a).unwrap();
    assert!(text.starts_with("clip_id,genre,artist,title,split,n_frames,file\nblues.own0,blues,\"A, \"\"B\"\"\",,,,blues/blues.own0.wav\n"), "{text}");

    let mut catalogue = data::manifest::of_gtzan().unwrap();
    assert_eq!(catalogue.shape(), (1000, 7));
    data::tables::write_parquet(&mut catalogue, &folder.path().join("new/catalogue.parquet")).unwrap();
}
