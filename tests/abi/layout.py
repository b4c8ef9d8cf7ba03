# SPDX-License-Identifier: BSD-3-Clause
"""The table of layouts against the headers.

    layout.py check INCLUDE TABLE           every struct, field and constant is in the table, in the
                                            order of the headers, and fields keep to the rules
    layout.py print INCLUDE COMPILER...     a new table, as this compiler lays structs out
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from public_headers import declarations_of, read_headers

# Entries of tables within inline functions: each side has its own, and none crosses over.
INLINE = {"sgt_args_tensor"}
HERE = Path(__file__).resolve().parent
ALLOWED = {"uint32_t", "int32_t", "uint64_t", "int64_t", "size_t", "float", "double"}


def constants(headers):
    """Names of what has a number: enum constants, and macros that do not move with releases."""
    names = []
    for header in headers:
        for d in header.declarations:
            if d.kind == "enum":
                names += [member.name for member in d.members]
            elif d.kind == "macro" and not d.name.startswith("SGT_VERSION") and \
                    re.search(r"\s-?\d+u?$", d.text):
                names.append(d.name)
    return names


def structs_of(headers):
    return [d for d in declarations_of(headers, "struct") if d.name not in INLINE]


def c_name(member):
    return member.name + "[0]" if member.type.endswith("]") else member.name


def rows(headers):
    for struct in structs_of(headers):
        yield f"STRUCT({struct.name}"
        for member in struct.members:
            yield f"FIELD({struct.name}, {c_name(member)}"
    for name in constants(headers):
        yield f"CONSTANT({name}"


def broken_rules(headers):
    callbacks = {d.name for d in declarations_of(headers, "callback")}
    for struct in structs_of(headers):
        first = struct.members[0]
        if (first.name, first.type) != ("size", "uint32_t"):
            yield f"{struct.name} does not begin with uint32_t size"
        for member in struct.members:
            bare = re.sub(r"\[\w+\]$", "", member.type)
            if "*" not in bare and bare not in ALLOWED | callbacks:
                yield f"{struct.name}.{member.name} is of type {member.type}"


def width(member, kind, constants_of):
    count = re.search(r"\[(\w+)\]$", member.type)
    return (4 if kind in ("I32", "U32", "F32") else 8) * \
        (int(constants_of.get(count[1], 0)) if count else 1)


def padded(headers, table):
    """Holes of structs. What an older caller has there is not zero, so that a hole without a name,
    in the middle or at the end, could not become a field."""
    constants_of = dict(re.findall(r"^CONSTANT\((\w+), (-?\d+)\)", table, re.M))
    for struct in structs_of(headers):
        place = {name: (int(offset), kind) for name, offset, kind in re.findall(
            rf"^FIELD\({struct.name}, (\w+)(?:\[0\])?, (\d+), (\w+)\)", table, re.M)}
        size = re.search(rf"^STRUCT\({struct.name}, (\d+)\)", table, re.M)
        known = [m for m in struct.members if m.name in place]
        starts = [place[m.name][0] for m in known[1:]] + ([int(size[1])] if size else [])
        for member, start in zip(known, starts):
            offset, kind = place[member.name]
            if offset + width(member, kind, constants_of) != start:
                yield f"{struct.name} has padding behind {member.name}"


def check(include, path):
    headers = read_headers(include)
    table = Path(path).read_text(encoding="utf-8")
    expected = list(rows(headers))
    found = re.findall(r"^((?:STRUCT|FIELD|CONSTANT)\([^,]+(?:, [a-z]\w*(?:\[0\])?)?)", table, re.M)
    wrong = list(broken_rules(headers)) + list(padded(headers, table))
    wrong += [f"{row}) is not in the table" for row in expected if row not in found]
    wrong += [f"{row}) is not in the headers" for row in found if row not in expected]
    if not wrong and expected != found:
        wrong.append("the table has another order than the headers")
    print(f"{len(declarations_of(headers, 'struct'))} structs, {len(expected)} rows")
    for line in wrong:
        print(line)
    return 1 if wrong or not expected else 0


def print_table(include, compiler):
    headers = read_headers(include)
    lines = ["#include <inttypes.h>", "#include <stddef.h>", "#include <stdio.h>",
             '#include "kinds.h"']
    lines += [f"#include <{header.name}>" for header in headers]
    lines += ["static const char *const kinds[] = KIND_NAMES;", "int main(void)", "{"]
    for struct in structs_of(headers):
        lines.append(f'printf("\\nSTRUCT({struct.name}, %zu)\\n", sizeof({struct.name}));')
        for member in struct.members:
            name = c_name(member)
            where = f"{struct.name}, {name}"
            lines.append(f'printf("FIELD({where}, %zu, %s)\\n", offsetof({where}), '
                         f'kinds[KIND_OF({where})]);')
    lines.append('printf("\\n");')
    for name in constants(headers):
        lines.append(f'printf("CONSTANT({name}, %lld)\\n", (long long)({name}));')
    lines += ["return 0;", "}"]
    with tempfile.TemporaryDirectory() as work:
        source, program = Path(work, "print.c"), Path(work, "print")
        source.write_text("\n".join(lines), encoding="utf-8")
        subprocess.run([*compiler, "-std=c11", f"-I{include}", f"-I{HERE}", str(source), "-o",
                        str(program)], check=True)
        table = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    print("""/* SPDX-License-Identifier: BSD-3-Clause */
/* Where every field of every public struct is with 64-bit pointers, and the value of every public
 * constant. What is here does not change within a soname; renew.sh adds what is new. */""")
    print(table, end="")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("check", "print"):
        sys.exit(__doc__)
    if sys.argv[1] == "check":
        sys.exit(check(sys.argv[2], sys.argv[3]))
    sys.exit(print_table(sys.argv[2], sys.argv[3:]))
