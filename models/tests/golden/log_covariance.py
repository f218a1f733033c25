"""Log-covariances of made-up activations, by NumPy and SciPy: `python log_covariance.py > log_covariance.json`.

`noise` is that of ../noise/mod.rs. Written with NumPy 2.4 and SciPy 1.17.
"""

import json

import numpy as np
from scipy.linalg import logm

AXES = 5
FLOOR = 0.01
SHAPES = {1: (2, 64, 6, 9), 2: (2, 128, 3, 4)}
# Frames 4 to 13 of the input: columns 2 to 6 of block 1, column 1 to 3 of block 2.
PART = {1: slice(2, 6), 2: slice(1, 3)}


def noise(seed, n):
    values, state = np.empty(n), seed
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = (state >> 16) / 32768 - 1
    return values


def log_covariance(activations, axes):
    """The upper triangle, off the diagonal times the root of 2. `activations`: [channels, rows, columns]."""
    z = axes.T @ activations.reshape(len(activations), -1)
    log = logm(np.cov(z, bias=True) + FLOOR * np.eye(AXES))
    i, j = np.triu_indices(AXES)
    return np.where(i == j, 1, np.sqrt(2)) * log[i, j]


def main():
    activations = {b: np.maximum(noise(b, np.prod(shape)).reshape(shape), 0) for b, shape in SHAPES.items()}
    axes = {b: noise(10 + b, 2 * shape[1] * AXES).reshape(2, shape[1], AXES) / 4 for b, shape in SHAPES.items()}

    def embedding(part):
        blocks = [(activations[b][v][:, :, PART[b] if part else slice(None)], axes[b][v]) for v in range(2) for b in SHAPES]
        return np.concatenate([log_covariance(*block) for block in blocks]).tolist()

    print(json.dumps({"whole": embedding(False), "part": embedding(True)}))


if __name__ == "__main__":
    main()
