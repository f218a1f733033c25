"""Descriptors from Python: those of `train inspect`, to the bit."""

import json
import pickle

import numpy as np
import pytest
from conftest import binary, run, samples, write_wav
from tonearm import AudioError, Extractor, ParameterError


@pytest.mark.parametrize("spec", ["gtzan-store", "librosa"])
def test_vectors_are_those_of_the_program(spec, songs):
    extractor = Extractor(spec)
    for path in songs:
        inspected = json.loads(run([binary("train"), "inspect", "--json", "--spec", spec, path]).stdout)
        assert extractor.spec == inspected["spec"] and extractor.fingerprint == inspected["fingerprint"]
        table = extractor.extract(path, per="segment")
        assert len(table) == len(inspected["segments"])
        for row, segment in enumerate(inspected["segments"]):
            # The program writes the names in alphabetical order.
            assert sorted(segment["descriptors"]) == sorted(table.names) and table.names == extractor.names
            theirs = np.array([segment["descriptors"][name] for name in table.names], dtype=np.float32)
            assert np.array_equal(table.matrix[row], theirs)
            assert table.start_seconds[row] == segment["start_seconds"]
            assert table.end_seconds[row] == segment["end_seconds"]


def test_a_row_is_of_a_clip_a_segment_or_a_window(songs):
    extractor = Extractor()
    n = len(extractor.names)
    clips = extractor.extract(songs)
    assert clips.matrix.shape == (len(songs), n) and clips.matrix.dtype == np.float32
    assert list(clips.source) == [0, 1, 2, 3] and (clips.start_seconds == 0).all()
    assert clips.end_seconds[1] == pytest.approx(70, abs=0.2)
    segments = extractor.extract(songs, per="segment")
    assert list(segments.source) == [0, 1, 1, 1, 1, 2, 3], "70 s are four segments of 30 s"
    windows = extractor.extract(songs, per="window")
    assert len(windows) > len(segments)
    # A short clip is its own segment and window.
    for other in (segments, windows):
        assert np.array_equal(other.matrix[0], clips.matrix[0])
    with pytest.raises(ParameterError, match="song"):
        extractor.transform(songs, per="song")


def test_every_form_of_a_source_gives_the_same(songs):
    extractor, path = Extractor("librosa"), songs[0]
    expected = extractor.transform(path)
    for source in [str(path), path.read_bytes(), (samples(1, 4), 22_050), [path]]:
        assert np.array_equal(extractor.transform(source), expected)
    assert extractor.transform([]).shape == (0, len(extractor.names))
    array = np.array([str(path), str(songs[3])], dtype=object)
    assert np.array_equal(extractor.transform(array)[0], expected[0])


def test_threads_change_no_bit(songs):
    extractor = Extractor()
    one = extractor.transform(songs * 2, threads=1)
    seen = []
    several = extractor.transform(songs * 2, threads=4, progress=lambda done, total: seen.append((done, total)))
    assert np.array_equal(one, several) and seen[-1] == (8, 8)


def test_tables_have_names(songs):
    extractor = Extractor("librosa")
    matrix = extractor.transform(songs, per="segment")
    pyarrow = pytest.importorskip("pyarrow")
    table = extractor.to_arrow(songs, per="segment")
    assert isinstance(table, pyarrow.Table)
    assert table.column_names == ["file", "source", "start_seconds", "end_seconds", *extractor.names]
    assert table["file"][0].as_py() == str(songs[0])
    assert np.array_equal(np.stack([table[name].to_numpy() for name in extractor.names], axis=1), matrix)
    assert extractor.to_arrow([songs[0].read_bytes()])["file"].null_count == 1
    polars = pytest.importorskip("polars")
    frame = extractor.to_polars(songs, per="segment")
    assert isinstance(frame, polars.DataFrame) and frame.columns == table.column_names
    assert np.array_equal(frame.select(extractor.names).to_numpy(), matrix)


def test_a_specification_is_a_name_json_or_a_dict():
    librosa = Extractor("librosa")
    spec = librosa.spec
    assert Extractor(spec).fingerprint == Extractor(json.dumps(spec)).fingerprint == librosa.fingerprint
    fewer = Extractor({**spec, "descriptors": ["rms", "tempo"]})
    assert {name.split(".")[0] for name in fewer.names} == {"rms", "tempo"}
    assert pickle.loads(pickle.dumps(fewer)).names == fewer.names
    for wrong in ["no-such", "{", {**spec, "sample_rate": 7}, {**spec, "more": 1}, 3]:
        with pytest.raises(ParameterError):
            Extractor(wrong)


def test_what_cannot_be_read_says_which_and_why(songs, tmp_path):
    extractor = Extractor()
    text = tmp_path / "text.wav"
    text.write_text("no music " * 50)
    with pytest.raises(AudioError) as raised:
        extractor.transform([songs[0], text])
    assert raised.value.path == str(text) and "not audio" in raised.value.reason
    table = extractor.extract([text, songs[0], tmp_path / "missing"], errors="return")
    assert list(table.source) == [1] and len(table) == 1
    with pytest.raises(AudioError, match="too short"):
        extractor.transform(write_wav(tmp_path / "short.wav", samples(1, 0.7)))
    with pytest.raises(AudioError, match="longer"):
        extractor.transform(songs[1], max_seconds=30)
    with pytest.raises(ParameterError):
        extractor.transform(songs[0], max_seconds=0)
