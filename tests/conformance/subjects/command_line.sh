#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What a conformance program says to a command line that is no question: the version and the help, or
# what is missing or too much, with status 2.
#
#     command_line.sh PROGRAM VERSION ARGUMENT-NAME
set -u

program=$1 version=$2 what=$3
failed=0

# says STATUS PATTERN ARGUMENT...: the first line of what is printed.
says() {
    expected=$1 pattern=$2
    shift 2
    line=$("$program" "$@" 2>&1)
    status=$?
    line=$(printf '%s\n' "$line" | head -n 1)
    if [ "$status" -ne "$expected" ] || ! printf '%s\n' "$line" | grep -q -- "$pattern"; then
        echo "$*: status $status, expected $expected; '$line', expected '$pattern'"
        failed=1
    fi
}

name=$(basename "$program")
says 0 "^$name $version\$" --version
says 0 "^usage: $name " --help
says 2 "^which $what?\$"
says 2 "^which $what?\$" --seed 3
says 2 "^'two' is one argument too many\$" one two
says 2 "^'0' is no whole number from 1 to 1000000\$" --timeout 0 one
says 2 "unrecognized option '--colour'" --colour one
says 2 "requires an argument" one --timeout
exit "$failed"
