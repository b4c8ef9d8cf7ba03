# SPDX-License-Identifier: BSD-3-Clause
"""Batches from one long row of tokens, such as a memory map of uint16: only windows are copied."""
from __future__ import annotations

from ctypes import c_uint64
from typing import Any, Iterator

import numpy as np
import numpy.typing as npt

from ._arrays import Int32, integers, whole_numbers
from ._scalars import integer
from ._text import public_name


def _row(tokens: Any, batch: int, seq: int) -> npt.NDArray[Any]:
    row = whole_numbers(tokens, "tokens")
    integer(batch, "batch")
    integer(seq, "seq")
    if row.ndim != 1:
        raise ValueError(f"tokens have shape {row.shape}, one dimension is needed")
    if batch < 1 or seq < 1:
        raise ValueError(f"batch is {batch} and seq is {seq}: both are at least 1")
    if row.size < seq + 1:
        raise ValueError(f"{row.size} tokens are too few for a window of {seq} and its targets")
    return row


def _cut(row: npt.NDArray[Any], starts: Any, seq: int) -> Int32:
    """[len(starts), seq + 1]: windows with the token that follows each."""
    batch = np.empty((len(starts), seq + 1), row.dtype)
    for window, start in zip(batch, starts):
        window[:] = row[start : start + seq + 1]
    return integers(batch, "tokens")


class random_windows:
    """Endless random batches [batch, seq + 1] of a one-dimensional array of tokens.

    tokens: an array of any integer type, such as a memory map, or bytes. Batch i depends on
    (seed, i) alone, so a resumed run begins with ``start`` = the batches it has used and sees what
    the unbroken one would have. seed and start have 64 bits. Raises TypeError, ValueError,
    OverflowError.
    """

    def __init__(
        self, tokens: Any, batch: int, seq: int, *, seed: int = 0, start: int = 0
    ) -> None:
        if seed < 0 or start < 0:
            raise ValueError("seed and start are at least 0")
        self._row = _row(tokens, batch, seq)
        self._shape = (batch, seq)
        self._seed = integer(seed, "seed", c_uint64)
        self.position = integer(start, "start", c_uint64)  #: the number of the next batch

    def __repr__(self) -> str:
        batch, seq = self._shape
        return (
            f"<{public_name(type(self))} of {self._row.size} tokens: batch {batch}, seq {seq}, "
            f"position {self.position}>"
        )

    def __iter__(self) -> Iterator[Int32]:
        return self

    def __next__(self) -> Int32:
        batch, seq = self._shape
        key = np.array([self._seed, self.position], np.uint64)
        draws = np.random.Generator(np.random.Philox(key=key))
        starts = draws.integers(0, self._row.size - seq, size=batch)
        self.position += 1
        return _cut(self._row, starts, seq)


def windows(tokens: Any, batch: int, seq: int) -> Iterator[Int32]:
    """Batches [up to batch, seq + 1] of windows one after another, each token a target once.

    What is left at the end and fills no window is left out. Raises TypeError, ValueError.
    """
    row = _row(tokens, batch, seq)
    starts = range(0, row.size - seq, seq)
    return (_cut(row, starts[i : i + batch], seq) for i in range(0, len(starts), batch))
