#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the six novels of the R package janeaustenr as plain text files.

usage: extract_austen.py Rdata.rdb FOLDER

The package keeps each novel as one R character vector, a line per element, in a "lazy load
database": records of a 4-byte big-endian length (of the unpacked data) and a zlib stream. Unpacked,
a record is R's XDR serialisation, version 2 or 3. Only the standard library is used.
"""

import os
import struct
import sys
import zlib

STRING_VECTOR = 16
STRING = 9

FILES = {
    "emma": "emma.txt",
    "mansfield park": "mansfield_park.txt",
    "northanger abbey": "northanger_abbey.txt",
    "persuasion": "persuasion.txt",
    "pride and prejudice": "pride_and_prejudice.txt",
    "sense and sensibility": "sense_and_sensibility.txt",
}


def records(data):
    """Yields the unpacked records of a lazy load database."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        unpacker = zlib.decompressobj()
        record = unpacker.decompress(data[at + 4 :])
        if len(record) != length or not unpacker.eof:
            raise ValueError(f"the record at byte {at} is damaged")
        yield record
        at = len(data) - len(unpacker.unused_data)


def string_vector(record):
    """The elements of a serialised character vector, or None for any other object."""
    if record[:2] != b"X\n":
        raise ValueError("a record is not in R's XDR format")
    (version,) = struct.unpack_from(">i", record, 2)
    at = 14  # after the version and the two R versions
    if version == 3:
        (encoding_bytes,) = struct.unpack_from(">i", record, at)
        at += 4 + encoding_bytes
    elif version != 2:
        raise ValueError(f"serialisation version {version} is unknown")
    flags, count = struct.unpack_from(">Ii", record, at)
    at += 8
    if flags & 0xFF != STRING_VECTOR:
        return None
    strings = []
    for _ in range(count):
        flags, length = struct.unpack_from(">Ii", record, at)
        at += 8
        if flags & 0xFF != STRING or length < 0 or at + length > len(record):
            raise ValueError("a line is damaged")
        strings.append(record[at : at + length])
        at += length
    return strings


def main():
    if len(sys.argv) != 3:
        raise ValueError("usage: extract_austen.py Rdata.rdb FOLDER")
    database, folder = sys.argv[1:]
    with open(database, "rb") as file:
        data = file.read()
    os.makedirs(folder, exist_ok=True)
    missing = dict(FILES)
    for record in records(data):
        lines = string_vector(record)
        title = lines[0].decode("latin-1").strip().lower() if lines else ""
        name = missing.pop(title, None)
        if name is None:
            continue
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
        print(f"{path}: {os.path.getsize(path)} bytes, {len(lines)} lines")
    if missing:
        raise ValueError(f"{database}: not found: {', '.join(missing)}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, struct.error, zlib.error) as error:
        sys.exit(f"extract_austen.py: {error}")
