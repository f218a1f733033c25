"""POST /predict of the reference: Flask, librosa, scikit-learn. For gunicorn: `predict:app`.

FEATURES names the set (gtzan, mfcc), MODEL the file that fit.py wrote.
"""

import os

import features
import joblib
import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
describe = features.SETS[os.environ["FEATURES"]]
model = joblib.load(os.environ["MODEL"])


def answer(y):
    probabilities = model.predict_proba(describe(y)[None])[0]
    genre = str(model.classes_[probabilities.argmax()])
    return {"predicted_genre": genre, "probabilities": dict(zip(model.classes_.tolist(), probabilities.tolist()))}


@app.post("/predict")
def predict():
    return jsonify(answer(features.load(request.files["audio_file"].stream)))


@app.get("/readyz")
def ready():
    return "ready"


# librosa compiles with numba and makes its filter banks when they are first used: here, once for all workers.
answer(np.random.default_rng(0).standard_normal(30 * features.RATE).astype(np.float32))
