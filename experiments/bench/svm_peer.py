"""The support vector machine against scikit-learn's SVC(probability=True), on the same vectors and the same split.

    cargo build --release -p train --example svm_on_vectors
    python experiments/bench/svm_peer.py --store STORE --meta clips.csv --ours target/release/examples/svm_on_vectors

Vectors are computed here from a log-mel store (statistics of MFCC and their deltas, MFCC correlations, modulation
spectrum), or read from a folder that already has them (`--vectors`). Ours chooses C and gamma by cross-validation on the
train part; scikit-learn is given the same two, and fits its own scaler and its own calibration. Both are scored on the
valid part.
"""

import argparse
import csv
import json
import pathlib
import re
import subprocess
import tempfile
import time
import unicodedata

import numpy as np
import scipy.fft
from safetensors.numpy import load_file, save_file
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def describe(levels):
    """[n_mels, frames] levels of a store to named dimensions."""
    db = levels.astype(np.float64) / 2 - 80
    mfcc = scipy.fft.dct(db, type=2, norm="ortho", axis=0)[:20]
    delta = np.gradient(mfcc, axis=1)
    out = {}
    for name, series in (("mfcc", mfcc), ("mfcc_delta", delta)):
        for statistic, values in (
            ("mean", series.mean(1)),
            ("std", series.std(1)),
            ("p10", np.percentile(series, 10, axis=1)),
            ("p90", np.percentile(series, 90, axis=1)),
        ):
            for i, value in enumerate(values):
                out[f"{name}.{i}.{statistic}"] = value
    correlation = np.corrcoef(mfcc + 1e-9 * np.arange(mfcc.shape[1]))
    for i in range(20):
        for j in range(i):
            out[f"mfcc_correlation.{i}.{j}"] = correlation[i, j]
    # Energy of each of 16 groups of mel bands at 8 groups of modulation frequencies.
    bands = db.reshape(16, 8, -1).mean(1)
    spectrum = np.abs(np.fft.rfft(bands - bands.mean(1, keepdims=True), axis=1))[:, 1:]
    edges = np.unique(np.geomspace(1, spectrum.shape[1], 9).astype(int))
    for band in range(16):
        for f in range(len(edges) - 1):
            out[f"modulation.{band}.{f}"] = np.log(1e-3 + spectrum[band, edges[f] - 1 : edges[f + 1]].mean())
    return out


def group(artist, clip_id):
    key = unicodedata.normalize("NFKD", artist).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]", "", re.sub(r"^the ", "", key))
    return key or clip_id


def write_vectors(store, meta, out):
    levels = load_file(store / "logmel.safetensors")["logmel_u8"]
    ids = (store / "ids.txt").read_text().split()
    clips = {row["clip_id"]: row for row in csv.DictReader(meta.open())}
    described = [describe(row) for row in levels]
    vectors = np.array([list(d.values()) for d in described], dtype=np.float32)
    genres = sorted({clip["genre"] for clip in clips.values()})
    save_file({"vectors": vectors}, out / "vectors.safetensors")
    (out / "names.txt").write_text("\n".join(described[0]) + "\n")
    with (out / "clips.csv").open("w") as f:
        for clip_id in ids:
            clip = clips[clip_id]
            part = clip["fault_filtered_split"]
            print(clip_id, genres.index(clip["genre"]), group(clip["artist"], clip_id), part, sep=",", file=f)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=pathlib.Path)
    parser.add_argument("--meta", type=pathlib.Path)
    parser.add_argument("--vectors", type=pathlib.Path, help="a folder of vectors.safetensors, names.txt, clips.csv")
    parser.add_argument("--ours", type=pathlib.Path, required=True, help="the example svm_on_vectors")
    parser.add_argument("--search", default="{}", help="fields of `Search` for ours, as JSON")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--peer-seeds", type=int, default=5, help="SVC's calibration is random: its seeds 0, 1, …")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.vectors or pathlib.Path(temporary)
        if not args.vectors:
            write_vectors(args.store, args.meta, folder)
        started = time.perf_counter()
        ours = json.loads(
            subprocess.run([args.ours, folder, args.seed, args.search], check=True, capture_output=True).stdout
        )
        seconds = time.perf_counter() - started
        vectors = load_file(folder / "vectors.safetensors")["vectors"].astype(np.float64)
        rows = [line.split(",") for line in (folder / "clips.csv").read_text().splitlines()]
    labels = np.array([int(row[1]) for row in rows])
    parts = np.array([row[3] for row in rows])
    train, valid = parts == "train", parts == "valid"

    scaler = StandardScaler().fit(vectors[train])
    scaled = scaler.transform(vectors[train])
    gamma = ours["chosen"]["gamma"] / (scaled.shape[1] * scaled.var())
    print(f"vectors {vectors.shape}, train {train.sum()}, valid {valid.sum()}")
    print(f"chosen by ours: {ours['chosen']}; cross-validated {ours['cross_validated']}; T {ours['temperature']:.3f}")
    print(f"{'':34} accuracy log-loss")
    print(f"{'ours (search and fit ' + format(seconds, '.1f') + ' s)':34} {ours['accuracy']:.4f}   {ours['log_loss']:.4f}")
    scores = []
    for seed in range(args.peer_seeds):
        peer = make_pipeline(
            StandardScaler(), SVC(C=ours["chosen"]["c"], gamma=gamma, probability=True, random_state=seed)
        ).fit(vectors[train], labels[train])
        predicted, probabilities = peer.predict(vectors[valid]), peer.predict_proba(vectors[valid])
        scores.append((
            accuracy_score(labels[valid], predicted),
            accuracy_score(labels[valid], probabilities.argmax(1)),
            log_loss(labels[valid], probabilities),
        ))
    scores = np.array(scores)
    for name, column in (("SVC.predict", 0), ("SVC.predict_proba", 1)):
        print(f"{name + f', mean of {args.peer_seeds} seeds':34} {scores[:, column].mean():.4f}   {scores[:, 2].mean():.4f}"
              f" (log-loss {scores[:, 2].min():.4f} to {scores[:, 2].max():.4f})")


if __name__ == "__main__":
    main()
