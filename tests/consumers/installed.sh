#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A program built from what is installed, by pkg-config alone, runs.
#
#     installed.sh MESON BUILD shared|static COMPILER...
set -eu

here=$(dirname "$0")
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2 kind=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
flags=
if [ "$kind" = static ]; then
    flags=--static
    find "$library_dir" -name 'libsgt.so*' -exec rm {} +
fi
# shellcheck disable=SC2046,SC2086 # lists of flags
"$@" -std=c11 -Wall -Wextra -Werror "-DEXPECTED_VERSION=\"$(pkg-config --modversion sgt)\"" \
    "$here/consumer.c" -o "$work/consumer" \
    $(pkg-config --cflags sgt) $(pkg-config $flags --libs sgt)
LD_LIBRARY_PATH=$library_dir "$work/consumer"
