# SPDX-License-Identifier: BSD-3-Clause
"""AdamW with decoupled weight decay, schedules and clipping."""
from __future__ import annotations

import ctypes
import math
import weakref
from ctypes import byref
from typing import Any, Callable, NamedTuple, Optional, Tuple

import numpy as np

from . import _enums, _structs
from ._arrays import Float32, address, floats, view
from ._handles import Handle, Owner
from ._library import lib
from ._scalars import instance, real
from .errors import call, held
from .loss import Loss
from .model import Model

#: rate(step, scheduled) -> the learning rate of a step.
Rate = Callable[[int, float], float]


class StepReport(NamedTuple):
    """An optimizer step. ``skipped``: the gradient norm was not finite (or beyond
    1.8e19 once clipped) and nothing was changed.

    step counts from 1, skipped ones too; grad_norm is before clipping; gradients were multiplied by
    clip_scale.
    """

    step: int
    lr: float
    grad_norm: float
    clip_scale: float
    skipped: bool


def _rate_callback(optimizer: "Optimizer") -> Any:
    reference = weakref.ref(optimizer)

    def answer(user: Optional[int], step: int, scheduled: float) -> float:
        rate = scheduled

        def ask() -> int:
            nonlocal rate
            owner = reference()
            if owner is None or owner._rate is None:
                return 1
            rate = float(owner._rate(step, scheduled))
            return 0

        return math.nan if held(ask) else rate  # which the library refuses

    return _structs.rate_fn(answer)


class Optimizer(Owner):
    """AdamW for the weights of a model.

    schedule: "constant", "linear", "cosine" or "warmup_stable_decay"; all but the first need
    total_steps, the last decay_steps. Rates rise over warmup_steps and end at final_factor times
    lr. clip: the largest global gradient norm; 0: none. decay_scope: "all" or "matrices". rate:
    called with the 1-based step and what the schedule says, gives the rate of that step; an
    exception in it fails the step, which then changes nothing.

    Raises InvalidArgumentError and OutOfRangeError (the message names the option),
    OutOfMemoryError, MemoryLimitError, BackendError.
    """

    def __init__(
        self,
        model: Model,
        *,
        lr: float = 6e-4,
        betas: Tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        clip: float = 1.0,
        schedule: _enums.Schedule = "constant",
        warmup_steps: int = 0,
        total_steps: int = 0,
        decay_steps: int = 0,
        final_factor: float = 0.1,
        decay_scope: _enums.DecayScope = "all",
        rate: Optional[Rate] = None,
    ) -> None:
        instance(model, (Model,), "model")
        self._rate = rate
        options = _structs.sgt_optimizer_options(
            schedule=_enums.number(_enums.SCHEDULE, schedule, "schedule"),
            lr=lr,
            beta1=real(betas[0], "betas[0]"),
            beta2=real(betas[1], "betas[1]"),
            eps=eps,
            weight_decay=weight_decay,
            clip=clip,
            decay_scope=_enums.number(_enums.DECAY_SCOPE, decay_scope, "decay_scope"),
            warmup_steps=warmup_steps,
            total_steps=total_steps,
            decay_steps=decay_steps,
            final_factor=final_factor,
        )
        keep = None
        if rate is not None:
            keep = options.rate = _rate_callback(self)
        pointer = ctypes.c_void_p()
        with model._guard.writing:
            call(lib.sgt_optimizer_create, byref(pointer), model._pointer, byref(options))
            self._own(pointer.value, model, keep)

    def _own(self, pointer: Optional[int], model: Model, keep: Any = None) -> None:
        parent = model._owned
        self._handle = Handle(pointer, lib.sgt_optimizer_free, parent.family, parent, keep)
        self._guard = model._guard
        self._model = model

    @classmethod
    def _adopt(cls, pointer: Optional[int], model: Model) -> "Optimizer":
        optimizer = cls.__new__(cls)
        optimizer._rate = None
        optimizer._own(pointer, model)
        return optimizer

    def _about(self) -> str:
        owned = self._owned  # asked without the guard: a step may take long
        steps, lr = lib.sgt_optimizer_steps(owned.pointer), lib.sgt_optimizer_lr(owned.pointer)
        return f"after {steps} steps, lr {lr:g}, of {self._model!r}"

    @property
    def model(self) -> Model:
        """The model whose weights it updates."""
        return self._model

    def step(self, scale: float = 1.0) -> StepReport:
        """Scales and clips the gradients, updates the weights, and sets the gradients to zero.

        scale: above 0, for a mean whose count is known only after the last backward. Raises
        StateError (no backward since the last step), GradientsInvalidError (a backward failed or
        was stopped), OutOfRangeError (scale, the rate callback), BackendError.
        """
        report = _structs.sgt_step_report()
        options = _structs.sgt_optimizer_step_options(scale=scale)
        model = self._model
        with self._guard.writing:
            call(lib.sgt_optimizer_step, byref(report), self._pointer, byref(options))
            done = StepReport(
                report.step, report.lr, report.grad_norm, report.clip_scale, bool(report.skipped)
            )
            model._last_step = (done, model._step_loss)
            model._step_loss = Loss(0.0, 0)
        return done

    @property
    def steps(self) -> int:
        """Steps taken so far, skipped ones counted."""
        with self._guard.reading:
            return int(lib.sgt_optimizer_steps(self._pointer))

    @property
    def lr(self) -> float:
        """The peak rate, which the schedule scales. Setting it counts from the next step on.

        Checkpoints hold it, so a resumed run goes on with it. Raises OutOfRangeError.
        """
        with self._guard.reading:
            return float(lib.sgt_optimizer_lr(self._pointer))

    @lr.setter
    def lr(self, lr: float) -> None:
        with self._guard.writing:
            call(lib.sgt_optimizer_set_lr, self._pointer, lr)

    def scheduled_rate(self, step: int) -> float:
        """What the schedule gives for a 1-based step, without the callback."""
        rate = ctypes.c_double()
        with self._guard.reading:
            call(lib.sgt_optimizer_get_scheduled_rate, byref(rate), self._pointer, step)
        return rate.value

    def set_factors(self, name: str, rate: float = 1.0, decay: float = 1.0) -> None:
        """Learning-rate and decay factors of one parameter; a rate factor of 0 freezes it.

        Raises NotFoundError, OutOfRangeError.
        """
        index = self._model._number(name)
        with self._guard.writing:
            call(lib.sgt_optimizer_set_factors, self._pointer, index, rate, decay)

    # ---- moments ----

    def moment(self, name: str, which: _enums.Moment, *, writable: bool = False) -> Float32:
        """A zero-copy view of a parameter's "first" or "second" moment."""
        index, number = self._model._number(name), _moment(which)
        tensor = _structs.sgt_tensor_view()
        with self._guard.reading:
            call(lib.sgt_optimizer_moment, byref(tensor), self._pointer, index, number)
            return view(tensor, self._owned, writable)

    def read_moment(self, name: str, which: _enums.Moment) -> Float32:
        """A copy of it; works for every backend."""
        index, number = self._model._number(name), _moment(which)
        values = np.empty(self._model._shapes[index], np.float32)
        with self._guard.reading:
            call(
                lib.sgt_optimizer_read_moment,
                address(values),
                values.size,
                self._pointer,
                index,
                number,
            )
        return values

    def write_moment(self, name: str, which: _enums.Moment, values: Any) -> None:
        """Copies values of the parameter's shape into it."""
        index, number = self._model._number(name), _moment(which)
        given = floats(values, self._model._shapes[index], name)
        with self._guard.writing:
            call(
                lib.sgt_optimizer_write_moment,
                self._pointer,
                index,
                number,
                address(given),
                given.size,
            )


def _moment(which: _enums.Moment) -> int:
    return _enums.number(_enums.MOMENT, which, "which")
