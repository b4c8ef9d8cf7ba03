# SPDX-License-Identifier: BSD-3-Clause
"""Numbers reach the library as they are, or an error names the argument."""
from __future__ import annotations

import numpy as np
import pytest
from conftest import small_config

import libsgt as sgt

BIG = np.int64(2**32 + 256)

FIELDS = [
    ("vocab_size", lambda model, value: sgt.Model(small_config(vocab_size=value))),
    ("threads", lambda model, value: sgt.Context(threads=value)),
    ("warmup_steps", lambda model, value: sgt.Optimizer(model, warmup_steps=value)),
    ("window", lambda model, value: sgt.SparseGrowth(window=value)),
    ("chunk", lambda model, value: sgt.Session(model, chunk=value)),
    ("top_k", lambda model, value: sgt.Sampler(model.context, 32, top_k=value)),
    (r"exclude\[1\]", lambda model, value: sgt.SparseGrowth(exclude=[0, value])),
    (r"layers\[0\]", lambda model, value: sgt.StaticBlocks({value: 1})),
    (r"runs\[0\]", lambda model, value: sgt.StaticBlocks({1: value})),
    (r"the tokens of bias\[0\]", lambda model, value: sgt.Sampler(model.context, 32, bias={value: 1.0})),
    ("n_heads", lambda model, value: sgt.Plan(model.context, 3, value)),
    ("depth", lambda model, value: model.plan.copy().set_depth(1, value)),
    ("layer", lambda model, value: model.plan.copy().set_depth(value, 1)),
    ("pass", lambda model, value: model.plan.gains(1, value)),
    ("layer", lambda model, value: model.n_passes(value)),
    ("sequence", lambda model, value: sgt.Session(model).feed([1], value)),
    ("sequence", lambda model, value: sgt.Session(model).length(value)),
    ("max_tokens", lambda model, value: sgt.Session(model).generate([1], max_tokens=value)),
    (r"stop_tokens\[0\]", lambda model, value: sgt.Session(model).generate([1], stop_tokens=[value])),
    ("keep", lambda model, value: sgt.Checkpoint.keep_last(".", value)),
]
LARGE = 2**64  # where the parameter has 64 bits
WIDE = {"warmup_steps", "window"}


@pytest.mark.parametrize("name, give", FIELDS)
def test_integers_are_exact_or_refused(model, name, give):
    for value in (1.9, np.float32(1), "1", None):
        with pytest.raises(TypeError, match=f"^{name}: an integer is needed"):
            give(model, value)
    with pytest.raises(OverflowError, match=f"{name}: {LARGE if name in WIDE else BIG}"):
        give(model, LARGE if name in WIDE else BIG)


def test_streams_take_the_same(model):
    for options in ({"stop_tokens": [1.5]}, {"max_tokens": 1.5}):
        with pytest.raises(TypeError, match=next(iter(options))):
            list(sgt.Session(model).stream([1], **options))


@pytest.mark.parametrize("event", [{"heads": (BIG,)}, {"layers": (1.5,)}, {"depth": BIG}])
def test_events(model, batch, event):
    class Answers(sgt.Policy):
        def decide(self, obs, plan):
            return sgt.GrowthEvent("select", **{"layer": 1, "depth": 1, **event})

    with pytest.raises((TypeError, OverflowError), match=next(iter(event))):
        list(sgt.train(model, [batch], policy=Answers()))


def test_real_numbers(model):
    with pytest.raises(TypeError, match="^scale: a real number"):
        model.backward("x")
    with pytest.raises(OverflowError, match="scale"):
        model.backward(10**400)
    with pytest.raises(TypeError, match="temperature"):
        sgt.Sampler(model.context, 32, temperature="hot")
    with pytest.raises(TypeError, match="bias"):
        sgt.Sampler(model.context, 32, bias={1: "x"})
    plan = model.plan.copy()
    plan.set_depth(np.uint8(1), np.int64(1))
    plan.set_gain(1, 1, 2, np.float16(0.5))
    assert plan.gains(1, 1)[2] == 0.5
    with pytest.raises(TypeError, match="gain"):
        plan.set_gain(1, 1, 2, None)


@pytest.mark.parametrize("name", ["steps", "micro_batches", "entropies_every"])
def test_counts_of_train(model, name):
    with pytest.raises(TypeError, match=name):
        sgt.train(model, [], **{name: 1.5})


def test_windows_are_not_cut():
    for tokens in (np.full(50, 2**32 + 7), np.full(50, 2**32 - 1, np.uint32)):
        for windows in (sgt.random_windows(tokens, 1, 4), sgt.windows(tokens, 1, 4)):
            with pytest.raises(ValueError, match=f"tokens: {tokens[0]} does not fit"):
                next(windows)
    with pytest.raises(TypeError, match="batch"):
        sgt.random_windows(np.zeros(50, int), 1.5, 4)
    swapped = np.arange(50, dtype=">i8")
    assert next(sgt.windows(swapped, 1, 4)).tolist() == [[0, 1, 2, 3, 4]]


def test_every_seed_is_its_own():
    tokens = np.arange(10**6)
    seeds = [0, 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
    first = [next(sgt.random_windows(tokens, 4, 4, seed=seed))[:, 0] for seed in seeds]
    assert len({tuple(starts) for starts in first}) == len(seeds)
    draws = np.random.Generator(np.random.Philox(key=[1, 0]))
    assert first[1].tolist() == draws.integers(0, tokens.size - 4, size=4).tolist()
    with pytest.raises(OverflowError, match="seed"):
        sgt.random_windows(tokens, 4, 4, seed=2**64)
    with pytest.raises(TypeError, match="seed"):
        sgt.random_windows(tokens, 4, 4, seed=1.5)


@pytest.mark.parametrize("values", [{"epoch": 3}, {3: "epoch"}, {"epoch": None}])
def test_values_of_checkpoints_are_strings(model, tmp_path, values):
    (key,) = values
    with pytest.raises(TypeError, match=rf"values\[{key!r}\]"):
        sgt.Checkpoint.save(tmp_path / "x", model, values=values)
    assert not list(tmp_path.iterdir())


def test_empty_prompts(model):
    class Bytes:
        def encode(self, text):
            return list(text.encode())

        def decode(self, tokens):
            return bytes(tokens).decode()

    session = sgt.Session(model)
    for prompt in ([], np.zeros(0, int), "", ()):
        with pytest.raises(ValueError, match="prompt: there are none"):
            session.generate(prompt, tokenizer=Bytes())
        with pytest.raises(ValueError, match="prompt: there are none"):
            next(session.stream(prompt, tokenizer=Bytes()))
    with pytest.raises(ValueError, match="shape"):
        model.forward([])
    assert session.length() == 0
