"""Golden values of the support vector machine's probabilities, from NumPy and scikit-learn.

    python experiments/parity/svm_golden.py models/tests/golden

Writes:

- `coupling.json`: pairwise probabilities and the class probabilities of Wu, Lin and Weng (2004), second approach, by the
  linear system of its optimality conditions (equation 21), solved in long double and refined; the iteration that libsvm
  and Tonearm use never enters. Random, consistent and nearly certain cases of 2 to 12 classes.
- `svc.json`: a fitted `SVC(probability=True)` on a toy problem with all its numbers, and its decision values and
  probabilities on points that it has not seen. Its probabilities stop at libsvm's tolerance of 0.005 / k.
- `platt.json`: decision values, and the A and B that minimise Platt's objective, by SciPy.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import scipy.optimize
from sklearn.datasets import make_blobs
from sklearn.svm import SVC

MIN_PROBABILITY = 1e-7


def couple(r):
    """Class probabilities from r[i, j] = P(i | i or j), by Qp + b·e = 0, eᵀp = 1."""
    k = len(r)
    r = r.astype(np.longdouble)
    q = np.zeros((k, k), np.longdouble)
    for t in range(k):
        for j in range(k):
            if j != t:
                q[t, t] += r[j, t] ** 2
                q[t, j] = -r[j, t] * r[t, j]
    system = np.block([[q, np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]]).astype(np.longdouble)
    right = np.array([0] * k + [1], np.longdouble)
    solution = np.zeros(k + 1, np.longdouble)
    for _ in range(5):  # iterative refinement with long double residuals
        residual = (right - system @ solution).astype(float)
        solution += np.linalg.solve(system.astype(float), residual)
    assert np.abs(right - system @ solution).max() < 1e-15
    return solution[:k].astype(float)


def coupling_cases():
    rng = np.random.default_rng(0)
    cases = []
    for k in (2, 3, 4, 5, 10, 12):
        for kind in ("random", "consistent", "certain"):
            r = np.full((k, k), 0.5)
            p = rng.dirichlet(np.ones(k))
            for i in range(k):
                for j in range(i + 1, k):
                    r[i, j] = {
                        "random": rng.uniform(0.02, 0.98),
                        "consistent": np.clip(p[i] / (p[i] + p[j]), MIN_PROBABILITY, 1 - MIN_PROBABILITY),
                        "certain": np.clip(1 / (1 + np.exp(4 * rng.normal())), 1e-3, 1 - 1e-3),
                    }[kind]
                    r[j, i] = 1 - r[i, j]
            pairwise = [r[i, j] for i in range(k) for j in range(i + 1, k)]
            cases.append({"kind": kind, "n_classes": k, "pairwise": pairwise, "probabilities": couple(r).tolist()})
    return cases


def svc_case():
    x, y = make_blobs(n_samples=60, centers=4, n_features=5, cluster_std=3.0, random_state=1)
    x = x.astype(np.float32).astype(float)
    mean, deviation = x.mean(0), x.std(0)
    z = (x - mean) / deviation
    gamma = 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        svc = SVC(C=3.0, gamma=gamma, probability=True, random_state=0, tol=1e-6, decision_function_shape="ovo").fit(z, y)
    new = (x[:12] * 1.1 + 0.3).astype(np.float32).astype(float)
    z_new = (new - mean) / deviation
    k, n_pairs, support = 4, 6, svc.support_
    ends = np.cumsum(svc.n_support_)
    starts = ends - svc.n_support_
    coefficients = np.zeros((n_pairs, len(support)))
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    for p, (i, j) in enumerate(pairs):  # libsvm's layout of dual_coef_
        coefficients[p, starts[i] : ends[i]] = svc.dual_coef_[j - 1, starts[i] : ends[i]]
        coefficients[p, starts[j] : ends[j]] = svc.dual_coef_[i, starts[j] : ends[j]]
    return {
        "mean": mean.tolist(),
        "deviation": deviation.tolist(),
        "gamma": gamma,
        "support_vectors": x[support].tolist(),
        "coefficients": coefficients.tolist(),
        "rho": (-svc.intercept_).tolist(),
        "platt_a": svc.probA_.tolist(),
        "platt_b": svc.probB_.tolist(),
        "vectors": new.tolist(),
        "decisions": svc.decision_function(z_new).tolist(),
        "probabilities": svc.predict_proba(z_new).tolist(),
    }


def platt_cases():
    rng = np.random.default_rng(3)
    cases = []
    for n_first, n_second, shift in ((20, 20, 1.0), (40, 7, 0.5), (3, 50, 2.0), (15, 15, -0.2)):
        f = np.concatenate([rng.normal(shift, 1, n_first), rng.normal(-shift, 1, n_second)])
        first = np.arange(len(f)) < n_first
        target = np.where(first, (n_first + 1) / (n_first + 2), 1 / (n_second + 2))

        def objective(ab):
            z = ab[0] * f + ab[1]
            return np.sum(np.logaddexp(0, z) - (1 - target) * z)

        best = scipy.optimize.minimize(objective, [-1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
        a, b = best.x
        cases.append({"decisions": f.tolist(), "first": first.tolist(), "a": a, "b": b})
    return cases


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, value in (("coupling", coupling_cases()), ("svc", svc_case()), ("platt", platt_cases())):
        (out / f"{name}.json").write_text(json.dumps(value) + "\n")


if __name__ == "__main__":
    main()
