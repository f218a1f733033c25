"""What novelty and the kinds of sound were chosen by (docs/decisions/0028-novelty.md), and what they do.

    python experiments/bench/sounds.py sounds --seed 1
    python experiments/bench/novelty.py signal STORE CLIPS_CSV sounds      # statistics of log-mels, the coefficients of speech, what is flagged
    target/release/examples/svm_size vectors STORE vectors
    python experiments/bench/novelty.py left-out vectors                   # ROC AUC of left-out labels by kind of distance
    python experiments/bench/novelty.py flagged target/release/serve sounds [FILE|FOLDER …]   # what `serve classify` flags, by kind

STORE holds `logmel.safetensors` (`logmel_u8`, levels of 0.5 dB from -80 dB) and `ids.txt`; CLIPS_CSV has `clip_id` and
`fault_filtered_split`. Only the parts train and valid are read. Needs numpy, safetensors; `left-out` also scikit-learn and scipy.
"""

import collections
import csv
import json
import pathlib
import subprocess
import sys
import wave

import numpy as np
from safetensors.numpy import load_file

RATE, N_FFT, HOP, BANDS = 22_050, 2048, 1920, 128
STATISTICS = ["range", "level_deviation", "flatness_deviation", "flux", "independence", "roughness", "concentration"]
SPEECH = ["range", "flatness_deviation", "flux", "independence", "concentration"]


def mel_to_hz(mel):
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def filters():
    """Slaney's, with area 1, and their centres in Hz."""
    edges = mel_to_hz(np.linspace(0, 15 + np.log(11.025) / (np.log(6.4) / 27), BANDS + 2))
    f, width = np.fft.rfftfreq(N_FFT, 1 / RATE), np.diff(edges)
    ramps = edges[:, None] - f
    weights = np.maximum(0, np.minimum(-ramps[:-2] / width[:-1, None], ramps[2:] / width[1:, None]))
    return weights * (2 / (edges[2:] - edges[:-2]))[:, None], edges[1:-1]


FILTERS, CENTRES = filters()


def log_mel(path):
    """Of a 16-bit WAV file of 22 050 Hz, mono: `[BANDS, frames]` in dB, in the levels of the store."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), path
        y = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = np.stack([y[at : at + N_FFT] for at in range(0, len(y) - N_FFT + 1, HOP)]) * window
    db = 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)) ** 2 @ FILTERS.T, 1e-10)).T
    return np.clip(np.round((db + 80) * 2), 0, 255) / 2 - 80


def statistics(x, centres=CENTRES):
    """`features::SignalStatistics`, of a log-mel in dB."""
    power = 10 ** (x / 10)
    total = power.sum(0) + 1e-10
    level = 10 * np.log10(total)
    level = np.maximum(level, level.max() - 50)
    audible = np.maximum(x, x.max() - 60)
    chosen = (centres >= 150) & (centres < 8000)
    loud = np.maximum(power[chosen], 10 ** ((x.max() - 60) / 10))
    flatness = audible[chosen].mean(0) - 10 * np.log10(loud.mean(0))
    change = np.diff(audible, axis=1)
    top = np.sort(power, 0)[-3:].sum(0)
    return np.array([
        np.percentile(level, 95) - np.percentile(level, 5),
        level.std(),
        flatness.std(),
        np.abs(change).mean(),
        (change**2).mean() / (2 * audible.var(1).mean() + 1e-6),
        np.abs(audible[1:-1] - (audible[:-2] + audible[2:]) / 2).mean(),
        (top / total).mean(),
    ])


def kind(s, speech):
    """`SignalStatistics::signal`."""
    s = dict(zip(STATISTICS, s))
    level = s["level_deviation"] < 0.1
    if s["flatness_deviation"] < 1 and (level or (s["level_deviation"] < 0.5 and s["flux"] < 0.8)):
        return "constant"
    if s["concentration"] > 0.88 or level:
        return "tonal"
    steady = s["flatness_deviation"] < 0.7
    independent = s["independence"] > 0.9 and s["roughness"] < 2.1 and s["flatness_deviation"] < 1.2
    smooth = s["roughness"] < 0.5 or (s["range"] > 25 and s["flatness_deviation"] < 2.5 and s["concentration"] < 0.3)
    if steady or independent or smooth:
        return "noise-like"
    return "speech-like" if speech[0] + sum(w * s[name] for w, name in zip(speech[1:], SPEECH)) > 0 else "music"


RUST = [-8.4, 0.18, 1.59, 0.11, 4.51, -15.27]


def logistic(x, y, penalty=1.0):
    """Weights and bias of a logistic regression on standardised columns, by Newton's method, as those of the columns themselves."""
    mean, deviation = x.mean(0), x.std(0)
    z = np.c_[(x - mean) / deviation, np.ones(len(x))]
    w = np.zeros(z.shape[1])
    ridge = np.diag([penalty] * x.shape[1] + [0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ w))
        w -= np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + ridge, z.T @ (p - y) + ridge @ w)
    weights = w[:-1] / deviation
    return w[-1] - weights @ mean, weights


def signal(store, clips_csv, sounds):
    part = {row["clip_id"]: row["fault_filtered_split"] for row in csv.DictReader(open(clips_csv, encoding="utf-8"))}
    ids = (store / "ids.txt").read_text().split()
    levels = load_file(store / "logmel.safetensors")["logmel_u8"]
    music = [levels[i] / 2.0 - 80 for i, clip in enumerate(ids) if part.get(clip) in ("train", "valid")]
    rows = {"music": [statistics(x) for x in music], "music, 2.3 s": [statistics(x[:, 100:126]) for x in music]}
    for path in sorted(sounds.glob("*.wav")):
        kind_of, x = path.stem.split("_")[0], log_mel(path)
        rows.setdefault(kind_of, []).append(statistics(x))
        if kind_of == "speech" and x.shape[1] > 40:
            rows.setdefault("speech, 2.3 s", []).append(statistics(x[:, 5:31]))
    columns = [STATISTICS.index(name) for name in SPEECH]
    speech = rows["speech"] + rows["speech, 2.3 s"]
    x = np.array(rows["music"] + rows["music, 2.3 s"] + speech)[:, columns]
    y = np.r_[np.zeros(len(x) - len(speech)), np.ones(len(speech))]
    bias, weights = logistic(x, y)
    print("speech: bias", round(bias, 2), dict(zip(SPEECH, np.round(weights, 2))), "; kept away from music by adding 1 to the bias")
    print("| kind | files | not music | " + " | ".join(f"{name}, 5 to 95 %" for name in STATISTICS) + " |")
    print("|---" * (3 + len(STATISTICS)) + "|")
    for name, of in rows.items():
        kinds = collections.Counter(kind(s, RUST) for s in of)
        low, high = np.percentile(of, [5, 95], axis=0)
        cells = [f"{a:.2f} to {b:.2f}" for a, b in zip(low, high)]
        print(f"| {name} | {len(of)} | {1 - kinds['music'] / len(of):.3f} {dict(kinds)} | " + " | ".join(cells) + " |")


def left_out(folder):
    """Of each label that is left out, with folds by artist, by kind of distance and number of axes."""
    from scipy.spatial.distance import cdist
    from sklearn.covariance import LedoitWolf
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    rows = [line.split("\t") for line in (folder / "rows.csv").read_text().splitlines()]
    evaluated = np.array([row[4] == "1" for row in rows])
    x = load_file(folder / "vectors.safetensors")["vectors"][evaluated].astype(float)
    y = np.array([int(row[1]) for row in rows])[evaluated]
    group = np.array([row[3] for row in rows])[evaluated]

    def distances(a, labels, b, r):
        mean, deviation = a.mean(0), a.std(0)
        deviation[deviation < 1e-6] = np.inf
        a, b = (a - mean) / deviation, (b - mean) / deviation
        values, u = np.linalg.eigh(a @ a.T)
        axes = a.T @ u[:, ::-1][:, :r] / np.sqrt(values[::-1][:r])
        a, b = a @ axes, b @ axes
        means = np.stack([a[labels == label].mean(0) for label in range(labels.max() + 1)])
        values, u = np.linalg.eigh(LedoitWolf().fit(a - means[labels]).covariance_)
        of_class = cdist(b @ (u / np.sqrt(values)), means @ (u / np.sqrt(values)), "sqeuclidean")
        of_all = LedoitWolf().fit(a).mahalanobis(b)
        nearest = np.sort(cdist(b, a), 1)[:, :3].mean(1)
        return {"class": of_class.argmin(1), "mahalanobis": of_all, "nearest class": of_class.min(1),
                "relative": of_class.min(1) - of_all, "3 nearest neighbours": nearest}

    def beside(values, typical, of=None, of_typical=None):
        """Each beside what is typical of held-out clips, of the same class if classes are given."""
        mean, deviation = typical.mean(), typical.std()
        if of is None:
            return (values - mean) / deviation
        result = np.empty(len(values))
        for label in np.unique(of):
            own = typical[of_typical == label]
            mu = (own.sum() + 10 * mean) / (len(own) + 10)
            sigma = np.sqrt((((own - mu) ** 2).sum() + 10 * deviation**2) / (len(own) + 10))
            result[of == label] = (values[of == label] - mu) / sigma
        return result

    table = {}
    for label in range(y.max() + 1):
        inside, outside = np.where(y != label)[0], np.where(y == label)[0]
        names = np.unique(y[inside], return_inverse=True)[1]
        folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(inside, names, group[inside]))
        for r in (20, 40, 60):
            found = [distances(x[inside[a]], names[a], x[np.r_[inside[b], outside]], r) for a, b in folds]
            typical = {name: np.concatenate([of[name][: len(b)] for of, (_, b) in zip(found, folds)]) for name in found[0]}
            areas = {}
            for of, (_, b) in zip(found, folds):
                scores = {name: beside(of[name], typical[name]) for name in of if name != "class"}
                scores["nearest class, beside its own"] = beside(of["nearest class"], typical["nearest class"], of["class"], typical["class"])
                scores["that and relative (as it is)"] = scores["nearest class, beside its own"] + scores["relative"]
                truth = np.r_[np.zeros(len(b)), np.ones(len(outside))]
                for name, score in scores.items():
                    areas.setdefault(name, []).append(roc_auc_score(truth, score))
            for name, of in areas.items():
                table.setdefault((name, r), []).append(np.mean(of))
    print("| distance | axes | mean | each label left out |\n|---|---|---|---|")
    for (name, r), areas in sorted(table.items(), key=lambda row: -np.mean(row[1])):
        print(f"| {name} | {r} | {np.mean(areas):.3f} | {' '.join(f'{area:.2f}' for area in areas)} |")


def flagged(serve, paths):
    """What `serve classify` flags, by what stands before the first `_` or `.` of a file's name, or else its folder."""
    counts = collections.defaultdict(collections.Counter)
    out = subprocess.run([serve, "classify", "--json", *paths], stdout=subprocess.PIPE, text=True, check=False).stdout
    for line in out.splitlines():
        row = json.loads(line)
        path = pathlib.Path(row["file"])
        name = path.stem.split("_")[0] if "_" in path.stem else str(path.parent)
        novelty = row.get("novelty")
        if "problem" in row:
            counts[name]["refused: " + row["problem"]["type"]] += 1
        elif novelty is None:
            counts[name]["not calibrated"] += 1
        else:
            counts[name]["flagged" if novelty["out_of_distribution"] else "not flagged"] += 1
            counts[name]["p-value"] += novelty["p_value"] <= novelty["threshold"]
            counts[name][novelty["signal"]] += 1
    for name, of in sorted(counts.items()):
        print(name, dict(of))
    total = sum(of["flagged"] + of["not flagged"] for of in counts.values())
    print("flagged", sum(of["flagged"] for of in counts.values()), "of", total)


match sys.argv[1:]:
    case ["signal", store, clips_csv, sounds]:
        signal(pathlib.Path(store), clips_csv, pathlib.Path(sounds))
    case ["left-out", folder]:
        left_out(pathlib.Path(folder))
    case ["flagged", serve, *paths] if paths:
        flagged(serve, paths)
    case _:
        sys.exit(__doc__)
