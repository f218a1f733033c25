"""What VGG19 costs here, beside Keras: one run on one machine.

    python experiments/bench/vgg19_peer.py [--repeats N] [--devices flex ndarray] [--threads 1 2]

Needs `pip install tensorflow-cpu` (Keras with oneDNN), and cargo. Every program runs in a process of its own, one after
another. Prints a table in Markdown: medians in seconds an image, ratios to Keras with as many threads, peak memory.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ["forward_128x128", "forward_128x344", "forward_128x128_in_8", "training_128x128_in_4"]


def peak_mib():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return None


def keras_side(threads, repeats):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    generator = np.random.default_rng(1)
    keras.utils.set_random_seed(1)

    def median(work, repeats):
        work()
        seconds = []
        for _ in range(max(1, repeats)):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    def images(n, frames):
        return tf.constant(generator.standard_normal((n, 128, frames, 3)).astype("float32"))

    network = keras.applications.VGG19(weights=None, include_top=False, input_shape=(128, None, 3))
    call = tf.function(lambda x: network(x, training=False))
    report = {"device": "keras " + keras.__version__ + ", tensorflow " + tf.__version__, "threads": threads}
    for name, n, frames in [(FIGURES[0], 1, 128), (FIGURES[1], 1, 344), (FIGURES[2], 8, 128)]:
        x = images(n, frames)
        report[name] = median(lambda: call(x).numpy(), repeats) / n
    report["peak_mib_forward"] = peak_mib()

    inputs = keras.Input((128, 128, 3))
    outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(network(inputs)))
    trained = keras.Model(inputs, outputs)
    optimiser = keras.optimizers.AdamW(1e-4)
    optimiser.build(trained.trainable_variables)
    x = images(4, 128)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(trained(x, training=True)))
        gradients = tape.gradient(loss, trained.trainable_variables)
        optimiser.apply_gradients(zip(gradients, trained.trainable_variables))
        return loss

    report[FIGURES[3]] = median(lambda: step().numpy(), (repeats + 1) // 2) / 4
    report["peak_mib"] = peak_mib()
    print(json.dumps(report))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--devices", nargs="*", default=["flex", "ndarray"])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--keras-side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.keras_side:
        return keras_side(options.keras_side, options.repeats)

    build = ["cargo", "build", "--release", "-p", "train", "--example", "vgg19_cost", "--message-format", "json"]
    built = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    binary = [m["executable"] for m in map(json.loads, built.splitlines()) if m.get("executable")][-1]

    rows = []
    for threads in options.threads:
        command = [sys.executable, __file__, "--keras-side", str(threads), "--repeats", str(options.repeats)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
    for device in options.devices:
        for threads in options.threads:
            # burn-ndarray takes a minute for a training step.
            repeats = options.repeats if device == "flex" else 1
            command = [binary, device, str(threads), str(repeats)]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    print("| program | threads | " + " | ".join(FIGURES) + " | peak MiB, forward | peak MiB, training |")
    print("|---|---|" + "---|" * (len(FIGURES) + 2))
    keras = {row["threads"]: row for row in rows if row["device"].startswith("keras")}
    for row in rows:
        cells = [f"{row[name]:.3f} s ({row[name] / keras[row['threads']][name]:.1f}×)" for name in FIGURES]
        memory = [str(row["peak_mib_forward"]), str(row["peak_mib"])]
        print(f"| {row['device']} | {row['threads']} | " + " | ".join(cells + memory) + " |")


if __name__ == "__main__":
    main()
