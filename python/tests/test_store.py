"""Feature stores from Python: mapped, not copied, with the bits of the extractor."""

import json
import pickle

import numpy as np
import pytest
from conftest import binary, run
from tonearm import Classifier, Extractor, ParameterError, TonearmError
from tonearm.store import FeatureStore, map_tensors


@pytest.fixture(scope="session")
def stores(dataset, tmp_path_factory):
    """Stores of the dataset, by name: one with each preset, and one of the log-mel alone, as the SVM takes it."""
    folder = tmp_path_factory.mktemp("stores")
    log_mel = folder / "log-mel.json"
    log_mel.write_text(json.dumps(Classifier.load("svm", artifacts="embedded").spec))
    specs = {"gtzan-store": "gtzan-store", "librosa": "librosa", "log-mel": log_mel}
    for name, spec in specs.items():
        done = run([binary("train"), "extract", "--data", dataset[0], "--out", folder / name, "--spec", spec])
        assert done.returncode == 0, done.stderr
    return {name: folder / name for name in specs}


def test_arrays_are_maps_of_the_file(stores):
    store = FeatureStore(stores["gtzan-store"])
    assert isinstance(store.log_mel, np.memmap) and store.log_mel.dtype == np.uint8
    assert store.log_mel.shape == (24, 128, 344) and not store.log_mel.flags.writeable
    assert np.shares_memory(store.log_mel[5], store.log_mel)
    assert store.n_frames.shape == (24,) and (store.n_frames < 344).all()
    assert FeatureStore(stores["log-mel"]).series == {}
    librosa = FeatureStore(stores["librosa"])
    assert librosa.log_mel.dtype == np.float32 and "rms" in librosa.series
    assert all(isinstance(series, np.memmap) and len(series) == 24 for series in librosa.series.values())


def test_rows_say_what_they_are(stores, dataset):
    store = FeatureStore(str(stores["gtzan-store"]))
    assert store.label_names == ["fast", "slow"] and sorted(store.labels) == sorted(dataset[2])
    assert [store.label_names[target] for target in store.targets] == store.labels.tolist()
    assert sorted(store.artists) == sorted(dataset[3]) and store.gtzan == [None] * 24
    # Two songs of one artist are in one group.
    groups = {}
    for artist, group in zip(store.artists, store.groups):
        groups.setdefault(artist, set()).add(group)
    assert len(groups) == 12 and all(len(group) == 1 for group in groups.values())


@pytest.mark.parametrize("name", ["gtzan-store", "librosa", "log-mel"])
def test_vectors_have_the_bits_of_the_extractor(name, stores, dataset):
    store = FeatureStore(stores[name])
    extractor = Extractor(store.spec)
    assert store.names == extractor.names and store.spec == extractor.spec
    found = store.extract(per="segment")
    assert found.names == store.names and list(found.source) == list(range(24))
    # Rows are in the order of the store: each is the row of one file.
    of_files = extractor.transform(dataset[1], per="segment")
    as_bytes = sorted(row.tobytes() for row in of_files)
    assert sorted(row.tobytes() for row in found.matrix) == as_bytes
    assert np.array_equal(store.vectors([3, -1], per="segment"), found.matrix[[3, -1]])


def test_decibels_are_those_of_the_levels(stores):
    store = FeatureStore(stores["gtzan-store"])
    levels = store.log_mel[7, :, : store.n_frames[7]]
    assert np.array_equal(store.decibels(7), -80 + 0.5 * levels.astype(np.float32))
    librosa = FeatureStore(stores["librosa"])
    assert np.array_equal(librosa.decibels(7), librosa.log_mel[7, :, : librosa.n_frames[7]])


def test_three_lines_of_numpy_read_it(stores):
    path = stores["gtzan-store"] / "logmel.safetensors"
    # As docs/python.md has it.
    n = int(np.fromfile(path, "<u8", 1)[0])
    held = json.loads(np.fromfile(path, f"S{n}", 1, offset=8)[0])["logmel_u8"]
    log_mel = np.memmap(path, "u1", "r", 8 + n + held["data_offsets"][0], tuple(held["shape"]))
    assert np.array_equal(log_mel, FeatureStore(stores["gtzan-store"]).log_mel)


def test_what_is_written_does_not_reach_the_file(stores):
    before = (stores["gtzan-store"] / "logmel.safetensors").read_bytes()
    store = FeatureStore(stores["gtzan-store"], mode="c")
    store.log_mel[:] = 7
    assert (store.log_mel == 7).all() and (stores["gtzan-store"] / "logmel.safetensors").read_bytes() == before
    with pytest.raises(ParameterError):
        FeatureStore(stores["gtzan-store"], mode="r+")


def test_what_is_pickled_is_the_path(stores):
    store = FeatureStore(stores["gtzan-store"])
    data = pickle.dumps(store)
    assert len(data) < 500 and np.array_equal(pickle.loads(data).log_mel, store.log_mel)


def test_a_damaged_store_is_refused(stores, tmp_path):
    for name in ("logmel.safetensors", "ids.txt", "clips.csv"):
        (tmp_path / name).write_bytes((stores["gtzan-store"] / name).read_bytes())
    FeatureStore(tmp_path)
    whole = (tmp_path / "logmel.safetensors").read_bytes()
    for broken in (whole[:-1], whole[:100], b"", b"no store"):
        (tmp_path / "logmel.safetensors").write_bytes(broken)
        with pytest.raises(TonearmError):
            FeatureStore(tmp_path)
        with pytest.raises(TonearmError):
            map_tensors(tmp_path / "logmel.safetensors")
    with pytest.raises(TonearmError):
        FeatureStore(tmp_path / "nowhere")


def test_rows_and_specifications_that_do_not_fit_are_refused(stores):
    store = FeatureStore(stores["gtzan-store"])
    for wrong in [{"rows": [24]}, {"rows": [-25]}, {"per": "song"}, {"spec": "librosa"}, {"spec": "no-such"}]:
        with pytest.raises(ParameterError):
            store.extract(**wrong)
    # Of a specification those descriptors are taken that the store suffices for.
    fewer = {**store.spec, "descriptors": ["mfcc_mean", "rms"]}
    names = store.extract([0], spec=fewer).names
    assert {name.split(".")[0] for name in names} == {"mfcc", "rms"}
    names = FeatureStore(stores["log-mel"]).extract([0], spec=fewer).names
    assert {name.split(".")[0] for name in names} == {"mfcc"}
