"""The support vector machine beside scikit-learn's SVC(probability=True), on the same vectors and the same split of GTZAN.

    cargo build --release -p train --example svm_beside
    python experiments/bench/svm_peer.py --ours target/release/examples/svm_beside --dataset DATASET

Ours describes the clips, chooses C and gamma by cross-validation on the train part, and is scored on the valid part.
scikit-learn is given the same vectors, of segments and of windows of the train part alike, and the same C and gamma; it fits its own
scaler and its own calibration (Platt's, by folds that it deals itself; random, so several seeds), and is scored on the same
segments. SVC's `probability` goes away in scikit-learn 1.11.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time
import warnings

import numpy as np
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=pathlib.Path, required=True)
    parser.add_argument("--ours", type=pathlib.Path, required=True, help="the example svm_beside")
    parser.add_argument("--search", default="{}", help="fields of `Search` for ours, as JSON")
    parser.add_argument("--seed", default="42")
    parser.add_argument("--peer-seeds", type=int, default=5)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory() as folder:
        command = [args.ours, args.dataset, folder, args.seed, args.search]
        started = time.perf_counter()
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        seconds = time.perf_counter() - started
        vectors = load_file(pathlib.Path(folder) / "vectors.safetensors")["vectors"].astype(np.float64)
        rows = [line.split(",") for line in (pathlib.Path(folder) / "rows.csv").read_text().splitlines()]
    labels = np.array([int(row[1]) for row in rows])
    train = np.array([row[0] == "train" for row in rows])
    valid = np.array([row[0] == "valid" and row[2] == "1" for row in rows])

    scaled = StandardScaler().fit_transform(vectors[train])
    gamma = ours["chosen"]["gamma"] / (scaled.shape[1] * scaled.var())
    chosen, crossed = ours["chosen"], ours["cross_validated"]
    print(f"{vectors.shape[1]} dimensions, {train.sum()} vectors to fit on, {valid.sum()} to evaluate on")
    print(f"chosen by ours: C {chosen['c']:g}, gamma {chosen['gamma']:g} x scale; by cross-validation {crossed}")
    print(f"{'':34} accuracy  log-loss")
    print(f"{f'ours (all of it {seconds:.1f} s)':34} {ours['accuracy']:.4f}    {ours['log_loss']:.4f}")
    scores = []
    for seed in range(args.peer_seeds):
        svc = SVC(C=chosen["c"], gamma=gamma, probability=True, random_state=seed)
        peer = make_pipeline(StandardScaler(), svc).fit(vectors[train], labels[train])
        predicted, probabilities = peer.predict(vectors[valid]), peer.predict_proba(vectors[valid])
        scores.append((
            accuracy_score(labels[valid], predicted),
            accuracy_score(labels[valid], probabilities.argmax(1)),
            log_loss(labels[valid], probabilities),
        ))
    scores = np.array(scores)
    print(f"{'SVC.predict':34} {scores[:, 0].mean():.4f}")
    print(f"{f'SVC.predict_proba, {args.peer_seeds} seeds':34} {scores[:, 1].mean():.4f}    {scores[:, 2].mean():.4f}"
          f" ({scores[:, 2].min():.4f} to {scores[:, 2].max():.4f})")


if __name__ == "__main__":
    main()
