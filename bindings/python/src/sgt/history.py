# SPDX-License-Identifier: BSD-3-Clause
"""What a training did, step by step: read from a log or collected while it runs.

A log has one JSON object per line. ``sgt.train`` and the C program ``train_text`` write the same
ones, told apart by "type"; numbers that are not finite are null:

    run      shape of the model and of the run: layers, heads, batch, seq, ...
    step     an optimizer step: loss, lr, grad_norm, overhead (of FLOPs so far), overhead_now
    entropy  of the attention of every head: values[layer][pass][head]
    growth   what the policy did: action (select, deepen, fix), layer, depth, heads, layers
    plan     the depth from this step on: depth[layer], runs[layer], heads[layer], which are the
             heads that stay in the loop of the layer
    eval     bits_per_byte, or loss in nats per token, of held-out data
    end      totals

A `History` needs neither a model nor the library.
"""
from __future__ import annotations

import bisect
import json
import math
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, TypeVar, Union

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
PathLike = Union[str, "os.PathLike[str]"]

_COLUMNS = ("loss", "lr", "grad_norm", "overhead", "overhead_now", "tokens_per_s")
_NATS_PER_BIT = math.log(2)


@dataclass(frozen=True)
class GrowthRecord:
    """What a policy did at a step."""

    step: int
    action: str
    """"select": a layer got its first loop, "deepen": one more pass, "fix": growth is over."""
    layer: int
    """-1 for "fix"."""
    depth: int
    """Extra passes of that layer from now on."""
    heads: tuple[int, ...]
    """Those kept, of "select"."""
    layers: tuple[int, ...]
    """Those that loop, of "fix"."""


@dataclass(frozen=True)
class PlanRecord:
    """The depth from a step on; every tuple has an entry per layer."""

    step: int
    depth: tuple[int, ...]
    """Extra attention passes."""
    runs: tuple[int, ...]
    """Extra runs of the whole block."""
    heads: tuple[tuple[int, ...], ...]
    """The heads that stay in the loop when its ramp is over."""

    def passes(self, layer: int) -> int:
        """How often the attention of a layer runs in one forward, at least 1."""
        return (1 + self.runs[layer]) * (1 + self.depth[layer])


@dataclass(frozen=True)
class EntropyRecord:
    """Entropies of attention at a step."""

    step: int
    values: npt.NDArray[np.float32]
    """(layers, passes, heads), in [0, 1]; NaN for what did not run."""


class History:
    """The records of one training, in the order of steps.

    Where a run was resumed and did steps again, the later ones count.
    """

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        """What the log says of the run: "layers", "heads", "d_model", "seq", ..."""
        self.end: dict[str, Any] = {}
        """Its totals; empty while it goes on."""
        self.growth: list[GrowthRecord] = []
        self.plans: list[PlanRecord] = []
        self.entropies: list[EntropyRecord] = []
        self._steps = array("q")
        self._columns = {name: array("d") for name in _COLUMNS}
        self._evaluations: list[tuple[int, float]] = []

    @classmethod
    def read(cls, path: PathLike) -> History:
        """Reads a log, also of a run that still goes on or was killed.

        Raises OSError, and ValueError, which names the line, for what is not such a log.
        """
        history = cls()
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    history.add(json.loads(line))
                except (ValueError, TypeError, KeyError) as error:
                    if not line.endswith("\n"):  # its writer has not come to the end
                        break
                    reason = f"no {error}" if isinstance(error, KeyError) else str(error)
                    raise ValueError(f"{os.fspath(path)}, line {number}: {reason}") from None
        return history

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes one record of a log. Those of an unknown type are left out.

        Raises KeyError, TypeError or ValueError for a record that lacks something.
        """
        if not isinstance(record, Mapping):
            raise TypeError("a record is a JSON object")
        kind = record["type"]
        take = self._takers.get(kind)
        if take:
            take(self, record)

    # -- what is there --

    @property
    def steps(self) -> Steps:
        """The numbers of the steps, ascending: (N,) int64."""
        return np.array(self._steps, dtype=np.int64)

    def column(self, name: str) -> Floats:
        """A figure of every step: (N,) float64, NaN where it is not known.

        One of loss (nats per token), lr, grad_norm, overhead (of FLOPs, so far), overhead_now,
        tokens_per_s. Raises KeyError for another name.
        """
        return np.array(self._columns[name], dtype=np.float64)

    @property
    def evaluations(self) -> tuple[Steps, Floats]:
        """Steps and held-out losses in nats per token: (M,) int64, (M,) float64."""
        steps = np.array([step for step, _ in self._evaluations], dtype=np.int64)
        return steps, np.array([loss for _, loss in self._evaluations], dtype=np.float64)

    @property
    def last_step(self) -> int:
        """The last step there is any record of; 0 for none."""
        last = [self._steps[-1]] if self._steps else []
        last += [records[-1].step for records in (self.growth, self.plans, self.entropies)
                 if records]
        return max(last, default=0)

    def plan_at(self, step: int) -> PlanRecord | None:
        """The plan that a step ran under; None when the log has none so early."""
        at = bisect.bisect_left(self.plans, step, key=lambda plan: plan.step)
        return self.plans[max(at - 1, 0)] if self.plans else None

    # -- taking records --

    def _take_run(self, record: Mapping[str, Any]) -> None:
        self.run = {key: value for key, value in record.items() if key != "type"}
        self.end = {}

    def _take_step(self, record: Mapping[str, Any]) -> None:
        step = _step(record)
        self._forget_steps(step)
        values = [_number(record.get(name)) for name in _COLUMNS]
        self._steps.append(step)
        for column, value in zip(self._columns.values(), values):
            column.append(value)

    def _take_growth(self, record: Mapping[str, Any]) -> None:
        _append(self.growth, GrowthRecord(
            _step(record), str(record["action"]), int(record.get("layer", -1)),
            int(record.get("depth", 0)), _whole(record.get("heads", ())),
            _whole(record.get("layers", ()))))

    def _take_plan(self, record: Mapping[str, Any]) -> None:
        plan = PlanRecord(_step(record), _whole(record["depth"]), _whole(record["runs"]),
                          tuple(_whole(heads) for heads in record["heads"]))
        if not len(plan.depth) == len(plan.runs) == len(plan.heads):
            raise ValueError("depth, runs and heads of a plan differ in length")
        self._forget_steps(plan.step + 1)
        _forget(self.growth, plan.step + 1)
        _forget(self.entropies, plan.step + 1)
        _append(self.plans, plan)

    def _take_entropy(self, record: Mapping[str, Any]) -> None:
        layers: Sequence[Sequence[Sequence[float | None]]] = record["values"]
        passes = max(map(len, layers), default=0)
        heads = len(layers[0][0]) if passes else 0
        values = np.full((len(layers), passes, heads), np.nan, dtype=np.float32)
        for layer, rows in enumerate(layers):
            if rows:
                values[layer, :len(rows)] = np.array(rows, dtype=np.float32)
        _append(self.entropies, EntropyRecord(_step(record), values))

    def _take_evaluation(self, record: Mapping[str, Any]) -> None:
        step = _step(record)
        if "loss" in record:
            loss = _number(record["loss"])
        else:
            loss = _number(record["bits_per_byte"]) * _NATS_PER_BIT
        while self._evaluations and self._evaluations[-1][0] >= step:
            self._evaluations.pop()
        self._evaluations.append((step, loss))

    def _take_end(self, record: Mapping[str, Any]) -> None:
        self.end = {key: value for key, value in record.items() if key != "type"}

    _takers: dict[Any, Callable[[History, Mapping[str, Any]], None]] = {
        "run": _take_run, "step": _take_step, "growth": _take_growth, "plan": _take_plan,
        "entropy": _take_entropy, "eval": _take_evaluation, "end": _take_end,
    }

    def _forget_steps(self, step: int) -> None:
        """Drops the steps from this one on, done by a run that was resumed before them."""
        if self._steps and self._steps[-1] >= step:
            at = bisect.bisect_left(self._steps, step)
            del self._steps[at:]
            for column in self._columns.values():
                del column[at:]


_Record = TypeVar("_Record", GrowthRecord, PlanRecord, EntropyRecord)


def _forget(records: list[_Record], step: int) -> None:
    while records and records[-1].step >= step:
        records.pop()


def _append(records: list[_Record], record: _Record) -> None:
    _forget(records, record.step)
    records.append(record)


def _step(record: Mapping[str, Any]) -> int:
    step = record["step"]
    if not isinstance(step, int) or step < 0:
        raise ValueError(f"step {step!r} is not a whole number from 0")
    return step


def _whole(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def load(source: History | PathLike) -> History:
    """A history as it is, or read from a log."""
    return source if isinstance(source, History) else History.read(Path(source))
