#!/bin/sh
# Compares the SVM and the VGG19 of the repository as ONNX files, in ONNX Runtime and tract, with what `train evaluate` predicts of the 197 `valid`
# clips of GTZAN's log-mel store. Needs Python 3.11 or later and PyPI. tract needs some seconds for a clip of the VGG19: TRACT=N gives it N clips.
set -eu

cd "$(dirname "$0")/../.."
store=${1:-../shared/gtzan/logmel}
python=$(tests/python onnx)/bin/python
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
train() {
    cargo run --quiet --release -p train -- "$@"
}

for model in svm vgg19; do
    train export "artifacts/$model" --onnx "$out/$model.onnx"
    train evaluate --artifact "artifacts/$model" --data "$store" --split fault-filtered:valid --scores "$out/$model.csv" >"$out/$model.json"
    "$python" tests/onnx/compare.py "$out/$model.onnx" "$store" "$out/$model.csv" ${TRACT:+--tract "$TRACT"}
done
