"""What the runs need, made by `train` once and kept in the folder `--work`: tracks, artifacts, the reference's models."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SVM_VERSIONS = 3


def add_options(parser):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument(
        "--bin", type=pathlib.Path, default=target / "release", help="folder of `serve` and `train` [%(default)s]"
    )
    parser.add_argument(
        "--work", type=pathlib.Path, default=cache / "tonearm/serving", help="where inputs are kept [%(default)s]"
    )
    parser.add_argument("--json", type=pathlib.Path, help="file for every figure")


def finish(options, figures, wrongs):
    """Writes every figure where `--json` says, and ends with 1 where something does not hold."""
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if wrongs:
        sys.exit("does not hold: " + "; ".join(wrongs))


class Inputs:
    """Makes what is asked for, unless it is there."""

    def __init__(self, options):
        self.train, self.work = options.bin.resolve() / "train", options.work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def dataset(self):
        """Ten genres of synthetic tracks, twelve WAV files each: 30 s, mono, 22,050 Hz, 16 bits."""
        return self.make("dataset", lambda out: self.run("synth", "--out", out))

    def track(self, genre="rock", number=1):
        return self.dataset() / genre / f"{genre}.synth.{number:05}.wav"

    def short_dataset(self):
        """The same genres in clips of 5 s."""
        return self.make("short", lambda out: self.run("synth", "--out", out, "--seconds", 5, "--clips-per-genre", 2))

    def svm(self):
        """An SVM of every descriptor, as `train` makes it of audio."""
        return self.make("svm", lambda out: self.run("svm", "--data", self.dataset(), "--artifacts", out))

    def log_mel_svm(self):
        """An SVM of the descriptors of the log-mel alone, of which the README states the figures on GTZAN."""
        return self.make("svm-log-mel", lambda out: self.fit_log_mel(out, 42))

    def svm_versions(self):
        """Versions of one model, from several seeds."""
        return self.make("svm-versions", lambda out: [self.fit_log_mel(out, seed) for seed in range(SVM_VERSIONS)])

    def fit_log_mel(self, out, seed):
        spec = manifest(self.svm() / "svm")["spec"]
        spec["descriptors"] = [name for name in spec["descriptors"] if name.startswith(("mfcc", "onset", "mel"))]
        file = self.work / "log-mel-spec.json"
        file.write_text(json.dumps(spec))
        self.run("svm", "--data", self.dataset(), "--spec", file, "--seed", seed, "--artifacts", out)

    def vgg19(self):
        """VGG19 with random convolutions, which cost what trained ones cost."""
        return self.make(
            "vgg19", lambda out: self.run("vgg19", "--data", self.dataset(), "--artifacts", out, "--no-cache")
        )

    def reference(self):
        """The SVMs of `reference/fit.py`."""

        def make(out):
            out.mkdir()
            subprocess.run(
                [sys.executable, HERE / "reference/fit.py", self.dataset(), out], check=True, stdout=sys.stderr
            )

        return self.make("reference", make)

    def make(self, name, maker):
        out = self.work / name
        if not out.exists():
            print(f"making {out}", file=sys.stderr)
            draft = self.work / f".{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            maker(draft)
            draft.rename(out)
        return out

    def run(self, *arguments):
        command = [str(self.train), *map(str, arguments)]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{ran.stderr}")


def manifest(model):
    """`artifact.json` of the version in use of a model's folder."""
    return json.loads((model / (model / "CURRENT").read_text().strip() / "artifact.json").read_text())
