#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Each function that a public header marks SGT_API is in the symbol map, and nothing else is.
#
#     map.sh MAP INCLUDE
set -eu

map=$1 include=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ *\(sgt_[a-z0-9_]*\);$/\1/p' "$map" | sort > "$work/map"
# A declaration may go over several lines; its name is what stands before the first bracket.
cat "$include"/sgt/*.h "$include"/sgt/*/*.h | grep -v '^#' | tr '\n' ' ' |
    grep -o 'SGT_API [^(;]*(' | sed 's/ *($//; s/.*[ *]//' | sort > "$work/headers"

[ -s "$work/headers" ] || { echo "no functions in $include"; exit 1; }
echo "$(wc -l < "$work/headers") functions in the headers"
diff -u "$work/headers" "$work/map"
