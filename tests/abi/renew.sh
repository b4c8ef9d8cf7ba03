#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Writes the baselines anew: libsgt.abi and plugin.abi (needs Debian's abigail-tools), and layout.h.
# For what was added; read the diff before you commit it. doc/abi.md says what may change.
#
#     tests/abi/renew.sh [LIBRARY]      default build/lib/libsgt.so, for its soname
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
library=${1:-$source/build/lib/libsgt.so}
[ -f "$library" ] || {
    echo "$library is not there: build the library first"
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck source=tests/abi/dump.sh
. "$here/dump.sh"
# shellcheck disable=SC2086 # may have arguments
python3 "$here/layout.py" print "$source/include" ${CC:-cc} > "$work/layout.h"
dump_abi "$source" "$work" "$library" "${CC:-cc}"
cp "$work/layout.h" "$work/libsgt.abi" "$work/plugin.abi" "$here"
wc -l "$here/libsgt.abi" "$here/plugin.abi" "$here/layout.h"
