#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What `meson install` leaves for a package: the libraries, the headers, the tools with their manual
# pages, the licence and the documents, which name no file that is not there; and nothing else.
#
#     package.sh MESON BUILD SOURCE
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2 source=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
include=$(find "$work/root" -path '*/include/sgt/sgt.h')
cd "${include%/include/sgt/sgt.h}"
failed=0
has() {
    [ -s "$1" ] || { echo "$1 is not installed"; failed=1; }
}

for header in "$source"/include/sgt/*.h "$source"/include/sgt/sys/*.h; do
    has "include${header#"$source/include"}"
done
for tool in sgt-backend-test sgt-policy-test; do
    has bin/$tool
    has share/man/man1/$tool.1
    # Each option of the help has its place in the manual page.
    for option in $(LD_LIBRARY_PATH=$library_dir bin/$tool --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
        sed 's/\\-/-/g' share/man/man1/$tool.1 | grep -q -- "^\.BR* --$option" ||
            { echo "--$option is not in $tool.1"; failed=1; }
    done
done
has share/doc/sgt/COPYING
has share/doc/sgt/README.md
for page in "$source"/doc/*.md; do
    has "share/doc/sgt/doc/$(basename "$page")"
done
for link in $(cd share/doc/sgt && grep -oh '](doc/[^)#]*' README.md | cut -c 3- | sort -u); do
    has "share/doc/sgt/$link"
done
others=$(find . -type f ! -path './include/sgt/*' ! -path './lib*' ! -path './bin/sgt-*-test' \
    ! -path './share/man/man1/*' ! -path './share/doc/sgt/*')
[ -z "$others" ] || { echo "more is installed: $others"; failed=1; }
exit "$failed"
