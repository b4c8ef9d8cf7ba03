#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A conformance program must fail one check, with a message, and say so at the end.
#
#     expect_failure.sh CHECK PATTERN PROGRAM ARGUMENT...
#
# PATTERN is a basic regular expression for the message of CHECK.
set -u

check=$1 pattern=$2
shift 2
output=$("$@" 2>&1)
status=$?
printf '%s\n' "$output"
[ "$status" -eq 1 ] || { echo "the exit status is $status"; exit 1; }
printf '%s\n' "$output" | grep "^FAILED   $check " | grep -q -- "$pattern" || {
    echo "$check does not fail with '$pattern'"
    exit 1
}
printf '%s\n' "$output" | tail -n 1 | grep -q '^[0-9]* passed, [1-9][0-9]* failed, [0-9]* skipped$'
