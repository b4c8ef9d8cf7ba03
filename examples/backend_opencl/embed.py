# SPDX-License-Identifier: BSD-3-Clause
"""embed.py OUT IN...: the files one after another as the C array `opencl_source`."""
import sys

text = b"".join(open(name, "rb").read() for name in sys.argv[2:]) + b"\0"
with open(sys.argv[1], "w") as out:
    out.write("/* SPDX-License-Identifier: BSD-3-Clause */\n#include \"opencl_backend.h\"\n\n")
    out.write("const char opencl_source[] = {\n")
    for at in range(0, len(text), 20):
        out.write("    " + "".join(f"{byte}," for byte in text[at:at + 20]) + "\n")
    out.write("};\n")
