#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Trains a byte-level model on long stretches of whole books, under attention patterns.

    python3 train_books.py emma.txt persuasion.txt --held-out northanger_abbey.txt

A sequence is --seq bytes of one book. Layers take the patterns of --pattern in turn; a picture
shows who sees what. Then the same model is trained with dense attention on windows of --short
bytes, as many bytes in as many steps, and both are evaluated on a book that neither has seen.
"""
from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Iterator

import numpy as np
import numpy.typing as npt

import libsgt as sgt

Bytes = npt.NDArray[np.uint8]


def read_patterns(text: str) -> list[sgt.AttentionPattern]:
    try:
        return [sgt.AttentionPattern.parse(spec) for spec in text.split(",")]
    except sgt.Error as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, metavar="BOOK", nargs="+")
    parser.add_argument("--held-out", type=Path, metavar="BOOK", required=True)
    for name, value, meaning in (
            ("d-model", 96, "width of the residual stream"), ("layers", 4, "blocks"),
            ("heads", 3, "attention heads"), ("ff", 256, "inner width of the feed-forward part"),
            ("seq", 8192, "bytes in a sequence"), ("batch", 1, "sequences in a step"),
            ("short", 512, "bytes in a sequence of the dense model; divides seq"),
            ("steps", 600, "optimizer steps"), ("seed", 1, "of weights and batches"),
            ("threads", 0, "0: the processors allowed")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (%(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate (%(default)s)")
    parser.add_argument("--pattern", type=read_patterns, metavar="SPEC[,SPEC...]",
                        default="local:128,local:128,local:128,block+summary:128:16",
                        help="which keys queries see, by layer (%(default)s)")
    parser.add_argument("--figure", type=Path, metavar="FILE", default=Path("patterns.png"),
                        help="(%(default)s)")
    options = parser.parse_args()
    if len(options.pattern) > options.layers:
        parser.error("--pattern: more patterns than --layers")
    return options


def stretches(books: list[Bytes], batch: int, seq: int,
              seed: int) -> Iterator[npt.NDArray[np.int32]]:
    """Batches of sequences that each lie within a book; a book is taken as often as it is long."""
    windows = [sgt.random_windows(book, batch, seq, seed=seed) for book in books]
    lengths = np.array([len(book) for book in books])
    choices = np.random.default_rng(seed)
    while True:
        yield next(windows[choices.choice(len(books), p=lengths / lengths.sum())])


def train(patterns: list[sgt.AttentionPattern], seq: int, batch: int, books: list[Bytes],
          o: argparse.Namespace) -> sgt.Model:
    """A model of sequences of `seq` bytes that grew while it was trained."""
    config = sgt.ModelConfig(vocab_size=256, d_model=o.d_model, n_layers=o.layers,
                             n_heads=o.heads, d_ff=o.ff, max_seq_len=seq,
                             blocks=[sgt.BlockConfig(patterns=[one]) for one in patterns])
    model = sgt.Model(config, sgt.Context(threads=o.threads), seed=o.seed,
                      std=1 / math.sqrt(o.d_model))
    optimizer = sgt.Optimizer(model, lr=o.lr, schedule="cosine", total_steps=o.steps,
                              warmup_steps=o.steps // 20)
    window = max(o.steps // 10, 1)
    policy = sgt.SparseGrowth(first_step=window, window=window,
                              max_layers=min(2, o.layers - 1), keep_heads=1,
                              groups=[patterns.index(pattern) for pattern in patterns])
    began = time.monotonic()
    for metrics in sgt.train(model, stretches(books, batch, seq, o.seed), optimizer=optimizer,
                             policy=policy, steps=o.steps, progress=False):
        if metrics.event.action == "select":
            print(f"  step {metrics.step:5}  layer {metrics.event.layer} loops, heads",
                  *metrics.event.heads)
        if metrics.step % max(o.steps // 5, 1) == 0:
            print(f"  step {metrics.step:5}  loss {metrics.loss:.3f}  "
                  f"{metrics.tokens_per_s:.0f} bytes/s", flush=True)
    print(f"  {o.steps * batch * seq} bytes in {time.monotonic() - began:.0f} s")
    return model


def bits_per_byte(model: sgt.Model, text: Bytes, context: int, batch: int) -> float:
    """On all of a text, cut into windows of `context` bytes."""
    return float(sgt.evaluate(model, sgt.windows(text, batch, context))) / math.log(2)


def describe(patterns: list[sgt.AttentionPattern], o: argparse.Namespace) -> None:
    """Says what the patterns cost, and draws their first four strides."""
    used = [patterns[layer % len(patterns)] for layer in range(o.layers)]
    share = np.mean([pattern.pairs(o.seq) for pattern in used]) / (o.seq * (o.seq + 1) / 2)
    print(f"attention computes {100 * share:.1f} % of the pairs of {o.seq} bytes")
    different = list(dict.fromkeys(patterns))
    shown = min(o.seq, 4 * max(max(pattern.stride for pattern in different), 16))
    try:
        from matplotlib.figure import Figure
        figure = Figure(figsize=(5 * len(different), 5), layout="constrained")
        panels = figure.subplots(1, len(different), squeeze=False)[0]
        for axes, pattern in zip(panels, different):
            sgt.plot.pattern(pattern, shown, axes)
        figure.savefig(o.figure, dpi=100)
    except ImportError as error:
        print(error)
    else:
        print(f"picture: {o.figure}")


def main() -> int:
    o = read_options()
    books = [np.fromfile(path, dtype=np.uint8) for path in o.books]
    held_out = np.fromfile(o.held_out, dtype=np.uint8)
    if min(len(held_out), *map(len, books)) <= o.seq or o.seq % o.short:
        print(f"train_books.py: --seq {o.seq} is longer than a book, or no multiple of --short",
              file=sys.stderr)
        return 2
    describe(o.pattern, o)
    print(*o.pattern, sep=", ", end=f": sequences of {o.seq} bytes\n")
    model = train(o.pattern, o.seq, o.batch, books, o)
    contexts = [o.short * 4**i for i in range(16) if o.short * 4**i < o.seq] + [o.seq]
    for context in contexts:
        bits = bits_per_byte(model, held_out, context, o.batch * o.seq // context)
        print(f"  held-out, {context} bytes at a time: {bits:.3f} bits per byte", flush=True)
    print(f"dense: sequences of {o.short} bytes")
    batch = o.batch * o.seq // o.short
    model = train([sgt.AttentionPattern()], o.short, batch, books, o)
    bits = bits_per_byte(model, held_out, o.short, batch)
    print(f"  held-out, {o.short} bytes at a time: {bits:.3f} bits per byte")
    return 0


if __name__ == "__main__":
    sys.exit(main())
