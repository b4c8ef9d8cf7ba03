# SPDX-License-Identifier: BSD-3-Clause
"""numpy's masked arrays: a masked target is left out, any other masked element is refused."""
from __future__ import annotations

import numpy as np
import pytest
from conftest import HEADS, LAYERS, SEQ, VOCABULARY

import libsgt as sgt

MASK = np.arange(2 * SEQ).reshape(2, SEQ) % 3 == 0


class Wrapped:
    """Gives a masked array where numpy asks for one."""

    def __init__(self, array):
        self._array = array

    def __array__(self, *arguments, **named):
        return self._array


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
@pytest.mark.parametrize("form", [lambda a: a, list, Wrapped], ids=["array", "rows", "object"])
def test_masked_targets_are_left_out(model, batch, form, dtype):
    tokens, targets = batch
    expected = np.where(MASK, -1, targets)
    masked = np.ma.array(targets.astype(dtype), mask=MASK)
    masked.data[MASK] = np.iinfo(dtype).max  # whatever lies under it
    for call in (model.evaluate, model.forward):
        loss = call(tokens, form(masked))
        assert loss == call(tokens, expected) and loss.count == np.count_nonzero(~MASK)
    (metrics,) = sgt.train(model, [(tokens, form(masked))])
    assert metrics.count == np.count_nonzero(~MASK)
    assert (masked.mask == MASK).all() and (masked.data[MASK] == np.iinfo(dtype).max).all()


def masked_like(values, first=0):
    array = np.ma.array(values)
    array[(0,) * (array.ndim - 1) + (first,)] = np.ma.masked
    return array


def floats(*shape):
    return masked_like(np.zeros(shape, np.float32))


def decide(model, entropies):
    policy = sgt.SparseGrowth()
    policy.bind(model.context, LAYERS, HEADS)
    plan = sgt.Plan(model.context, LAYERS, HEADS)
    policy.decide(sgt.Observation(250, plan.copy(), last_entropy=entropies), plan)


NUMBER = np.ma.array(1, mask=True)
ROW = masked_like(np.arange(SEQ))
PLACES = {
    "tokens": lambda m: m.evaluate(ROW, ROW.data),
    "tokens, rows": lambda m: m.evaluate([ROW, ROW]),
    "tokens, object": lambda m: m.evaluate(Wrapped(ROW)),
    "tokens, logits": lambda m: m.forward_logits(ROW),
    "a batch with its targets": lambda m: list(sgt.train(m, [np.ma.array([ROW, ROW])])),
    "feed": lambda m: sgt.Session(m).feed(ROW),
    "feed_batch": lambda m: sgt.Session(m, sequences=2).feed_batch([ROW.data, ROW]),
    "score": lambda m: sgt.Session(m).score(ROW),
    "prompt": lambda m: sgt.Session(m).generate(ROW),
    "stop_tokens": lambda m: sgt.Session(m).generate([1], stop_tokens=ROW),
    "random_windows": lambda m: sgt.random_windows(ROW, 1, 4),
    "windows": lambda m: sgt.windows(ROW, 1, 4),
    "logits of a sampler": lambda m: sgt.Sampler(m.context, VOCABULARY).pick(floats(VOCABULARY)),
    "dlogits": lambda m: (
        m.forward_logits(ROW.data), m.backward_logits(floats(1, SEQ, VOCABULARY))),
    "out": lambda m: m.forward_logits(ROW.data, out=floats(1, SEQ, VOCABULARY)),
    "out, nothing masked": lambda m: m.forward_logits(
        ROW.data, out=np.ma.zeros((1, SEQ, VOCABULARY), np.float32)),
    "parameter": lambda m: m.write_parameter("model.norm.weight", floats(16)),
    "gains": lambda m: sgt.Plan(m.context, LAYERS, HEADS).set_gains(0, 1, floats(HEADS)),
    "moment": lambda m: sgt.Optimizer(m).write_moment("model.norm.weight", "first", floats(16)),
    "entropies": lambda m: decide(m, floats(LAYERS, 1, HEADS)),
    "an integer": lambda m: sgt.Session(m, sequences=NUMBER),
    "a real number": lambda m: sgt.Optimizer(m, lr=NUMBER),
    "bias": lambda m: sgt.Sampler(m.context, VOCABULARY, bias={1: np.ma.masked}),
}


@pytest.mark.parametrize("place", PLACES)
def test_other_masked_elements_are_refused(model, place):
    before = {name: array.copy() for name, array in model.parameters.items()}
    with pytest.raises(TypeError, match="masked"):
        PLACES[place](model)
    assert all((model.parameters[name] == array).all() for name, array in before.items())


def test_an_array_without_masked_elements_has_values(model, batch):
    tokens, targets = (np.ma.array(array) for array in batch)
    assert model.evaluate(tokens, targets) == model.evaluate(*batch)


def test_matrices_are_arrays(model, batch):
    """Their rows stay two-dimensional, which must not matter inside."""
    tokens, targets = batch
    with pytest.warns(PendingDeprecationWarning):
        matrices = np.matrix(tokens), np.matrix(targets)
    assert model.evaluate(*matrices) == model.evaluate(tokens, targets)
    (metrics,) = sgt.train(model, [matrices])
    assert metrics.count == targets.size
