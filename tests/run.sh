#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library and runs every test. The last line is "N passed, N failed", with
# ", N skipped" behind it where there were any; the status is 0 only when some ran and none failed.
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
packages="gcc g++ clang meson ninja-build pkg-config python3 valgrind check
    abigail-tools cmake doxygen gcovr libopenblas-serial-dev
    libblis-serial-dev libjansson-dev libxxhash-dev librandom123-dev
    python3-numpy python3-matplotlib python3-pytest python3-mypy python3-venv"
# For the worked OpenCL backend; 65 MB, so without them its test is skipped.
wanted="pocl-opencl-icd ocl-icd-opencl-dev opencl-headers"

passed=0 failed=0 skipped=0

finish() {
    line="$passed passed, $failed failed"
    [ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
    echo "$line"
    [ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
    exit
}

# A step without which there is nothing to test.
give_up() {
    echo "run.sh: $1"
    failed=1
    finish
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

count_tests() {
    python3 - "$build/meson-logs/testlog.json" << 'END'
import json, sys
counts = {"passed": 0, "failed": 0, "skipped": 0}
kinds = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
try:
    with open(sys.argv[1]) as log:
        for line in log:
            counts[kinds.get(json.loads(line)["result"], "failed")] += 1
except OSError:
    pass
print(counts["passed"], counts["failed"], counts["skipped"])
END
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

count_python() {
    python3 - "$build/meson-logs/python.xml" << 'END'
import sys
import xml.etree.ElementTree as xml
try:
    suite = xml.parse(sys.argv[1]).getroot().find("testsuite")
    tests, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
except OSError:
    tests = failed = skipped = 0
print(tests - failed - skipped, failed, skipped)
END
}

# Adds "PASSED FAILED SKIPPED" to the sums; a status that says more than they do is a failure.
add_counts() {
    name=$1 status=$2
    shift 2
    if [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
        echo "run.sh: $name gave status $status"
        failed=$((failed + 1))
    fi
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
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
# shellcheck disable=SC2046 # three numbers
add_counts "meson test" $? $(count_tests)
test_python
# shellcheck disable=SC2046
add_counts pytest $? $(count_python)

finish
