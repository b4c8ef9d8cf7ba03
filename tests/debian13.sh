#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Compiles everything as Debian 13 does, every warning an error: a root of Debian 13 is made by
# debootstrap (for which one must be root), and what was built is tried there. Where that cannot be,
# a newer gcc of this machine, or clang, compiles instead. Status 77: none of them is here, and
# nothing was done.
#
#     tests/debian13.sh [ROOT]      keeps the root of Debian 13 there and uses it again
set -u

source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
debian=${1:-$work/debian13}
packages="gcc g++ meson ninja-build pkg-config check python3 librandom123-dev libjansson-dev
    libblis-serial-dev libxxhash-dev libopenblas-serial-dev ocl-icd-opencl-dev opencl-headers"
options="-Dwerror=true -Dtests=true -Dexamples=true -Dbench=true -Dfuzz=disabled"

# The mirror that this machine's apt takes Debian from.
find_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' 2> /dev/null |
        head -n 1
}

make_debian() {
    [ -x "$debian/usr/bin/meson" ] && return 0
    [ "$(id -u)" -eq 0 ] || { echo "debian13.sh: debootstrap needs root"; return 1; }
    command -v debootstrap > /dev/null || { echo "debian13.sh: no debootstrap"; return 1; }
    mirror=$(find_mirror)
    {
        debootstrap --variant=minbase trixie "$debian" "${mirror:-http://deb.debian.org/debian}" &&
            # shellcheck disable=SC2086 # a list
            chroot "$debian" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -q --no-install-recommends $packages
    } > "$work/log" 2>&1 || {
        tail -n 5 "$work/log"
        echo "debian13.sh: Debian 13 could not be installed"
        return 1
    }
}

# What runs in the new root, in a namespace of its own, so that what is mounted goes with it.
in_debian() {
    mkdir -p "$debian/source" "$debian/build"
    unshare --mount sh -c 'mount --bind "$1" "$2/source" && mount -t proc proc "$2/proc" &&
        mount --rbind /dev "$2/dev" && exec chroot "$2" sh -c "$3"' sh "$source" "$debian" "$1"
}

may_enter_debian() {
    in_debian true && return 0
    echo "debian13.sh: the root of Debian 13 cannot be entered"
    return 1
}

build_on_debian() {
    in_debian 'gcc --version | head -n 1' || return 1
    for buildtype in release debugoptimized; do
        in_debian "rm -rf /build/* && meson setup /build /source $options \
            -Dbuildtype=$buildtype > /build/log || { cat /build/log; exit 1; }
            ninja -C /build > /build/log || { grep -A 12 'error:\|ERROR\|FAILED' /build/log; exit 1; }" ||
            return 1
        echo "debian13.sh: $buildtype without a warning"
    done
    in_debian 'meson test -C /build --no-rebuild --num-processes 2 --print-errorlogs \
        --suite base --suite format --suite golden'
}

build_here() {
    for compiler in gcc-14 gcc-13 clang; do
        command -v "$compiler" > /dev/null || continue
        echo "debian13.sh: without Debian 13, by $("$compiler" --version | head -n 1)"
        # shellcheck disable=SC2086 # a list
        CC=$compiler meson setup "$work/build" "$source" $options > "$work/log" &&
            ninja -C "$work/build" > "$work/log" || {
            grep -A 12 'error:\|ERROR\|FAILED' "$work/log"
            return 1
        }
        return 0
    done
    echo "debian13.sh: NOT DONE: neither Debian 13 nor a newer compiler is here; a skip"
    return 77
}

if make_debian && may_enter_debian; then
    build_on_debian
else
    build_here
fi
