#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Version numbers agree (doc/abi.md): the soname is the part of the version that names an ABI, the
# symbol map has no node of a later release, and the headers say the project's version.
#
#     soname.sh LIBRARY MAP INCLUDE VERSION
set -eu

library=$1 map=$2 include=$3 version=$4
command -v readelf > /dev/null || {
    echo "skipped: no readelf"
    exit 77
}
major=${version%%.*}
minor=${version#*.} minor=${minor%%.*}
if [ "$major" -eq 0 ]; then
    abi=0.$minor # any minor release may break what was before
else
    abi=$major
fi

failed=0
is() {
    echo "$1: $2"
    [ "$2" = "$3" ] || {
        echo "$1 should be $3"
        failed=1
    }
}
is soname "$(readelf -W -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" "libsgt.so.$abi"

macro() {
    sed -n "s/^#define SGT_VERSION_$1 \([0-9]*\)$/\1/p" "$include/sgt/common.h"
}
is headers "$(macro MAJOR).$(macro MINOR).$(macro PATCH)" "$version"

# Below 1.0 a soname has one node; later each release that adds names has its own.
nodes=$(sed -n 's/^SGT_\([0-9.]*\) {$/\1/p' "$map" | sort -V)
newest=$(echo "$nodes" | tail -n 1)
later=$(printf '%s\n%s\n' "$newest" "$major.$minor" | sort -V | tail -n 1)
is "newest node or release" "$later" "$major.$minor"
[ "$major" -gt 0 ] || is "nodes" "$(echo $nodes)" "0.$minor"
exit "$failed"
