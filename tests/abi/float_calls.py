# SPDX-License-Identifier: BSD-3-Clause
"""Every public function that may compute does it in the default floating-point environment.

    float_calls.py INCLUDE LIB

Those that return a status or a floating-point number begin with SGTI_DEFAULT_FLOATS
(lib/base/float_mode.h), but for the ones that only fill in defaults.
"""
import re
import sys
from pathlib import Path

from public_headers import declarations_of, read_headers

GUARD = "SGTI_DEFAULT_FLOATS;"


def main(include, lib):
    computing = {d.name for d in declarations_of(read_headers(include), "function")
                 if re.match(r"SGT_API (sgt_status|double|float) ", d.text)
                 and not d.name.endswith("_init")}
    guarded, found = set(), set()
    for source in Path(lib).rglob("*.c"):
        text = source.read_text(encoding="utf-8")
        for name, first in re.findall(r"^\w[^;{}()]*\b(sgt_\w+)\([^;{]*\)\n\{\n(.*)\n", text, re.M):
            found.add(name)
            if first.strip() == GUARD:
                guarded.add(name)
    print(f"{len(computing)} functions that may compute")
    for name in sorted(computing - found):
        print(f"{name} is not found in {lib}")
    for name in sorted((computing & found) - guarded):
        print(f"{name} does not begin with {GUARD}")
    return 0 if computing and computing <= guarded else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
