#!/bin/sh
# Times `train extract` with one thread and with two in turns, and shows that its memory does not grow with the corpus.
#
#   experiments/bench/extract.sh AUDIO_TREE [ROUNDS]
#
# AUDIO_TREE is a folder of genre folders. PYTHON names an interpreter; only its standard library is used.
set -eu
tree=$(realpath "$1")
cd "$(dirname "$0")/../.."
cargo build -q --release --workspace --bin train
"${PYTHON:-python3}" experiments/bench/extract.py "${CARGO_TARGET_DIR:-target}/release/train" "$tree" "${2:-5}"
