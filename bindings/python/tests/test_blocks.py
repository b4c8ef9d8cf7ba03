# SPDX-License-Identifier: BSD-3-Clause
"""The blocks of a configuration: words, ownership, and the way through models and files."""
from __future__ import annotations

import dataclasses
import gc

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
    assert longer.other - plain.other == 3 * 16
    assert sgt.count_flops(listed(STANDARD)) == sgt.count_flops(PLAIN)


def test_files_leave_a_standard_list_out(tmp_path):
    with sgt.Model(listed(STANDARD, STANDARD)) as model:
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config.blocks == ()
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config.blocks == ()


def test_wrong_blocks_are_named():
    with pytest.raises(ValueError, match=r"blocks\[1\].feed_forward is 'relu', not one of 'swiglu'"):
        sgt.Model(listed(STANDARD, sgt.BlockConfig(feed_forward="relu")))
    with pytest.raises(ValueError, match=r"blocks\[0\].attention is 'local'"):
        sgt.count_flops(listed(sgt.BlockConfig("local")))
    with pytest.raises(TypeError, match=r"blocks\[1\]: a BlockConfig is needed"):
        listed(STANDARD, "softmax")
    with pytest.raises(TypeError, match=r"blocks\[0\]: an object is needed, not the class"):
        listed(sgt.BlockConfig)
    with pytest.raises(sgt.OutOfRangeError, match="n_blocks is 4, must be 0 to n_layers = 3"):
        sgt.Model(listed(*[STANDARD] * 4))
