"""POST /vgg of the reference: Flask, librosa, Keras's VGG19 without top, global pooling, dense softmax. For gunicorn: `vgg:app`.

SIZE is that of the image, `256x344` (as Tonearm's network gets 30 s) or `224x224`; TF_THREADS the threads of a convolution.
The weights are random, from a seed: that changes no time.
"""

import os

import features
import numpy as np
from flask import Flask, jsonify, request

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
app = Flask(__name__)
rows, columns = map(int, os.environ["SIZE"].split("x"))


def load_model():
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["TF_THREADS"]))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    body = keras.applications.VGG19(weights=None, include_top=False, pooling="avg", input_shape=(rows, columns, 3))
    network = keras.Sequential([body, keras.layers.Dense(10, activation="softmax")])
    call = tf.function(lambda x: network(x, training=False), input_signature=[tf.TensorSpec((1, rows, columns, 3))])
    return lambda image: call(image[None]).numpy()[0]


def answer(y):
    probabilities = model(features.log_mel(y, rows, columns)).tolist()
    best = max(range(len(GENRES)), key=probabilities.__getitem__)
    return {"predicted_genre": GENRES[best], "probabilities": dict(zip(GENRES, probabilities))}


@app.post("/vgg")
def vgg():
    return jsonify(answer(features.load(request.files["audio_file"].stream)))


@app.get("/readyz")
def ready():
    return "ready"


# In each worker, for TensorFlow's threads do not live through a fork.
model = load_model()
answer(np.random.default_rng(0).standard_normal(30 * features.RATE).astype(np.float32))
