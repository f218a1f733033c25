#!/bin/sh
# Installs an MLflow server into an environment of Python's in the user's cache folder, once, and prints where it is.
# Needs Python 3.11 or later.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tonearm/mlflow
# Other requirements, another environment.
environment=$cache/$(cksum <"$here/requirements.txt" | tr ' ' -)
if [ ! -e "$environment/complete" ]; then
    mkdir -p "$cache"
    {
        python3 -m venv --clear "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    } >&2
    touch "$environment/complete"
fi
echo "$environment"
