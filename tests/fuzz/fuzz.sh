#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library with clang and its sanitizers, every fuzz target with libFuzzer, and runs each
# from its corpus for SGT_FUZZ_SECONDS (default 3). What is found is printed, so that it can join the
# corpus.
#
#     fuzz.sh CLANG SOURCE BUILD [TARGET...]
#
# With SGT_FUZZ_CORPUS, a folder, the inputs found go there and are there the next time.
set -eu

clang=$1 source=$2 build=$3
shift 3
[ $# -gt 0 ] || set -- safetensors config checkpoint json plan policy files api
mkdir -p "$build"
work=$(mktemp -d "$build/run-XXXXXX")
trap 'rm -rf "$work"' EXIT
sanitizers=address,undefined
probe='int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }'

echo "$probe" > "$work/probe.c"
"$clang" -fsanitize=fuzzer,$sanitizers "$work/probe.c" -o "$work/probe" 2> "$work/log" || {
    echo "skipped: $clang has no libFuzzer (Debian: clang libclang-rt-dev)"
    exit 77
}

library=$build/lib/libsgt_internal.a
kernels=$source/tests/fuzz/kernels.ignore
ignored="-fsanitize-ignorelist=$kernels -fsanitize-coverage-ignorelist=$kernels"
# One at a time configures and builds; targets run side by side.
exec 9> "$build.lock"
flock 9
if [ ! -f "$build/build.ninja" ]; then
    CC=$clang meson setup "$build" "$source" -Dtests=false -Dexamples=false -Dbench=false \
        -Dblis=disabled -Ddefault_library=static -Dbuildtype=debugoptimized \
        -Db_sanitize=$sanitizers -Db_lundef=false -Db_ndebug=false \
        -Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all $ignored" > "$work/log" 2>&1 || {
        cat "$work/log"
        exit 1
    }
fi
ninja -C "$build" lib/libsgt_internal.a > "$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
flock -u 9

run_target() {
    name=$1
    sources=$source/tests/fuzz/fuzz_$name.c
    [ "$name" = api ] && sources="$sources $source/tests/fuzz/api_*.c"
    # shellcheck disable=SC2086 # a list of files
    "$clang" -std=c11 -D_GNU_SOURCE -O1 -g -fno-sanitize-recover=all -I"$source/include" \
        -I"$source/lib" -I"$source/tests/fuzz" -fsanitize=fuzzer,$sanitizers $sources "$library" \
        -o "$work/fuzz_$name" -ljansson -lm -lpthread -ldl
    found=${SGT_FUZZ_CORPUS:-$work}/$name
    mkdir -p "$found"
    "$work/fuzz_$name" -max_total_time="${SGT_FUZZ_SECONDS:-3}" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="$work/" -print_final_stats=1 "$found" \
        "$source/tests/fuzz/corpus/$name" > "$work/log" 2>&1 || {
        cat "$work/log"
        for input in "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$work"/leak-*; do
            [ -f "$input" ] || continue
            od -A x -t x1z "$input"
            [ -z "${SGT_FUZZ_CORPUS:-}" ] || cp "$input" "$SGT_FUZZ_CORPUS"
        done
        exit 1
    }
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs"
}

for target in "$@"; do
    run_target "$target"
done
