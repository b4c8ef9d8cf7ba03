# SPDX-License-Identifier: BSD-3-Clause
"""Reads the public headers: structures, enumerations, functions. Understands the C in them only."""
from __future__ import annotations

import re
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[3] / "include"


def text():
    """All headers that a binding is for, without comments and preprocessor lines."""
    files = sorted((INCLUDE / "sgt").glob("*.h")) + [INCLUDE / "sgt" / "sys" / "growth.h"]
    joined = "\n".join(path.read_text(encoding="utf-8") for path in files)
    joined = re.sub(r"/\*.*?\*/", " ", joined, flags=re.DOTALL)
    joined = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", joined, flags=re.MULTILINE)
    return joined.replace("SGT_BEGIN_DECLS", "").replace("SGT_END_DECLS", "")


def structures():
    """{name: [field, ...]} of every sized struct."""
    found = {}
    for name, body in re.findall(r"typedef struct (sgt_\w+) \{(.*?)\n\} \1;", text(), re.DOTALL):
        fields = []
        for declaration in body.split(";"):
            declaration = declaration.strip()
            if declaration:
                pointer = re.search(r"\(\*(\w+)\)", declaration)
                plain = re.search(r"(\w+)\s*(?:\[\w+\])?$", declaration)
                fields.append((pointer or plain).group(1))
        found[name] = fields
    return found


def enumerations():
    """{name: {constant: value}} of every enum whose values are written out."""
    found = {}
    for name, body in re.findall(r"enum (sgt_\w+) \{(.*?)\}", text(), re.DOTALL):
        values = dict(re.findall(r"(SGT_\w+)\s*=\s*(-?\d+)", body))
        if values:
            found[name] = {constant: int(value) for constant, value in values.items()}
    return found


def statuses():
    """{name: value} of the list of status codes."""
    header = (INCLUDE / "sgt" / "status.h").read_text(encoding="utf-8")
    pairs = re.findall(r"X\((SGT_\w+),\s*(-?\d+),", header)
    return {name: int(value) for name, value in pairs}


def functions():
    """{name: (result, [argument type, ...])} of every exported function, types as written."""
    found = {}
    for result, name, arguments in re.findall(
        r"SGT_API\s+([\w\s*]+?)\b(sgt_\w+)\(([^;]*)\);", text(), re.DOTALL
    ):
        arguments = " ".join(arguments.split())
        types = [] if arguments == "void" else [argument_type(a) for a in arguments.split(",")]
        found[name] = (normal(result), types)
    return found


def parameters():
    """{name: [parameter, ...]} of every exported function."""
    return {
        name: [re.search(r"(\w+)\s*$", argument).group(1) for argument in arguments.split(",")]
        for name, arguments in re.findall(
            r"SGT_API\s+[\w\s*]+?\b(sgt_\w+)\(([^;]*)\);", text(), re.DOTALL
        )
    }


def argument_type(argument):
    """The type of a parameter: all of it but the name at its end."""
    return normal(re.sub(r"\w+\s*$", "", argument.strip()))


def normal(type_):
    return " ".join(type_.replace("*", " * ").replace("const", " ").split())


def exported():
    """The names in the symbol map of the library, but for those of authors of backends."""
    symbols = (INCLUDE.parent / "lib" / "sgt.map").read_text(encoding="utf-8")
    backend = (INCLUDE / "sgt" / "sys" / "backend.h").read_text(encoding="utf-8")
    theirs = set(re.findall(r"SGT_API[\w\s*]+?\b(sgt_\w+)\(", backend))
    return set(re.findall(r"^\s*(sgt_\w+);", symbols, re.MULTILINE)) - theirs
