#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The reference can be made, without a warning, and every function is in it.
#
#     reference.sh SOURCE MAP VERSION
set -eu

source=$1 map=$2 version=$3
command -v doxygen > /dev/null || {
    echo "skipped: no doxygen"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh "$source/doc/reference.sh" doxygen "$source" "$work" "$version"
names=$(sed -n 's/^ *\(sgt_[a-z0-9_]*\);$/\1/p' "$map")
missing=0
for name in $names; do
    grep -q "<name>$name</name>" "$work/html/libsgt.tag" || {
        echo "$name is not in the reference"
        missing=1
    }
done
echo "$(find "$work/html" -name '*.html' | wc -l) pages"
[ -n "$names" ] && [ "$missing" -eq 0 ]
