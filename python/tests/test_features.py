"""The functions of features by themselves: types, layouts, leading axes, errors, threads. Beside librosa: test_parity, test_properties."""

import threading

import numpy as np
import pytest

import tonearm

RNG = np.random.default_rng(0)
Y = (0.3 * RNG.standard_normal(22_050)).astype(np.float32)
STEREO = np.stack([Y, np.roll(Y, 700) * np.float32(0.5)])

OF_AUDIO = {
    "stft": lambda y: tonearm.stft(y),
    "melspectrogram": lambda y: tonearm.feature.melspectrogram(y=y),
    "mfcc": lambda y: tonearm.feature.mfcc(y=y),
    "spectral_centroid": lambda y: tonearm.feature.spectral_centroid(y=y),
    "spectral_bandwidth": lambda y: tonearm.feature.spectral_bandwidth(y=y),
    "spectral_rolloff": lambda y: tonearm.feature.spectral_rolloff(y=y),
    "spectral_flatness": lambda y: tonearm.feature.spectral_flatness(y=y),
    "spectral_contrast": lambda y: tonearm.feature.spectral_contrast(y=y),
    "chroma_stft": lambda y: tonearm.feature.chroma_stft(y=y, tuning=0.0),
    "rms": lambda y: tonearm.feature.rms(y=y),
    "zero_crossing_rate": lambda y: tonearm.feature.zero_crossing_rate(y),
    "onset_strength": lambda y: tonearm.onset.onset_strength(y=y),
    "tempogram": lambda y: tonearm.feature.tempogram(y=y, win_length=64),
    "tempo": lambda y: tonearm.feature.tempo(y=y),
    "hpss": lambda y: tonearm.effects.hpss(y)[0],
    "percussive": lambda y: tonearm.effects.percussive(y, margin=2.0),
    "resample": lambda y: tonearm.resample(y, orig_sr=22_050, target_sr=16_000),
    "istft": lambda y: tonearm.istft(tonearm.stft(y), length=y.shape[-1]),
}
# power_to_db holds all channels to the loudest of them.
POOLED = {"mfcc", "spectral_contrast", "onset_strength", "tempogram", "tempo"}


@pytest.mark.parametrize("name", OF_AUDIO)
def test_any_layout_and_type_of_audio(name):
    function = OF_AUDIO[name]
    want = function(Y)
    apart = np.zeros(2 * len(Y), np.float32)
    apart[::2] = Y
    shifted = np.frombuffer(b"\0" + Y.tobytes(), np.uint8)[1:].view(np.float32)
    assert not shifted.flags.aligned
    for y in (apart[::2], shifted, Y.astype(">f4")):
        np.testing.assert_array_equal(function(y), want)
    read_only = Y.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(function(read_only), want)
    double = function(Y.astype(np.float64))
    assert double.dtype.itemsize >= want.dtype.itemsize
    np.testing.assert_allclose(double, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", sorted(set(OF_AUDIO) - POOLED))
def test_leading_axes_are_computed_one_by_one(name):
    function = OF_AUDIO[name]
    both = function(STEREO)
    assert both.shape[0] == 2
    for channel, y in zip(both, STEREO):
        np.testing.assert_array_equal(channel, function(y))
    more = function(np.stack([STEREO, STEREO]))
    assert more.shape == (2,) + both.shape
    np.testing.assert_array_equal(more[1], both)


@pytest.mark.parametrize("name", sorted(POOLED))
def test_leading_axes_keep_their_shape(name):
    both, one = OF_AUDIO[name](STEREO), OF_AUDIO[name](Y)
    assert both.shape == (2,) + one.shape


def test_the_fused_mel_spectrogram_has_the_bits_of_its_parts():
    for center in (True, False):
        power = np.abs(tonearm.stft(Y, n_fft=1024, hop_length=300, center=center)) ** 2
        parts = tonearm.feature.melspectrogram(S=power, sr=22_050)
        fused = tonearm.feature.melspectrogram(y=Y, sr=22_050, n_fft=1024, hop_length=300, center=center)
        # |X|² is of double precision in the fused one, and of single precision here.
        np.testing.assert_allclose(fused, parts, rtol=2e-6)


def test_results_are_new_and_arguments_stay_as_they_are():
    mel = tonearm.feature.melspectrogram(y=Y)
    before = mel.copy()
    tonearm.power_to_db(mel, ref=np.max)
    tonearm.amplitude_to_db(mel)
    tonearm.feature.mfcc(S=mel)
    tonearm.decompose.hpss(mel)
    np.testing.assert_array_equal(mel, before)
    mel[:] = 0
    np.testing.assert_array_equal(tonearm.feature.melspectrogram(y=Y), before)


def test_decibels():
    powers = np.array([[0.0, 1e-12, 1e-10, 1.0, 10.0, 1e6]], np.float32)
    np.testing.assert_allclose(tonearm.power_to_db(powers, top_db=None), [[-100, -100, -100, 0, 10, 60]], atol=1e-5)
    np.testing.assert_allclose(tonearm.power_to_db(powers), [[-20, -20, -20, 0, 10, 60]], atol=1e-5)
    assert tonearm.power_to_db(100.0) == 20.0
    assert np.isnan(tonearm.power_to_db(np.array([np.nan, 1.0], np.float32))).any()
    assert tonearm.power_to_db(np.float32([[1, 10]]).astype(np.float64)).dtype == np.float64
    with pytest.warns(UserWarning, match="phase"):
        tonearm.power_to_db(tonearm.stft(Y))


@pytest.mark.parametrize("shape", [(33, 40), (9, 2), (2, 1), (1, 5)])
def test_medians_are_of_the_mirrored_rows(shape):
    S = np.abs(RNG.standard_normal(shape)).astype(np.float32)

    def median(values, kernel):
        padded = np.pad(values, ((0, 0), (kernel // 2, kernel // 2)), mode="symmetric")
        return np.median(np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1), axis=-1)

    for kernels in [(31, 31), (3, 17), (1, 1)]:
        harmonic, percussive = median(S, kernels[0]), median(S.T, kernels[1]).T
        want = harmonic**2 / (harmonic**2 + percussive**2)
        masks = tonearm.decompose.hpss(S, kernel_size=kernels, mask=True)
        np.testing.assert_allclose(masks[0], want, rtol=1e-5)
        np.testing.assert_allclose(masks[0] + masks[1], 1.0, rtol=1e-6)


def test_a_signal_comes_back_from_its_spectrogram():
    for n_fft, hop in [(2048, 512), (1000, 250), (255, 64)]:
        back = tonearm.istft(tonearm.stft(Y, n_fft=n_fft, hop_length=hop), n_fft=n_fft, hop_length=hop, length=len(Y))
        np.testing.assert_allclose(back[: -2 * n_fft], Y[: -2 * n_fft], atol=1e-5)


def test_stft_writes_into_an_array():
    want = tonearm.stft(Y)
    out = np.zeros((want.shape[0], want.shape[1] + 3), np.complex64)
    view = tonearm.stft(Y, out=out)
    assert np.shares_memory(view, out)
    np.testing.assert_array_equal(out[:, :-3], want)
    assert not out[:, -3:].any()


def test_windows_are_those_of_scipy():
    signal = pytest.importorskip("scipy.signal")
    names = ["hann", "hamming", "blackman", "boxcar", "triang", "bartlett", "cosine", "nuttall", "blackmanharris", "flattop"]
    more = ["parzen", 8.0, ("kaiser", 8.6), ("gaussian", 90.0), ("tukey", 0.3), ("tukey", 1.0), ("general_hamming", 0.6)]
    for window in names + more:
        for length in (1, 2, 63, 64, 400):
            for fftbins in (True, False):
                want = signal.get_window(window, length, fftbins=fftbins)
                np.testing.assert_allclose(tonearm.filters.get_window(window, length, fftbins=fftbins), want, atol=1e-12, err_msg=f"{window} {length}")


def test_rates_may_be_any_ratio():
    for orig, target in [(100, 50), (22_050.0, 16_000.0), (1, 3), (44_100.5, 22_050.25), (48_000, 44_100)]:
        y = tonearm.resample(Y[:3000], orig_sr=orig, target_sr=target)
        assert y.shape == (int(np.ceil(3000 * target / orig)),)
        assert y.dtype == np.float32
    assert tonearm.resample(Y, orig_sr=8000, target_sr=8000) is Y
    columns = tonearm.resample(STEREO.T, orig_sr=2, target_sr=1, axis=0)
    np.testing.assert_array_equal(columns[:, 0], tonearm.resample(Y, orig_sr=2, target_sr=1))


def test_threads_share_plans_and_audio():
    want = tonearm.feature.mfcc(y=Y)
    got = [None] * 8

    def run(i):
        for _ in range(5):
            got[i] = tonearm.feature.mfcc(y=Y)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for values in got:
        np.testing.assert_array_equal(values, want)


WRONG = {
    "a list": lambda: tonearm.stft([0.0, 1.0]),
    "integers": lambda: tonearm.stft(np.arange(5000)),
    "no samples": lambda: tonearm.feature.mfcc(y=np.zeros(0, np.float32)),
    "a NaN": lambda: tonearm.stft(np.where(np.arange(5000) == 17, np.nan, 0.5).astype(np.float32)),
    "an infinity, odd n_fft": lambda: tonearm.stft(np.full(5000, np.inf, np.float32), n_fft=33),
    "hop 0": lambda: tonearm.stft(Y, hop_length=0),
    "hop 1.5": lambda: tonearm.feature.rms(y=Y, hop_length=1.5),
    "win_length over n_fft": lambda: tonearm.stft(Y, n_fft=512, win_length=513),
    "an unknown window": lambda: tonearm.stft(Y, window="no such window"),
    "a window of another length": lambda: tonearm.stft(Y, window=np.ones(7)),
    "padding that librosa refuses": lambda: tonearm.stft(Y, pad_mode="wrap"),
    "unknown padding": lambda: tonearm.stft(Y, pad_mode="no such mode"),
    "too short, not centred": lambda: tonearm.stft(Y[:100], center=False),
    "neither y nor S": lambda: tonearm.feature.spectral_centroid(),
    "negative energies": lambda: tonearm.feature.spectral_centroid(S=-np.ones((1025, 3), np.float32)),
    "complex energies": lambda: tonearm.feature.spectral_rolloff(S=tonearm.stft(Y)),
    "a series for S": lambda: tonearm.feature.spectral_flatness(S=np.ones(7, np.float32)),
    "freq of another length": lambda: tonearm.feature.spectral_centroid(y=Y, freq=np.arange(7)),
    "roll_percent 1": lambda: tonearm.feature.spectral_rolloff(y=Y, roll_percent=1.0),
    "bands over Nyquist": lambda: tonearm.feature.spectral_contrast(y=Y, sr=8000),
    "no bands": lambda: tonearm.feature.spectral_contrast(y=Y, n_bands=0),
    "lifter -1": lambda: tonearm.feature.mfcc(y=Y, lifter=-1),
    "dct_type 5": lambda: tonearm.feature.mfcc(y=Y, dct_type=5),
    "mel norm": lambda: tonearm.feature.melspectrogram(y=Y, norm="loud"),
    "even width": lambda: tonearm.feature.delta(np.ones((2, 30), np.float32), width=8),
    "few frames": lambda: tonearm.feature.delta(np.ones((2, 8), np.float32)),
    "an even margin below 1": lambda: tonearm.effects.hpss(Y, margin=0.5),
    "masks of signals": lambda: tonearm.effects.hpss(Y, mask=True),
    "power 0": lambda: tonearm.decompose.hpss(np.abs(tonearm.stft(Y)), power=0),
    "lag 0": lambda: tonearm.onset.onset_strength(y=Y, lag=0),
    "start_bpm 0": lambda: tonearm.feature.tempo(y=Y, start_bpm=0),
    "no envelope": lambda: tonearm.feature.tempogram(onset_envelope=np.zeros(0)),
    "amin 0": lambda: tonearm.power_to_db(Y, amin=0),
    "top_db -1": lambda: tonearm.power_to_db(Y, top_db=-1),
    "a rate of 0": lambda: tonearm.resample(Y, orig_sr=0, target_sr=1),
    "an unknown resampler": lambda: tonearm.resample(Y, orig_sr=2, target_sr=1, res_type="linear"),
    "a ratio too far from 1": lambda: tonearm.resample(Y, orig_sr=1, target_sr=10**7),
    "bins of another n_fft": lambda: tonearm.istft(tonearm.stft(Y), n_fft=512),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_is_wrong(name):
    with pytest.raises(tonearm.ParameterError) as error:
        WRONG[name]()
    assert isinstance(error.value, ValueError) and isinstance(error.value, tonearm.TonearmError)
    assert len(str(error.value)) > 15


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError):
        tonearm.feature.melspectrogram(y=Y, n_mel=40)
    with pytest.raises(TypeError):
        tonearm.feature.delta(np.ones((2, 30), np.float32), widht=5)
    with pytest.raises(TypeError):
        tonearm.feature.melspectrogram(Y)


def test_warnings_of_short_signals_and_empty_bands():
    with pytest.warns(UserWarning, match="too large"):
        tonearm.stft(Y[:100])
    with pytest.warns(UserWarning, match="[Ee]mpty"):
        tonearm.feature.melspectrogram(y=Y, n_fft=256, n_mels=128)
