#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# loop_cost.sh PROGRAM: a loop of 2 of 16 heads costs about an eighth of a loop of all heads,
# in instructions counted by valgrind: forward and backward, projections and attention.
program=$1
command -v valgrind > /dev/null || { echo "skipped: no valgrind"; exit 77; }

count() {
    report=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 2>&1)
    status=$?
    [ $status -eq 0 ] || { echo "$report" >&2; exit $status; }
    echo "$report" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

none=$(count 0) || exit $?
two=$(count 2) || exit $?
all=$(count 16) || exit $?
echo "$none instructions without a loop, $two with 2 heads, $all with 16"
awk -v none="$none" -v two="$two" -v all="$all" 'BEGIN {
    if (all <= none) { print "a loop costs nothing?"; exit 1 }
    ratio = (two - none) / (all - none)
    printf "2 heads cost %.4f of what 16 cost\n", ratio
    exit !(ratio > 0.11 && ratio < 0.16)
}'
