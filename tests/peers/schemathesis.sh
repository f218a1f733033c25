#!/bin/sh
# Sends a running server what its own GET /openapi.json allows and forbids, and checks every response against it.
#
#     schemathesis.sh URL          with schemathesis in PATH, and a WAV file that TONEARM_AUDIO names; at most five minutes
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# Notes that it leaves where it runs.
notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT
cd "$notes"
export TONEARM_SERVER="${1%/}" PYTHONPATH="$here"
SCHEMATHESIS_HOOKS=$here/schemathesis_hooks.py timeout 300 schemathesis --config-file "$here/schemathesis.toml" run "$TONEARM_SERVER/openapi.json"
