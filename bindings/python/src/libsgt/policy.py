# SPDX-License-Identifier: BSD-3-Clause
"""Growth policies: what they see, what they answer, and how to write one.

The library asks a policy once per optimizer step. It takes the state first (``save``) and gives
it back (``load``) when the answer fails or its plan does not fit: a question is all or nothing.
"""
from __future__ import annotations

import ctypes
import json
import math
import weakref
from ctypes import byref
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar

import numpy as np

from . import _enums, _structs
from ._arrays import Float64, address, as_array, copied, listed, raw
from ._handles import Family, Guard, Handle, Owner
from ._library import lib
from ._scalars import instance
from ._text import public_name
from .context import Context
from .errors import StateError, call, held
from .plan import Plan


_P = TypeVar("_P", bound="Policy")

_OBSERVED = "obs.plan is read-only: edit the plan that decide is given"
_UNBOUND = "the policy has no shape yet: give it to a Growth, or call bind"


class GrowthEvent(NamedTuple):
    """What a policy did; false when it did nothing.

    action: "none"; "select": ``layer`` got its first loop, ``heads`` are kept; "deepen": one more
    pass, ``depth`` of them now; "fix": growth is over, ``layers`` were selected.
    """

    action: _enums.GrowthAction = "none"
    layer: int = -1
    depth: int = 0
    heads: Tuple[int, ...] = ()
    layers: Tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.action != "none"

    @classmethod
    def _from(cls, struct: Any) -> "GrowthEvent":
        return cls(
            _enums.word(_enums.GROWTH_ACTION, struct.action),
            struct.layer,
            struct.depth,
            tuple(struct.heads[i] for i in range(struct.n_heads)),
            tuple(struct.layers[i] for i in range(struct.n_layers)),
        )


class Observation(NamedTuple):
    """What a policy sees at a step.

    step: the 1-based optimizer step that was just taken. plan: the one it ran under, valid during
    the call. Entropies [n_layers, max_passes, n_heads], NaN for a head that did not run; None when
    that kind was not collected. FLOPs: training so far, and the same without loops.
    """

    step: int
    plan: Plan
    loss: float = math.nan
    grad_norm: float = math.nan
    last_entropy: Optional[Float64] = None
    mean_entropy: Optional[Float64] = None
    executed_flops: float = 0.0
    vanilla_flops: float = 0.0

    def __repr__(self) -> str:
        kinds = [
            f"{name} {values.shape}"
            for name in ("last_entropy", "mean_entropy")
            if (values := getattr(self, name)) is not None
        ]
        return (
            f"<{public_name(type(self))} of step {self.step}: loss {self.loss:.4f}, grad_norm {self.grad_norm:.4g}, "
            f"{', '.join([*kinds, ''])}{self.plan!r}>"
        )

    @classmethod
    def _from(cls, struct: Any, plan: Plan) -> "Observation":
        shape = (struct.n_layers, struct.max_passes, struct.n_heads)

        def entropies(pointer: Optional[int]) -> Optional[Float64]:
            return copied(pointer, shape, np.float64) if pointer else None

        return cls(
            struct.step,
            plan,
            struct.loss,
            struct.grad_norm,
            entropies(struct.last_entropy),
            entropies(struct.mean_entropy),
            struct.executed_flops,
            struct.vanilla_flops,
        )


def _entropy_array(values: Any, layers: int, heads: int, name: str) -> Optional[Float64]:
    if values is None:
        return None
    array = np.ascontiguousarray(as_array(values, name), dtype=np.float64)
    if array.ndim != 3 or array.shape[0] != layers or array.shape[2] != heads:
        raise ValueError(f"{name} has shape {array.shape}, ({layers}, passes, {heads}) is needed")
    return array


class _Bound(Owner):
    """The part of a policy that exists once its shape is known."""

    _shape: Tuple[int, int]
    _context: Optional[Context] = None

    @property
    def context(self) -> Context:
        """The context it was made in; ``create`` may use it. Raises StateError before that."""
        if self._context is None:
            raise StateError(_UNBOUND)
        if self._handle is None:
            return self._context
        return self._context._for(self._handle)

    def bind(self, context: Context, n_layers: int, n_heads: int) -> None:
        """Makes the policy for models of that shape; ``Growth`` does it. Twice is fine.

        Raises StateError when it was made for another shape.
        """
        instance(context, (Context,), "context")
        if self._handle is not None:
            if self._shape != (n_layers, n_heads):
                raise StateError(f"the policy is for (layers, heads) {self._shape}")
            return
        pointer = ctypes.c_void_p()
        self._guard = Guard(context._family)
        self._shape = (n_layers, n_heads)
        self._context = context
        with context._guard.reading:
            keep = self._make(byref(pointer), context, n_layers, n_heads)
            parent = context._owned
            self._handle = Handle(
                pointer.value, lib.sgt_growth_policy_free, parent.family, parent, keep
            )

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether it has no shape: not yet, or no more after ``close``."""
        return self._handle is None

    def __repr__(self) -> str:
        if self._handle is None:
            return f"<{public_name(type(self))} unbound>"
        return super().__repr__()

    def _about(self) -> str:
        layers, heads = self._shape
        return f"for {layers} layers of {heads} heads"

    @property
    def _pointer(self) -> int:
        if self._handle is None:
            raise StateError(_UNBOUND)
        return self._handle.pointer


class BuiltInPolicy(_Bound):
    """A policy of the library."""

    def decide(self, obs: Observation, plan: Plan) -> GrowthEvent:
        """Asks it: edits ``plan`` and says what it did. On failure plan and state are as before."""
        self._pointer  # or there is no guard yet
        instance(obs, (Observation,), "obs")
        instance(obs.plan, (Plan,), "obs.plan")
        instance(plan, (Plan,), "plan")
        layers, heads = obs.plan.n_layers, obs.plan.n_heads
        last = _entropy_array(obs.last_entropy, layers, heads, "last_entropy")
        mean = _entropy_array(obs.mean_entropy, layers, heads, "mean_entropy")
        given = [array.shape[1] for array in (last, mean) if array is not None]
        if len(set(given)) > 1:
            raise ValueError(f"last_entropy and mean_entropy have {given} passes")
        event = _structs.sgt_growth_event()
        with self._guard.writing, plan._editing:
            seen = _structs.sgt_growth_observation(
                n_layers=layers,
                n_heads=heads,
                max_passes=given[0] if given else 1,
                step=obs.step,
                loss=obs.loss,
                grad_norm=obs.grad_norm,
                plan=obs.plan._pointer,
                last_entropy=address(last),
                mean_entropy=address(mean),
                executed_flops=obs.executed_flops,
                vanilla_flops=obs.vanilla_flops,
            )
            call(
                lib.sgt_growth_policy_decide,
                byref(event),
                self._pointer,
                byref(seen),
                plan._pointer,
            )
            return GrowthEvent._from(event)

    def save(self) -> bytes:
        """Everything the policy remembers."""
        self._pointer
        with self._guard.reading:
            room = ctypes.c_size_t()
            call(lib.sgt_growth_policy_save, None, byref(room), self._pointer)
            data = ctypes.create_string_buffer(room.value)
            call(lib.sgt_growth_policy_save, data, byref(room), self._pointer)
        return data.raw[: room.value]

    def load(self, data: bytes) -> None:
        """Restores what ``save`` gave to a policy of the same options. Raises FormatError."""
        self._pointer
        with self._guard.writing:
            given = raw(data, "the data")
            call(lib.sgt_growth_policy_load, self._pointer, given, len(given))


class Policy(_Bound):
    """A policy of one's own: subclass it and write ``decide``.

    entropy: the kinds that training forwards shall collect, "none", "last", "mean" or "both".
    state: what the policy remembers, a dict; it goes into checkpoints and is put back when a step
    is refused, through JSON. So it holds dicts with keys that are strings, lists, strings, numbers
    (numpy's too), True, False and None; the rest is a TypeError when it is saved, tuples and arrays
    for instance. Override ``save`` and ``load`` to keep state in another way.

    A policy decides from what it observes and remembers only: no clock, no order of sets, so that a
    resumed run decides alike. An exception in any of its functions travels to the caller of
    ``Growth``, of ``Growth.step`` or of the checkpoint function; plan and state are then as before.
    """

    entropy: _enums.Collected = "last"
    state: Dict[str, Any]

    def __new__(cls: Type[_P], *arguments: Any, **named: Any) -> _P:
        policy = super().__new__(cls)
        policy.state = {}  # even where a subclass does not call __init__
        return policy

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._handle is None:  # nothing of the library's yet
            return object.__reduce_ex__(self, protocol)
        return super().__reduce_ex__(protocol)

    def create(self, n_layers: int, n_heads: int) -> None:
        """Called once, when the shape of the model is known."""

    def start(self, plan: Plan) -> None:
        """Called when the policy is attached: may edit the plan that training starts with.

        It must be harmless when repeated.
        """

    def decide(self, obs: Observation, plan: Plan) -> Optional[GrowthEvent]:
        """Looks at ``obs`` and may edit ``plan``, a copy of the current one, valid in the call."""
        raise NotImplementedError(f"{type(self).__name__} has no decide")

    def save(self) -> bytes:
        """The state as bytes; equal states give equal bytes.

        Raises TypeError (the place is named) for what ``load`` would not give back equal.
        """
        if type(self.state) is not dict:
            raise TypeError(f"state is a {type(self.state).__name__}, a dict is needed")
        plain = _plain(self.state, "state")
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    def load(self, data: bytes) -> None:
        """Replaces the state by what ``save`` gave, or raises and leaves it."""
        state = json.loads(data.decode())
        if not isinstance(state, dict):
            raise ValueError("the state of the policy is no JSON object")
        self.state = state

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        table = _Table(self, context._family)
        call(
            lib.sgt_growth_policy_custom,
            out,
            context._pointer,
            n_layers,
            n_heads,
            byref(table.struct),
            None,
        )
        return table


def _plain(value: Any, where: str) -> Any:
    """What JSON gives back equal, with numpy's numbers as Python's; the rest is refused."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value) is list:
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if type(value) is dict:
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, which JSON turns into a string")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise TypeError(f"{where} is a {type(value).__name__}, which JSON does not give back")


class _Table:
    """The functions that C calls, for one policy, which they do not keep alive."""

    def __init__(self, policy: Policy, family: Family) -> None:
        self._reference = weakref.ref(policy)
        self._family = family
        self._saved: Optional[bytes] = None  # between the question for the length and the data
        self._lists: Tuple[Any, ...] = ()  # of the last event
        self.struct = _structs.sgt_growth_policy_vtable(
            entropy=_enums.number(_enums.ENTROPY, policy.entropy, "entropy"),
            create=_structs.policy_create_fn(self._create),
            start=_structs.policy_start_fn(self._start),
            decide=_structs.policy_decide_fn(self._decide),
            save=_structs.policy_save_fn(self._save),
            load=_structs.policy_load_fn(self._load),
        )

    def _policy(self) -> Policy:
        policy = self._reference()
        if policy is None:
            raise StateError("the policy was collected")
        return policy

    def _with_plan(
        self, pointer: int, body: Callable[[Plan], None], read_only: Optional[str] = None
    ) -> None:
        plan = Plan._borrow(pointer, self._family, read_only)
        try:
            body(plan)
        finally:
            plan.close()

    def _create(self, state: Any, user: Any, n_layers: int, n_heads: int) -> int:
        def body() -> int:
            self._policy().create(n_layers, n_heads)
            return 0

        return held(body)

    def _start(self, state: Any, user: Any, plan: int) -> int:
        def body() -> int:
            self._with_plan(plan, self._policy().start)
            return 0

        return held(body)

    def _decide(self, state: Any, user: Any, seen: Any, plan: int, event: Any) -> int:
        def body() -> int:
            self._with_plan(seen.contents.plan, look, _OBSERVED)
            return 0

        def look(current: Plan) -> None:
            self._with_plan(plan, lambda edited: answer(current, edited))

        def answer(current: Plan, edited: Plan) -> None:
            obs = Observation._from(seen.contents, current)
            decided = self._policy().decide(obs, edited)
            if decided is not None:
                self._fill(event.contents, decided)

        return held(body)

    def _fill(self, struct: Any, event: GrowthEvent) -> None:
        if not isinstance(event, GrowthEvent):
            raise TypeError(f"decide returned {event!r}, neither a GrowthEvent nor None")
        heads, layers = _int32_list(event.heads, "heads"), _int32_list(event.layers, "layers")
        self._lists = (heads, layers)
        struct.action = _enums.number(_enums.GROWTH_ACTION, event.action, "action")
        struct.layer = event.layer
        struct.depth = event.depth
        struct.n_heads, struct.heads = len(heads), heads
        struct.n_layers, struct.layers = len(layers), layers

    def _save(self, state: Any, user: Any, data: Optional[int], room: Any) -> int:
        def body() -> int:
            saved = self._saved if data and self._saved is not None else self._ask_to_save()
            if data:
                self._saved = None
                if len(saved) > room[0]:
                    raise StateError("save gave more bytes than it did a moment before")
                ctypes.memmove(data, saved, len(saved))
            else:
                self._saved = saved
            room[0] = len(saved)
            return 0

        return held(body)

    def _ask_to_save(self) -> bytes:
        policy = self._policy()
        return raw(policy.save(), f"what {type(policy).__name__}.save returned")

    def _load(self, state: Any, user: Any, data: int, count: int) -> int:
        def body() -> int:
            self._policy().load(ctypes.string_at(data, count) if count else b"")
            return 0

        return held(body)


def _int32_list(values: Sequence[int], name: str) -> Any:
    return (ctypes.c_int32 * len(values))(*map(int, listed(values, name)))
