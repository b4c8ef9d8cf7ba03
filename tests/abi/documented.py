# SPDX-License-Identifier: BSD-3-Clause
"""Every public name has its comment.

    documented.py INCLUDE

A function says since when it is there and, where it returns a status, which errors it gives; it or
its header says which threads may call it. Types, macros, fields and constants say what they are,
behind them or in the comment of their type; only `size` is the same everywhere (sgt/common.h).
"""
import re
import sys

from public_headers import read_headers


def lacks(header, d):
    """What the comments of a declaration do not say."""
    if not d.comment:
        yield "a comment"
    if d.kind == "function":
        if not re.search(r"\bSince\s+\d+\.\d+", d.comment):
            yield "the version it is there since"
        if "SGT_API sgt_status " in d.text and not re.search(r"\bErrors\b", d.comment):
            yield "its errors"
        if not re.search(r"\bthreads?\b", d.comment + header.comment, re.I):
            yield "a rule for threads, there or at the head of " + header.name
    for member in d.members:
        said = member.comment or member.name == "size" or \
            re.search(rf"\b{member.name}\b", d.comment)
        if not said:
            yield f"a comment at {member.name}"


def main(include):
    headers = read_headers(include)
    names = sum(1 + len(d.members) for header in headers for d in header.declarations)
    missing = [f"{header.name}: {d.name} lacks {what}"
               for header in headers for d in header.declarations for what in lacks(header, d)]
    missing += [f"{header.name} does not say what it is about"
                for header in headers if not header.comment]
    print(f"{names} public names, {len(missing)} gaps")
    for line in missing:
        print(line)
    return 1 if missing or not names else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
