#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fine-tunes a LLaMA from a Hugging Face folder with growth switched on.

    python3 finetune_hf.py FOLDER OUT --text novel.txt --prompt "She "
    python3 finetune_hf.py FOLDER OUT --tokens tokens.bin --held held.bin

A text is encoded by the folder's own tokenizer, for which transformers must be installed; tokens
are little-endian ids, of any number, and need neither. The loss on text that the model is not
trained on is printed before and after: only that tells whether the rate was right. The grown model
goes to OUT, which this program and libsgt load again; a new pass fades in to a small gain, so that
the model that was loaded is never thrown off (doc/fine-tuning.md).
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Tuple

import numpy as np
import numpy.typing as npt

import libsgt as sgt

Ids = npt.NDArray[Any]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--text", type=Path, metavar="FILE")
    data.add_argument("--tokens", type=Path, metavar="FILE")
    parser.add_argument("--held", type=Path, metavar="FILE",
                        help="held-out text or tokens (the last tenth of what is trained on)")
    parser.add_argument("--held-tokens", type=int, default=4096,
                        help="held-out tokens that are looked at (%(default)s)")
    parser.add_argument("--id-bytes", type=int, choices=(2, 4),
                        help="of the ids in files (4 for vocabularies above 65536, else 2)")
    parser.add_argument("--steps", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--seq", type=int, default=128, help="(%(default)s)")
    parser.add_argument("--lr", type=float, default=3e-5,
                        help="highest rate; 2e-5 to 5e-5 suit most trained models (%(default)s)")
    parser.add_argument("--warmup", type=int, help="steps of warm-up (a tenth of all)")
    parser.add_argument("--gain", type=float, default=0.1,
                        help="where the gains of new loops end; 0: no growth (%(default)s)")
    parser.add_argument("--prompt", help="with --text: generate a continuation at the end")
    return parser.parse_args()


def load_tokenizer(folder: Path) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        sys.exit("finetune_hf.py: --text needs the package transformers")
    return AutoTokenizer.from_pretrained(folder)


def read_ids(path: Path, tokenizer: Any, id_bytes: int) -> Ids:
    if tokenizer:
        return np.array(tokenizer.encode(path.read_text(encoding="utf-8")), dtype=np.int32)
    return np.memmap(path, dtype=f"<u{id_bytes}", mode="r")


def read_texts(o: argparse.Namespace, tokenizer: Any, vocab_size: int) -> Tuple[Ids, Ids]:
    """What is trained on, and what is held out of it."""
    id_bytes = o.id_bytes or (4 if vocab_size > 65536 else 2)
    text = read_ids(o.text or o.tokens, tokenizer, id_bytes)
    if o.held:
        held = read_ids(o.held, tokenizer, id_bytes)
    else:
        text, held = text[: -(text.size // 10) or None], text[-(text.size // 10) or None :]
    if min(text.size, held.size) <= o.seq:
        raise ValueError(f"{text.size} tokens to train on and {held.size} held out are not both "
                         f"more than --seq {o.seq}")
    return text, held


def print_held_out(model: sgt.Model, held: Ids, o: argparse.Namespace, when: str) -> None:
    """The loss over windows all over the held-out text."""
    count = min(-(-o.held_tokens // o.seq), (held.size - 1) // o.seq)
    stride = (held.size - 1) // count
    rows = np.stack([held[i * stride : i * stride + o.seq + 1] for i in range(count)])
    loss = sgt.evaluate(model, (rows[i : i + o.batch] for i in range(0, count, o.batch)))
    print(f"held-out loss {when}: {float(loss):.4f} ({loss.count} tokens)", flush=True)


def tune(model: sgt.Model, text: Ids, o: argparse.Namespace) -> None:
    """Growth picks up to two layers in the first half of the run."""
    config = model.config
    warmup = o.steps // 10 if o.warmup is None else o.warmup
    optimizer = sgt.Optimizer(model, lr=o.lr, weight_decay=0.01, schedule="cosine",
                              total_steps=o.steps, warmup_steps=warmup)
    policy = sgt.SparseGrowth(first_step=1 + o.steps // 10, window=1 + o.steps // 5,
                              max_layers=min(2, config.n_layers - 1) or 1, ramp="warm",
                              keep_heads=min(2, config.n_heads), max_gain=o.gain or 1)
    for metrics in sgt.train(model, sgt.random_windows(text, o.batch, o.seq), optimizer=optimizer,
                             policy=policy if o.gain else None, steps=o.steps, progress=False):
        if metrics.event.action == "select":
            print(f"step {metrics.step}: layer {metrics.event.layer} loops")
        if metrics.step in (1, o.steps) or metrics.step % 10 == 0:
            print(f"step {metrics.step}: loss {metrics.loss:.4f}", flush=True)


def main() -> int:
    o = read_options()
    tokenizer = load_tokenizer(o.folder) if o.text else None
    try:
        model = sgt.Model.from_pretrained(o.folder)
        text, held = read_texts(o, tokenizer, model.config.vocab_size)
        o.out.mkdir(parents=True, exist_ok=True)
        print_held_out(model, held, o, "before")
        tune(model, text, o)
        print_held_out(model, held, o, "after")
        model.save_pretrained(o.out, copy_from=o.folder)
    except (OSError, ValueError, sgt.Error) as error:
        print(f"finetune_hf.py: {error}", file=sys.stderr)
        return 1
    if tokenizer and o.prompt:
        print(sgt.Session(model).generate(o.prompt, tokenizer=tokenizer, max_tokens=o.seq,
                                          temperature=0.8).text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
