"""Compares an ONNX file of `train export` with the model that it was made of, in ONNX Runtime and in tract: the same label, and probabilities
within 1e-5.

    compare.py MODEL.onnx INPUTS.npy PROBABILITIES.npy      # segments, and what the model predicts of each
    compare.py MODEL.onnx STORE SCORES.csv                  # a feature store, and what `train evaluate --scores` wrote of its clips

Of a store, every clip of the scores must be one segment of the size that the file takes. --tract N gives tract the first N segments alone, since
it computes in one thread.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime
import tract

LIMIT = 1e-5


def safetensors(path):
    """The tensors of a safetensors file, by name."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "U8": "u1", "U32": "<u4"}

    def tensor(entry):
        start, end = entry["data_offsets"]
        return np.frombuffer(data[8 + size + start : 8 + size + end], types[entry["dtype"]]).reshape(entry["shape"])

    return {name: tensor(entry) for name, entry in header.items()}


def of_store(store, scores, labels, spec, frames):
    """Log-mels in dB and expected probabilities of the clips of a table of scores."""
    tensors = safetensors(store / "logmel.safetensors")
    rows = {name: row for row, name in enumerate((store / "ids.txt").read_text(encoding="utf-8").splitlines())}
    with scores.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    chosen = [rows[line["clip_id"]] for line in table]
    if (lengths := tensors.get("n_frames")) is not None and (lengths[chosen] != frames).any():
        sys.exit(f"a clip of the scores has not {frames} frames; export with its number: --frames")
    if (levels := tensors.get("logmel_u8")) is not None:
        quantisation = spec["quantisation"]
        db = quantisation["floor_db"] + quantisation["step_db"] * levels[chosen].astype(np.float64)
    else:
        db = tensors["logmel_f32"][chosen]
    expected = [[float(line[label]) for label in labels] for line in table]
    return db[:, :, :frames].astype(np.float32), np.array(expected)


def compare(name, found, expected, seconds):
    """Says how far an engine is from the model, and whether that is near enough."""
    difference = np.abs(found - expected).max()
    other = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    print(f"{name:<12} {len(found)} segments, {other} with another label, largest difference {difference:.1e}, {seconds:.2f} s a segment", flush=True)
    return other == 0 and difference <= LIMIT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("inputs", type=pathlib.Path)
    parser.add_argument("expected", type=pathlib.Path)
    parser.add_argument("--tract", type=int, metavar="N")
    arguments = parser.parse_args()

    onnx.checker.check_model(str(arguments.model), full_check=True)
    session = onnxruntime.InferenceSession(str(arguments.model), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    labels, spec = json.loads(metadata["labels"]), json.loads(metadata["feature_spec"])
    assert hashlib.sha256(metadata["feature_spec"].encode()).hexdigest() == metadata["fingerprint"], "the fingerprint is that of the specification"
    assert len(metadata["version"]) == 12 and metadata["model"] in ("svm", "vgg19"), metadata
    (given,) = session.get_inputs()
    assert given.name == metadata["input"], f"{given.name} is not {metadata['input']}"
    if metadata["input"] == "descriptors":
        assert len(json.loads(metadata["descriptors"])) == given.shape[1]

    if arguments.inputs.is_dir():
        inputs, expected = of_store(arguments.inputs, arguments.expected, labels, spec, given.shape[2])
    else:
        inputs, expected = np.load(arguments.inputs), np.load(arguments.expected)
    assert len(inputs) == len(expected) > 0, "nothing is compared"
    assert expected.shape[1] == len(labels), f"{len(labels)} labels, {expected.shape[1]} probabilities"
    print(f"{metadata['model']} {metadata['version']}, {given.name} {given.shape}", flush=True)

    # Of several segments, in batches of several sizes.
    start, parts, at = time.monotonic(), [], 0
    while at < len(inputs):
        size = 1 + len(parts) % 4
        parts += session.run(["probabilities"], {given.name: inputs[at : at + size]})
        at += size
    found = np.concatenate(parts)
    good = compare("ONNX Runtime", found, expected, (time.monotonic() - start) / len(found))
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5, "probabilities sum to 1"

    n = len(inputs) if arguments.tract is None else min(arguments.tract, len(inputs))
    if n > 0:
        model = tract.onnx().load(str(arguments.model)).into_model().into_runnable()
        start = time.monotonic()
        found = np.concatenate([model.run([inputs[at : at + 1]])[0].to_numpy() for at in range(n)])
        good &= compare("tract", found, expected[:n], (time.monotonic() - start) / n)
    if not good:
        sys.exit(f"{arguments.model} does not give what the model does: the same label, and probabilities within {LIMIT}")


if __name__ == "__main__":
    main()
