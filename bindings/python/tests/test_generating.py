# SPDX-License-Identifier: BSD-3-Clause
"""Several texts at once, strings to stop at, special tokens."""
from __future__ import annotations

import numpy as np
import pytest
from conftest import SEQ, VOCABULARY

import libsgt as sgt
from libsgt._generating import StopStrings

PROMPTS = [[3, 1, 4, 1, 5], np.array([9]), (2, 6)]
OPTIONS = dict(temperature=0.9, top_k=8, repetition_penalty=1.2)


@pytest.fixture
def session(model):
    plan = model.plan.copy()
    plan.set_depth(1, 1)
    plan.set_gains(1, 1, [0, 1, 0, 0.5])
    model.plan = plan
    return sgt.Session(model, sequences=4)


def alone(session, prompt, **options):
    return sgt.Session(session.model).generate(prompt, **options)


def same(found, expected):
    assert found.tokens.tolist() == expected.tokens.tolist()
    assert (found.end, found.text) == (expected.end, expected.text)
    assert found.log_prob == pytest.approx(expected.log_prob, rel=1e-4)


# ---- several texts ----


def test_each_text_is_the_one_it_would_be_alone(session):
    made = session.generate(PROMPTS, seed=7, max_tokens=[6, 2, 0], **OPTIONS)
    assert [done.end for done in made] == ["max_tokens", "max_tokens", "full"]
    for i, (prompt, most) in enumerate(zip(PROMPTS, (6, 2, 0))):
        same(made[i], alone(session, prompt, seed=7 + i, max_tokens=most, **OPTIONS))
        assert session.length(i) == len(prompt) + made[i].tokens.size - 1
    assert session.length(3) == 0


def test_seeds_sequences_and_samplers_of_each(session):
    seeds = [2**63, 1, 2**64 - 1]
    made = session.generate(
        PROMPTS, seed=seeds, sequence=[3, 0, 2], max_tokens=4, **OPTIONS
    )
    for i, (prompt, seed) in enumerate(zip(PROMPTS, seeds)):
        same(made[i], alone(session, prompt, seed=seed, max_tokens=4, **OPTIONS))
    assert [session.length(i) for i in range(4)] == [4, 0, 5, 8]
    samplers = [sgt.Sampler(session.model.context, VOCABULARY, seed=s) for s in (5, 6)]
    session.rewind(0, 2)
    made = session.generate(PROMPTS[:2], sampler=samplers, sequence=1, max_tokens=3)
    same(made[1], alone(session, PROMPTS[1], seed=6, max_tokens=3))
    assert [session.length(i) for i in (1, 2)] == [7, 3]  # a number is the first sequence


def test_the_callback_is_told_the_text(session):
    seen = []

    def callback(token, index, text):
        seen.append((text, index, token))
        return text == 1 and index == 1

    made = session.generate(PROMPTS, temperature=0, max_tokens=4, callback=callback)
    assert [done.end for done in made] == ["max_tokens", "callback", "max_tokens"]
    for i, done in enumerate(made):
        assert [entry[1:] for entry in seen if entry[0] == i] == list(enumerate(done.tokens))


def test_an_exception_ends_all(session):
    def callback(token, index, text):
        if text == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.generate(PROMPTS, callback=callback)
    assert session.generate(PROMPTS[:1], sequence=3, max_tokens=1)[0].tokens.size == 1


def test_a_list_of_one_and_a_list_of_numbers(session):
    one = session.generate([PROMPTS[0]], temperature=0, max_tokens=3)
    assert isinstance(one, list) and len(one) == 1
    same(one[0], alone(session, PROMPTS[0], temperature=0, max_tokens=3))


@pytest.mark.parametrize(
    "arguments, kind, message",
    [
        (dict(max_tokens=[1, 2]), ValueError, "max_tokens has 2 entries for 3 prompts"),
        (dict(seed=[1]), ValueError, "seed has 1 entries for 3 prompts"),
        (dict(seed=2**64 - 1), OverflowError, "seed"),
        (dict(sequence=[0, 1]), ValueError, "sequence has 2 entries"),
        (dict(sequence=[0, 1, 1]), sgt.InvalidArgumentError, "sequence 1 is fed twice"),
        (dict(sequence=2), sgt.OutOfRangeError, "sequence 4"),
        (dict(sampler=[None]), ValueError, "sampler has 1 entries for 3 prompts"),
        (dict(sampler=[None] * 3), TypeError, "sampler: a Sampler is needed"),
        (dict(max_tokens=-1), sgt.OutOfRangeError, "max_tokens is -1"),
        (dict(stop_tokens=[VOCABULARY]), sgt.OutOfRangeError, r"stop_tokens\[0\]"),
        (dict(prompt=[[1], []]), ValueError, "there are none"),
        (dict(prompt=[[1], [1.5]]), TypeError, "integers"),
        (dict(prompt=[[1], [VOCABULARY]]), sgt.OutOfRangeError, "vocabulary"),
        (dict(prompt=[[1], "text"]), TypeError, "needs a tokenizer"),
        (dict(prompt=[[1]] * 5), sgt.OutOfRangeError, "5 texts for a session of 4"),
        (dict(prompt=[[1] * (SEQ + 1), [1]]), sgt.OutOfRangeError, "max_length"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(session, arguments, kind, message):
    arguments = dict(arguments)
    with pytest.raises(kind, match=message):
        session.generate(arguments.pop("prompt", PROMPTS), **arguments)
    assert [session.length(i) for i in range(4)] == [0] * 4


def test_a_sampler_for_two_texts_is_refused(session):
    sampler = sgt.Sampler(session.model.context, VOCABULARY)
    with pytest.raises(ValueError, match=r"sampler\[1\] is that of another"):
        session.generate(PROMPTS[:2], sampler=[sampler, sampler])
    with pytest.raises(ValueError, match="sampler has 1 entries for 2"):
        session.generate(PROMPTS[:2], sampler=sampler)


# ---- strings to stop at ----


class Letters:
    """A tokenizer: two letters a token, the second as often as not the first of the next."""

    def encode(self, text):
        return [ord(letter) - 97 for letter in text[::2]]

    def decode(self, tokens):
        return "".join(chr(97 + token % 26) + chr(97 + (token + 1) % 26) for token in tokens)


def test_a_string_ends_the_text(session):
    options = dict(tokenizer=Letters(), temperature=0, max_tokens=7)
    whole = session.generate("acegik", **options)
    string = whole.text[3:6]  # from the middle of a token to the end of the next
    start = whole.text.find(string)
    session.rewind(0)
    done = session.generate("acegik", stop_strings=string, **options)
    assert (done.end, done.text) == ("stop_string", whole.text[:start])
    count = -(-(start + 3) // 2)
    assert done.tokens.tolist() == whole.tokens[:count].tolist()
    assert session.length() == 3 + count - 1
    session.rewind(0)
    streamed = session.stream("acegik", stop_strings=["never", string], **options)
    assert list(streamed) == done.tokens.tolist()
    session.rewind(0)
    never = session.generate("acegik", stop_strings=["never", "NEVER"], **options)
    same(never, whole)


def test_a_string_ends_one_of_several(session):
    options = dict(tokenizer=Letters(), temperature=0, max_tokens=7)
    texts = ["ac", "egik", "moqsuw"]
    wholes = session.generate(texts, **options)
    string = wholes[1].text[2:5]
    for i in range(3):
        session.rewind(0, i)
    made = session.generate(texts, stop_strings=[string], **options)
    assert made[1].end == "stop_string" and made[1].text == wholes[1].text.split(string)[0]
    for done, whole in zip(made, wholes):
        assert done.text == whole.text.split(string)[0]


def test_the_callback_comes_first(session):
    letters = [chr(97 + i) for i in range(26)]
    options = dict(tokenizer=Letters(), temperature=0, max_tokens=3, stop_strings=letters)
    done = session.generate("ac", callback=lambda token, index: True, **options)
    assert done.end == "callback" and len(done.text) == 2


@pytest.mark.parametrize(
    "strings, kind, message",
    [
        ([""], ValueError, r"stop_strings\[0\] is empty"),
        (["a", b"b"], TypeError, r"stop_strings\[1\] is b'b'"),
        ("a", TypeError, "need a tokenizer"),
    ],
)
def test_wrong_strings(session, strings, kind, message):
    tokenizer = None if "need" in message else Letters()
    for generate in (session.generate, session.stream):
        with pytest.raises(kind, match=message):
            generate([1, 2], tokenizer=tokenizer, stop_strings=strings)


class Bytes:
    def decode(self, tokens):
        return bytes(tokens).decode("utf-8", "replace")


class Pieces:
    """As sentencepiece decodes: a piece that begins a word has its space, but at the start."""

    pieces = ["\u2581Hello", "\u2581wor", "ld", "\u2581", "END", "<0xE2>", "<0x82>", "<0xAC>"]

    def decode(self, tokens):
        data = b""
        for token in tokens:
            piece = self.pieces[token]
            data += bytes([int(piece[3:5], 16)]) if piece[0] == "<" else piece.encode()
        return data.decode("utf-8", "replace").replace("\u2581", " ")[data[:3] == b"\xe2\x96\x81" :]


def found(strings, tokenizer, tokens):
    """After how many tokens, and the text before."""
    stop = StopStrings(strings, tokenizer)
    for count, token in enumerate(tokens, 1):
        if stop.add(token):
            return count, stop.text
    return None


@pytest.mark.parametrize(
    "strings, text, expected",
    [
        (("\u20ac",), "5 \u20ac.", (5, "5 ")),  # a character of three tokens
        (("\u20acx",), "a\u20acx", (5, "a")),
        (("ab", "b"), "xxab", (4, "xx")),  # the one that begins first
        (("aab",), "aaab", (4, "a")),
        (("a",), "\u00e9\u00e9a", (5, "\u00e9\u00e9")),
        (("\U0001f600!",), "\U0001f600\U0001f600!", (9, "\U0001f600")),
        (("abc",), "ab", None),
    ],
)
def test_strings_over_bytes(strings, text, expected):
    assert found(strings, Bytes(), text.encode()) == expected


def test_strings_behind_broken_bytes():
    assert found(("ab",), Bytes(), b"\xff\xe2\x82ab") == (5, "\ufffd\ufffd")
    assert found(("ab",), Bytes(), b"a\xffb\xf0ab") == (6, "a\ufffdb\ufffd")
    assert found(("a",), Bytes(), b"\xe2\x82a") is not None


def test_spaces_that_depend_on_what_was_before():
    assert found((" world",), Pieces(), [0, 1, 2]) == (3, "Hello")
    assert found(("Hello w",), Pieces(), [0, 1, 2]) == (2, "")
    assert found((" END",), Pieces(), [0, 3, 4]) == (3, "Hello")
    assert found(("\u20ac",), Pieces(), [0, 5, 6, 7]) == (4, "Hello")
    assert found(("ld END",), Pieces(), [1, 2, 3, 4]) == (4, "wor")


# ---- special tokens ----


class Begins(Letters):
    """Puts token 25 in front, unless it is told not to."""

    def encode(self, text, add_special_tokens=True):
        return [25] * add_special_tokens + super().encode(text)


def test_special_tokens_are_added_once(session):
    options = dict(tokenizer=Begins(), temperature=0, max_tokens=4)
    same(
        session.generate("zaac", add_special_tokens=False, **options),
        alone(session, [25, 0], temperature=0, max_tokens=4, tokenizer=Begins()),
    )
    session.rewind(0)
    session.generate("ac", **options)
    assert session.length() == 2 + 3
    made = session.generate(["ac", "eg"], sequence=1, add_special_tokens=False, **options)
    assert [session.length(i) for i in (1, 2)] == [1 + 3] * 2 and len(made) == 2
    streamed = session.stream("zaac", add_special_tokens=False, sequence=3, **options)
    assert list(streamed) == alone(session, [25, 0], temperature=0, max_tokens=4).tokens.tolist()
