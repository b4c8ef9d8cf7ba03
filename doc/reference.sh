#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes the reference, OUT/html, from the comments of the headers. What has no comment is an error.
#
#     reference.sh DOXYGEN SOURCE OUT VERSION
set -eu

doxygen=$1 SOURCE=$2 OUT=$3 VERSION=$4
export SOURCE OUT VERSION
rm -rf "$OUT/html"
mkdir -p "$OUT/html"
"$doxygen" "$SOURCE/doc/Doxyfile"
