"""Estimators of scikit-learn: its own checks, a grid search over files, pickling, processes."""

import pickle

import numpy as np
import pytest
from tonearm import AudioError, Extractor, ParameterError
from tonearm.splits import ArtistKFold

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed: tonearm.sklearn is NOT TESTED")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import make_classification  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402
from tonearm.sklearn import TonearmClassifier, TonearmFeatures  # noqa: E402

# Checks that do not apply, each with its reason.
EXPECTED_FAILED_CHECKS = {}


def test_the_classifier_passes_the_checks_of_scikit_learn():
    estimator_checks.check_estimator(TonearmClassifier(), expected_failed_checks=EXPECTED_FAILED_CHECKS, on_skip=None)


@pytest.mark.parametrize(
    "check",
    [
        # Those that fit nothing: `check_estimator` has matrices alone to fit on, and this takes audio, as its tags say.
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_mixin_order,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    ],
)
def test_the_transformer_passes_the_checks_that_apply(check):
    check("TonearmFeatures", TonearmFeatures())


def test_the_transformer_gives_what_the_extractor_gives(dataset):
    _, paths, labels, _ = dataset
    features = TonearmFeatures("librosa")
    found = features.fit_transform(paths, labels)
    assert np.array_equal(found, Extractor("librosa").transform(paths))
    assert features.get_feature_names_out().tolist() == Extractor("librosa").names
    again = pickle.loads(pickle.dumps(clone(features)))
    assert again.get_params() == features.get_params() and np.array_equal(again.transform(paths[:1]), found[:1])
    column = np.array([str(path) for path in paths[:3]], dtype=object).reshape(-1, 1)
    assert np.array_equal(features.transform(column), found[:3])
    with pytest.raises(ParameterError):
        features.fit(paths[0])
    with pytest.raises(ParameterError):
        features.set_params(threads=0).fit(paths)


def test_a_grid_search_over_files_keeps_artists_apart(dataset):
    _, paths, labels, artists = dataset
    pipeline = Pipeline([("features", TonearmFeatures()), ("scale", StandardScaler()), ("svc", SVC())])
    splitter = ArtistKFold(3)
    # Two processes of joblib.
    search = GridSearchCV(pipeline, {"svc__C": [0.5, 5.0]}, cv=splitter, n_jobs=2, error_score="raise")
    search.fit(paths, labels, groups=artists)
    assert search.n_splits_ == 3 and search.best_score_ > 0.9
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (again.predict(paths) == search.predict(paths)).all()
    for train, test in splitter.split(paths, labels, artists):
        assert not {artists[row] for row in train} & {artists[row] for row in test}


def test_descriptors_and_the_machine_make_a_pipeline(dataset):
    _, paths, labels, artists = dataset
    X = Extractor().transform(paths)
    model = TonearmClassifier(C=4.0, gamma=0.25)
    scores = cross_val_score(model, X, labels, groups=artists, cv=ArtistKFold(3))
    assert scores.mean() > 0.9
    fitted = model.fit(X, labels, groups=artists)
    assert fitted.classes_.tolist() == ["fast", "slow"] and fitted.report_["chosen"]["c"] == 4.0
    found = fitted.predict_proba(X)
    assert found.shape == (24, 2) and np.allclose(found.sum(axis=1), 1)
    assert (fitted.predict(X) == np.array(["fast", "slow"])[found.argmax(axis=1)]).all()


def test_a_fitted_machine_is_pickled_to_the_bit():
    X, y = make_classification(120, 12, n_informative=6, n_classes=3, random_state=1)
    fitted = TonearmClassifier(random_state=3).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X)) and again.report_ == fitted.report_
    # Neither threads nor processes change a bit.
    other = TonearmClassifier(random_state=3, n_jobs=2).fit(X, y)
    assert np.array_equal(other.predict_proba(X), fitted.predict_proba(X))
    search = GridSearchCV(TonearmClassifier(C=2.0), {"gamma": [0.1, 0.5]}, cv=3, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.6
    assert fitted.score(X, y) > 0.8


def test_what_it_cannot_fit_says_why():
    X, y = make_classification(40, 6, random_state=0)
    for wrong in [{"C": "large"}, {"C": []}, {"C": -1.0}, {"gamma": 0.0}, {"folds": 1}, {"criterion": "f1"}]:
        with pytest.raises(ValueError):
            TonearmClassifier(**wrong).fit(X, y)
    with pytest.raises(ValueError, match="class"):
        TonearmClassifier().fit(X, np.zeros(40))
    with pytest.raises(ValueError, match="at least 2"):
        TonearmClassifier().fit(X, y, groups=y)
    with pytest.raises(ValueError, match="39 groups"):
        TonearmClassifier().fit(X, y, groups=y[1:])


def test_a_file_that_cannot_be_read_is_named_by_the_search(dataset, tmp_path):
    _, paths, labels, artists = dataset
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF no music")
    pipeline = make_pipeline(TonearmFeatures(), StandardScaler(), SVC())
    with pytest.raises(AudioError, match="broken.wav"):
        pipeline.fit([*paths, broken], [*labels, "slow"])
    # From another process too.
    search = GridSearchCV(pipeline, {"svc__C": [1.0]}, cv=ArtistKFold(3), n_jobs=2, error_score="raise")
    with pytest.raises(AudioError, match="broken.wav"):
        search.fit([*paths, broken], [*labels, "slow"], groups=[*artists, "nobody"])
