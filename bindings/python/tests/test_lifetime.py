# SPDX-License-Identifier: BSD-3-Clause
"""Who keeps what alive: views, closing in any order, callbacks, collection."""
from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest
from conftest import make_batch, run_python, small_config

import libsgt as sgt


def trained(context):
    model = sgt.Model(small_config(), context)
    optimizer = sgt.Optimizer(model)
    growth = sgt.Growth(model, sgt.SparseGrowth())
    model.forward(*make_batch())
    model.backward()
    optimizer.step()
    growth.step()
    return model, optimizer, growth


def test_views_outlive_the_model(context, collected):
    model, optimizer, growth = trained(context)
    name = model.names[0]
    weight, gradient = model.parameter(name), model.gradient(name)
    moment = optimizer.moment(name, "second")
    expected = [view.copy() for view in (weight, gradient, moment)]
    part = weight[2:4]
    for owner in (growth, optimizer, model):
        owner.close()
    del model, optimizer, growth
    collected()
    # New allocations would take the memory if it had been given back.
    others = [trained(context) for _ in range(3)]
    for view, values in zip((weight, gradient, moment), expected):
        assert (view == values).all()
    assert (part == expected[0][2:4]).all()
    del others


def test_memory_comes_back(context, collected):
    before = context.memory.current
    for _ in range(2):
        model, optimizer, growth = trained(context)
        view = model.parameter(model.names[0])
        for owner in (model, optimizer, growth):
            owner.close()
        assert context.memory.current > before
        del view, model, optimizer, growth, owner
        collected()
        assert context.memory.current == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_closing(order):
    context = sgt.Context(threads=1)
    objects = [context, *trained(context)]
    for index in order:
        objects[index].close()
        assert objects[index].closed
        objects[index].close()


def test_what_was_made_of_a_closed_context_goes_on(tmp_path, batch, collected):
    """All of it, with what it makes by itself."""

    class Asks(sgt.Policy):
        def create(self, n_layers, n_heads):
            self.made = sgt.Plan(self.context, n_layers, n_heads)

        def decide(self, obs, plan):
            assert self.context.memory.current
            plan.set_depth(1, 1)

    phases = []
    context = sgt.Context(threads=1, progress=lambda *seen: phases.append(seen))
    model = sgt.Model(small_config(), context)
    session, policy = sgt.Session(model), Asks()
    path = tmp_path / "checkpoint"
    with sgt.Growth(model, policy) as growth:
        sgt.Checkpoint.save(path, model, growth=growth)
    checkpoint = sgt.Checkpoint(path, context)
    context.close()
    list(sgt.train(model, [batch], policy=sgt.NoGrowth(), history=sgt.History()))
    list(sgt.train(model, [batch], policy=policy, history=sgt.History()))
    assert model.plan.depths == (0, 1, 0)
    session.refresh()
    assert session.generate([1], max_tokens=2).tokens.size == 2
    assert len(list(session.stream([1], max_tokens=2))) == 2
    model.close()
    assert session.generate([1], max_tokens=2).tokens.size == 2
    restored = checkpoint.create(Asks())
    del context, checkpoint, session, model, policy
    collected()
    phases.clear()
    assert restored.model.forward(*batch).count and phases
    assert restored.growth.policy.context.memory.current
    for use in (lambda: sgt.Model(small_config(), closed), lambda: closed.memory):
        closed = sgt.Context(threads=1)
        closed.close()
        with pytest.raises(sgt.ClosedError):
            use()


def test_a_closed_object_says_so(model, batch):
    optimizer = sgt.Optimizer(model)
    view = model.parameters
    model.close()
    for use in (
        lambda: model.forward(*batch),
        lambda: model.plan,
        lambda: view["model.norm.weight"],
        lambda: sgt.Optimizer(model),
        lambda: model.__enter__(),
    ):
        with pytest.raises(sgt.ClosedError, match="Model is closed"):
            use()
    assert "closed" in repr(model)
    assert optimizer.steps == 0  # it keeps what it needs


def test_context_managers(batch):
    with sgt.Context(threads=1) as context, sgt.Model(small_config(), context) as model:
        with sgt.Optimizer(model) as optimizer:
            assert not optimizer.closed
        assert optimizer.closed and not model.closed
    assert model.closed and context.closed


def test_a_model_makes_its_own_context(batch, collected):
    model = sgt.Model(small_config())
    assert model.forward(*batch).count
    context = model.context
    del model
    collected()
    assert context.memory.current == sgt.Context().memory.current


def test_objects_are_collected(context, collected):
    class Quiet(sgt.Policy):
        def decide(self, obs, plan):
            return None

    model = sgt.Model(small_config(), context)
    policy = Quiet()
    optimizer = sgt.Optimizer(model, rate=lambda step, scheduled: scheduled)
    growth = sgt.Growth(model, policy)
    references = [weakref.ref(o) for o in (model, policy, optimizer, growth)]
    del model, policy, optimizer, growth
    collected()
    assert [reference() for reference in references] == [None] * 4


def test_callbacks_outlive_the_names_of_their_owners(batch, collected):
    calls = []

    def build():
        context = sgt.Context(threads=1, progress=lambda *seen: calls.append(seen))
        model = sgt.Model(small_config(), context)
        rate = sgt.Optimizer(model, rate=lambda step, scheduled: calls.append(step) or scheduled)
        return model, rate

    model, optimizer = build()
    collected()
    model.forward(*batch)
    model.backward()
    optimizer.step()
    assert ("forward", 1, 3) in calls and calls[-1] == 1


def test_a_policy_outlives_its_name(model, batch, collected):
    asked = []

    class Counting(sgt.Policy):
        def decide(self, obs, plan):
            asked.append(obs.step)

    optimizer, growth = sgt.Optimizer(model), sgt.Growth(model, Counting())
    collected()
    for _ in range(2):
        model.forward(*batch)
        model.backward()
        optimizer.step()
        growth.step()
    assert asked == [1, 2]


def test_plans_are_their_own(model):
    plan = model.plan.copy()
    other = model.plan.copy()
    plan.set_depth(1, 2)
    assert model.plan == other != plan
    model.close()
    assert plan.depths == (0, 2, 0)
    copy = plan.copy()
    plan.close()
    assert copy.depths == (0, 2, 0)
    with pytest.raises(sgt.ClosedError):
        plan.depths


def test_growth_detaches_when_it_is_closed(model):
    growth = sgt.Growth(model, sgt.SparseGrowth())
    with pytest.raises(sgt.StateError):
        sgt.Growth(model, sgt.SparseGrowth())
    growth.close()
    sgt.Growth(model, sgt.SparseGrowth())


def test_a_constructor_that_fails_leaves_nothing(context, collected):
    before = context.memory.current
    for _ in range(3):
        with pytest.raises(sgt.InvalidArgumentError):
            sgt.Model(small_config(n_kv_heads=3), context)
    collected()
    assert context.memory.current == before


def test_nothing_is_freed_twice_at_exit():
    """Objects in cycles, in globals, and in a thread that is inside the library at the end."""
    result = run_python(
        """
        import threading, time
        import numpy as np
        import libsgt as sgt
        from conftest import small_config
        config = small_config(d_model=256, d_ff=2048, max_seq_len=512)
        model = sgt.Model(config, sgt.Context(threads=1))
        model.itself = model
        view = model.parameter(model.names[0])
        optimizer = sgt.Optimizer(model)
        inside = threading.Event()
        def work():
            while True:
                inside.set()
                model.evaluate(np.zeros((16, 512), int))
        threading.Thread(target=work, daemon=True).start()
        inside.wait()
        time.sleep(0.05)
        print("end")
        """
    )
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr
