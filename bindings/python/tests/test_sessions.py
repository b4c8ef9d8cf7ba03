# SPDX-License-Identifier: BSD-3-Clause
"""Sessions and samplers: feeding, scoring, generating, tokenizers."""
from __future__ import annotations

import threading

import numpy as np
import pytest
from conftest import SEQ, VOCABULARY, make_batch, small_config

import libsgt as sgt
from libsgt._generating import Pieces


@pytest.fixture
def looped(model):
    """A model with loops, whose sessions keep keys and values of every pass."""
    plan = model.plan.copy()
    plan.set_depth(1, 1)
    plan.set_gains(1, 1, [0, 1, 0, 0.5])
    plan.set_extra_runs(2, 1)
    model.plan = plan
    return model


@pytest.fixture
def prompt():
    return make_batch(batch=1)[0][0, :7]


def close(found, expected):
    return np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_feeding_is_one_forward(looped):
    tokens = make_batch(batch=1)[0][0]
    expected = looped.evaluate(tokens, logits=True).logits[0]
    session = sgt.Session(looped)
    assert close(session.feed(tokens[:5]), expected[4])
    assert session.feed(tokens[5:9], logits=False) is None
    for i in range(9, SEQ):
        assert close(session.feed(int(tokens[i])), expected[i])
    assert session.length() == session.max_length == SEQ
    with pytest.raises(sgt.OutOfRangeError):
        session.feed(1)
    session.rewind(5)
    assert session.length() == 5 and close(session.feed(tokens[5:8]), expected[7])


def test_sequences_side_by_side(looped):
    tokens = make_batch(batch=3)[0]
    expected = looped.evaluate(tokens, logits=True).logits
    session = sgt.Session(looped, sequences=4, max_length=12, chunk=4)
    assert session.max_length == 12
    found = session.feed_batch([tokens[0, :4], tokens[1, :1], tokens[2, :6]])
    assert close(found, [expected[0, 3], expected[1, 0], expected[2, 5]])
    found = session.feed_batch(
        [tokens[2, 6:8].tolist(), tokens[0, 4:5].astype(np.int64)], [2, 0], all_logits=True
    )
    assert close(found, [expected[2, 6], expected[2, 7], expected[0, 4]])
    session.copy(3, 2, 6)
    assert [session.length(i) for i in range(5)] == [5, 1, 8, 6, 0]
    assert close(session.feed(tokens[2, 6], 3), expected[2, 6])
    session.copy(1, 0)
    assert session.length(1) == 5


def test_wrong_feeds(model, prompt):
    session = sgt.Session(model, sequences=2)
    with pytest.raises(TypeError, match="integers"):
        session.feed(np.zeros(3))
    with pytest.raises(ValueError, match="shape"):
        session.feed(np.zeros((1, 3), int))
    with pytest.raises(ValueError, match="tokens: there are none"):
        session.feed(np.zeros(0, int))
    with pytest.raises(sgt.OutOfRangeError):
        session.feed([1, VOCABULARY])
    with pytest.raises(sgt.OutOfRangeError):
        session.feed(prompt, 2)
    with pytest.raises(sgt.InvalidArgumentError):
        session.feed_batch([prompt, prompt], [0, 0])
    with pytest.raises(ValueError, match="2 pieces for 1"):
        session.feed_batch([prompt, prompt], [0])
    with pytest.raises(ValueError, match="no pieces"):
        session.feed_batch([])
    assert session.length(0) == session.length(1) == 0
    with pytest.raises(sgt.OutOfRangeError, match="max_length"):
        sgt.Session(model, max_length=SEQ + 1)


def test_scores(looped):
    tokens = make_batch(batch=1)[0][0]
    expected = -looped.evaluate(tokens[:-1], tokens[1:], token_losses=True).token_losses[0]
    score = sgt.Session(looped).score(tokens)
    assert score.count == SEQ - 1 and close(score.log_probs, expected)
    assert score.log_prob == pytest.approx(expected.sum(), rel=1e-4)
    assert score.perplexity == pytest.approx(np.exp(-expected.mean()), rel=1e-4)
    session = sgt.Session(looped)
    session.feed(tokens[:4], logits=False)
    assert close(session.score(tokens[4:]).log_probs, expected[4:])


def test_a_session_knows_when_the_model_changed(model, prompt):
    session = sgt.Session(model)
    before = session.feed(prompt)
    with model.writable_parameters() as views:
        views["lm_head.weight"][:] *= 2
    with pytest.raises(sgt.StateError):
        session.feed(1)
    session.refresh()
    assert session.length() == 0 and close(session.feed(prompt), 2 * before)
    plan = model.plan.copy()
    plan.set_depth(0, 1)
    model.plan = plan
    with pytest.raises(sgt.StateError):
        session.score(prompt)


def test_rounded_weights(model, prompt):
    exact = sgt.Session(model, weights="float32").feed(prompt)
    assert (sgt.Session(model).feed(prompt) == exact).all()
    session = sgt.Session(model, weights="bfloat16")
    rounded = session.feed(prompt)
    assert not close(rounded, exact) and np.allclose(rounded, exact, atol=0.1)
    session.refresh()
    assert (session.feed(prompt) == rounded).all()
    for wrong in ("float16", "int8"):
        with pytest.raises(ValueError, match=f"{wrong!r}, not one of 'float32', 'bfloat16'$"):
            sgt.Session(model, weights=wrong)
        with pytest.raises(ValueError, match="^weights is"):
            sgt.Session.estimate_memory(model, weights=wrong)


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_memory(model, weights):
    memory = sgt.Session.estimate_memory(model, sequences=3, weights=weights)
    assert memory.total == memory.cache + memory.weights + memory.scratch > 0
    assert (memory.weights > 0) == (weights == "bfloat16")
    before = model.context.memory.current
    session = sgt.Session(model, sequences=3, weights=weights)
    assert model.context.memory.current - before == memory.total
    session.close()
    assert model.context.memory.current == before


def test_rings_go_back_by_a_chunk(context):
    config = small_config(blocks=[sgt.BlockConfig(patterns=["local:3"])])
    model = sgt.Model(config, context, std=0.2)
    tokens = make_batch(batch=1)[0][0]
    expected = model.evaluate(tokens, logits=True).logits[0]
    dense = sgt.Session.estimate_memory(sgt.Model(small_config(), context), chunk=2)
    assert sgt.Session.estimate_memory(model, chunk=2).cache < dense.cache / 2
    session = sgt.Session(model, sequences=2, chunk=2)
    assert close(session.feed(tokens[:12]), expected[11])
    with pytest.raises(sgt.StateError, match="has 12: .* going back by 2 tokens"):
        session.rewind(9)
    with pytest.raises(sgt.StateError, match="going back by 2 tokens"):
        session.copy(1, 0, 9)
    session.copy(1, 0, 10)
    session.rewind(11)
    assert close(session.feed(tokens[11:14]), expected[13])
    assert close(session.feed(tokens[10:], sequence=1), expected[SEQ - 1])
    session.rewind(0)
    assert close(session.feed(tokens), expected[SEQ - 1])


def test_a_session_keeps_its_model(context, prompt, collected):
    model = sgt.Model(small_config(), context, std=0.2)
    expected = model.evaluate(prompt, last_logits=True).last_logits[0]
    session = sgt.Session(model)
    model.close()
    del model
    collected()
    assert close(session.feed(prompt), expected)


def test_sessions_in_threads(looped):
    tokens = make_batch(batch=4)[0]
    expected = looped.evaluate(tokens, logits=True).logits
    found = [None] * 4

    def work(i):
        session = sgt.Session(looped)
        found[i] = [session.feed(token) for token in tokens[i]]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert close(np.array(found), expected)


def test_one_session_in_two_threads(looped):
    """Its calls take turns, whatever their order."""
    tokens = make_batch(batch=2)[0]
    expected = looped.evaluate(tokens, logits=True).logits
    session = sgt.Session(looped, sequences=2)
    wrong = [0, 0]

    def work(i):
        for _ in range(30):
            found = [session.feed(token, i) for token in tokens[i]]
            wrong[i] += not close(np.array(found), expected[i])
            session.rewind(0, i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == [0, 0]


# ---- sampling ----


def test_sampler(context):
    logits = np.log(np.array([0.5, 0.25, 0.125, 0.125], np.float32))
    draws = [sgt.Sampler(context, 4, seed=3).pick(logits) for _ in range(2)]
    assert draws[0] == draws[1]
    sampler = sgt.Sampler(context, 4, seed=1)
    counts = np.bincount([sampler.pick(logits) for _ in range(2000)], minlength=4)
    assert np.abs(counts / 2000 - np.exp(logits)).max() < 0.05
    first = [sampler.pick(logits) for _ in range(20)]
    sampler.reset(1)
    again = [sampler.pick(logits) for _ in range(20)]
    sampler.reset(1)
    assert again == [sampler.pick(logits) for _ in range(20)] and first != again


@pytest.mark.parametrize(
    "options, allowed",
    [
        (dict(temperature=0), {0}),
        (dict(top_k=2), {0, 1}),
        (dict(top_p=0.6), {0, 1}),
        (dict(min_p=0.4), {0, 1}),
        (dict(bias={0: -np.inf, 1: -np.inf}), {2, 3}),
        (dict(bias={3: 100.0}), {3}),
    ],
)
def test_sampling_options(context, options, allowed):
    logits = np.log(np.array([0.5, 0.25, 0.125, 0.125], np.float32))
    sampler = sgt.Sampler(context, 4, **options)
    assert {sampler.pick(logits) for _ in range(300)} == allowed


def test_repetition_penalty(context):
    logits = np.array([1.0, 0.9, -5, -5], np.float32)
    sampler = sgt.Sampler(context, 4, temperature=0, repetition_penalty=2.0)
    assert sampler.pick(logits) == 0 and sampler.pick(logits) == 1
    sampler.reset()
    sampler.accept([0, 2])
    assert sampler.pick(logits) == 1


def test_wrong_sampling(context):
    with pytest.raises(sgt.OutOfRangeError, match="top_p"):
        sgt.Sampler(context, 4, top_p=2)
    with pytest.raises(sgt.OutOfRangeError):
        sgt.Sampler(context, 4, bias={7: 1.0})
    sampler = sgt.Sampler(context, 4)
    with pytest.raises(ValueError, match="shape"):
        sampler.pick(np.zeros(5))
    with pytest.raises(sgt.InvalidArgumentError):
        sampler.pick([0, np.nan, 0, 0])
    with pytest.raises(sgt.OutOfRangeError):
        sampler.accept([4])


# ---- generating ----


def greedy(model, prompt, count):
    """By hand: the likeliest token after a forward over everything."""
    tokens = [int(token) for token in prompt]
    for _ in range(count):
        tokens.append(int(np.argmax(model.evaluate(tokens, last_logits=True).last_logits)))
    return tokens[len(prompt) :]


def test_generate(looped, prompt):
    expected = greedy(looped, prompt, 6)
    session = sgt.Session(looped)
    done = session.generate(prompt, max_tokens=6, temperature=0)
    assert done.tokens.tolist() == expected and done.tokens.dtype == np.int32
    assert (done.end, done.text) == ("max_tokens", None) and done.log_prob < 0
    assert session.length() == len(prompt) + 5  # the last one is for the next prompt
    more = session.generate(done.tokens[-1:], max_tokens=2, temperature=0)
    assert more.tokens.tolist() == greedy(looped, [*prompt, *expected], 2)


def test_ends(looped, prompt):
    expected = greedy(looped, prompt, SEQ - len(prompt) + 1)
    full = sgt.Session(looped).generate(prompt, temperature=0)
    assert full.end == "full" and full.tokens.tolist() == expected
    stop = expected[3]
    done = sgt.Session(looped).generate(prompt, temperature=0, stop_tokens=[stop])
    assert done.end == "stop_token"
    assert done.tokens.tolist() == expected[: expected.index(stop) + 1]
    seen = []

    def callback(token, index):
        seen.append((index, token))
        return index == 1

    done = sgt.Session(looped).generate(prompt, temperature=0, callback=callback)
    assert done.end == "callback" and seen == list(enumerate(expected[:2]))


def test_an_exception_in_the_callback(looped, prompt):
    class Boom(Exception):
        pass

    def callback(token, index):
        if index == 2:
            raise Boom

    session = sgt.Session(looped)
    with pytest.raises(Boom):
        session.generate(prompt, callback=callback)
    assert session.length() >= len(prompt)
    session.rewind(0)
    assert session.generate(prompt, max_tokens=1).tokens.size == 1


def test_streaming_is_generating(looped, prompt):
    options = dict(temperature=0.8, top_k=5, seed=4, repetition_penalty=1.3)
    for more in (dict(max_tokens=4), dict(), dict(stop_tokens=range(0, VOCABULARY, 3))):
        whole = sgt.Session(looped).generate(prompt, **options, **more)
        parts = list(sgt.Session(looped).stream(prompt, **options, **more))
        assert parts == whole.tokens.tolist()


@pytest.mark.parametrize(
    "arguments",
    [
        dict(max_tokens=-1),
        dict(max_tokens=1.5),
        dict(stop_tokens=[VOCABULARY]),
        dict(stop_tokens=[3, -1]),
        dict(stop_tokens=[2.0]),
        dict(sequence=1),
        dict(sequence=-1),
        dict(prompt=[VOCABULARY]),
        dict(prompt=[]),
        dict(prompt="text"),
        dict(prompt=[0] * (SEQ + 1)),
        dict(sampler="greedy"),
        dict(temperature=-1),
        dict(sampler=None, wrong=1),
        dict(vocabulary=VOCABULARY + 1),
    ],
    ids=str,
)
def test_streaming_refuses_what_generating_refuses(looped, prompt, arguments):
    arguments = dict(arguments)
    sampler = sgt.Sampler(looped.context, arguments.pop("vocabulary", VOCABULARY), seed=1)
    if not {"sampler", "temperature"} & set(arguments):
        arguments["sampler"] = sampler
    given = arguments.pop("prompt", prompt)
    session = sgt.Session(looped)
    with pytest.raises(Exception) as generating:
        session.generate(given, **arguments)
    with pytest.raises(type(generating.value)) as streaming:
        list(session.stream(given, **arguments))
    assert str(streaming.value) == str(generating.value)
    assert session.length() == 0
    fresh = sgt.Sampler(looped.context, VOCABULARY, seed=1)
    if sampler._vocab_size == VOCABULARY:  # and it saw nothing
        logits = np.zeros(VOCABULARY, np.float32)
        assert [sampler.pick(logits) for _ in range(5)] == [fresh.pick(logits) for _ in range(5)]


def test_a_stream_in_turns_is_one_text(looped, prompt):
    """The token between two turns is in the window of the penalty once."""
    options = dict(temperature=0, repetition_penalty=6.0, repetition_window=4)
    whole = sgt.Session(looped).generate(prompt, max_tokens=6, **options).tokens.tolist()
    session, sampler = sgt.Session(looped), sgt.Sampler(looped.context, VOCABULARY, **options)
    parts = []
    while len(parts) < 6:
        begin = parts[-1:] or prompt
        parts += list(session.stream(begin, max_tokens=1 + len(parts) % 2, sampler=sampler))
    assert parts[:6] == whole


def test_streaming_checks_before_it_is_iterated(looped, prompt):
    for arguments in (dict(max_tokens=-1), dict(stop_tokens=[VOCABULARY])):
        with pytest.raises(sgt.OutOfRangeError):
            sgt.Session(looped).stream(prompt, **arguments)


def test_a_sampler_of_one_s_own(looped, prompt):
    sampler = sgt.Sampler(looped.context, VOCABULARY, seed=9)
    first = sgt.Session(looped).generate(prompt, sampler=sampler)
    sampler.reset(9)
    again = sgt.Session(looped).generate(prompt, sampler=sampler)
    assert (first.tokens == again.tokens).all()
    with pytest.raises(TypeError, match="top_k"):
        sgt.Session(looped).generate(prompt, sampler=sampler, top_k=3)


class Letters:
    """A tokenizer: a letter is a token."""

    def encode(self, text):
        return [ord(letter) - 97 for letter in text]

    def decode(self, tokens):
        assert all(type(token) is int for token in tokens)
        return "".join(chr(97 + token) for token in tokens)


class Encoding:
    def __init__(self, ids):
        self.ids = ids


class Tokenizers(Letters):
    """As the tokenizers library has it."""

    def encode(self, text):
        return Encoding(super().encode(text))


@pytest.mark.parametrize("tokenizer", [Letters(), Tokenizers()])
def test_tokenizers(looped, tokenizer):
    only_letters = {token: -np.inf for token in range(26, VOCABULARY)}
    options = dict(max_tokens=5, temperature=0, bias=only_letters)
    done = sgt.Session(looped).generate("abc", tokenizer=tokenizer, **options)
    assert done.text == Letters().decode(done.tokens.tolist()) and len(done.text) == 5
    plain = sgt.Session(looped).generate([0, 1, 2], **options)
    assert (plain.tokens == done.tokens).all()
    assert list(sgt.Session(looped).stream("abc", tokenizer=tokenizer, **options)) == list(
        done.tokens
    )
    with pytest.raises(TypeError, match="tokenizer"):
        sgt.Session(looped).generate("abc")


class Utf8:
    """A tokenizer whose tokens are bytes of UTF-8."""

    def encode(self, text):
        return list(text.encode())

    def decode(self, tokens):
        return bytes(tokens).decode("utf-8", "replace")


def test_text_comes_in_pieces(context):
    """Also where what a new model says is hardly ever a character."""
    model = sgt.Model(small_config(vocab_size=256, max_seq_len=200), context, std=0.3)
    for seed in range(5):
        options = dict(tokenizer=Utf8(), seed=seed)
        whole = sgt.Session(model).generate("x", **options).text
        pieces = list(sgt.Session(model).stream_text("x", **options))
        assert "".join(pieces) == whole and len(pieces) > 20 and all(pieces)
        for strings in (whole[60:64], whole[90], [whole[100:103], "never", whole[80:81] + "x"]):
            ended = sgt.Session(model).generate("x", stop_strings=strings, **options)
            pieces = list(sgt.Session(model).stream_text("x", stop_strings=strings, **options))
            assert "".join(pieces) == ended.text and len(ended.text) < len(whole)
    with pytest.raises(sgt.OutOfRangeError):
        sgt.Session(model).stream_text("x", tokenizer=Utf8(), max_tokens=-1)


def test_nothing_of_a_stop_string_is_given(looped):
    """A token may hold the end of one and more."""
    words = {token: f"w{token} " for token in range(VOCABULARY)}

    class Words:
        def encode(self, text):
            return [1]

        def decode(self, tokens):
            return "".join(words[int(token)] for token in tokens)

    options = dict(tokenizer=Words(), seed=3)
    tokens = sgt.Session(looped).generate("", **options).tokens.tolist()
    words[tokens[4]] = "before STOP after "
    for string in ("STOP", "e STOP a", "STOP after "):
        made = sgt.Session(looped).generate("", stop_strings=string, **options)
        pieces = list(sgt.Session(looped).stream_text("", stop_strings=string, **options))
        assert "".join(pieces) == made.text and made.end == "stop_string"


def pieces_of(decode, tokens):
    pieces = Pieces(decode)
    given = [pieces.add(token) for token in tokens]
    return [text for text, whole in given if whole], pieces.rest()


def test_a_piece_is_never_half_a_character():
    text = "Grüße, 世界 \U0001f600!"
    assert pieces_of(Utf8().decode, text.encode()) == (list(text), "")
    assert pieces_of(Utf8().decode, "é".encode()[:1]) == ([], "\ufffd")


def test_tokenizers_that_look_back():
    """Some write a space between words, but none before the first, and special tokens as nothing."""
    words = ["She", "said", "no", None]

    def decode(tokens):
        return " ".join(words[token] for token in tokens if words[token])

    assert pieces_of(decode, [0, 3, 1, 2, 3]) == (["She", " said", " no"], "")
