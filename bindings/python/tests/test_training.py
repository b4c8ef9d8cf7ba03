# SPDX-License-Identifier: BSD-3-Clause
"""Forward, backward, steps, a loss of one's own, evaluation, cost."""
from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from conftest import LAYERS, SEQ, VOCABULARY, make_batch, small_config

import libsgt as sgt


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(axis=-1, keepdims=True)


def gradients(model):
    return {name: view.copy() for name, view in model.gradients.items()}


def assert_close(found, expected):
    for name in expected:
        norm = np.linalg.norm(expected[name])
        assert np.linalg.norm(found[name] - expected[name]) <= 2e-5 * norm + 1e-9, name


def test_loss_is_a_float_with_its_parts(model, batch):
    tokens, targets = batch
    targets[0, :5] = -1
    loss = model.forward(tokens, targets)
    assert isinstance(loss, float) and loss.count == targets.size - 5
    assert loss == pytest.approx(loss.sum / loss.count) and loss.finite
    logits = model.evaluate(tokens, logits=True).logits
    chosen = np.take_along_axis(softmax(logits), np.maximum(targets, 0)[..., None], -1)[..., 0]
    assert loss == pytest.approx(-np.log(chosen[targets >= 0]).mean(), rel=1e-5)
    again = pickle.loads(pickle.dumps(loss))
    assert again == loss and again.count == loss.count


def test_steps_lower_the_loss(model, batch):
    optimizer = sgt.Optimizer(model, lr=1e-2)
    losses = []
    for number in range(1, 21):
        losses.append(model.forward(*batch))
        model.backward()
        report = optimizer.step()
        assert report.step == number == optimizer.steps
        assert report.lr == 1e-2 and report.grad_norm > 0 and not report.skipped
    assert losses[-1] < 0.7 * losses[0]


def test_backward_scales_by_the_count(model, batch):
    loss = model.forward(*batch)
    model.backward()
    expected = gradients(model)
    model.zero_gradients()
    model.forward(*batch)
    model.backward(1 / loss.count)
    assert_close(gradients(model), expected)
    model.zero_gradients()
    model.forward(*batch)
    model.backward(2 / loss.count)
    assert_close(gradients(model), {name: 2 * value for name, value in expected.items()})


def test_a_failed_forward_keeps_the_scale(model, batch):
    """A refused batch must not make the backward that is still allowed use another scale."""
    model.forward(*batch)
    model.backward()
    expected = gradients(model)
    model.zero_gradients()
    model.forward(*batch)
    with pytest.raises(sgt.OutOfRangeError):
        model.forward(batch[0] + VOCABULARY, batch[1])
    try:
        model.backward()
    except sgt.StateError:
        return  # the library gave the first forward up
    assert_close(gradients(model), expected)


def test_order_of_calls(model, batch):
    optimizer = sgt.Optimizer(model)
    with pytest.raises(sgt.StateError):
        model.backward()
    with pytest.raises(sgt.StateError):
        optimizer.step()
    model.forward(*batch)
    model.backward()
    with pytest.raises(sgt.StateError):
        model.backward()
    optimizer.step()


def test_a_loss_in_numpy(model, batch):
    """Cross-entropy written in numpy gives the gradients that the library's own gives."""
    tokens, targets = batch
    loss = model.forward(tokens, targets)
    model.backward()
    expected = gradients(model)
    model.zero_gradients()
    logits = model.forward_logits(tokens)
    dlogits = softmax(logits)
    np.put_along_axis(
        dlogits, targets[..., None], np.take_along_axis(dlogits, targets[..., None], -1) - 1, -1
    )
    model.backward_logits(dlogits / loss.count)
    assert_close(gradients(model), expected)


def test_backward_logits_is_checked(model, batch):
    dlogits = np.zeros((2, SEQ, VOCABULARY), np.float32)
    with pytest.raises(sgt.StateError):
        model.backward_logits(dlogits)
    model.forward_logits(batch[0])
    with pytest.raises(ValueError, match="shape"):
        model.backward_logits(dlogits[:, :-1])
    model.backward_logits(dlogits)
    with pytest.raises(sgt.StateError):
        model.backward_logits(dlogits)
    model.forward_logits(batch[0])
    model.forward(*batch)
    with pytest.raises(sgt.StateError):
        model.backward_logits(dlogits)


def test_evaluation(model, batch):
    tokens, targets = batch
    targets[1, 2] = -1
    plain = model.evaluate(tokens, targets)
    assert plain.token_losses is plain.logits is plain.last_logits is None
    full = model.evaluate(tokens, targets, token_losses=True, logits=True, last_logits=True)
    assert full == plain and full.count == targets.size - 1
    assert full.token_losses.shape == tokens.shape and full.token_losses[1, 2] == 0
    assert full.token_losses.sum() == pytest.approx(full.sum, rel=1e-6)
    assert np.allclose(full.logits[:, -1], full.last_logits, atol=1e-5)
    again = pickle.loads(pickle.dumps(full))
    assert again == full and (again.logits == full.logits).all()


def test_evaluate_over_batches(model):
    batches = [make_batch(seed) for seed in range(3)]
    single = [model.evaluate(*one) for one in batches]
    total = sgt.evaluate(model, batches)
    assert total.count == sum(one.count for one in single)
    assert total.sum == pytest.approx(sum(one.sum for one in single))
    rows = [np.concatenate([a, b[:, -1:]], axis=1).astype(np.uint16) for a, b in batches]
    assert sgt.evaluate(model, rows).sum == pytest.approx(total.sum)
    assert sgt.evaluate(model, [list(one) for one in batches]).sum == pytest.approx(total.sum)
    assert sgt.evaluate(model, iter(rows), limit=1) == single[0]


def test_optimizer_options(model, batch):
    optimizer = sgt.Optimizer(
        model, lr=1.0, schedule="cosine", warmup_steps=10, total_steps=110, final_factor=0.2
    )
    assert optimizer.scheduled_rate(5) == pytest.approx(0.5)
    assert optimizer.scheduled_rate(60) == pytest.approx(0.6)
    assert optimizer.scheduled_rate(1000) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="'nonsense'"):
        sgt.Optimizer(model, schedule="nonsense")
    with pytest.raises(sgt.OutOfRangeError, match=r"betas\[0\]"):
        sgt.Optimizer(model, betas=(2.0, 0.9))
    with pytest.raises(TypeError):
        sgt.Optimizer(model, lr="fast")


def test_frozen_parameters_and_moments(model, batch):
    optimizer = sgt.Optimizer(model, lr=1e-2)
    frozen, free = model.names[0], model.names[-1]
    optimizer.set_factors(frozen, rate=0)
    before = model.read_parameter(frozen), model.read_parameter(free)
    model.forward(*batch)
    model.backward()
    optimizer.step()
    assert (model.parameter(frozen) == before[0]).all()
    assert (model.parameter(free) != before[1]).any()
    assert (optimizer.moment(frozen, "first") == 0).all()
    first = optimizer.moment(free, "first", writable=True)
    assert (first == optimizer.read_moment(free, "first")).all() and (first != 0).any()
    optimizer.write_moment(free, "second", np.ones(first.shape))
    assert (optimizer.moment(free, "second") == 1).all()
    with pytest.raises(sgt.NotFoundError):
        optimizer.set_factors("nothing")
    with pytest.raises(ValueError, match="third"):
        optimizer.moment(free, "third")


def test_a_step_that_is_not_finite_is_skipped(model, batch):
    optimizer = sgt.Optimizer(model)
    with model.writable_parameters() as views:
        views["model.norm.weight"][0] = math.nan
    loss = model.forward(*batch)
    assert not loss.finite
    model.backward()
    assert optimizer.step().skipped


def test_entropies(model, batch):
    with pytest.raises(sgt.StateError):
        model.entropies("last")
    model.collect_entropy("both")
    model.forward(*batch)
    last, mean = model.entropies("last"), model.entropies("mean")
    assert last.shape == (3, 1, 4) and last.dtype == np.float64
    assert ((0 < last) & (last <= 1)).all() and (last != mean).any()
    plan = model.plan.copy()
    plan.set_depth(2, 1)
    plan.set_gains(2, 1, [0, 1, 0, 0])
    model.plan = plan
    model.forward(*batch)
    values = model.entropies("last")
    assert values.shape == (3, 2, 4)
    assert np.isnan(values[:2, 1]).all()
    assert np.isnan(values[2, 1]).tolist() == [True, False, True, True]
    with pytest.raises(ValueError):
        model.collect_entropy("some")


def test_flops_and_memory(context, batch):
    config = small_config()
    options = dict(batch=2, seq=SEQ)
    estimate = context.estimate_memory(config, **options)
    assert estimate.total == sum(estimate[:-1])
    model = sgt.Model(config, context)
    optimizer = sgt.Optimizer(model)
    assert model.flops_total == (0, 0, 0)
    model.forward(*batch)
    model.backward()
    optimizer.step()
    assert context.memory.peak == pytest.approx(estimate.total, rel=0.02)
    plain = model.flops()
    assert plain == sgt.count_flops(config)
    assert plain.training == 3 * plain.forward
    assert model.flops_total.executed == pytest.approx(plain.training * batch[0].size)
    plan = sgt.Plan(context, 3, 4)
    plan.set_depth(1, 1)
    model.plan = plan
    assert model.flops().forward > plain.forward == model.flops(loops="vanilla").forward
    assert context.estimate_memory(config, plan=plan, **options).total > estimate.total
    decoded = model.flops(phase="decode")
    assert decoded.attention == 2 * model.flops().attention == model.flops(full_square=True).attention
    assert decoded.training == 0 and decoded.head == plain.head
    with pytest.raises(ValueError, match="loops"):
        model.flops(loops="later")
    with pytest.raises(ValueError, match="phase is 'backward', not one of 'forward', "):
        model.flops(phase="backward")


def test_smaller_weights_where_parts_add_to_the_stream():
    plain, small = sgt.Model(small_config()), sgt.Model(small_config(), residual=True)
    for name in plain.parameters:
        factor = (2 * LAYERS) ** -0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
        assert np.allclose(small.parameters[name], plain.parameters[name] * factor, rtol=1e-6)
    with pytest.raises(sgt.OutOfRangeError, match="residual is 2"):
        plain.init_weights(residual=2)


def test_limits(context):
    with sgt.Context(threads=1, memory_limit=8 << 20) as small:
        with pytest.raises(sgt.MemoryLimitError) as caught:
            sgt.Model(small_config(d_model=512, d_ff=2048), small)
        assert isinstance(caught.value, MemoryError)
        assert small.memory.limit == 8 << 20
        sgt.Model(small_config(), small)
    with pytest.raises(sgt.InvalidArgumentError, match="n_heads"):
        sgt.Model(small_config(d_model=18), context)
    with pytest.raises(sgt.NotFoundError, match="nowhere"):
        sgt.Context(backend="nowhere")
    with pytest.raises(sgt.InvalidArgumentError, match="threads"):
        sgt.Context(threads=-1)
    with pytest.raises(OverflowError):
        sgt.Context(threads=2**32)
    with pytest.raises(sgt.PluginError):
        sgt.load_backend("/nowhere/backend.so")


def test_context_says_what_runs():
    with sgt.Context(threads=2, backend="portable", isa="baseline") as context:
        found = context.backend
        assert (found.name, found.isa, found.threads) == ("portable", "baseline", 2)
        assert found.host_visible
    assert sgt.library_version() == sgt.__version__


def test_results_do_not_depend_on_threads(batch):
    sums = []
    for threads in (1, 3):
        model = sgt.Model(small_config(d_model=64, d_ff=128), sgt.Context(threads=threads))
        optimizer = sgt.Optimizer(model)
        for _ in range(3):
            loss = model.forward(*batch)
            model.backward()
            optimizer.step()
        sums.append(loss.sum)
    assert sums[0] == sums[1]


def test_the_plan_of_a_model_is_read_only(model):
    for edit in (
        lambda plan: plan.set_depth(1, 1),
        lambda plan: plan.set_gains(1, 1, [1, 1, 1, 1]),
        lambda plan: plan.set_targets(1, 1, [1, 1, 1, 1]),
        lambda plan: plan.set_gain(1, 1, 0, 1),
        lambda plan: plan.set_extra_runs(1, 1),
    ):
        with pytest.raises(sgt.StateError, match=r"plan = model.plan.copy\(\).*model.plan = plan"):
            edit(model.plan)
    plan = model.plan.copy()
    plan.set_depth(1, 1)
    model.plan = plan
    assert model.plan.depths == (0, 1, 0)
    plan.set_depth(1, 2)
    assert model.plan.depths == (0, 1, 0)


def test_a_forward_without_targets_has_no_backward(model, batch):
    tokens, targets = batch
    for scale in (None, 1.0):
        assert model.forward(tokens).count == 0
        with pytest.raises(sgt.StateError, match="had no targets"):
            model.backward(scale)
    with pytest.raises(sgt.StateError, match="had no targets"):
        list(sgt.train(model, [(tokens, None)]))
    model.forward(tokens, np.full_like(targets, -1))  # they may all be left out
    model.backward()
    model.zero_gradients()
    model.forward(tokens, targets)
    model.backward()
    model.forward_logits(tokens)
    model.backward_logits(np.zeros(tokens.shape + (model.config.vocab_size,), np.float32))
