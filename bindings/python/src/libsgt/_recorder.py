# SPDX-License-Identifier: BSD-3-Clause
"""Turns what a training does into the records of ``History``."""
from __future__ import annotations

import os
from typing import Any, BinaryIO, Dict, Optional, TextIO

import numpy as np

from ._library import library_version
from ._text import Path
from .growth import Growth
from .history import History, Record, line, plain
from .metrics import StepMetrics
from .model import Model
from .optimizer import Optimizer
from .policies import SparseGrowth
from .policy import GrowthEvent


def append_to(log: Path) -> TextIO:
    """A log to append to, without the last line of a run that was killed while it wrote it."""
    if os.path.isfile(log):
        with open(log, "r+b") as file:
            file.truncate(_whole_lines(file))
    return open(log, "a", encoding="utf-8")


def _whole_lines(file: BinaryIO) -> int:
    """Where the last line that has a newline ends."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - (1 << 16))
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


class Recorder:
    """Writes what a run does to a history, a file, or both."""

    def __init__(self, model: Model, history: Optional[History], file: Optional[TextIO]) -> None:
        self._model = model
        self._history = history
        self._file = file
        self._shape: Any = ((), ())

    def record(self, type: str, **fields: Any) -> None:
        if self._history is None and self._file is None:
            return
        record: Record = plain({"type": type, **fields})
        if self._history is not None:
            self._history.add_plain(record)
        if self._file is not None:
            self._file.write(line(record))
            self._file.flush()

    def step(self, m: StepMetrics) -> None:
        if self._history is None and self._file is None:
            return
        more = {"skipped": True} if m.skipped else {}
        self.record(
            "step",
            step=m.step,
            loss=m.loss,
            lr=m.lr,
            grad_norm=m.grad_norm,
            tokens_per_s=m.tokens_per_s,
            overhead=m.overhead,
            overhead_now=self._overhead_now(),
            **more,
        )
        self.growth(m.step, m.event)
        for kind, values in (m.entropies or {}).items():
            self.record("entropy", step=m.step, kind=kind, values=values)

    def growth(self, step: int, event: GrowthEvent) -> None:
        if event.action == "fix":
            self.record("growth", step=step, action="fix", layers=event.layers)
        elif event:
            self.record(
                "growth",
                step=step,
                action=event.action,
                layer=event.layer,
                depth=event.depth,
                heads=event.heads,
            )

    def depth(self, step: int, shape: Any, event: Optional[GrowthEvent]) -> None:
        """After a change of depths or runs; kept heads change with events."""
        if shape == self._shape and not event:
            return
        self._shape = shape
        if self._history is None and self._file is None:
            return
        with self._model.plan as plan:
            heads = [
                [int(h) for h in np.flatnonzero(plan.targets(layer, depth))] if depth else []
                for layer, depth in enumerate(plan.depths)
            ]
        self.record("depth", step=step, depths=shape[0], runs=shape[1], heads=heads)

    def start(self, steps: Optional[int], optimizer: Optimizer, growth: Optional[Growth]) -> None:
        model = self._model
        config, backend = model.config, model.context._for(model._owned).backend
        policy = None if growth is None else growth.policy
        fields: Dict[str, Any] = {
            "weights": model.n_weights,
            "d_model": config.d_model,
            "layers": config.n_layers,
            "heads": config.n_heads,
            "ff": config.d_ff,
            "steps": steps,
            "threads": backend.threads,
            "policy": "none" if policy is None else type(policy).__name__,
            "kernels": backend.kernels,
            "version": library_version(),
        }
        if isinstance(policy, SparseGrowth):
            fields["growth_first"], fields["growth_window"] = policy.first_step, policy.window
        self.record("run", **fields)

    def end(self, steps: int, seconds: float) -> None:
        if self._history is None and self._file is None:
            return
        total = self._model.flops_total
        self.record(
            "end",
            steps=steps,
            seconds=seconds,
            flops=total.executed,
            overhead=total.overhead,
            overhead_now=self._overhead_now(),
        )

    def _overhead_now(self) -> float:
        """Of a step under the current plan, over the same without loops, minus 1."""
        now, plain_ = self._model.flops(), self._model.flops(loops="vanilla")
        return now.training / plain_.training - 1
