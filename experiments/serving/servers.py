"""Servers as processes: Tonearm's and the reference's, started, awaited, weighed and stopped."""

import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))


class Server:
    """A process group that listens on a free port; started by `with`, killed at its end."""

    def __init__(self, title, command, environment=None, folder=None):
        self.title = title
        self.port = free_port()
        self.command = [str(part).replace("{port}", str(self.port)) for part in command]
        self.environment = os.environ | (environment or {})
        self.folder = folder
        self.process = None
        self.log = None

    def __enter__(self):
        self.start()
        self.await_ready()
        return self

    def __exit__(self, *_):
        self.kill(signal.SIGTERM)
        try:
            self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            pass
        # Whatever is left of the group.
        self.kill(signal.SIGKILL)
        self.process.wait()

    def start(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=self.folder,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def kill(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def await_ready(self, limit=180, pause=0.05):
        """Seconds until `/readyz` says 200."""
        start = time.perf_counter()
        while time.perf_counter() - start < limit:
            if self.process.poll() is not None:
                sys.exit(f"{' '.join(self.command)}\nended with {self.process.returncode}\n{self.said()}")
            if self.status("/readyz") == 200:
                return time.perf_counter() - start
            time.sleep(pause)
        sys.exit(f"{' '.join(self.command)}\nwas not ready after {limit} s\n{self.said()}")

    def said(self):
        """The end of its log."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def get(self, path):
        """Status and body; `None` and nothing where the server does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def status(self, path):
        return self.get(path)[0]

    def pss(self):
        """MiB of the process and its descendants, a page that n processes share counted as 1/n of it in each."""
        return sum(map(pss_of, tree(self.process.pid))) / 1024


class Memory:
    """Weighs a server again and again while it is open: `samples` are `(seconds, MiB)`."""

    def __init__(self, server, every=0.5):
        self.server, self.every, self.samples = server, every, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.start = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while not self.stop.wait(self.every):
            self.samples.append((time.monotonic() - self.start, self.server.pss()))

    def peak(self):
        return max(mib for _, mib in self.samples)


def tree(pid):
    """The process and all that came of it."""
    try:
        children = [path.read_text().split() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [pid, *(found for line in children for child in line for found in tree(int(child)))]


def pss_of(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tonearm(options, role, artifacts, *extra, title=None, cache_bytes=0, folder=None):
    """`serve svm` or `serve vgg`, which logs no requests; its response cache is off unless it is given bytes."""
    command = [options.bin.resolve() / "serve", role, "--artifacts", artifacts, "--listen", "127.0.0.1:{port}"]
    command += ["--cache-bytes", cache_bytes, *extra]
    return Server(title or f"Tonearm, serve {role}", command, {"RUST_LOG": "warn"}, folder)


def reference(app, environment, gunicorn, title):
    """An app of `reference/` under gunicorn, whose access log is off."""
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--timeout", "600"]
    command += ["--log-level", "warning", *gunicorn, app]
    # One thread for each worker's BLAS and numba: the workers are as many as the cores.
    one = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"], "1")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    return Server(title, command, one | quiet | environment, HERE / "reference")
