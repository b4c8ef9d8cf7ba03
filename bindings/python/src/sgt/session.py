# SPDX-License-Identifier: BSD-3-Clause
"""Using a trained model token by token, with the keys and values of what came before kept."""
from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import itertools
from ctypes import byref
from typing import (
    Any,
    Callable,
    FrozenSet,
    Iterator,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from . import _enums, _structs
from ._arrays import Float32, Int32, address, listed, sequence
from ._handles import Guard, Handle, Owner
from ._interrupt import in_main_thread
from ._library import lib
from ._scalars import integer
from .errors import InvalidArgumentError, OutOfRangeError, call, held
from .model import Model
from .sampler import Sampler

#: callback(token, index); something true ends the text.
OnToken = Callable[[int, int], Any]


class Tokenizer(Protocol):
    """What a string prompt needs. ``encode`` gives tokens, or an object with ``ids``."""

    def encode(self, text: str) -> Any: ...

    def decode(self, tokens: Any) -> str: ...


class SessionMemory(NamedTuple):
    """Bytes of a session; ``packed``: more, for ``pack("bfloat16")``."""

    cache: int
    weights: int
    scratch: int
    total: int
    packed: int


@dataclasses.dataclass(frozen=True)
class Score:
    """How likely tokens were. log_probs [N-1]: ln p of each but the first."""

    count: int
    log_prob: float
    perplexity: float
    log_probs: Float32


class Generation(NamedTuple):
    """What was generated. text: None without a tokenizer. end: "max_tokens", "stop_token",
    "callback" or "full". log_prob: sum of ln p under the unmodified logits."""

    tokens: Int32
    text: Optional[str]
    end: str
    log_prob: float


def _options(sequences: int, max_length: int, chunk: int) -> Any:
    return _structs.sgt_session_options(
        sequences=sequences, max_length=max_length, chunk=chunk
    )


class Session(Owner):
    """Sequences of tokens side by side, over one model.

    sequences S; max_length: tokens that each may have, 0: the model's max_seq_len; chunk: rows of
    activations worked on at a time. Logits are those of one forward over all tokens. After a change
    of weights or plan every call that computes is a StateError until ``refresh``. Several sessions
    of one model run in several threads.

    Raises InvalidArgumentError, OutOfRangeError (the message names the option),
    SizeOverflowError, OutOfMemoryError, MemoryLimitError, BackendError.
    """

    def __init__(
        self, model: Model, *, sequences: int = 1, max_length: int = 0, chunk: int = 512
    ) -> None:
        options = _options(sequences, max_length, chunk)
        pointer = ctypes.c_void_p()
        with model._guard.reading:
            call(lib.sgt_session_create, byref(pointer), model._pointer, byref(options))
            parent = model._owned
            self._handle = Handle(pointer.value, lib.sgt_session_free, parent.family, parent)
        self._guard = Guard(parent.family)
        self._model = model
        self._size = f"{options.sequences} sequences of up to {self.max_length} tokens"

    def _about(self) -> str:
        return f"of {self._size}, over {self._model!r}"

    @staticmethod
    def estimate_memory(
        model: Model, *, sequences: int = 1, max_length: int = 0, chunk: int = 512
    ) -> SessionMemory:
        """What a session of the model's current plan would take, before it is allocated."""
        options = _options(sequences, max_length, chunk)
        memory = _structs.sgt_session_memory()
        with model._guard.reading:
            call(
                lib.sgt_session_estimate_memory, byref(memory), model._pointer, byref(options)
            )
        return SessionMemory(*(int(getattr(memory, f)) for f in SessionMemory._fields))

    @property
    def model(self) -> Model:
        """The model it reads."""
        return self._model

    @contextlib.contextmanager
    def _computing(self) -> Iterator[int]:
        """Alone in the session, a reader of the model."""
        with self._guard.writing, self._model._guard.reading:
            yield self._pointer

    def refresh(self) -> None:
        """Starts over with the model's weights and plan of now; every sequence is empty then."""
        with self._computing() as pointer:
            call(lib.sgt_session_refresh, pointer)

    def pack(self, dtype: str) -> None:
        """Lays the weights out for decoding: "bfloat16" halves the bytes read for each token at
        some loss of accuracy, "float32" gives that up. Raises UnsupportedError (another type)."""
        number = _enums.number(_enums.DTYPE, dtype, "dtype")
        with self._computing() as pointer:
            call(lib.sgt_session_pack, pointer, number)

    # ---- feeding ----

    def feed(
        self, tokens: Any, sequence: int = 0, *, logits: bool = True
    ) -> Optional[Float32]:
        """Appends tokens [N] to a sequence and gives the logits [V] of the last one.

        On failure the sequence is as before. Raises OutOfRangeError (a token with its position, the
        sequence, max_length), StateError (weights or plan changed), Stopped, BackendError.
        """
        given = _tokens(tokens)
        result = np.empty(self._model.config.vocab_size, np.float32) if logits else None
        with self._computing() as pointer:
            call(
                lib.sgt_session_feed,
                address(result),
                pointer,
                sequence,
                address(given),
                given.size,
            )
        return result

    def feed_batch(
        self,
        pieces: Sequence[Any],
        sequences: Optional[Sequence[int]] = None,
        *,
        all_logits: bool = False,
    ) -> Float32:
        """Appends one piece of tokens to each of several sequences, in one pass over the weights.

        sequences: which ones; None: 0, 1, ... Gives the logits [pieces,V] of the last token of
        each, or with all_logits those of every token, [all tokens,V]. Errors as ``feed``,
        InvalidArgumentError for a sequence named twice.
        """
        if not len(pieces):
            raise ValueError("there are no pieces")
        given = [_tokens(piece) for piece in pieces]
        lengths = np.array([piece.size for piece in given], np.int32)
        tokens = np.concatenate(given)
        which = None if sequences is None else listed(sequences, "sequences")
        if which is not None and which.size != len(given):
            raise ValueError(f"there are {len(given)} pieces for {which.size} sequences")
        rows = tokens.size if all_logits else len(given)
        result = np.empty((rows, self._model.config.vocab_size), np.float32)
        feed = _structs.sgt_feed(
            count=len(given),
            sequences=address(which),
            lengths=address(lengths),
            tokens=address(tokens),
            logits=None if all_logits else address(result),
            all_logits=address(result) if all_logits else None,
        )
        with self._computing() as pointer:
            call(lib.sgt_session_feed_batch, pointer, byref(feed))
        return result

    def length(self, sequence: int = 0) -> int:
        """The tokens a sequence has; 0 for one that is not there."""
        with self._guard.reading:
            return int(lib.sgt_session_length(self._pointer, sequence))

    @property
    def max_length(self) -> int:
        """The tokens a sequence may have."""
        with self._guard.reading:
            return int(lib.sgt_session_max_length(self._pointer))

    def rewind(self, length: int, sequence: int = 0) -> None:
        """Forgets all but the first ``length`` tokens of a sequence."""
        with self._computing() as pointer:
            call(lib.sgt_session_rewind, pointer, sequence, length)

    def copy(self, to: int, source: int, length: Optional[int] = None) -> None:
        """Makes sequence ``to`` the first ``length`` tokens (None: all) of ``source``."""
        with self._computing() as pointer:
            if length is None:
                length = lib.sgt_session_length(pointer, source)
            call(lib.sgt_session_copy, pointer, to, source, length)

    def score(self, tokens: Any, sequence: int = 0) -> Score:
        """Appends tokens [N] and tells how likely each was after those before it.

        The first one is only fed: to score what follows a prompt, feed the prompt without its last
        token and begin with that one. Errors as ``feed``.
        """
        given = _tokens(tokens)
        log_probs = np.empty(given.size - 1, np.float32)
        score = _structs.sgt_score()
        with self._computing() as pointer:
            call(
                lib.sgt_session_score,
                byref(score),
                pointer,
                sequence,
                address(given),
                given.size,
                address(log_probs),
            )
        return Score(score.count, score.log_prob, score.perplexity, log_probs)

    # ---- generating ----

    def generate(
        self,
        prompt: Union[str, Any],
        *,
        tokenizer: Optional[Tokenizer] = None,
        max_tokens: int = 0,
        sampler: Optional[Sampler] = None,
        stop_tokens: Sequence[int] = (),
        callback: Optional[OnToken] = None,
        sequence: int = 0,
        **sampling: Any,
    ) -> Generation:
        """Feeds a prompt of at least one token and goes on with tokens that the sampler picks.

        prompt: tokens [N], or a string with a ``tokenizer``. max_tokens 0: as many as fit.
        stop_tokens end the text and belong to it. callback(token, index): something true ends the
        text, an exception travels to the caller. sampler None: one made of ``sampling``, the
        keyword arguments of ``Sampler``. Every token but the last is in the sequence afterwards, so
        that the next prompt begins with that one. A failure or Ctrl-C in the middle keeps what was
        fed.
        Errors as ``feed`` and ``Sampler.pick``.
        """
        given, picker, stops, most = self._request(
            prompt, tokenizer, max_tokens, sampler, stop_tokens, sampling
        )
        # One more than fit, so that the library says that the sequence is full.
        room = most or max(1, self.max_length - self.length(sequence) - given.size + 2)
        tokens = np.empty(room, np.int32)
        options = _structs.sgt_generate_options(
            max_tokens=room,
            tokens=address(tokens),
            stop_tokens=address(stops),
            n_stop_tokens=stops.size,
        )
        if callback is not None or in_main_thread():  # where Ctrl-C ends it
            options.callback = _token_callback(callback)
        done = _structs.sgt_generation()
        with self._computing() as pointer, picker._guard.writing:
            call(
                lib.sgt_session_generate,
                byref(done),
                pointer,
                sequence,
                picker._pointer,
                address(given),
                given.size,
                byref(options),
            )
        found = tokens[: done.count].copy()
        text = None if tokenizer is None else tokenizer.decode(found.tolist())
        return Generation(found, text, _enums.word(_enums.GENERATE_END, done.end), done.log_prob)

    def stream(
        self,
        prompt: Union[str, Any],
        *,
        tokenizer: Optional[Tokenizer] = None,
        max_tokens: int = 0,
        sampler: Optional[Sampler] = None,
        stop_tokens: Sequence[int] = (),
        sequence: int = 0,
        **sampling: Any,
    ) -> Iterator[int]:
        """The tokens of ``generate`` one by one, while the caller does what it likes in between.

        Nothing is fed before the first one is asked for. Errors as ``generate``.
        """
        given, picker, stops, most = self._request(
            prompt, tokenizer, max_tokens, sampler, stop_tokens, sampling
        )
        return self._stream(given, picker, frozenset(stops.tolist()), most, sequence)

    def _stream(
        self, prompt: Int32, picker: Sampler, stops: FrozenSet[int], most: int, sequence: int
    ) -> Iterator[int]:
        logits = self.feed(prompt, sequence)
        picker.accept(prompt)
        for count in itertools.count(1):
            token = picker.pick(logits)
            yield token
            if token in stops or count == most or self.length(sequence) == self.max_length:
                return
            logits = self.feed(token, sequence)

    def _request(
        self,
        prompt: Any,
        tokenizer: Optional[Tokenizer],
        max_tokens: int,
        sampler: Optional[Sampler],
        stop_tokens: Sequence[int],
        sampling: Any,
    ) -> Tuple[Int32, Sampler, Int32, int]:
        """Prompt, sampler, stop tokens and limit, checked for every way to generate."""
        given = _encode(prompt, tokenizer)
        stops = listed(stop_tokens, "stop_tokens")
        most = integer(max_tokens, "max_tokens")
        vocabulary = self._model.config.vocab_size
        if most < 0:
            raise OutOfRangeError(f"max_tokens is {most}, below 0")
        for i, token in enumerate(stops):
            if not 0 <= token < vocabulary:
                raise OutOfRangeError(
                    f"stop_tokens[{i}] is {token}, not in 0 .. {vocabulary - 1}"
                )
        picker = self._sampler(sampler, sampling)
        if picker._vocab_size != vocabulary:
            raise InvalidArgumentError(
                f"the sampler is for vocabularies of {picker._vocab_size} tokens, the model has "
                f"{vocabulary}"
            )
        return given, picker, stops, most

    def _sampler(self, sampler: Optional[Sampler], options: Any) -> Sampler:
        if sampler is None:
            context = self._model.context._for(self._owned)
            return Sampler(context, self._model.config.vocab_size, **options)
        if options:
            raise TypeError(f"a sampler and its options {sorted(options)} were both given")
        return sampler


def _tokens(tokens: Any, name: str = "tokens") -> Int32:
    """Tokens [N]; a single one may be a number."""
    one = isinstance(tokens, (int, np.integer))
    return sequence(np.atleast_1d(tokens) if one else tokens, name)


def _encode(prompt: Any, tokenizer: Optional[Tokenizer]) -> Int32:
    if not isinstance(prompt, str):
        return _tokens(prompt, "tokens of the prompt")
    if tokenizer is None:
        raise TypeError("a string prompt needs a tokenizer")
    tokens = tokenizer.encode(prompt)
    return sequence(getattr(tokens, "ids", tokens), "tokens of the encoded prompt")


def _token_callback(callback: Optional[OnToken]) -> Any:
    def answer(user: Optional[int], token: int, index: int) -> int:
        return held(lambda: 1 if callback is not None and callback(token, index) else 0, -1)

    return _structs.token_fn(answer)
