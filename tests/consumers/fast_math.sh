#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every file of the library refuses flags that take NaN, infinity or the order of sums away; a host
# may use them for its own files.
#
#     fast_math.sh SOURCE COMPILER...
set -eu

source=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failed=0
for flag in -ffast-math -Ofast -ffinite-math-only; do
    for file in $(find "$source/lib" -name '*.c'); do
        "$@" -D_GNU_SOURCE -DSGTI_ISA=baseline -I"$source/include" -E "$flag" "$file" \
            > /dev/null 2> "$work/said" || true
        grep -q 'libsgt needs NaN' "$work/said" || { echo "$file takes $flag"; failed=1; }
    done
    "$@" -std=c11 -Wall -Wextra -Werror -Wno-unknown-warning-option "$flag" -fsyntax-only \
        -I"$source/include" "$source/include/sgt/sgt.h" || failed=1
done
exit "$failed"
