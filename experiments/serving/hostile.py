"""Hostile clients beside well-behaved ones: one run on one machine.

    python experiments/serving/hostile.py [--bin DIR] [--seconds 10] [--attacks NAME ...] [--json FILE]

Two well-behaved clients post a track of 5 s again and again to `serve svm`, first alone and then beside each attack, which runs
in a process of its own on the same cores: an attack that sends much costs them time by that alone. Attacks keep at it: what is
closed is opened again. The server has `--read-timeout 5`, so that it is seen to close on who is silent or slow.

Holds, or the run ends with 1:
- every well-behaved request is answered with 200 and the right bytes, beside every attack, in less than `--patience` seconds
- every answer to an attack is one that it may get, as ATTACKS says (silence and a closed connection are fine for what is no
  HTTP); what is hostile in form alone (tricks in file names, a track in 100,000 chunks) is answered as any track
- the server's folder is as empty afterwards as before, and the server is the process that it was

Prints a table in Markdown.
"""

import argparse
import asyncio
import collections
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time

import client
import inputs
from servers import Memory, tonearm

ROUTE = "/predict"
PATIENCE = 60


class Attack:
    """What attackers share: an address, a track, and the count of what they were answered."""

    def __init__(self, port, track, seconds):
        self.port, self.track, self.form = port, track, client.form(track)
        self.end = time.monotonic() + seconds
        self.answers, self.open = collections.Counter(), 0

    def goes_on(self):
        return time.monotonic() < self.end

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, *parts):
        """Sends parts, each `bytes` or an async iterator of them, and gives the status of the answer."""
        reader, writer = await self.connect()
        answer = asyncio.ensure_future(read_status(reader))

        async def send():
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                    continue
                async for piece in part:
                    writer.write(piece)
                    await writer.drain()

        sending = asyncio.ensure_future(send())
        try:
            return await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            return "no answer"
        except OSError:
            return "closed"
        finally:
            sending.cancel()
            await asyncio.gather(sending, answer, return_exceptions=True)
            writer.transport.abort()

    async def again_and_again(self, exchange, pause=0.0):
        """Has one attacker do the same until the time is over."""
        while self.goes_on():
            try:
                self.answers[str(await exchange())] += 1
            except OSError:
                self.answers["closed"] += 1
            await asyncio.sleep(pause)

    async def at_once(self, count, attacker, pause=0.0):
        await asyncio.gather(*(self.again_and_again(attacker, pause) for _ in range(count)))

    async def hold(self, first, drip):
        """Opens a connection, sends `first`, then a piece of `drip` a second, until the time is over or it is closed."""
        reader, writer = await self.connect()
        answer = asyncio.ensure_future(read_status(reader))
        try:
            writer.write(first)
            while self.goes_on() and not answer.done():
                await asyncio.wait([answer], timeout=1)
                writer.write(drip)
            # Open to the end: nothing was answered, as nothing was asked in full.
            return await answer if answer.done() else "held to the end"
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            writer.transport.abort()


async def read_status(reader):
    try:
        line = await reader.readline()
        if not line:
            return "closed"
        words = line.split()
        await reader.read()
        return words[1].decode() if len(words) > 1 and line.startswith(b"HTTP/1.1 ") else "no HTTP"
    except OSError:
        return "closed"


def head_of(length=None, content_type=client.FORM["Content-Type"], extra=()):
    coding = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [
        f"POST {ROUTE} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        coding,
        "Connection: close",
        *extra,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def slow_heads(attack):
    """300 connections that send their head a byte a second."""
    await attack.at_once(300, lambda: attack.hold(b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a"))


async def slow_bodies(attack):
    """300 connections that announce a track and send a byte of it a second."""
    await attack.at_once(300, lambda: attack.hold(head_of(len(attack.form)), b"a"))


async def idle_connections(attack):
    """1000 connections that send nothing."""
    await attack.at_once(1000, lambda: attack.hold(b"", b""))


async def endless_chunks(attack):
    """4 bodies of chunks that never end, 20 MB a second each."""

    async def chunks():
        while attack.goes_on():
            yield chunk(bytes(1 << 16))
            await asyncio.sleep((1 << 16) / 20e6)

    async def one():
        answer = await attack.exchange(head_of(), chunks())
        return answer if attack.goes_on() else f"{answer}, stopped"

    await attack.at_once(4, one)


async def tiny_chunks(attack):
    """A track in 100,000 chunks."""
    size = -(-len(attack.form) // 100_000)
    body = b"".join(chunk(attack.form[at : at + size]) for at in range(0, len(attack.form), size)) + b"0\r\n\r\n"
    await attack.at_once(2, lambda: attack.exchange(head_of(), body), pause=0.2)


async def file_names(attack):
    """File names that are paths, commands, markup, overlong, or break the head of their part."""
    paths = ["../../../../etc/passwd", "..\\..\\boot.ini", "/dev/null", "..", "%2e%2e%2fhacked", "CON", ""]
    texts = ["a\0b.wav", "$(touch hacked)", "; touch hacked", "<script>", "\u202egpj.wav", "x" * 8000, '"; name="other']
    names = paths + texts
    turn = iter(range(1 << 30))

    def one():
        form = client.form(attack.track, names[next(turn) % len(names)])
        return attack.exchange(head_of(len(form)), form)

    await attack.at_once(2, one, pause=0.05)


async def too_large(attack):
    """Bodies of over 64 MiB, announced and not; and forms of 10,000 parts, and of a part whose head is 1 MiB."""

    async def unannounced():
        yield chunk(client.form(b"")[:-50])
        for _ in range(70):
            yield chunk(bytes(1 << 20))

    line = f"--{client.BOUNDARY}\r\n".encode()
    parts = (line + b'Content-Disposition: form-data; name="x"\r\n\r\n\r\n') * 10_000 + client.form(attack.track)
    long_head = line + b"X-Long: " + b"a" * (1 << 20) + b"\r\n\r\n"
    requests = [
        lambda: attack.exchange(head_of(65 << 20), bytes(1 << 16)),
        lambda: attack.exchange(head_of(), unannounced()),
        lambda: attack.exchange(head_of(len(parts)), parts),
        lambda: attack.exchange(head_of(len(long_head)), long_head),
    ]
    await asyncio.gather(*(attack.again_and_again(one, 0.2) for one in requests))


async def long_heads(attack):
    """Heads of 10,000 lines, of a line of 1 MB, and of a path of 1 MB."""
    many = head_of(0, extra=[f"X-{index}: a" for index in range(10_000)])
    long = head_of(0, extra=["X-Long: " + "a" * 1_000_000])
    path = b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    await asyncio.gather(
        *(attack.again_and_again(lambda part=part: attack.exchange(part), 0.02) for part in [many, long, path])
    )


async def garbage(attack):
    """What is no HTTP/1.1: noise, TLS, HTTP/2, two lengths, a length that is none, a chunk of no size."""
    noise = [
        os.urandom(4096),
        bytes.fromhex("16030100c8010000c40303") + os.urandom(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
        b"GET / HTTP/0.9\r\n\r\n",
        b"\r\n" * 5000,
        head_of(10, extra=["Content-Length: 20"]) + b"a" * 20,
        head_of("-1"),
        head_of("99999999999999999999999"),
        head_of() + b"zz\r\n",
        head_of() + b"ffffffffffffffffff\r\n",
        head_of(10, extra=["Transfer-Encoding: chunked"]) + b"0\r\n\r\n",
    ]
    await asyncio.gather(*(attack.again_and_again(lambda part=part: attack.exchange(part), 0.05) for part in noise))


async def gone(attack):
    """50 clients who send a track and leave without waiting for the answer."""

    async def one():
        _, writer = await attack.connect()
        writer.write(head_of(len(attack.form)) + attack.form)
        try:
            await writer.drain()
        finally:
            writer.transport.abort()
        return "left"

    await attack.at_once(50, one, pause=0.5)


NO_HTTP = {"400", "closed", "no HTTP"}
# Attack -> answers that it may get.
ATTACKS = {
    slow_heads: {"held to the end", "closed", "408"},
    slow_bodies: {"held to the end", "closed", "408", "503"},
    idle_connections: {"held to the end", "closed"},
    endless_chunks: {
        "413",
        "closed",
        "503",
        "closed, stopped",
        "413, stopped",
        "400, stopped",
        "no answer, stopped",
        "408, stopped",
    },
    tiny_chunks: {"200"},
    file_names: {"200", "400"},
    too_large: {"413", "400", "503", "closed"},
    long_heads: {"431", "400", "414", "closed"},
    garbage: NO_HTTP | {"408", "413", "505"},
    gone: {"left", "closed"},
}


def attack_in_process(name, port, track, seconds, answers):
    attack = Attack(port, track, seconds)
    attacker = next(attacker for attacker in ATTACKS if attacker.__name__ == name)
    try:
        # An attacker whose patience is longer than the attack is let go.
        asyncio.run(asyncio.wait_for(attacker(attack), seconds + 15))
    except TimeoutError:
        pass
    answers.put(dict(attack.answers))


class Clients(client.Clients):
    """Well-behaved ones: their seconds, and what else they got."""

    def __init__(self, port, form, right, count=2):
        super().__init__(port, count)
        self.form, self.right, self.seconds = form, right, []

    def ask(self, connection, _):
        status, _, content, seconds = connection.post(ROUTE, self.form)
        self.seconds.append(seconds)
        if (status, content) != (200, self.right):
            self.failures.append(f"{status}: {content[:100]!r}")


def measure(server, form, right, track, name, seconds):
    """One row: the clients beside the attack `name`, or alone."""
    answers, process = multiprocessing.Queue(), None
    with Memory(server) as memory, Clients(server.port, form, right) as clients:
        if name:
            process = multiprocessing.Process(
                target=attack_in_process, args=(name, server.port, track, seconds, answers)
            )
            process.start()
        time.sleep(seconds)
    got = answers.get(timeout=60) if process else {}
    if process:
        process.join()
    return {
        "attack": name or "none",
        "requests": len(clients.seconds),
        "rate": len(clients.seconds) / seconds,
        "failures": clients.failures,
        "p50": client.percentile(clients.seconds, 50),
        "p99": client.percentile(clients.seconds, 99),
        "most": max(clients.seconds, default=float("inf")),
        "peak_mib": memory.peak(),
        "answers": got,
    }


def main():
    names = [attacker.__name__ for attacker in ATTACKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    inputs.add_options(parser)
    parser.add_argument("--seconds", type=float, default=10, help="of each attack")
    parser.add_argument("--attacks", nargs="+", choices=names, default=names)
    parser.add_argument("--patience", type=float, default=5, help="seconds that a well-behaved request may take")
    options = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    made = inputs.Inputs(options)
    track = (made.short_dataset() / "rock/rock.synth.00001.wav").read_bytes()
    form, rows, wrongs = client.form(track), [], []
    with tempfile.TemporaryDirectory() as folder:
        artifacts = made.log_mel_svm()
        with tonearm(options, "svm", artifacts, "--read-timeout", 5, folder=folder) as server:
            right, _ = client.ask_bytes(server.port, ROUTE, form)
            for name in [None, *options.attacks, None]:
                row = measure(server, form, right, track, name, options.seconds)
                print(f"{row['attack']}: {row['rate']:.1f} a second, {row['answers']}", file=sys.stderr, flush=True)
                rows.append(row)
                wrongs += [f"beside {row['attack']}: {failure}" for failure in row["failures"][:3]]
                if row["most"] > options.patience:
                    wrongs.append(f"beside {row['attack']} a request took {row['most']:.1f} s")
                allowed = next((allowed for attacker, allowed in ATTACKS.items() if attacker.__name__ == name), set())
                if odd := row["answers"].keys() - allowed:
                    wrongs.append(f"{name} was answered {sorted(odd)}")
            if server.process.poll() is not None:
                wrongs.append("the server ended")
        if os.listdir(folder):
            wrongs.append(f"files came into the server's folder: {os.listdir(folder)}")
    print("| beside | well-behaved requests a second | failed | p50 | p99 | most | peak memory | what the attack got |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for row in rows:
        got = ", ".join(f"{count} × {answer}" for answer, count in sorted(row["answers"].items()))
        print(
            f"| {row['attack'].replace('_', ' ')} | {row['rate']:.1f} | {len(row['failures'])} | {row['p50']:.3f} s | {row['p99']:.3f} s "
            f"| {row['most']:.3f} s | {row['peak_mib']:.0f} MiB | {got} |"
        )
    inputs.finish(options, rows, wrongs)


if __name__ == "__main__":
    main()
