# SPDX-License-Identifier: BSD-3-Clause
"""The log of a run that never was: small, with a known value at every place."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

Record = dict[str, Any]

LAYERS, HEADS, STEPS = 4, 3, 60

#: (step, layer, heads kept): what the policy selected.
SELECTED = ((10, 3, (2, 0)), (20, 2, (1,)))
FIXED = 30


def loss_at(step: int) -> float:
    return 2 + 4 * math.exp(-step / 12) + 0.05 * math.sin(7 * step)


def entropy_at(step: int, layer: int, pass_: int, head: int) -> float:
    """All different, in (0, 1)."""
    return 0.05 + 0.9 * ((step * 31 + layer * 17 + pass_ * 7 + head * 3) % 97) / 97


def kept_at(step: int) -> dict[int, tuple[int, ...]]:
    """The heads in the loop of each layer, in the forward of a step."""
    return {layer: heads for at, layer, heads in SELECTED if at < step}


def entropies_at(step: int) -> list[list[list[float | None]]]:
    kept = kept_at(step)
    rows: list[list[list[float | None]]] = []
    for layer in range(LAYERS):
        rows.append([[entropy_at(step, layer, 0, head) for head in range(HEADS)]])
        if layer in kept:
            rows[-1].append([entropy_at(step, layer, 1, head) if head in kept[layer] else None
                             for head in range(HEADS)])
    return rows


def depth_from(step: int) -> Record:
    kept = kept_at(step + 1)
    return {"type": "depth", "step": step, "depths": [int(i in kept) for i in range(LAYERS)],
            "runs": [0] * LAYERS, "heads": [list(kept.get(i, ())) for i in range(LAYERS)]}


def records(entropies: bool = True, token: str = "byte") -> list[Record]:
    found: list[Record] = [
        {"type": "run", "token": token, "layers": LAYERS, "heads": HEADS, "d_model": 48,
         "weights": 123456, "steps": STEPS, "batch": 4, "seq": 32}, depth_from(0)]
    total = 0.0
    for step in range(1, STEPS + 1):
        if entropies:
            found.append({"type": "entropy", "step": step, "kind": "last",
                          "values": entropies_at(step)})
        now = 0.05 * len(kept_at(step))
        total += now
        found.append({"type": "step", "step": step, "loss": loss_at(step), "lr": 1e-3,
                      "grad_norm": 1.0, "tokens_per_s": 1000.0, "overhead": total / step,
                      "overhead_now": now})
        for at, layer, heads in SELECTED:
            if at == step:
                found.append({"type": "growth", "step": step, "action": "select", "layer": layer,
                              "depth": 1, "heads": list(heads)})
                found.append(depth_from(step))
        if step == FIXED:
            found.append({"type": "growth", "step": step, "action": "fix",
                          "layers": sorted(layer for _, layer, _ in SELECTED)})
        if step % 20 == 0:
            found.append({"type": "eval", "step": step, "bits_per_byte": 3.5 - step / 60})
    return found + [{"type": "end", "steps": STEPS, "bits_per_byte": 2.4, "seconds": 12.0}]


def write(path: Path, lines: list[Record]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
