#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The static library links beside another BLAS and does not call it: first one that counts its
# calls, then the BLIS archive that the library was made with, as a host of its own might link it.
#
#     second_blas.sh MESON BUILD ARCHIVE COMPILER...      (ARCHIVE may be "none")
set -eu

here=$(dirname "$0")
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2 archive=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
find "$library_dir" -name 'libsgt.so*' -exec rm {} +
version=$(pkg-config --modversion sgt)

# shellcheck disable=SC2046 # lists of flags
"$@" -std=c11 "-DEXPECTED_VERSION=\"$version\"" "$here/consumer.c" "$here/second_blas.c" \
    -o "$work/counting" $(pkg-config --cflags sgt) $(pkg-config --static --libs sgt)
"$work/counting"

if [ "$archive" != none ]; then
    # shellcheck disable=SC2046
    "$@" -std=c11 "-DEXPECTED_VERSION=\"$version\"" "$here/consumer.c" -o "$work/beside" \
        $(pkg-config --cflags sgt) -Wl,--whole-archive "$archive" -Wl,--no-whole-archive \
        $(pkg-config --static --libs sgt)
    "$work/beside"
fi
