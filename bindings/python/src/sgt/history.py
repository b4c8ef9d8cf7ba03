# SPDX-License-Identifier: BSD-3-Clause
"""What a training did: read from a log or collected while it runs.

A log has one JSON object per line. `sgt.train` and the C program ``train_text`` write the same
ones, told apart by "type"; numbers that are not finite are null, and any key may be missing:

    run      the shape of the model and of the run: layers, heads, batch, seq, ...
    step     an optimizer step: loss, lr, grad_norm, overhead (of FLOPs so far), overhead_now
    entropy  of the attention of every head: values[layer][pass][head], null for what did not run
    growth   what the policy did: action (select, deepen, fix), layer, depth, heads, layers
    depth    from this step on: depths[layer], runs[layer] and heads[layer], which stay in the loop
    eval     bits_per_byte, or loss in nats per token, of held-out data
    end      totals

A `History` needs no model.
"""
from __future__ import annotations

import json
import math
import os
from typing import Any, Iterable, Union

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
Record = dict[str, Any]
PathLike = Union[str, "os.PathLike[str]"]


class History:
    """The records of one training, in the order of steps.

    Where a run was resumed before its last step, the records of the steps that it did again
    replace the earlier ones.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: list[Record] = []
        for record in records:
            self.append(record)

    def append(self, record: Record) -> None:
        """Takes one record. Raises ValueError for one that no log can have."""
        _check(record)
        again = record["type"] == "depth" and self.records and self.records[-1]["type"] == "run"
        if again and len(self.records) > 1:
            run = self.records.pop()
            self.records = [old for old in self.records
                            if old["type"] != "end" and old.get("step", 0) <= record["step"]]
            self.records.append(run)
        self.records.append(record)

    def of_type(self, type: str) -> list[Record]:
        """The records of one type."""
        return [record for record in self.records if record["type"] == type]

    @property
    def run(self) -> Record:
        """The first "run" record, or an empty one."""
        return next((record for record in self.records if record["type"] == "run"), {})

    @property
    def end(self) -> Record:
        """The "end" record, or an empty one while the run goes on."""
        return self.records[-1] if self.records and self.records[-1]["type"] == "end" else {}

    @property
    def last_step(self) -> int:
        """The last step that any record is of; 0 when there is none."""
        return max((record.get("step", 0) for record in self.records), default=0)

    def series(self, key: str, type: str = "step") -> tuple[Steps, Floats]:
        """A figure over time, from the records of a type that have it.

        Returns steps (N,) int64 and values (N,) float64, where null is NaN.
        """
        found = [record for record in self.of_type(type) if key in record]
        steps = np.array([record["step"] for record in found], dtype=np.int64)
        values = [math.nan if record[key] is None else record[key] for record in found]
        return steps, np.array(values, dtype=np.float64)

    def entropies(self, kind: str = "last") -> tuple[Steps, Floats]:
        """Entropies of attention over time.

        Returns steps (N,) int64 and values (N, n_layers, max_passes, n_heads) float64 in [0, 1],
        NaN for a pass or head that did not run. Raises ValueError when the shapes of the records do
        not fit together.
        """
        found = [record for record in self.of_type("entropy")
                 if record.get("kind", "last") == kind]
        layers = max((len(record["values"]) for record in found), default=0)
        passes = max((len(rows) for record in found for rows in record["values"]), default=0)
        heads = len(found[0]["values"][0][0]) if passes else 0
        values = np.full((len(found), layers, passes, heads), np.nan)
        for i, record in enumerate(found):
            for layer, rows in enumerate(record["values"]):
                values[i, layer, :len(rows)] = np.array(rows, dtype=np.float64)
        return np.array([record["step"] for record in found], dtype=np.int64), values

    @classmethod
    def read(cls, path: PathLike) -> History:
        """Reads a log, also of a run that still goes on or was killed in the middle of a line.

        Raises OSError, and ValueError, which names the line, for what is not such a log.
        """
        history = cls()
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    history.append(json.loads(line))
                except ValueError as error:
                    if not line.endswith("\n"):  # still being written
                        break
                    raise ValueError(f"{os.fspath(path)}, line {number}: {error}") from None
        return history

    def write(self, path: PathLike) -> None:
        """Writes all records to a new log. Raises OSError."""
        with open(path, "w", encoding="utf-8") as file:
            for record in self.records:
                file.write(line_of(record))


def line_of(record: Record) -> str:
    """A record as a line of a log; numbers that are not finite become null."""
    return json.dumps(_finite(record), separators=(",", ":"), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check(record: Any) -> None:
    """Refuses what would only fail later, when a picture is drawn."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise ValueError('a record is an object with a "type"')
    kind = record["type"]
    step = record.get("step", 0)
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise ValueError(f"step {step!r} is not a whole number from 0")
    if kind in ("step", "growth", "depth", "entropy", "eval") and "step" not in record:
        raise ValueError(f'a record of type "{kind}" has no step')
    if kind == "depth":
        lists = [record.get(key) for key in ("depths", "runs", "heads")]
        if not all(isinstance(item, (list, tuple)) and len(item) == len(lists[0] or ()) for item in lists):
            raise ValueError("depths, runs and heads are not lists with an entry per layer")
    if kind == "entropy" and not isinstance(record.get("values"), (list, tuple)):
        raise ValueError("an entropy record has no list of values")


def load(source: History | PathLike) -> History:
    """A history as it is, or read from a log."""
    return source if isinstance(source, History) else History.read(source)
