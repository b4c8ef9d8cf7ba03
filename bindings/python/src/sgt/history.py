# SPDX-License-Identifier: BSD-3-Clause
"""What happened in a training: records, one JSON object per line in a file.

The records are those of ``examples/train_text --log``, and two kinds more: "depth" whenever the
depths, runs or kept heads of the plan changed, and "entropy" where entropies were asked for.
Numbers that are not finite are null in a file and in a record.
"""
from __future__ import annotations

import json
import math
from typing import Any, Dict, Iterable, List, Tuple

import numpy as np
import numpy.typing as npt

from ._arrays import Float64
from ._text import Path

Record = Dict[str, Any]
Int64 = npt.NDArray[np.int64]


def plain(value: Any) -> Any:
    """As JSON holds it: no numpy, no number that is not finite."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def line(record: Record) -> str:
    """A record as it stands in a file, with the newline."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n"


class History:
    """The records of a run, in order."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: List[Record] = list(records)

    def __len__(self) -> int:
        return len(self.records)

    def append(self, record: Record) -> None:
        """Adds a record, with its numbers as JSON holds them."""
        self.records.append(plain(record))

    @classmethod
    def read(cls, path: Path) -> "History":
        """The records of a log. A last line that was cut off is left out.

        Raises OSError, and ValueError (the line is named) for what is no log.
        """
        history = cls()
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
        for number, text in enumerate(lines, 1):
            try:
                record = json.loads(text)
            except json.JSONDecodeError as error:
                if number == len(lines) and not text.endswith("\n"):
                    break
                raise ValueError(f"{path}: line {number} is no JSON: {error}") from None
            if not isinstance(record, dict) or "type" not in record:
                raise ValueError(f"{path}: line {number} is no record of a run")
            history.records.append(record)
        return history

    def write(self, path: Path) -> None:
        """Writes all records, one per line. Raises OSError."""
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line(record) for record in self.records)

    @property
    def run(self) -> Record:
        """The first "run" record, or an empty one."""
        return next(iter(self.of_type("run")), {})

    def of_type(self, type: str) -> List[Record]:
        """The records of a type: "run", "step", "growth", "eval", "depth", "entropy", "end"."""
        return [record for record in self.records if record.get("type") == type]

    def series(self, key: str, type: str = "step") -> Tuple[Int64, Float64]:
        """Steps [N] and the values [N] of a key, NaN for null; records without it are left out."""
        found = [record for record in self.of_type(type) if key in record and "step" in record]
        steps = np.array([record["step"] for record in found], np.int64)
        return steps, _numbers([record[key] for record in found])

    def entropies(self, kind: str = "last") -> Tuple[Int64, Float64]:
        """Steps [N] and entropies [N, n_layers, max_passes, n_heads], NaN where none ran."""
        found = [record for record in self.of_type("entropy") if record.get("kind") == kind]
        steps = np.array([record["step"] for record in found], np.int64)
        if not found:
            return steps, np.empty((0, 0, 0, 0))
        frames = [_frame(record["values"]) for record in found]
        shape = np.max([frame.shape for frame in frames], axis=0)
        values = np.full((len(frames), *shape), np.nan)
        for i, frame in enumerate(frames):
            layers, passes, heads = frame.shape
            values[i, :layers, :passes, :heads] = frame
        return steps, values


def _numbers(values: List[Any]) -> Float64:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _frame(layers: List[List[List[Any]]]) -> Float64:
    """[layer][pass][head] as an array; layers may have different numbers of passes."""
    passes = max(len(layer) for layer in layers)
    heads = max(len(row) for layer in layers for row in layer)
    frame = np.full((len(layers), passes, heads), np.nan)
    for i, layer in enumerate(layers):
        for j, row in enumerate(layer):
            frame[i, j, : len(row)] = _numbers(row)
    return frame
