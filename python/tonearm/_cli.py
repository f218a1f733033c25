"""The program `tonearm`: `serve` and `train`, in this process."""

from __future__ import annotations

import signal
import sys
from typing import Sequence

from . import _tonearm

USAGE = """\
Music-genre classification: a front for the programs serve and train.

Usage: tonearm <COMMAND> [OPTIONS]

Commands:
  classify  Classify files, without a server
  serve     Serve models and the page: tonearm serve [svm|vgg|all|web|health|completions|man]
  train     Train and evaluate models

Options:
  -h, --help     Print help; of a command with tonearm <COMMAND> --help
  -V, --version  Print version
"""

# What a command stands for: the program, and the words that its own command line begins with.
COMMANDS = {
    "classify": ("serve", ["tonearm", "classify"]),
    "serve": ("serve", ["tonearm serve"]),
    "train": ("train", ["tonearm train"]),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Does what a command line says, without the name of the program, and gives the exit code. For a process that does nothing after it:
    ctrl-c is handled by the programs from then on."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"tonearm {_tonearm.__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        print(f"tonearm: unknown command {arguments[0]!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    program, words = COMMANDS[arguments[0]]
    # As for a program of its own: Python would wait for the end to raise KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    again = [sys.executable, "-m", "tonearm", arguments[0]]
    return _tonearm.main(program, [*words, *arguments[1:]], again)
