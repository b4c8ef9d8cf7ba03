# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks: what they get, their exceptions, stopping, calling back."""
from __future__ import annotations

import logging
import sys
import weakref

import numpy as np
import pytest
from conftest import make_batch, small_config

import libsgt as sgt


class Boom(Exception):
    pass


class Switch:
    """A progress callback that does what it is told at one point."""

    def __init__(self):
        self.seen = []
        self.at = None
        self.answer = None

    def __call__(self, phase, done, total):
        self.seen.append((phase, done, total))
        if self.at == (phase, done):
            self.at = None
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer


@pytest.fixture
def switch():
    return Switch()


@pytest.fixture
def watched(switch):
    with sgt.Model(small_config(), sgt.Context(threads=1, progress=switch)) as model:
        yield model


def test_progress(watched, switch, batch):
    watched.forward(*batch)
    watched.backward()
    watched.evaluate(*batch)
    for phase in ("forward", "backward", "evaluate"):
        done = [d for p, d, total in switch.seen if p == phase]
        assert done == sorted(done) and done[-1] in (2, 3)
    assert {total for _, _, total in switch.seen} == {3}


def test_progress_reaches_files(watched, switch, tmp_path):
    tensors = len(watched.names)
    watched.save_pretrained(tmp_path)
    context = watched.context
    with sgt.Model.from_pretrained(tmp_path, context) as again:
        assert again.names == watched.names
    for phase in ("save", "load"):
        assert [seen[1:] for seen in switch.seen if seen[0] == phase] == [
            (done, tensors) for done in range(tensors)
        ]
    switch.at, switch.answer = ("load", 3), True
    with pytest.raises(sgt.Stopped, match="3 of"):
        sgt.Model.from_pretrained(tmp_path, context)


@pytest.mark.parametrize("answer", [True, 17, "yes"])
def test_progress_stops(watched, switch, batch, answer):
    switch.at, switch.answer = ("forward", 1), answer
    with pytest.raises(sgt.Stopped) as caught:
        watched.forward(*batch)
    assert caught.value.status == 1
    with pytest.raises(sgt.StateError):
        watched.backward()
    watched.forward(*batch)
    watched.backward()


@pytest.mark.parametrize("exception", [Boom("here"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("phase", ["forward", "backward", "evaluate"])
def test_exceptions_of_progress_travel(watched, switch, batch, phase, exception):
    optimizer = sgt.Optimizer(watched)
    if phase == "backward":
        watched.forward(*batch)
    switch.at, switch.answer = (phase, 1), exception
    call = {
        "forward": lambda: watched.forward(*batch),
        "backward": lambda: watched.backward(),
        "evaluate": lambda: watched.evaluate(*batch),
    }[phase]
    with pytest.raises(type(exception)) as caught:
        call()
    assert caught.value is exception
    if phase == "backward":
        with pytest.raises(sgt.GradientsInvalidError):
            optimizer.step()
        watched.zero_gradients()
    watched.forward(*batch)
    watched.backward()
    optimizer.step()


def test_an_exception_is_raised_once(watched, switch, batch):
    switch.at, switch.answer = ("forward", 1), Boom()
    with pytest.raises(Boom):
        watched.forward(*batch)
    with pytest.raises(sgt.OutOfRangeError):
        watched.forward(batch[0] + 100, batch[1])


def test_an_exception_is_not_kept(watched, switch, batch, collected):
    switch.at, switch.answer = ("forward", 1), Boom()
    reference = weakref.ref(switch.answer)
    with pytest.raises(Boom):
        watched.forward(*batch)
    switch.answer = None
    collected()
    assert reference() is None


def test_calling_back_is_refused(context, batch):
    caught = []

    def progress(phase, done, total):
        for call in (lambda: model.evaluate(*batch), lambda: model.plan, model.close):
            try:
                call()
            except sgt.StateError as error:
                caught.append(str(error))

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))
    model.forward(*batch)
    assert caught and set(caught) == {"called from a callback of the same object"}
    assert not model.closed
    model.backward()


def test_rate(model, batch):
    seen = []

    def rate(step, scheduled):
        seen.append((step, scheduled))
        return scheduled / 2

    optimizer = sgt.Optimizer(model, lr=0.5, rate=rate)
    for step in (1, 2):
        model.forward(*batch)
        model.backward()
        assert optimizer.step().lr == 0.25
    assert seen == [(1, 0.5), (2, 0.5)]


@pytest.mark.parametrize("answer", [Boom("rate"), "fast", None, float("nan"), -1.0])
def test_a_rate_that_fails_changes_nothing(model, batch, answer):
    answers = [answer]

    def rate(step, scheduled):
        found = answers.pop() if answers else scheduled
        if isinstance(found, BaseException):
            raise found
        return found

    optimizer = sgt.Optimizer(model, rate=rate)
    model.forward(*batch)
    model.backward()
    weights = {name: view.copy() for name, view in model.parameters.items()}
    expected = {Boom: Boom, str: ValueError, type(None): TypeError, float: sgt.OutOfRangeError}
    with pytest.raises(expected[type(answer)]):
        optimizer.step()
    assert optimizer.steps == 0
    assert all((model.parameter(name) == value).all() for name, value in weights.items())
    assert optimizer.step().step == 1


def test_log(caplog):
    """A model folder with a head that config.json denies makes the library warn."""
    caplog.set_level(logging.DEBUG, "sgt")
    levels = {level: sgt.context._log_level(level) for level in (1, 10, 20, 30, 40, 50, 100)}
    assert levels == {1: 4, 10: 4, 20: 3, 30: 2, 40: 1, 50: 0, 100: 0}


def test_messages_of_the_library_are_logged(tmp_path, caplog, context):
    import json

    with sgt.Model(small_config(tied=False), context) as model:
        model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["tie_word_embeddings"] = True
    path.write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING, "sgt"):
        sgt.Model.from_pretrained(tmp_path, context).close()
    (record,) = caplog.records
    assert record.name == "sgt" and record.levelno == logging.WARNING
    assert "lm_head" in record.getMessage() or "tie" in record.getMessage()


def test_a_log_handler_that_fails_is_reported_and_fails_nothing(tmp_path, context, monkeypatch):
    import json

    class Bad(logging.Handler):
        def emit(self, record):
            raise Boom

    with sgt.Model(small_config(tied=False), context) as model:
        model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), tie_word_embeddings=True)))
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: reported.append(seen.exc_type))
    handler = Bad()
    logging.getLogger("sgt").addHandler(handler)
    try:
        sgt.Model.from_pretrained(tmp_path, context).close()
    finally:
        logging.getLogger("sgt").removeHandler(handler)
    assert reported == [Boom]
