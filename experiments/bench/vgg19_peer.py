"""What VGG19 costs here, beside its peers: one run on one machine.

    pip install tensorflow-cpu onnxruntime onnx numpy
    python experiments/bench/vgg19_peer.py [--avx2] [--json FILE] [--repeats N] [--threads 1 2] [--programs NAME ...]
        [--devices flex ndarray] [--figures forward training]

The network is the sixteen convolutions with bias and ReLU and the five pools, in f32, with one set of random weights
and one input for all: where the output (in training, the first loss) of a program differs, the run stops.

    tonearm      train/examples/vgg19_cost.rs; a row for each of `--devices`
    keras        keras.applications.VGG19 in a tf.function: TensorFlow's CPU kernels with oneDNN
    onnxruntime  its CPU provider, all graph optimisations
    tract        the same ONNX file, optimised; with more than one thread by its feature `multithread-mm`
    candle       conv2d, relu, max_pool2d of candle-nn and candle-core, with AVX-512 in its matrix product

The last two are `vgg19_peers/`, built here for this very processor. Every figure is of a process of its own, one after
another, which warms up for two runs and a second at least. Prints tables in Markdown: medians in seconds an image, in
brackets how many times Keras's with as many threads, and the most memory that the process held (VmHWM). Training is a
forward, a backward and AdamW on every weight, the loss the mean square of the output; of ours and of Keras.

`--avx2` adds the forward figures with every program held to AVX2: ours by TONEARM_SIMD=v3, which holds our own kernels
and not Burn's; Keras by ONEDNN_MAX_CPU_ISA, once with oneDNN and once with Eigen's convolution (ratios are to the
faster of the two); tract by TRACT_CPU_ISA; candle by how it is built. ONNX Runtime has no such switch: it is left out.

Needs cargo; the peers are built in `${XDG_CACHE_HOME:-~/.cache}/tonearm/peers-target`, which takes a quarter of an hour
the first time, and as long again for AVX2. burn-ndarray takes minutes for a training step: it does a single one.
"""

import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(__file__).resolve().parent / "vgg19_peers"
PROGRAMS = ["keras", "tonearm", "onnxruntime", "tract", "candle"]
# Batch, channels, height, width.
SHAPES = {
    "forward": ["1x3x128x128", "1x3x224x224", "1x3x128x344", "8x3x128x128"],
    "training": ["4x3x128x128", "16x3x128x128"],
}
BLOCKS = [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4]
AVX2 = {
    "TONEARM_SIMD": "v3",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TRACT_CPU_ISA": "-avx512f,-avx512vnni,-avx512fp16",
}


def convolutions():
    """Index in torchvision's `features`, weight `[out, in, 3, 3]` (He et al. 2015) and bias of each convolution."""
    import numpy as np

    generator = np.random.default_rng(1)
    index, inputs = 0, 3
    for block in BLOCKS:
        for outputs in block:
            weight = generator.standard_normal((outputs, inputs, 3, 3), "float32")
            weight *= np.float32((2 / (9 * inputs)) ** 0.5)
            yield index, weight, generator.standard_normal(outputs, "float32") * np.float32(0.05)
            index, inputs = index + 2, outputs
        index += 1


def write_safetensors(path):
    header, data = {}, b""
    for index, weight, bias in convolutions():
        for kind, values in [("weight", weight), ("bias", bias)]:
            place = [len(data), len(data) + values.nbytes]
            header[f"features.{index}.{kind}"] = {"dtype": "F32", "shape": values.shape, "data_offsets": place}
            data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_onnx(path):
    import onnx
    from onnx import helper, numpy_helper

    nodes, tensors, last = [], [], "x"
    weights = convolutions()
    for number, block in enumerate(BLOCKS):
        for _ in block:
            index, weight, bias = next(weights)
            names = [f"features.{index}.weight", f"features.{index}.bias"]
            tensors += [numpy_helper.from_array(weight, names[0]), numpy_helper.from_array(bias, names[1])]
            sizes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
            nodes.append(helper.make_node("Conv", [last, *names], [f"conv{index}"], **sizes))
            nodes.append(helper.make_node("Relu", [f"conv{index}"], [f"relu{index}"]))
            last = f"relu{index}"
        nodes.append(helper.make_node("MaxPool", [last], [f"pool{number}"], kernel_shape=[2, 2], strides=[2, 2]))
        last = f"pool{number}"
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, "height", "width"])
    y = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, ["n", 512, "rows", "columns"])
    graph = helper.make_graph(nodes, "vgg19", [x], [y], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


# The Python peers, each in a child process: `(what to do, batch, threads, file) -> a run, which gives its answer`.


def keras_run(work, x, threads, _):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    network = keras.applications.VGG19(weights=None, include_top=False, input_shape=(None, None, 3))
    layers = [layer for layer in network.layers if layer.weights]
    for layer, (_, weight, bias) in zip(layers, convolutions(), strict=True):
        layer.set_weights([weight.transpose(2, 3, 1, 0), bias])
    x = tf.constant(x.transpose(0, 2, 3, 1))
    if work == "forward":
        call = tf.function(lambda: network(x, training=False))
        return lambda: float(call().numpy().mean())

    # So small that the outputs do not die away in the course of the repeats.
    optimiser = keras.optimizers.AdamW(1e-6)
    optimiser.build(network.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(x, training=True)))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimiser.apply_gradients(zip(gradients, network.trainable_variables))
        return loss

    return lambda: float(step().numpy())


def onnxruntime_run(_, x, threads, file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin for work are no faster where the processor is free, and slower where it is not.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: float(session.run(None, {"x": x})[0].mean())


def child(program, work, shape, threads, repeats, file):
    import numpy as np

    shape = [int(size) for size in shape.split("x")]
    # The same numbers as in the other programs.
    x = ((np.arange(np.prod(shape)) * 37 % 101) / 50 - 1).astype("float32").reshape(shape)
    run = {"keras": keras_run, "onnxruntime": onnxruntime_run}[program](work, x, int(threads), file)
    start = time.perf_counter()
    answer = run()
    run()
    while time.perf_counter() - start < 1:
        run()
    seconds = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"answer": answer, "seconds": seconds, "peak_mib": peak_mib()}))


def peak_mib():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return None


def build(arguments, **environment):
    command = ["nice", "-n", "10", "cargo", "build", "--release", *arguments, "--message-format", "json"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment).stdout
    return [m["executable"] for m in map(json.loads, built.splitlines()) if m.get("executable")][-1]


def build_peers(avx2):
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    target, cpu, features = cache / "tonearm/peers-target", "native", []
    if avx2:
        target, cpu, features = target / "avx2", "x86-64-v3", ["--no-default-features"]
    manifest = ["--locked", "--manifest-path", str(PEERS / "Cargo.toml")]
    return build(manifest + features, CARGO_TARGET_DIR=str(target), RUSTFLAGS=f"-C target-cpu={cpu}")


def title(program):
    if program == "keras":
        return f"keras {version('keras')}, tensorflow {version('tensorflow_cpu')}"
    if program == "onnxruntime":
        return f"onnxruntime {version('onnxruntime')}"
    crate = {"tract": "tract-onnx", "candle": "candle-core"}[program]
    locked = tomllib.loads((PEERS / "Cargo.lock").read_text())["package"]
    release = next(package["version"] for package in locked if package["name"] == crate)
    return f"{program} {release}" + (" (multithread-mm)" if program == "tract" else "")


def programs(options, folder, avx2):
    """`(title, what it can do, command, file)` of each row; a command takes work, shape, threads, repeats and file."""
    weights, onnx = folder / "vgg19.safetensors", folder / "vgg19.onnx"
    both, forward = ["forward", "training"], ["forward"]
    rows = []
    for program in options.programs:
        python = [sys.executable, __file__, "--child", program]
        if program == "keras":
            rows.append((title(program), both, python, weights))
            if avx2:
                # On a single image oneDNN has no good convolution for AVX2; that of Eigen is faster.
                eigen = ["env", "TF_ENABLE_ONEDNN_OPTS=0", *python]
                rows.append((title(program) + ", Eigen", forward, eigen, weights))
        elif program == "tonearm":
            binary = build(["--manifest-path", str(ROOT / "Cargo.toml"), "-p", "train", "--example", "vgg19_cost"])
            rows += [(f"tonearm, {device}", both, [binary, device], weights) for device in options.devices]
        elif program == "onnxruntime" and not avx2:
            rows.append((title(program), forward, python, onnx))
        elif program in ["tract", "candle"]:
            file = onnx if program == "tract" else weights
            rows.append((title(program), forward, [build_peers(avx2), program], file))
    return rows


def measure(rows, work, options, avx2):
    """All figures of one table. Programs follow each other at each figure, so that all meet the same machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    environment |= AVX2 if avx2 else {}
    figures = []
    for shape in SHAPES[work]:
        answer = None
        for threads in map(str, options.threads):
            environment |= {"RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
            for name, can, command, file in rows:
                if work not in can:
                    continue
                # burn-ndarray takes a minute or ten for a training step.
                repeats = 1 if "ndarray" in name and work == "training" else options.repeats
                command = [*command, work, shape, threads, str(repeats), str(file)]
                ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
                if ran.returncode != 0:
                    sys.exit(f"{' '.join(command)}\n{ran.stderr}")
                figure = json.loads(ran.stdout.splitlines()[-1])
                answer = answer or figure["answer"]
                if abs(figure["answer"] / answer - 1) > 1e-4:
                    sys.exit(f"{name} computes something else: {figure['answer']}, not {answer}")
                images = int(shape.split("x")[0])
                figure |= {"program": name, "threads": int(threads), "work": work, "shape": shape, "avx2": avx2}
                figure["seconds_an_image"] = statistics.median(figure["seconds"]) / images
                figures.append(figure)
                print(f"{name}, {threads}: {work} {shape} {figure['seconds_an_image']:.4f} s", file=sys.stderr)
    keras = {}
    for figure in figures:
        if figure["program"].startswith("keras"):
            keras.setdefault((figure["threads"], figure["shape"]), []).append(figure["seconds_an_image"])
    for figure in figures:
        if of_keras := keras.get((figure["threads"], figure["shape"])):
            figure["ratio_to_keras"] = figure["seconds_an_image"] / min(of_keras)
    return figures


def table(figures, heading):
    shapes = list(dict.fromkeys(figure["shape"] for figure in figures))
    lines = [f"{heading}\n", "| program | threads | " + " | ".join(shape.replace("x", "×") for shape in shapes) + " |"]
    lines.append("|---|---|" + "---|" * len(shapes))
    for program, threads in dict.fromkeys((figure["program"], figure["threads"]) for figure in figures):
        cells = [program, str(threads)]
        for figure in figures:
            if (figure["program"], figure["threads"]) == (program, threads):
                ratio = f" ({figure['ratio_to_keras']:.2f}×)" if "ratio_to_keras" in figure else ""
                cells.append(f"{figure['seconds_an_image']:.4f} s{ratio}, {figure['peak_mib']} MiB")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--devices", nargs="+", default=["flex"])
    parser.add_argument("--figures", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()

    kinds = [(work, False) for work in options.figures] + [("forward", True)] * options.avx2
    headings = {"forward": "Forward", "training": "Training step"}
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_safetensors(folder / "vgg19.safetensors")
        write_onnx(folder / "vgg19.onnx")
        # All is built before anything is measured.
        rows = {avx2: programs(options, folder, avx2) for avx2 in {avx2 for _, avx2 in kinds}}
        for work, avx2 in kinds:
            measured = measure(rows[avx2], work, options, avx2)
            print(table(measured, headings[work] + (", held to AVX2" if avx2 else "")), flush=True)
            figures += measured
    if options.json:
        options.json.write_text(json.dumps({"repeats": options.repeats, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
