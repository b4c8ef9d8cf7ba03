#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fine-tunes a LLaMA from a Hugging Face folder with growth switched on.

    python3 finetune_hf.py FOLDER OUT --text novel.txt --prompt "She "
    python3 finetune_hf.py FOLDER OUT --tokens tokens.bin

A text is encoded by the folder's own tokenizer, for which transformers must be installed; tokens
are 16-bit little-endian ids, of any number, and need neither. The grown model goes to OUT, which
this program and libsgt load again; a new pass fades in from a small gain, so that the model that
was loaded is never thrown off.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sgt


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--text", type=Path, metavar="FILE")
    data.add_argument("--tokens", type=Path, metavar="FILE")
    parser.add_argument("--steps", type=int, default=40, help="(%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--seq", type=int, default=32, help="(%(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="(%(default)s)")
    parser.add_argument("--prompt", help="with --text: generate a continuation at the end")
    return parser.parse_args()


def load_tokenizer(folder: Path) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        sys.exit("finetune_hf.py: --text needs the package transformers")
    return AutoTokenizer.from_pretrained(folder)


def tune(model: sgt.Model, tokens: npt.NDArray[Any], o: argparse.Namespace) -> None:
    """Growth picks up to two layers in the first half of the run."""
    config = model.config
    optimizer = sgt.Optimizer(model, lr=o.lr, schedule="cosine", total_steps=o.steps,
                              warmup_steps=o.steps // 10)
    policy = sgt.SparseGrowth(first_step=1 + o.steps // 10, window=1 + o.steps // 5,
                              max_layers=min(2, config.n_layers - 1) or 1,
                              keep_heads=min(2, config.n_heads), ramp="warm")
    for metrics in sgt.train(model, sgt.random_windows(tokens, o.batch, o.seq),
                             optimizer=optimizer, policy=policy, steps=o.steps, progress=False):
        if metrics.event.action == "select":
            print(f"step {metrics.step}: layer {metrics.event.layer} loops")
        if metrics.step == 1 or metrics.step % 10 == 0:
            print(f"step {metrics.step}: loss {metrics.loss:.4f}")


def main() -> int:
    o = read_options()
    tokenizer = load_tokenizer(o.folder) if o.text else None
    try:
        if tokenizer:
            text = o.text.read_text(encoding="utf-8")
            tokens = np.array(tokenizer.encode(text), dtype=np.int32)
        else:
            tokens = np.memmap(o.tokens, dtype="<u2", mode="r")
        model = sgt.Model.from_pretrained(o.folder)
        tune(model, tokens, o)
        o.out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(o.out)
    except (OSError, ValueError, sgt.Error) as error:
        print(f"finetune_hf.py: {error}", file=sys.stderr)
        return 1
    if tokenizer:
        tokenizer.save_pretrained(o.out)
        if o.prompt:
            print(sgt.Session(model).generate(o.prompt, tokenizer=tokenizer, max_tokens=o.seq,
                                              temperature=0.8).text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
