#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The long runs, hours of them: what does not fit into continuous integration. Each part prints lines
# for doc/reliability.md; the last line says whether all were clean.
#
#     tests/long.sh [PART...]       of: faults valgrind tsan coverage fuzz mutate; default all
#
# SGT_FUZZ_HOURS: of one processor, over all targets; default 4. SGT_FUZZ_CORPUS: a folder in which the
# inputs found are kept; default build-long/corpus. SGT_MUTATE_JOBS: see tests/mutate/mutate.py.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build-long
[ $# -gt 0 ] || set -- faults valgrind tsan coverage fuzz mutate
mkdir -p "$work"
broken=

# The programs of the tests whose names match, one to a line.
programs() {
    meson introspect "$1" --tests | python3 -c '
import json, re, sys
wanted = re.compile(sys.argv[1])
print("\n".join(sorted({t["cmd"][0] for t in json.load(sys.stdin)
                        if len(t["cmd"]) == 1 and wanted.search(t["cmd"][0])})))' "$2"
}

build() {
    folder=$work/$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$root" "$@" > "$folder.log" 2>&1 ||
        { cat "$folder.log"; return 1; }
    ninja -C "$folder" > "$folder.log" 2>&1 || { tail -n 40 "$folder.log"; return 1; }
}

# Every fault of the sweeps, none left out.
run_faults() {
    build plain -Dfuzz=disabled || return 1
    SGT_FAULT_STEP=1 SGT_TEST_KILLS=2000 meson test -C "$work/plain" --no-rebuild \
        --num-processes 2 --timeout-multiplier 100 --suite faults --suite checkpoint ||
        return 1
    grep -ahoE '^[a-zA-Z,: /]+: [0-9]+ calls in a life, [0-9]+ made to fail' \
        "$work/plain/meson-logs/testlog.txt" | sort -u
}

# Every program of Check that does not need a second process. valgrind 3.19 has no AVX-512; BLIS keeps
# its blocks, the sweep of malloc has an allocator of its own, the exponential is compared with long
# double, which valgrind takes for double, it traps no floating-point exceptions and flushes nothing to
# zero, and a test of another program is nothing to look at.
run_valgrind() {
    build plain -Dfuzz=disabled || return 1
    clean=0 unclean=0
    for program in $(programs "$work/plain" \
        'test_[a-z_0-9]+$' | grep -vE 'fork|kill|malloc|threads$|registry|blis|fault_(files|stops)|exponential|float_modes|sampler_golden|golden_detects'); do
        SGT_TEST_BACKEND=portable SGT_TEST_ISA=avx2 SGT_FAULT_STEP=97 CK_FORK=no \
        CK_DEFAULT_TIMEOUT=0 SGT_TEST_PLUGINS=$work/plain/tests/plugins timeout 7200 \
            valgrind -q --error-exitcode=9 --leak-check=full \
            --errors-for-leak-kinds=definite,indirect "$program" > "$work/valgrind.log" 2>&1
        status=$?
        case $status in
        0) clean=$((clean + 1)) ;;
        77) echo "valgrind: $(basename "$program") $(grep '^skipped: ' "$work/valgrind.log")" ;;
        *)
            tail -n 60 "$work/valgrind.log"
            echo "valgrind: $(basename "$program") gave status $status"
            unclean=$((unclean + 1))
            ;;
        esac
    done
    echo "valgrind: $clean programs clean, $unclean not"
    [ "$unclean" -eq 0 ]
}

# What has threads; Check must not fork, or nothing is seen.
run_tsan() {
    build tsan -Dfuzz=disabled -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false ||
        return 1
    for program in $(programs "$work/tsan" \
        'test_(memory|errors|evaluate|threads_identity|concurrency|whole_life|thread_identity|session[a-z_]*)$'); do
        for backend in portable blis; do
            SGT_TEST_BACKEND=$backend SGT_TEST_THREADS=3 CK_FORK=no CK_DEFAULT_TIMEOUT=0 \
            TSAN_OPTIONS=halt_on_error=1:exitcode=9 timeout 7200 "$program" > "$work/tsan.log" 2>&1
            status=$?
            case $status in
            0) echo "tsan: $(basename "$program") on $backend clean" ;;
            77) echo "tsan: $(basename "$program") $(grep '^skipped: ' "$work/tsan.log")" ;;
            *)
                tail -n 60 "$work/tsan.log"
                echo "tsan: $(basename "$program") on $backend gave status $status"
                return 1
                ;;
            esac
        done
    done
}

run_coverage() {
    "$root/tests/coverage.sh" build-long/coverage | tail -n 14
}

run_fuzz() {
    clang=$(command -v clang) || return 1
    targets="safetensors config checkpoint json plan policy files api"
    export SGT_FUZZ_CORPUS=${SGT_FUZZ_CORPUS:-$work/corpus}
    mkdir -p "$SGT_FUZZ_CORPUS"
    SGT_FUZZ_SECONDS=$(python3 -c "print(int(${SGT_FUZZ_HOURS:-4} * 3600 / 8))")
    export SGT_FUZZ_SECONDS
    echo "fuzz: $SGT_FUZZ_SECONDS seconds of each target"
    # shellcheck disable=SC2086 # a list
    printf '%s\n' $targets | xargs -n 1 -P "$(nproc)" \
        "$root/tests/fuzz/fuzz.sh" "$clang" "$root" "$work/clang"
}

# The library broken in one place at a time; a line for each says whether a test noticed.
run_mutate() {
    python3 "$root/tests/mutate/mutate.py" run "$root" "$work/mutate"
}

for part; do
    echo "== $part"
    "run_$part" || broken="$broken $part"
done
[ -z "$broken" ] && echo "all clean" || echo "not clean:$broken"
[ -z "$broken" ]
