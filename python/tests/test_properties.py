"""Arguments, chosen by hypothesis, beside librosa 0.11: the same shapes, types and values, and errors where librosa has errors."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tonearm

librosa = pytest.importorskip("librosa", minversion="0.11")

settings.register_profile("beside librosa", deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
settings.load_profile("beside librosa")


@st.composite
def audio(draw, least=1, most=6000):
    """Noise with a tone in it, so that no frame is silent and no bin is rounding alone."""
    n = draw(st.integers(least, most))
    seed = draw(st.integers(0, 2**32 - 1))
    level = draw(st.sampled_from([1e-3, 0.3, 1.0, 30.0]))
    noise = np.random.default_rng(seed).standard_normal(n)
    y = level * (0.5 * noise + np.sin(0.1 * np.arange(n)))
    return y.astype(draw(st.sampled_from([np.float32, np.float32, np.float64])))


SR = st.sampled_from([8000, 16_000, 22_050, 44_100, 22_050.0, 11_025.5])
WINDOWS = ["hann", "hamming", "blackman", "boxcar", "triang", ("kaiser", 6.0), 4.0, "parzen"]


@st.composite
def framing(draw, pad_modes=("constant", "constant", "reflect", "edge", "symmetric", "linear_ramp")):
    n_fft = draw(st.sampled_from([16, 64, 100, 255, 256, 400, 512, 1000, 1024, 2048]))
    win_length = draw(st.none() | st.integers(2, n_fft))
    return {
        "n_fft": n_fft,
        "hop_length": draw(st.integers(1, n_fft) if n_fft < 300 else st.integers(n_fft // 8, 2 * n_fft)),
        "win_length": win_length,
        "window": draw(st.sampled_from(WINDOWS)),
        "center": draw(st.booleans()),
        "pad_mode": draw(st.sampled_from(pad_modes)),
    }


@st.composite
def mel(draw, sr):
    fmin = draw(st.sampled_from([0.0, 0.0, 20.0, 300.5]))
    fmax = draw(st.none() | st.floats(fmin + 500.0, float(sr)))
    return {
        "n_mels": draw(st.integers(1, 160)),
        "fmin": fmin,
        "fmax": fmax,
        "htk": draw(st.booleans()),
        "norm": draw(st.sampled_from(["slaney", "slaney", None, 1, 2, np.inf])),
    }


def compare(call, rtol=1e-4, of_peak=1e-6):
    """Calls both libraries and compares what they give, or that both refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = np.asarray(call(librosa))
        except librosa.ParameterError:
            with pytest.raises(tonearm.ParameterError):
                call(tonearm)
            return
        ours = np.asarray(call(tonearm))
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    peak = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=of_peak * peak)


@given(audio(), framing())
def test_stft(y, frames):
    compare(lambda lib: lib.stft(y, **frames))


@given(audio(least=300), framing(pad_modes=("constant",)), st.none() | st.floats(0.2, 1.0))
def test_istft(y, frames, part):
    frames.pop("pad_mode")
    n_fft, hop = frames["n_fft"], frames["hop_length"]
    # Where windows hardly overlap, as at the ends, samples are divided by next to nothing, and rounding is all there is.
    assume(4 * hop <= (frames["win_length"] or n_fft) and len(y) >= n_fft)
    D = librosa.stft(y, **frames)
    length = None if part is None else max(int(part * len(y)), 1)
    assert tonearm.istft(D, length=length, **frames).shape == librosa.istft(D, length=length, **frames).shape
    compare(lambda lib: lib.istft(D, length=length, **frames)[n_fft:-n_fft], rtol=1e-3, of_peak=1e-4)


@given(st.data(), audio(), framing(), SR, st.sampled_from([2.0, 2.0, 1.0, 1, 1.5]))
def test_melspectrogram(data, y, frames, sr, power):
    arguments = data.draw(mel(sr))
    compare(lambda lib: lib.feature.melspectrogram(y=y, sr=sr, power=power, **frames, **arguments))


@given(st.data(), SR, st.sampled_from([16, 64, 255, 512, 2048]))
def test_mel_filters(data, sr, n_fft):
    arguments = data.draw(mel(sr))
    compare(lambda lib: lib.filters.mel(sr=sr, n_fft=n_fft, **arguments), of_peak=1e-6)


@given(
    SR, st.sampled_from([64, 255, 1024]), st.sampled_from([6, 12, 24, 36]), st.floats(-0.5, 0.49),
    st.sampled_from([None, 1, 2, np.inf]), st.booleans(), st.sampled_from([None, 1.0, 2]),
)  # fmt: skip
def test_chroma_filters(sr, n_fft, n_chroma, tuning, norm, base_c, octwidth):
    arguments = {"n_chroma": n_chroma, "tuning": tuning, "norm": norm, "base_c": base_c, "octwidth": octwidth}
    compare(lambda lib: lib.filters.chroma(sr=sr, n_fft=n_fft, **arguments))


@given(
    st.data(), audio(least=400), SR, st.integers(1, 40), st.sampled_from([1, 2, 2, 3]),
    st.sampled_from(["ortho", "ortho", None]), st.sampled_from([0, 0, 10, 22.5]), st.sampled_from([256, 400, 512]),
)  # fmt: skip
def test_mfcc(data, y, sr, n_mfcc, dct_type, norm, lifter, n_fft):
    arguments = data.draw(mel(sr))
    mel_norm = arguments.pop("norm")
    # librosa cannot raise coefficients that it has not.
    assume(arguments["n_mels"] >= max(2, n_mfcc))
    arguments.update(n_fft=n_fft, hop_length=n_fft // 4, mel_norm=mel_norm)
    compare(
        lambda lib: lib.feature.mfcc(y=y, sr=sr, n_mfcc=n_mfcc, dct_type=dct_type, norm=norm, lifter=lifter, **arguments),
        rtol=1e-3,
        of_peak=2e-5,
    )


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.integers(1, 30), st.sampled_from([2, 3, 5, 7, 9, 15]),
    st.sampled_from([1, 1, 2, 3]), st.sampled_from(["interp", "interp", "nearest", "mirror", "constant", "wrap"]), st.sampled_from([-1, 0]),
)  # fmt: skip
def test_delta(seed, dtype, n, width, order, mode, axis):
    data = np.random.default_rng(seed).standard_normal((n, n)).astype(dtype)
    # SciPy refuses a degree that is not below the width by an error of its own; and it pads more than there is in ways of its own.
    assume(order < width and (mode == "interp" or n > width))
    compare(lambda lib: lib.feature.delta(data, width=width, order=order, mode=mode, axis=axis), rtol=1e-3, of_peak=1e-5)


@given(audio(least=500), framing(), SR, st.sampled_from([0.1, 0.5, 0.85, 0.99]))
def test_shapes_of_spectra(y, frames, sr, roll_percent):
    for name in ("spectral_centroid", "spectral_bandwidth"):
        compare(lambda lib: getattr(lib.feature, name)(y=y, sr=sr, **frames))
    compare(lambda lib: lib.feature.spectral_flatness(y=y, **frames))
    # Of single precision a sum may fall to the other side of the threshold.
    if y.dtype == np.float32:
        compare(lambda lib: lib.feature.spectral_rolloff(y=y, sr=sr, roll_percent=roll_percent, **frames))


@given(audio(least=500), SR, st.sampled_from([0.5, 1, 2, 3.0]), st.booleans(), st.booleans())
def test_bandwidth(y, sr, p, norm, has_centroid):
    S = np.abs(librosa.stft(y, n_fft=512))
    centroid = librosa.feature.spectral_centroid(S=S, sr=sr) if has_centroid else None
    compare(lambda lib: lib.feature.spectral_bandwidth(S=S, sr=sr, p=p, norm=norm, centroid=centroid))


@given(audio(least=500), SR, st.integers(1, 8), st.sampled_from([50.0, 200.0, 333.3]), st.sampled_from([0.02, 0.2, 0.5]), st.booleans())
def test_contrast(y, sr, n_bands, fmin, quantile, linear):
    # So many bins that no band is without one, where librosa stops.
    S = np.abs(librosa.stft(y, n_fft=4096, hop_length=500))
    arguments = {"n_bands": n_bands, "fmin": fmin, "quantile": quantile, "linear": linear}
    assume(fmin * 2 ** (n_bands - 1) < 0.5 * sr * 0.9 or fmin * 2 ** (n_bands - 1) >= 0.5 * sr)
    compare(lambda lib: lib.feature.spectral_contrast(S=S, sr=sr, **arguments), of_peak=1e-5)


@given(audio(least=2500), st.sampled_from([8000, 22_050]), framing(), st.sampled_from([12, 24]), st.sampled_from([np.inf, 1, 2, None]))
def test_chroma(y, sr, frames, n_chroma, norm):
    compare(lambda lib: lib.feature.chroma_stft(y=y, sr=sr, tuning=0.1, n_chroma=n_chroma, norm=norm, **frames))


@given(audio(), st.integers(2, 600), st.integers(1, 700), st.booleans(), st.sampled_from(["constant", "reflect", "edge"]))
def test_rms(y, frame_length, hop_length, center, pad_mode):
    arguments = {"frame_length": frame_length, "hop_length": hop_length, "center": center, "pad_mode": pad_mode}
    compare(lambda lib: lib.feature.rms(y=y, **arguments))


@given(
    audio(), st.integers(2, 600), st.integers(1, 700), st.booleans(), st.sampled_from([1e-10, 1e-10, 0.2]),
    st.booleans(), st.booleans(), st.sampled_from([None, np.max, 0.5]),
)  # fmt: skip
def test_zero_crossings(y, frame_length, hop_length, center, threshold, pad, zero_pos, ref_magnitude):
    arguments = {"frame_length": frame_length, "hop_length": hop_length, "center": center}
    more = {"threshold": threshold, "pad": pad, "zero_pos": zero_pos, "ref_magnitude": ref_magnitude}
    compare(lambda lib: lib.feature.zero_crossing_rate(y, **arguments, **more), rtol=1e-6)


@given(
    audio(least=3000), SR, st.integers(1, 4), st.integers(1, 5), st.booleans(), st.booleans(),
    st.sampled_from([None, np.mean, np.median, np.max]), st.sampled_from([256, 1024]), st.sampled_from([64, 300]),
)  # fmt: skip
def test_onset_strength(y, sr, lag, max_size, detrend, center, aggregate, n_fft, hop_length):
    arguments = {"lag": lag, "max_size": max_size, "detrend": detrend, "center": center, "aggregate": aggregate}
    compare(
        lambda lib: lib.onset.onset_strength(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length, n_mels=32, **arguments),
        rtol=1e-3,
        of_peak=1e-4,
    )


ENVELOPES = st.builds(
    lambda seed, n, dtype: np.maximum(np.random.default_rng(seed).standard_normal(n), 0).astype(dtype),
    st.integers(0, 2**32 - 1), st.integers(1, 600), st.sampled_from([np.float32, np.float64]),
)  # fmt: skip


@given(ENVELOPES, st.integers(1, 400), st.booleans(), st.sampled_from(["hann", "boxcar"]), st.sampled_from([np.inf, 1, 2, None]))
def test_tempogram(envelope, win_length, center, window, norm):
    arguments = {"win_length": win_length, "center": center, "window": window, "norm": norm}
    compare(lambda lib: lib.feature.tempogram(onset_envelope=envelope, **arguments), of_peak=1e-5)


@given(
    ENVELOPES, SR, st.sampled_from([256, 512]), st.floats(40, 200), st.floats(0.3, 2.0), st.sampled_from([4.0, 8.0]),
    st.sampled_from([None, 200.0, 320.0]), st.sampled_from([np.mean, np.mean, np.median, None]),
)  # fmt: skip
def test_tempo(envelope, sr, hop_length, start_bpm, std_bpm, ac_size, max_tempo, aggregate):
    arguments = {"hop_length": hop_length, "start_bpm": start_bpm, "std_bpm": std_bpm, "ac_size": ac_size, "max_tempo": max_tempo}
    # Where there is hardly an onset, two lags may be as good.
    assume(np.count_nonzero(envelope) > 20 or not envelope.any())
    compare(lambda lib: lib.feature.tempo(onset_envelope=envelope, sr=sr, aggregate=aggregate, **arguments), rtol=1e-9, of_peak=0)


@given(
    audio(least=2000), st.sampled_from([7, 8, 31, (9, 17), [4, 31]]), st.sampled_from([1.0, 2.0, 3.5, np.inf]),
    st.sampled_from([1.0, 2.0, (1.0, 1.0), (1.5, 3.0)]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_decompose_hpss(y, kernel_size, power, margin, mask, is_complex):
    D = librosa.stft(y, n_fft=256)
    S = D if is_complex else np.abs(D)
    arguments = {"kernel_size": kernel_size, "power": power, "margin": margin, "mask": mask}
    for part in range(2):
        compare(lambda lib: lib.decompose.hpss(S, **arguments)[part], rtol=1e-3, of_peak=1e-5)


@given(audio(least=2500), st.sampled_from([7, (9, 17)]), st.sampled_from([1.0, (1.5, 3.0)]), st.booleans())
def test_effects_hpss(y, kernel_size, margin, center):
    arguments = {"kernel_size": kernel_size, "margin": margin, "center": center, "n_fft": 512}
    for part in range(2):
        compare(lambda lib: lib.effects.hpss(y, **arguments)[part][512:-512], rtol=1e-2, of_peak=1e-4)


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.sampled_from([1.0, 0.3, np.max, np.median]),
    st.sampled_from([1e-10, 1e-5, 0.1]), st.sampled_from([None, 0.0, 40.0, 80.0]), st.sampled_from([(), (7,), (3, 40), (2, 3, 4)]),
)  # fmt: skip
def test_decibels(seed, dtype, ref, amin, top_db, shape):
    S = (np.random.default_rng(seed).standard_normal(shape) ** 2).astype(dtype)
    compare(lambda lib: lib.power_to_db(S, ref=ref, amin=amin, top_db=top_db), of_peak=1e-5)
    compare(lambda lib: lib.amplitude_to_db(S, ref=ref, amin=amin, top_db=top_db), of_peak=1e-5)


@given(st.lists(st.floats(0, 20_000), min_size=1, max_size=20), st.booleans())
def test_mel_scale(values, htk):
    for x in (np.array(values), values[0]):
        compare(lambda lib: lib.hz_to_mel(x, htk=htk), rtol=1e-12, of_peak=1e-15)
        compare(lambda lib: lib.mel_to_hz(np.asarray(x) / 400, htk=htk), rtol=1e-12, of_peak=1e-15)


@given(audio(least=50), st.sampled_from([8000, 22_050, 44_100, 100]), st.sampled_from([8000, 16_000, 22_050, 48_000, 50]), st.booleans())
def test_resample_gives_as_many_samples(y, orig_sr, target_sr, scale):
    assume(max(orig_sr, target_sr) < 100 * min(orig_sr, target_sr))
    ours = tonearm.resample(y, orig_sr=orig_sr, target_sr=target_sr, scale=scale)
    theirs = librosa.resample(y, orig_sr=orig_sr, target_sr=target_sr, scale=scale)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
