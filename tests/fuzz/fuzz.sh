#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the fuzz targets with clang, libFuzzer and the sanitizers, over the sources they reach, and
# runs each from its corpus for SGT_FUZZ_SECONDS (default 3).
#
#     fuzz.sh CLANG SOURCE [CFLAG...]
set -eu

clang=$1 source=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c11 -D_GNU_SOURCE -DSGT_BUILDING -O1 -g -fno-sanitize-recover=all
    -I$source/include -I$source/lib -I$source/tests/fuzz"

echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' \
    > "$work/probe.c"
"$clang" -fsanitize=fuzzer,address,undefined "$work/probe.c" -o "$work/probe" 2> "$work/log" || {
    echo "skipped: $clang has no libFuzzer"
    exit 77
}

mkdir "$work/objects"
cd "$work/objects"
# shellcheck disable=SC2086 # a list of flags
"$clang" $flags "$@" -fsanitize=fuzzer-no-link,address,undefined -c \
    "$source"/lib/base/error.c "$source"/lib/base/files.c "$source"/lib/base/memory.c \
    "$source"/lib/base/structs.c "$source"/lib/base/text.c "$source"/lib/format/*.c \
    "$source"/lib/checkpoint/fields.c "$source"/lib/model/config.c \
    "$source"/lib/optim/optimizer_options.c "$source"/lib/optim/schedule.c
for name in safetensors config checkpoint; do
    # shellcheck disable=SC2086
    "$clang" $flags "$@" -fsanitize=fuzzer,address,undefined \
        "$source/tests/fuzz/fuzz_$name.c" ./*.o -o "$work/fuzz_$name" -ljansson -lm -lpthread
    mkdir "$work/$name"
    "$work/fuzz_$name" -max_total_time="${SGT_FUZZ_SECONDS:-3}" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$work/" -print_final_stats=1 "$work/$name" \
        "$source/tests/fuzz/corpus/$name" > "$work/log" 2>&1 || {
        cat "$work/log"
        # The input, so that it can join the corpus.
        for found in "$work"/crash-* "$work"/timeout-* "$work"/oom-*; do
            [ -f "$found" ] && od -A x -t x1z "$found"
        done
        exit 1
    }
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs"
done
