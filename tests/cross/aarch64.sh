#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Cross-compiles the library and its tests for 64-bit ARM and runs them under qemu's user mode. For
# Debian 12 and later on another processor; takes half an hour of two cores, so it is not part of
# tests/run.sh. The last line is "N passed, N failed, N skipped", as there.
#
#     tests/cross/aarch64.sh [BUILD [MESON-OPTION...]]      BUILD: a folder, default build-aarch64
#
#     SGT_CROSS_SUITES   suites to run, default all but those that compile and install
#
# The compiler and qemu are packages of this machine (installed when they are missing). What the
# library and the tests link (jansson, xxhash, Check, BLIS) comes from arm64 packages of Debian,
# which are unpacked into a folder inside BUILD and never installed: the package manager of this
# machine is not told of a second architecture.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build-aarch64}
[ $# -gt 0 ] && shift
mkdir -p "$build"
build=$(cd "$build" && pwd)
sysroot=$build/sysroot
triplet=aarch64-linux-gnu

tools="gcc-$triplet libc6-dev-arm64-cross qemu-user pkg-config meson ninja-build"
libraries="libc6 libgcc-s1 libjansson4 libjansson-dev libxxhash0 libxxhash-dev check libsubunit0
    libsubunit-dev libblis-serial-dev librandom123-dev"
suites="base plugins format backend model decode growth optim checkpoint fuzz abi golden"
suites=${SGT_CROSS_SUITES:-$suites}
# What starts a program of the other architecture by itself.
left_out='^\(safetensors-python\|golden_detects\|huggingface interop\|loop cost.*\)$'

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_tools() {
    missing=
    for package in $tools; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null) in
        ii*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    echo "installing$missing"
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        --no-install-recommends $missing
}

# apt-get as a machine of that architecture would run it, with lists and packages of its own.
apt_arm64() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o Dir::State="$build/apt/state" -o Dir::State::status="$build/apt/state/status" \
        -o Dir::Cache="$build/apt/cache" -o APT::Sandbox::User= "$@"
}

unpack_libraries() {
    [ ! -f "$sysroot/complete" ] || return 0
    mkdir -p "$build/apt/state/lists/partial" "$build/apt/cache/archives/partial" \
        "$build/apt/packages" "$sysroot"
    : > "$build/apt/state/status"
    apt_arm64 update
    # shellcheck disable=SC2086 # a list
    (cd "$build/apt/packages" && apt_arm64 download $libraries)
    for package in "$build"/apt/packages/*.deb; do
        dpkg-deb -x "$package" "$sysroot"
    done
    [ -e "$sysroot/lib" ] || ln -s usr/lib "$sysroot/lib"
    # Absolute links of the packages point out of the folder.
    find "$sysroot" -type l -lname '/*' | while read -r link; do
        ln -snf "$sysroot$(readlink "$link")" "$link"
    done
    touch "$sysroot/complete"
}

write_cross_file() {
    cat > "$build/aarch64.ini" << END
[binaries]
# BLIS is in a folder of its own.
c = ['$triplet-gcc', '-B$sysroot/usr/lib/$triplet/blis-serial']
ar = '$triplet-ar'
objcopy = '$triplet-objcopy'
strip = '$triplet-strip'
pkg-config = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '$sysroot', '-E', 'LD_LIBRARY_PATH=$sysroot/usr/lib/$triplet']

[built-in options]
c_args = ['-isystem', '$sysroot/usr/include', '-isystem', '$sysroot/usr/include/$triplet']
c_link_args = ['-L$sysroot/usr/lib/$triplet', '-Wl,-rpath-link,$sysroot/usr/lib/$triplet']

[properties]
sys_root = '$sysroot'
pkg_config_libdir = '$sysroot/usr/lib/$triplet/pkgconfig'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END
}

count() {
    python3 - "$build/library/meson-logs/testlog.json" << 'END'
import json
import sys
counts = {"passed": 0, "failed": 0, "skipped": 0}
kinds = {"OK": "passed", "SKIP": "skipped"}
with open(sys.argv[1]) as log:
    for line in log:
        counts[kinds.get(json.loads(line)["result"], "failed")] += 1
print(", ".join(f"{n} {what}" for what, n in counts.items()))
sys.exit(counts["failed"] > 0 or counts["passed"] == 0)
END
}

install_tools
unpack_libraries
write_cross_file
if [ ! -f "$build/library/build.ninja" ]; then
    meson setup "$build/library" "$root" --cross-file "$build/aarch64.ini" -Dfuzz=disabled \
        -Dexamples=false "$@"
fi
ninja -C "$build/library"
chosen=
for suite in $suites; do
    chosen="$chosen --suite $suite"
done
# shellcheck disable=SC2086 # a list
meson test -C "$build/library" --no-rebuild --list $chosen 2> /dev/null |
    sed -n 's/^.* - sgt:\(.*\)$/\1/p' | grep -v "$left_out" > "$build/tests"
set --
while read -r name; do
    set -- "$@" "sgt:$name"
done < "$build/tests"
rm -f "$build/library/meson-logs/testlog.json"
meson test -C "$build/library" --no-rebuild --num-processes 2 --timeout-multiplier 20 \
    --print-errorlogs "$@" || true
count
