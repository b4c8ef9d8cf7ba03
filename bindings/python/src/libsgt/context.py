# SPDX-License-Identifier: BSD-3-Clause
"""Contexts: the backend, threads, log and memory budget that models share."""
from __future__ import annotations

import ctypes
import logging
import weakref
from ctypes import byref
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from . import _enums, _structs
from ._handles import Family, Guard, Handle, Owner, reading, registry_lock
from ._interrupt import Call
from ._library import lib
from ._messages import translated
from ._scalars import instance
from ._text import Path, encoded, encoded_path
from .config import ModelConfig, check_plan
from .errors import call, held

if TYPE_CHECKING:
    from .plan import Plan

logger = logging.getLogger("sgt")
logger.addHandler(logging.NullHandler())

#: progress(phase, done, total); something true stops the call.
Progress = Callable[[str, int, int], Any]

_TO_LOGGING = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}


class MemoryUsage(NamedTuple):
    """Bytes of a context; ``limit`` is 0 when there is none."""

    current: int
    peak: int
    limit: int
    allocations: int


class BackendInfo(NamedTuple):
    """Which kernels run. ``generic``: none was tuned for this processor, products are slow."""

    name: str
    kernels: str
    isa: str
    threads: int
    generic: bool
    host_visible: bool


class MemoryEstimate(NamedTuple):
    """Bytes that a model and its step would take."""

    context: int
    parameters: int
    gradients: int
    moments: int
    activations: int
    other: int
    total: int


def _log_level(level: int) -> int:
    """The library's level for one of ``logging``."""
    for number, name in sorted(_TO_LOGGING.items(), reverse=True):
        if level <= name:
            return number
    return 0


def _forward_log(user: Optional[int], level: int, message: bytes) -> None:
    text = translated(message.decode("utf-8", "replace"))
    logger.log(_TO_LOGGING.get(level, logging.DEBUG), "%s", text)


_log_callback = _structs.log_fn(_forward_log)


def _progress_callback(context: "Context") -> Any:
    reference = weakref.ref(context)

    def answer(progress: Any) -> int:
        owner = reference()
        if owner is None or owner._progress is None:
            return 0
        seen = progress.contents
        phase = _enums.word(_enums.PHASE, seen.phase)
        return 1 if owner._progress(phase, seen.done, seen.total) else 0

    return _structs.progress_fn(lambda user, progress: held(lambda: answer(progress)))


class Context(Owner):
    """The tensor backend, thread pool, log and memory budget that models share.

    threads: with the caller's own; 0: the processors this process may use.
    backend: "portable", "blis" or the name that ``load_backend`` gave; None: the faster one.
    backend_options: for the backend, in its own words, such as "device=1"; None: none.
    isa: "baseline", "avx2", "avx512"; None: the best that works here.
    memory_limit: bytes; 0: none. Going over it is a ``MemoryLimitError``.
    log_level: of ``logging``; messages go to ``logging.getLogger("sgt")``.
    progress: called between layers of a pass, and between tensors of what is loaded or saved;
    something true ends the call with ``Stopped``, and an exception travels to the caller. It must not
    use the model that calls it.

    Raises InvalidArgumentError, NotFoundError (backend), UnsupportedError (isa),
    OutOfMemoryError, MemoryLimitError, BackendError.
    """

    def __init__(
        self,
        *,
        threads: int = 0,
        backend: Optional[str] = None,
        isa: Optional[_enums.Isa] = None,
        memory_limit: int = 0,
        log_level: int = logging.INFO,
        progress: Optional[Progress] = None,
        backend_options: Optional[str] = None,
    ) -> None:
        self._progress = progress
        options = _structs.sgt_context_options(
            threads=threads,
            backend=encoded(backend),
            backend_options=encoded(backend_options),
            isa=encoded(isa),
            memory_limit=memory_limit,
            log=_log_callback,
            log_level=_log_level(log_level),
        )
        keep = None
        if progress is not None:
            keep = options.progress = _progress_callback(self)
        pointer = ctypes.c_void_p()
        with Call(), registry_lock:
            call(lib.sgt_context_create, byref(pointer), byref(options))
            self._family = Family()
            self._guard = Guard(self._family, nested=True)
            self._handle = Handle(pointer.value, lib.sgt_context_free, self._family, None, keep)
        runs = self.backend
        self._said = f"of {runs.threads} threads, backend {runs.name} ({runs.isa})"

    def _for(self, handle: Handle) -> "Context":
        """This context for the use of what was made of it, which may outlast ``close``."""
        if self._handle is not None:
            return self
        while handle.parent is not None:
            handle = handle.parent
        lasting = Context.__new__(Context)
        lasting.__dict__.update(self.__dict__, _handle=handle, _first=self)  # progress asks it
        return lasting

    def _about(self) -> str:
        return self._said

    @property
    def memory(self) -> MemoryUsage:
        """The memory counters of now."""
        usage = _structs.sgt_context_memory()
        with self._guard.reading:
            call(lib.sgt_context_get_memory, byref(usage), self._pointer)
        return MemoryUsage(usage.current, usage.peak, usage.limit, usage.allocations)

    @property
    def backend(self) -> BackendInfo:
        """Which kernels this context runs."""
        report = _structs.sgt_backend_info()
        with self._guard.reading:
            call(lib.sgt_context_get_backend, byref(report), self._pointer)
            return BackendInfo(
                report.name.decode(),
                report.kernels.decode(),
                report.isa.decode(),
                report.threads,
                bool(report.generic),
                bool(report.host_visible),
            )

    def estimate_memory(
        self,
        config: ModelConfig,
        *,
        batch: int,
        seq: int,
        plan: Optional["Plan"] = None,
        training: bool = True,
        optimizer: bool = True,
        logits: bool = False,
        recompute: bool = False,
    ) -> MemoryEstimate:
        """What a model and a step of [batch, seq] tokens would take, before it is allocated.

        Raises OutOfRangeError and InvalidArgumentError (the message names the field).
        """
        instance(config, (ModelConfig,), "config")
        check_plan(plan)
        model = _structs.sgt_model_options(recompute=recompute)
        options = _structs.sgt_model_memory_options(
            training=training, optimizer=optimizer, logits=logits, model=ctypes.pointer(model)
        )
        estimate = _structs.sgt_model_memory()
        with self._guard.reading, reading(plan):
            call(
                lib.sgt_model_estimate_memory,
                byref(estimate),
                self._pointer,
                byref(config._struct()),
                plan._pointer if plan is not None else None,
                batch,
                seq,
                byref(options),
            )
        return MemoryEstimate(*(int(getattr(estimate, f)) for f in MemoryEstimate._fields))


def context_or_new(context: Optional[Context]) -> Context:
    """The one that was given, or one of its own for what is made without."""
    instance(context, (Context,), "context", optional=True)
    return Context() if context is None else context


def load_backend(path: Path) -> str:
    """Loads a backend plug-in from a path with a '/' and gives the name for ``Context(backend=)``.

    Raises InvalidArgumentError, PluginError, StateError (the name is taken), OutOfRangeError.
    """
    name = ctypes.c_char_p()
    with Call(), registry_lock:
        call(lib.sgt_backend_load, byref(name), encoded_path(path))
    return (name.value or b"").decode()
