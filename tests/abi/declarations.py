# SPDX-License-Identifier: BSD-3-Clause
"""What the headers promise, as a C file that abidw can read once it is compiled.

    declarations.py library INCLUDE     every public function, with an empty body
    declarations.py plugin INCLUDE      the entry of a plug-in, which leads to the types that
                                        plug-ins share with the library, and a function of all enums
"""
import sys

from public_headers import declarations_of, read_headers


def functions(headers):
    for d in declarations_of(headers, "function"):
        text = d.text.removeprefix("SGT_API ").rstrip(";")
        yield text + (" { }" if text.startswith("void ") else " { return 0; }")


def plugin(headers):
    enums = ", ".join(f"enum {d.name} {d.name}_" for d in declarations_of(headers, "enum"))
    yield "const sgt_backend *sgt_backend_entry(uint32_t abi, const sgt_backend_host *host)"
    yield "{ return 0; }"
    yield f"void sgt_enums({enums}) {{ }}"


def main(what, include):
    headers = read_headers(include)
    for header in headers:
        print(f"#include <{header.name}>")
    for line in functions(headers) if what == "library" else plugin(headers):
        print(line)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("library", "plugin"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
