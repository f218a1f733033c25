"""Models from Python: their answers are those of the program and of the server."""

import copy
import io
import json
import multiprocessing
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request

import numpy as np
import pytest
import tonearm
from conftest import ARTIFACTS, address_of, binary, classified, clean_environment, samples, write_wav
from tonearm import AudioError, Classifier, Extractor, ParameterError, TonearmError

EMBEDDED = {"artifacts": "embedded"}


@pytest.fixture(scope="module")
def svm():
    return Classifier.load("svm", **EMBEDDED)


def of_file(answer):
    """An answer of the program without what it says of the file."""
    return {key: value for key, value in answer.items() if key not in ("file", "audio_sha256")}


def test_answers_are_those_of_the_program(svm, songs):
    theirs = [of_file(answer) for answer in classified("--artifacts", "embedded", *songs)]
    ours = svm.predict(songs)
    assert len(theirs) == len(songs)
    for mine, its in zip(ours, theirs):
        assert dict(mine) == its
        assert mine["novelty"]["signal"] and mine["labels_90"] and mine["audio"]["warnings"] == []
    assert len(ours[1]["segments"]) > 3
    # The order of the keys too, which is that of the labels.
    assert [list(mine["probabilities"]) for mine in ours] == [svm.labels] * len(songs)


def test_bytes_and_open_files_are_as_paths(svm, songs):
    expected = [dict(prediction) for prediction in svm.predict([str(path) for path in songs])]
    contents = [path.read_bytes() for path in songs]
    assert [dict(found) for found in svm.predict(contents)] == expected
    assert dict(svm.predict(bytearray(contents[0]))) == expected[0]
    assert dict(svm.predict(io.BytesIO(contents[1]))) == expected[1]
    with open(songs[2], "rb") as file:
        assert dict(svm.predict(file)) == expected[2]


def test_samples_are_as_the_file_that_holds_them(svm, tmp_path):
    y = samples(7, 11)
    of_path = svm.predict(write_wav(tmp_path / "a.wav", y))
    of_samples = svm.predict((y, 22_050))
    assert "audio" not in of_samples
    assert dict(of_samples) == {key: value for key, value in of_path.items() if key != "audio"}
    # Of double precision, and of several channels.
    both = svm.predict((np.stack([y, y]).astype(np.float64), 22_050))
    assert both["features_digest"] == of_path["features_digest"]


def test_a_damaged_file_is_warned_of_as_by_the_program(svm, songs, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(songs[1].read_bytes()[:2_000_000])
    (theirs,) = classified("--artifacts", "embedded", cut)
    ours = svm.predict(cut)
    assert dict(ours) == of_file(theirs)
    assert [warning["kind"] for warning in ours["audio"]["warnings"]] == ["truncated"]


def test_answers_are_those_of_the_server(svm, songs):
    command = [binary("serve"), "svm", "--artifacts", "embedded", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as server:
        try:
            address = address_of(server)
            for path in songs:
                request = urllib.request.Request(f"{address}/predict", path.read_bytes(), {"Content-Type": "audio/wav"})
                with urllib.request.urlopen(request, timeout=60) as response:
                    assert json.load(response) == dict(svm.predict(path))
        finally:
            server.terminate()


@pytest.mark.parametrize("name", ["vgg19", "ensemble"])
def test_networks_and_ensembles_answer_as_the_program(name, songs):
    model = Classifier.load(name, artifacts=ARTIFACTS)
    theirs = classified("--artifacts", ARTIFACTS, "--model", name, songs[0], songs[3])
    assert [dict(found) for found in model.predict([songs[0], songs[3]])] == [of_file(answer) for answer in theirs]
    assert model.info["kind"] == name
    if name == "ensemble":
        assert [member["name"] for member in model.info["members"]] == ["svm", "vgg19"]
        with pytest.raises(ParameterError, match="svm, vgg19"):
            model.embed(songs[0])
    else:
        assert model.embed(songs[1]).dtype == np.float32


def test_probabilities_are_rows(svm, songs):
    found = svm.predict_proba(songs)
    assert found.dtype == np.float64 and found.shape == (len(songs), len(svm.labels))
    assert np.allclose(found.sum(axis=1), 1, atol=1e-9)
    prediction = svm.predict(songs[2])
    assert prediction.label == svm.labels[found[2].argmax()] and prediction.probability == found[2].max()
    assert np.array_equal(svm.predict_proba(songs[2]), found[2:3])
    assert svm.predict_proba([]).shape == (0, len(svm.labels))


def test_vectors_are_those_of_the_extractor(svm, songs):
    extractor = Extractor(svm.spec)
    segments = svm.embed(songs, segments=True)
    for path, found in zip(songs, segments):
        assert np.array_equal(found, extractor.transform(path, per="segment"))
    means = svm.embed(songs)
    assert means.dtype == np.float32 and means.shape == (len(songs), len(extractor.names))
    assert np.allclose(means[1], segments[1].mean(axis=0), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_read_says_which_and_why(svm, songs, tmp_path):
    missing, text, empty = tmp_path / "missing.wav", tmp_path / "text.mp3", tmp_path / "empty.wav"
    text.write_text("no music " * 100)
    empty.touch()
    for path, words in [(missing, "No such file"), (text, "not audio"), (empty, "empty"), (tmp_path, "directory")]:
        with pytest.raises(AudioError) as raised:
            svm.predict(path)
        assert raised.value.path == str(path), path
        assert words.lower() in raised.value.reason.lower(), raised.value.reason
        assert str(path) in str(raised.value)
    with pytest.raises(FileNotFoundError):
        svm.predict(missing)
    with pytest.raises(AudioError) as raised:
        svm.predict(b"no music")
    assert raised.value.path is None and raised.value.reason
    with pytest.raises(AudioError):
        svm.predict((np.full(100, 0.1, np.float32), 22_050))
    with pytest.raises(AudioError):
        svm.predict((np.full(22_050 * 5, np.nan, np.float32), 22_050))
    # In a list, one is raised or all are returned.
    with pytest.raises(AudioError, match="missing"):
        svm.predict([songs[0], missing, text])
    good, bad, worse = svm.predict([songs[0], missing, text], errors="return")
    assert good.label and isinstance(bad, AudioError) and isinstance(worse, AudioError)
    assert bad.path == str(missing) and worse.path == str(text)
    again = pickle.loads(pickle.dumps(bad))
    assert (again.path, again.reason) == (bad.path, bad.reason)
    with pytest.raises(AudioError):
        svm.predict_proba([missing])
    with pytest.raises(AudioError):
        svm.embed([text])


def test_a_name_of_any_bytes_is_read(svm, songs, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.wav"
    with open(path, "wb") as file:
        file.write(songs[0].read_bytes())
    assert dict(svm.predict(pathlib.Path(os.fsdecode(path)))) == dict(svm.predict(songs[0]))


def test_arguments_that_are_out_of_range_are_refused(svm, songs):
    for wrong in [{"threads": 0}, {"threads": 1.5}, {"threads": True}, {"errors": "ignore"}, {"progress": "yes"}]:
        with pytest.raises(ParameterError):
            svm.predict(songs[0], **wrong)
    for wrong in [3, None, np.zeros((2, 3))]:
        with pytest.raises(ValueError):
            svm.predict(wrong)
    with pytest.raises(TypeError):
        Classifier()


def test_threads_and_progress_change_no_answer(svm, songs):
    many = songs * 3
    seen = []
    found = svm.predict(many, threads=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(many)) for done in range(1, len(many) + 1)]
    assert [dict(one) for one in found] == [dict(one) for one in svm.predict(many, threads=1)]

    def stop(done, total):
        if done == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        svm.predict(many, progress=stop)
    assert svm.predict(songs[0]).label


def test_a_bar_is_drawn_on_standard_error(svm, songs, capfd):
    svm.predict(songs, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and f"{len(songs)}/{len(songs)}" in err


def test_models_are_found_as_the_program_finds_them(tmp_path, monkeypatch, songs):
    monkeypatch.chdir(tmp_path)
    assert "embedded" in Classifier.load("svm").place
    with pytest.raises(TonearmError, match="vgg19"):
        Classifier.load("vgg19")
    # In the data folder, in the environment, by argument.
    (tmp_path / "data" / "tonearm").mkdir(parents=True)
    (tmp_path / "data" / "tonearm" / "artifacts").symlink_to(ARTIFACTS)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert str(tmp_path / "data") in Classifier.load("vgg19").place
    # Without a name it is the ensemble, as for `serve classify`.
    assert Classifier.load(None).name == "ensemble"
    monkeypatch.setenv("TONEARM_ARTIFACTS", "embedded")
    assert "embedded" in Classifier.load(None).place
    with pytest.raises(TonearmError):
        Classifier.load("vgg19")
    assert str(ARTIFACTS) in Classifier.load("vgg19", artifacts=ARTIFACTS).place


def test_a_folder_is_loaded_by_its_path(songs, tmp_path):
    current = (ARTIFACTS / "svm" / "CURRENT").read_text().strip()
    by_name = Classifier.load("svm", artifacts=ARTIFACTS)
    for path in [ARTIFACTS / "svm", ARTIFACTS / "svm" / current, str(ARTIFACTS / "svm")]:
        model = Classifier.load(path)
        assert (model.name, model.version) == ("svm", by_name.version)
    # A version that was copied somewhere has the name of its kind.
    elsewhere = tmp_path / "My Models"
    elsewhere.mkdir()
    shutil.copytree(ARTIFACTS / "svm" / current, elsewhere / current)
    assert Classifier.load(elsewhere / current).name == "svm"
    # An ensemble finds its members beside it.
    assert Classifier.load(ARTIFACTS / "ensemble").name == "ensemble"
    with pytest.raises(TonearmError, match="svm"):
        Classifier.load(ARTIFACTS)
    with pytest.raises(TonearmError):
        Classifier.load(tmp_path / "nowhere")
    for wrong in [{"model": "no/such"}, {"model": "No Name"}, {"model": 3}, {"model": "svm", "device": "abacus"}]:
        with pytest.raises(TonearmError):
            Classifier.load(**wrong)
    with pytest.raises(TonearmError, match="0123456789ab"):
        Classifier.load("svm", version="0123456789ab", **EMBEDDED)
    assert Classifier.load("svm", version=by_name.version, artifacts=ARTIFACTS).version == by_name.version


def test_a_long_file_is_refused_where_that_is_wanted(songs):
    model = Classifier.load("svm", max_seconds=30.0, **EMBEDDED)
    assert model.predict(songs[0]).label
    with pytest.raises(AudioError, match="longer"):
        model.predict(songs[1])


def test_it_says_what_it_is(svm):
    assert len(svm.labels) == 10 and re.fullmatch("[0-9a-f]{12}", svm.version) and svm.name == "svm"
    info = svm.info
    assert info["version"] == svm.version and info["trained_on"]["clips"] > 0 and 0 < info["evaluated"]["accuracy"] < 1
    assert svm.spec["sample_rate"] == 22_050
    assert svm.version in repr(svm)


def test_it_is_pickled_by_where_it_is(svm, songs):
    expected = dict(svm.predict(songs[0]))
    data = pickle.dumps(svm)
    assert len(data) < 2_000
    for again in [pickle.loads(data), copy.deepcopy(svm)]:
        assert again.version == svm.version and dict(again.predict(songs[0])) == expected
    assert pickle.loads(pickle.dumps(svm.predict(songs[0]))) == expected


def test_processes_of_joblib_predict(svm, songs):
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(svm.predict)(path) for path in songs)
    assert [dict(one) for one in found] == [dict(one) for one in svm.predict(songs)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_predicts(svm, songs):
    expected = dict(svm.predict(songs[0]))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert dict(pool.apply_async(svm.predict, (songs[0],)).get(timeout=120)) == expected


def test_several_threads_predict_at_once(svm, songs):
    expected = [dict(one) for one in svm.predict(songs)]
    found = [None] * 4
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, svm.predict(songs))) for i in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        assert [dict(prediction) for prediction in one] == expected


def test_the_lock_of_the_interpreter_is_released(songs, tmp_path):
    # The other thread waits for the pipe, and this one writes to it: neither could with the lock held by the other.
    script = textwrap.dedent(
        """
        import os, sys, threading, tonearm
        song, pipe = sys.argv[1:]
        model = tonearm.Classifier.load("svm", artifacts="embedded")
        os.mkfifo(pipe)
        found = []
        thread = threading.Thread(target=lambda: found.append(model.predict(pipe)))
        thread.start()
        with open(pipe, "wb") as file:
            file.write(open(song, "rb").read())
        thread.join()
        assert found[0]["features_digest"] == model.predict(song)["features_digest"]
        """
    )
    command = [sys.executable, "-c", script, songs[0], tmp_path / "pipe"]
    subprocess.run([str(word) for word in command], check=True, timeout=120, env=clean_environment())


def test_ctrl_c_ends_a_long_list(songs):
    script = textwrap.dedent(
        """
        import sys, tonearm
        model = tonearm.Classifier.load("svm", artifacts="embedded")
        print("ready", flush=True)
        model.predict(sys.argv[1:] * 100_000, threads=2)
        """
    )
    command = [sys.executable, "-c", script, str(songs[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said and process.returncode != 0


def test_a_prediction_is_read_by_keys_and_by_attributes(svm, songs):
    prediction = svm.predict(songs[0])
    assert prediction.predicted_genre == prediction["predicted_genre"] == prediction.label
    assert prediction.novelty["p_value"] > 0 and prediction.segments[0]["start_seconds"] == 0
    assert json.loads(json.dumps(prediction)) == prediction
    with pytest.raises(AttributeError, match="genres"):
        prediction.genres
    assert tonearm.Prediction({"predicted_genre": "x"}).labels_90 is None
