#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A CMake project finds what is installed with pkg_check_modules, in C and in C++.
#
#     cmake.sh MESON BUILD shared|static
set -eu

cmake=
for candidate in cmake /usr/bin/cmake; do
    [ -z "$cmake" ] && "$candidate" --version > /dev/null 2>&1 && cmake=$candidate
done
[ -n "$cmake" ] || {
    echo "skipped: no cmake"
    exit 77
}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2 kind=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
[ "$kind" = shared ] || find "$library_dir" -name 'libsgt.so*' -exec rm {} +
# The imported target is that of the shared library; for the static one there are variables.
link="target_link_libraries(\${program} PRIVATE PkgConfig::SGT)"
[ "$kind" = shared ] || link="
    target_include_directories(\${program} PRIVATE \${SGT_STATIC_INCLUDE_DIRS})
    target_link_directories(\${program} PRIVATE \${SGT_STATIC_LIBRARY_DIRS})
    target_link_libraries(\${program} PRIVATE \${SGT_STATIC_LIBRARIES})"
mkdir "$work/host"
cp "$here/consumer.c" "$work/host"
cp "$here/consumer.c" "$work/host/consumer_again.cpp"
cat > "$work/host/CMakeLists.txt" << END
cmake_minimum_required(VERSION 3.18)
project(host C CXX)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SGT REQUIRED IMPORTED_TARGET sgt)
foreach(name consumer.c consumer_again.cpp)
    get_filename_component(program \${name} NAME_WE)
    add_executable(\${program} \${name})
    target_compile_definitions(\${program} PRIVATE "EXPECTED_VERSION=\"\${SGT_VERSION}\"")
    $link
endforeach()
END
{
    "$cmake" -S "$work/host" -B "$work/host/build" -G Ninja -DCMAKE_BUILD_TYPE=Release &&
        "$cmake" --build "$work/host/build" -j 2
} > "$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
for program in consumer consumer_again; do
    LD_LIBRARY_PATH=$library_dir "$work/host/build/$program"
done
