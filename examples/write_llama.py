# SPDX-License-Identifier: BSD-3-Clause
"""Writes a tiny LLaMA folder, as transformers would, in plain Python."""

import json
import os
import random
import struct


def write_llama(folder, vocab, d_model=16, heads=4, ff=24, layers=3, positions=64):
    random.seed(7)
    half = d_model // 2
    shapes = {"model.embed_tokens.weight": [vocab, d_model], "model.norm.weight": [d_model]}
    for i in range(layers):
        for name, shape in (("self_attn.q_proj", [d_model, d_model]),
                            ("self_attn.k_proj", [half, d_model]),
                            ("self_attn.v_proj", [half, d_model]),
                            ("self_attn.o_proj", [d_model, d_model]),
                            ("mlp.gate_proj", [ff, d_model]), ("mlp.up_proj", [ff, d_model]),
                            ("mlp.down_proj", [d_model, ff]), ("input_layernorm", [d_model]),
                            ("post_attention_layernorm", [d_model])):
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
        json.dump({"model_type": "llama", "vocab_size": vocab, "hidden_size": d_model,
                   "hidden_act": "silu", "intermediate_size": ff, "num_hidden_layers": layers,
                   "num_attention_heads": heads, "num_key_value_heads": heads // 2,
                   "max_position_embeddings": positions, "tie_word_embeddings": True,
                   "rope_theta": 10000.0}, file)
