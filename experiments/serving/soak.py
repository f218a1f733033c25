"""Tonearm's service at twice its capacity: one run on one machine.

    python experiments/serving/soak.py [--bin DIR] [--minutes 10] [--role svm|vgg] [--json FILE]

First the capacity: requests a second that 2 clients for each core get of it, one after another. Then `--overload` times as
many arrive, evenly, whether or not earlier ones are answered, each on a connection of its own: a synthetic track of 30 s as a
multipart form. Memory of the process (PSS) is taken every second. Then the load is taken away, and one client asks.

Holds, or the run ends with 1:
- every answer is 200, or 503 with Retry-After; no connection is broken, none waits over 120 s; both kinds occur
- every 200 is, byte by byte, the answer of the server at rest
- the last third of the memory is within 5 % of the second third, in the mean and at the peak
- 99 % of the accepted are answered within 1.5 times what the queue allows: (queue + workers) / capacity
- what is accepted is at least 0.7 of the capacity: refusing leaves time for answering (the generator has the same cores)
- within 5 s after the last arrival, or what a full queue takes where that is longer, one request takes no longer than 2 times what
  it took before

Prints a table in Markdown.
"""

import argparse
import asyncio
import collections
import json
import socket
import statistics
import sys
import threading
import time

import client
import inputs
from servers import CORES, Memory, tonearm

ROUTES = {"svm": "/predict", "vgg": "/vgg"}
PATIENCE = 120


class Storm:
    """Requests of one form, each on a connection of its own."""

    def __init__(self, port, route, body, right):
        self.address, self.body, self.right = ("127.0.0.1", port), body, right
        self.head = client.head(route, len(body), close=True)
        # What became of each request, and its seconds.
        self.found = []

    async def blow(self, rate, seconds, then):
        """`rate` requests a second begin, evenly, whatever became of those before; gives what `then` does after the last."""
        start, under_way, number = time.perf_counter(), set(), 0
        while (due := number / rate) < seconds:
            await asyncio.sleep(max(start + due - time.perf_counter(), 0))
            task = asyncio.ensure_future(self.one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        after, *_ = await asyncio.gather(asyncio.to_thread(then), *under_way)
        return after

    async def one(self):
        start = time.perf_counter()
        with socket.socket() as connection:
            connection.setblocking(False)
            try:
                kind = self.kind_of(await asyncio.wait_for(self.talk(connection), PATIENCE))
            except TimeoutError:
                kind = "no answer in time"
            except OSError as error:
                kind = f"broken: {type(error).__name__}"
        self.found.append((kind, time.perf_counter() - start))

    async def talk(self, connection):
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, self.address)

        async def send():
            await loop.sock_sendall(connection, self.head)
            await loop.sock_sendall(connection, self.body)

        # An early answer may come while the body is still on its way.
        sending = asyncio.ensure_future(send())
        content = b""
        try:
            while part := await loop.sock_recv(connection, 65536):
                content += part
        finally:
            sending.cancel()
            # An answer that came whole counts, even if the end of the body was not read.
            await asyncio.gather(sending, return_exceptions=True)
        return content

    def kind_of(self, content):
        head, _, body = content.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not status:
            return "closed without an answer"
        if len(body) != int(headers.get("content-length", -1)):
            return "cut off"
        status = status.split(" ")[1]
        if status == "200":
            return "200" if body == self.right else "200, another answer"
        if status == "503":
            return "503" if headers.get("retry-after", "").isdigit() else "503 without Retry-After"
        return status


def capacity(port, route, body, seconds):
    """Requests a second that clients get who wait for each answer."""
    counts, end = collections.Counter(), time.monotonic() + seconds

    def ask(index):
        connection = client.Connection(port)
        while time.monotonic() < end:
            status = connection.post(route, body)[0]
            if status != 200:
                raise RuntimeError(f"{status} below capacity")
            counts[index] += 1
        connection.close()

    start = time.monotonic()
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(2 * CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts.total() / (time.monotonic() - start)


def recover(port, route, body, before):
    """Seconds from the end of the load to the start of a request that takes no longer than twice what it took before; and what it
    took."""
    start = time.monotonic()
    while (since := time.monotonic() - start) < 30:
        connection = client.Connection(port)
        status, _, _, seconds = connection.post(route, body)
        connection.close()
        if status == 200 and seconds <= 2 * before:
            return since, seconds
        time.sleep(0.05)
    return float("inf"), seconds


def report(options, storm, memory, figures):
    """Prints what was found, and gives what does not hold."""
    kinds = collections.Counter(kind for kind, _ in storm.found)
    accepted = [seconds for kind, seconds in storm.found if kind == "200"]
    refused = [seconds for kind, seconds in storm.found if kind == "503"]
    duration, most = figures["seconds"], figures["capacity"]
    second, third = (
        [mib for at, mib in memory.samples if duration * n / 3 <= at < duration * (n + 1) / 3] for n in [1, 2]
    )
    bound = (options.queue + CORES) / most
    full_queue = (options.queue + CORES) * duration / max(len(accepted), 1)
    figures |= {
        "kinds": dict(kinds),
        "accepted_a_second": len(accepted) / duration,
        "accepted_p50": client.percentile(accepted, 50),
        "accepted_p99": client.percentile(accepted, 99),
        "refused_p99": client.percentile(refused, 99),
        "bound": bound,
        "mib_second_third": [statistics.fmean(second), max(second)],
        "mib_last_third": [statistics.fmean(third), max(third)],
        "mib_peak": memory.peak(),
        "mib": memory.samples,
    }
    (mean2, peak2), (mean3, peak3) = figures["mib_second_third"], figures["mib_last_third"]
    p99, recovery = figures["accepted_p99"], figures["recovered_after"]
    rows = [
        ("capacity (closed loop)", f"{most:.1f} a second"),
        (
            "offered (open loop)",
            f"{figures['rate']:.1f} a second for {duration / 60:g} min, {len(storm.found)} requests",
        ),
        *((f"answered with {kind}", str(count)) for kind, count in sorted(kinds.items())),
        ("accepted", f"{figures['accepted_a_second']:.1f} a second"),
        ("accepted: p50, p99", f"{figures['accepted_p50']:.3f} s, {p99:.3f} s"),
        (f"(queue {options.queue} + {CORES} workers) / capacity", f"{bound:.3f} s"),
        (f"(queue {options.queue} + {CORES} workers) / accepted a second", f"{full_queue:.3f} s"),
        ("refused: p99", f"{figures['refused_p99']:.3f} s"),
        ("memory at rest, peak", f"{figures['mib_rest']:.0f} MiB, {memory.peak():.0f} MiB"),
        ("memory, second third: mean, peak", f"{mean2:.1f} MiB, {peak2:.1f} MiB"),
        ("memory, last third: mean, peak", f"{mean3:.1f} MiB, {peak3:.1f} MiB"),
        ("one request before", f"{figures['alone_before']:.3f} s"),
        ("one request after", f"{figures['alone_after']:.3f} s, {recovery:.1f} s after the load"),
    ]
    print(f"| serve {options.role} | |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows))
    holds = {
        "nothing but 200 and 503 with Retry-After": set(kinds) == {"200", "503"},
        "memory is level": mean3 <= 1.05 * mean2 and peak3 <= 1.05 * peak2,
        "accepted requests wait no longer than the queue allows": p99 <= 1.5 * bound,
        "refusing leaves time for answering": figures["accepted_a_second"] >= 0.7 * most,
        "as fast as before soon after": recovery <= max(5, bound),
    }
    return [what for what, does in holds.items() if not does]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    inputs.add_options(parser)
    parser.add_argument("--role", choices=ROUTES, default="svm")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--overload", type=float, default=2)
    parser.add_argument("--capacity-seconds", type=float, default=15)
    parser.add_argument("--queue", type=int, default=64, help="requests that wait, for the server's --queue")
    options = parser.parse_args()
    made = inputs.Inputs(options)
    route, body = ROUTES[options.role], client.form_of(made.track())
    artifacts = made.svm() if options.role == "svm" else made.vgg19()
    with tonearm(options, options.role, artifacts, "--queue", options.queue) as server:
        figures = {"mib_rest": server.pss()}
        right, _ = client.ask_bytes(server.port, route, body)
        before = statistics.median(client.ask(server.port, route, body)[1] for _ in range(10))
        most = capacity(server.port, route, body, options.capacity_seconds)
        figures |= {"capacity": most, "rate": options.overload * most, "seconds": options.minutes * 60}
        print(f"capacity {most:.1f} a second, so {figures['rate']:.1f} arrive", file=sys.stderr, flush=True)
        storm = Storm(server.port, route, body, right)
        with Memory(server, every=1) as memory:
            then = lambda: recover(server.port, route, body, before)
            recovered, after = asyncio.run(storm.blow(figures["rate"], figures["seconds"], then))
        figures |= {"alone_before": before, "alone_after": after, "recovered_after": recovered}
    broken = report(options, storm, memory, figures)
    inputs.finish(options, figures, broken)


if __name__ == "__main__":
    main()
