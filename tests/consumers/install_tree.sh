# SPDX-License-Identifier: BSD-3-Clause
# Sourced: installs a build into a folder of its own and points pkg-config there.
#
#     install_tree MESON BUILD ROOT

install_tree() {
    command -v pkg-config > /dev/null || { echo "skipped: no pkg-config"; exit 77; }
    # shellcheck disable=SC2086 # the command may have arguments
    DESTDIR=$3 $1 install -C "$2" --no-rebuild > "$3.log" 2>&1 || {
        cat "$3.log"
        exit 1
    }
    pc=$(find "$3" -name sgt.pc)
    [ -n "$pc" ] || { echo "no sgt.pc was installed"; exit 1; }
    PKG_CONFIG_SYSROOT_DIR=$3
    PKG_CONFIG_LIBDIR=$(dirname "$pc")
    export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
    library_dir=$(dirname "$PKG_CONFIG_LIBDIR")
}
