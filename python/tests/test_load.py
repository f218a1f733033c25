"""`tonearm.load`: what it takes, what it gives, what it warns of, how it fails."""

import io
import os
import pathlib
import pickle
import struct
import wave

import numpy as np
import pytest

import tonearm

RATE = 22_050


def tone(n, hz=440.0, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(n) / rate)


def wav(channels, rate=RATE):
    """The bytes of a WAV file of 16 bits; `channels` has the shape `(channels, n)`, and what is written is returned too."""
    levels = np.round(np.atleast_2d(channels) * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(levels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(levels.T.tobytes())
    return out.getvalue(), levels.astype(np.float32) / 32768


@pytest.fixture
def clip(tmp_path):
    content, samples = wav(tone(RATE))
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    return path, content, samples[0]


def test_every_kind_of_source(clip, tmp_path):
    path, content, want = clip
    odd = os.fsencode(tmp_path) + b"/\xff\xfe odd.wav"
    pathlib.Path(os.fsdecode(odd)).write_bytes(content)

    class Named:
        def __fspath__(self):
            return odd

    for source in (str(path), path, Named(), content, bytearray(content), memoryview(content), io.BytesIO(content)):
        y, sr = tonearm.load(source)
        assert sr == RATE and y.dtype == np.float32
        np.testing.assert_array_equal(y, want)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(tonearm.load(file)[0], want)


def test_rates(clip):
    path, _, want = clip
    y, sr = tonearm.load(path, sr=None)
    assert sr == RATE
    np.testing.assert_array_equal(y, want)
    y, sr = tonearm.load(path, sr=16_000)
    assert sr == 16_000 and y.shape == (16_000,)
    np.testing.assert_array_equal(y, tonearm.resample(want, orig_sr=RATE, target_sr=16_000))


def test_a_part(clip):
    path, content, want = clip
    for source in (path, content):
        for offset, duration in [(0.0, 0.25), (0.1, 0.3), (0.5, None), (0.9, 5.0), (1.0, None), (0.3, 0.0)]:
            y, _ = tonearm.load(source, offset=offset, duration=duration)
            first = int(offset * RATE)
            end = len(want) if duration is None else first + int(duration * RATE)
            np.testing.assert_array_equal(y, want[first:end])


def test_channels(tmp_path):
    content, want = wav(np.stack([tone(RATE), 0.5 * tone(RATE, 660.0), 0.1 * tone(RATE, 50.0)]))
    y, _ = tonearm.load(content, mono=False)
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, want)
    y, _ = tonearm.load(content, mono=False, sr=11_025, offset=0.2, duration=0.5)
    assert y.shape == (3, 5513)
    mono, _ = tonearm.load(content)
    np.testing.assert_allclose(mono, want.mean(axis=0), atol=1e-7)
    single, samples = wav(tone(500))
    np.testing.assert_array_equal(tonearm.load(single, mono=False)[0], samples[0])


def test_types(clip):
    path, _, want = clip
    y, _ = tonearm.load(path, dtype=np.float64)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, want)
    with pytest.raises(tonearm.ParameterError):
        tonearm.load(path, dtype=np.int16)


def test_what_the_decoder_warns_of_is_a_warning(tmp_path):
    path = tmp_path / "cut.wav"
    # The header says that there is more.
    path.write_bytes(wav(tone(4 * RATE))[0][:-20_000])
    with pytest.warns(tonearm.AudioWarning, match="cut short") as record:
        y, _ = tonearm.load(path)
    assert len(y) == 4 * RATE - 10_000
    assert str(path) in str(record[0].message)
    assert record[0].filename == __file__


def test_silence_is_given_with_a_warning(tmp_path):
    path = tmp_path / "silence.wav"
    path.write_bytes(wav(np.zeros(RATE))[0])
    with pytest.warns(tonearm.AudioWarning, match="silent"):
        y, sr = tonearm.load(path)
    assert y.shape == (RATE,) and not y.any() and sr == RATE


def test_antiphase_is_told_and_the_loudest_channel_taken():
    content, want = wav(np.stack([0.9 * tone(RATE), -tone(RATE)]))
    with pytest.warns(tonearm.AudioWarning, match="cancel"):
        y, _ = tonearm.load(content)
    np.testing.assert_array_equal(y, want[1])
    y, _ = tonearm.load(content, mono=False)
    np.testing.assert_array_equal(y, want)


def test_a_file_that_cannot_be_read_raises_with_path_and_reason(tmp_path):
    path = tmp_path / "no audio.wav"
    for content in (b"", b"no audio at all" * 50, b"RIFF" + struct.pack("<I", 4) + b"WAVE"):
        path.write_bytes(content)
        with pytest.raises(tonearm.AudioError) as error:
            tonearm.load(path)
        assert error.value.path == str(path) and error.value.reason
        assert str(path) in str(error.value) and error.value.reason in str(error.value)
        with pytest.raises(tonearm.AudioError) as error:
            tonearm.load(content)
        assert error.value.path is None
    with pytest.raises(tonearm.AudioError):
        tonearm.load(tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "nothing.wav"
    with pytest.raises(FileNotFoundError) as error:
        tonearm.load(path)
    assert isinstance(error.value, tonearm.AudioError)
    assert error.value.path == error.value.filename == str(path)
    again = pickle.loads(pickle.dumps(error.value))
    assert type(again) is type(error.value) and again.path == str(path) and again.reason == error.value.reason
    other = pickle.loads(pickle.dumps(tonearm.AudioError("a", "b")))
    assert (other.path, other.reason, str(other)) == ("a", "b", "failed to read a: b")


def test_arguments(clip):
    path, _, _ = clip
    for arguments in ({"offset": -1}, {"offset": np.nan}, {"duration": -0.1}, {"sr": 0}, {"offset": 1.5}, {"sr": 1e9}):
        with pytest.raises(tonearm.ParameterError):
            tonearm.load(path, **arguments)
    for source in (None, 5, io.StringIO("text"), (np.zeros(5), 22_050)):
        with pytest.raises(tonearm.ParameterError):
            tonearm.load(source)


def test_beside_librosa(tmp_path):
    librosa = pytest.importorskip("librosa")
    soundfile = pytest.importorskip("soundfile")
    y = np.stack([tone(RATE), 0.3 * tone(RATE, 1000.0)]).astype(np.float32)
    for suffix, subtype in [("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("aiff", "PCM_16")]:
        path = tmp_path / f"{subtype}.{suffix}"
        soundfile.write(path, y.T, RATE, subtype=subtype)
        for arguments in ({}, {"mono": False}, {"sr": None, "offset": 0.25, "duration": 0.5}, {"mono": False, "duration": 0.1}):
            ours, theirs = tonearm.load(path, **arguments), librosa.load(path, **arguments)
            assert ours[1] == theirs[1]
            assert ours[0].shape == theirs[0].shape and ours[0].dtype == theirs[0].dtype
            np.testing.assert_allclose(ours[0], theirs[0], atol=1e-7)
