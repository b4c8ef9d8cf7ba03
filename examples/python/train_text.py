#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Trains a byte-level Sparse Growing Transformer on a text file and draws what happened.

    python3 train_text.py novel.txt --steps 1000 --figure report.png

The C program examples/train_text does the same, with checkpoints and time limits beside.
"""
from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import libsgt as sgt

Bytes = npt.NDArray[np.uint8]

HELD_OUT_BATCHES = 16  # of an evaluation during the training


class ByteTokenizer:
    """Every byte of UTF-8 is a token."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode(errors="replace")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, metavar="TEXT")
    parser.add_argument("--held-out", type=Path, metavar="FILE",
                        help="evaluate on it (default: the last twentieth of TEXT)")
    for name, value, meaning in (
            ("d-model", 192, "width of the residual stream"), ("layers", 4, "blocks"),
            ("heads", 6, "attention heads"), ("ff", 512, "inner width of the feed-forward part"),
            ("batch", 4, "sequences in a step"), ("seq", 256, "bytes in a sequence"),
            ("steps", 1000, "optimizer steps"), ("seed", 1, "of weights, batches and sample"),
            ("threads", 0, "0: the processors allowed"), ("sample-bytes", 300, "to generate")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (%(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate (%(default)s)")
    parser.add_argument("--pattern", default="dense", metavar="SPEC[,SPEC...]",
                        help="which keys queries see, by layer: dense, local:64, .. (%(default)s)")
    add_sparse_parts(parser)
    parser.add_argument("--init-residual", action="store_true",
                        help="first weights of what is added to the residual stream over "
                        "sqrt(2 layers)")
    parser.add_argument("--growth-groups", default="one", choices=("one", "patterns"),
                        help="layers whose entropies are compared: one group of all, or those of "
                        "one pattern (%(default)s)")
    parser.add_argument("--altup", type=int, default=1, metavar="K",
                        help="streams of a token, of which layers take turns (%(default)s)")
    parser.add_argument("--prompt", default="She ", help="what the sample starts with")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write JSON lines")
    parser.add_argument("--figure", type=Path, metavar="FILE", default=Path("report.png"),
                        help="(%(default)s)")
    return parser.parse_args()


def add_sparse_parts(parser: argparse.ArgumentParser) -> None:
    """Those of Scaling Transformers, of which a token uses a part."""
    for name, words in (("feed-forward", ("swiglu", "relu")),
                        ("attention", ("softmax", "multiplicative")),
                        ("attention-output", ("projection", "none"))):
        parser.add_argument(f"--{name}", choices=words, default=words[0], help="(%(default)s)")
    for name, value, meaning in (
            ("units", 0, "a token uses one unit out of every so many; 0: all"),
            ("controller-rank", 64, "of what chooses units"),
            ("mult-kernel", 3, "positions that convolutions of multiplicative attention see"),
            ("head-modules", 0, "sparse output head; 0: a matrix")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (%(default)s)")
    parser.add_argument("--hard-fraction", type=float, default=0.3, metavar="P",
                        help="probability that only chosen units count in a training step "
                        "(%(default)s)")
    parser.add_argument("--unit-temperature", type=float, default=0.1, metavar="TAU",
                        help="of the noise in choices (%(default)s)")
    parser.add_argument("--unit-scale", action="store_true",
                        help="first weights of sparse feed-forward parts that add as much as "
                        "dense ones")


def read_text(o: argparse.Namespace) -> tuple[Bytes, Bytes]:
    """The bytes to train on and those held out."""
    text = np.fromfile(o.text, dtype=np.uint8)
    if o.held_out:
        return text, np.fromfile(o.held_out, dtype=np.uint8)
    cut = len(text) - max(len(text) // 20, o.seq + 1)
    return text[:max(cut, 0)], text[max(cut, 0):]


def make_model(o: argparse.Namespace) -> sgt.Model:
    parts = sgt.BlockConfig(feed_forward=o.feed_forward, units=o.units,
                            controller_rank=o.controller_rank, hard_fraction=o.hard_fraction,
                            temperature=o.unit_temperature, attention=o.attention,
                            attention_output=o.attention_output, mult_kernel=o.mult_kernel)
    blocks = [dataclasses.replace(parts, patterns=[spec]) for spec in o.pattern.split(",")]
    config = sgt.ModelConfig(vocab_size=256, d_model=o.d_model, n_layers=o.layers,
                             n_heads=o.heads, d_ff=o.ff, max_seq_len=o.seq, blocks=blocks,
                             altup_streams=o.altup, head_modules=o.head_modules)
    return sgt.Model(config, sgt.Context(threads=o.threads), seed=o.seed, draw_seed=o.seed,
                     std=1 / math.sqrt(o.d_model), residual=o.init_residual,
                     unit_scale=o.unit_scale)


def bits_per_byte(model: sgt.Model, text: Bytes, o: argparse.Namespace,
                  limit: int | None = None) -> float:
    loss = sgt.evaluate(model, sgt.windows(text, o.batch, o.seq), limit=limit)
    return float(loss) / math.log(2)


def costs(model: sgt.Model) -> list[str]:
    """Of a byte, with the weights that are read for it or for the batch that it is in."""
    counts = {"training": model.flops(), "evaluation": model.flops(phase="evaluate"),
              "decoding": model.flops(phase="decode")}
    return [f"{1e-6 * (counted.training or counted.forward):.4g} in {name} "
            f"({1e-6 * counted.weight_bytes:.4g} MB of weights)"
            for name, counted in counts.items()]


def groups_of(o: argparse.Namespace) -> list[int]:
    """Each pattern of --pattern is called by its first place; none: one group."""
    specs = o.pattern.split(",")
    return [specs.index(spec) for spec in specs] if o.growth_groups == "patterns" else []


def train(model: sgt.Model, text: Bytes, held_out: Bytes, history: sgt.History,
          o: argparse.Namespace) -> None:
    optimizer = sgt.Optimizer(model, lr=o.lr, schedule="cosine", total_steps=o.steps,
                              warmup_steps=o.steps // 20)
    window = max(o.steps // 10, 1)  # growth is over after four tenths of the run
    policy = sgt.SparseGrowth(first_step=window, window=window,
                              max_layers=min(3, o.layers - 1), keep_heads=min(2, o.heads),
                              groups=groups_of(o))
    for metrics in sgt.train(model, sgt.random_windows(text, o.batch, o.seq, seed=o.seed),
                             optimizer=optimizer, policy=policy, steps=o.steps,
                             entropies="last", entropies_every=max(o.steps // 250, 1),
                             history=history):
        if metrics.event.action == "select":
            print(f"step {metrics.step:6}  growth: layer {metrics.event.layer} loops, heads",
                  *metrics.event.heads)
        elif metrics.event.action == "fix":
            print(f"step {metrics.step:6}  growth: over, looped layers:", *metrics.event.layers)
        if metrics.step % max(o.steps // 10, 1) == 0:
            bits = bits_per_byte(model, held_out, o, HELD_OUT_BATCHES)
            history.append({"type": "eval", "step": metrics.step, "bits_per_byte": bits})
            print(f"step {metrics.step:6}  loss {metrics.loss:.3f}  held-out {bits:.3f} bits per "
                  f"byte  {metrics.tokens_per_s:.0f} bytes/s  depth {100 * metrics.overhead:+.2f} %")


def main() -> int:
    o = read_options()
    text, held_out = read_text(o)
    if min(len(text), len(held_out)) <= o.seq:
        print(f"train_text.py: {o.text}: too short for --seq {o.seq}", file=sys.stderr)
        return 2
    model = make_model(o)
    history = sgt.History()
    try:
        train(model, text, held_out, history, o)
    except KeyboardInterrupt:
        print("stopped; the model is that of the last whole step")
    if o.log:
        history.write(o.log)
    draw(history, o.figure)
    session = sgt.Session(model)
    made = session.generate(o.prompt, tokenizer=ByteTokenizer(), temperature=0.8, top_k=40,
                            max_tokens=min(o.sample_bytes, o.seq - len(o.prompt.encode())),
                            seed=o.seed)
    print(f"---- sample ----\n{o.prompt}{made.text}\n----")
    print("MFLOP per byte: " + ", ".join(costs(model)))
    print(f"held-out: {bits_per_byte(model, held_out, o):.3f} bits per byte")
    return 0


def draw(history: sgt.History, path: Path) -> None:
    try:
        sgt.plot.report(history, path)
    except ImportError as error:
        print(error)
    else:
        print(f"picture: {path}")


if __name__ == "__main__":
    sys.exit(main())
