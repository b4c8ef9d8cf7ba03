#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library and runs every test. The last line is "N passed, N failed", with
# ", N skipped" behind it where there were any; the status is 0 only when some ran and none failed.
#
#     tests/run.sh [BUILD [MESON-OPTION...]]       BUILD: a folder of the repository, default build
#
# On Debian what is missing is installed first.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/${1:-build}
[ $# -gt 0 ] && shift
packages="gcc g++ clang meson ninja-build pkg-config python3 valgrind check
    libblis-serial-dev libjansson-dev libxxhash-dev librandom123-dev libopenblas-serial-dev"
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
    set -- -Dtests=true -Dexamples=true -Dbench=true "$@"
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

# shellcheck disable=SC2086 # lists
install_packages $packages || give_up "packages could not be installed"
# shellcheck disable=SC2086
install_packages $wanted || echo "run.sh: not installed: $wanted"
configure "$@" || give_up "the build could not be configured"
ninja -C "$build" || give_up "the build failed"

rm -f "$build/meson-logs/testlog.json"
meson test -C "$build" --no-rebuild --num-processes 2 --print-errorlogs
status=$?
counts=$(count_tests)
passed=${counts%% *} skipped=${counts##* }
failed=${counts#* } failed=${failed% *}
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "run.sh: meson test gave status $status"
    failed=1
fi

finish
