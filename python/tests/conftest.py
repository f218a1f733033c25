"""What the tests of models and programs share: the binaries of the same build, and songs that NumPy makes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import wave

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"


def clean_environment():
    """The environment without settings and models of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TONEARM_") and name != "RUST_LOG"}
    return {**kept, "XDG_CONFIG_HOME": "/nowhere", "XDG_DATA_HOME": "/nowhere"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith("TONEARM_") and name != "TONEARM_PROGRAMS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")


def binary(name):
    """The path of a program of the same build: `tests/wheel/run` says where they are."""
    folder = os.environ.get("TONEARM_PROGRAMS")
    found = pathlib.Path(folder) / name if folder else shutil.which(name)
    if not found or not pathlib.Path(found).is_file():
        pytest.skip(f"there is no program `{name}` to compare with: set TONEARM_PROGRAMS to the folder of the binaries")
    return str(found)


def run(command, **options):
    """Runs a program to its end, with its output as text."""
    options = {"env": clean_environment(), "stdin": subprocess.DEVNULL, "timeout": 600, **options}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def module(*arguments, **options):
    """Runs `python -m tonearm`."""
    return run([sys.executable, "-m", "tonearm", *arguments], **options)


def address_of(server):
    """Where a server listens, which it says on standard error."""
    for line in server.stderr:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
    raise AssertionError("the server ended before it listened")


def classified(*arguments):
    """What `serve classify --json` says, an object for each file."""
    done = run([binary("serve"), "classify", "--json", *arguments])
    assert "panicked" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def samples(seed, seconds=6.0, rate=22_050, kind=0):
    """Music of a kind, float32 `(n,)`: 0 has tones and a slow beat, 1 noise and a fast one."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    if kind == 0:
        sound = sum(np.sin(2 * np.pi * hz * t) for hz in rng.uniform(100, 900, 4)) * np.exp(-3 * (t % rng.uniform(0.5, 0.7)))
    else:
        sound = rng.standard_normal(len(t)) * np.exp(-20 * (t % rng.uniform(0.15, 0.2)))
    # Whole steps of 16 bits, so that a file has the same samples.
    return (np.round(np.clip(0.2 * sound, -1, 1) * 32_767) / 32_768).astype(np.float32)


def write_wav(path, y, rate=22_050):
    """Writes samples `(n,)` or `(channels, n)` in 16 bits."""
    y = np.atleast_2d(y)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(y))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(y.T * 32_768).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def songs(tmp_path_factory):
    """Files: a short one, one of several segments, a stereo one at another rate, and one without an ending in its name."""
    folder = tmp_path_factory.mktemp("songs")
    stereo = np.stack([samples(3, 12, 44_100, 1), samples(4, 12, 44_100, 0)])
    return [
        write_wav(folder / "short.wav", samples(1, 4)),
        write_wav(folder / "long.wav", samples(2, 70)),
        write_wav(folder / "stereo.wav", stereo, 44_100),
        write_wav(folder / "no ending é", samples(5, 9, kind=1)),
    ]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A labelled dataset as paths, labels and artists: two labels, each of six artists with two songs; and its folder."""
    folder = tmp_path_factory.mktemp("dataset")
    paths, labels, artists = [], [], []
    for kind, label in enumerate(["slow", "fast"]):
        for artist in range(6):
            for song in range(2):
                path = folder / label / f"{label} artist {artist}" / "album" / f"{song}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                paths.append(write_wav(path, samples(100 * kind + 10 * artist + song, 5, kind=kind)))
                labels.append(label)
                artists.append(f"{label} artist {artist}")
    return folder, paths, labels, artists
