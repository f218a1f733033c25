"""The splits of `train` as splitters of scikit-learn."""

import copy
import pickle

import numpy as np
import pytest
from tonearm import ParameterError
from tonearm.splits import (
    ArtistHoldout,
    ArtistKFold,
    Given,
    GtzanSplits,
    LeaveOneArtistOut,
    TrackKFold,
    artist_groups,
    gtzan_catalogue,
)


def rows(n_artists=12, songs=5):
    """`X`, labels and artists of some songs."""
    artists = np.repeat([f"artist {i}" for i in range(n_artists)], songs)
    labels = np.repeat(np.arange(n_artists) % 3, songs)
    return np.zeros((len(artists), 2)), labels, artists


def test_artists_are_on_one_side_and_labels_even():
    X, y, artists = rows()
    folds = list(ArtistKFold(4).split(X, y, artists))
    assert len(folds) == ArtistKFold(4).get_n_splits() == 4
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
    for train, test in folds:
        assert not set(artists[train]) & set(artists[test])
        assert len(train) + len(test) == len(y) and (np.bincount(y[test]) == 5).all()
    again = list(ArtistKFold(4).split(None, y, artists))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again))
    other = list(ArtistKFold(4, seed=1).split(X, y, artists))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(folds, other))
    ((train, test),) = ArtistHoldout(25).split(X, y, artists)
    assert len(test) == 15 and not set(artists[train]) & set(artists[test])
    assert LeaveOneArtistOut().get_n_splits(X, y, artists) == 12


def test_tracks_are_whole_and_artists_are_not():
    X, y, artists = rows()
    tracks = np.repeat(np.arange(30), 2)
    for train, test in TrackKFold(5).split(X, y, tracks):
        assert not set(tracks[train]) & set(tracks[test])
    assert "artists" in TrackKFold(5).leaks and TrackKFold(5).get_n_splits() == 5
    assert sum(len(test) for _, test in TrackKFold(5).split(X, y)) == len(y)


def test_the_split_of_a_dataset_is_taken():
    parts = ["train", "test", None, "train", "valid"]
    ((train, test),) = Given("test").split(np.zeros((5, 1)), None, parts)
    assert (train.tolist(), test.tolist()) == ([0, 3], [1])
    with pytest.raises(ParameterError, match="dev"):
        list(Given("dev").split(np.zeros((5, 1)), None, parts))


def test_gtzan_has_the_sizes_that_were_published():
    clips = gtzan_catalogue()
    ids = [clip.clip_id for clip in clips]
    labels = [clip.label for clip in clips]
    assert len(clips) == 1000 and len(set(labels)) == 10
    X = np.zeros((1000, 1))
    for part, size in [("valid", 197), ("test", 290)]:
        splitter = GtzanSplits(f"fault-filtered:{part}")
        ((train, test),) = splitter.split(X, labels, ids)
        assert (len(train), len(test)) == (443, size) and splitter.get_n_splits(X, labels, ids) == 1
        assert {clips[row].part for row in test} == {part} and {clips[row].part for row in train} == {"train"}
    groups = np.array([clip.group for clip in clips])
    folds = list(GtzanSplits("artist-kfold:5").split(X, labels, ids))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
    # By paths, and with the groups at hand, the folds are the same.
    paths = [f"/music/{clip.split('.')[0]}/{clip}.wav" for clip in ids]
    for again in (GtzanSplits("artist-kfold:5").split(paths, labels), ArtistKFold(5).split(X, labels, groups)):
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again))
    ((_, test),) = GtzanSplits().split(["blues.00000.3.wav", "blues.00000.4.wav", *ids], None)
    assert len(test) in (197, 199)


def test_what_is_no_clip_of_gtzan_is_named():
    with pytest.raises(ParameterError, match="song.mp3"):
        list(GtzanSplits().split(["song.mp3", "blues.00000"]))
    with pytest.raises(ParameterError, match="groups"):
        list(GtzanSplits().split(np.zeros((3, 4))))
    with pytest.raises(ParameterError):
        list(GtzanSplits().split(np.zeros((3, 4)), None, ["blues.00000"]))


def test_impossible_splits_are_refused():
    X, y, artists = rows(2)
    for wrong in [lambda: ArtistKFold(1), lambda: ArtistHoldout(80), lambda: GtzanSplits("kfold:3"), lambda: Given("x")]:
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ParameterError, match="3 folds of 2 groups"):
        list(ArtistKFold(3).split(X, y, artists))
    with pytest.raises(ParameterError, match="groups"):
        list(ArtistKFold(2).split(X, y))
    with pytest.raises(ParameterError):
        list(ArtistKFold(2).split(X, y, artists[:-1]))


def test_spellings_of_an_artist_are_united():
    groups = artist_groups(["Earth Wind and Fire", "Earth, Wind & Fire", None, "Various Artists", float("nan"), "Prince"])
    assert groups[0] == groups[1] and len(set(groups)) == 5
    assert len(set(artist_groups([None, None], albums=["Greatest Hits Live", "Greatest Hits Live"]))) == 1


def test_they_are_copied_and_pickled():
    splitter = GtzanSplits("artist-kfold:3", seed=7)
    for again in (copy.deepcopy(splitter), pickle.loads(pickle.dumps(splitter))):
        assert repr(again) == repr(splitter) == "GtzanSplits('artist-kfold:3', seed=7)" and again.leaks == splitter.leaks
