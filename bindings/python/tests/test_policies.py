# SPDX-License-Identifier: BSD-3-Clause
"""Growth: the library's policies, policies in Python, their state and their failures."""
from __future__ import annotations

import collections
import math

import numpy as np
import pytest
from conftest import HEADS, LAYERS, make_batch, random_entropies, small_config

import libsgt as sgt


def steps(model, optimizer, growth, count):
    """The events of so many steps."""
    events = []
    for _ in range(count):
        model.forward(*make_batch(optimizer.steps))
        model.backward()
        optimizer.step()
        events.append(growth.step())
    return events


class Widest(sgt.Policy):
    """Every `every` steps the head of highest mean entropy that has no loop yet gets one."""

    entropy = "mean"

    def __init__(self, every=2):
        self.every = every
        self.state["looped"] = []
        self.shapes = []

    def create(self, n_layers, n_heads):
        self.shapes.append((n_layers, n_heads))

    def decide(self, obs, plan):
        assert obs.last_entropy is None and obs.mean_entropy.shape[0::2] == (LAYERS, HEADS)
        assert obs.plan.depths == plan.depths
        if obs.step % self.every:
            return None
        entropy = np.where(np.isnan(obs.mean_entropy[:, 0]), -1, obs.mean_entropy[:, 0])
        for layer, head in self.state["looped"]:
            entropy[layer, head] = -1
        layer, head = np.unravel_index(np.argmax(entropy), entropy.shape)
        self.state["looped"].append([layer, head])  # numpy integers
        gains = np.zeros(HEADS)
        gains[[h for at, h in self.state["looped"] if at == layer]] = 1
        plan.set_depth(int(layer), 1)
        plan.set_gains(int(layer), 1, gains)
        return sgt.GrowthEvent("select", layer=int(layer), depth=1, heads=(int(head),))


def test_the_policy_of_the_paper(model):
    optimizer = sgt.Optimizer(model)
    policy = sgt.SparseGrowth(first_step=2, window=2, max_layers=2, keep_heads=1, exclude=[1])
    with sgt.Growth(model, policy) as growth:
        events = steps(model, optimizer, growth, 8)
        assert growth.policy is policy and growth.model is model
    first = events[1]
    assert first.action == "select" and first.layer == 2 and len(first.heads) == 1
    assert [bool(event) for event in events[:2]] == [False, True]
    last = next(event for event in events if event.action == "fix")
    assert last.layers and last.layer == -1 and 1 not in last.layers
    assert model.plan.depths[2] == 1
    assert model.plan.heads(2) == first.heads
    assert model.flops_total.overhead > 0


def test_a_gain_below_one(model):
    optimizer = sgt.Optimizer(model)
    options = dict(first_step=1, window=2, max_layers=1, keep_heads=1, ramp="warm")
    with sgt.Growth(model, sgt.SparseGrowth(max_gain=0.25, **options)) as growth:
        layer = steps(model, optimizer, growth, 3)[0].layer
    assert sorted(model.plan.gains(layer, 1)) == [0] * (HEADS - 1) + [0.25]
    with pytest.raises(sgt.OutOfRangeError, match="max_gain is 1.5"):
        sgt.Growth(model, sgt.SparseGrowth(max_gain=1.5))


def test_groups_of_layers(model):
    entropies = np.empty((LAYERS, 1, HEADS))
    entropies[:] = np.array([[[0.2]], [[0.9]], [[0.3]]])
    selected = {}
    for groups in ((), (0, 1), [0, 0, 7]):
        policy = sgt.SparseGrowth(first_step=1, top_k_layers=1, exclude=(), groups=groups)
        plan = model.plan.copy()
        policy.bind(model.context, LAYERS, HEADS)
        event = policy.decide(sgt.Observation(1, plan.copy(), last_entropy=entropies), plan)
        selected[tuple(groups)] = event.layer
    assert selected == {(): 1, (0, 1): 2, (0, 0, 7): 2}
    with pytest.raises(sgt.OutOfRangeError, match=r"groups\[1\] is -1"):
        sgt.Growth(model, sgt.SparseGrowth(groups=[0, -1]))
    with pytest.raises(sgt.OutOfRangeError, match="n_groups"):
        sgt.Growth(model, sgt.SparseGrowth(groups=range(LAYERS + 1)))


def test_static_policies(context, batch):
    model = sgt.Model(small_config(), context)
    with sgt.Growth(model, sgt.StaticBlocks({1: 2, 2: 1})):
        assert model.plan.runs == (0, 2, 1)
        assert model.n_passes(1) == 3
    model = sgt.Model(small_config(), context)
    plan = model.plan.copy()
    plan.set_depth(2, 1)
    plan.set_gains(2, 1, [0, 0.5, 0, 1])
    policy = sgt.StaticPlan(plan)
    plan.set_depth(0, 3)
    with sgt.Growth(model, policy):
        assert model.plan.depths == (0, 0, 1) and model.plan.heads(2) == (1, 3)
    with sgt.Growth(sgt.Model(small_config(), context), sgt.NoGrowth()) as growth:
        assert growth.model.plan.depths == (0, 0, 0)


def test_wrong_options(model):
    with pytest.raises(ValueError, match="ramp"):
        sgt.SparseGrowth(ramp="steep")
    with pytest.raises(sgt.OutOfRangeError, match="window"):
        sgt.Growth(model, sgt.SparseGrowth(window=0))
    with pytest.raises(sgt.OutOfRangeError):
        sgt.Growth(model, sgt.StaticBlocks({7: 1}))
    sgt.Growth(model, sgt.SparseGrowth())  # what failed left nothing attached


def test_a_policy_in_python(model):
    policy = Widest()
    optimizer, growth = sgt.Optimizer(model), sgt.Growth(model, policy)
    assert policy.shapes == [(LAYERS, HEADS)]
    events = steps(model, optimizer, growth, 6)
    assert [event.action for event in events] == ["none", "select"] * 3
    looped = [(event.layer, event.heads[0]) for event in events[1::2]]
    assert len(set(looped)) == 3
    plan = model.plan.copy()
    for layer, head in looped:
        assert head in plan.heads(layer)
    assert sum(len(plan.heads(layer)) for layer in range(LAYERS)) == 3


def test_what_a_policy_sees(model):
    seen = []

    class Look(sgt.Policy):
        entropy = "both"

        def decide(self, obs, plan):
            seen.append((obs, plan))

    optimizer, growth = sgt.Optimizer(model), sgt.Growth(model, Look())
    loss = model.forward(*make_batch())
    model.backward()
    report = optimizer.step()
    expected = model.entropies("last"), model.entropies("mean")
    assert not growth.step()
    ((obs, plan),) = seen
    assert obs.step == 1 and obs.loss == pytest.approx(float(loss))
    assert obs.grad_norm == report.grad_norm
    assert (obs.last_entropy == expected[0]).all() and (obs.mean_entropy == expected[1]).all()
    assert obs.executed_flops == obs.vanilla_flops == model.flops_total.executed
    for borrowed in (plan, obs.plan):  # only there during the call
        with pytest.raises(sgt.ClosedError):
            borrowed.depths
    model.forward_logits(make_batch()[0])
    model.backward_logits(np.zeros((2, 16, 32)))
    optimizer.step()
    growth.step()
    assert math.isnan(seen[1][0].loss)


def test_growth_needs_a_step(model, batch):
    growth = sgt.Growth(model, sgt.SparseGrowth())
    with pytest.raises(sgt.StateError, match="no optimizer step"):
        growth.step()
    optimizer = sgt.Optimizer(model)
    model.forward(*batch)
    model.backward()
    report = optimizer.step()
    growth.step(report, loss=1.0)
    with pytest.raises(sgt.StateError):
        growth.step()


@pytest.mark.parametrize("where", ["create", "start", "decide", "save", "load"])
def test_exceptions_travel(model, where):
    class Boom(Exception):
        pass

    class Bad(Widest):
        armed = True

        def fail(self, name):
            if name == where and self.armed:
                raise Boom(name)

        def create(self, n_layers, n_heads):
            self.fail("create")

        def start(self, plan):
            plan.set_depth(1, 1)
            self.fail("start")

        def decide(self, obs, plan):
            plan.set_depth(0, 1)
            self.state["touched"] = True
            self.fail("decide")
            if self.armed:
                raise Boom("load")  # makes the library put the state back

        def save(self):
            self.fail("save")
            return super().save()

        def load(self, data):
            self.fail("load")
            super().load(data)

    policy = Bad()
    optimizer = sgt.Optimizer(model)
    if where in ("create", "start"):
        with pytest.raises(Boom, match=where):
            sgt.Growth(model, policy)
        assert model.plan.depths == (0, 0, 0)
        policy.armed = False
        sgt.Growth(model, policy)
        return
    growth = sgt.Growth(model, policy)
    with pytest.raises(Boom, match=where):
        steps(model, optimizer, growth, 1)
    assert model.plan.depths == (0, 1, 0)
    if where == "decide":
        assert "touched" not in policy.state
    policy.armed = False
    growth.step()
    assert model.plan.depths == (1, 1, 0)


@pytest.mark.parametrize(
    "answer, error, match",
    [
        (7, TypeError, "GrowthEvent"),
        (sgt.GrowthEvent("jump"), ValueError, "'jump'"),
        (sgt.GrowthEvent("select", layer=99), sgt.OutOfRangeError, "layer 99"),
    ],
)
def test_wrong_answers(model, answer, error, match):
    class Wrong(sgt.Policy):
        def decide(self, obs, plan):
            plan.set_depth(1, 1)
            return answer

    with pytest.raises(error, match=match):
        steps(model, sgt.Optimizer(model), sgt.Growth(model, Wrong()), 1)
    assert model.plan.depths == (0, 0, 0)


def test_a_policy_without_decide(model):
    with pytest.raises(NotImplementedError, match="decide"):
        steps(model, sgt.Optimizer(model), sgt.Growth(model, sgt.Policy()), 1)


def test_state_is_json(model):
    class Keeps(sgt.Policy):
        def __init__(self, value):
            self.state["value"] = value

        def decide(self, obs, plan):
            return None

    growth = sgt.Growth(model, Keeps({1, 2}))
    with pytest.raises(TypeError, match=r"state\['value'\] is a set"):
        steps(model, sgt.Optimizer(model), growth, 1)
    value = [0.1, {"a": [None, True, -3, 1e-300, "\0é\ud800"]}, []]
    mixed = [None, np.bool_(True), np.int8(-3), *value[1]["a"][3:]]
    policy = Keeps([np.float64(0.1), {"a": mixed}, []])
    policy.load(policy.save())
    assert policy.state == {"value": value}
    assert [type(item) for item in policy.state["value"][1]["a"][1:3]] == [bool, int]
    with pytest.raises(ValueError):
        policy.load(b"[1]")
    assert policy.state == {"value": value}


@pytest.mark.parametrize(
    "state, where",
    [
        ({0: "a"}, "state has the key 0"),
        ({"a": [{None: 1}]}, r"state\['a'\]\[0\] has the key None"),
        ({"a": (1, 2)}, r"state\['a'\] is a tuple"),
        ({"a": np.arange(3)}, r"state\['a'\] is a ndarray"),
        ({"a": collections.Counter("a")}, r"state\['a'\] is a Counter"),
        ([1, 2], "state is a list"),
    ],
)
def test_state_comes_back_equal_or_is_refused(model, tmp_path, state, where):
    class Keeps(sgt.Policy):
        def create(self, n_layers, n_heads):
            self.state = state

    growth = sgt.Growth(model, Keeps())
    with pytest.raises(TypeError, match=where):
        sgt.Checkpoint.save(tmp_path / "x", model, growth=growth)


def test_state_of_one_s_own(model, tmp_path):
    class Counts(sgt.Policy):
        count = 0

        def decide(self, obs, plan):
            self.count += 1

        def save(self):
            return bytes(self.count)

        def load(self, data):
            self.count = len(data)

    policy = Counts()
    optimizer, growth = sgt.Optimizer(model), sgt.Growth(model, policy)
    steps(model, optimizer, growth, 3)
    path = tmp_path / "three"
    sgt.Checkpoint.save(path, model, growth=growth)
    steps(model, optimizer, growth, 2)
    sgt.Checkpoint(path, model.context).load(model, growth=growth)
    assert policy.count == 3


class Saves(sgt.Policy):
    """Saves what it is told to."""

    loaded = None

    def __init__(self, data):
        self.data = data

    def decide(self, obs, plan):
        return None

    def save(self):
        return self.data

    def load(self, data):
        self.loaded = data


@pytest.mark.parametrize(
    "data", [b"12", bytearray(b"12"), memoryview(b"1020")[::2], np.frombuffer(b"12", np.int16), b""]
)
def test_save_gives_anything_like_bytes(model, tmp_path, data):
    policy = Saves(data)
    growth = sgt.Growth(model, policy)
    sgt.Checkpoint.save(tmp_path / "x", model, growth=growth)
    sgt.Checkpoint(tmp_path / "x", model.context).load(model, growth=growth)
    assert policy.loaded == bytes(data) and isinstance(policy.loaded, bytes)


@pytest.mark.parametrize("data", ["12", None, 5, [1, 2]])
def test_save_gives_bytes(model, tmp_path, data):
    growth = sgt.Growth(model, Saves(data))
    with pytest.raises(TypeError, match=f"Saves.save returned is a {type(data).__name__}"):
        sgt.Checkpoint.save(tmp_path / "x", model, growth=growth)
    assert not (tmp_path / "x").exists()


def test_loading_from_anything_like_bytes(model):
    plan = model.plan.copy()
    plan.set_depth(1, 2)
    assert sgt.Plan.from_bytes(model.context, bytearray(plan.to_bytes())) == plan
    policy = sgt.StaticPlan(plan)
    policy.bind(model.context, LAYERS, HEADS)
    policy.load(memoryview(policy.save()))
    for load in (policy.load, lambda data: sgt.Plan.from_bytes(model.context, data)):
        with pytest.raises(TypeError, match="str, bytes are needed"):
            load("12345678")


def test_one_policy_asks_another(model):
    class Careful(sgt.Policy):
        """The paper's, but never in the deepest layer."""

        def __init__(self):
            self.inner = sgt.SparseGrowth(first_step=1, window=1, ramp="hard", keep_heads=1)

        def create(self, n_layers, n_heads):
            self.inner.bind(self.context, n_layers, n_heads)

        def decide(self, obs, plan):
            entropy = obs.last_entropy.copy()
            entropy[2] = 0
            return self.inner.decide(obs._replace(last_entropy=entropy), plan)

        def save(self):
            return self.inner.save()

        def load(self, data):
            self.inner.load(data)

    growth = sgt.Growth(model, Careful())
    (event,) = steps(model, sgt.Optimizer(model), growth, 1)
    assert event.action == "select"
    assert model.plan.depth(event.layer) == 1


def test_a_policy_without_a_model(context):
    policy = sgt.SparseGrowth(first_step=1, window=1, ramp="hard", keep_heads=2)
    plan = sgt.Plan(context, LAYERS, HEADS)
    obs = sgt.Observation(1, plan, last_entropy=random_entropies())
    with pytest.raises(sgt.StateError, match="bind"):
        policy.decide(obs, plan.copy())
    policy.bind(context, LAYERS, HEADS)
    policy.bind(context, LAYERS, HEADS)
    with pytest.raises(sgt.StateError, match="3"):
        policy.bind(context, LAYERS + 1, HEADS)
    before = policy.save()
    edited = plan.copy()
    event = policy.decide(obs, edited)
    assert event.action == "select" and event.layer == 2
    order = np.argsort(-obs.last_entropy[2, 0], kind="stable")
    assert event.heads == tuple(order[:2]) and sorted(event.heads) == list(edited.heads(2))
    assert edited.depths == (0, 0, 1) and plan.depths == (0, 0, 0)
    after = policy.save()
    policy.load(before)
    again = plan.copy()
    assert policy.decide(obs, again) == event and policy.save() == after
    with pytest.raises(sgt.FormatError):
        policy.load(b"nonsense")
    with pytest.raises(ValueError, match="last_entropy"):
        policy.decide(obs._replace(last_entropy=np.zeros((2, 1, HEADS))), edited)
    with pytest.raises(ValueError, match="passes"):
        policy.decide(obs._replace(mean_entropy=np.zeros((LAYERS, 2, HEADS))), edited)


def test_plans(context):
    plan = sgt.Plan(context, LAYERS, HEADS)
    assert (plan.n_layers, plan.n_heads) == (LAYERS, HEADS)
    plan.set_depth(1, 2)
    plan.set_gain(1, 2, 3, 0.5)
    plan.set_targets(1, 2, [0, 0, 0, 1])
    plan.set_extra_runs(2, 1)
    assert plan.gains(1, 2).tolist() == [1, 1, 1, 0.5]
    assert plan.targets(1, 2).tolist() == [0, 0, 0, 1]
    assert plan.heads(1, 1) == (0, 1, 2, 3) and plan.heads(0) == ()
    assert plan.depth(1) == 2 and plan.extra_runs(2) == 1
    again = sgt.Plan.from_bytes(context, plan.to_bytes())
    assert again == plan and again.to_bytes() == plan.to_bytes()
    again.set_extra_runs(2, 0)
    assert again != plan and plan != "plan"
    with pytest.raises(TypeError):
        hash(plan)
    for call in (lambda: plan.depth(3), lambda: plan.gains(1, 3), lambda: plan.extra_runs(-1)):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(sgt.OutOfRangeError):
        plan.set_gains(1, 1, [2, 0, 0, 0])
    with pytest.raises(ValueError, match="shape"):
        plan.set_gains(1, 1, [1, 0])
    with pytest.raises(sgt.FormatError):
        sgt.Plan.from_bytes(context, b"x" * 40)


def test_what_a_policy_observes_is_read_only(model, batch):
    class Edits(sgt.Policy):
        def decide(self, obs, plan):
            obs.plan.set_depth(1, 1)

    with pytest.raises(sgt.StateError, match="obs.plan is read-only: edit the plan"):
        list(sgt.train(model, [batch], policy=Edits()))
    assert model.plan.depths == (0, 0, 0)
    policy = sgt.SparseGrowth(first_step=1)
    policy.bind(model.context, LAYERS, HEADS)
    obs = sgt.Observation(1, model.plan, last_entropy=random_entropies())
    with pytest.raises(sgt.StateError, match="read-only"):
        policy.decide(obs, model.plan)
    assert policy.decide(obs, model.plan.copy()).action == "select"
