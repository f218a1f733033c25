#!/bin/sh
# Lets clients that others wrote talk to running servers: the old service's client, Triton's over HTTP and gRPC, those that two generators
# make of GET /openapi.json, and schemathesis.
#
#     run.sh URL_SVM URL_VGG URL_ALL GRPC_ALL URL_KEYED KEY AUDIO.wav       GRPC_ALL as host:port, URL_KEYED of one that requires KEY
set -eu

if [ $# -ne 7 ]; then
    echo "usage: run.sh URL_SVM URL_VGG URL_ALL GRPC_ALL URL_KEYED KEY AUDIO.wav" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
environment=$("$here/../python" peers)
PATH=$environment/bin:$PATH
export PYTHONDONTWRITEBYTECODE=1 TONEARM_SVM_URL="$1" TONEARM_VGG_URL="$2" TONEARM_URL="$3" TONEARM_GRPC_URL="$4"
export TONEARM_KEYED_URL="$5" TONEARM_KEY="$6" TONEARM_AUDIO="$7"

# All of them, however the one before went.
failed=0
peer() {
    echo "== $1"
    shift
    "$@" || failed=1
}
peer "the old client" python "$here/old_client.py"
peer "Triton's client" python "$here/oip_client.py"
peer "the messages of Triton's client" python "$here/grpc_fields.py"
peer "Triton's client over gRPC" python "$here/grpc_client.py"
peer "the client of openapi-python-client" python "$here/generated_client.py"
peer "the clients of openapi-generator" python "$here/second_client.py"
for url in "$TONEARM_SVM_URL" "$TONEARM_VGG_URL" "$TONEARM_URL"; do
    peer "schemathesis, $url" sh "$here/schemathesis.sh" "$url"
done
exit $failed
