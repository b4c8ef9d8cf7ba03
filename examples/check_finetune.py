#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a tiny LLaMA folder in plain Python, fine-tunes it, looks at what comes out.

usage: check_finetune.py PROGRAM
"""

import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

V, D, H, FF, L = 31, 16, 4, 24, 3


def write_model(folder):
    random.seed(7)
    shapes = {"model.embed_tokens.weight": [V, D], "model.norm.weight": [D]}
    for i in range(L):
        for name, shape in (("self_attn.q_proj", [D, D]), ("self_attn.k_proj", [D // 2, D]),
                            ("self_attn.v_proj", [D // 2, D]), ("self_attn.o_proj", [D, D]),
                            ("mlp.gate_proj", [FF, D]), ("mlp.up_proj", [FF, D]),
                            ("mlp.down_proj", [D, FF]), ("input_layernorm", [D]),
                            ("post_attention_layernorm", [D])):
            shapes[f"model.layers.{i}.{name}.weight"] = shape
    header, data = {}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = [1.0 if len(shape) == 1 else random.gauss(0, 0.2) for _ in range(count)]
        end = len(data) + 4 * count
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
        data += struct.pack(f"<{count}f", *values)
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "llama", "vocab_size": V, "hidden_size": D, "hidden_act": "silu",
                   "intermediate_size": FF, "num_hidden_layers": L, "num_attention_heads": H,
                   "num_key_value_heads": H // 2, "max_position_embeddings": 64,
                   "tie_word_embeddings": True, "rope_theta": 10000.0}, file)


with tempfile.TemporaryDirectory() as work:
    source, grown, again = (os.path.join(work, name) for name in ("source", "grown", "again"))
    tokens = os.path.join(work, "tokens")
    os.mkdir(source)
    write_model(source)
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
