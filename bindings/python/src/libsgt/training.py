# SPDX-License-Identifier: BSD-3-Clause
"""The training loop, a step at a time, and evaluation over many batches."""
from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import time
import warnings
from ctypes import c_int64
from typing import (
    Any,
    ContextManager,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Literal,
    NamedTuple,
    Optional,
    TextIO,
    Tuple,
    Union,
)

import numpy as np

from ._arrays import Int32, batch
from ._enums import Kind
from ._interrupt import Patiently
from ._progress import Progress
from ._recorder import Recorder, append_to
from ._scalars import instance, integer
from ._text import Path, public_name
from .checkpoint import Checkpoint
from .growth import AnyPolicy, Growth
from .history import History
from .loss import Loss
from .metrics import Entropies, StepMetrics
from .model import Model
from .optimizer import Optimizer, StepReport
from .policy import BuiltInPolicy, GrowthEvent, Policy

Batches = Iterable[Any]


def _is_pair(item: Any) -> bool:
    """A tuple, or the list of two matrices that other libraries' loaders give."""
    return isinstance(item, tuple) or (len(item) == 2 and all(np.ndim(part) == 2 for part in item))


def split(item: Any) -> Tuple[Int32, Optional[Int32]]:
    """Tokens and targets [B,T] of a batch: a pair, or an array [B,T+1] whose rows give both."""
    if isinstance(item, (tuple, list)) and _is_pair(item):
        return batch(*item)
    rows, _ = batch(item, None)
    if rows.shape[1] < 2:
        raise ValueError(f"a batch of shape {rows.shape} has no token that follows another")
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def evaluate(model: Model, batches: Batches, limit: Optional[int] = None) -> Loss:
    """The loss over batches as ``train`` takes them, or over the first ``limit`` of them.

    Errors as ``Model.evaluate``.
    """
    instance(model, (Model,), "model")
    total, count = 0.0, 0
    for item in itertools.islice(batches, limit):
        loss = model.evaluate(*split(item))
        total += loss.sum
        count += loss.count
    return Loss(total, count)


# ---- one step ----

Pair = Tuple[Int32, Optional[Int32]]


def _count(pairs: List[Pair]) -> int:
    return sum(int(np.count_nonzero(targets >= 0)) for _, targets in pairs if targets is not None)


def _pass(model: Model, pairs: List[Pair], signals: Patiently) -> Loss:
    """Forward and backward of the micro-batches: the gradient of the mean over all targets."""
    total, count = 0.0, _count(pairs)
    for tokens, targets in pairs:
        loss = model.forward(tokens, targets)
        model.backward(1.0 / count if count else 1.0)
        total += loss.sum
        signals.deliver()  # nothing is half-way
    return Loss(total, count)


class _Loop:
    """What the steps of one ``train`` share."""

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        growth: Optional[Growth],
        kinds: Tuple[Kind, ...],
        every: int,
        recorder: Recorder,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.growth = growth
        self.kinds = kinds
        self.every = every
        self.recorder = recorder

    def step(self, pairs: List[Pair], since: float) -> StepMetrics:
        """One optimizer step. Ctrl-C waits for the micro-batch, then the step is given up."""
        before = self.model._last_step
        with Patiently() as signals:
            try:
                loss = _pass(self.model, pairs, signals)
                report = self.optimizer.step()
            except BaseException:
                with contextlib.suppress(Exception):
                    self.model.zero_gradients()
                if self.model._last_step is not before:  # interrupted when it was taken
                    report, _ = self.model._last_step
                    self._metrics(pairs, loss, report, GrowthEvent(), None, since)
                raise
            return self._taken(pairs, loss, report, since)

    def _taken(
        self, pairs: List[Pair], loss: Loss, report: StepReport, since: float
    ) -> StepMetrics:
        """What follows an optimizer step, which is recorded even where a policy fails."""
        entropies: Entropies = None
        event = GrowthEvent()
        try:
            entropies = self._observe(report.step)  # a new plan clears them
            event = self._grow(report, loss)
        finally:
            metrics = self._metrics(pairs, loss, report, event, entropies, since)
        return metrics

    def _grow(self, report: StepReport, loss: Loss) -> GrowthEvent:
        if self.growth is None:
            return GrowthEvent()
        return self.growth.step(report, loss if loss.count else math.nan)

    def _observe(self, step: int) -> Entropies:
        if not self.kinds or step % self.every:
            return None
        return {kind: self.model.entropies(kind) for kind in self.kinds}

    def _metrics(
        self,
        pairs: List[Pair],
        loss: Loss,
        report: StepReport,
        event: GrowthEvent,
        entropies: Entropies,
        since: float,
    ) -> StepMetrics:
        model = self.model
        shape = model.depths_and_runs()
        seconds = time.perf_counter() - since
        tokens = sum(tokens.size for tokens, _ in pairs)
        metrics = StepMetrics(
            step=report.step,
            loss=float(loss),
            count=loss.count,
            lr=report.lr,
            grad_norm=report.grad_norm,
            clip_scale=report.clip_scale,
            skipped=report.skipped,
            seconds=seconds,
            tokens_per_s=tokens / seconds if seconds > 0 else 0.0,
            overhead=model.flops_total.overhead,
            event=event,
            depths=shape[0],
            entropies=entropies,
        )
        self.recorder.step(metrics)
        self.recorder.depth(report.step, shape, event)
        return metrics


# ---- held-out batches ----


class _Held:
    """Looks at held-out batches every so often, and keeps the model that did best on them."""

    def __init__(self, batches: Batches, every: int, best: Optional[Path]) -> None:
        self.batches = batches
        self.every = every
        self.best = best
        self.lowest = math.inf

    def begin(self, history: Optional[History]) -> None:
        """A run that goes on has the lowest loss of before."""
        if history is not None:
            _, losses = history.series("loss", "eval")
            self.lowest = min((float(loss) for loss in losses if loss == loss), default=math.inf)

    def after(self, metrics: StepMetrics, loop: "_Loop", last: bool) -> StepMetrics:
        """The metrics of a step with the held-out loss, where it is its turn."""
        if metrics.step % self.every and not last:
            return metrics
        loss = float(evaluate(loop.model, self.batches))
        loop.recorder.record("eval", step=metrics.step, loss=loss)
        if self.best is not None and loss < self.lowest:
            Checkpoint.save(
                self.best, loop.model, optimizer=loop.optimizer, growth=loop.growth
            )
        self.lowest = min(self.lowest, loss)
        return dataclasses.replace(metrics, held=loss)


def _held(batches: Optional[Batches], every: int, best: Optional[Path]) -> Optional[_Held]:
    if integer(every, "held_every", c_int64) < 1:
        raise ValueError(f"held_every is {every}, not at least 1")
    if batches is None:
        if best is not None:
            raise TypeError("best needs held, which tells what is best")
        return None
    if iter(batches) is batches:
        raise TypeError("held can be gone through only once: give a list of batches")
    return _Held(batches, every, best)


# ---- the whole run ----


class Training(Iterator[StepMetrics]):
    """A training that ``train`` prepared: iterate to get the metrics of every step, or ``run()``.

    Dropped before its first step it did nothing at all: that is a ResourceWarning.
    """

    def __init__(self, steps: Generator[StepMetrics, None, None]) -> None:
        self._steps = steps
        self._last: Optional[StepMetrics] = None
        self._touched = False

    def __iter__(self) -> "Training":
        return self

    def __next__(self) -> StepMetrics:
        self._touched = True
        self._last = next(self._steps)
        return self._last

    def run(self) -> Optional[StepMetrics]:
        """Trains to the end and gives the metrics of the last step; None when there was none."""
        for _ in self:
            pass
        return self._last

    def close(self) -> None:
        """Ends it where it is: what was attached for the run is detached, a log is closed."""
        self._touched = True
        self._steps.close()

    def __repr__(self) -> str:
        where = "not started" if self._last is None else f"after step {self._last.step}"
        return f"<{public_name(type(self))} {where}>"

    def __del__(self) -> None:
        if not getattr(self, "_touched", True):
            warnings.warn(
                "a training was dropped before its first step, so nothing was trained: iterate "
                "over sgt.train(...), or call its run()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

TrainKinds = Literal["last", "mean", "both"]

_KINDS: Dict[Optional[str], Tuple[Kind, ...]] = {
    None: (),
    "last": ("last",),
    "mean": ("mean",),
    "both": ("last", "mean"),
}


def train(
    model: Model,
    batches: Batches,
    *,
    optimizer: Optional[Optimizer] = None,
    policy: Optional[AnyPolicy] = None,
    growth: Optional[Growth] = None,
    steps: Optional[int] = None,
    micro_batches: int = 1,
    entropies: Optional[TrainKinds] = None,
    entropies_every: int = 1,
    history: Optional[History] = None,
    log: Union[Path, TextIO, None] = None,
    held: Optional[Batches] = None,
    held_every: int = 100,
    best: Optional[Path] = None,
    progress: bool = True,
) -> "Training":
    """Prepares a training, which runs while it is iterated, a step at a time, or by ``run()``.

    batches: any iterable of (tokens, targets) or of arrays [B,T+1], see ``random_windows``.
    optimizer: None makes an ``Optimizer(model)``. policy: attached for the time of the run; growth:
    one that is attached already. steps: so many at most; None: to the end of ``batches``.
    micro_batches: batches per optimizer step, whose gradient is that of the mean over all their
    targets. entropies: "last", "mean" or "both" are collected to the end and given every
    entropies_every steps. history, log (a path or text file): the records of the run are appended,
    and where it was resumed before their last step take the place of the earlier ones, in a log
    when it is read; a history with steps needs the optimizer that took steps.
    held: batches that are evaluated every held_every steps and after the last of ``steps``. best: a
    checkpoint is saved there whenever their loss is the lowest so far, in the history as well.
    progress: a bar of tqdm, or without it a line every few seconds, on standard error where that is
    a terminal, and in IPython and its notebooks.

    Ctrl-C waits for the micro-batch under way; then gradients are cleared and KeyboardInterrupt is
    raised. After it, or any exception, model, optimizer and growth are as after a whole step; one
    whose policy failed is recorded, without an event.
    Raises ValueError and TypeError for what makes no sense, and what the calls of a step raise.
    """
    instance(model, (Model,), "model")
    instance(optimizer, (Optimizer,), "optimizer", optional=True)
    instance(policy, (Policy, BuiltInPolicy), "policy", optional=True)
    instance(growth, (Growth,), "growth", optional=True)
    instance(history, (History,), "history", optional=True)
    if policy is not None and growth is not None:
        raise TypeError("policy and growth were both given")
    for part in (optimizer, growth):
        if part is not None and part.model is not model:
            raise ValueError(f"the {type(part).__name__} belongs to another model")
    if steps is not None and integer(steps, "steps", c_int64) < 0:
        raise ValueError(f"steps is {steps}, below 0")
    integer(micro_batches, "micro_batches", c_int64)
    integer(entropies_every, "entropies_every", c_int64)
    if micro_batches < 1 or entropies_every < 1:
        raise ValueError("micro_batches and entropies_every are at least 1")
    if entropies not in _KINDS:
        raise ValueError(f"entropies is {entropies!r}, not None, 'last', 'mean' or 'both'")
    _check_records(history, log, optimizer)
    held_out = _held(held, held_every, best)
    run = _Run(model, optimizer, policy, growth, steps, micro_batches, entropies, entropies_every)
    return Training(run.steps(batches, history, log, held_out, progress))


def _check_records(
    history: Optional[History], log: Union[Path, TextIO, None], optimizer: Optional[Optimizer]
) -> None:
    known = isinstance(log, (str, bytes, os.PathLike)) or hasattr(log, "write")
    if log is not None and not known:
        raise TypeError(f"log is {log!r}, a path or a text file is needed")
    last = 0 if history is None else history.last_step
    if last and (optimizer is None or optimizer.steps == 0):
        raise ValueError(
            f"the history has {last} steps and the optimizer none, whose records would replace "
            "them all: give the optimizer of these steps, or another history"
        )


class _Run(NamedTuple):
    """The arguments of ``train`` that its parts share."""

    model: Model
    optimizer: Optional[Optimizer]
    policy: Optional[AnyPolicy]
    growth: Optional[Growth]
    limit: Optional[int]
    micro_batches: int
    entropies: Optional[TrainKinds]
    every: int

    def steps(
        self,
        batches: Batches,
        history: Optional[History],
        log: Union[Path, TextIO, None],
        held: Optional[_Held],
        progress: bool,
    ) -> Generator[StepMetrics, None, None]:
        with contextlib.ExitStack() as inside:
            file = inside.enter_context(_opened(log))
            loop = self._loop(inside, Recorder(self.model, history, file))
            shown = inside.enter_context(Progress(progress, self.limit))
            if held is not None:
                held.begin(history)
            start, source, taken = time.perf_counter(), iter(batches), 0
            since = start
            while self.limit is None or taken < self.limit:
                pairs = [split(b) for b in itertools.islice(source, self.micro_batches)]
                if not pairs:
                    break
                metrics = loop.step(pairs, since)
                taken += 1
                if held is not None:
                    metrics = held.after(metrics, loop, taken == self.limit)
                shown.show(metrics)
                yield metrics
                since = time.perf_counter()
            loop.recorder.end(loop.optimizer.steps, time.perf_counter() - start)

    def _loop(self, inside: contextlib.ExitStack, recorder: Recorder) -> "_Loop":
        model, optimizer, growth = self.model, self.optimizer, self.growth
        if optimizer is None:
            optimizer = inside.enter_context(Optimizer(model))
        if self.policy is not None:
            growth = inside.enter_context(Growth(model, self.policy))
        if self.entropies is not None:
            inside.callback(model.collect_entropy, model._collected)
            model.collect_entropy(self.entropies)
        recorder.start(self.limit, optimizer, growth)
        recorder.depth(optimizer.steps, model.depths_and_runs(), None)
        kinds = _KINDS[self.entropies]
        return _Loop(model, optimizer, growth, kinds, self.every, recorder)


def _opened(log: Union[Path, TextIO, None]) -> ContextManager[Optional[TextIO]]:
    """The file of a path; a file that the caller opened stays open."""
    if log is None or hasattr(log, "write"):
        return contextlib.nullcontext(log)  # type: ignore[arg-type]
    return append_to(log)
