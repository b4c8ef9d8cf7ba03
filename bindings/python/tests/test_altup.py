# SPDX-License-Identifier: BSD-3-Clause
"""Tokens of several streams: words, costs, decoding, and the way through files."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import libsgt as sgt

PLAIN = sgt.ModelConfig(19, 16, 3, 4, 24, 16)
TOKENS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]
WIDENED = [
    dataclasses.replace(PLAIN, altup_streams=2),
    dataclasses.replace(PLAIN, altup_streams=4, altup_order="same", tied=True),
    dataclasses.replace(PLAIN, altup_streams=3, altup_table="wide",
                        blocks=[sgt.BlockConfig(patterns=["local:5"])]),
]


def stirred(config: sgt.ModelConfig) -> sgt.Model:
    """A model whose streams differ."""
    model = sgt.Model(config, seed=3, std=0.3)
    rng = np.random.default_rng(1)
    for name, weight in model.parameters.items():
        if "altup" in name:
            model.write_parameter(name, weight + 0.2 * rng.standard_normal(weight.shape))
    return model


@pytest.mark.parametrize("config", WIDENED[:2])  # the embedding of a wide one is another
def test_a_widened_model_starts_as_the_plain_one(config):
    plain = dataclasses.replace(config, altup_streams=1, altup_order="alternate")
    with sgt.Model(plain, seed=3, std=0.3) as one, sgt.Model(config, seed=3, std=0.3) as many:
        assert one.evaluate(TOKENS, logits=True).logits.tolist() == \
            many.evaluate(TOKENS, logits=True).logits.tolist()
        assert many.config == dataclasses.replace(config, n_kv_heads=4, head_dim=4)


@pytest.mark.parametrize("config", WIDENED)
def test_files_and_sessions_have_all_streams(config, tmp_path):
    with stirred(config) as model:
        logits = model.evaluate(TOKENS, logits=True).logits[0]
        with sgt.Session(model) as session:
            assert abs(session.feed(TOKENS[0]) - logits[-1]).max() < 1e-4
        sgt.Checkpoint.save(tmp_path / "checkpoint", model)
        model.save_pretrained(tmp_path / "folder")
    with sgt.Checkpoint(tmp_path / "checkpoint") as checkpoint:
        assert checkpoint.config == dataclasses.replace(config, n_kv_heads=4, head_dim=4)
    with sgt.Model.from_pretrained(tmp_path / "folder") as model:
        assert model.config == dataclasses.replace(config, n_kv_heads=4, head_dim=4)
        assert model.evaluate(TOKENS, logits=True).logits[0].tolist() == logits.tolist()


def test_costs():
    flops = sgt.count_flops(WIDENED[0], seq=12)
    assert flops.mixing == 2 * 2 * 3 * 16 * 3 + 2 * 2 * 16
    assert flops.forward == sgt.count_flops(PLAIN, seq=12).forward + flops.mixing


def test_wrong_words_and_numbers_are_named():
    with pytest.raises(ValueError, match="altup_order is 'up', not one of 'alternate', 'same'"):
        sgt.Model(dataclasses.replace(PLAIN, altup_streams=2, altup_order="up"))
    with pytest.raises(sgt.OutOfRangeError, match="altup_streams is 17, must be 0 to 16"):
        sgt.Model(dataclasses.replace(PLAIN, altup_streams=17))
