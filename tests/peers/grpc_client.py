"""Asks a running server by the Open Inference Protocol over gRPC, through Triton's own client, and compares with its own routes.

Where the server is and what it is sent:
    TONEARM_URL       of `serve all`, as http://host:port
    TONEARM_GRPC_URL  of the same server, as host:port of its --grpc-port
    TONEARM_AUDIO     a WAV file; of 16 bits, one channel, 22 050 Hz, so that its log-mel can be sent too
"""

import json
import os
import unittest

import numpy
from log_mel import log_mel, samples
from oip_client import AUDIO, TOLERANCE, backwards, own_answer
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

URL = os.environ["TONEARM_GRPC_URL"]
MODELS = ["svm", "vgg19"]


def files(tracks):
    """The input `audio`: whole files."""
    tensor = InferInput("audio", [len(tracks)], "BYTES")
    tensor.set_data_from_numpy(numpy.array(tracks, dtype=object))
    return tensor


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = InferenceServerClient(URL)
        cls.addClassCleanup(cls.client.close)

    def test_it_is_live_and_lists_its_models(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        metadata = self.client.get_server_metadata()
        self.assertEqual(metadata.name, "tonearm")
        self.assertLessEqual({"model_configuration", "statistics"}, set(metadata.extensions))
        listed = {model.name: model.state for model in self.client.get_model_repository_index().models}
        self.assertEqual(listed, {name: "READY" for name in MODELS})

    def test_metadata_and_configuration_name_the_same_tensors(self):
        for model in MODELS:
            self.assertTrue(self.client.is_model_ready(model))
            metadata = self.client.get_model_metadata(model)
            config = self.client.get_model_config(model, as_json=True)["config"]
            self.assertEqual((metadata.platform, config["platform"]), (f"tonearm_{model}",) * 2)
            tensors = lambda all: [(tensor["name"], [int(size) for size in tensor["dims"]]) for tensor in all]
            self.assertEqual(tensors(config["input"]), [(tensor.name, list(tensor.shape)) for tensor in metadata.inputs])
            self.assertEqual(tensors(config["output"]), [(tensor.name, list(tensor.shape)) for tensor in metadata.outputs])
            self.assertEqual(config["input"][0]["data_type"], "TYPE_STRING")
            labels = json.loads(config["parameters"]["label_names"]["string_value"])
            self.assertEqual(labels, list(own_answer(model, AUDIO)[1]))

    def test_files_are_predicted_as_by_the_own_route(self):
        tracks = [AUDIO, backwards(AUDIO)]
        for model in MODELS:
            own = [own_answer(model, track) for track in tracks]
            before = self.client.get_inference_statistics(model).model_stats[0]
            result = self.client.infer(model, [files(tracks)], request_id="two tracks")
            self.assertEqual([label.decode() for label in result.as_numpy("genre")], [label for label, _ in own])
            wanted = numpy.array([list(probabilities.values()) for _, probabilities in own])
            numpy.testing.assert_array_equal(result.as_numpy("probabilities"), wanted)
            self.assertEqual((result.get_response().model_name, result.get_response().id), (model, "two tracks"))
            after = self.client.get_inference_statistics(model).model_stats[0]
            self.assertEqual(after.inference_count - before.inference_count, 2)
            self.assertEqual(after.inference_stats.success.count - before.inference_stats.success.count, 2)
            for step in ["queue", "compute_input", "compute_infer"]:
                counted = getattr(after.inference_stats, step)
                self.assertGreater(counted.ns, getattr(before.inference_stats, step).ns)
            self.assertEqual(sum(batch.compute_infer.count for batch in after.batch_stats), after.execution_count)
        self.assertEqual([model.name for model in self.client.get_inference_statistics().model_stats], MODELS)

    def test_features_versions_and_classes(self):
        signal = samples(AUDIO)
        for model in MODELS:
            predicted, probabilities = own_answer(model, AUDIO)
            version = self.client.get_model_metadata(model).versions[0]
            outputs = [InferRequestedOutput("probabilities", class_count=3)]
            result = self.client.infer(model, [files([AUDIO])], model_version=version, outputs=outputs)
            best = [element.decode().split(":", 2) for element in result.as_numpy("probabilities")[0]]
            self.assertEqual((len(best), best[0][2]), (3, predicted))
            taken = any(tensor.name == "log_mel" for tensor in self.client.get_model_metadata(model).inputs)
            if signal is None or not taken:
                continue
            values = log_mel(signal)[None]
            features = InferInput("log_mel", list(values.shape), "FP32")
            features.set_data_from_numpy(numpy.ascontiguousarray(values))
            found = self.client.infer(model, [features]).as_numpy("probabilities")[0]
            self.assertLessEqual(numpy.abs(found - list(probabilities.values())).max(), TOLERANCE)

    def test_what_is_wrong_has_a_status(self):
        def refused(status, words, **request):
            with self.assertRaises(InferenceServerException) as raised:
                self.client.infer(**request)
            self.assertEqual(raised.exception.status(), f"StatusCode.{status}")
            self.assertIn(words, raised.exception.message())

        track = files([AUDIO])
        refused("NOT_FOUND", "unknown model", model_name="none", inputs=[track])
        refused("NOT_FOUND", "version", model_name="svm", model_version="ffffffffffff", inputs=[track])
        refused("INVALID_ARGUMENT", "element 1", model_name="svm", inputs=[files([AUDIO, b"no audio"])])
        refused("INVALID_ARGUMENT", "none", model_name="svm", inputs=[track], outputs=[InferRequestedOutput("none")])
        with self.assertRaises(InferenceServerException) as raised:
            self.client.load_model("svm")
        self.assertEqual(raised.exception.status(), "StatusCode.UNIMPLEMENTED")


if __name__ == "__main__":
    unittest.main(verbosity=2)
