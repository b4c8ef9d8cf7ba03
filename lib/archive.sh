#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes the static library: everything, with the members of BLIS that are needed, in one object in
# which only the names of the symbol map stay global. A host may link another BLAS beside it.
#
#     archive.sh OUT MAP OBJCOPY AR LIBRARY [ARCHIVE] -- COMPILER...
set -eu

out=$1 map=$2 objcopy=$3 ar=$4 library=$5
shift 5
blis=
if [ "$1" != -- ]; then
    blis=$1
    shift
fi
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ *\(sgt_[a-z0-9_]*\);$/\1/p' "$map" > "$work/names"
# shellcheck disable=SC2086 # blis may be nothing
"$@" -r -nostdlib -o "$work/sgt.o" -Wl,--whole-archive "$library" -Wl,--no-whole-archive $blis
"$objcopy" --keep-global-symbols="$work/names" "$work/sgt.o"
rm -f "$out"
"$ar" rcsD "$out" "$work/sgt.o"
