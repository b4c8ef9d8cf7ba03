#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a tiny LLaMA folder in plain Python, fine-tunes it, looks at what comes out.

usage: check_finetune.py PROGRAM
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile

from write_llama import write_llama

V = 31

with tempfile.TemporaryDirectory() as work:
    source, grown, again = (os.path.join(work, name) for name in ("source", "grown", "again"))
    tokens = os.path.join(work, "tokens")
    os.mkdir(source)
    write_llama(source, V)
    with open(tokens, "wb") as file:
        file.write(struct.pack("<2000H", *((3 * i * i + i) % V for i in range(2000))))
    result = subprocess.run([sys.argv[1], source, grown, tokens, "60"], capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", result.stdout)]
    assert losses[-1] < losses[0] - 0.5, losses
    assert result.stdout.count(" loops\n") == 2, result.stdout
    with open(os.path.join(grown, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    assert config["model_type"] == "sgt" and config["sgt_plan"], config
    result = subprocess.run([sys.argv[1], grown, again, tokens, "1"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(re.search(r"loss (\S+)", result.stdout)[1]) < losses[0] - 0.5, result.stdout
    for arguments, status in (([], 2), ([work, again, tokens], 1), ([source, again, source], 1)):
        result = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)
        assert result.returncode == status and result.stderr, (arguments, result)
print("finetune_hf: all checks passed")
