# SPDX-License-Identifier: BSD-3-Clause
"""What callers may give as arrays, and the views they get."""
from __future__ import annotations

import numpy as np
import pytest
from conftest import SEQ, VOCABULARY, make_batch

import libsgt as sgt


def loss_of(model, tokens, targets):
    return model.evaluate(tokens, targets).sum


@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "i2", "u2", "<i4", ">i4", "u4", "<i8", ">i8", "u8", ">u2"]
)
def test_any_integer_dtype(model, batch, dtype):
    tokens, targets = batch
    expected = loss_of(model, tokens, targets)
    assert loss_of(model, tokens.astype(dtype), targets.astype(dtype)) == expected


def test_dense_int32_is_not_copied(batch):
    from libsgt._arrays import integers

    assert integers(batch[0], "tokens") is batch[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
        lambda a: a.tolist(),
    ],
    ids=["fortran", "every-other", "reversed", "lists"],
)
def test_any_layout(model, batch, change):
    tokens, targets = batch
    expected = loss_of(model, tokens, targets)
    assert loss_of(model, change(tokens), change(targets)) == expected


def test_unaligned(model, batch):
    tokens, targets = batch
    raw = np.empty(tokens.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.int32).reshape(tokens.shape)
    unaligned[:] = tokens
    assert not unaligned.flags.aligned
    assert loss_of(model, unaligned, targets) == loss_of(model, tokens, targets)


def test_read_only(model, batch):
    tokens, targets = batch
    expected = loss_of(model, tokens, targets)
    tokens.flags.writeable = targets.flags.writeable = False
    assert loss_of(model, tokens, targets) == expected


def test_one_sequence(model, batch):
    tokens, targets = batch
    assert loss_of(model, tokens[0], targets[0]) == loss_of(model, tokens[:1], targets[:1])


class OnlyDLPack:
    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_in(model, batch):
    tokens, targets = batch
    expected = loss_of(model, tokens, targets)
    assert loss_of(model, OnlyDLPack(tokens), OnlyDLPack(targets)) == expected


@pytest.mark.parametrize("bad", [np.ones((2, 4)), np.ones((2, 4), bool), "text", [["a"]]])
def test_wrong_dtype(model, bad):
    with pytest.raises(TypeError, match="integers"):
        model.forward(bad)


def test_ragged_lists(model):
    with pytest.raises((TypeError, ValueError)):
        model.forward([[1, 2], [3]])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 2, 3)])
def test_wrong_shape(model, shape):
    with pytest.raises(ValueError, match="shape"):
        model.forward(np.zeros(shape, np.int32))


def test_targets_of_another_shape(model, batch):
    with pytest.raises(ValueError, match="targets"):
        model.forward(batch[0], batch[1][:, :-1])


def test_integers_are_not_cut(model):
    with pytest.raises(ValueError, match="tokens: 4294967296 does not fit"):
        model.forward(np.array([[1, 2**32]], np.int64))
    with pytest.raises(ValueError, match="-3000000000"):
        model.forward([[1, -3000000000]])


def test_the_library_names_the_bad_token(model, batch):
    tokens, targets = batch
    tokens[1, 3] = VOCABULARY
    with pytest.raises(sgt.OutOfRangeError, match=r"tokens\[1,3\]|token.*1.*3") as caught:
        model.forward(tokens, targets)
    assert caught.value.status == -12
    with pytest.raises(ValueError):
        model.forward(np.zeros((1, SEQ + 1), np.int32))


# ---- views ----


def test_parameters_are_read_only_views(model):
    name = "model.layers.1.self_attn.q_proj.weight"
    weight = model.parameters[name]
    assert weight.dtype == np.float32 and weight.shape == (16, 16)
    assert not weight.flags.owndata and not weight.flags.writeable
    with pytest.raises(ValueError):
        weight[0, 0] = 1
    with pytest.raises(ValueError):
        weight.flags.writeable = True
    model.write_parameter(name, np.full((16, 16), 0.5))
    assert (weight == 0.5).all()
    assert (model.read_parameter(name) == weight).all()


def test_writable_parameters(model, batch):
    before, generation = loss_of(model, *batch), model.generation
    with model.writable_parameters() as views:
        views["model.embed_tokens.weight"][:] = 0.25
    assert model.generation > generation
    assert (model.parameter("model.embed_tokens.weight") == 0.25).all()
    assert loss_of(model, *batch) != before


def test_weights_changed_before_an_exception(model):
    session, generation = sgt.Session(model), model.generation
    session.feed([1, 2])
    with pytest.raises(LookupError, match="body"):
        with model.writable_parameters() as views:
            views["model.norm.weight"][:] = 0
            raise LookupError("body")
    assert model.generation > generation
    with pytest.raises(sgt.StateError):
        session.feed([3])
    with pytest.raises(LookupError, match="body"):
        with model.writable_parameters():
            session.refresh()
            model.close()
            raise LookupError("body")
    with pytest.raises(sgt.StateError):
        session.feed([3])


def test_mappings(model, batch):
    assert tuple(model.parameters) == model.names
    assert len(model.parameters) == len(model.names)
    assert sum(view.size for view in model.parameters.values()) == model.n_weights
    assert "lm_head.weight" in model.parameters and "nothing" not in model.parameters
    with pytest.raises(KeyError):
        model.parameters["nothing"]
    with pytest.raises(sgt.NotFoundError, match="nothing"):
        model.parameter("nothing")
    with pytest.raises(sgt.StateError):
        model.gradient(model.names[0])
    model.forward(*batch)
    model.backward()
    assert any(np.abs(gradient).max() > 0 for gradient in model.gradients.values())


def test_gradients_may_be_written(model, batch):
    model.forward(*batch)
    model.backward()
    name = model.names[0]
    view = model.gradient(name)
    copy = model.read_gradient(name)
    assert np.abs(copy).max() > 0 and (copy == view).all()
    view *= 2
    assert (model.read_gradient(name) == 2 * copy).all()
    model.write_gradient(name, copy)
    assert (view == copy).all()


@pytest.mark.parametrize(
    "values, error",
    [(np.zeros(3), ValueError), (np.zeros((16, 16), complex), TypeError), ("x", TypeError)],
)
def test_wrong_parameter_values(model, values, error):
    with pytest.raises(error):
        model.write_parameter("model.layers.0.self_attn.q_proj.weight", values)


def test_dlpack_out(model):
    name = "model.norm.weight"
    writable = model.parameter(name, writable=True)
    shared = np.from_dlpack(OnlyDLPack(writable))
    writable[3] = 7
    assert shared[3] == 7 and model.parameter(name)[3] == 7
    assert writable.__dlpack_device__()[0] == 1
    read_only = model.parameter(name)
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        # The versioned protocol can say that memory is read-only, the older one cannot.
        again = np.from_dlpack(read_only)
        assert again[3] == 7 and not again.flags.writeable
        versioned = writable.__dlpack__(max_version=(1, 0))
        assert "dltensor_versioned" in repr(versioned)
        assert "versioned" not in repr(writable.__dlpack__())
    else:
        with pytest.raises((BufferError, ValueError)):
            np.from_dlpack(read_only)


def test_forward_logits_out(model, batch):
    tokens, _ = batch
    expected = model.evaluate(tokens, logits=True).logits
    shape = (2, SEQ, VOCABULARY)
    assert expected.shape == shape
    copied = model.forward_logits(tokens)
    assert copied.flags.owndata and np.allclose(copied, expected, atol=1e-5)
    out = np.empty(shape, np.float32)
    assert model.forward_logits(tokens, out=out) is out
    assert (out == copied).all()
    kept = out.copy()
    model.forward_logits((tokens + 1) % VOCABULARY)
    model.close()
    assert copied.flags.writeable and (copied == kept).all() and (out == kept).all()
    with pytest.raises(TypeError, match="copy"):  # no view of memory that later calls release
        model.forward_logits(tokens, copy=False)


@pytest.mark.parametrize(
    "out, error",
    [
        (np.empty((2, SEQ, VOCABULARY)), TypeError),
        (np.empty((2, SEQ, VOCABULARY + 1), np.float32), ValueError),
        (np.empty((2, SEQ, 2 * VOCABULARY), np.float32)[:, :, ::2], ValueError),
        ([1.0], TypeError),
    ],
)
def test_wrong_out(model, batch, out, error):
    with pytest.raises(error):
        model.forward_logits(batch[0], out=out)
    frozen = np.empty((2, SEQ, VOCABULARY), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="written"):
        model.forward_logits(batch[0], out=frozen)


def test_strings_with_zeros_are_refused(context, tmp_path):
    with pytest.raises(ValueError, match="zero"):
        sgt.Context(backend="portable\0x")
    with pytest.raises(ValueError, match="zero"):
        sgt.Checkpoint(f"{tmp_path}/a\0b", context)


def test_bytes_are_tokens(model):
    text = bytes(range(SEQ))
    assert loss_of(model, text, text) == loss_of(model, list(text), list(text))
    session = sgt.Session(model)
    assert (session.feed(text) == sgt.Session(model).feed(list(text))).all()
