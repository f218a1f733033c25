"""Tonearm's service beside the stack that it replaces, under load: one run on one machine.

    python experiments/serving/load.py [--bin DIR] [--programs PATTERN ...] [--rounds 3] [--seconds 30] [--json FILE]

Each program gets a synthetic track of 30 s (WAV, mono, 22,050 Hz, 16 bits) as a multipart form from wrk: 16 connections, 2
threads. Programs follow each other in rounds, every other round backwards; each starts anew, is asked by hand, warms up, is
loaded, and stops. wrk, in the same cores as the server, compares every answer of the load, byte by byte, with that of the
first; an answer that differs, a status other than 200 or a broken connection ends the run without a table. The first answer
itself must name the genre of the track (SVMs; and of four more tracks) or be probabilities that sum to 1 (networks: their
weights are random).

    serve svm, log-mel   the descriptors of the log-mel alone (1364 numbers)
    serve svm, all       every descriptor that `train` takes of audio (1527), separation and tempo among them
    flask, gtzan         librosa's columns of the public notebooks (58), separation and tempo among them, and an SVC
    flask, mfcc          mean and deviation of librosa's MFCC (40), and an SVC
    serve vgg            VGG19 on 256x344
    flask, 256x344       Keras's VGG19 on an image of the same size
    flask, 224x224       the same on the classic size

The response cache of Tonearm is off. Prints a table in Markdown: requests a second, latencies over all rounds (where a round
has few requests, it is made longer, so that there are `--least` in all), memory of the process tree (PSS) at rest before the
first request and its peak under load; and ratios. `--tune` tries configurations of gunicorn for the reference instead, and says
which is best; the table takes what CONFIGURATIONS says.
"""

import argparse
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import client
import inputs
from servers import CORES, Memory, reference, tonearm

HERE = Path(__file__).resolve().parent
CONNECTIONS, THREADS = 16, 2
GENRES = ["blues", "classical", "hiphop", "metal", "rock"]

# What `--tune` tries, under a name that says it; N is the number of cores. `preload` shares what was loaded before the fork.
PROCESSES = ["--workers", str(CORES)]
TRIED = {
    "N sync workers, preload": (PROCESSES + ["--preload"], 1),
    "N sync workers": (PROCESSES, 1),
    "N+1 sync workers, preload": (["--workers", str(CORES + 1), "--preload"], 1),
    "N workers of 2 threads, preload": (PROCESSES + ["--threads", "2", "--preload"], 1),
    "1 worker of N threads": (["--workers", "1", "--threads", str(CORES)], 1),
    "1 sync worker, N threads a convolution": (["--workers", "1"], CORES),
    "N sync workers, N threads a convolution": (PROCESSES, CORES),
}
# The best of them, by `--tune`.
CONFIGURATIONS = {
    "flask, gtzan": "N sync workers, preload",
    "flask, mfcc": "N sync workers, preload",
    "flask, 256x344": "1 worker of N threads",
    "flask, 224x224": "1 worker of N threads",
}


@dataclasses.dataclass
class Program:
    title: str
    route: str
    server: callable
    knows_genres: bool
    rounds: list = dataclasses.field(default_factory=list)


def programs(options, made):
    def ours(title, role, route, artifacts):
        server = lambda: tonearm(options, role, artifacts(), title=title)
        return Program(title, route, server, role == "svm")

    def theirs(title, configuration=None):
        def server():
            gunicorn, threads = TRIED[configuration or CONFIGURATIONS[title]]
            kind = title.removeprefix("flask, ")
            if "x" in kind:
                # TensorFlow's threads do not live through a fork: its app is loaded by each worker.
                gunicorn = [part for part in gunicorn if part != "--preload"]
                return reference("vgg:app", {"SIZE": kind, "TF_THREADS": str(threads)}, gunicorn, title)
            model = made.reference() / f"svm-{kind}.joblib"
            return reference("predict:app", {"FEATURES": kind, "MODEL": str(model)}, gunicorn, title)

        is_network = "x" in title
        label = f"{title}: {configuration}" if configuration else title
        return Program(label, "/vgg" if is_network else "/predict", server, not is_network)

    if options.tune:
        of_network = lambda configuration: "convolution" in configuration or "preload" not in configuration
        return [
            theirs(title, configuration)
            for title in CONFIGURATIONS
            for configuration in TRIED
            if (of_network(configuration) if "x" in title else "convolution" not in configuration)
        ]
    return [
        ours("serve svm, log-mel", "svm", "/predict", made.log_mel_svm),
        ours("serve svm, all", "svm", "/predict", made.svm),
        theirs("flask, gtzan"),
        theirs("flask, mfcc"),
        ours("serve vgg", "vgg", "/vgg", made.vgg19),
        theirs("flask, 256x344"),
        theirs("flask, 224x224"),
    ]


def check(program, server, made):
    """The right response for the track, in bytes, and seconds that one takes. Ends the run where it is not right."""
    genres = GENRES if program.knows_genres else ["rock"]
    seconds = []
    for genre in genres:
        answer, took = client.ask(server.port, program.route, client.form_of(made.track(genre)))
        seconds.append(took)
        probabilities = answer["probabilities"]
        if abs(sum(probabilities.values()) - 1) > 1e-4 or len(probabilities) != 10:
            sys.exit(f"{program.title}: these are not probabilities of ten genres: {probabilities}")
        if program.knows_genres and answer["predicted_genre"] != genre:
            sys.exit(f"{program.title} predicts {answer['predicted_genre']} for a track of {genre}")
    connection = client.Connection(server.port)
    answers = set()
    for _ in range(3):
        status, _, content, took = connection.post(program.route, client.form_of(made.track()))
        seconds.append(took)
        answers.add((status, content))
    connection.close()
    if len(answers) != 1:
        sys.exit(f"{program.title} gives several responses for one track: {answers}")
    return content, statistics.median(seconds)


def load(program, made, options, folder):
    """One round: started, checked, warmed up, loaded."""
    form, answer, result = folder / "form", folder / "answer", folder / "result.json"
    form.write_bytes(client.form_of(made.track()))
    with program.server() as server:
        rest = server.pss()
        content, latency = check(program, server, made)
        answer.write_bytes(content)
        # With a request on each core.
        seconds = max(options.seconds, round(options.least / options.rounds * latency / CORES))
        wrk(server.port, program.route, options.warm, form, answer, result)
        # What wrk left behind is worked off before this is answered.
        client.ask(server.port, program.route, form.read_bytes())
        with Memory(server) as memory:
            figures = wrk(server.port, program.route, seconds, form, answer, result)
    if not figures["requests"]:
        sys.exit(f"{program.title} answered nothing in {seconds} s; give it more --seconds")
    wrongs = {name: figures[name] for name in ["wrong", "not_200", "socket_errors"] if figures[name]}
    if wrongs:
        sys.exit(f"{program.title} under load: {wrongs} of {figures['requests']}")
    rate = figures["requests"] / figures["microseconds"] * 1e6
    figures |= {"rate": rate, "rest_mib": rest, "peak_mib": memory.peak(), "alone_seconds": latency}
    print(f"{program.title}: {rate:.2f} a second, {memory.peak():.0f} MiB, {seconds} s", file=sys.stderr, flush=True)
    return figures


def wrk(port, route, seconds, form, answer, result):
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "600s", "-s", HERE / "load.lua"]
    command += [f"http://127.0.0.1:{port}{route}", "--", form, client.BOUNDARY, answer, result]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def summary(program):
    """Over all rounds: rates by their median, latencies together."""
    rounds = program.rounds
    latencies = {}
    for figures in rounds:
        for value, count in figures["latencies"]:
            latencies[value] = latencies.get(value, 0) + count
    total = sum(latencies.values())

    def percentile(p):
        seen = 0
        for value in sorted(latencies):
            seen += latencies[value]
            if seen >= total * p / 100:
                return value / 1e6
        return float("nan")

    return {
        "program": program.title,
        "requests": sum(figures["requests"] for figures in rounds),
        "rate": statistics.median(figures["rate"] for figures in rounds),
        "rates": [figures["rate"] for figures in rounds],
        "p50_seconds": percentile(50),
        "p99_seconds": percentile(99),
        "most_seconds": percentile(100),
        "rest_mib": statistics.median(figures["rest_mib"] for figures in rounds),
        "peak_mib": max(figures["peak_mib"] for figures in rounds),
        "alone_seconds": statistics.median(figures["alone_seconds"] for figures in rounds),
    }


def print_tables(found, least):
    print("| program | requests | a second | each round | p50 | p99 | memory at rest | peak |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for f in found:
        rates = ", ".join(f"{rate:.2f}" for rate in f["rates"])
        # A hundredth of fewer requests is hardly one of them.
        p99 = f"{f['p99_seconds']:.3f} s" if f["requests"] >= least else f"(most) {f['most_seconds']:.3f} s"
        print(
            f"| {f['program']} | {f['requests']} | {f['rate']:.2f} | {rates} | {f['p50_seconds']:.3f} s | {p99} "
            f"| {f['rest_mib']:.0f} MiB | {f['peak_mib']:.0f} MiB |"
        )
    pairs = [
        (ours, theirs)
        for ours in found
        for theirs in found
        if ours["program"].startswith("serve")
        and theirs["program"].startswith("flask")
        and ("vgg" in ours["program"]) == ("x" in theirs["program"])
    ]
    if pairs:
        print("\n| ratio | requests a second | p50 | p99 | peak memory |\n|---|---:|---:|---:|---:|")
    for ours, theirs in pairs:
        print(
            f"| {ours['program']} to {theirs['program']} | {ours['rate'] / theirs['rate']:.2f} "
            + "".join(f"| {ours[name] / theirs[name]:.3f} " for name in ["p50_seconds", "p99_seconds", "peak_mib"])
            + "|"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    inputs.add_options(parser)
    parser.add_argument("--programs", nargs="+", default=[""], help="programs whose title one of these is in")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=30, help="of load in each round, at least")
    parser.add_argument("--warm", type=int, default=3, help="seconds of load before")
    parser.add_argument("--least", type=int, default=200, help="requests of all rounds together, at least")
    parser.add_argument("--tune", action="store_true", help="try configurations of the reference")
    options = parser.parse_args()
    if options.tune:
        options.least = 0
    made = inputs.Inputs(options)
    chosen = [p for p in programs(options, made) if any(re.search(part, p.title) for part in options.programs)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for program in chosen[:: -1 if number % 2 else 1]:
                program.rounds.append(load(program, made, options, Path(folder)))
    found = [summary(program) for program in chosen]
    print_tables(found, options.least)
    print(
        f"\n{options.rounds} rounds; wrk, {CONNECTIONS} connections, {THREADS} threads, on the same {CORES} cores; every answer 200 and the same."
    )
    inputs.finish(options, {"programs": found}, [])


if __name__ == "__main__":
    main()
