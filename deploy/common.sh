# Shared by the scripts of this folder; each begins with `. "$(dirname "$0")/common.sh"`.
#
# Changes to the root of the repository, and finds the programs that the scripts need, each in its own function, so that a
# script checks only for what it uses.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts use what is set here
set -euo pipefail
docker=docker buildkit=docker compose=()
self="$(realpath "$0")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# EX_USAGE and EX_UNAVAILABLE of sysexits.h: wrong usage; no engine, or no client with the required features. So a caller can
# tell a machine without containers from a failure.
readonly wrong_usage=64 unavailable=69

# The tag of the images: the version of the workspace, unless another is set. Compose reads it too.
release="$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)"
TONEARM_TAG="${TONEARM_TAG:-$release}"
export TONEARM_TAG

note() { echo "${0##*/}: $*" >&2; }
usage() {
    note "$*; ${0##*/} --help lists the options"
    exit "$wrong_usage"
}
lacks() {
    note "$*"
    exit "$unavailable"
}

have() { command -v "$1" >/dev/null; }

# The comment at the head of the script is its help.
help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); if (/^shellcheck /) exit; print }' "$self"; }

# Fails if no engine responds.
need_engine() {
    local client=${TONEARM_DOCKER:-docker} message
    have "$client" || lacks "there is no $client: install Docker, or name its client in TONEARM_DOCKER"
    message="$("$client" version --format '{{.Server.Version}}' 2>&1 >/dev/null)" ||
        lacks "the engine does not respond: ${message:-no reason was given}"
    docker="$client"
}

# A client that builds with BuildKit, which builds only the required stages. Of two on a machine, the first in the path may be
# a new one without its plug-in, and the second an old one that needs none.
need_buildkit() {
    local client
    need_engine
    export DOCKER_BUILDKIT=1
    while IFS= read -r client; do
        # Before version 23 BuildKit's client was a part of docker itself.
        if "$client" buildx version >/dev/null 2>&1 || [ "$(major "$client")" -lt 23 ]; then
            buildkit="$client"
            return
        fi
    done < <(if [ -n "${TONEARM_DOCKER:-}" ]; then echo "$TONEARM_DOCKER"; else type -ap docker | sort -u; fi)
    lacks "no docker client here has BuildKit: install its plug-in buildx (Debian and Ubuntu: docker-buildx)"
}

major() {
    local version
    version="$("$1" version --format '{{.Client.Version}}' 2>/dev/null)" || version=""
    version="${version%%.*}"
    echo "${version:-99}"
}

# Compose: version 2 is a plug-in of docker, version 1 a program.
need_compose() {
    need_engine
    if [ -n "${TONEARM_COMPOSE:-}" ]; then
        read -ra compose <<<"$TONEARM_COMPOSE"
    elif "$docker" compose version >/dev/null 2>&1; then
        compose=("$docker" compose)
    elif have docker-compose; then
        compose=(docker-compose)
    else
        lacks "there is neither docker compose nor docker-compose: install one, or name it in TONEARM_COMPOSE"
    fi
}
