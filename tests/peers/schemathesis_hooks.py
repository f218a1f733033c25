"""Has schemathesis send audio where a body is to hold a file, so that what fits the description is what the server takes."""

import base64
import os
import pathlib

import schemathesis
from hypothesis import strategies

AUDIO = pathlib.Path(os.environ["TONEARM_AUDIO"]).read_bytes()
ENCODED = base64.b64encode(AUDIO).decode()

schemathesis.openapi.format("binary", strategies.just(AUDIO))


@schemathesis.hook
def map_body(context, body):
    """A string that is to be base64 of a file is that of a file."""
    if isinstance(body, dict) and isinstance(body.get("audio_base64"), str) and body["audio_base64"]:
        return {**body, "audio_base64": ENCODED}
    return body
