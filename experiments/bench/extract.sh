#!/bin/sh
# Times `train extract` with one thread and with two in turns, and shows that its memory does not grow with the dataset.
#
#   experiments/bench/extract.sh AUDIO_FOLDER [ROUNDS]
#
# AUDIO_FOLDER has one subfolder per label. PYTHON names an interpreter; only its standard library is used.
set -eu
folder=$(realpath "$1")
cd "$(dirname "$0")/../.."
cargo build -q --release --workspace --bin train
"${PYTHON:-python3}" experiments/bench/extract.py "${CARGO_TARGET_DIR:-target}/release/train" "$folder" "${2:-5}"
