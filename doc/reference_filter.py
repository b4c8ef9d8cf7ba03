# SPDX-License-Identifier: BSD-3-Clause
"""A public header as Doxygen wants it: each declaration below a comment of its own.

    reference_filter.py HEADER     prints the header anew
"""
import re
import sys
from pathlib import Path

DOC = Path(__file__).resolve().parent
sys.path.insert(0, str(DOC.parent / "tests" / "abi"))
sys.dont_write_bytecode = True

from public_headers import read_header  # noqa: E402


def markdown(text):
    """A comment as Markdown: pictures and formulas, which are indented, stay as they are."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("    "):
            line = re.sub(r"([\\@<>*#\[\]~|])", r"\\\1", line)
        lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"\s*\bSince\s+(\d+\.\d+)\.", r"\n@since \1\n", text)
    return re.sub(r"\s*\bErrors:?\s", r"\n@par Errors\n", text)


def comment(text, indent=""):
    if not text:
        return ""  # for Doxygen to complain about
    return f"{indent}/** {markdown(text).strip()} */".replace("\n", "\n" + indent)


def member_text(member):
    if "(*)" in member.type:
        return member.type.replace("(*)", f"(*{member.name})", 1)
    base, bracket, count = member.type.partition("[")
    return f"{base} {member.name}{bracket}{count}"


def print_struct(d):
    opening = "typedef struct" if d.text.startswith("typedef") else "struct"
    print(f"{opening} {d.name} {{")
    for member in d.members:
        said = member.comment
        if not said and member.name == "size":
            said = "sizeof this struct, see common.h"
        elif not said and re.search(rf"\b{member.name}\b", d.comment):
            said = "See the struct."
        print(comment(said, "    "))
        print(f"    {member_text(member)};")
    print(f"}} {d.name};\n" if opening.startswith("typedef") else "};\n")


def print_enum(d):
    print(f"enum {d.name} {{")
    for member in d.members:
        print(comment(member.comment, "    "))
        print(f"    {member.name}{' = ' if member.value else ''}{member.value},")
    print("};\n")


def main(path):
    path = Path(path).resolve()
    include = next(folder for folder in path.parents if folder.name == "include")
    header = read_header(include, path.relative_to(include).as_posix())
    print(f"/** @file {header.name}\n{markdown(header.comment)}\n*/")
    for d in header.declarations:
        print(comment(d.comment))
        if d.kind == "struct":
            print_struct(d)
        elif d.kind == "enum":
            print_enum(d)
        elif d.kind == "function":
            print(d.text.removeprefix("SGT_API "), "\n")
        else:
            print(d.text.replace("\\ ", ""), "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
