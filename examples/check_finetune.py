#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes tiny LLaMA folders in plain Python, fine-tunes them, looks at what comes out.

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

V, WIDE = 31, 66000
FAST = ("--lr", "1e-3", "--seq", "32")  # a tiny model that was never trained learns at this rate
IDS = [(3 * i * i + i) % V for i in range(2000)]


def tune(*arguments, status=0):
    result = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)
    assert result.returncode == status, (arguments, result)
    return result.stdout if status == 0 else result.stderr


def write_ids(folder, name, ids, kind):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(struct.pack(f"<{len(ids)}{kind}", *ids))
    return path


def losses(output):
    return [float(loss) for loss in re.findall(r"^step \d+: loss (\S+)", output, re.M)]


def held_out(output):
    found = re.findall(r"^held-out loss (before|after): (\S+) \((\d+) tokens\)$", output, re.M)
    assert [when for when, _, _ in found] == ["before", "after"], output
    return [float(loss) for _, loss, _ in found], int(found[0][2])


def check_growth(folder, source, tokens):
    grown, again, plain = (os.path.join(folder, name) for name in ("grown", "again", "plain"))
    output = tune(source, grown, tokens, "--steps", "60", *FAST)
    steps = losses(output)
    assert steps[-1] < steps[0] - 0.5 and output.count(" loops\n") == 2, output
    (before, after), count = held_out(output)
    assert after < before - 0.5 and count == 192, output  # of the last 200
    with open(os.path.join(grown, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    assert config["model_type"] == "sgt" and config["sgt_plan"], config
    with open(os.path.join(grown, "tokenizer.json"), encoding="utf-8") as file:
        assert file.read() == "the tokenizer"
    output = tune(grown, again, tokens, "--steps", "1", *FAST)
    assert losses(output)[0] < steps[0] - 0.5, output
    assert abs(held_out(output)[0][0] - after) < 1e-3, output
    output = tune(source, plain, tokens, "--steps", "3", "--gain", "0", *FAST)
    assert " loops" not in output
    with open(os.path.join(plain, "config.json"), encoding="utf-8") as file:
        assert json.load(file)["model_type"] == "llama"


def check_held_out(folder, source, tokens):
    """A file of its own, so many tokens of it, and a model that does not move."""
    held = write_ids(folder, "held", IDS[:500], "H")
    out = os.path.join(folder, "held-out")
    output = tune(source, out, tokens, "--held", held, "--held-tokens", "100", "--seq", "16",
                  "--batch", "3", "--lr", "0", "--gain", "0", "--steps", "2")
    (before, after), count = held_out(output)
    assert before == after and count == 112, output  # whole windows


def check_ids(folder, source, tokens):
    """Four bytes an id where they are needed or asked for."""
    wide, out = os.path.join(folder, "wide"), os.path.join(folder, "wide-out")
    os.mkdir(wide)
    write_llama(wide, WIDE, d_model=8, ff=8, layers=1)
    ids = write_ids(folder, "ids32", [WIDE - 1 - i % 7 for i in range(400)], "I")
    output = tune(wide, out, ids, "--steps", "5", "--gain", "0", *FAST)
    assert losses(output)[-1] < losses(output)[0], output
    same = write_ids(folder, "ids32of16", IDS, "I")
    arguments = ("--steps", "2", *FAST)
    assert tune(source, out, same, "--id-bytes", "4", *arguments) == \
        tune(source, out, tokens, *arguments)


def check_refusals(folder, source, tokens):
    odd = os.path.join(folder, "odd")
    with open(odd, "wb") as file:
        file.write(b"\0" * 301)
    out = os.path.join(folder, "refused")
    for arguments, status, culprit in (
        ([], 2, "which FOLDER, OUT and TOKENS?"),
        ([source, out, tokens, "--id-bytes", "3"], 2, "--id-bytes: 3"),
        ([source, out, tokens, "--steps", "0"], 2, "--steps: '0'"),
        ([folder, out, tokens], 2, folder),
        ([source, tokens, tokens], 1, "tokens: "),
        ([source, out, odd], 1, "odd: 301 bytes"),
        ([source, out, os.path.join(folder, "none")], 1, "none: No such file"),
        ([source, out, write_ids(folder, "beyond", [*IDS, V], "H")], 1, "id 2000 is 31"),
        ([source, out, tokens, "--id-bytes", "4"], 1, "(see --id-bytes)"),
        ([source, out, tokens, "--seq", "300"], 1, "--seq 300"),
    ):
        errors = tune(*arguments, status=status)
        assert errors.startswith("finetune_hf: ") and culprit in errors, (arguments, errors)
        assert errors.count(folder) <= 1, errors


with tempfile.TemporaryDirectory() as work:
    llama = os.path.join(work, "source")
    os.mkdir(llama)
    write_llama(llama, V)
    with open(os.path.join(llama, "tokenizer.json"), "w", encoding="utf-8") as tokenizer:
        tokenizer.write("the tokenizer")
    file_of_ids = write_ids(work, "tokens", IDS, "H")
    check_growth(work, llama, file_of_ids)
    check_held_out(work, llama, file_of_ids)
    check_ids(work, llama, file_of_ids)
    check_refusals(work, llama, file_of_ids)
print("finetune_hf: all checks passed")
