# SPDX-License-Identifier: BSD-3-Clause
"""The progress of a training on standard error: tqdm's bar, or a line every few seconds.

Shown on a terminal and in IPython, whose notebooks have none. A program may have no standard error,
a closed or a broken one: then nothing is shown, and the training never hears of it.
"""
from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, Dict, Optional

from .history import growth_text
from .metrics import StepMetrics

_RARE = ("held-out", "growth")
_EVERY = 5.0  # seconds between two lines


class Progress:
    """``show`` each step; a with statement ends what is shown."""

    def __init__(self, wanted: bool, steps: Optional[int]) -> None:
        self._display: Any = None
        if wanted:
            with contextlib.suppress(Exception):  # of whatever stands for standard error
                self._display = _display(steps)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        display, self._display = self._display, None
        if display is not None:
            with contextlib.suppress(Exception):
                display.close()

    def show(self, metrics: StepMetrics) -> None:
        if self._display is not None:
            try:
                self._display.show(metrics)
            except Exception:
                self.__exit__()


def _display(steps: Optional[int]) -> Any:
    stream, notebook = sys.stderr, _in_ipython()
    if stream is None or stream.closed:
        return None
    try:
        if notebook:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        return _Lines(stream, steps) if notebook or stream.isatty() else None
    return _Bar(tqdm(total=steps, unit="step", disable=False if notebook else None))


def _in_ipython() -> bool:
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None


def _facts(metrics: StepMetrics) -> Dict[str, str]:
    facts = {
        "loss": f"{metrics.loss:.3f}",
        "tokens/s": f"{metrics.tokens_per_s:.0f}",
        "overhead": f"{100 * metrics.overhead:+.1f} %",
    }
    if metrics.held is not None:
        facts["held-out"] = f"{metrics.held:.3f}"
    if metrics.event:
        event = metrics.event
        facts["growth"] = growth_text(event.action, event.layer, event.depth)
    return facts


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._rare: Dict[str, str] = {}  # the last of what few steps tell

    def show(self, metrics: StepMetrics) -> None:
        facts = _facts(metrics)
        self._rare.update((name, facts.pop(name)) for name in _RARE if name in facts)
        self._bar.set_postfix(refresh=False, **facts, **self._rare)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """The first step, the last one, what few steps tell, and one every few seconds."""

    def __init__(self, stream: Any, steps: Optional[int]) -> None:
        self._stream = stream
        self._of = "" if steps is None else f"/{steps}"
        self._since = -_EVERY
        self._last: Optional[StepMetrics] = None  # not written yet

    def show(self, metrics: StepMetrics) -> None:
        self._last = metrics
        if metrics.event or metrics.held is not None or time.monotonic() - self._since >= _EVERY:
            self._write()

    def close(self) -> None:
        if self._last is not None:
            self._write()

    def _write(self) -> None:
        metrics, self._last = self._last, None
        assert metrics is not None
        facts = "  ".join(f"{name} {text}" for name, text in _facts(metrics).items())
        self._stream.write(f"step {metrics.step}{self._of}  {facts}\n")
        self._stream.flush()
        self._since = time.monotonic()
