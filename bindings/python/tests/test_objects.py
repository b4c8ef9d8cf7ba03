# SPDX-License-Identifier: BSD-3-Clause
"""Objects of the library as Python objects: what their repr says, copies, pickles."""
from __future__ import annotations

import copy
import pickle

import pytest
from conftest import HEADS, LAYERS, SEQ, VOCABULARY, small_config

import sgt


class Mine(sgt.Policy):
    def decide(self, obs, plan):
        return None


def test_what_they_are(model):
    said = repr(model)
    for part in ("sgt.model.Model", f"{LAYERS} layers", "d_model 16", f"{HEADS} heads"):
        assert part in said
    assert f"vocab_size {VOCABULARY}" in said and f"{model.n_weights} weights" in said
    plan = model.plan
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
    plan = model.plan
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
