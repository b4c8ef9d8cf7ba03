#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An independent reader of safetensors files, in the standard library alone.

usage: read_safetensors.py PROGRAM     PROGRAM FILE writes a sample, which is read and checked

As a module: read(path) gives (metadata, {name: (dtype, shape, values)}) and raises ValueError for
a file that breaks a rule of the format.
"""

import json
import math
import struct
import subprocess
import sys
import tempfile

BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1}
CODES = {"F64": "d", "I64": "q", "U64": "Q", "F32": "f", "I32": "i", "F16": "e", "U8": "B"}


def refuse_doubles(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a key is there twice")
    return dict(pairs)


def decode(dtype, data):
    if dtype == "BF16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        return struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I",
                                                             *(h << 16 for h in halves)))
    return struct.unpack(f"<{len(data) // BYTES[dtype]}{CODES[dtype]}", data)


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    length, = struct.unpack("<Q", content[:8])
    text, data = content[8:8 + length], content[8 + length:]
    if len(text) != length or not text.startswith(b"{"):
        raise ValueError("no header")
    header = json.loads(text.decode("utf-8"), object_pairs_hook=refuse_doubles)
    metadata = header.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("metadata that is no string")
    end, tensors = 0, {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = t["data_offsets"]
        if begin != end or stop - begin != BYTES[t["dtype"]] * math.prod(t["shape"]):
            raise ValueError(f"{name} is misplaced")
        end = stop
        tensors[name] = (t["dtype"], t["shape"], decode(t["dtype"], data[begin:stop]))
    if end != len(data):
        raise ValueError("bytes behind the last tensor")
    return metadata, tensors


def check_sample(program):
    values = (1.0, -2.5, 0.0, 1e-3, 65504.0, -0.333)
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([program, file.name], check=True)
        metadata, tensors = read(file.name)
    assert metadata["key"] == '"sgt.xxh3":"value"', metadata
    assert tensors["bytes"] == ("U8", [5], tuple(b"bytes"))
    assert tensors["scalar"] == ("F64", [], (0.1,)) and tensors["empty"] == ("F32", [0], ())
    for name, bound in (("bf16", 2 ** -8), ("f16", 2 ** -11), ('f32 "quoted" \u00e9', 2 ** -24)):
        dtype, shape, found = tensors[name]
        assert dtype == name[:4].strip().upper() and shape == [6]
        assert all(abs(a - b) <= bound * abs(a) for a, b in zip(values, found)), (name, found)


if __name__ == "__main__":
    check_sample(sys.argv[1])
    print("the sample is as it should be")
