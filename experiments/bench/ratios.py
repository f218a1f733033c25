"""Prints a Markdown table of two runs of the same steps, and how far the vectors of the whole set are apart.

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
print(f"\nMedians of {ours['rounds']} and {peer['rounds']} runs, one thread.")

if ours["vector"].keys() != peer["vector"].keys():
    sys.exit(f"the vectors differ in what they hold: {sorted(ours['vector'].keys() ^ peer['vector'].keys())}")
# A difference of 1e-3 absolute counts as much as one of 1e-3 relative: many dimensions cross 0.
apart = {name: abs(ours["vector"][name] - theirs) / max(abs(theirs), 1.0) for name, theirs in peer["vector"].items()}
worst = max(apart, key=apart.get)
print(
    f"The whole set: {len(apart)} dimensions, {ours['vectors']} vector; furthest apart {worst}, "
    f"{ours['vector'][worst]:.7g} for {peer['vector'][worst]:.7g}."
)
