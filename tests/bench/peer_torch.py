#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The training step of bench_train in PyTorch: the same architecture, sizes, clip and AdamW.

Prints the median seconds of a step, and peak memory, as JSON. Uses scaled_dot_product_attention
where there is one, the fused optimizer where it works, and torch.compile with --compile.
"""
import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.heads, self.kv_heads, self.dim = a.heads, a.kv_heads or a.heads, a.d_model // a.heads
        width, kv_width = self.heads * self.dim, self.kv_heads * self.dim
        self.q = nn.Linear(a.d_model, width, bias=False)
        self.k = nn.Linear(a.d_model, kv_width, bias=False)
        self.v = nn.Linear(a.d_model, kv_width, bias=False)
        self.o = nn.Linear(width, a.d_model, bias=False)

    def forward(self, x, cos, sin):
        batch, seq, _ = x.shape

        def split(y, heads):
            return y.view(batch, seq, heads, self.dim).transpose(1, 2)

        def rotate(y):
            half = self.dim // 2
            return y * cos + torch.cat([-y[..., half:], y[..., :half]], -1) * sin

        q = rotate(split(self.q(x), self.heads))
        k = rotate(split(self.k(x), self.kv_heads))
        v = split(self.v(x), self.kv_heads)
        if self.kv_heads != self.heads:
            k = k.repeat_interleave(self.heads // self.kv_heads, 1)
            v = v.repeat_interleave(self.heads // self.kv_heads, 1)
        if hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-1, -2) / self.dim**0.5
            mask = torch.ones(seq, seq, dtype=torch.bool).tril()
            out = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v
        return self.o(out.transpose(1, 2).reshape(batch, seq, -1))


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Block(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.norm1, self.norm2, self.attention = Norm(a.d_model), Norm(a.d_model), Attention(a)
        self.gate = nn.Linear(a.d_model, a.ff, bias=False)
        self.up = nn.Linear(a.d_model, a.ff, bias=False)
        self.down = nn.Linear(a.ff, a.d_model, bias=False)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.norm1(x), cos, sin)
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embed = nn.Embedding(a.vocab, a.d_model)
        self.blocks = nn.ModuleList(Block(a) for _ in range(a.layers))
        self.norm = Norm(a.d_model)
        self.head = nn.Linear(a.d_model, a.vocab, bias=False)
        dim = a.d_model // a.heads
        inverse = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angle = torch.outer(torch.arange(a.seq, dtype=torch.float64), inverse)
        angle = torch.cat([angle, angle], -1)
        self.register_buffer("cos", angle.cos().float())
        self.register_buffer("sin", angle.sin().float())
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.trunc_normal_(p, std=0.02, a=-0.06, b=0.06)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in [("d-model", 512), ("layers", 8), ("heads", 8), ("kv-heads", 0), ("ff", 2048),
                        ("vocab", 256), ("batch", 4), ("seq", 512), ("threads", 2), ("steps", 7)]:
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    model = Model(a)
    count = sum(p.numel() for p in model.parameters())
    settings = dict(lr=6e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    try:
        optimizer = torch.optim.AdamW(model.parameters(), fused=True, **settings)
    except (RuntimeError, TypeError):
        optimizer = torch.optim.AdamW(model.parameters(), **settings)
    run = torch.compile(model) if a.compile else model
    data = torch.randint(0, a.vocab, (2, a.batch, a.seq))

    def step():
        loss = run(data[0], data[1])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(3):
        step()
    times = []
    for _ in range(a.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    median = sorted(times)[len(times) // 2]
    figures = {
        "tokens_per_s": a.batch * a.seq / median,
        "step_seconds": median,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": count,
        "torch": torch.__version__,
        "compiled": a.compile,
    }
    json.dump(figures, open(a.json, "w") if a.json else sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
