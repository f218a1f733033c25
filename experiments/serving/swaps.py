"""A thousand swaps of the artifact under load: one run on one machine.

    python experiments/serving/swaps.py [--bin DIR] [--swaps 1000] [--clients 8] [--json FILE]

Three versions of the SVM lie in a folder. First each is served alone, and its responses to four tracks are kept. Then `serve svm
--reload-every 0.02` follows CURRENT, which is switched (written beside and renamed) as soon as the switch before is in use,
while clients ask without a pause. Every tenth switch is to something that cannot be served: a version whose weights are cut
off, one whose manifest is, a version that does not exist, garbage, nothing, and no file at all; it must change nothing. All of
it twice: without the response cache and with it.

Holds, or the run ends with 1:
- every answer is 200 and, byte by byte, that of one version alone for the track
- no answer is of a version that was replaced before its request began, nor of one that was never in use in its time
- every switch is in use within `--limit` seconds, as `/v1/models/svm` and `tonearm_model_loads_total` say
- what cannot be served leaves `/readyz` at 200 and the version in use as it was

Prints a table in Markdown.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import client
import inputs
from servers import tonearm

ROUTE = "/predict"
RELOAD_EVERY = 0.02
# Looks at CURRENT that what cannot be served stays for.
LOOKS = 5
# How often a switch is to what cannot be served.
BROKEN_EVERY = 10


class Folder:
    """A copy of the versions, with CURRENT to switch and versions that are broken."""

    def __init__(self, root, versions):
        self.model = root / "svm"
        shutil.copytree(versions / "svm", self.model)
        self.versions = sorted(path.name for path in self.model.iterdir() if path.is_dir())
        for name, file in [("0000000000aa", "weights.safetensors"), ("0000000000bb", "artifact.json")]:
            shutil.copytree(self.model / self.versions[0], self.model / name)
            part = self.model / name / file
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
        self.broken = {
            "weights cut off": b"0000000000aa\n",
            "manifest cut off": b"0000000000bb\n",
            "no such version": b"0123456789ab\n",
            "garbage": bytes(random.Random(0).randbytes(200)),
            "a path": b"../../../etc\n",
            "empty": b"",
            "no file": None,
        }

    def switch(self, content):
        current = self.model / "CURRENT"
        if content is None:
            current.unlink()
            return
        draft = self.model / ".CURRENT.draft"
        draft.write_bytes(content)
        os.replace(draft, current)

    def use(self, version):
        self.switch(f"{version}\n".encode())


class Clients(client.Clients):
    """They keep what was answered."""

    def __init__(self, port, forms, count):
        super().__init__(port, count)
        # (track, status, answer, when it was asked, when it was answered)
        self.forms, self.found = forms, []

    def ask(self, connection, chance):
        track, asked = chance.randrange(len(self.forms)), time.monotonic()
        status, _, content, _ = connection.post(ROUTE, self.forms[track])
        self.found.append((track, status, content, asked, time.monotonic()))


def in_use(server):
    status, content = server.get("/v1/models/svm")
    if status != 200:
        raise RuntimeError(f"/v1/models/svm answered {status}: {content[:200]!r}")
    return json.loads(content)["version"]


def loads(server, status):
    text = server.get("/metrics")[1].decode()
    found = re.search(rf'^tonearm_model_loads_total\{{model="svm",outcome="{status}"\}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def right_answers(options, folder, forms):
    """Version -> the answer to each track, of a server of that version alone."""
    answers = {}
    for version in folder.versions:
        with tonearm(options, "svm", folder.model / version, title=version) as server:
            answers[version] = [client.ask_bytes(server.port, ROUTE, form)[0] for form in forms]
            if {json.loads(answer)["model"]["version"] for answer in answers[version]} != {version}:
                sys.exit(f"a server of {version} alone names another version")
    for track in range(len(forms)):
        if len({answers[version][track] for version in folder.versions}) < len(folder.versions):
            sys.exit("two versions give the same answer, so that a mix of them would go unseen")
    return answers


def swap(options, server, folder):
    """Switches again and again. Gives `(version, from, to)`: between which times it may answer; and what went wrong."""
    spans, wrongs, slowest = [], [], 0.0
    chance, version, began = random.Random(0), in_use(server), float("-inf")
    broken = list(folder.broken.items())
    for number in range(options.swaps):
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            what, content = broken[number // BROKEN_EVERY % len(broken)]
            folder.switch(content)
            time.sleep(LOOKS * RELOAD_EVERY)
            if server.status("/readyz") != 200 or in_use(server) != version:
                wrongs.append(f"CURRENT with {what} changed what is served")
        following = chance.choice([other for other in folder.versions if other != version])
        switched = time.monotonic()
        folder.use(following)
        while in_use(server) != following:
            if time.monotonic() - switched > options.limit:
                sys.exit(f"switch {number} to {following} was not in use after {options.limit} s: {server.said()}")
            time.sleep(0.002)
        seen = time.monotonic()
        slowest = max(slowest, seen - switched)
        # It may answer from the moment of the switch until its successor is seen.
        spans.append((version, began, seen))
        version, began = following, switched
    spans.append((version, began, float("inf")))
    return spans, wrongs, slowest


def evaluate(found, answers, spans):
    """What is wrong with the answers, by kind."""
    wrongs, of = collections.Counter(), collections.Counter()
    times = collections.defaultdict(list)
    for version, start, end in spans:
        times[version].append((start, end))
    for track, status, content, asked, answered in found:
        if status != 200:
            wrongs[f"status {status}"] += 1
            continue
        version = next((version for version, right in answers.items() if right[track] == content), None)
        if version is None:
            wrongs["an answer of no version"] += 1
        elif not any(start < answered and asked < end for start, end in times[version]):
            wrongs["an answer of a version out of its time"] += 1
        else:
            of[version] += 1
    return wrongs, of


def run(options, folder, forms, answers, cache_bytes):
    extra = ["--reload-every", RELOAD_EVERY]
    folder.use(folder.versions[0])
    with tonearm(options, "svm", folder.model.parent, *extra, cache_bytes=cache_bytes) as server:
        rest, before = server.pss(), loads(server, "loaded")
        start = time.monotonic()
        with Clients(server.port, forms, options.clients) as clients:
            spans, wrongs, slowest = swap(options, server, folder)
        seconds = time.monotonic() - start
        loaded, refused = loads(server, "loaded") - before, loads(server, "refused")
        after = server.pss()
    bad, of = evaluate(clients.found, answers, spans)
    wrongs += [f"{count} times {what}" for what, count in bad.items()] + clients.failures[:5]
    if loaded != options.swaps:
        wrongs.append(f"{options.swaps} switches, but {loaded} loads")
    return {
        "cache_bytes": cache_bytes,
        "swaps": options.swaps,
        "loaded": loaded,
        "refused": refused,
        "slowest_swap": slowest,
        "seconds": seconds,
        "answers": len(clients.found),
        "answers_of": dict(of),
        "mib": [rest, after],
        "wrongs": wrongs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    inputs.add_options(parser)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--limit", type=float, default=10, help="seconds that a switch may take")
    options = parser.parse_args()
    made = inputs.Inputs(options)
    # Short tracks, so that a swap meets many requests.
    tracks = sorted(made.short_dataset().glob("*/*.00001.wav"))[:4]
    forms = [client.form_of(track) for track in tracks]
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(Path(root), made.svm_versions())
        answers = right_answers(options, folder, forms)
        found = [run(options, folder, forms, answers, cache) for cache in [0, 32 << 20]]
    print("| | cache off | cache on |\n|---|---:|---:|")
    rows = {
        "switches of CURRENT": lambda f: f["swaps"],
        "artifacts loaded": lambda f: f["loaded"],
        "tries to load one that is broken": lambda f: f["refused"],
        "slowest, from the switch until it is in use": lambda f: f"{f['slowest_swap']:.3f} s",
        "switches a second": lambda f: f"{f['swaps'] / f['seconds']:.1f}",
        "answers": lambda f: f["answers"],
        "of each version": lambda f: ", ".join(str(count) for count in f["answers_of"].values()),
        "wrong, mixed, late or failed": lambda f: len(f["wrongs"]),
        "memory before, after": lambda f: "{:.0f} MiB, {:.0f} MiB".format(*f["mib"]),
    }
    for name, value in rows.items():
        print(f"| {name} | " + " | ".join(str(value(f)) for f in found) + " |")
    inputs.finish(options, found, [wrong for f in found for wrong in f["wrongs"]])


if __name__ == "__main__":
    main()
