#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What programs and plug-ins see of the library is what the committed baseline says: first the
# headers, then a library with debug information. Anything taken away or changed breaks programs
# that exist; what was added needs a new baseline (renew.sh), so that it is seen in a review and
# kept from then on.
#
#     abidiff.sh SOURCE WORK LIBRARY MESON COMPILER...      WORK may be used again
set -eu

source=$1 work=$2 library=$3 meson=$4
shift 4
cc=$*
for tool in abidw abidiff readelf; do
    command -v "$tool" > /dev/null || {
        echo "skipped: no $tool (Debian: abigail-tools)"
        exit 77
    }
done
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/abi/dump.sh
. "$here/dump.sh"

# The smallest build: what it leaves out (BLIS, checksums) cannot be seen from outside.
build_library() {
    if [ ! -f "$work/debug/build.ninja" ]; then
        # shellcheck disable=SC2086 # commands may have arguments
        env -u CFLAGS -u LDFLAGS CC="$cc" $meson setup "$work/debug" "$source" --buildtype=debug \
            -Ddefault_library=shared -Dtests=false -Dexamples=false -Dblis=disabled \
            -Dchecksums=disabled
    fi
    # shellcheck disable=SC2086
    $meson compile -C "$work/debug" -j 2
}

compare() {
    abidiff --no-architecture "$here/$1" "$2" || {
        echo "$3"
        return 1
    }
    echo "$2: as in the baseline, $(wc -l < "$here/$1") lines"
}

mkdir -p "$work"
dump_abi "$source" "$work" "$library" "$cc"
build_library > "$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
differs="the headers differ from the baseline. Where they only add: sh tests/abi/renew.sh; else
programs or plug-ins that exist would break (see doc/abi.md)"
compare libsgt.abi "$work/libsgt.abi" "$differs"
compare plugin.abi "$work/plugin.abi" "$differs"
compare libsgt.abi "$work/debug/lib/libsgt.so" "the library is not what its headers say"
