#!/bin/sh
# Times the front end beside librosa, in one run, one thread each, and prints a table of ratios.
#
#   experiments/bench/features.sh [FILE.wav] [ROUNDS]
#
# FILE.wav is mono at 22050 Hz; without one, 30 s of tones and bursts are made. PYTHON names an interpreter with librosa 0.11.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
ROUNDS=${2:-21}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ $# -ge 1 ]; then
    wav=$(realpath "$1")
else
    wav=$scratch/tones.wav
    "$PYTHON" experiments/bench/tones.py "$wav"
fi
cargo bench -q -p features --bench front_end -- "$wav" "$ROUNDS" | tail -n 1 >"$scratch/ours.json"
"$PYTHON" experiments/bench/features_peer.py "$wav" "$ROUNDS" >"$scratch/librosa.json"
"$PYTHON" experiments/bench/ratios.py "$scratch/ours.json" "$scratch/librosa.json"
