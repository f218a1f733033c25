"""Asks a running server by the Open Inference Protocol, through Triton's own client, and compares with its own routes.

Where the server is and what it is sent:
    TONEARM_URL    of `serve svm`, `serve vgg` or `serve all`, as http://host:port
    TONEARM_AUDIO  a WAV file; of 16 bits, one channel, 22 050 Hz, so that its log-mel can be sent too
"""

import base64
import functools
import io
import json
import os
import unittest
import wave

import numpy
import requests
from log_mel import log_mel, samples
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

URL = os.environ["TONEARM_URL"].rstrip("/")
with open(os.environ["TONEARM_AUDIO"], "rb") as file:
    AUDIO = file.read()
# Where each model answers outside the protocol.
ROUTES = {"svm": "/predict", "vgg19": "/vgg"}
# Seconds, for the slowest model on the slowest machine.
PATIENCE = 120
# Of a probability, between the server's log-mel and ours: the models quantise it to steps of 0.5 dB, and rounding may put a
# level on the other side of one.
TOLERANCE = 1e-4


def backwards(audio):
    """The same WAV file with its time turned round: another track of the same length."""
    with wave.open(io.BytesIO(audio)) as track:
        parameters = track.getparams()
        frames = track.readframes(parameters.nframes)
    width = parameters.sampwidth * parameters.nchannels
    frames = numpy.frombuffer(frames, numpy.dtype((numpy.void, width)))[::-1].tobytes()
    turned = io.BytesIO()
    with wave.open(turned, "wb") as track:
        track.setparams(parameters)
        track.writeframes(frames)
    return turned.getvalue()


def own_answer(model, audio):
    """What the server's own route says: the predicted label, and the probabilities by label."""
    response = requests.post(URL + ROUTES[model], data=audio, headers={"Content-Type": "audio/wav"}, timeout=PATIENCE)
    response.raise_for_status()
    answer = response.json()
    return answer["predicted_genre"], answer["probabilities"]


def files(tracks, binary):
    """The input `audio`: whole files, as binary data or as base64 in JSON."""
    elements = tracks if binary else [base64.b64encode(track).decode("ascii") for track in tracks]
    tensor = InferInput("audio", [len(elements)], "BYTES")
    return tensor.set_data_from_numpy(numpy.array(elements, dtype=object), binary_data=binary)


def of_each_model(test):
    """Runs a test for every model that is ready."""

    @functools.wraps(test)
    def run(self):
        for model in self.models:
            with self.subTest(model=model):
                test(self, model)

    return run


class Server(unittest.TestCase):
    """What the server says of itself."""

    @classmethod
    def setUpClass(cls):
        cls.client = InferenceServerClient(URL.removeprefix("http://"), network_timeout=PATIENCE)
        cls.addClassCleanup(cls.client.close)

    def test_it_is_live_and_ready(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())

    def test_it_names_itself_and_its_extensions(self):
        metadata = self.client.get_server_metadata()
        self.assertEqual(metadata["name"], "tonearm")
        self.assertTrue(metadata["version"])
        extensions = {"binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"}
        self.assertLessEqual(extensions, set(metadata["extensions"]))

    def test_the_repository_lists_every_model(self):
        entries = self.client.get_model_repository_index()
        self.assertTrue(entries)
        for entry in entries:
            self.assertIn(entry["name"], ROUTES)
            self.assertEqual(entry["state"] == "READY", self.client.is_model_ready(entry["name"]))

    def test_a_model_that_does_not_exist_is_refused(self):
        with self.assertRaises(InferenceServerException) as refused:
            self.client.get_model_metadata("none")
        self.assertEqual(refused.exception.status(), "404")
        with self.assertRaises(InferenceServerException) as refused:
            self.client.infer("none", [files([AUDIO], binary=True)])
        self.assertEqual(refused.exception.status(), "404")


class Models(unittest.TestCase):
    """What each model that is ready predicts for tracks."""

    @classmethod
    def setUpClass(cls):
        cls.client = InferenceServerClient(URL.removeprefix("http://"), network_timeout=PATIENCE)
        cls.addClassCleanup(cls.client.close)
        cls.models = [entry["name"] for entry in cls.client.get_model_repository_index() if entry["state"] == "READY"]
        assert cls.models, "no model is ready"
        cls.tracks = [AUDIO, backwards(AUDIO)]
        cls.own = {model: [own_answer(model, track) for track in cls.tracks] for model in cls.models}

    def compare(self, result, model, tracks, tolerance=0.0):
        """The outputs `genre` and `probabilities` of a result with what the own route said of the same tracks."""
        own = self.own[model][:tracks]
        labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("genre")]
        self.assertEqual(labels, [label for label, _ in own])
        for label, (_, probabilities) in zip(labels, own):
            self.assertIn(label, probabilities)
        probabilities = result.as_numpy("probabilities")
        self.assertEqual(probabilities.dtype, numpy.float64)
        wanted = numpy.array([list(probabilities.values()) for _, probabilities in own])
        self.assertEqual(probabilities.shape, wanted.shape)
        self.assertLessEqual(numpy.abs(probabilities - wanted).max(), tolerance)

    @of_each_model
    def test_metadata_name_the_tensors(self, model):
        metadata = self.client.get_model_metadata(model)
        self.assertEqual(metadata["name"], model)
        self.assertEqual(metadata["platform"], f"tonearm_{model}")
        self.assertTrue(metadata["versions"])
        labels = len(self.own[model][0][1])
        inputs = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]}
        self.assertEqual(inputs["audio"], ("BYTES", [-1]))
        # A model whose features need more than the log-mel takes no other input.
        self.assertEqual(inputs.get("log_mel", ("FP32",))[0], "FP32")
        outputs = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["outputs"]}
        self.assertEqual(outputs, {"genre": ("BYTES", [-1]), "probabilities": ("FP64", [-1, labels])})

    @of_each_model
    def test_the_configuration_names_the_tensors(self, model):
        metadata = self.client.get_model_metadata(model)
        config = self.client.get_model_config(model)
        self.assertEqual((config["name"], config["platform"]), (model, metadata["platform"]))
        for tensors, described in [("input", "inputs"), ("output", "outputs")]:
            named = [(tensor["name"], tensor["dims"]) for tensor in config[tensors]]
            self.assertEqual(named, [(tensor["name"], tensor["shape"]) for tensor in metadata[described]])
        labels = json.loads(config["parameters"]["label_names"]["string_value"])
        self.assertEqual(labels, list(self.own[model][0][1]))

    @of_each_model
    def test_clips_are_counted(self, model):
        statistics = lambda: self.client.get_inference_statistics(model)["model_stats"][0]
        before = statistics()
        self.client.infer(model, [files(self.tracks, binary=True)])
        with self.assertRaises(InferenceServerException):
            self.client.infer(model, [files([b"no audio"], binary=True)])
        after = statistics()
        self.assertEqual(after["inference_count"] - before["inference_count"], 2)
        counted = lambda step, of: (after["inference_stats"][step][of] - before["inference_stats"][step][of])
        self.assertEqual((counted("success", "count"), counted("fail", "count")), (2, 1))
        for step in ["queue", "compute_input", "compute_infer"]:
            self.assertEqual(counted(step, "count"), 2)
            self.assertGreater(counted(step, "ns"), 0)
        names = [entry["name"] for entry in self.client.get_inference_statistics()["model_stats"]]
        self.assertEqual(names, self.models)

    @of_each_model
    def test_a_file_as_binary_data(self, model):
        result = self.client.infer(model, [files([AUDIO], binary=True)], request_id="a track")
        self.compare(result, model, tracks=1)
        answer = result.get_response()
        self.assertEqual((answer["model_name"], answer["id"]), (model, "a track"))

    @of_each_model
    def test_a_file_in_json(self, model):
        outputs = [InferRequestedOutput(name, binary_data=False) for name in ["genre", "probabilities"]]
        result = self.client.infer(model, [files([AUDIO], binary=False)], outputs=outputs)
        self.compare(result, model, tracks=1)

    @of_each_model
    def test_two_files_in_one_request(self, model):
        for binary in [True, False]:
            result = self.client.infer(model, [files(self.tracks, binary)])
            self.compare(result, model, tracks=2)

    @of_each_model
    def test_a_version_by_its_name(self, model):
        version = self.client.get_model_metadata(model)["versions"][0]
        self.assertTrue(self.client.is_model_ready(model, version))
        result = self.client.infer(model, [files([AUDIO], binary=True)], model_version=version)
        self.assertEqual(result.get_response()["model_version"], version)
        self.compare(result, model, tracks=1)
        with self.assertRaises(InferenceServerException) as refused:
            self.client.infer(model, [files([AUDIO], binary=True)], model_version="ffffffffffff")
        self.assertEqual(refused.exception.status(), "404")

    @of_each_model
    def test_features_instead_of_a_file(self, model):
        signal = samples(AUDIO)
        if signal is None:
            self.skipTest("TONEARM_AUDIO is not a WAV file of 16 bits, one channel, 22 050 Hz")
        values = log_mel(signal)[None]
        taken = any(tensor["name"] == "log_mel" for tensor in self.client.get_model_metadata(model)["inputs"])
        for binary, tensor in [(True, values), (False, values), (True, values[0])]:
            features = InferInput("log_mel", list(tensor.shape), "FP32")
            features.set_data_from_numpy(numpy.ascontiguousarray(tensor), binary_data=binary)
            if taken:
                self.compare(self.client.infer(model, [features]), model, tracks=1, tolerance=TOLERANCE)
            else:
                with self.assertRaises(InferenceServerException) as refused:
                    self.client.infer(model, [features])
                self.assertEqual(refused.exception.status(), "400")
                self.assertIn("send `audio`", refused.exception.message())

    @of_each_model
    def test_only_the_outputs_that_are_wanted(self, model):
        for binary in [True, False]:
            outputs = [InferRequestedOutput("genre", binary_data=binary)]
            result = self.client.infer(model, [files([AUDIO], binary=True)], outputs=outputs)
            self.assertEqual([output["name"] for output in result.get_response()["outputs"]], ["genre"])

    @of_each_model
    def test_a_classification(self, model):
        outputs = [InferRequestedOutput("probabilities", class_count=3)]
        classes = self.client.infer(model, [files([AUDIO], binary=True)], outputs=outputs).as_numpy("probabilities")
        self.assertEqual(classes.shape, (1, 3))
        predicted, probabilities = self.own[model][0]
        best = [element.decode().split(":", 2) for element in classes[0]]
        self.assertEqual(best[0][2], predicted)
        for probability, index, label in best:
            self.assertEqual(float(probability), probabilities[label])
            self.assertEqual(list(probabilities)[int(index)], label)

    @of_each_model
    def test_what_is_wrong_is_said(self, model):
        for tracks, position in [([b"no audio"], "element 0"), ([AUDIO, b"no audio"], "element 1")]:
            with self.assertRaises(InferenceServerException) as refused:
                self.client.infer(model, [files(tracks, binary=True)])
            self.assertEqual(refused.exception.status(), "415")
            self.assertIn(position, refused.exception.message())
        with self.assertRaises(InferenceServerException) as refused:
            self.client.infer(model, [files([AUDIO], binary=True)], outputs=[InferRequestedOutput("none")])
        self.assertEqual(refused.exception.status(), "400")
        self.assertIn("none", refused.exception.message())


if __name__ == "__main__":
    unittest.main(verbosity=2)
