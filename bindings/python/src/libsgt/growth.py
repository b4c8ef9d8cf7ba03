# SPDX-License-Identifier: BSD-3-Clause
"""The driver of growth: asks a policy once per optimizer step and gives the model its plan."""
from __future__ import annotations

import ctypes
import math
from ctypes import byref
from typing import Optional, Union

from . import _structs
from ._handles import Handle, Owner
from ._library import lib
from ._scalars import instance
from .errors import StateError, call
from .loss import Loss
from .model import Model
from .optimizer import StepReport
from .policy import BuiltInPolicy, GrowthEvent, Policy

AnyPolicy = Union[BuiltInPolicy, Policy]


class Growth(Owner):
    """A policy attached to a model, which then collects the entropies that the policy needs.

    observe_after_fix: go on collecting when growth is over. A static policy sets its plan now.

    Raises InvalidArgumentError or StateError (the policy is of another shape; it or the model is
    attached already), OutOfMemoryError, MemoryLimitError, or what the policy raised.
    """

    def __init__(
        self, model: Model, policy: AnyPolicy, *, observe_after_fix: bool = False
    ) -> None:
        instance(model, (Model,), "model")
        instance(policy, (Policy, BuiltInPolicy), "policy")
        config = model.config
        context = model.context._for(model._owned)
        policy.bind(context, config.n_layers, config.n_heads)
        options = _structs.sgt_growth_options(observe_after_fix=observe_after_fix)
        pointer = ctypes.c_void_p()
        with model._guard.writing, policy._guard.writing:
            call(
                lib.sgt_growth_create,
                byref(pointer),
                model._pointer,
                policy._pointer,
                byref(options),
            )
            self._own(pointer.value, model, policy)

    def _own(self, pointer: Optional[int], model: Model, policy: AnyPolicy) -> None:
        parent = model._owned
        self._handle = Handle(
            pointer, lib.sgt_growth_free, parent.family, parent, policy._handle
        )
        self._guard = model._guard
        self._model = model
        self._policy = policy

    @classmethod
    def _adopt(cls, pointer: Optional[int], model: Model, policy: AnyPolicy) -> "Growth":
        growth = cls.__new__(cls)
        growth._own(pointer, model, policy)
        return growth

    def _about(self) -> str:
        return f"by {self._policy!r}, of {self._model!r}"

    @property
    def model(self) -> Model:
        """The model that grows."""
        return self._model

    @property
    def policy(self) -> AnyPolicy:
        """The policy that is asked."""
        return self._policy

    def step(
        self, report: Optional[StepReport] = None, loss: Optional[float] = None
    ) -> GrowthEvent:
        """Asks the policy, after ``optimizer.step()``; the event is false when nothing happened.

        report, loss: what the policy is told, by default of the model's last optimizer step. When a
        new plan does not fit in memory, plan and policy stay as they were and the call may be
        repeated. Raises StateError (no training forward or no optimizer step since the last call),
        OutOfMemoryError, MemoryLimitError, BackendError, or what the policy raised.
        """
        event = _structs.sgt_growth_event()
        policy = self._policy
        with self._guard.writing, policy._guard.writing:
            last_report, last_loss = self._model._last_step or (None, Loss(0.0, 0))
            if report is None:
                report = last_report
                if report is None:
                    raise StateError("there was no optimizer step yet")
                if loss is None:
                    loss = float(last_loss) if last_loss.count else math.nan
            given = _structs.sgt_growth_input(
                skipped=report.skipped,
                step=report.step,
                loss=math.nan if loss is None else loss,
                grad_norm=report.grad_norm,
            )
            call(lib.sgt_growth_step, byref(event), self._pointer, byref(given))
            return GrowthEvent._from(event)
