"""The program `tonearm`: what `serve` and `train` say, from the process of the interpreter."""

import json
import signal
import subprocess
import sys
import time

import pytest
import tonearm
from conftest import address_of, binary, clean_environment, module, run


def started(*arguments):
    """A process of `python -m tonearm`, whose output is text."""
    command = [sys.executable, "-m", "tonearm", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())


def test_it_classifies_as_the_program(songs):
    for form in ("--json", "--csv"):
        arguments = ["classify", "--artifacts", "embedded", form, *songs]
        theirs, ours = run([binary("serve"), *arguments]), module(*arguments)
        assert ours.returncode == theirs.returncode == 0 and ours.stdout == theirs.stdout and ours.stdout
    # Also as a command of serve.
    assert module("serve", "classify", "--artifacts", "embedded", "--csv", *songs).stdout == ours.stdout


def test_it_trains_as_the_program(songs, tmp_path):
    arguments = ["inspect", "--json", songs[0]]
    assert module("train", *arguments).stdout == run([binary("train"), *arguments]).stdout
    size = ["--clips-per-genre", "1", "--seconds", "2", "--seed", "1"]
    made = module("train", "synth", "--out", tmp_path / "ours", *size)
    theirs = run([binary("train"), "synth", "--out", tmp_path / "theirs", *size])
    assert made.returncode == theirs.returncode == 0, made.stderr
    files = sorted(path.relative_to(tmp_path / "ours") for path in (tmp_path / "ours").rglob("*.wav"))
    assert len(files) == 10
    assert all((tmp_path / "ours" / path).read_bytes() == (tmp_path / "theirs" / path).read_bytes() for path in files)


def test_it_starts_itself_where_the_program_does():
    # Each of its runs is a process of its own, and they give the same bytes.
    done = module("train", "verify", "--no-lock", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["difference"] is None


def test_exit_codes_are_those_of_the_programs(tmp_path):
    assert module("classify", "--artifacts", "embedded", tmp_path / "missing.wav").returncode == 1
    assert module("classify", "--artifacts", tmp_path / "nowhere", tmp_path / "missing.wav").returncode == 2
    assert module("classify", "--no-such-option").returncode == 2
    assert module("train", "inspect", tmp_path / "missing.wav").returncode == 1
    assert module("train", "--no-such-option").returncode == 2


def test_help_names_the_program_as_it_was_called():
    assert module().returncode == 2 and module("no-such").returncode == 2
    for arguments in (["--help"], ["help"]):
        done = module(*arguments)
        assert done.returncode == 0 and "classify" in done.stdout and done.stderr == ""
    assert module("--version").stdout == f"tonearm {tonearm.__version__}\n"
    for arguments, usage in [
        (["classify", "--help"], "Usage: tonearm classify"),
        (["serve", "--help"], "Usage: tonearm serve"),
        (["serve", "svm", "--help"], "Usage: tonearm serve svm"),
        (["train", "--help"], "Usage: tonearm train"),
    ]:
        done = module(*arguments)
        assert done.returncode == 0 and usage in done.stdout, done.stdout
    assert module("serve", "completions", "bash").stdout == run([binary("serve"), "completions", "bash"]).stdout


def test_the_reader_may_have_enough(songs):
    process = started("classify", "--artifacts", "embedded", "--csv", *songs * 20)
    with process:
        assert process.stdout.readline().startswith("file,")
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0 and "Traceback" not in said and "panicked" not in said


def test_ctrl_c_stops_a_server():
    with started("serve", "svm", "--artifacts", "embedded", "--listen", "127.0.0.1:0") as process:
        assert address_of(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in said


def test_ctrl_c_stops_a_training(tmp_path):
    with started("train", "synth", "--out", tmp_path / "dataset", "--clips-per-genre", "1000") as process:
        deadline = time.monotonic() + 60
        # Once it works, it has its own handler.
        while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said


def test_ctrl_c_stops_a_classification(songs):
    with started("classify", "--artifacts", "embedded", "--csv", *[songs[1]] * 2000) as process:
        assert process.stdout.readline().startswith("file,")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said


def test_a_program_must_be_one():
    with pytest.raises(ValueError):
        tonearm._tonearm.main("no-such", [], [])
