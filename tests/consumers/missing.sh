#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Configuring without a library that is needed says which package has it; what README.md gives for
# those who only install needs nothing that only the tests use.
#
#     missing.sh MESON SOURCE
set -eu

meson=$1 source=$2
command -v pkg-config > /dev/null || { echo "skipped: no pkg-config"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folders=$(pkg-config --variable pc_path pkg-config | tr : ' ')

# Configures where pkg-config knows all but $1, and nobody else knows more.
configure_without() {
    rm -rf "$work/pc" "$work/build"
    mkdir "$work/pc"
    for folder in $folders; do
        [ -d "$folder" ] && find "$folder" -name '*.pc' ! -name "$1.pc" \
            -exec ln -sf {} "$work/pc" \;
    done
    shift
    # shellcheck disable=SC2086 # the command may have arguments
    env -u PKG_CONFIG_PATH PKG_CONFIG_LIBDIR="$work/pc" CMAKE=/nonexistent \
        $meson setup "$work/build" "$source" "$@" > "$work/log" 2>&1
}

must_name() {
    if configure_without "$1" -Dfuzz=disabled; then
        echo "without $1: nothing is said"
        exit 1
    fi
    grep "ERROR: .*(Debian: .*$2" "$work/log" || {
        tail -n 5 "$work/log"
        echo "without $1: $2 is not named"
        exit 1
    }
}

must_name jansson libjansson-dev
must_name check check
configure_without check -Dtests=false -Dexamples=false || {
    cat "$work/log"
    exit 1
}
