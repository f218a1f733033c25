"""Prints a Markdown table of two runs of the same steps.

    python experiments/bench/ratios.py OURS.json PEER.json
"""

import json
import sys
from pathlib import Path

ours, peer = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
print(f"| step | Tonearm ({ours['level']}), ms | {peer['level']}, ms | times faster | fastest runs |")
print("|---|---:|---:|---:|---:|")
for step, theirs in peer["median_ms"].items():
    median, fastest = ours["median_ms"][step], ours["fastest_ms"][step]
    print(
        f"| {step} | {median:.2f} | {theirs:.2f} | {theirs / median:.1f} | {peer['fastest_ms'][step] / fastest:.1f} |"
    )
print(f"\nMedians of {ours['rounds']} runs (of 5 for librosa's hpss), one thread.")
