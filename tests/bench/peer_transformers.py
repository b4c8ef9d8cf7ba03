#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The decoding of bench_decode in transformers: generate with its cache, batch 1, greedy, float32.

The weights are random ones of the shape given, or those of a Hugging Face folder (--folder), which
sgt_hf_save writes. Prints as JSON the tokens per second of decoding (every token after the
first) and of the prompt, both the median of --rounds after one round that is not counted.
"""
import argparse
import json
import resource
import statistics
import sys
import time

import torch
import transformers


class Clock:
    """A streamer: gets the prompt before anything is computed, then each token when it is known."""

    def __init__(self):
        self.times = []

    def put(self, value):
        del value
        self.times.append(time.perf_counter())

    def end(self):
        pass


def random_model(a):
    config = transformers.LlamaConfig(
        vocab_size=a.vocab, hidden_size=a.d_model, intermediate_size=a.ff,
        num_hidden_layers=a.layers, num_attention_heads=a.heads,
        num_key_value_heads=a.kv_heads or a.heads, max_position_embeddings=a.prompt + a.tokens,
        rms_norm_eps=1e-6, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
        pad_token_id=None)
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config)


def measure(model, a):
    """Seconds of the prompt, and tokens per second after it."""
    ids = torch.randint(0, model.config.vocab_size, (1, a.prompt),
                        generator=torch.Generator().manual_seed(1))
    clock = Clock()
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), streamer=clock,
                             max_new_tokens=a.tokens, min_new_tokens=a.tokens, do_sample=False,
                             use_cache=True, pad_token_id=0)
    if out.shape[1] != a.prompt + a.tokens or len(clock.times) != a.tokens + 1:
        sys.exit(f"{out.shape[1] - a.prompt} tokens were generated, {a.tokens} expected")
    return clock.times[1] - clock.times[0], (a.tokens - 1) / (clock.times[-1] - clock.times[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in [("d-model", 1024), ("layers", 16), ("heads", 16), ("kv-heads", 0),
                        ("ff", 4096), ("vocab", 50304), ("prompt", 128), ("tokens", 32),
                        ("threads", 2), ("rounds", 3)]:
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--folder", help="a Hugging Face folder instead of random weights")
    parser.add_argument("--json")
    a = parser.parse_args()
    if a.tokens < 2:
        parser.error("--tokens: at least 2")
    torch.set_num_threads(a.threads)
    if a.folder:
        model = transformers.LlamaForCausalLM.from_pretrained(a.folder, dtype=torch.float32)
    else:
        model = random_model(a)
    model = model.float().eval()
    rounds = [measure(model, a) for _ in range(a.rounds + 1)][1:]
    rate = statistics.median(decoding for _, decoding in rounds)
    figures = {
        "tokens_per_s": rate,
        "token_seconds": 1 / rate,
        "prefill_tokens_per_s": a.prompt / statistics.median(prompt for prompt, _ in rounds),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(p.numel() for p in model.parameters()),
        "attention": model.config._attn_implementation,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    json.dump(figures, open(a.json, "w", encoding="utf-8") if a.json else sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
