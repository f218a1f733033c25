"""Compares the messages of serve/src/oip/grpc/messages.rs with those of Triton's client: each field has the name's number and type."""

import pathlib
import re
import unittest

from google.protobuf.descriptor import FieldDescriptor
from tritonclient.grpc import model_config_pb2, service_pb2

SOURCE = pathlib.Path(__file__).parents[2] / "serve/src/oip/grpc/messages.rs"
# The messages of ours, and those of the protocol that each stands for.
SERVICE = {
    "Empty": ["ServerLiveRequest", "ServerReadyRequest", "ServerMetadataRequest"],
    "ServerLiveResponse": ["ServerLiveResponse"],
    "ReadyResponse": ["ServerReadyResponse", "ModelReadyResponse"],
    "ModelRequest": ["ModelReadyRequest", "ModelMetadataRequest", "ModelConfigRequest", "ModelStatisticsRequest"],
    "ServerMetadataResponse": ["ServerMetadataResponse"],
    "TensorMetadata": ["ModelMetadataResponse.TensorMetadata"],
    "ModelMetadataResponse": ["ModelMetadataResponse"],
    "ParameterChoice": ["InferParameter"],
    "InferTensorContents": ["InferTensorContents"],
    "InferTensor": ["ModelInferRequest.InferInputTensor", "ModelInferResponse.InferOutputTensor"],
    "InferRequestedOutput": ["ModelInferRequest.InferRequestedOutputTensor"],
    "ModelInferRequest": ["ModelInferRequest"],
    "ModelInferResponse": ["ModelInferResponse"],
    "RepositoryIndexRequest": ["RepositoryIndexRequest"],
    "ModelIndex": ["RepositoryIndexResponse.ModelIndex"],
    "RepositoryIndexResponse": ["RepositoryIndexResponse"],
    "ModelConfigResponse": ["ModelConfigResponse"],
    "ModelStatisticsResponse": ["ModelStatisticsResponse"],
    "ModelStatistics": ["ModelStatistics"],
    "StatisticDuration": ["StatisticDuration"],
    "InferStatistics": ["InferStatistics"],
    "InferBatchStatistics": ["InferBatchStatistics"],
}
CONFIG = {
    "ModelConfig": ["ModelConfig"],
    "InputConfig": ["ModelInput"],
    "OutputConfig": ["ModelOutput"],
    "InstanceGroup": ["ModelInstanceGroup"],
    "ParameterConfig": ["ModelParameter"],
    "TransactionPolicy": ["ModelTransactionPolicy"],
}
# Our names of fields, where they are not those of the protocol.
FIELDS = {
    "InferTensorContents": {"fp32": "fp32_contents", "fp64": "fp64_contents", "bytes": "bytes_contents"},
    "ParameterChoice": {
        "Bool": "bool_param",
        "Int64": "int64_param",
        "String": "string_param",
        "Double": "double_param",
        "Uint64": "uint64_param",
    },
}
ENUMS = {
    "DataType": (model_config_pb2.DataType, "TYPE_"),
    "InstanceKind": (model_config_pb2.ModelInstanceGroup.Kind, "KIND_"),
}
TYPES = {
    "bool": FieldDescriptor.TYPE_BOOL,
    "bytes": FieldDescriptor.TYPE_BYTES,
    "double": FieldDescriptor.TYPE_DOUBLE,
    "enumeration": FieldDescriptor.TYPE_ENUM,
    "float": FieldDescriptor.TYPE_FLOAT,
    "int32": FieldDescriptor.TYPE_INT32,
    "int64": FieldDescriptor.TYPE_INT64,
    "map": FieldDescriptor.TYPE_MESSAGE,
    "message": FieldDescriptor.TYPE_MESSAGE,
    "string": FieldDescriptor.TYPE_STRING,
    "uint64": FieldDescriptor.TYPE_UINT64,
}


def ours():
    """The fields of each message in our source: name, type, whether there are many, number."""
    text = SOURCE.read_text(encoding="utf-8")
    messages = {}
    for name, body in re.findall(r"pub (?:struct|enum) (\w+) \{(.*?)\n?\}", text, re.DOTALL):
        fields = re.findall(r'#\[prost\((\w+)(?: = "[^"]*")?(.*?)tag = "(\d+)"\)\]\s+(?:pub )?(\w+)', body)
        messages[name] = [(field, kind, "repeated" in more or kind == "map", int(tag)) for kind, more, tag, field in fields]
    return messages


def found(module, path):
    """The message of that name, which may be within another."""
    first, *nested = path.split(".")
    descriptor = module.DESCRIPTOR.message_types_by_name[first]
    for name in nested:
        descriptor = descriptor.nested_types_by_name[name]
    return descriptor


class Fields(unittest.TestCase):
    def test_every_field_has_its_number_and_its_type(self):
        messages = ours()
        named = SERVICE | CONFIG
        # One of a oneof is compared as the choice that it holds.
        self.assertEqual(set(messages) - set(named) - set(ENUMS), {"InferParameter"})
        count = 0
        for name, paths in named.items():
            module = service_pb2 if name in SERVICE else model_config_pb2
            for path in paths:
                descriptor = found(module, path)
                for field, kind, is_repeated, tag in messages[name]:
                    with self.subTest(message=path, field=field):
                        theirs = descriptor.fields_by_name[FIELDS.get(name, {}).get(field, field)]
                        self.assertEqual((theirs.number, theirs.type), (tag, TYPES[kind]))
                        self.assertEqual(theirs.is_repeated, is_repeated)
                        count += 1
        self.assertGreater(count, 80)

    def test_every_value_of_an_enum_has_its_number(self):
        text = SOURCE.read_text(encoding="utf-8")
        for name, (theirs, prefix) in ENUMS.items():
            body = re.search(rf"pub enum {name} \{{(.*?)\}}", text, re.DOTALL).group(1)
            values = re.findall(r"(\w+) = (\d+),", body)
            self.assertTrue(values)
            for value, number in values:
                self.assertEqual(theirs.Value(prefix + value.upper()), int(number), value)


if __name__ == "__main__":
    unittest.main(verbosity=2)
