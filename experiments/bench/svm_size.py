"""Fit time, memory and accuracy of the support vector machine by number of clips, beside scikit-learn's, on the same vectors in one run.

    cargo build --release -p train --example svm_size
    python experiments/bench/svm_size.py --ours target/release/examples/svm_size [--dataset STORE] [--clips 700,1400,2800,8000,25000]

With a store of GTZAN, a clip is drawn of its `train` part with all its vectors (one of the whole clip and one of each window), and every
dimension moves by a normal number of `--jitter` of its deviation; the artist stays. 2,000 vectors of whole clips of the `valid` part, drawn
in the same way, are what accuracy is measured on; no artist is in both. Without a store the vectors are made: artists around labels in 24
dimensions, bent, and mixed into 1,364.

Ours fits with the default search, 24 points on 5 folds and once more on all, and with the chosen point alone, 5 folds (which the probabilities
need) and all. SVC gets the chosen C and gamma, once without probabilities and once calibrated, which is the
work of one point of ours (5 folds by artist and all; CalibratedClassifierCV). LinearSVC and Nystroem with as many landmarks as ours, before
LinearSVC, fit once without probabilities, with the best C of four by the accuracy that is shown; beyond `--exact-clips` with that of the
number of clips before. Up to `--exact-clips`, GridSearchCV searches the points of ours with SVC, on as many folds by artist, without
probabilities. Every fit is a process of its own: its CPU seconds and its peak memory include reading the vectors, scikit-learn's
also importing it.

With `--head`, the same for the head of the frozen VGG19, on vectors that are made with the dimensions of its embeddings, beside LinearSVC.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from safetensors.numpy import load_file, save_file

HELD_OUT = 2000
DIMENSIONS = 1364
LINEAR_C = [0.001, 0.01, 0.1, 1.0]
PEERS = ["SVC, search", "SVC", "SVC, calibrated", "LinearSVC", "Nystroem+LinearSVC"]


class Source:
    """Clips to draw from: of each part, for each label, lists of (group, vectors); the first vector is of the whole clip."""

    def __init__(self, names, parts):
        self.names, self.parts = names, parts
        rows = np.concatenate([vectors for clips in parts["train"] for _, vectors in clips])
        self.deviation = rows.std(0)

    def draw(self, part, n, jitter, rng, whole_only=False):
        clips = self.parts[part]
        vectors, rows = [], []
        for number in range(n):
            label = number % len(clips)
            group, of_clip = clips[label][rng.integers(len(clips[label]))]
            of_clip = of_clip[:1] if whole_only else of_clip
            noise = rng.standard_normal(of_clip.shape, dtype=np.float32)
            vectors.append(of_clip + np.float32(jitter) * self.deviation * noise)
            rows += [f"{part}\t{label}\t{number}\t{group}\t{int(i == 0)}" for i in range(len(of_clip))]
        return np.concatenate(vectors).astype(np.float32), rows


def of_store(ours, dataset, n_labels, scratch):
    subprocess.run([ours, "vectors", dataset, scratch], check=True)
    vectors = load_file(scratch / "vectors.safetensors")["vectors"]
    parts = {part: [{} for _ in range(n_labels)] for part in ["train", "valid"]}
    for row, line in enumerate((scratch / "rows.csv").read_text().splitlines()):
        part, label, clip, group, _ = line.split("\t")
        if int(label) < n_labels:
            parts[part][int(label)].setdefault(clip, (group, []))[1].append(vectors[row])
    parts = {
        part: [[(group, np.stack(rows)) for group, rows in clips.values()] for clips in labels]
        for part, labels in parts.items()
    }
    return Source((scratch / "names.txt").read_text(), parts)


def made(n_labels, dimensions, rng):
    mixing = rng.standard_normal((24, dimensions)) / np.sqrt(24)
    centres = rng.standard_normal((n_labels, 24))

    def clips(part, label):
        for artist in range(20):
            accent = 1.1 * rng.standard_normal(24)
            for _ in range(2):
                latent = centres[label] + accent + 0.5 * rng.standard_normal((4, 24))
                mixed = np.tanh(latent @ mixing) + 0.3 * rng.standard_normal((4, dimensions))
                yield f"{part} {label} {artist}", mixed.astype(np.float32)

    parts = {part: [list(clips(part, label)) for label in range(n_labels)] for part in ["train", "valid"]}
    return Source("\n".join(f"made.{i}" for i in range(dimensions)), parts)


def write(source, folder, n_clips, jitter, rng):
    train, rows = source.draw("train", n_clips, jitter, rng)
    valid, held = source.draw("valid", HELD_OUT, jitter, rng, whole_only=True)
    save_file({"vectors": np.concatenate([train, valid])}, folder / "vectors.safetensors")
    (folder / "rows.csv").write_text("".join(f"{row}\n" for row in rows + held))
    (folder / "names.txt").write_text(source.names)
    return len(train)


def measured(command, limit=None, env=None):
    """What a process prints, with its CPU seconds; None if it takes longer than the limit."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=env)
        started = time.perf_counter()
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if limit and time.perf_counter() - started > limit:
                process.kill()
                process.wait()
                return None
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command[0]} {command[1]} failed with {process.returncode}")
        output.seek(0)
        return json.loads(output.read()) | {"cpu": usage.ru_utime + usage.ru_stime}


def fit_ours(args, folder, **search):
    return measured([args.ours, "fit", folder, str(args.threads), json.dumps(search)])


def fit_head(args, folder):
    return measured([args.ours, "head", folder, str(args.threads)])


def best_peer(args, folder, name, penalties=LINEAR_C, **parameters):
    tried = [fit_peer(args, folder, name, c=c, **parameters) for c in penalties]
    return max(filter(None, tried), key=lambda result: (result["accuracy"], -result["seconds"]), default=None)


def fit_peer(args, folder, name, **parameters):
    command = [sys.executable, __file__, "--peer", name, str(folder), json.dumps(parameters)]
    threads = {f"{library}_NUM_THREADS": str(args.threads) for library in ["OMP", "OPENBLAS", "MKL"]}
    return measured(command, args.limit, os.environ | threads)


def peer(name, folder, c=None, gamma=None, landmarks=None, grid=None):
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.kernel_approximation import Nystroem
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    folder = pathlib.Path(folder)
    vectors = load_file(folder / "vectors.safetensors")["vectors"]
    rows = [line.split("\t") for line in (folder / "rows.csv").read_text().splitlines()]
    labels = np.array([int(row[1]) for row in rows])
    groups = np.array([row[3] for row in rows])
    train = np.array([row[0] == "train" for row in rows])
    machine = {
        "SVC, calibrated": lambda: [SVC(C=c, gamma=gamma, cache_size=2000)],
        "SVC, search": lambda: [SVC(cache_size=2000)],
        "SVC": lambda: [SVC(C=c, gamma=gamma, cache_size=2000)],
        "LinearSVC": lambda: [LinearSVC(C=c, random_state=0)],
        "Nystroem+LinearSVC": lambda: [
            Nystroem(gamma=gamma, n_components=landmarks, random_state=0),
            LinearSVC(C=c, random_state=0),
        ],
    }[name]()
    x, y = vectors[train], labels[train]
    machine = make_pipeline(StandardScaler(), *machine)
    folds = list(GroupKFold(5).split(x, y, groups[train]))
    if name == "SVC, calibrated":
        machine = CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    elif name == "SVC, search":
        points = [{"svc__C": [c], "svc__gamma": [gamma]} for c, gamma in grid]
        machine = GridSearchCV(machine, points, cv=folds)
    started = time.perf_counter()
    fitted = machine.fit(x, y)
    seconds = time.perf_counter() - started
    accuracy = fitted.score(vectors[~train], labels[~train])
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"seconds": seconds, "accuracy": accuracy, "peak_kib": peak, "c": c}))


def row(clips, name, result, note=""):
    if result is None:
        return f"| {clips} | {name} | over the limit | | | | {note} |"
    seconds, mebibytes = f"{result['seconds']:.1f} | {result['cpu']:.1f}", result["peak_kib"] / 1024
    return f"| {clips} | {name} | {seconds} | {mebibytes:.0f} | {result['accuracy']:.3f} | {note} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=pathlib.Path, required=True, help="the example svm_size")
    parser.add_argument("--dataset", type=pathlib.Path, help="a feature store of GTZAN; without it vectors are made")
    parser.add_argument("--clips", default="700,1400,2800,8000,25000")
    parser.add_argument("--labels", type=int, default=8, help="2 to 10 with a store, 2 to 1000 without")
    parser.add_argument("--jitter", type=float, default=0.5, help="share of the deviation of each dimension")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", default="{}", help="fields of `Search` for ours, as JSON")
    parser.add_argument("--peers", default=";".join(PEERS), help="separated by semicolons")
    parser.add_argument("--exact-clips", type=int, default=1400, help="up to so many clips, ours is fitted by both solvers")
    parser.add_argument("--head", action="store_true", help="fit the head of VGG19, not the support vector machine")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds that one fit of a peer may take")
    args = parser.parse_args()
    args.ours = args.ours.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        rng = np.random.default_rng(args.seed)
        if args.dataset and not args.head:
            source = of_store(args.ours, args.dataset, args.labels, scratch)
        else:
            dimensions = DIMENSIONS
            if args.head:
                dimensions = int(subprocess.run([args.ours, "head-dimensions"], check=True, capture_output=True).stdout)
            source = made(args.labels, dimensions, rng)
        penalties = dict.fromkeys(PEERS, LINEAR_C)
        print("| clips | fitted | s | CPU s | peak MiB | accuracy | |\n|---:|---|---:|---:|---:|---:|---|", flush=True)
        for clips in [int(clips) for clips in args.clips.split(",")]:
            n = write(source, scratch, clips, args.jitter, np.random.default_rng(args.seed + 1))
            if args.head:
                print(row(clips, "ours, head of VGG19", fit_head(args, scratch), f"{n} vectors"), flush=True)
                best = best_peer(args, scratch, "LinearSVC", penalties["LinearSVC"])
                print(row(clips, "LinearSVC", best, f"C {best['c']:g}" if best else ""), flush=True)
                if best and clips >= args.exact_clips:
                    penalties["LinearSVC"] = [best["c"]]
                continue
            ours = fit_ours(args, scratch, **json.loads(args.search))
            chosen = ours["chosen"]
            note = f"{n} vectors; C {chosen['c']:g}, gamma {chosen['gamma']:g}, cross-validated {chosen['accuracy']:.3f}"
            print(row(clips, "ours, default search", ours, "; ".join([note, *ours["warnings"]])), flush=True)
            point = {"c": [chosen["c"]], "gamma": [chosen["gamma"]], "balance": [chosen["balance"]]}
            point = json.loads(args.search) | point
            solvers = ["exact", "low_rank"] if clips <= args.exact_clips else ["low_rank"]
            landmarks = 2048
            for solver in solvers:
                alone = fit_ours(args, scratch, **(point | {"solver": solver}))
                rest = alone["seconds"] - alone["seconds_of_search"]
                landmarks = (alone["low_rank"] or {}).get("landmarks", landmarks)
                note = f"of which the last fit and the calibration {rest:.1f} s; log-loss {alone['log_loss']:.3f}"
                print(row(clips, f"ours, {solver}, one point", alone, note), flush=True)
            for name in args.peers.split(";") if args.peers else []:
                if name == "SVC, search":
                    if clips <= args.exact_clips:
                        scale = ours["gamma"] / chosen["gamma"]
                        grid = sorted({(point["c"], scale * point["gamma"]) for point in ours["grid"]})
                        print(row(clips, name, fit_peer(args, scratch, name, grid=grid), f"{len(grid)} points"), flush=True)
                elif name.startswith("SVC"):
                    print(row(clips, name, fit_peer(args, scratch, name, c=chosen["c"], gamma=ours["gamma"])), flush=True)
                if name.startswith("SVC"):
                    continue
                more = {} if name == "LinearSVC" else {"gamma": ours["gamma"], "landmarks": landmarks}
                best = best_peer(args, scratch, name, penalties[name], **more)
                print(row(clips, name, best, f"C {best['c']:g}" if best else ""), flush=True)
                if best and clips >= args.exact_clips:
                    penalties[name] = [best["c"]]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:4], **json.loads(sys.argv[4]))
    else:
        main()
