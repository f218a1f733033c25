"""Memory stays flat, and nothing ends the interpreter, over 10,000 short files."""

import subprocess
import sys
import textwrap

import pytest
from conftest import clean_environment, samples, write_wav

SCRIPT = """
import os, sys
import tonearm

# Files, rounds after which memory is looked at first and last, and how much it may have grown between.
folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
model, extractor = tonearm.Classifier.load("svm", artifacts="embedded"), tonearm.Extractor("gtzan-store")

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def read(path):
    with open(path, "rb") as file:
        return file.read()

done, failed, before = 0, 0, None
while done < last:
    batch = [paths[(done + k) % len(paths)] for k in range(100)]
    batch[1::10] = [read(path) for path in batch[1::10]]
    for found in model.predict(batch, threads=2, errors="return"):
        failed += isinstance(found, tonearm.AudioError)
    extractor.extract(batch[:10], threads=2, errors="return")
    done += len(batch)
    if before is None and done >= first:
        before = resident()
print(failed, before, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_ten_thousand_files_in_flat_memory(tmp_path):
    for number in range(47):
        write_wav(tmp_path / f"{number:02}.wav", samples(number, 2.0, 8_000, number % 2), 8_000)
    # What cannot be read is among them.
    (tmp_path / "47.wav").write_bytes(b"RIFF no music")
    (tmp_path / "48.wav").write_bytes((tmp_path / "00.wav").read_bytes()[:600])
    (tmp_path / "49.wav").touch()
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path), "1000", "10000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=clean_environment())
    assert done.returncode == 0, done.stderr
    failed, before, after = map(int, done.stdout.split())
    assert failed == 600, "three of fifty files are broken"
    print(f"{before / 2**20:.1f} MiB after 1,000 files, {after / 2**20:.1f} MiB after 10,000")
    assert after - before < 16 << 20, f"{before >> 20} MiB, then {after >> 20} MiB"
