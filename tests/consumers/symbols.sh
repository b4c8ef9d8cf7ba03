#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The names that a library shows are those of the symbol map, no more and no fewer.
#
#     symbols.sh MAP shared|static LIBRARY
set -eu

map=$1 kind=$2 library=$3
command -v nm > /dev/null || { echo "skipped: no nm"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ *\(sgt_[a-z0-9_]*\);$/\1/p' "$map" | sort > "$work/expected"
case $kind in
shared) nm -D --defined-only "$library" ;;
static) nm -g --defined-only "$library" ;;
esac > "$work/nm"
# "address type name@@version"; the version itself is an absolute symbol.
awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' "$work/nm" | sort > "$work/found"

[ -s "$work/expected" ] || { echo "no names in $map"; exit 1; }
echo "$(wc -l < "$work/expected") names in the map, $(wc -l < "$work/found") in $library"
diff -u "$work/expected" "$work/found"
