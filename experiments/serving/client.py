"""A client of the service: forms, requests, and the statistics of how long they took."""

import http.client
import json
import math
import pathlib
import random
import threading
import time

BOUNDARY = "tonearm-experiment-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(audio, file_name="track.wav"):
    """A multipart body with the field `audio_file`."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="{file_name}"\r\n'
    return head.encode() + b"Content-Type: audio/wav\r\n\r\n" + audio + f"\r\n--{BOUNDARY}--\r\n".encode()


def form_of(path):
    return form(pathlib.Path(path).read_bytes())


def head(route, length, host="127.0.0.1", close=False):
    """The head of a request for a form of `length` bytes."""
    lines = [
        f"POST {route} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {FORM['Content-Type']}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, *["Connection: close"] * close, "", ""]).encode()


class Connection:
    """One that is kept alive, and opened anew where the server closes it."""

    def __init__(self, port, timeout=120):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, route, body):
        """Status, headers, body and seconds."""
        start = time.perf_counter()
        self.http.request("POST", route, body, FORM)
        answer = self.http.getresponse()
        content = answer.read()
        return answer.status, answer.headers, content, time.perf_counter() - start

    def close(self):
        self.http.close()


class Clients:
    """Threads that ask without a pause while it is open, each on one connection; `ask` is one request of one of them."""

    def __init__(self, port, count):
        self.port, self.failures, self.stop = port, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(index,)) for index in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self, index):
        chance, connection = random.Random(index), Connection(self.port)
        while not self.stop.is_set():
            try:
                self.ask(connection, chance)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()


def ask_bytes(port, route, body):
    """The answer to one request, which must be 200, and its seconds."""
    connection = Connection(port)
    try:
        status, _, content, seconds = connection.post(route, body)
    finally:
        connection.close()
    if status != 200:
        raise RuntimeError(f"{route} answered {status}: {content[:200]!r}")
    return content, seconds


def ask(port, route, body):
    """The same, with the answer's JSON read."""
    content, seconds = ask_bytes(port, route, body)
    return json.loads(content), seconds


def percentile(values, p):
    """The least value that `p` % of them do not exceed."""
    values = sorted(values)
    return values[max(math.ceil(len(values) * p / 100) - 1, 0)] if values else math.nan
