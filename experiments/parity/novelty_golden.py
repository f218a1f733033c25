"""Reference values of the tests of `features/src/signal.rs` and `train/src/training/conformal/space.rs`, by numpy and scikit-learn.

    python experiments/parity/novelty_golden.py

The log-mels and vectors are formulas of integers, which the tests have too.
"""

import importlib.util
import pathlib
import sys

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

# The statistics stand there once.
bench = pathlib.Path(__file__).parent.parent / "bench" / "novelty.py"
spec = importlib.util.spec_from_file_location("novelty", bench)
novelty = importlib.util.module_from_spec(spec)
sys.argv = ["novelty.py"]
try:
    spec.loader.exec_module(novelty)
except SystemExit:
    pass  # Without arguments it prints its usage.

b, t = np.mgrid[:128, :40]
levels = {"busy": (37 * b + 101 * t + 7 * ((b * t) % 53)) % 160 + 40, "peaked": 200 - np.minimum(3 * np.abs(b - 30 - t % 3), 160) - (11 * t) % 37}
for name, level in levels.items():
    print(name, dict(zip(novelty.STATISTICS, [float(f"{value:.12g}") for value in novelty.statistics(level / 2 - 80)])))

i, d = np.mgrid[:66, :12]
labels = np.arange(66) % 3
x = (np.sin(0.7 * i + 1.3 * d + 0.11 * i * d) * (1 + d) + 2 * ((labels[:, None] * (d + 1)) % 5)).astype(np.float32).astype(float)
a, names = x[:60], labels[:60]
mean, deviation = a.mean(0), a.std(0)
z = (x - mean) / deviation
values, u = np.linalg.eigh(z[:60] @ z[:60].T)
axes = z[:60].T @ u[:, ::-1][:, :12] / np.sqrt(values[::-1][:12])
z = z @ axes
means = np.stack([z[:60][names == label].mean(0) for label in range(3)])
values, u = np.linalg.eigh(LedoitWolf().fit(z[:60] - means[names]).covariance_)
of_class = cdist(z @ (u / np.sqrt(values)), means @ (u / np.sqrt(values)), "sqeuclidean")
of_all = LedoitWolf().fit(z[:60]).mahalanobis(z)
for row in (0, 31, 60, 61, 65):
    print(row, int(of_class[row].argmin()), float(of_class[row].min()), float(of_class[row].min() - of_all[row]))
