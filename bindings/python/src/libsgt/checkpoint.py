# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints: all that a training needs to go on, bit for bit, in one safetensors file."""
from __future__ import annotations

import ctypes
import os
from contextlib import ExitStack
from ctypes import byref
from typing import Any, Dict, Mapping, NamedTuple, Optional

from . import _enums, _structs
from ._handles import Guard, Handle, Owner
from ._library import lib
from ._scalars import instance
from ._text import Path, encoded_list, encoded_path
from .config import ModelConfig, model_options
from .context import Context, context_or_new
from .errors import InvalidArgumentError, call, call_for_file
from .growth import AnyPolicy, Growth
from .model import Model
from .optimizer import Optimizer
from .policy import BuiltInPolicy, Policy


class CheckpointInfo(NamedTuple):
    """What a checkpoint holds; ``steps`` are the optimizer's, skipped ones too."""

    version: int
    has_optimizer: bool
    has_growth: bool
    steps: int
    executed_flops: float
    vanilla_flops: float


class Restored(NamedTuple):
    """What ``Checkpoint.create`` made."""

    model: Model
    optimizer: Optional[Optimizer]
    growth: Optional[Growth]


class Checkpoint(Owner):
    """An open checkpoint; it stays readable when the file is replaced or removed.

    context: of the models that ``create`` makes; None: one of its own. Raises MissingFileError,
    FileError, FormatError (no checkpoint, or damaged), VersionError, UnsupportedError,
    OutOfMemoryError, MemoryLimitError.
    """

    def __init__(self, path: Path, context: Optional[Context] = None) -> None:
        context = context_or_new(context)
        pointer = ctypes.c_void_p()
        with context._guard.reading:
            name = encoded_path(path)
            call_for_file(lib.sgt_checkpoint_open, byref(pointer), context._pointer, name)
            parent = context._owned
            self._handle = Handle(pointer.value, lib.sgt_checkpoint_free, parent.family, parent)
        self._guard = Guard(parent.family)
        self._context = context
        self._path = os.fsdecode(path)

    def _about(self) -> str:
        info = self.info
        optimizer = " with an optimizer" if info.has_optimizer else ""
        growth = " and growth" if info.has_growth else ""
        return f"{self._path!r}: a model{optimizer}{growth} after {info.steps} steps"

    # ---- saving ----

    @staticmethod
    def save(
        path: Path,
        model: Model,
        *,
        optimizer: Optional[Optimizer] = None,
        growth: Optional[Growth] = None,
        values: Optional[Mapping[str, str]] = None,
        checksums: Optional[bool] = None,
    ) -> None:
        """Saves between two steps; what was there before stays until the new file is whole.

        values: strings of one's own, such as the place in the data. checksums None: where the
        library can. Raises StateError (a step is under way: finish it or call zero_gradients),
        InvalidArgumentError (an optimizer or growth of another model), FileError,
        UnsupportedError, OutOfMemoryError, MemoryLimitError, BackendError, or what the policy
        raised.
        """
        _check_parts(model, optimizer, growth)
        options = _structs.sgt_checkpoint_save_options()
        call(lib.sgt_checkpoint_save_options_init, byref(options), ctypes.sizeof(options))
        if checksums is not None:
            options.checksums = checksums
        pairs = dict(values or {})
        for key, value in pairs.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"values[{key!r}] is {value!r:.40}, keys and values are strings")
        options.n_values = len(pairs)
        options.keys = encoded_list(pairs.keys())
        options.values = encoded_list(pairs.values())
        with ExitStack() as inside:
            inside.enter_context(model._guard.reading)
            if growth is not None:
                inside.enter_context(growth.policy._guard.reading)
            options.optimizer = optimizer._pointer if optimizer is not None else None
            options.growth = growth._pointer if growth is not None else None
            call(lib.sgt_checkpoint_save, model._pointer, encoded_path(path), byref(options))

    # ---- looking ----

    @property
    def info(self) -> CheckpointInfo:
        """What it holds."""
        info = _structs.sgt_checkpoint_info()
        with self._guard.reading:
            call(lib.sgt_checkpoint_get_info, byref(info), self._pointer)
        return CheckpointInfo(
            info.version,
            bool(info.has_optimizer),
            bool(info.has_growth),
            info.steps,
            info.executed_flops,
            info.vanilla_flops,
        )

    @property
    def config(self) -> ModelConfig:
        """The configuration of its model."""
        struct = _structs.sgt_model_config()
        with self._guard.reading:
            call(lib.sgt_checkpoint_get_config, byref(struct), self._pointer)
        return ModelConfig._from(struct)

    @property
    def values(self) -> Dict[str, str]:
        """The strings that were saved with it."""
        found: Dict[str, str] = {}
        with self._guard.reading:
            index = 0
            while True:
                key = lib.sgt_checkpoint_key(self._pointer, index)
                if key is None:
                    return found
                found[key.decode()] = lib.sgt_checkpoint_value(self._pointer, key).decode()
                index += 1

    @property
    def optimizer_options(self) -> Dict[str, Any]:
        """The options of its optimizer, as keyword arguments of ``Optimizer``, without a rate.

        Raises NotFoundError (there is none).
        """
        options = _structs.sgt_optimizer_options()
        with self._guard.reading:
            call(lib.sgt_checkpoint_get_optimizer_options, byref(options), self._pointer)
        return {
            "lr": options.lr,
            "betas": (options.beta1, options.beta2),
            "eps": options.eps,
            "weight_decay": options.weight_decay,
            "clip": options.clip,
            "schedule": _enums.word(_enums.SCHEDULE, options.schedule),
            "warmup_steps": options.warmup_steps,
            "total_steps": options.total_steps,
            "decay_steps": options.decay_steps,
            "final_factor": options.final_factor,
            "decay_scope": _enums.word(_enums.DECAY_SCOPE, options.decay_scope),
        }

    # ---- loading ----

    def load(
        self,
        model: Model,
        optimizer: Optional[Optimizer] = None,
        growth: Optional[Growth] = None,
        *,
        own_schedule: bool = False,
        verify: bool = True,
    ) -> None:
        """Loads into objects that exist; on failure they are as before.

        own_schedule: the optimizer keeps its own options and factors. verify: compare checksums.
        Raises InvalidArgumentError (what differs is named), NotFoundError (no optimizer or growth
        in the file), FileError, FormatError, OutOfMemoryError, MemoryLimitError, BackendError, or
        what the policy raised.
        """
        _check_parts(model, optimizer, growth)
        options = _structs.sgt_checkpoint_load_options(own_schedule=own_schedule, verify=verify)
        with ExitStack() as inside:
            inside.enter_context(self._guard.reading)
            inside.enter_context(model._guard.writing)
            if growth is not None:
                inside.enter_context(growth.policy._guard.writing)
            call(
                lib.sgt_checkpoint_load,
                model._pointer,
                optimizer._pointer if optimizer is not None else None,
                growth._pointer if growth is not None else None,
                self._pointer,
                byref(options),
            )
            model._forget_step()

    def create(
        self,
        policy: Optional[AnyPolicy] = None,
        *,
        optimizer: bool = True,
        own_schedule: bool = False,
        verify: bool = True,
        recompute: bool = False,
        draw_seed: int = 0,
    ) -> Restored:
        """Makes the model, the optimizer where there is one, and with ``policy`` the growth.

        policy: made with the options of the saved one. optimizer False: none is made. recompute,
        draw_seed: as in ``Model``; a file does not tell them. Errors as ``load``.
        """
        instance(policy, (Policy, BuiltInPolicy), "policy", optional=True)
        of_model = model_options(recompute, draw_seed)
        options = _structs.sgt_checkpoint_load_options(own_schedule=own_schedule, verify=verify)
        made_model, made_optimizer, made_growth = (ctypes.c_void_p() for _ in range(3))
        with_optimizer = optimizer and self.info.has_optimizer
        context = self._context._for(self._owned)
        if policy is not None:
            config = self.config
            policy.bind(context, config.n_layers, config.n_heads)
        with ExitStack() as inside:
            inside.enter_context(self._guard.reading)
            if policy is not None:
                inside.enter_context(policy._guard.writing)
            call(
                lib.sgt_checkpoint_create,
                byref(made_model),
                byref(made_optimizer) if with_optimizer else None,
                byref(made_growth) if policy is not None else None,
                self._pointer,
                policy._pointer if policy is not None else None,
                byref(of_model),
                byref(options),
            )
            model = Model._adopt(made_model.value, context)
            restored = Restored(
                model,
                Optimizer._adopt(made_optimizer.value, model) if with_optimizer else None,
                Growth._adopt(made_growth.value, model, policy) if policy is not None else None,
            )
        return restored

    # ---- folders of checkpoints ----

    @staticmethod
    def path(folder: Path, step: int) -> str:
        """The path of a step's file in a folder: step-000000001000.safetensors."""
        room = ctypes.c_size_t()
        name = encoded_path(folder)
        call(lib.sgt_checkpoint_get_path, None, byref(room), name, step)
        path = ctypes.create_string_buffer(room.value)
        call(lib.sgt_checkpoint_get_path, path, byref(room), name, step)
        return os.fsdecode(path.value)

    @staticmethod
    def latest(folder: Path) -> int:
        """The highest step that has a file there. Raises MissingFileError, FileError."""
        step = ctypes.c_int64()
        call_for_file(lib.sgt_checkpoint_get_latest, byref(step), encoded_path(folder))
        return step.value

    @staticmethod
    def keep_last(folder: Path, keep: int) -> None:
        """Removes all but the ``keep`` highest steps, and what killed saves left."""
        call_for_file(lib.sgt_checkpoint_keep_last, encoded_path(folder), keep)


def _check_parts(model: Model, optimizer: Optional[Optimizer], growth: Optional[Growth]) -> None:
    instance(model, (Model,), "model")
    for part, kind, name in ((optimizer, Optimizer, "optimizer"), (growth, Growth, "growth")):
        instance(part, (kind,), name, optional=True)
        if part is not None and part.model is not model:
            raise InvalidArgumentError(f"the {kind.__name__} belongs to another model")
