# SPDX-License-Identifier: BSD-3-Clause
"""Progress is shown where somebody can see it, and never ends a training."""
from __future__ import annotations

import io
import re
import sys
import types

import numpy as np
import pytest
from conftest import LAYERS, SEQ, VOCABULARY

import libsgt as sgt


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Broken(Terminal):
    """A terminal that is gone."""

    def write(self, text):
        raise OSError(5, "Input/output error")

    flush = write


class Strange:
    """Hardly a file."""

    closed = False

    def __getattr__(self, name):
        raise RuntimeError(name)


def closed():
    stream = Terminal()
    stream.close()
    return stream


class Bar:
    """tqdm's, which writes to nothing."""

    made = None

    def __init__(self, **options):
        Bar.made, self.options, self.calls, self.shown = self, options, [], {}

    def set_postfix(self, refresh=True, **shown):
        self.shown = shown

    def update(self):
        self.calls.append("update")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def tqdm(monkeypatch):
    module = types.ModuleType("tqdm")
    module.auto = types.ModuleType("tqdm.auto")
    module.tqdm = module.auto.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", module)
    monkeypatch.setitem(sys.modules, "tqdm.auto", module.auto)
    Bar.made = None


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)


def in_ipython(monkeypatch):
    module = types.ModuleType("IPython")
    module.get_ipython = object
    monkeypatch.setitem(sys.modules, "IPython", module)


def train(model, **options):
    policy = sgt.SparseGrowth(first_step=2, window=2, max_layers=1)
    batches = sgt.random_windows(np.arange(200) % VOCABULARY, 2, SEQ)
    return len(list(sgt.train(model, batches, policy=policy, steps=3, **options)))


def test_a_bar(model, monkeypatch, tqdm):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert train(model) == 3
    bar = Bar.made
    assert bar.options == {"total": 3, "unit": "step", "disable": None}
    assert bar.calls == ["update"] * 3 + ["close"]
    assert list(bar.shown) == ["loss", "tokens/s", "overhead", "growth"]
    assert bar.shown["growth"] == f"layer {LAYERS - 1} loops"
    assert float(bar.shown["loss"]) > 1 and float(bar.shown["tokens/s"]) > 0
    assert re.fullmatch(r"\+\d+\.\d %", bar.shown["overhead"])


def test_held_out_losses_are_shown(model, monkeypatch, tqdm):
    held = sgt.windows(np.arange(40) % VOCABULARY, 2, SEQ)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert train(model, held=list(held), held_every=2) == 3
    assert list(Bar.made.shown) == ["loss", "tokens/s", "overhead", "held-out", "growth"]
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert train(model, held=list(sgt.windows(np.arange(40) % VOCABULARY, 2, SEQ))) == 3
    assert "held-out" in sys.stderr.getvalue().splitlines()[-1]


def test_a_notebook_is_no_terminal_but_shows_it(model, monkeypatch, tqdm):
    in_ipython(monkeypatch)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert train(model) == 3 and Bar.made.options["disable"] is False


@pytest.mark.parametrize("place", ["terminal", "notebook"])
def test_lines_without_tqdm(model, monkeypatch, no_tqdm, place):
    stream = Terminal() if place == "terminal" else io.StringIO()
    if place == "notebook":
        in_ipython(monkeypatch)
    monkeypatch.setattr(sys, "stderr", stream)
    assert train(model) == 3
    first, event, last = stream.getvalue().splitlines()
    number = r"\d+(\.\d+)?"
    line = rf"step {{}}/3  loss {number}  tokens/s {number}  overhead \+{number} %"
    assert re.fullmatch(line.format(1), first) and re.fullmatch(line.format(3), last)
    assert re.fullmatch(line.format(2) + rf"  growth layer {LAYERS - 1} loops", event)


def test_nothing_is_written_where_nobody_looks(model, monkeypatch, no_tqdm):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert train(model) == 3 and stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert train(model, progress=False) == 3 and sys.stderr.getvalue() == ""


@pytest.mark.parametrize("stream", [lambda: None, closed, Broken, Strange])
@pytest.mark.parametrize("notebook", [False, True])
def test_no_usable_standard_error(model, monkeypatch, no_tqdm, stream, notebook):
    if notebook:
        in_ipython(monkeypatch)
    monkeypatch.setattr(sys, "stderr", stream())
    assert train(model) == 3


@pytest.mark.parametrize("stream", [lambda: None, closed, Broken, Strange])
def test_no_usable_standard_error_for_tqdm_itself(model, monkeypatch, stream):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", stream())
    assert train(model) == 3


@pytest.mark.parametrize("wrong", ["__init__", "set_postfix", "update", "close"])
def test_a_bar_that_fails(model, monkeypatch, tqdm, wrong):
    def fail(*arguments, **named):
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(Bar, wrong, fail)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert train(model) == 3


def test_standard_error_may_break_on_the_way(model, monkeypatch, no_tqdm):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    batches = sgt.random_windows(np.arange(200) % VOCABULARY, 2, SEQ)
    for metrics in sgt.train(model, batches, policy=sgt.SparseGrowth(first_step=2), steps=3):
        stream.close()
    assert metrics.step == 3
