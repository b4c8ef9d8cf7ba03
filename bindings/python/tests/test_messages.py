# SPDX-License-Identifier: BSD-3-Clause
"""Messages say what to do in the words of Python."""
from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import HEADS, LAYERS, SEQ, VOCABULARY, small_config

import libsgt as sgt
from libsgt._messages import translated

TOO_LONG = np.zeros((2, SEQ + 1), int)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: sgt.Optimizer(m, schedule="cosine"), "total_steps is 0, but"),
        (lambda m: sgt.Optimizer(m, lr=-1), "lr is -1"),
        (lambda m: sgt.Optimizer(m, betas=(0.9, 2)), r"betas\[1\] is 2"),
        (lambda m: sgt.Optimizer(m, eps=0), "eps is 0"),
        (lambda m: m.forward(TOO_LONG), rf"tokens.shape\[-1\] is {SEQ + 1}, must be"),
        (lambda m: m.evaluate(TOO_LONG[0]), rf"tokens.shape\[-1\] is {SEQ + 1}, must be"),
        (lambda m: m.flops(seq=SEQ + 1), f"seq is {SEQ + 1}, not"),
        (lambda m: sgt.Sampler(m.context, 32, top_p=2), "top_p is 2"),
        (lambda m: sgt.Sampler(m.context, 32, bias={50: 1.0}), r"the tokens of bias\[0\] is 50"),
        (lambda m: sgt.Session(m, sequences=0), "sequences is 0"),
        (lambda m: sgt.Session(m).generate([1], max_tokens=-1), "max_tokens is -1"),
        (lambda m: m.backward(), r"backward needs a model.forward\(\) that"),
        (lambda m: m.backward_logits(0), "backward_logits needs a forward_logits before"),
        (lambda m: m.plan.copy().set_depth("one", 1), "layer: an integer is needed"),
    ],
)
def test_arguments_have_their_names(model, call, message):
    with pytest.raises((sgt.Error, TypeError), match=f"^{message}"):
        call(model)


def test_no_message_names_a_call_of_c(model, batch):
    session = sgt.Session(model)
    model.forward(*batch)
    model.backward()
    with pytest.raises(sgt.StateError, match=r"optimizer.step\(\), or call model.zero_gradients"):
        sgt.Checkpoint.save("x", model)
    sgt.Optimizer(model).step()
    with pytest.raises(sgt.StateError, match=r"call session.refresh\(\)"):
        session.feed([1])


def test_other_text_stays(tmp_path):
    """Names of files may look like those of the library."""
    folder = tmp_path / "sgt_batch.seq"
    for path in (folder, "sgt_batch.seq/x", "beta1/x", "./sgt_model_forward"):
        text = f"{path}: cannot be opened"
        assert translated(text) == text
    with pytest.raises(sgt.MissingFileError, match=re.escape(str(folder))):
        sgt.Checkpoint(folder)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: sgt.Growth(m, sgt.SparseGrowth),
        lambda m: sgt.Growth(sgt.Model, sgt.NoGrowth()),
        lambda m: sgt.Model(sgt.ModelConfig),
        lambda m: sgt.Model(small_config(), sgt.Context),
        lambda m: sgt.Model.from_pretrained("x", sgt.Context),
        lambda m: sgt.Optimizer(sgt.Model),
        lambda m: sgt.Session(sgt.Model),
        lambda m: sgt.Session.estimate_memory(sgt.Model),
        lambda m: sgt.Session(m).generate([1], sampler=sgt.Sampler),
        lambda m: sgt.Session(m).stream([1], sampler=sgt.Sampler),
        lambda m: sgt.Plan(sgt.Context, LAYERS, HEADS),
        lambda m: sgt.Plan.from_bytes(sgt.Context, m.plan.to_bytes()),
        lambda m: sgt.Sampler(sgt.Context, VOCABULARY),
        lambda m: sgt.StaticPlan(sgt.Plan),
        lambda m: setattr(m, "plan", sgt.Plan),
        lambda m: sgt.count_flops(sgt.ModelConfig),
        lambda m: sgt.count_flops(m.config, sgt.Plan),
        lambda m: m.context.estimate_memory(sgt.ModelConfig, batch=1, seq=1),
        lambda m: m.context.estimate_memory(m.config, batch=1, seq=1, plan=sgt.Plan),
        lambda m: sgt.Checkpoint("x", sgt.Context),
        lambda m: sgt.Checkpoint.save("x", sgt.Model),
        lambda m: sgt.Checkpoint.save("x", m, optimizer=sgt.Optimizer),
        lambda m: sgt.NoGrowth().bind(sgt.Context, LAYERS, HEADS),
        lambda m: sgt.train(sgt.Model, []),
        lambda m: sgt.train(m, [], optimizer=sgt.Optimizer),
        lambda m: sgt.train(m, [], policy=sgt.NoGrowth),
        lambda m: sgt.train(m, [], history=sgt.History),
        lambda m: sgt.evaluate(sgt.Model, []),
    ],
)
def test_a_class_is_no_object(model, call):
    with pytest.raises(TypeError, match=r"^\w+: an object is needed, not the class: (\w+)\("):
        call(model)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: sgt.count_flops(m.config, m),
        lambda m: m.context.estimate_memory(m.config, batch=1, seq=1, plan=m),
        lambda m: setattr(m, "plan", m),
        lambda m: sgt.StaticPlan(m),
        lambda m: sgt.Session(m.context),
        lambda m: sgt.Session(m).generate([1], sampler=m),
        lambda m: sgt.Growth(m, m),
        lambda m: sgt.Optimizer(m.context),
        lambda m: sgt.Model(small_config(), m),
    ],
)
def test_another_object_is_refused(model, call):
    with pytest.raises(TypeError, match="is needed, not <libsgt"):
        call(model)


def test_similar_names(model):
    with pytest.raises(KeyError, match="'embed'; similar: 'model.embed_tokens.weight'"):
        model.parameters["embed"]
    with pytest.raises(KeyError, match="no parameter 'nothing of the kind'\""):
        model.gradients["nothing of the kind"]
    with pytest.raises(sgt.NotFoundError, match="similar: 'model.norm.weight'"):
        model.read_parameter("model.nrom.weight")
    with pytest.raises(sgt.NotFoundError, match="similar: 'model.layers.0.self_attn.q_proj.weight'"):
        sgt.Optimizer(model).set_factors("q_proj")
