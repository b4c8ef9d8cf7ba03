# SPDX-License-Identifier: BSD-3-Clause
"""The blocks of a configuration: words, ownership, and the way through models and files."""
from __future__ import annotations

import dataclasses
import gc
import json

import pytest

import libsgt as sgt

PLAIN = sgt.ModelConfig(19, 16, 3, 4, 24, 16)
STANDARD = sgt.BlockConfig()


def listed(*blocks):
    return dataclasses.replace(PLAIN, blocks=blocks)


def test_a_model_has_its_blocks():
    config = dataclasses.replace(PLAIN, blocks=[STANDARD, sgt.BlockConfig("softmax", "swiglu")])
    assert config.blocks == (STANDARD, STANDARD)
    with sgt.Model(config) as model:
        gc.collect()
        assert model.config.blocks == config.blocks
    with sgt.Model(PLAIN) as model:
        assert model.config.blocks == ()


def test_a_list_is_counted():
    with sgt.Context() as context:
        plain = context.estimate_memory(PLAIN, batch=2, seq=8)
        longer = context.estimate_memory(listed(STANDARD, STANDARD, STANDARD), batch=2, seq=8)
    assert longer.other - plain.other == 3 * 56
    assert sgt.count_flops(listed(STANDARD)) == sgt.count_flops(PLAIN)


def test_files_leave_a_standard_list_out(tmp_path):
    with sgt.Model(listed(STANDARD, STANDARD)) as model:
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.blocks == ()
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.blocks == ()


def test_what_a_part_does_not_have_is_not_kept():
    wordy = sgt.BlockConfig(mult_kernel=5, controller_rank=7, temperature=2.0, hard_fraction=1.0)
    with sgt.Model(listed(wordy)) as model:
        assert model.config.blocks == (STANDARD,)


@pytest.mark.parametrize("field, value, said", [
    ("mult_kernel", 65, "65, must be 0 to 64"), ("units", -1, "-1, must be 0 to"),
    ("controller_rank", -1, "-1, must be"), ("temperature", -0.5, "-0.5, must be finite"),
    ("hard_fraction", 1.5, "1.5, must be 0 to 1"),
])
def test_wrong_fields_are_named(field, value, said):
    with pytest.raises(sgt.OutOfRangeError, match=rf"blocks\[1\].{field} is {said}"):
        sgt.Model(listed(STANDARD, sgt.BlockConfig(**{field: value})))


def test_wrong_words_and_types_of_fields_are_named():
    with pytest.raises(ValueError, match=r"blocks\[0\].attention_output is 0, not one of 'proj"):
        sgt.Model(listed(sgt.BlockConfig(attention_output=0)))
    with pytest.raises(TypeError, match="units: an integer is needed"):
        sgt.Model(listed(sgt.BlockConfig(units=2.0)))
    with pytest.raises(sgt.UnsupportedError, match="attention_output none and attention softmax"):
        sgt.Model(listed(sgt.BlockConfig(attention_output="none")))


def test_the_seed_of_draws_is_not_that_of_weights():
    with sgt.Model(PLAIN, draw_seed=3, seed=4) as model, sgt.Model(PLAIN, seed=4) as other:
        assert model.draw_seed == 3 and other.draw_seed == 0
        name = "lm_head.weight"
        assert (model.parameters[name] == other.parameters[name]).all()
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError, match="draw_seed"):
            sgt.Model(PLAIN, draw_seed=wrong)


def test_a_wrong_head_is_named():
    with pytest.raises(sgt.InvalidArgumentError, match="head_modules 4 does not divide vocab_size"):
        sgt.Model(dataclasses.replace(PLAIN, head_modules=4))
    with pytest.raises(sgt.UnsupportedError, match="head_modules and tied"):
        sgt.Model(dataclasses.replace(PLAIN, head_modules=19, tied=True))


PATTERNED = listed(sgt.BlockConfig(patterns=["local:5", sgt.AttentionPattern()]), STANDARD,
                   sgt.BlockConfig(patterns=("block+summary:4:1", "strided:3", "dense")))


def test_patterns_are_those_that_were_given():
    assert PATTERNED.blocks[0].patterns == (sgt.AttentionPattern(("local",), 5),
                                            sgt.AttentionPattern())
    assert PATTERNED == dataclasses.replace(PATTERNED)
    with sgt.Model(PATTERNED) as model:
        gc.collect()
        assert model.config.blocks == PATTERNED.blocks


def test_patterns_change_what_is_seen_and_counted():
    tokens = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]
    with sgt.Model(PATTERNED, seed=3, std=0.3) as model, sgt.Model(PLAIN, seed=3, std=0.3) as plain:
        seen, all_seen = (m.evaluate(tokens, logits=True).logits[0] for m in (model, plain))
        assert abs(seen[0] - all_seen[0]).max() == 0  # the first token has no choice
        assert abs(seen[11] - all_seen[11]).max() > 1e-3
        with sgt.Session(model) as session:
            assert abs(session.feed(tokens[0]) - seen[11]).max() < 1e-4
    fewer, all_keys = (sgt.count_flops(config, seq=12) for config in (PATTERNED, PLAIN))
    assert fewer.attention < all_keys.attention and fewer.projections == all_keys.projections


def test_files_keep_patterns(tmp_path):
    with sgt.Model(PATTERNED) as model:
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.blocks == PATTERNED.blocks
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.blocks == PATTERNED.blocks


@pytest.mark.parametrize("specs, kind", [
    (["local:5"], "mistral"), (["dense", "local:5"], "ministral"), (["dense"], "llama"),
    (["local+strided:5", "local:5"], "sgt"),
])
def test_windows_go_as_what_transformers_knows(tmp_path, specs, kind):
    config = listed(*(sgt.BlockConfig(patterns=[spec]) for spec in specs))
    tokens = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]
    with sgt.Model(config, seed=3, std=0.3) as model:
        model.save_pretrained(tmp_path)
        expected = model.evaluate(tokens, logits=True).logits
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == kind
    assert written.get("sliding_window") == (5 if "mi" in kind else None)
    with sgt.Model.from_pretrained(tmp_path) as model:
        assert (model.evaluate(tokens, logits=True).logits == expected).all()


def test_wrong_patterns_are_named():
    with pytest.raises(TypeError, match=r"patterns\[1\]: an AttentionPattern or str is needed"):
        sgt.BlockConfig(patterns=["local:3", 3])
    with pytest.raises(sgt.InvalidArgumentError, match="'lokal:3' is no pattern"):
        sgt.BlockConfig(patterns=["lokal:3"])
    with pytest.raises(ValueError, match=r"sets is 'far', not one of"):
        sgt.Model(listed(sgt.BlockConfig(patterns=[sgt.AttentionPattern(("far",), 3)])))
    with pytest.raises(sgt.OutOfRangeError, match=r"blocks\[0\].patterns\[0\]: stride is -3"):
        sgt.Model(listed(sgt.BlockConfig(patterns=[sgt.AttentionPattern(("local",), -3)])))
    with pytest.raises(sgt.OutOfRangeError, match=r"blocks\[0\].n_patterns is 5, must be 0 to"):
        sgt.Model(listed(sgt.BlockConfig(patterns=["dense"] * 5)))


def test_wrong_blocks_are_named():
    with pytest.raises(ValueError, match=r"blocks\[1\].feed_forward is 'gelu', not one of 'swiglu'"):
        sgt.Model(listed(STANDARD, sgt.BlockConfig(feed_forward="gelu")))
    with pytest.raises(ValueError, match=r"blocks\[0\].attention is 'local'"):
        sgt.count_flops(listed(sgt.BlockConfig("local")))
    with pytest.raises(TypeError, match=r"blocks\[1\]: a BlockConfig is needed"):
        listed(STANDARD, "softmax")
    with pytest.raises(TypeError, match=r"blocks\[0\]: an object is needed, not the class"):
        listed(sgt.BlockConfig)
    with pytest.raises(sgt.OutOfRangeError, match="n_blocks is 4, must be 0 to n_layers = 3"):
        sgt.Model(listed(*[STANDARD] * 4))


SPARSE = listed(sgt.BlockConfig(feed_forward="relu", units=8, controller_rank=3, hard_fraction=0.5),
                STANDARD, sgt.BlockConfig(units=4, controller_rank=2, temperature=1.0))


def trained(model, steps=4):
    with sgt.Optimizer(model) as optimizer:
        for _ in range(steps):
            model.forward([[3, 1, 4, 1, 5, 9]], [[1, 4, 1, 5, 9, 2]])
            model.backward()
            optimizer.step()
        return model.evaluate([[3, 1, 4, 1, 5, 9]], [[1, 4, 1, 5, 9, 2]]).sum


def test_units_go_through_models_files_and_sessions(tmp_path):
    tokens = [3, 1, 4, 1, 5, 9]
    with sgt.Model(SPARSE, seed=3, std=0.3) as model:
        assert model.config.blocks == SPARSE.blocks
        assert model.parameters["model.layers.0.mlp.controller.up.weight"].shape == (24, 3)
        logits = model.evaluate([tokens], logits=True).logits[0]
        with sgt.Session(model) as session:
            assert abs(session.feed(tokens) - logits[-1]).max() < 1e-4
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.blocks == SPARSE.blocks
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.blocks == SPARSE.blocks
        assert model.evaluate([tokens], logits=True).logits[0].tolist() == logits.tolist()


def test_the_seed_of_draws_decides_what_is_drawn():
    losses = []
    for seed in (1, 1, 2):
        with sgt.Model(SPARSE, seed=3, std=0.3, draw_seed=seed) as model:
            losses.append(trained(model))
    assert losses[0] == losses[1] != losses[2]


def test_a_decoded_token_reads_fewer_weights():
    whole, chosen = (sgt.count_flops(SPARSE, seq=6, phase=phase) for phase in ("evaluate", "decode"))
    assert chosen.weight_bytes < whole.weight_bytes
    left_out = 2 * 16 * (24 - 24 // 8) + 3 * 16 * (24 - 24 // 4)  # up and down, and gate
    assert whole.weight_bytes - chosen.weight_bytes == 4 * left_out


HEADED = dataclasses.replace(PLAIN, vocab_size=20, head_modules=4)


def test_heads_go_through_models_files_and_sessions(tmp_path):
    tokens = [3, 1, 4, 1, 5, 9]
    with sgt.Model(HEADED, seed=3, std=0.3) as model:
        assert model.config.head_modules == 4
        shapes = {name: weight.shape for name, weight in model.parameters.items() if "head" in name}
        assert shapes == {"lm_head.scale": (4, 16), "lm_head.weight": (5, 16), "lm_head.bias": (20,)}
        logits = model.evaluate([tokens], logits=True).logits[0]
        with sgt.Session(model) as session:
            assert abs(session.feed(tokens) - logits[-1]).max() < 1e-4
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.head_modules == 4
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.head_modules == 4
        assert model.evaluate([tokens], logits=True).logits[0].tolist() == logits.tolist()


MODULES = listed(sgt.BlockConfig("multiplicative", mult_kernel=5), STANDARD,
                 sgt.BlockConfig("multiplicative", attention_output="none"))


def test_modules_go_through_models_files_and_sessions(tmp_path):
    tokens = [3, 1, 4, 1, 5, 9]
    with sgt.Model(MODULES, seed=3, std=0.3) as model:
        assert model.config.blocks == MODULES.blocks
        assert model.parameters["model.layers.0.self_attn.q_conv.weight"].shape == (4, 4, 5, 3)
        assert "model.layers.2.self_attn.o_proj.weight" not in model.parameters
        logits = model.evaluate([tokens], logits=True).logits[0]
        with sgt.Session(model) as session:
            assert abs(session.feed(tokens) - logits[-1]).max() < 1e-4
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    written = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert written["sgt_block_attention"] == ["multiplicative", "softmax", "multiplicative"]
    assert written["sgt_block_mult_kernel"] == [5, 3, 3]
    assert written["sgt_block_attention_output"] == ["projection", "projection", "none"]
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.blocks == MODULES.blocks
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.blocks == MODULES.blocks
        assert model.evaluate([tokens], logits=True).logits[0].tolist() == logits.tolist()


def test_parts_may_start_larger():
    with sgt.Model(SPARSE) as plain, sgt.Model(SPARSE, unit_scale=True) as scaled:
        down = "model.layers.0.mlp.down_proj.weight"
        ratio = abs(scaled.parameters[down]).sum() / abs(plain.parameters[down]).sum()
        assert abs(ratio - 8**0.5) < 1e-5
        up = "model.layers.0.mlp.up_proj.weight"
        assert (scaled.parameters[up] == plain.parameters[up]).all()


def test_wrong_units_are_named():
    with pytest.raises(sgt.InvalidArgumentError, match="units 5 do not divide d_ff 24"):
        sgt.Model(listed(sgt.BlockConfig(units=5, controller_rank=1)))
    with pytest.raises(sgt.OutOfRangeError, match="controller_rank is 0, must be at least 1"):
        sgt.Model(listed(sgt.BlockConfig(units=4)))
