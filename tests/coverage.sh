#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds with coverage, runs every test and prints what of lib/ they reach; fails below 92 % of the
# lines or 80 % of the branches. (Counters that threads share may be off by some: none is exact, but
# what ran is known to have run.)
#
#     tests/coverage.sh [BUILD [MESON-OPTION...]]      BUILD: default build-coverage
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/${1:-build-coverage}
[ $# -gt 0 ] && shift
least_lines=92 least_branches=80

command -v gcovr > /dev/null || { echo "coverage.sh: gcovr is missing (Debian: gcovr)"; exit 1; }
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" -Db_coverage=true -Dbuildtype=debug \
    -Doptimization=1 -Db_ndebug=true -Dfuzz=disabled "$@"
ninja -C "$build"
find "$build" -name '*.gcda' -exec rm -f {} +
status=0
SGT_FAULT_STEP=${SGT_FAULT_STEP:-53} SGT_TEST_KILLS=${SGT_TEST_KILLS:-10} \
    meson test -C "$build" --no-rebuild --num-processes 2 --print-errorlogs \
        --no-suite consumers --no-suite abi || status=$? # these look at what the linker made
gcovr --root "$root" --object-directory "$build" --filter "$root/lib/" --print-summary \
    --exclude-throw-branches --gcov-ignore-parse-errors --txt "$build/coverage.txt" --json-summary "$build/coverage.json" \
    -j 2 "$build" > "$build/gcovr.log" 2>&1 || { tail -n 20 "$build/gcovr.log"; exit 1; }
python3 - "$build/coverage.json" "$least_lines" "$least_branches" << 'END'
import json, sys
summary = json.load(open(sys.argv[1]))
lines, branches = summary["line_percent"], summary["branch_percent"]
for name in sorted(summary["files"], key=lambda f: f["line_percent"])[:12]:
    print("%6.1f %% of lines, %5.1f %% of branches: %s"
          % (name["line_percent"], name["branch_percent"] or 100.0, name["filename"]))
print("coverage of lib/: %.1f %% of %d lines, %.1f %% of %d branches"
      % (lines, summary["line_total"], branches, summary["branch_total"]))
sys.exit(lines < float(sys.argv[2]) or branches < float(sys.argv[3]))
END
exit "$status"
