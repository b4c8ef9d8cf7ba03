# SPDX-License-Identifier: BSD-3-Clause
"""Objects of the library as Python objects: what their repr says, copies, pickles."""
from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
from conftest import HEADS, LAYERS, SEQ, VOCABULARY, small_config

import libsgt as sgt


class Mine(sgt.Policy):
    def decide(self, obs, plan):
        return None


def test_what_they_are(model):
    said = repr(model)
    for part in ("<libsgt.Model of ", f"{LAYERS} layers", "d_model 16", f"{HEADS} heads"):
        assert part in said
    assert f"vocab_size {VOCABULARY}" in said and f"{model.n_weights} weights" in said
    plan = model.plan.copy()
    plan.set_depth(1, 2)
    assert f"{LAYERS} layers of {HEADS} heads, depths (0, 2, 0)>" in repr(plan)
    plan.set_extra_runs(0, 1)
    assert "runs (1, 0, 0)" in repr(plan)
    session = sgt.Session(model, sequences=3)
    assert f"3 sequences of up to {SEQ} tokens" in repr(session) and said in repr(session)
    for policy in (Mine(), sgt.SparseGrowth()):
        assert repr(policy).endswith(f"{type(policy).__name__} unbound>") and policy.closed
        growth = sgt.Growth(model, policy)
        assert f"for {LAYERS} layers of {HEADS} heads" in repr(policy) and not policy.closed
        growth.close()
        policy.close()
        assert "unbound" in repr(policy)
    for owner in (plan, session, model):
        owner.close()
        assert repr(owner).endswith(f".{type(owner).__name__} closed>")


def test_what_the_others_are(model, tmp_path):
    tokens = np.arange(99) % VOCABULARY
    policy, history = sgt.SparseGrowth(first_step=1), sgt.History()
    optimizer, growth = sgt.Optimizer(model, lr=0.25), sgt.Growth(model, policy)
    windows = sgt.random_windows(tokens, 2, SEQ)
    (metrics,) = sgt.train(model, windows, optimizer=optimizer, growth=growth, steps=1,
                           entropies="both", history=history)
    assert re.fullmatch(
        r"<libsgt.StepMetrics of step 1: loss [\d.]+, lr 0.25, grad_norm [\d.]+, \d+ tokens/s, "
        r"overhead 0.00 %, depths \(0, 0, 1\), GrowthEvent\(.*\), entropies last and mean>", repr(metrics))
    sgt.Checkpoint.save(tmp_path / "x", model, optimizer=optimizer, growth=growth)
    backend = model.context.backend
    for thing, said in (
        (optimizer, f"<libsgt.Optimizer after 1 steps, lr 0.25, of {model!r}>"),
        (growth, f"<libsgt.Growth by {policy!r}, of {model!r}>"),
        (history, f"<libsgt.History of 1 steps, {len(history)} records>"),
        (windows, f"<libsgt.random_windows of 99 tokens: batch 2, seq {SEQ}, position 1>"),
        (model.context, f"<libsgt.Context of 1 threads, backend {backend.name} ({backend.isa})>"),
        (sgt.Sampler(model.context, 32, top_k=5),
         "<libsgt.Sampler of 32 tokens, temperature 1, top_k 5, top_p 1, min_p 0>"),
        (sgt.Checkpoint(tmp_path / "x"),
         f"<libsgt.Checkpoint {str(tmp_path / 'x')!r}: a model with an optimizer and growth "
         "after 1 steps>"),
        (sgt.Observation(3, model.plan, mean_entropy=np.zeros((3, 1, 4))),
         "<libsgt.Observation of step 3: loss nan, grad_norm nan, mean_entropy (3, 1, 4), "
         f"{model.plan!r}>"),
    ):
        assert repr(thing) == said
    names = repr(model.parameters)
    assert names.startswith(f"<{len(model.names)} arrays: 'model.embed_tokens.weight': (32, 16), ")
    assert len(names) < 500 and "'lm_head.weight': (32, 16)>" in names


def test_summary(model):
    plan = model.plan.copy()
    plan.set_depth(1, 1)
    plan.set_extra_runs(2, 3)
    model.plan = plan
    lines = model.summary().splitlines()
    rows = [re.split(r" {2,}", line) for line in lines]
    assert ["model.embed_tokens.weight", "32 x 16", "512"] in rows
    assert ["model.layers.*.self_attn.q_proj.weight", "16 x 16, 3 times", "768"] in rows
    assert ["all", f"{model.n_weights:,}"] in rows
    assert "extra passes of attention per layer: 0, 1, 0" in lines
    assert "extra runs of whole blocks: 0, 0, 3" in lines and lines[-1].endswith("% for depth")


def test_the_names_of_the_package():
    names = dir(sgt)
    assert set(sgt.__all__) <= set(names) and "plot" in names
    assert not [name for name in names if name in ("model", "training", "_arrays", "Any")]
    for name in set(sgt.__all__) - {"__version__"}:
        thing = getattr(sgt, name)
        is_error = isinstance(thing, type) and issubclass(thing, sgt.Error)
        assert is_error or re.search(rf"\b{name}\b", sgt.__doc__), name


def test_repr_never_fails(model, batch):
    """Not in a callback of the object either, nor before a constructor is done."""
    said = []

    class Says(sgt.Policy):
        def decide(self, obs, plan):
            said.append([repr(seen) for seen in (obs.plan, plan, model, self, growth)])
            self.kept = plan

    policy = Says()
    growth = sgt.Growth(model, policy)
    list(sgt.train(model, [batch], growth=growth))
    assert "depths (0, 0, 0)" in said[0][0] and "weights" in said[0][2]
    assert "closed" in repr(policy.kept)
    for type_ in (sgt.Model, sgt.Plan, sgt.Session, sgt.Context, sgt.SparseGrowth):
        unmade = type_.__new__(type_)
        assert type_.__name__ in repr(unmade)
        unmade._handle = model._handle
        assert type_.__name__ in repr(unmade)


def test_plans_are_copied(model):
    plan = model.plan.copy()
    for how in (copy.copy, copy.deepcopy):
        other = how(plan)
        other.set_depth(1, 1)
        assert plan.depths == (0, 0, 0) and other.depths == (0, 1, 0)
        other.close()
        assert not plan.closed
    with pytest.raises(TypeError, match="to_bytes"):
        pickle.dumps(plan)


def test_the_rest_is_not(model, tmp_path):
    sgt.Checkpoint.save(tmp_path / "x", model)
    policy = Mine()
    owners = [
        model,
        model.context,
        sgt.Session(model),
        sgt.Optimizer(model),
        sgt.Sampler(model.context, VOCABULARY),
        sgt.Growth(model, policy),
        policy,
        sgt.SparseGrowth(),
        sgt.Checkpoint(tmp_path / "x"),
    ]
    for owner in owners:
        for how in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=f"a {type(owner).__name__} cannot be copied"):
                how(owner)


def test_a_policy_of_one_s_own_before_it_is_bound(model):
    policy = Mine()
    policy.state["seen"] = [1]
    for other in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        other.state["seen"].append(2)
        assert policy.state == {"seen": [1]} and other.state == {"seen": [1, 2]}
        sgt.Growth(sgt.Model(small_config(), model.context), other)
    assert policy.closed
