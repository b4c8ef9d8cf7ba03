# SPDX-License-Identifier: BSD-3-Clause
"""Lines of C code have at most a hundred columns: columns.py SOURCE_ROOT"""
from __future__ import annotations

import sys
from pathlib import Path

MOST = 100


def main(root: str) -> int:
    found = 0
    for folder in ("include", "lib", "examples", "tests"):
        for path in sorted((Path(root) / folder).rglob("*.[ch]")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if len(line) > MOST:
                    print(f"{path.relative_to(root)}:{number}: {len(line)} columns")
                    found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
