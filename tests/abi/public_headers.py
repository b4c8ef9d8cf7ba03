# SPDX-License-Identifier: BSD-3-Clause
"""The public headers as data: every declaration with its members and its comment.

Knows the style of these headers, not all of C: declarations at file level end with a semicolon, inline
functions with a brace at the start of a line, a comment stands above what it is about or behind it on the same line, and one above a run of
declarations without a blank line between them is about all of them.
"""
import re
from dataclasses import dataclass, field
from pathlib import Path

LINKAGE = ("SGT_API", "SGT_BEGIN_DECLS", "SGT_END_DECLS", "SGT_STATUS_ENUM")


@dataclass
class Member:
    """A field of a struct, or a constant of an enum."""
    name: str
    type: str
    comment: str
    value: str = ""


@dataclass
class Declaration:
    kind: str  # function, inline, struct, enum, handle, callback, alias or macro
    name: str
    text: str  # without comments, on one line
    comment: str
    members: list = field(default_factory=list)

    def structs(self, known):
        """The structs of `known` that a function takes pointers to, in order."""
        arguments = self.text[self.text.index("("):]
        return [word for word in re.findall(r"(\w+) \*(?!\*)", arguments) if word in known]


@dataclass
class Header:
    name: str  # as in #include <sgt/model.h>
    comment: str
    declarations: list


def plain(comment):
    """The text of a comment without its stars."""
    lines = comment.removeprefix("/*").removesuffix("*/").split("\n")
    lines = [re.sub(r"^\s*\*( |$)", "", line) if i else line.strip()
             for i, line in enumerate(lines)]
    return "\n".join(line.rstrip() for line in lines).strip("\n").rstrip()


def trailing(comment):
    """The text of a comment behind a declaration, which may go on below itself."""
    return " ".join(plain(comment).split())


def pieces(text, end):
    """Yields (kind, text, start, stop): comments, preprocessor lines, and declarations, which end
    with the character `end` outside of all brackets, or with the text."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith("/*", at):
            stop = text.index("*/", at) + 2
            yield "comment", text[at:stop], at, stop
            at = stop
        elif text[at] == "#":
            stop = re.compile(r"(?<!\\)\n|\Z").search(text, at).start()
            comment = text.find("/*", at, stop)
            stop = stop if comment < 0 else comment
            yield "directive", text[at:stop].strip(), at, stop
            at = stop
        else:
            stop, depth = at, 0
            if text.startswith("static inline", at):
                stop = text.index("\n}", at) + 2
                yield "declaration", text[at:stop], at, stop
                at = stop
                continue
            while stop < len(text) and not (depth == 0 and text[stop] == end):
                if text.startswith("/*", stop):
                    if end == ",":
                        break  # behind the last constant of an enum
                    stop = text.index("*/", stop) + 1
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[stop], 0)
                stop += 1
            stop += text[stop:stop + 1] == end
            yield "declaration", text[at:stop], at, stop
            at = stop


def commented(text, end):
    """Yields (piece, comment) of what is no comment itself."""
    found = list(pieces(text, end))
    shared = ""
    last = 0
    for i, (kind, piece, start, stop) in enumerate(found):
        gap = text[last:start].count("\n")
        if kind == "comment":
            if gap or not last:
                shared = plain(piece)
            last = stop
            continue
        if gap > 1:
            shared = ""
        comment = shared
        if i + 1 < len(found) and found[i + 1][0] == "comment" and \
                "\n" not in text[stop:found[i + 1][2]]:
            comment = trailing(found[i + 1][1])
        yield piece, comment
        last = stop


def without_comments(text):
    return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.S).split())


def struct_members(body):
    members = []
    for piece, comment in commented(body, ";"):
        text = without_comments(piece).rstrip(";").strip()
        name = re.search(r"\(\*(\w+)\)", text) or re.search(r"(\w+)(\[\w+\])?$", text)
        members.append(Member(name[1], text.replace(name[1], "", 1) if "(*" in text
                              else text[:name.start(1)].strip() + (name[2] or ""), comment))
    return members


def enum_members(body, header):
    if "SGT_STATUS_LIST" in body:
        listed = re.findall(r"X\((\w+), (-?\d+),\s*\"([^\"]*)\"\)", header)
        return [Member(name, "", text, value) for name, value, text in listed]
    members = []
    for piece, comment in commented(body, ","):
        if not piece.startswith("#"):
            name, _, value = without_comments(piece).rstrip(",").partition("=")
            members.append(Member(name.strip(), "", comment, value.strip()))
    return members


def declaration(piece, comment, header):
    """The Declaration of a piece; None for what is not the host's business."""
    text = without_comments(piece)
    body = piece[piece.find("{") + 1:piece.rfind("}")]
    if text.startswith("#"):
        macro = re.match(r"#define (\w+)(\(X\))?\s+(\S.*)", text)
        if not macro or macro[1] in LINKAGE:
            return None
        return Declaration("macro", macro[1], text, comment)
    if text.startswith("static inline"):
        return Declaration("inline", re.search(r"(\w+)\(", text)[1], text, comment)
    if text.startswith("SGT_API"):
        return Declaration("function", re.search(r"(\w+)\(", text)[1], text, comment)
    if text.startswith("enum"):
        name = text.split()[1]
        return Declaration("enum", name, text, comment, enum_members(body, header))
    if "{" in text:
        name = re.search(r"struct (\w+) \{", text)[1]
        return Declaration("struct", name, text, comment, struct_members(body))
    if text.startswith("typedef struct"):
        return Declaration("handle", text.split()[2], text, comment)
    callback = re.search(r"\(\*(\w+)\)", text)
    if callback:
        return Declaration("callback", callback[1], text, comment)
    return Declaration("alias", text.rstrip(";").split()[-1], text, comment)


def read_header(include, name):
    source = (Path(include) / name).read_text(encoding="utf-8")
    found = list(pieces(re.sub(r"^SGT_(BEGIN|END)_DECLS$", "", source, flags=re.M), ";"))
    # The licence, then what the header is about.
    about = plain(found[1][1]) if found[1][0] == "comment" else ""
    text = re.sub(r"^SGT_(BEGIN|END)_DECLS$", "", source[found[1][3]:], flags=re.M)
    declarations = [declaration(piece, comment, source) for piece, comment in commented(text, ";")]
    return Header(name, about, [d for d in declarations if d])


def read_headers(include):
    """Every public header, in the order of their names."""
    include = Path(include)
    names = sorted(path.relative_to(include).as_posix() for path in include.glob("sgt/**/*.h"))
    if not names:
        raise SystemExit(f"no headers in {include}")
    return [read_header(include, name) for name in names]


def declarations_of(headers, kind):
    return [d for header in headers for d in header.declarations if d.kind == kind]
