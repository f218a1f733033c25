"""Fits the reference's SVM on an audio folder with one subfolder per genre, on both sets of features.

    python experiments/serving/reference/fit.py DATASET OUT

Writes `svm-gtzan.joblib` and `svm-mfcc.joblib`: a StandardScaler and an SVC(probability=True), C by cross-validation.
"""

import pathlib
import sys
import warnings

import features
import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main(dataset, out):
    # `probability` goes away in scikit-learn 1.11; it is what the service was written with.
    warnings.filterwarnings("ignore", category=FutureWarning)
    tracks = sorted(pathlib.Path(dataset).glob("*/*.wav"))
    labels = [track.parent.name for track in tracks]
    vectors = joblib.Parallel(n_jobs=-1)(joblib.delayed(describe)(track) for track in tracks)
    for name in features.SETS:
        x = np.stack([vector[name] for vector in vectors])
        search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 3, 10, 30]}, cv=3).fit(x, labels)
        best = search.best_params_["svc__C"]
        pipeline = make_pipeline(StandardScaler(), SVC(C=best, probability=True, random_state=0)).fit(x, labels)
        joblib.dump(pipeline, pathlib.Path(out) / f"svm-{name}.joblib")
        print(f"{name}: {x.shape[1]} columns, C {best}, cross-validated accuracy {search.best_score_:.3f}")


def describe(track):
    y = features.load(track)
    return {name: describe(y) for name, describe in features.SETS.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
