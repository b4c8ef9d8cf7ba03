# SPDX-License-Identifier: BSD-3-Clause
"""The architecture of a model, and what its passes cost."""
from __future__ import annotations

import dataclasses
from ctypes import addressof, byref, c_uint64
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional, Sequence, Tuple, Union

from . import _enums, _structs
from ._handles import reading
from ._library import lib
from ._scalars import instance, integer
from .errors import call
from .pattern import AttentionPattern

if TYPE_CHECKING:
    from .plan import Plan


def _pattern(given: Union[AttentionPattern, str]) -> AttentionPattern:
    return AttentionPattern.parse(given) if isinstance(given, str) else given


@dataclasses.dataclass(frozen=True)
class BlockConfig:
    """What a block is made of: its kind of attention and of feed-forward part.

    attention "multiplicative": queries, keys and values come from a multiplicative layer and
    convolutions over mult_kernel positions (0: 3) and over heads; attention_output "none": without
    output projection, head s adds to its own piece of the stream. feed_forward "relu": down
    max(0, up). units above 0: a controller of rank controller_rank chooses one unit out of each
    group of so many for each token; in training the part is hard with probability hard_fraction,
    its choices with noise of temperature, and otherwise weights units by a softmax (Scaling
    Transformers, arXiv 2111.12763). patterns: the query heads of key/value head g see what
    ``patterns[g % len(patterns)]`` says, an `AttentionPattern` or its text, such as
    ``"local:256"``; empty: every earlier key. What a part does not have is not looked at.
    """

    attention: _enums.AttentionKind = "softmax"
    feed_forward: _enums.FeedForwardKind = "swiglu"
    patterns: Sequence[Union[AttentionPattern, str]] = ()
    mult_kernel: int = 3
    attention_output: _enums.AttentionOutput = "projection"
    units: int = 0
    controller_rank: int = 0
    temperature: float = 0.1
    hard_fraction: float = 0.3

    def __post_init__(self) -> None:
        given = tuple(self.patterns)
        for i, pattern in enumerate(given):
            instance(pattern, (AttentionPattern, str), f"patterns[{i}]")
        object.__setattr__(self, "patterns", tuple(map(_pattern, given)))

    def _struct(self, name: str) -> Any:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        patterns = [_pattern(pattern)._struct() for pattern in values.pop("patterns")]
        for word, table in _BLOCK_CHOICES.items():
            values[word] = _enums.number(table, values[word], f"{name}.{word}")
        struct = _structs.sgt_block_config(n_patterns=len(patterns), **values)
        if patterns:
            struct.patterns = (_structs.sgt_attention_pattern * len(patterns))(*patterns)
        return struct

    @classmethod
    def _from(cls, struct: Any) -> "BlockConfig":
        values = {field.name: getattr(struct, field.name) for field in dataclasses.fields(cls)}
        for word, table in _BLOCK_CHOICES.items():
            values[word] = _enums.word(table, values[word])
        patterns = _entries(struct.patterns, struct.n_patterns)
        values["patterns"] = tuple(map(AttentionPattern._from, patterns))
        return cls(**values)


def _entries(first: Any, count: int) -> Iterator[Any]:
    """Structures of an array: they lie as far apart as the first one says."""
    for i in range(count):
        yield type(first.contents).from_address(
            addressof(first.contents) + i * first.contents.size
        )


# The fields of ModelConfig, and of BlockConfig, that are words.
_CHOICES = {"altup_order": _enums.ALTUP_ORDER, "altup_table": _enums.ALTUP_TABLE}
_BLOCK_CHOICES = {
    "attention": _enums.ATTENTION,
    "attention_output": _enums.ATTENTION_OUTPUT,
    "feed_forward": _enums.FEED_FORWARD,
}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A pre-norm LLaMA-style decoder: RMSNorm, RoPE, grouped-query attention, SwiGLU, no biases.

    vocab_size V, d_model d, n_heads H, d_ff the inner width of the feed-forward part, max_seq_len
    the longest sequence of a batch. n_kv_heads 0: n_heads. head_dim 0: d_model / n_heads. tied: the
    output head is the embedding. altup_streams K: a token is K streams of d, of which each layer
    works on one (altup_order "alternate": layer i on stream i mod K; "same": all on stream 0), and
    AltUp carries the others along; altup_table "recycled": each stream starts as the embedding and
    their mean is what the head reads; "wide": embedding and head have K d columns. head_modules
    S: above 0 a sparse head, whose logit s V/S + m of x is sum_i x_i scale[s,i] weight[m,i] plus a
    bias; S divides V, and the head is not tied. blocks: layer i is made of
    blocks[i % len(blocks)]; empty: of standard blocks.
    """

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    max_seq_len: int
    n_kv_heads: int = 0
    head_dim: int = 0
    tied: bool = False
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    altup_streams: int = 1
    altup_order: _enums.AltupOrder = "alternate"
    altup_table: _enums.AltupTable = "recycled"
    head_modules: int = 0
    blocks: Sequence[BlockConfig] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        for i, block in enumerate(self.blocks):
            instance(block, (BlockConfig,), f"blocks[{i}]")

    def _struct(self) -> Any:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        entries = [block._struct(f"blocks[{i}]") for i, block in enumerate(values.pop("blocks"))]
        for name, table in _CHOICES.items():
            values[name] = _enums.number(table, values[name], name)
        struct = _structs.sgt_model_config(n_blocks=len(entries), **values)
        if entries:
            struct.blocks = (_structs.sgt_block_config * len(entries))(*entries)
        return struct

    @classmethod
    def _from(cls, struct: Any) -> "ModelConfig":
        values = {field.name: getattr(struct, field.name) for field in dataclasses.fields(cls)}
        values["tied"] = bool(struct.tied)
        for name, table in _CHOICES.items():
            values[name] = _enums.word(table, values[name])
        values["blocks"] = tuple(map(BlockConfig._from, _entries(struct.blocks, struct.n_blocks)))
        return cls(**values)


def model_options(recompute: bool, draw_seed: int) -> Any:
    """The options of a model; a wrong seed has the name that callers know it by."""
    return _structs.sgt_model_options(
        recompute=recompute, seed=integer(draw_seed, "draw_seed", c_uint64)
    )


@dataclasses.dataclass(frozen=True)
class SpecialTokens:
    """The ids by which tokenizers and engines begin, end and fill texts, as config.json has them.

    bos begins a text, each of eos (one, or a sequence) ends one, pad fills rows behind it; None: not
    told. Any integers: folders have pads of -1 or vocab_size; an id that is no token of the model is
    never used as one.
    """

    bos: Optional[int] = None
    eos: Union[None, int, Sequence[int]] = None
    pad: Optional[int] = None

    @property
    def stop_tokens(self) -> Tuple[int, ...]:
        """The ids of eos, whichever way they are told."""
        if self.eos is None:
            return ()
        if isinstance(self.eos, Sequence):
            return tuple(self.eos)
        return (self.eos,)

    def _struct(self) -> Any:
        struct = _structs.sgt_special_tokens(
            has_bos=self.bos is not None, has_pad=self.pad is not None
        )
        if self.bos is not None:
            struct.bos = self.bos
        if self.pad is not None:
            struct.pad = self.pad
        ids = [integer(token, "eos") for token in self.stop_tokens]
        struct.n_eos = len(ids)
        struct.eos_is_list = isinstance(self.eos, Sequence)
        struct.eos[: min(len(ids), _structs.MAX_EOS_TOKENS)] = ids[: _structs.MAX_EOS_TOKENS]
        return struct

    @classmethod
    def _from(cls, struct: Any) -> "SpecialTokens":
        eos: Union[None, int, Tuple[int, ...]] = tuple(struct.eos[: struct.n_eos])
        if not struct.eos_is_list and struct.n_eos < 2:
            eos = struct.eos[0] if struct.n_eos else None
        return cls(
            struct.bos if struct.has_bos else None, eos, struct.pad if struct.has_pad else None
        )


class Flops(NamedTuple):
    """FLOPs of one token: forward, the sum of the components behind it; training, of its part of a
    training step, forward and backward (0 in other phases). weight_bytes: of the weights that are
    read, 4 each, but for the embedding: by the forward of a batch, or in the phase "decode" by that
    of one token, where sparse parts read only what they chose."""

    forward: float
    training: float
    projections: float
    attention: float
    feed_forward: float
    head: float
    mixing: float
    weight_bytes: float


class FlopsTotal(NamedTuple):
    """Training FLOPs of a model so far; ``overhead`` is executed / vanilla - 1."""

    executed: float
    vanilla: float
    overhead: float


def check_plan(plan: Optional["Plan"]) -> None:
    """TypeError for what is neither a plan nor None."""
    from .plan import Plan  # which is made of what is here

    instance(plan, (Plan,), "plan", optional=True)


def count_flops(
    config: ModelConfig,
    plan: Optional["Plan"] = None,
    *,
    seq: int = 0,
    loops: _enums.FlopsLoops = "now",
    full_square: bool = False,
    phase: _enums.FlopsPhase = "forward",
) -> Flops:
    """Counts the matrix products of one token for a config and a plan (None: no loops).

    seq T, 0: max_seq_len. loops: "vanilla" (none), "now", or "grown" (when all ramps are over).
    full_square: attention over all T keys, as the paper counts. phase: "forward", the mean token of
    a training step; "evaluate", likewise; "decode", token number T of a session's sequence, which
    sees T keys. Raises OutOfRangeError, InvalidArgumentError.
    """
    instance(config, (ModelConfig,), "config")
    check_plan(plan)
    options = _structs.sgt_flops_options(
        seq=seq,
        loops=_enums.number(_enums.FLOPS_LOOPS, loops, "loops"),
        full_square=full_square,
        phase=_enums.number(_enums.FLOPS_PHASE, phase, "phase"),
    )
    flops = _structs.sgt_flops()
    with reading(plan):
        pointer = None if plan is None else plan._pointer
        call(lib.sgt_flops_count, byref(flops), byref(config._struct()), pointer, byref(options))
    return Flops(*(float(getattr(flops, field)) for field in Flops._fields))
