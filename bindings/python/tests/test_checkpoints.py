# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints and Hugging Face folders: what was saved goes on, bit for bit."""
from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from conftest import SEQ, VOCABULARY, make_batch, small_config
from test_policies import Widest

import libsgt as sgt


def make(context, policy, seed=0):
    model = sgt.Model(small_config(), context, seed=seed)
    return model, sgt.Optimizer(model, lr=1e-2), sgt.Growth(model, policy)


def go_on(model, optimizer, growth, count):
    for _ in range(count):
        loss = model.forward(*make_batch(optimizer.steps))
        model.backward()
        optimizer.step()
        growth.step()
    return loss.sum


def everything(model, optimizer):
    plan = model.plan.copy()
    values = [view.tobytes() for view in model.parameters.values()]
    values += [optimizer.read_moment(name, "second").tobytes() for name in model.names]
    return values, plan.to_bytes(), optimizer.steps


@pytest.mark.parametrize(
    "policy", [lambda: sgt.SparseGrowth(first_step=3, window=3), Widest], ids=["sgt", "python"]
)
@pytest.mark.parametrize("fresh", [True, False], ids=["create", "load"])
def test_resume(context, tmp_path, policy, fresh):
    unbroken = make(context, policy())
    go_on(*unbroken, 10)
    first = make(context, policy())
    go_on(*first, 5)
    path = tmp_path / "five.safetensors"
    values = {"position": "5", "näme": "ü"}
    sgt.Checkpoint.save(path, first[0], optimizer=first[1], growth=first[2], values=values)
    with sgt.Checkpoint(path, context) as checkpoint:
        assert checkpoint.values == values
        assert checkpoint.config == first[0].config
        info = checkpoint.info
        assert (info.steps, info.has_optimizer, info.has_growth) == (5, True, True)
        assert info.executed_flops == first[0].flops_total.executed
        if fresh:
            resumed = checkpoint.create(policy())
        else:
            resumed = make(context, policy(), seed=99)
            checkpoint.load(*resumed)
    go_on(*resumed, 5)
    assert everything(*resumed[:2]) == everything(*unbroken[:2])
    assert resumed[2].policy.save() == unbroken[2].policy.save()


def test_parts(context, tmp_path):
    model, optimizer, growth = make(context, sgt.NoGrowth())
    path = tmp_path / "model"
    sgt.Checkpoint.save(str(path), model, checksums=False)
    checkpoint = sgt.Checkpoint(path)
    assert checkpoint.values == {} and not checkpoint.info.has_optimizer
    made = checkpoint.create()
    assert made.optimizer is None and made.growth is None
    assert (made.model.parameter("lm_head.weight") == model.parameter("lm_head.weight")).all()
    with pytest.raises(sgt.NotFoundError):
        checkpoint.optimizer_options
    with pytest.raises(sgt.NotFoundError):
        checkpoint.load(model, optimizer)
    sgt.Checkpoint.save(path, model, optimizer=optimizer)
    made = sgt.Checkpoint(path).create(optimizer=False)
    assert made.optimizer is None
    sgt.Checkpoint(path, context).load(model, optimizer, own_schedule=True, verify=False)


def test_optimizer_options(context, tmp_path):
    model = sgt.Model(small_config(), context)
    options = dict(
        lr=1e-2,
        betas=(0.8, 0.9),
        eps=1e-7,
        weight_decay=0.3,
        clip=2.0,
        schedule="warmup_stable_decay",
        warmup_steps=2,
        total_steps=20,
        decay_steps=5,
        final_factor=0.3,
        decay_scope="matrices",
    )
    sgt.Checkpoint.save(tmp_path / "x", model, optimizer=sgt.Optimizer(model, **options))
    assert sgt.Checkpoint(tmp_path / "x").optimizer_options == options


def test_refusals(context, tmp_path, batch):
    model, optimizer, growth = make(context, sgt.NoGrowth())
    path = tmp_path / "x"
    other = sgt.Model(small_config(), context)
    with pytest.raises(sgt.InvalidArgumentError, match="Optimizer"):
        sgt.Checkpoint.save(path, other, optimizer=optimizer)
    model.forward(*batch)
    model.backward()
    with pytest.raises(sgt.StateError):
        sgt.Checkpoint.save(path, model)
    model.zero_gradients()
    with pytest.raises(sgt.FileError) as caught:
        sgt.Checkpoint.save(tmp_path / "no" / "folder", model)
    assert isinstance(caught.value, OSError) and "folder" in str(caught.value)
    for find in (
        lambda: sgt.Checkpoint(tmp_path / "nothing"),
        lambda: sgt.Checkpoint.latest(tmp_path / "nothing"),
        lambda: sgt.Checkpoint.keep_last(tmp_path / "nothing", 1),
        lambda: sgt.Model.from_pretrained(tmp_path / "nothing"),
    ):
        with pytest.raises(FileNotFoundError, match="nothing") as caught:
            find()
        assert isinstance(caught.value, sgt.NotFoundError) and caught.value.status == -13
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (type(copy), str(copy)) == (sgt.MissingFileError, str(caught.value))
    sgt.Checkpoint.save(path, model)
    with sgt.Checkpoint(path) as checkpoint, pytest.raises(TypeError, match="model: a Model"):
        checkpoint.load(None)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(sgt.FormatError):
        sgt.Checkpoint(path)
    sgt.Checkpoint.save(path, model)
    wide = sgt.Model(small_config(d_ff=64), context)
    with pytest.raises(sgt.InvalidArgumentError, match="d_ff|intermediate"):
        sgt.Checkpoint(path, context).load(wide)


def test_folders(context, tmp_path):
    model = sgt.Model(small_config(), context)
    with pytest.raises(sgt.NotFoundError):
        sgt.Checkpoint.latest(tmp_path)
    for step in (5, 20, 100):
        sgt.Checkpoint.save(sgt.Checkpoint.path(tmp_path, step), model)
    assert sgt.Checkpoint.latest(tmp_path) == 100
    sgt.Checkpoint.keep_last(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000000020.safetensors",
        "step-000000000100.safetensors",
    ]


# ---- Hugging Face ----


@pytest.mark.parametrize("dtype, close", [("float32", 0), ("bfloat16", 0.05), ("float16", 0.01)])
def test_pretrained(model, tmp_path, batch, dtype, close):
    folder = tmp_path / "new" / "folder"
    model.save_pretrained(folder, dtype=dtype)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "llama" and config["hidden_size"] == 16
    with sgt.Model.from_pretrained(folder, model.context) as again:
        assert again.config == model.config
        difference = abs(again.evaluate(*batch) - model.evaluate(*batch))
        assert difference <= close
    shorter = sgt.Model.from_pretrained(str(folder), max_seq_len=8, recompute=True, draw_seed=3)
    assert shorter.config.max_seq_len == 8 and shorter.recompute and shorter.draw_seed == 3
    with pytest.raises(ValueError, match="float8"):
        model.save_pretrained(folder, dtype="float8")


def test_pretrained_with_loops(model, tmp_path, batch):
    plan = model.plan.copy()
    plan.set_depth(2, 1)
    plan.set_gains(2, 1, [0, 1, 0, 0])
    model.plan = plan
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sgt"
    again = sgt.Model.from_pretrained(tmp_path, model.context)
    assert again.plan == plan and again.evaluate(*batch) == model.evaluate(*batch)
    model.save_pretrained(tmp_path, without_loops=True)
    assert sgt.Model.from_pretrained(tmp_path).plan.depths == (0, 0, 0)


def test_what_no_folder_is(context, tmp_path):
    with pytest.raises(sgt.NotFoundError, match="config.json"):
        sgt.Model.from_pretrained(tmp_path, context)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises((sgt.UnsupportedError, sgt.FormatError)):
        sgt.Model.from_pretrained(tmp_path, context)
    (tmp_path / "file").write_text("")
    with sgt.Model(small_config(), context) as model, pytest.raises(OSError):
        model.save_pretrained(tmp_path / "file")


def test_a_model_is_loaded_from_a_folder(tmp_path):
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    for path, message in (
        ("HuggingFaceTB/SmolLM2-135M", r"no such folder \(names of a hub are not fetched"),
        (tmp_path / "weights.gguf", "is a file: the folder with config.json"),
        (tmp_path, "has no config.json"),
    ):
        with pytest.raises(sgt.MissingFileError, match=message):
            sgt.Model.from_pretrained(path)


def test_a_rate_that_was_set_is_resumed(model, tmp_path):
    def go_on(model, optimizer, first, last):
        for step in range(first, last + 1):
            model.forward(*make_batch(step))
            model.backward()
            lr = optimizer.step().lr
            if step == 5:
                optimizer.lr *= 0.5
        return lr, model.read_parameter(model.names[0]).tobytes()

    optimizer = sgt.Optimizer(model, lr=1e-2, schedule="linear", total_steps=10)
    go_on(model, optimizer, 1, 2)
    optimizer.lr = 4e-3
    go_on(model, optimizer, 3, 3)
    sgt.Checkpoint.save(tmp_path / "x", model, optimizer=optimizer)
    checkpoint = sgt.Checkpoint(tmp_path / "x")
    assert checkpoint.optimizer_options["lr"] == 4e-3
    whole = go_on(model, optimizer, 4, 8)
    made, again, _ = checkpoint.create()
    assert again.lr == 4e-3 and go_on(made, again, 4, 8) == whole
    other = sgt.Model(small_config(), seed=9)
    another = sgt.Optimizer(other, lr=1)
    checkpoint.load(other, another)
    assert another.lr == 4e-3 and go_on(other, another, 4, 8) == whole
    assert whole[0] == pytest.approx(2e-3 * (1 - 0.9 * 0.8))
    with pytest.raises(sgt.OutOfRangeError, match="lr"):
        optimizer.lr = -1
    with pytest.raises(TypeError, match="lr"):
        optimizer.lr = "fast"
    assert optimizer.lr == 2e-3


def test_only_the_caller_ties_a_head_that_is_nowhere(tmp_path, context):
    with sgt.Model(small_config(tied=True), context) as model:
        model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), tie_word_embeddings=False)))
    with pytest.raises(sgt.FormatError, match="tie_missing_head"):
        sgt.Model.from_pretrained(tmp_path, context)
    with sgt.Model.from_pretrained(tmp_path, context, tie_missing_head=True) as model:
        assert model.config.tied


def test_more_positions_than_the_model_was_made_for_are_warned_of(tmp_path, context, caplog):
    with sgt.Model(small_config(), context) as model:
        model.save_pretrained(tmp_path)
        known = model.config.max_seq_len
    for length, warnings in ((known, 0), (known + 1, 1)):
        caplog.clear()
        with sgt.Model.from_pretrained(tmp_path, context, max_seq_len=length) as model:
            assert model.config.max_seq_len == length
        assert sum("beyond the" in record.getMessage() for record in caplog.records) == warnings


def test_a_checkpoint_is_resumed_with_other_options(tmp_path, context):
    path = str(tmp_path / "c.safetensors")
    with sgt.Model(small_config(), context, draw_seed=7) as model:
        sgt.Checkpoint.save(path, model)
    with sgt.Checkpoint(path, context) as checkpoint:
        restored = checkpoint.create(recompute=True, draw_seed=2**64 - 1).model
        assert restored.recompute and restored.draw_seed == 2**64 - 1
        assert not checkpoint.create().model.recompute and checkpoint.create().model.draw_seed == 0
