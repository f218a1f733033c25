#!/bin/sh
# Times the front end beside librosa, in one run, one thread each, and prints a table of ratios.
#
#   experiments/bench/features.sh [FILE] [ROUNDS]
#
# Of FILE, any format that soundfile reads at 22050 Hz, the first 30 s are used; without one, 30 s of tones and bursts are
# made. PYTHON names an interpreter with librosa 0.11.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
ROUNDS=${2:-21}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
wav=$scratch/clip.wav
"$PYTHON" experiments/bench/clip.py "$wav" ${1:+"$1"}
# Of the whole workspace, so that dependencies have the settings that they have everywhere else.
cargo bench -q --workspace --bench front_end -- "$wav" "$ROUNDS" | tail -n 1 >"$scratch/ours.json"
"$PYTHON" experiments/bench/features_peer.py "$wav" "$ROUNDS" >"$scratch/librosa.json"
"$PYTHON" experiments/bench/ratios.py "$scratch/ours.json" "$scratch/librosa.json"
