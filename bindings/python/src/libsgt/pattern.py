# SPDX-License-Identifier: BSD-3-Clause
"""Attention patterns: which earlier keys a query sees."""
from __future__ import annotations

import dataclasses
from ctypes import byref, c_uint64
from typing import Any, Tuple

import numpy as np

from . import _enums, _structs
from ._library import lib
from ._scalars import instance
from .errors import call


@dataclasses.dataclass(frozen=True)
class AttentionPattern:
    """A union of sets of keys (Child et al., arXiv 1904.10509); every query sees itself.

    sets out of "local" (the last ``stride`` keys), "strided" (each stride-th key, counted back from
    the query), "block" (the block of ``stride`` that the query is in) and "summary" (``summary``
    cells at the end of every block, ``phase`` times so many further left); no set: every earlier
    key. ``AttentionPattern.parse("local+strided:128")`` reads what ``str`` gives.
    """

    sets: Tuple[str, ...] = ()
    stride: int = 0
    summary: int = 0
    phase: int = 0

    @classmethod
    def parse(cls, text: str) -> "AttentionPattern":
        """From text: ``dense``, or sets joined by +, then :stride[:summary[:phase]].

        Raises InvalidArgumentError and OutOfRangeError (the field is named).
        """
        instance(text, (str,), "text")
        struct = _structs.sgt_attention_pattern()
        call(lib.sgt_attention_pattern_parse, byref(struct), text.encode())
        return cls._from(struct)

    @classmethod
    def _from(cls, struct: Any) -> "AttentionPattern":
        sets = tuple(word for word, bit in _enums.KEY_SET.items() if struct.sets & bit)
        return cls(sets, struct.stride, struct.summary, struct.phase)

    def __str__(self) -> str:
        if not self.sets:
            return "dense"
        numbers = [self.stride, self.summary, self.phase]
        while numbers[-1] == 0:
            numbers.pop()
        return "+".join(self.sets) + "".join(f":{number}" for number in numbers)

    def _struct(self) -> Any:
        bits = 0
        for word in self.sets:
            bits |= _enums.number(_enums.KEY_SET, word, "sets")
        return _structs.sgt_attention_pattern(
            sets=bits, stride=self.stride, summary=self.summary, phase=self.phase
        )

    def pairs(self, seq: int) -> int:
        """Pairs of a query and a key that it sees in ``seq`` tokens: what attention costs.

        Raises OutOfRangeError (a field, or seq, which is named).
        """
        pairs = c_uint64()
        call(lib.sgt_attention_pattern_count_pairs, byref(pairs), byref(self._struct()), seq)
        return int(pairs.value)

    def visible(self, seq: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """[seq, seq] bool: whether query (row) sees key (column); for looking at short sequences."""
        i, j = np.arange(seq)[:, None], np.arange(seq)[None, :]
        seen = np.zeros((seq, seq), bool) if self.sets else np.ones((seq, seq), bool)
        stride, cells = max(self.stride, 1), self.summary
        last = stride - cells * self.phase
        for word in self.sets:
            seen |= {
                "local": i - j < stride,
                "strided": (i - j) % stride == 0,
                "block": i // stride == j // stride,
                "summary": (last - cells <= j % stride) & (j % stride < last),
            }[word]
        return np.asarray((seen & (j <= i)) | (i == j), dtype=np.bool_)
