#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library and runs every test. At the end are the reasons of all skips, and the last line
# is "N passed, N failed", with ", N skipped" behind it where there were any; the status is 0 only
# when some ran and none failed.
#
#     tests/run.sh [BUILD [MESON-OPTION...]]       BUILD: a folder of the repository, default build
#
# On Debian what is missing is installed first. The Python package is tested with the Python that
# SGT_PYTHON names; else with the system's, whose numpy and pytest are Debian's; else with the
# first python3 that has both; else with one that is made in the build folder.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/${1:-build}
[ $# -gt 0 ] && shift
packages="gcc g++ clang libclang-rt-dev meson ninja-build pkg-config python3 valgrind check
    abigail-tools cmake doxygen gcovr libopenblas-serial-dev
    libblis-serial-dev libjansson-dev libxxhash-dev librandom123-dev
    python3-numpy python3-matplotlib python3-pytest python3-mypy python3-tqdm python3-venv"
# For the worked OpenCL backend, 65 MB: without them its test is skipped.
wanted="pocl-opencl-icd ocl-icd-opencl-dev opencl-headers"

# A step without which there is nothing to test.
give_up() {
    echo "run.sh: $1"
    echo "0 passed, 1 failed"
    exit 1
}

# Installs those that are missing.
install_packages() {
    command -v apt-get > /dev/null && command -v dpkg-query > /dev/null || return 0
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null) in
        ii*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || { echo "run.sh: not installed:$missing"; return 0; }
        as_root=sudo
    fi
    echo "installing$missing"
    $as_root apt-get update -q &&
        # shellcheck disable=SC2086 # a list
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
            --no-install-recommends $missing
}

configure() {
    set -- -Dtests=true -Dexamples=true -Dbench=true -Dpython=enabled \
        -Dpython_interpreter="$python" "$@"
    if [ -f "$build/build.ninja" ]; then
        # Another version of meson may have made the folder.
        meson setup --reconfigure "$build" "$root" "$@" || meson setup --wipe "$build" "$root" "$@"
    else
        meson setup "$build" "$root" "$@"
    fi
}

can_test() {
    "$1" -c 'import numpy, pytest' 2> /dev/null
}

choose_python() {
    if [ -n "${SGT_PYTHON:-}" ]; then
        python=$SGT_PYTHON
        can_test "$python"
        return
    fi
    for python in /usr/bin/python3 python3; do
        can_test "$python" && return
    done
    python=$build/python/bin/python
    can_test "$python" ||
        { python3 -m venv "$build/python" &&
            "$python" -m pip install -q numpy matplotlib pytest mypy; }
}

test_python() {
    library=$build/lib/libsgt.so
    [ -e "$library" ] || { echo "run.sh: no shared library, no tests in Python"; return 0; }
    "$python" -c 'import sys, numpy; print("Python", sys.version.split()[0], "of", sys.executable,
        "with numpy", numpy.__version__)'
    # What a sanitizer needs must be loaded before Python; nobody makes a wheel of such a build, and
    # whole trainings take too long in it.
    preload=$(ldd "$library" | sed -n 's/.*libasan[^ ]* => \([^ ]*\).*/\1/p')
    [ -z "$preload" ] || set -- --ignore "$root/bindings/python/tests/test_wheel.py" \
        --ignore "$root/bindings/python/tests/test_examples.py"
    SGT_LIBRARY=$library PYTHONPATH=$root/bindings/python/src PYTHONDONTWRITEBYTECODE=1 \
        LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 "$python" -m pytest -q \
        -p no:cacheprovider --junitxml "$build/meson-logs/python.xml" "$@" "$root/bindings/python"
}

# shellcheck disable=SC2086 # lists
install_packages $packages || give_up "packages could not be installed"
# shellcheck disable=SC2086
install_packages $wanted || echo "run.sh: not installed: $wanted"
choose_python || give_up "${python:-python3} has no numpy and pytest"
configure "$@" || give_up "the build could not be configured"
ninja -C "$build" || give_up "the build failed"

rm -f "$build/meson-logs/testlog.json" "$build/meson-logs/python.xml"
meson test -C "$build" --no-rebuild --no-suite python --num-processes 2 --print-errorlogs
status=$?
test_python
python3 "$root/tests/results.py" summary "$build" "$status" $?
