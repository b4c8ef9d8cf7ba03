# SPDX-License-Identifier: BSD-3-Clause
"""What happened in a training: records, one JSON object per line in a file.

``sgt.train`` and the C program ``train_text`` write the same ones, told apart by "type". Numbers that
are not finite are null, in a file and in a record; a key may be missing:

    run      the shape of the model and of the run: layers, heads, d_model, weights, ...
    step     an optimizer step: loss, lr, grad_norm, overhead (of FLOPs so far), overhead_now
    entropy  of the attention of every head: values[layer][pass][head], null for what did not run
    growth   what the policy did: action (select, deepen, fix), layer, depth, heads, layers
    depth    from this step on: depths[layer], runs[layer] and heads[layer], which stay in the loop
    eval     bits_per_byte, or loss in nats per token, of held-out data
    end      totals
"""
from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, Iterable, List, Tuple, Union

import numpy as np
import numpy.typing as npt

from ._arrays import Float64
from ._enums import Kind
from ._text import Path, public_name

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


def growth_text(action: Any, layer: Any, depth: Any) -> str:
    """What a policy did, in a few words."""
    texts = {
        "select": f"layer {layer} loops",
        "deepen": f"layer {layer}: {depth} loops",
        "fix": "growth is over",
    }
    return texts.get(action, str(action))


class History:
    """The records of a run, in order.

    Where a run was resumed before its last step, the records of the steps that it does again take
    the place of the earlier ones.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: List[Record] = []
        for record in records:
            self.append(record)

    def __repr__(self) -> str:
        return f"<{public_name(type(self))} of {self.last_step} steps, {len(self)} records>"

    def __len__(self) -> int:
        return len(self.records)

    def append(self, record: Record) -> None:
        """Adds a record, with its numbers as JSON holds them. Raises ValueError for what is none."""
        self.add_plain(plain(record))

    def add_plain(self, record: Record) -> None:
        """The same for a record that JSON can hold as it is."""
        _check(record)
        if record["type"] == "depth" and self.records and self.records[-1]["type"] == "run":
            run = self.records.pop()
            self.records = [
                old
                for old in self.records
                if old["type"] != "end" and old.get("step", 0) <= record["step"]
            ]
            self.records.append(run)
        self.records.append(record)

    @classmethod
    def read(cls, path: Path) -> "History":
        """The records of a log. A last line that was cut off is left out.

        Raises OSError, and ValueError (the line is named) for what is no log.
        """
        history = cls()
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                try:
                    history.add_plain(json.loads(text))
                except ValueError as error:
                    if not text.endswith("\n"):  # still being written
                        break
                    raise ValueError(f"{path}: line {number}: {error}") from None
        return history

    def write(self, path: Path) -> None:
        """Writes all records, one per line. Raises OSError."""
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line(record) for record in self.records)

    @property
    def run(self) -> Record:
        """The latest "run" record, or an empty one."""
        return next((old for old in reversed(self.records) if old["type"] == "run"), {})

    @property
    def end(self) -> Record:
        """The "end" record, or an empty one while the run goes on."""
        return next((old for old in reversed(self.records) if old["type"] == "end"), {})

    @property
    def last_step(self) -> int:
        """The last step that any record is of; 0 when there is none."""
        return max((record.get("step", 0) for record in self.records), default=0)

    def of_type(self, type: str) -> List[Record]:
        """The records of a type: "run", "step", "growth", "eval", "depth", "entropy", "end"."""
        return [record for record in self.records if record["type"] == type]

    def series(self, key: str, type: str = "step") -> Tuple[Int64, Float64]:
        """Steps [N] and the values [N] of a key, NaN for null; records without it are left out."""
        found = [record for record in self.of_type(type) if key in record]
        steps = np.array([record["step"] for record in found], np.int64)
        return steps, _numbers([record[key] for record in found])

    def entropies(self, kind: Kind = "last") -> Tuple[Int64, Float64]:
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


def load(source: Union[History, Path]) -> History:
    """A history as it is, or read from a log."""
    if isinstance(source, History):
        return source
    if isinstance(source, (str, bytes, os.PathLike)):
        return History.read(source)
    raise TypeError(f"a History or the path of a log is needed, not {source!r:.60}")


#: These belong to a step each.
_OF_A_STEP = ("step", "growth", "depth", "entropy", "eval")


def _check(record: Any) -> None:
    """Refuses what would only fail later, when it is drawn."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise ValueError('a record is an object with a "type"')
    kind, step = record["type"], record.get("step", 0)
    if kind in _OF_A_STEP and "step" not in record:
        raise ValueError(f'a record of type "{kind}" has no step')
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise ValueError(f"step {step!r} is not a whole number from 0")
    if kind == "depth":
        lists = [record.get(key) for key in ("depths", "runs", "heads")]
        if not all(isinstance(item, list) and len(item) == len(lists[0] or ()) for item in lists):
            raise ValueError("depths, runs and heads are not lists with an entry per layer")
    if kind == "entropy" and not isinstance(record.get("values"), list):
        raise ValueError("an entropy record has no list of values")


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
