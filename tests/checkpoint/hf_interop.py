#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Models between libsgt and transformers, both ways: the logits of the same tokens agree.

usage: hf_interop.py PROGRAM      PROGRAM is hf_tool

The interpreter is $SGT_TEST_PYTHON where that is set. Skipped (77) where it lacks torch, safetensors
or transformers.
"""

import os
import subprocess
import sys
import tempfile

python = os.environ.get("SGT_TEST_PYTHON")
if python and "SGT_TEST_PYTHON_RUNS" not in os.environ:
    os.environ["SGT_TEST_PYTHON_RUNS"] = "1"
    os.execv(python, [python, *sys.argv])
try:
    import safetensors.torch
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig
except ImportError as error:
    print(f"skipped: {error}; set SGT_TEST_PYTHON to a Python with torch, safetensors, transformers")
    sys.exit(77)

try:
    from transformers import MinistralConfig
except ImportError:
    MinistralConfig = None

PROGRAM = sys.argv[1]
TOKENS = torch.tensor([[(1 + 7 * i) % 19 for i in range(16)]])


def ours(folder):
    lines = subprocess.run([PROGRAM, "logits", folder], check=True, capture_output=True, text=True)
    return torch.tensor([float(line) for line in lines.stdout.split()]).reshape(16, 19)


def theirs(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32,
                                                 attn_implementation="eager")
    with torch.no_grad():
        return model, model(TOKENS).logits[0]


def compare(folder, bound=2e-5):
    model, logits = theirs(folder)
    assert model.config.num_key_value_heads == 2
    a, b = ours(folder).double(), logits.double()
    error = (torch.linalg.norm(a - b) / torch.linalg.norm(b)).item()
    assert error <= bound, (folder, error)
    return error


def check_ours(folder, kind):
    os.mkdir(folder)
    subprocess.run([PROGRAM, "write", folder, kind], check=True)
    names = safetensors.torch.load_file(os.path.join(folder, "model.safetensors"))
    assert ("lm_head.weight" in names) == (kind != "tied")
    return compare(folder)


def check_theirs(folder, tied=False, shard="1GB", dtype=torch.float32, of=LlamaConfig, **windows):
    torch.manual_seed(5)
    config = of(vocab_size=19, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                max_position_embeddings=32, tie_word_embeddings=tied, initializer_range=0.3,
                attn_implementation="eager", **windows)
    model = AutoModelForCausalLM.from_config(config).to(dtype).eval()
    model.save_pretrained(folder, safe_serialization=True, max_shard_size=shard)
    assert os.path.exists(os.path.join(folder, "model.safetensors.index.json")) == (shard != "1GB")
    return compare(folder)


def check_windows(work):
    """The 16 tokens are more than any window here but the last, which is as good as none."""
    folders = [(MistralConfig, dict(sliding_window=w)) for w in (1, 5, 15, 16, None)]
    if MinistralConfig:
        words = ["full_attention", "sliding_attention", "sliding_attention"]
        folders += [(MinistralConfig, dict(sliding_window=4, layer_types=words)),
                    (MinistralConfig, dict(sliding_window=7))]
    seen = []
    for i, (of, windows) in enumerate(folders):
        folder = os.path.join(work, f"window-{i}")
        print("theirs, read by libsgt,", of.model_type, windows,
              check_theirs(folder, of=of, **windows))
        seen.append(ours(folder))
    different = [not torch.equal(logits, seen[4]) for logits in seen]  # the weights are the same
    assert different == [True, True, True, False, False, True, True][:len(seen)], different
    for kind in ("mistral", "ministral") if MinistralConfig else ("mistral",):
        print("ours, read by transformers,", kind, check_ours(os.path.join(work, kind), kind))


with tempfile.TemporaryDirectory() as work:
    check_windows(work)
    for kind in ("tied", "untied"):
        print("ours, read by transformers,", kind, check_ours(os.path.join(work, kind), kind))
    for i, (tied, shard, dtype) in enumerate([(False, "1GB", torch.float32),
                                              (True, "1GB", torch.float32),
                                              (False, "10KB", torch.float32),
                                              (False, "1GB", torch.bfloat16),
                                              (False, "1GB", torch.float16)]):
        error = check_theirs(os.path.join(work, str(i)), tied, shard, dtype)
        print("theirs, read by libsgt,", "tied" if tied else "untied", shard, dtype, error)
