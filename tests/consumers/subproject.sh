#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The library as a subproject of a small meson project, without its tests beside it. The host has its
# files united, and flags that the library must not be built with: its own, or everybody's. A wrap
# provides the name of the dependency.
#
#     subproject.sh MESON SOURCE shared|static VERSION
set -eu

here=$(cd "$(dirname "$0")" && pwd)
meson=$1 source=$2 kind=$3 version=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/host/subprojects/sgt"
cp -r "$source/meson.build" "$source/meson_options.txt" "$source/include" "$source/lib" \
    "$work/host/subprojects/sgt"
cp "$here/consumer.c" "$work/host"
cat > "$work/host/subprojects/sgt.wrap" << END
[wrap-git]
url = file://$source
revision = HEAD
[provide]
dependency_names = sgt
END
own='' global=''
if [ "$kind" = static ]; then
    global="add_global_arguments('-ffast-math', language: 'c')"
else
    own=-Ofast
fi
cat > "$work/host/meson.build" << END
project('host', 'c', default_options: ['c_std=c11', 'buildtype=debug', 'werror=true'])
$global
sgt = dependency('sgt', version: '$version')
host = executable('host', 'consumer.c', dependencies: sgt,
    c_args: '-DEXPECTED_VERSION="$version"')
test('host', host, timeout: 120)
END
# Another folder each time is no reason for ccache to compile again.
export CCACHE_BASEDIR="$work" CCACHE_NOHASHDIR=1
# An installed libsgt must not stand in for the subproject.
# shellcheck disable=SC2086 # the command may have arguments
$meson setup "$work/build" "$work/host" --unity=on "-Dc_args=$own" \
    "-Dsgt:default_library=$kind" -Dsgt:werror=false --wrap-mode=forcefallback
# shellcheck disable=SC2086
$meson test -C "$work/build" --print-errorlogs
if [ "$kind" = shared ]; then
    sh "$here/../abi/constructors.sh" "$(find "$work/build" -name 'libsgt.so')"
fi
