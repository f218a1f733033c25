# What the scripts of this folder share; each begins with it:
#
#     . "$(dirname "$0")/common.sh"
#
# It goes to the root of the repository and says where things are kept.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts use what is set here
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Caches outside the clone, so that a second run finds them; nothing depends on them.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tonearm"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export CARGO_TERM_COLOR=never
# What a run leaves for its reader: JUnit, logs, evaluations, the bill of materials. Git ignores it.
reports=reports

say() { printf '\n== %s\n' "$*"; }
note() { echo "${0##*/}: $*" >&2; }

have() { command -v "$1" >/dev/null; }

# Installs Debian packages where this user may; fails, quietly, where not.
debian_packages() {
    local as_root=()
    have apt-get || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo)
    fi
    {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@"
    } >&2
}

# Makes a program of crates.io, once, and prints where it is. It runs here for a second at a time: not worth optimising.
tool() {
    local name=$1 version root
    case "$name" in
        cargo-deny) version=0.20.2 ;;
        cargo-cyclonedx) version=0.5.9 ;;
    esac
    root="$cache/tools/$name-$version"
    if [ ! -x "$root/bin/$name" ]; then
        CARGO_TARGET_DIR="$cache/tools-target" CARGO_PROFILE_DEV_DEBUG=0 \
            cargo install --quiet --locked --debug --root "$root" --version "=$version" "$name" >&2 || return
    fi
    echo "$root/bin/$name"
}

# Runs a command that ends in cargo-nextest with the profile `ci`, and keeps what it prints and its JUnit file under NAME.
tested() {
    local name=$1 status=0 results=target/nextest/ci/junit.xml # nextest puts it there, wherever Cargo builds.
    shift
    mkdir -p "$reports/logs" "$reports/junit"
    rm -f "$results"
    "$@" 2>&1 | tee "$reports/logs/$name.log" || status=$?
    if [ -f "$results" ]; then cp "$results" "$reports/junit/$name.xml"; else status=1; fi
    return "$status"
}

# Images and containers of this repository alone, so that neither those of a person nor those of another build are in the way.
name_containers() {
    local checkout
    checkout="$(pwd | cksum | cut -d ' ' -f 1)"
    export TONEARM_TAG="${TONEARM_TAG:-ci-$checkout}" TONEARM_PROJECT="${TONEARM_PROJECT:-tonearm-ci-$checkout}"
    # Any port that is free.
    export TONEARM_SVM_PORT="${TONEARM_SVM_PORT:-0}" TONEARM_VGG_PORT="${TONEARM_VGG_PORT:-0}" TONEARM_WEB_PORT="${TONEARM_WEB_PORT:-0}"
}
