# SPDX-License-Identifier: BSD-3-Clause
"""Choosing a token from logits."""
from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, Mapping, Optional

import numpy as np

from . import _structs
from ._arrays import address, floats, listed, sequence
from ._handles import Guard, Handle, Owner
from ._library import lib
from ._scalars import instance, real
from .context import Context
from .errors import call


class Sampler(Owner):
    """Picks tokens: bias, repetition penalty, temperature, top k, top p, min p, draw.

    The same seed, options and logits give the same tokens on every machine. temperature 0: the
    likeliest token. top_k 0: all. top_p in (0,1]; min_p in [0,1]: drop what is less likely than
    this part of the likeliest. repetition_penalty above 0, for tokens among the latest
    repetition_window. bias: ``{token: added to its logit}``, -inf forbids it.

    Raises InvalidArgumentError, OutOfRangeError (the message names the option),
    OutOfMemoryError, MemoryLimitError.
    """

    def __init__(
        self,
        context: Context,
        vocab_size: int,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        repetition_window: int = 64,
        bias: Optional[Mapping[int, float]] = None,
        seed: int = 0,
    ) -> None:
        instance(context, (Context,), "context")
        pairs = dict(bias or {})
        tokens = listed(pairs.keys(), "the tokens of bias")
        added = np.array([real(value, "bias") for value in pairs.values()], np.float32)
        options = _structs.sgt_sampler_options(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            repetition_window=repetition_window,
            n_bias=len(pairs),
            bias_tokens=address(tokens),
            bias=address(added),
            seed=seed,
        )
        pointer = ctypes.c_void_p()
        with context._guard.reading:
            call(
                lib.sgt_sampler_create,
                byref(pointer),
                context._pointer,
                vocab_size,
                byref(options),
            )
            parent = context._owned
            self._handle = Handle(pointer.value, lib.sgt_sampler_free, parent.family, parent)
        self._guard = Guard(parent.family)
        self._vocab_size = vocab_size
        self._said = f"temperature {temperature:g}, top_k {top_k}, top_p {top_p:g}, min_p {min_p:g}"

    def _about(self) -> str:
        return f"of {self._vocab_size} tokens, {self._said}"

    def pick(self, logits: Any) -> int:
        """A token from logits [V]. Raises InvalidArgumentError (NaN; no token is allowed)."""
        values = floats(logits, (self._vocab_size,), "logits")
        token = ctypes.c_int32()
        with self._guard.writing:
            call(lib.sgt_sampler_pick, byref(token), self._pointer, address(values))
        return token.value

    def accept(self, tokens: Any) -> None:
        """Puts tokens [N] that were not picked, such as a prompt, in the window."""
        given = sequence(tokens)
        with self._guard.writing:
            call(lib.sgt_sampler_accept, self._pointer, address(given), given.size)

    def reset(self, seed: int = 0) -> None:
        """Empties the window and starts the draws of ``seed``."""
        with self._guard.writing:
            call(lib.sgt_sampler_reset, self._pointer, seed)
