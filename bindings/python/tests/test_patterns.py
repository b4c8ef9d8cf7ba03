# SPDX-License-Identifier: BSD-3-Clause
"""Attention patterns: text, counts, and what the picture of one shows."""
import numpy as np
import pytest

import libsgt as sgt

TEXTS = ["dense", "local:1", "local:256", "strided:7", "local+strided:5", "block:8",
         "block+summary:8:2", "summary:9:2:1", "local+strided+block+summary:11:2:1"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_there_and_back(text):
    pattern = sgt.AttentionPattern.parse(text)
    assert str(pattern) == text
    assert sgt.AttentionPattern.parse(str(pattern)) == pattern


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seq", [1, 2, 40])
def test_pairs_are_the_cells_of_the_picture(text, seq):
    pattern = sgt.AttentionPattern.parse(text)
    seen = pattern.visible(seq)
    assert pattern.pairs(seq) == seen.sum()
    assert seen.diagonal().all() and not np.triu(seen, 1).any()


def test_the_fixed_attention_of_the_paper():
    pattern = sgt.AttentionPattern(("block", "summary"), stride=5, summary=1)
    assert list(np.flatnonzero(pattern.visible(25)[13])) == [4, 9, 10, 11, 12, 13]


@pytest.mark.parametrize("text", ["", "lokal:3", "local", "local:3:1", "summary:8:5:1"])
def test_other_texts_are_refused(text):
    with pytest.raises((sgt.InvalidArgumentError, sgt.OutOfRangeError)):
        sgt.AttentionPattern.parse(text)


def test_fields_are_checked():
    with pytest.raises(sgt.OutOfRangeError, match="stride is 0"):
        sgt.AttentionPattern(("local",)).pairs(4)
    with pytest.raises(ValueError, match="far"):
        sgt.AttentionPattern(("far",), 4).pairs(4)
    with pytest.raises(sgt.OutOfRangeError, match="seq is 0"):
        sgt.AttentionPattern().pairs(0)
    with pytest.raises(TypeError):
        sgt.AttentionPattern.parse(3)
