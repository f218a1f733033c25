#!/bin/sh
# Fuzzes the decoders for SECONDS (60 if not said) from the test fixtures, with the stable compiler.
#
#     features/fuzz/run.sh [SECONDS [TARGET...]]
#
# The targets (any bytes, and one for each family of containers) share the seconds. Ends with a failure if an input panics, takes over 10 s or over 768 MiB (of which the fuzzer itself has some 200);
# the input is then in features/fuzz/artifacts. Put it into features/tests/fixtures/fuzz once it is mended: the hostile tests read all
# that is there. With TONEARM_FUZZ_CORPUS a folder is kept from run to run, and with TONEARM_FUZZ_RUNS that many inputs are tried of each
# target, however long it takes.
set -eu

seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- decode flac matroska mp4 mpeg ogg pcm
here=$(cd "$(dirname "$0")" && pwd)
target=${TONEARM_FUZZ_TARGET:-${XDG_CACHE_HOME:-$HOME/.cache}/tonearm/fuzz-target}
host=$(rustc -vV | sed -n 's/^host: //p')

# What `cargo fuzz run --sanitizer none` passes: coverage by LLVM's pass, which needs no unstable option. Naming the target keeps
# it off build scripts and macros. Comparisons are not traced: that takes two fifths of the time.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
cargo build --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$target" --target "$host"

scratch=
if [ -n "${TONEARM_FUZZ_CORPUS:-}" ]; then
    corpora=$TONEARM_FUZZ_CORPUS
else
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    corpora=$scratch
fi
mkdir -p "$here/artifacts"
fixtures=$here/../tests/fixtures
regressions=
[ -d "$fixtures/fuzz" ] && regressions=$fixtures/fuzz
limit="-max_total_time=$(((seconds + $# - 1) / $#))"
[ -n "${TONEARM_FUZZ_RUNS:-}" ] && limit="-runs=$TONEARM_FUZZ_RUNS"
for name; do
    mkdir -p "$corpora/$name"
    # Fixtures are only read: new inputs go to the first folder.
    "$target/$host/release/$name" "$limit" -rss_limit_mb=768 -timeout=10 -max_len=4096 -print_final_stats=1 \
        -artifact_prefix="$here/artifacts/$name-" "$corpora/$name" "$fixtures" ${regressions:+"$regressions"}
done
