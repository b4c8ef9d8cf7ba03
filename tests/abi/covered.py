# SPDX-License-Identifier: BSD-3-Clause
"""Every public function is tried with the structs of other versions that it takes.

    covered.py INCLUDE TEST.c...     rows INPUT, OUTPUT and INIT of the tests against the headers
"""
import re
import sys
from pathlib import Path

from public_headers import declarations_of, read_headers

# Inside of another struct, and so in no argument list.
NESTED = {
    ("sgt_context_create", "sgt_allocator"),
    ("sgt_model_create", "sgt_block_config"),
    ("sgt_model_create", "sgt_attention_pattern"),
    ("sgt_model_estimate_memory", "sgt_block_config"),
    ("sgt_model_estimate_memory", "sgt_attention_pattern"),
    ("sgt_model_estimate_memory", "sgt_model_options"),
    ("sgt_flops_count", "sgt_block_config"),
    ("sgt_flops_count", "sgt_attention_pattern"),
}


def main(include, tests):
    headers = read_headers(include)
    structs = {d.name for d in declarations_of(headers, "struct")}
    expected = {(d.name, struct) for d in declarations_of(headers, "function")
                for struct in d.structs(structs)} | NESTED
    found = set()
    for test in tests:
        found |= set(re.findall(r"^ *(?:INPUT|OUTPUT|INIT)\((\w+), (\w+)",
                                Path(test).read_text(encoding="utf-8"), re.M))
    print(f"{len(expected)} functions with structs")
    for function, struct in sorted(expected - found):
        print(f"{function} is not tried with other versions of {struct}")
    for function, struct in sorted(found - expected):
        print(f"{function} does not take {struct}")
    return 0 if expected and expected == found else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
