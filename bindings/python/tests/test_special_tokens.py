# SPDX-License-Identifier: BSD-3-Clause
"""Special tokens go with a model through folders and checkpoints."""
from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import small_config

import libsgt as sgt


def written(model, folder):
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    return tuple(config[f"{name}_token_id"] for name in ("bos", "eos", "pad"))


@pytest.mark.parametrize(
    "tokens, ids",
    [
        (sgt.SpecialTokens(), (None, None, None)),
        (sgt.SpecialTokens(3, 5, 9), (3, 5, 9)),
        (sgt.SpecialTokens(eos=(5, 7), pad=-1), (None, [5, 7], -1)),
        (sgt.SpecialTokens(0, (5,), 32), (0, [5], 32)),
        (sgt.SpecialTokens(eos=()), (None, [], None)),
    ],
)
def test_they_come_back(context, model, tmp_path, tokens, ids):
    model.special_tokens = tokens
    assert model.special_tokens == tokens
    assert written(model, tmp_path) == ids
    with sgt.Model.from_pretrained(tmp_path, context) as again:
        assert again.special_tokens == tokens
    sgt.Checkpoint.save(tmp_path / "checkpoint", model)
    with sgt.Checkpoint(tmp_path / "checkpoint", context) as checkpoint:
        restored = checkpoint.create()
    assert restored.model.special_tokens == tokens
    model.special_tokens = None
    assert model.special_tokens == sgt.SpecialTokens()


def test_stop_tokens():
    assert sgt.SpecialTokens().stop_tokens == ()
    assert sgt.SpecialTokens(eos=5).stop_tokens == (5,)
    assert sgt.SpecialTokens(eos=[5, 7]).stop_tokens == (5, 7)


def test_what_is_no_token(model):
    model.special_tokens = sgt.SpecialTokens(np.int64(3), [np.int32(4)])
    for wrong, error in [
        (sgt.SpecialTokens(bos=1.5), TypeError),
        (sgt.SpecialTokens(eos="</s>"), TypeError),
        (sgt.SpecialTokens(pad=2**40), OverflowError),
        (sgt.SpecialTokens(eos=range(65)), sgt.OutOfRangeError),
    ]:
        with pytest.raises(error):
            model.special_tokens = wrong
    assert model.special_tokens == sgt.SpecialTokens(3, (4,))


def test_a_new_model_has_none(context, tmp_path):
    with sgt.Model(small_config(), context) as model:
        assert model.special_tokens == sgt.SpecialTokens()
        assert written(model, tmp_path) == (None, None, None)


def test_a_tokenizer_goes_with_its_model(model, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "tokenizer.json").write_text("the tokenizer")
    model.save_pretrained(out, copy_from=source)
    assert (out / "tokenizer.json").read_text() == "the tokenizer"
    with pytest.raises(sgt.MissingFileError, match="copy_from is no folder"):
        model.save_pretrained(out, copy_from=tmp_path / "none")


def test_eos_ends_a_text(model):
    session = sgt.Session(model)

    def made(how, **given):
        session.rewind(0)
        return [int(token) for token in how([1, 2], max_tokens=8, temperature=0, **given)]

    def generated(prompt, **given):
        return session.generate(prompt, **given).tokens

    whole = made(generated)
    assert len(whole) == 8
    model.special_tokens = sgt.SpecialTokens(eos=(-1, whole[3], 32))
    ended = whole[: whole.index(whole[3]) + 1]
    for how in (generated, session.stream):
        assert made(how) == ended
        assert made(how, stop_tokens=()) == whole
        assert made(how, stop_tokens=[whole[0]]) == whole[:1]
