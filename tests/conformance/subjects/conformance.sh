#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The whole suite on a backend. Skipped where this processor lacks the instruction set.
#
#     conformance.sh SGT-BACKEND-TEST ISA BACKEND
set -u

program=$1 isa=$2 backend=$3
if "$program" --op order --isa "$isa" portable 2>&1 | grep -q 'this processor only has'; then
    echo "skipped: this processor has no $isa"
    exit 77
fi
exec "$program" --isa "$isa" "$backend"
