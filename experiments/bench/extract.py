"""Times `train extract` with one thread and with two, and its memory on a dataset and on ten copies of it; prints Markdown tables.

    python experiments/bench/extract.py TRAIN AUDIO_FOLDER [ROUNDS]

TRAIN is the program. Times are of the whole process, by the clock; memory is the peak of its resident set, as the kernel
counts it (`ru_maxrss`). The larger dataset has ten links to each clip of AUDIO_FOLDER.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRESETS = ["gtzan-store", "librosa"]
COPIES = 10


def extract(program: str, folder: Path, store: Path, preset: str, threads: int) -> tuple[float, float]:
    """Seconds and MiB of one run."""
    command = [program, "extract", "--data", folder, "--out", store, "--spec", preset, "--threads", str(threads)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # By process id, so that the peak is of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with status {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def ten_of(folder: Path, out: Path) -> int:
    """Fills `out` with links to the clips of `folder`, each under ten names, and counts them."""
    count = 0
    for clip in sorted(path for path in folder.glob("*/*") if path.is_file()):
        folder = out / clip.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(COPIES):
            (folder / f"{clip.stem}.copy{copy}{clip.suffix}").symlink_to(clip.resolve())
            count += 1
    return count


def digest_of(store: Path) -> str:
    with (store / "logmel.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    program, folder = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        ten = scratch / "ten"
        many = ten_of(folder, ten)
        print("| preset | clips | 1 thread, s | 2 threads, s | times faster | clips a second |")
        print("|---|---:|---:|---:|---:|---:|")
        memory = []
        for preset in PRESETS:
            extract(program, folder, scratch / "warm", preset, 2)
            seconds: dict[int, list[float]] = {1: [], 2: []}
            peaks: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(rounds):
                for threads in (1, 2):
                    elapsed, peak = extract(program, folder, scratch / f"{threads}", preset, threads)
                    seconds[threads].append(elapsed)
                    peaks[threads].append(peak)
            if digest_of(scratch / "1") != digest_of(scratch / "2"):
                sys.exit(f"{preset}: the store of one thread and that of two differ")
            one, two = (statistics.median(seconds[threads]) for threads in (1, 2))
            few = many // COPIES
            print(f"| {preset} | {few} | {one:.2f} | {two:.2f} | {one / two:.2f} | {few / two:.0f} |", flush=True)
            for threads in (1, 2):
                _, peak = extract(program, ten, scratch / "large", preset, threads)
                memory.append((preset, threads, max(peaks[threads]), peak))
        print(f"\nMedians of {rounds} runs in turns; the stores of one and of two threads have the same bytes.\n")
        print(f"| preset | threads | {few} clips, MiB | {many} clips, MiB |")
        print("|---|---:|---:|---:|")
        for preset, threads, small, large in memory:
            print(f"| {preset} | {threads} | {small:.0f} | {large:.0f} |")


if __name__ == "__main__":
    main()
