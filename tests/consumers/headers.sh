#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every public header compiles alone, without a warning.
#
#     headers.sh INCLUDE LANGUAGE STANDARD COMPILER...
set -eu

include=$1 language=$2 standard=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

count=0
failed=0
cd "$include"
for header in sgt/*.h sgt/*/*.h; do
    [ -f "$header" ] || continue
    count=$((count + 1))
    printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$header" "$header" \
        > "$work/unit"
    "$@" -x "$language" "-std=$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
        -I"$include" "$work/unit" || { echo "$header does not compile alone"; failed=1; }
done
echo "$count headers as $standard"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
