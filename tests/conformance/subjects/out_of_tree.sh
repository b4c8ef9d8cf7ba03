#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A backend of examples/, built outside of the tree from what is installed, passes the installed
# suite and the golden cases. Skipped where what it stands on is missing.
#
#     out_of_tree.sh MESON BUILD EXAMPLE PACKAGE GOLDEN-CHECK CASES...
#
# EXAMPLE: the folder; PACKAGE: what pkg-config must know.
set -eu

here=$(dirname "$0")
# shellcheck source=tests/consumers/install_tree.sh
. "$here/../../consumers/install_tree.sh"
meson=$1 build=$2 example=$3 package=$4 golden_check=$5
shift 5
command -v pkg-config > /dev/null && pkg-config --exists "$package" || {
    echo "skipped: $package is not installed"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
# sgt.pc lies below the root, the other package where it always does.
system_libdir=$(env -u PKG_CONFIG_LIBDIR -u PKG_CONFIG_SYSROOT_DIR pkg-config --variable pc_path pkg-config)
unset PKG_CONFIG_SYSROOT_DIR
sed "s|^prefix=|prefix=$work/root|" "$pc" > "$work/sgt.pc"
PKG_CONFIG_LIBDIR=$work:$system_libdir
LD_LIBRARY_PATH=$library_dir
PATH=$(dirname "$(find "$work/root" -name sgt-backend-test)"):$PATH
POCL_CACHE_DIR=$work/pocl # kernels that PoCL compiled
mkdir "$POCL_CACHE_DIR"
export PKG_CONFIG_LIBDIR LD_LIBRARY_PATH PATH POCL_CACHE_DIR

# shellcheck disable=SC2086 # the command may have arguments
$meson setup "$work/build" "$example" --werror > "$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
ninja -C "$work/build"
plugin=$(find "$work/build" -name 'libsgt_*.so')

output=$(sgt-backend-test --op open "$plugin") || {
    echo "$output"
    echo "$output" | grep -q 'SGT_E_UNSUPPORTED' && {
        echo "skipped: the backend finds no device"
        exit 77
    }
    exit 1
}
# shellcheck disable=SC2086
$meson test -C "$work/build" --print-errorlogs
"$golden_check" --backend "$plugin" "$@"
