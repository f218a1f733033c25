"""Generates a client from a running server's GET /openapi.json with openapi-python-client, and calls every operation with it.

Where the server is and what it is sent:
    TONEARM_URL    of `serve all`, as http://host:port
    TONEARM_AUDIO  a WAV file
"""

import base64
import importlib
import inspect
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing
import unittest

import requests

URL = os.environ["TONEARM_URL"].rstrip("/")
AUDIO = pathlib.Path(os.environ["TONEARM_AUDIO"]).read_bytes()
# Seconds, for the slowest model on the slowest machine.
PATIENCE = 120
PACKAGE = "generated"
# What it is told to read as files.
CONFIG = {
    "content_type_overrides": {
        "application/openmetrics-text": "application/octet-stream",
        "application/x-ndjson": "application/octet-stream",
    }
}


def generate(folder):
    """Writes the client into a folder. A warning of the generator is a failure."""
    config = folder / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    command = [
        pathlib.Path(sys.executable).with_name("openapi-python-client"), "generate", "--url", f"{URL}/openapi.json",
        "--output-path", folder / PACKAGE, "--meta", "none", "--config", config, "--fail-on-warning",
    ]  # fmt: skip
    # It formats what it writes with ruff, which is beside it.
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openapi-python-client failed:\n{done.stdout}\n{done.stderr}")


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        generate(pathlib.Path(cls.folder.name))
        sys.path.insert(0, cls.folder.name)
        cls.types = importlib.import_module(f"{PACKAGE}.types")
        cls.models = importlib.import_module(f"{PACKAGE}.models")
        client = importlib.import_module(f"{PACKAGE}.client")
        cls.client = client.Client(base_url=URL, timeout=PATIENCE, raise_on_unexpected_status=True)
        cls.api = requests.get(f"{URL}/openapi.json", timeout=PATIENCE).json()
        cls.version = requests.get(f"{URL}/v1/models/svm", timeout=PATIENCE).json()["version"]

    def file(self):
        return self.types.File(payload=io.BytesIO(AUDIO), file_name="track.wav", mime_type="audio/wav")

    def bodies(self, call):
        """A body of each type that an operation takes; `None` alone for one that takes none."""
        parameter = inspect.signature(call).parameters.get("body")
        if parameter is None:
            return [None]
        hint = typing.get_type_hints(call)["body"]
        kinds = [kind for kind in typing.get_args(hint) or [hint] if kind is not type(None)]
        encoded = base64.b64encode(AUDIO).decode()
        of = {
            "File": lambda: self.file(),
            "AudioForm": lambda: self.models.AudioForm(audio_file=self.file()),
            "AudioJson": lambda: self.models.AudioJson(audio_base64=encoded),
            "FilesForm": lambda: self.models.FilesForm(files=[self.file(), self.file()]),
            "InferenceRequest": lambda: self.models.InferenceRequest.from_dict(
                {"inputs": [{"name": "audio", "shape": [1], "datatype": "BYTES", "data": [encoded]}]}
            ),
            "InferenceRepositoryRequest": lambda: self.models.InferenceRepositoryRequest(ready=True),
            "Unset": None,
        }
        return [of[kind.__name__]() for kind in kinds if of[kind.__name__] is not None]

    def test_every_operation_is_called_and_answers_what_is_described(self):
        known = {"name": "svm", "version": self.version, "kind": "not-audio"}
        called = 0
        names = set()
        for path, item in self.api["paths"].items():
            for method, operation in item.items():
                name, tag = operation["operationId"], operation["tags"][0].replace(" ", "_")
                self.assertNotIn(name, names, "an id names one operation")
                names.add(name)
                call = importlib.import_module(f"{PACKAGE}.api.{tag}.{name}").sync_detailed
                wanted = {
                    parameter["name"]: known[parameter["name"]]
                    for parameter in operation.get("parameters", [])
                    if parameter["in"] == "path"
                }
                for body in self.bodies(call):
                    with self.subTest(operation=f"{method} {path}", body=type(body).__name__):
                        more = {} if body is None else {"body": body}
                        if path.endswith("/infer") and type(body).__name__ == "File":
                            # JSON alone, in the type of JSON and binary data.
                            more["body"] = self.types.File(payload=io.BytesIO(infer_body()))
                        answer = call(client=self.client, **wanted, **more)
                        self.assertEqual(answer.status_code, 200, answer.content[:400])
                        self.assertIsNotNone(answer.parsed)
                        self.assertNotIn(type(answer.parsed).__name__, {"Problem", "InferenceError"})
                        called += 1
        self.assertGreater(called, len(names), "some have several bodies")

    def test_what_is_answered_is_read_into_types(self):
        predict = importlib.import_module(f"{PACKAGE}.api.predict.predict_together")
        body = self.models.AudioForm(audio_file=self.file())
        answer = predict.sync(client=self.client, body=body, models="svm,vgg19", include="waveform")
        own = requests.post(f"{URL}/predict", data=AUDIO, headers={"Content-Type": "audio/wav"}, timeout=PATIENCE).json()
        svm = answer.predictions["svm"].answer
        self.assertEqual(svm.to_dict(), own)
        self.assertEqual(svm.probabilities.additional_properties, own["probabilities"])
        self.assertGreater(answer.features.answer.waveform.columns, 0)
        with self.assertRaises(KeyError):
            answer.predictions["none"]
        unknown = predict.sync(client=self.client, body=self.models.AudioForm(audio_file=self.file()), models="none")
        self.assertEqual((type(unknown), unknown.type_), (self.models.Problem, "/problems/unknown-model"))
        batch = importlib.import_module(f"{PACKAGE}.api.predict.predict_batch")
        lines = batch.sync(client=self.client, body=self.models.FilesForm(files=[self.file()]))
        line = self.models.BatchLine.from_dict(json.loads(lines.payload.read()))
        self.assertEqual((line.index, line.answer.to_dict()), (0, own))


def infer_body():
    tensor = {"name": "audio", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(AUDIO).decode()]}
    return json.dumps({"inputs": [tensor]}).encode()


if __name__ == "__main__":
    unittest.main(verbosity=2)
