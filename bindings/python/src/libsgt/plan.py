# SPDX-License-Identifier: BSD-3-Clause
"""Depth plans: how often each layer's attention runs again, and with which heads."""
from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, ContextManager, Optional, Tuple

import numpy as np

from ._arrays import Float32, address, copied, floats, raw
from ._handles import Family, Guard, Handle, Owner
from ._library import lib
from ._scalars import instance
from .context import Context
from .errors import StateError, call


class _Borrowed:
    """Stands in for a handle of a plan that somebody else owns, until the call is over."""

    __slots__ = ("pointer", "family")

    def __init__(self, pointer: int, family: Family) -> None:
        self.pointer = pointer
        self.family = family


class Plan(Owner):
    """Depths, gains and extra runs for ``n_layers`` layers of ``n_heads`` query heads.

    Pass 0 of a layer is its ordinary attention; pass k = 1 .. depth runs it again, with a gain in
    [0,1] for each head, and a head of gain 0 is not computed. Targets tell what the gains will be
    when a ramp is over. Errors: IndexError for a layer or pass that is not there when reading;
    OutOfRangeError and InvalidArgumentError when writing, StateError for a plan that is read-only:
    ``model.plan`` and what a policy observes.
    """

    _read_only: Optional[str] = None  # why it must not be edited, and what to do instead

    def __init__(self, context: Context, n_layers: int, n_heads: int) -> None:
        instance(context, (Context,), "context")
        pointer = ctypes.c_void_p()
        with context._guard.reading:
            call(lib.sgt_plan_create, byref(pointer), context._pointer, n_layers, n_heads)
            self._own(pointer.value, context._owned)

    def _own(self, pointer: Optional[int], context: Any) -> None:
        self._guard = Guard(context.family)
        self._handle = Handle(pointer, lib.sgt_plan_free, context.family, context)

    @classmethod
    def _adopt(
        cls, pointer: Optional[int], context: Any, read_only: Optional[str] = None
    ) -> "Plan":
        """The owner of a plan that the library made; ``context`` is kept with it."""
        plan = cls.__new__(cls)
        plan._read_only = read_only
        plan._own(pointer, context)
        return plan

    @classmethod
    def _borrow(cls, pointer: int, family: Family, read_only: Optional[str] = None) -> "Plan":
        """A plan that is only there during a callback; whoever borrows it closes it."""
        plan = cls.__new__(cls)
        plan._read_only = read_only
        plan._guard = Guard(family)
        plan._handle = _Borrowed(pointer, family)  # type: ignore[assignment]
        return plan

    @classmethod
    def from_bytes(cls, context: Context, data: bytes) -> "Plan":
        """A plan from what ``to_bytes`` gave. Raises FormatError, VersionError."""
        instance(context, (Context,), "context")
        pointer = ctypes.c_void_p()
        given = raw(data, "the data")
        with context._guard.reading:
            call(lib.sgt_plan_load, byref(pointer), context._pointer, given, len(given))
            return cls._adopt(pointer.value, context._owned)

    def to_bytes(self) -> bytes:
        """The plan as bytes; equal plans give equal bytes."""
        with self._guard.reading:
            room = ctypes.c_size_t()
            call(lib.sgt_plan_save, None, byref(room), self._pointer)
            data = ctypes.create_string_buffer(room.value)
            call(lib.sgt_plan_save, data, byref(room), self._pointer)
        return data.raw[: room.value]

    def copy(self) -> "Plan":
        """A plan of its own with the same contents, which may be edited."""
        pointer = ctypes.c_void_p()
        with self._guard.reading:
            call(lib.sgt_plan_clone, byref(pointer), self._pointer)
        return Plan._adopt(pointer.value, self._owned)

    def __copy__(self) -> "Plan":
        return self.copy()

    def __deepcopy__(self, memo: Any) -> "Plan":
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a Plan cannot be pickled: use to_bytes and Plan.from_bytes")

    def _about(self) -> str:
        runs = f", runs {self.runs}" if any(self.runs) else ""
        return f"of {self.n_layers} layers of {self.n_heads} heads, depths {self.depths}{runs}"

    def __eq__(self, other: object) -> bool:
        """Whether both execute the same: shape, depths, gains and runs, not targets."""
        if not isinstance(other, Plan):
            return NotImplemented
        if other is self:
            return True
        first, second = sorted((self, other), key=id)
        with first._guard.reading, second._guard.reading:
            return bool(lib.sgt_plan_equal(self._pointer, other._pointer))

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_layers(self) -> int:
        with self._guard.reading:
            return int(lib.sgt_plan_n_layers(self._pointer))

    @property
    def n_heads(self) -> int:
        with self._guard.reading:
            return int(lib.sgt_plan_n_heads(self._pointer))

    # ---- attention passes ----

    @property
    def depths(self) -> Tuple[int, ...]:
        """The extra attention passes of every layer."""
        with self._guard.reading:
            p = self._pointer
            return tuple(lib.sgt_plan_depth(p, i) for i in range(lib.sgt_plan_n_layers(p)))

    def depth(self, layer: int) -> int:
        """The extra attention passes of a layer."""
        with self._guard.reading:
            self._check_layer(layer)
            return int(lib.sgt_plan_depth(self._pointer, layer))

    def set_depth(self, layer: int, depth: int) -> None:
        """Sets it; new passes have gain and target 1 for every head."""
        with self._editing:
            call(lib.sgt_plan_set_depth, self._pointer, layer, depth)

    def gains(self, layer: int, pass_: int) -> Float32:
        """The gains [n_heads] of a pass (from 1), a copy."""
        return self._weights(lib.sgt_plan_gains, layer, pass_)

    def targets(self, layer: int, pass_: int) -> Float32:
        """The targets [n_heads] of a pass (from 1), a copy."""
        return self._weights(lib.sgt_plan_targets, layer, pass_)

    def set_gains(self, layer: int, pass_: int, values: Any) -> None:
        """Sets the gains [n_heads] of a pass, and the targets to the same."""
        self._set_weights(lib.sgt_plan_set_gains, layer, pass_, values)

    def set_targets(self, layer: int, pass_: int, values: Any) -> None:
        """Sets the targets [n_heads] of a pass."""
        self._set_weights(lib.sgt_plan_set_targets, layer, pass_, values)

    def set_gain(self, layer: int, pass_: int, head: int, gain: float) -> None:
        """Sets one gain and its target."""
        with self._editing:
            call(lib.sgt_plan_set_gain, self._pointer, layer, pass_, head, gain)

    def heads(self, layer: int, pass_: int = 1) -> Tuple[int, ...]:
        """The heads of a pass whose gain is above 0; none for a pass that is not there."""
        if not 1 <= pass_ <= self.depth(layer):
            return ()
        return tuple(int(head) for head in np.flatnonzero(self.gains(layer, pass_)))

    # ---- runs of whole blocks ----

    @property
    def runs(self) -> Tuple[int, ...]:
        """How often every block runs again."""
        with self._guard.reading:
            p = self._pointer
            return tuple(lib.sgt_plan_extra_runs(p, i) for i in range(lib.sgt_plan_n_layers(p)))

    def extra_runs(self, layer: int) -> int:
        """How often a whole block runs again."""
        with self._guard.reading:
            self._check_layer(layer)
            return int(lib.sgt_plan_extra_runs(self._pointer, layer))

    def set_extra_runs(self, layer: int, runs: int) -> None:
        """Sets it."""
        with self._editing:
            call(lib.sgt_plan_set_extra_runs, self._pointer, layer, runs)

    # ---- helpers ----

    @property
    def _editing(self) -> ContextManager[None]:
        """Alone in the plan, which may be edited."""
        if self._read_only:
            raise StateError(self._read_only)
        return self._guard.writing

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < lib.sgt_plan_n_layers(self._pointer):
            raise IndexError(f"there is no layer {layer}")

    def _weights(self, read: Any, layer: int, pass_: int) -> Float32:
        with self._guard.reading:
            found = read(self._pointer, layer, pass_)
            if not found:
                raise IndexError(f"there is no pass {pass_} of layer {layer}")
            return copied(found, (lib.sgt_plan_n_heads(self._pointer),), np.float32)

    def _set_weights(self, write: Any, layer: int, pass_: int, values: Any) -> None:
        gains = floats(values, None, "values")
        with self._editing:
            heads = lib.sgt_plan_n_heads(self._pointer)
            if gains.shape != (heads,):
                raise ValueError(f"values have shape {gains.shape}, ({heads},) is needed")
            call(write, self._pointer, layer, pass_, address(gains))
