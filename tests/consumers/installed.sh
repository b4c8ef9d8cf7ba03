#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A program built from what is installed runs: with the flags that pkg-config gives, or with those
# that README.md names, typed by hand.
#
#     installed.sh MESON BUILD shared|static pkg-config|plain LANGUAGE STANDARD COMPILER...
set -eu

here=$(dirname "$0")
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2 kind=$3 way=$4 language=$5 standard=$6
shift 6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
version=$(pkg-config --modversion sgt)
include=$(find "$work/root" -path '*/include/sgt/sgt.h')
include=${include%/sgt/sgt.h}
if [ "$kind" = static ]; then
    find "$library_dir" -name 'libsgt.so*' -exec rm {} +
fi
case $way-$kind in
pkg-config-shared) cflags=$(pkg-config --cflags sgt) libs=$(pkg-config --libs sgt) ;;
pkg-config-static) cflags=$(pkg-config --cflags sgt) libs=$(pkg-config --static --libs sgt) ;;
plain-shared) cflags=-I$include libs="-L$library_dir -lsgt" ;;
plain-static) cflags=-I$include libs="$library_dir/libsgt.a -ljansson -lm -lpthread -ldl" ;;
esac
# shellcheck disable=SC2086 # lists of flags
"$@" -x "$language" "-std=$standard" -Wall -Wextra -Wpedantic -Werror \
    "-DEXPECTED_VERSION=\"$version\"" $cflags -c "$here/consumer.c" -o "$work/consumer.o"
# shellcheck disable=SC2086
"$@" "$work/consumer.o" -o "$work/consumer" $libs
LD_LIBRARY_PATH=$library_dir "$work/consumer"

# What is loaded is found by the soname, not by the name for linking, and looks for libraries where
# the system has them.
if [ "$kind" = shared ]; then
    if command -v readelf > /dev/null; then
        readelf -d "$library_dir/libsgt.so" > "$work/dynamic"
        grep 'RPATH\|RUNPATH' "$work/dynamic" && exit 1
    fi
    rm "$library_dir/libsgt.so"
    LD_LIBRARY_PATH=$library_dir "$work/consumer"
fi
