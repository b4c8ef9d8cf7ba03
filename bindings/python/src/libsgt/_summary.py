# SPDX-License-Identifier: BSD-3-Clause
"""A model as a table to read."""
from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Dict, List, Tuple

if TYPE_CHECKING:
    from .model import Model

_Row = Tuple[str, str, str]


def _rows(model: "Model") -> List[_Row]:
    """A row for each kind of parameter; layers stand together."""
    kinds: Dict[Tuple[str, Tuple[int, ...]], int] = {}
    for name, shape in zip(model.names, model._shapes):
        kind = re.sub(r"\.layers\.\d+\.", ".layers.*.", name), shape
        kinds[kind] = kinds.get(kind, 0) + 1
    rows = [("parameter", "shape", "weights")]
    for (name, shape), count in kinds.items():
        size = " x ".join(map(str, shape)) + (f", {count} times" if ".*." in name else "")
        rows.append((name, size, f"{count * math.prod(shape):,}"))
    rows.append(("all", "", f"{model.n_weights:,}"))
    return rows


def _table(rows: List[_Row]) -> List[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows
    ]


def summary(model: "Model") -> str:
    """What ``Model.summary`` gives."""
    config, (depths, runs) = model.config, model.depths_and_runs()
    now, plain = model.flops(), model.flops(loops="vanilla")
    more = now.forward / plain.forward - 1
    head = [
        f"{config.n_layers} layers, d_model {config.d_model}, {config.n_heads} heads "
        f"({config.n_kv_heads} of keys and values) of {config.head_dim}, d_ff {config.d_ff}",
        f"vocab_size {config.vocab_size}{', tied' if config.tied else ''}, max_seq_len "
        f"{config.max_seq_len}",
        "",
    ]
    tail = [
        "",
        f"extra passes of attention per layer: {', '.join(map(str, depths))}",
        *([f"extra runs of whole blocks: {', '.join(map(str, runs))}"] if any(runs) else []),
        f"FLOPs of a forward: {now.forward:.4g} per token, {100 * more:+.2f} % for depth",
    ]
    return "\n".join(head + _table(_rows(model)) + tail)
