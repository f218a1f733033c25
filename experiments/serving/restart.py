"""How Tonearm's service comes back, and how it goes: one run on one machine.

    python experiments/serving/restart.py [--bin DIR] [--times 10] [--json FILE]

**kill -9.** `serve svm` and `serve vgg` are killed under load and started again on the same port: seconds from the start of the
process until `/readyz` is 200 (asked every 5 ms), and until the first response to a track. The artifact's files are in the page
cache.

**kill -TERM under load.** 16 clients, each on connections of its own, post tracks of 5 s; in the midst of it the server gets
SIGTERM. Of every request it is known when its last byte was handed to the kernel, and when the server had taken its
connection (a request before it on the same connection was answered). Sent in full before the signal, it must get its whole
answer: 200 and the right bytes, or 503 with Retry-After (refused in good order, not accepted). What was still being sent, or
was sent later, may be refused in any way. The process must end with 0.

Ends with 1 where that does not hold. Prints a table in Markdown.
"""

import argparse
import collections
import json
import signal
import socket
import statistics
import sys
import threading
import time

import client
import inputs
from servers import tonearm

ROUTES = {"svm": "/predict", "vgg": "/vgg"}
CLIENTS = 16


class Client:
    """Posts one form on one connection until that breaks; keeps `(sent, result)` of each request."""

    def __init__(self, port, route, form, right):
        self.request, self.right = client.head(route, len(form)) + form, right
        self.address, self.found = ("127.0.0.1", port), []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        # The first request is not counted: with its answer the connection is known to be taken.
        counted, connection = False, None
        while not self.stop.is_set():
            sent = None
            try:
                if connection is None:
                    connection, counted = socket.create_connection(self.address, timeout=60), False
                connection.sendall(self.request)
                sent = time.monotonic()
                result, keeps = self.receive(connection)
            except OSError as error:
                result, keeps = type(error).__name__, False
            if counted:
                self.found.append((sent, result))
            counted = True
            if not keeps:
                if connection is None:
                    return
                connection.close()
                connection = None

    def receive(self, connection):
        """What was answered, and whether the connection goes on."""
        content = b""
        while (end := content.find(b"\r\n\r\n")) < 0:
            part = connection.recv(65536)
            if not part:
                return "closed without an answer", False
            content += part
        lines = content[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        missing = int(headers["content-length"]) - len(content) + end + 4
        while missing > 0:
            part = connection.recv(65536)
            if not part:
                return "cut off", False
            content, missing = content + part, missing - len(part)
        status, keeps = lines[0].split(" ")[1], headers.get("connection") != "close"
        if status == "200":
            return ("200" if content[end + 4 :] == self.right else "200, another answer"), keeps
        if status == "503" and headers.get("retry-after", "").isdigit():
            return "503 with Retry-After", keeps
        return status, keeps


def kill_and_return(options, role, artifacts, form):
    """`[(seconds until ready, seconds until an answer)]` after each kill -9 under load."""
    found = []
    with tonearm(options, role, artifacts) as server:
        right, _ = client.ask_bytes(server.port, ROUTES[role], form)
        for _ in range(options.times):
            clients = [Client(server.port, ROUTES[role], form, right) for _ in range(4)]
            time.sleep(0.5)
            server.kill(signal.SIGKILL)
            server.process.wait()
            for one in clients:
                one.stop.set()
                one.thread.join()
            start = time.monotonic()
            server.start()
            server.await_ready(pause=0.005)
            ready = time.monotonic() - start
            content, _ = client.ask_bytes(server.port, ROUTES[role], form)
            if content != right:
                sys.exit(f"serve {role} gives another answer after its restart")
            found.append((ready, time.monotonic() - start))
    return found


def terminate(options, role, artifacts, form):
    """What became of requests that were sent in full before SIGTERM, seconds until the end, and the exit code; each time."""
    results, ends = collections.Counter(), []
    for number in range(options.times):
        with tonearm(options, role, artifacts) as server:
            right, _ = client.ask_bytes(server.port, ROUTES[role], form)
            clients = [Client(server.port, ROUTES[role], form, right) for _ in range(CLIENTS)]
            # Not always at the same point of a request.
            time.sleep(options.load_seconds + 0.037 * number)
            signalled = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(timeout=60)
            ends.append((time.monotonic() - signalled, code))
            for one in clients:
                one.stop.set()
                one.thread.join()
        for sent, result in (found for one in clients for found in one.found):
            if sent is not None and sent < signalled:
                results[result] += 1
    return results, ends


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    inputs.add_options(parser)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--load-seconds", type=float, default=2, help="of load before SIGTERM")
    options = parser.parse_args()
    made = inputs.Inputs(options)
    form = client.form_of(made.short_dataset() / "rock/rock.synth.00001.wav")
    figures, wrongs = {}, []
    print(
        "| kill -9, then | ready: median | least | most | first answer: median | most |\n|---|---:|---:|---:|---:|---:|"
    )
    for role, artifacts in [("svm", made.svm()), ("vgg", made.vgg19())]:
        found = kill_and_return(options, role, artifacts, form)
        ready, answered = zip(*found)
        cells = [statistics.median(ready), min(ready), max(ready), statistics.median(answered), max(answered)]
        print(
            f"| serve {role}, {options.times} times | " + " | ".join(f"{seconds:.3f} s" for seconds in cells) + " |",
            flush=True,
        )
        figures[f"kill {role}"] = found
    print(
        "\n| kill -TERM under load | sent in full before it | their answers | until the end: most | exit codes |\n|---|---:|---|---:|---|"
    )
    for role, artifacts in [("svm", made.svm()), ("vgg", made.vgg19())]:
        results, ends = terminate(options, role, artifacts, form)
        got = ", ".join(f"{count} × {result}" for result, count in sorted(results.items()))
        codes = sorted({code for _, code in ends})
        longest = max(seconds for seconds, _ in ends)
        print(
            f"| serve {role}, {options.times} times | {results.total()} | {got} | {longest:.2f} s | {codes} |",
            flush=True,
        )
        figures[f"term {role}"] = {"outcomes": dict(results), "ends": ends}
        if lost := results.keys() - {"200", "503 with Retry-After"}:
            wrongs.append(f"serve {role} lost requests that were sent in full: {sorted(lost)}")
        if codes != [0]:
            wrongs.append(f"serve {role} ended with {codes}")
    inputs.finish(options, figures, wrongs)


if __name__ == "__main__":
    main()
