"""Reference of the log-mel descriptors of the preset gtzan-store, in numpy float64, and the golden values made from it.

descriptors(u8[128, T], floor=None) -> (names, vector[1364]). Writes features/tests/golden/descriptors.json:

    python experiments/parity/descriptors_golden.py
"""
import numpy as np

N_MEL, N_MFCC, N_COV, W, HOP = 128, 40, 20, 64, 32
COV_BINS = [(1, 3), (4, 8), (9, 16), (17, 32)]                                   # inclusive FFT bins, bin = 22050/1920/64 Hz
MOD_BINS = [(1, 1), (2, 3), (4, 5), (6, 8), (9, 13), (14, 18), (19, 25), (26, 32)]
OCTAVES = [0, 4, 8, 16, 28, 44, 64, 90, 128]                                     # mel-band edges
QUANTILE_N = [1, 1, 2, 2, 3, 4, 5, 8]                                            # round(0.2 * width), at least 1
ONSET = [("all", 0, 128), ("low", 0, 12), ("mid", 12, 48), ("high", 48, 128)]


def dct2(x):                                   # orthonormal DCT-II over axis 0
    n = x.shape[0]
    k, m = np.arange(n)[:, None], np.arange(n)[None, :]
    c = np.cos(np.pi * k * (2 * m + 1) / (2 * n)) * np.sqrt(2.0 / n)
    c[0] = np.sqrt(1.0 / n)
    return c @ x


def logm(s, eps):                              # log-Euclidean vector of a symmetric PSD matrix: upper triangle, row by row
    n = len(s)
    w, v = np.linalg.eigh(s + eps * np.eye(n))
    log = (v * np.log(w)) @ v.T
    i, j = np.triu_indices(n)
    return log[i, j] * np.where(i == j, 1.0, np.sqrt(2.0))


def skew(a):                                   # over the last axis
    c = a - a.mean(-1, keepdims=True)
    return (c**3).mean(-1) / (np.sqrt((c * c).mean(-1)) ** 3 + 1e-3)


def spectra(a):                                # [n, T] -> complex [n, windows, 33]
    t = a.shape[1]
    w = min(W, t)
    win = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(w) / w)
    out = []
    for s in range(0, t - w + 1, HOP):
        x = a[:, s : s + w]
        x = (x - x.mean(1, keepdims=True)) * win
        out.append(np.fft.rfft(x, W, axis=1) / np.sqrt((win * win).sum()))       # zero-padded to 64 when t < 64
    return np.stack(out, 1)


def pool(a):                                   # 128 -> 16: mean of 8 adjacent bands
    return a.reshape(16, 8, -1).mean(1)


def floored(L, low=4.0, high=-28.0, range_db=20.0):   # FloorSpec::MUSIC
    line = np.linspace(low, high, len(L))[:, None]
    above = np.sort((L - line).ravel())
    return np.maximum(L, line + above[len(above) // 2] - range_db)


def descriptors(u8, floor=False):
    L = u8.astype(np.float64) / 2 - 80
    if floor:
        L = floored(L)
    L = L - L.mean()                           # gain normalisation
    names, out = [], []

    def put(group_names, values):
        assert len(group_names) == len(values)
        names.extend(group_names)
        out.append(np.asarray(values))

    M = dct2(L)[:N_MFCC]
    F = spectra(M)                             # modulation spectra of the MFCC trajectories
    tri = lambda n: [(i, j) for i in range(n) for j in range(i, n)]
    for b, (lo, hi) in enumerate(COV_BINS):
        G = F[:N_COV, :, lo : hi + 1].reshape(N_COV, -1)
        put([f"mfcc.modcov.band{b}.{i}.{j}" for i, j in tri(N_COV)], logm((G @ G.conj().T).real / G.shape[1], 20.0))
    P = (np.abs(F) ** 2).mean(1)
    mod = np.stack([P[:, lo : hi + 1].mean(1) for lo, hi in MOD_BINS], 1)
    put([f"mfcc.modulation.{k}.band{b}" for k in range(N_MFCC) for b in range(8)], np.log(mod + 4.0).ravel())

    U = np.maximum(np.diff(L, axis=1), 0.0)    # half-wave rectified flux [128, T-1]
    U16 = pool(U)
    put([f"onset.cov.{i}.{j}" for i, j in tri(16)], logm(U16 @ U16.T / U16.shape[1], 0.5))
    for name, a, b in ONSET:
        o = U[a:b].mean(0)
        put([f"onset.{name}.{s}" for s in ("mean", "std", "skewness", "crest")], [o.mean(), o.std(), skew(o), o.max() / (o.mean() + 0.1)])

    m = L.mean(1)
    r = np.abs(m[1:-1] - 0.5 * (m[:-2] + m[2:]))
    r = np.concatenate([r[:1], r, r[-1:]])     # bands 0 and 127 take their neighbour's value
    put([f"mel.roughness.{b}" for b in range(16)], r.reshape(16, 8).mean(1))
    put([f"mfcc.{k}.mean" for k in range(1, 13)], M[1:13].mean(1))
    put([f"mel.skewness.{b}" for b in range(16)], skew(pool(L)))
    con = []
    for a, b, n in zip(OCTAVES[:-1], OCTAVES[1:], QUANTILE_N):
        s = np.sort(L[a:b], axis=0)
        con.append(s[-n:].mean(0) - s[:n].mean(0))
    put([f"mel.contrast.{b}.std" for b in range(8)], np.std(con, axis=1))
    return names, np.concatenate(out)


def synthetic(t, seed, bands=128):             # row-major over band, then frame; u64 LCG with wrapping arithmetic; bands beyond are silent
    x, out, mask = seed, np.zeros((128, t), np.uint8), (1 << 64) - 1
    for b in range(bands):
        for f in range(t):
            x = (x * 6364136223846793005 + 1442695040888963407) & mask
            out[b, f] = 150 - b // 2 + (b * f) % 17 + 20 * (f % 6 == 0) + (x >> 59)   # max 150+16+20+31 = 217
    return out


if __name__ == "__main__":
    import json
    from pathlib import Path

    cases = []
    whole = [(24, 1), (57, 2), (100, 3), (344, 4), (700, 5)]
    for t, seed, bands, floor in [(t, seed, 128, False) for t, seed in whole] + [(344, 0, 0, False), (344, 6, 90, True), (57, 7, 40, True)]:
        names, vector = descriptors(synthetic(t, seed, bands), floor)
        assert np.isfinite(vector).all() and len(vector) == len(set(names)) == 1364
        cases.append({"frames": t, "seed": seed, "bands": bands, "floor": floor, "vector": [float(f"{v:.8g}") for v in vector]})
    out = Path(__file__).parents[2] / "features/tests/golden/descriptors.json"
    out.write_text(json.dumps({"names": names, "cases": cases}, separators=(",", ":")) + "\n")
