# SPDX-License-Identifier: BSD-3-Clause
"""What a step of a training tells."""
from __future__ import annotations

import dataclasses
from typing import Dict, Optional, Tuple

from ._arrays import Float64
from ._text import public_name
from .policy import GrowthEvent

Entropies = Optional[Dict[str, Float64]]


@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """One optimizer step of ``train``.

    loss: mean over the step's ``count`` targets. overhead: FLOPs so far against the same training
    without loops, minus 1. event: false when the policy did nothing. depths: extra passes per
    layer after the step. entropies: {kind: [n_layers, max_passes, n_heads]}, where asked for.
    held: the held-out loss after the step, where it was looked at.
    """

    step: int
    loss: float
    count: int
    lr: float
    grad_norm: float
    clip_scale: float
    skipped: bool
    seconds: float
    tokens_per_s: float
    overhead: float
    event: GrowthEvent
    depths: Tuple[int, ...]
    entropies: Entropies
    held: Optional[float] = None

    def __repr__(self) -> str:
        event = f", {self.event}" if self.event else ""
        skipped = ", skipped" if self.skipped else ""
        kinds = f", entropies {' and '.join(self.entropies)}" if self.entropies else ""
        held = "" if self.held is None else f", held {self.held:.4f}"
        return (
            f"<{public_name(type(self))} of step {self.step}: loss {self.loss:.4f}{held}, "
            f"lr {self.lr:.4g}, grad_norm {self.grad_norm:.4g}, {self.tokens_per_s:.0f} tokens/s, "
            f"overhead {100 * self.overhead:.2f} %, depths {self.depths}{event}{skipped}{kinds}>"
        )
