"""Writes features/tests/golden/parity.safetensors: librosa's values for the signals of signals.py, thinned out.

    OMP_NUM_THREADS=1 python experiments/parity/golden.py
"""

import json
import pathlib

import librosa
import numpy as np
from safetensors.numpy import save_file

import librosa_set
import signals

OUT = pathlib.Path(__file__).parents[2] / "features/tests/golden/parity.safetensors"
# Matrices keep the frames at either end, where padding shows, and every ninth between; waveforms every 131st sample;
# the tempogram every eighth lag.
SAMPLE_STEP, LAG_STEP, FRAME_STEP, EDGE = 131, 8, 9, 4


def thin(name, values):
    if name in ("harmonic", "percussive"):
        return values[::SAMPLE_STEP]
    if values.ndim == 1:
        return values
    if name == "tempogram":
        values = values[::LAG_STEP]
    n = values.shape[1]
    keep = [t for t in range(n) if t < EDGE or t >= n - EDGE or t % FRAME_STEP == 0]
    return values[:, keep]


def main():
    tensors, origin = {}, {"librosa": librosa.__version__}
    for name in signals.ALL:
        origin[f"{name}.fnv1a"] = signals.fnv1a(signals.pcm(name))
        for key, values in librosa_set.describe(signals.samples(name)).items():
            assert np.isfinite(values).all(), f"{name} {key}"
            tensors[f"{name}.{key}"] = np.ascontiguousarray(thin(key, values), dtype=np.float32)
        row = librosa_set.kaggle57(signals.samples(name))
        assert len(row) == 57
        tensors[f"{name}.kaggle57"] = np.array(list(row.values()), dtype=np.float32)
    # One entry, for the order of several is not fixed and the file should be.
    save_file(tensors, OUT, {"origin": json.dumps(origin, sort_keys=True)})
    OUT.chmod(0o644)
    print(f"{OUT.name}: {len(tensors)} tensors, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
