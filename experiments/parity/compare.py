"""Lays parity_dump beside librosa 0.11 on real clips and the synthetic signals, and writes the tables of docs/parity.md.

    cargo build --release -p features --example parity_dump
    OMP_NUM_THREADS=1 python experiments/parity/compare.py --dump target/release/examples/parity_dump \\
        --gtzan ../shared/gtzan [--clips 20] [--write docs/parity.md]

Without --write the tables are printed. `--gtzan` is a folder with clips/<genre>/<id>.flac and meta/features_30_sec.csv.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

import librosa
import numpy as np
import pandas as pd
import soundfile
from safetensors.numpy import load_file

import librosa_set
import signals

# name -> (unit, floor): a relative difference is |ours - theirs| / max(|theirs|, floor), for values that cross 0.
MEASURES = {
    "log_mel": ("dB", 1.0),
    "mfcc": ("dB", 1.0),
    "delta": ("dB/frame", 0.1),
    "delta2": ("dB/frame²", 0.1),
    "centroid": ("Hz", 1.0),
    "bandwidth": ("Hz", 1.0),
    "rolloff": ("Hz", 1.0),
    "flatness": ("", 1e-10),
    "contrast": ("dB", 1.0),
    "rms": ("full scale", 1e-6),
    "zcr": ("", 1e-6),
    "tuning": ("classes", 0.01),
    "chroma": ("", 1e-3),
    "onset": ("dB", 0.01),
    "tempogram": ("", 1e-3),
    "tempo": ("bpm", 1.0),
    "harmonic": ("full scale", 1e-3),
    "percussive": ("full scale", 1e-3),
}


def difference(name, ours, theirs):
    """Largest absolute difference, largest relative one, and where the second is."""
    ours, theirs = ours.reshape(theirs.shape).astype(np.float64), theirs.astype(np.float64)
    absolute = np.abs(ours - theirs)
    relative = absolute / np.maximum(np.abs(theirs), MEASURES[name][1])
    at = np.unravel_index(np.argmax(relative), relative.shape)
    return absolute.max(), relative[at], (tuple(int(i) for i in at), float(ours[at]), float(theirs[at]))


def dump(program, audio, out):
    subprocess.run([program, str(audio), str(out)], check=True)
    return load_file(out)


def parity_rows(program, files, out):
    worst = {name: (0.0, 0.0, "equal") for name in MEASURES}
    for label, path in files:
        y, sr = soundfile.read(path, dtype="float32")
        theirs = librosa_set.describe(y, sr)
        ours = dump(program, path, out)
        assert set(ours) == set(theirs) == set(MEASURES)
        for name in MEASURES:
            absolute, relative, (at, mine, its) = difference(name, ours[name], theirs[name])
            before, greatest, where = worst[name]
            if relative > greatest:
                where = f"{label} {list(at)}: {mine:.6g} for {its:.6g}"
            worst[name] = (max(absolute, before), max(relative, greatest), where)
    return worst


def parity_table(real, synthetic):
    lines = [
        "| values | unit | floor | real: absolute | real: relative | where | synthetic: absolute | synthetic: relative | where |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (unit, floor) in MEASURES.items():
        cells = [f"{a:.1e} | {r:.1e} | {where}" for a, r, where in (real[name], synthetic[name])]
        lines.append(f"| {name} | {unit} | {floor:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def kaggle_table(program, gtzan, clips):
    table = pd.read_csv(gtzan / "meta/features_30_sec.csv").set_index("filename")
    clips = [c for c in clips if f"{c.stem}.wav" in table.index]
    out = subprocess.run([program, "--kaggle", *map(str, clips)], check=True, capture_output=True, text=True).stdout
    rows = {pathlib.Path(r["file"]).stem + ".wav": r["values"] for r in map(json.loads, out.splitlines())}
    ours = pd.DataFrame(rows).T
    columns = [c for c in table.columns if c not in ("length", "label")]
    assert sorted(ours.columns) == sorted(columns)
    ours = ours[columns]
    theirs = table.loc[ours.index, columns].astype(float)
    librosa_today = pd.DataFrame({f: librosa_defaults(c) for f, c in ((f"{c.stem}.wav", c) for c in clips)}).T
    d = (ours - theirs).abs() / theirs.abs()
    today = (librosa_today - theirs).abs() / theirs.abs()
    lines = [
        "| descriptor | ours: median | ours: worst | on | there: ours, table's | librosa 0.11's defaults: median | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in columns:
        at = d[c].idxmax()
        worst = f"{at.removesuffix('.wav')} | {ours.at[at, c]:.6g}, {theirs.at[at, c]:.6g}" if d[c].max() else "equal |"
        lines.append(
            f"| {c} | {d[c].median():.1e} | {d[c].max():.1e} | {worst} | {today[c].median():.1e} | {today[c].max():.1e} |"
        )
    return f"{len(ours)} clips.\n\n" + "\n".join(lines)


def librosa_defaults(clip):
    """The 57 by today's librosa with nothing but its defaults, to show what has changed."""
    y, sr = soundfile.read(clip, dtype="float32")
    return librosa_set.kaggle57(y, sr, of_its_time=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", required=True, help="the parity_dump example, built")
    parser.add_argument("--gtzan", type=pathlib.Path, required=True)
    parser.add_argument("--clips", type=int, default=20, help="real clips for the first table, spread over the genres")
    parser.add_argument("--write", type=pathlib.Path, help="document whose marked tables are replaced")
    args = parser.parse_args()

    every = sorted((args.gtzan / "clips").glob("*/*.flac"))
    chosen = [every[i * len(every) // args.clips] for i in range(args.clips)]
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        synthetic = []
        for name in signals.ALL:
            path = folder / f"{name}.wav"
            soundfile.write(path, signals.pcm(name), signals.SAMPLE_RATE, subtype="PCM_16")
            synthetic.append((name, path))
        out = folder / "out.safetensors"
        tables["librosa"] = f"librosa {librosa.__version__}; {len(chosen)} real clips, {len(synthetic)} signals.\n\n" + (
            parity_table(
                parity_rows(args.dump, [(c.stem, c) for c in chosen], out), parity_rows(args.dump, synthetic, out)
            )
        )
    tables["kaggle"] = kaggle_table(args.dump, args.gtzan, every)
    for name, table in tables.items():
        if args.write:
            text = args.write.read_text()
            marked = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
            assert marked.search(text), f"{args.write} has no mark for the table {name}"
            args.write.write_text(marked.sub(lambda m: f"{m[1]}{table}\n{m[2]}", text))
        else:
            print(table, "\n")


if __name__ == "__main__":
    main()
