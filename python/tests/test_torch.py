"""Feature stores as datasets of PyTorch."""

import pickle

import numpy as np
import pytest
from conftest import binary, run
from tonearm import ParameterError
from tonearm.store import FeatureStore

torch = pytest.importorskip("torch", reason="PyTorch is not installed: tonearm.torch is NOT TESTED (pip install torch)")


@pytest.fixture(scope="module")
def path(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "store"
    done = run([binary("train"), "extract", "--data", dataset[0], "--out", out])
    assert done.returncode == 0, done.stderr
    return out


def test_an_item_is_a_view_of_the_file(path):
    from tonearm.torch import StoreDataset

    store, items = FeatureStore(path), StoreDataset(path)
    assert len(items) == len(store) == 24 and items.classes == store.label_names
    log_mel, target = items[3]
    assert log_mel.dtype == torch.uint8 and np.array_equal(log_mel.numpy(), store.log_mel[3]) and target == store.targets[3]
    assert np.shares_memory(log_mel.numpy(), items.store.log_mel), "nothing is copied"
    before = (path / "logmel.safetensors").read_bytes()
    log_mel.fill_(0)
    assert (items[3][0] == 0).all() and (path / "logmel.safetensors").read_bytes() == before
    decibels = StoreDataset(store).decibels(StoreDataset(store)[5][0])
    assert np.array_equal(decibels[:, : store.n_frames[5]].numpy(), store.decibels(5))


def test_a_loader_has_every_row_once(path):
    from tonearm.torch import StoreDataset

    store = FeatureStore(path)
    for workers in (0, 2):
        items = StoreDataset(store, transform=lambda log_mel: log_mel.float().mean(), target_transform=int) if workers == 0 else StoreDataset(store)
        loader = torch.utils.data.DataLoader(items, batch_size=5, num_workers=workers)
        targets = torch.cat([target for _, target in loader])
        assert torch.equal(targets, items.targets) and len(loader) == 5
    spawned = torch.utils.data.DataLoader(StoreDataset(store), batch_size=24, num_workers=1, multiprocessing_context="spawn")
    (batch, _), = spawned
    assert np.array_equal(batch.numpy(), store.log_mel)


def test_some_rows_are_a_fold(path):
    from tonearm.torch import StoreDataset

    store = FeatureStore(path)
    items = StoreDataset(store, [5, 0, 7])
    assert len(items) == 3 and items.targets.tolist() == store.targets[[5, 0, 7]].tolist()
    assert np.array_equal(items[2][0].numpy(), store.log_mel[7])
    assert len(pickle.dumps(items)) < 5_000
    with pytest.raises(IndexError):
        items[3]
    for wrong in ([24], [-1]):
        with pytest.raises(ParameterError):
            StoreDataset(store, wrong)
