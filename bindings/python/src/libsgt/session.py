# SPDX-License-Identifier: BSD-3-Clause
"""Using a trained model token by token, with the keys and values of what came before kept."""
from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import itertools
from ctypes import byref, c_uint64
from typing import (
    Any,
    Callable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Union,
    overload,
)

import numpy as np

from . import _enums, _structs
from ._arrays import Float32, Int32, address, listed
from ._generating import (
    StopStrings,
    Text,
    Tokenizer,
    are_several,
    checked_strings,
    encode,
    for_each,
    in_pieces,
    tokens_of,
)
from ._handles import Guard, Handle, Owner
from ._interrupt import in_main_thread
from ._library import lib
from ._scalars import instance
from .errors import InvalidArgumentError, OutOfRangeError, call
from .model import Model
from .sampler import Sampler

#: callback(token, index), or of several texts callback(token, index, text); something true ends it.
OnToken = Callable[..., Any]


class SessionMemory(NamedTuple):
    """Bytes of a session. weights: gathered ones of looped heads, and rounded copies."""

    cache: int
    weights: int
    scratch: int
    total: int


@dataclasses.dataclass(frozen=True)
class Score:
    """How likely tokens were. log_probs [N-1]: ln p of each but the first."""

    count: int
    log_prob: float
    perplexity: float
    log_probs: Float32


class Generation(NamedTuple):
    """What was generated. text: None without a tokenizer; it ends before a string of stop_strings.
    end: "max_tokens", "stop_token", "stop_string", "callback" or "full". log_prob: sum of ln p under
    the unmodified logits."""

    tokens: Int32
    text: Optional[str]
    end: str
    log_prob: float


def _options(
    sequences: int, max_length: int, chunk: int, weights: _enums.SessionWeights
) -> Any:
    return _structs.sgt_session_options(
        sequences=sequences,
        max_length=max_length,
        chunk=chunk,
        weights=_enums.number(_enums.SESSION_WEIGHTS, weights, "weights"),
    )


class Session(Owner):
    """Sequences of tokens side by side, over one model.

    sequences S; max_length: tokens that each may have, 0: the model's max_seq_len; chunk: rows of
    activations worked on at a time; weights: what products read, "float32" the model's own,
    "bfloat16" rounded copies, which halve the bytes read for each token at some loss of accuracy.
    Logits are those of one forward over all tokens. After a change of weights or plan every call
    that computes is a StateError until ``refresh``. Several sessions of one model run in several
    threads.

    Raises InvalidArgumentError, OutOfRangeError (the message names the option), ValueError (another
    type of weights), SizeOverflowError, OutOfMemoryError, MemoryLimitError, BackendError.
    """

    def __init__(
        self,
        model: Model,
        *,
        sequences: int = 1,
        max_length: int = 0,
        chunk: int = 512,
        weights: _enums.SessionWeights = "float32",
    ) -> None:
        instance(model, (Model,), "model")
        options = _options(sequences, max_length, chunk, weights)
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
        model: Model,
        *,
        sequences: int = 1,
        max_length: int = 0,
        chunk: int = 512,
        weights: _enums.SessionWeights = "float32",
    ) -> SessionMemory:
        """What a session of the model's current plan would take, before it is allocated."""
        instance(model, (Model,), "model")
        options = _options(sequences, max_length, chunk, weights)
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

    # ---- feeding ----

    def feed(
        self, tokens: Any, sequence: int = 0, *, logits: bool = True
    ) -> Optional[Float32]:
        """Appends tokens [N] to a sequence and gives the logits [V] of the last one.

        On failure the sequence is as before. Raises OutOfRangeError (a token with its position, the
        sequence, max_length), StateError (weights or plan changed), Stopped, BackendError.
        """
        given = tokens_of(tokens)
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
        given = [tokens_of(piece) for piece in pieces]
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
        """Forgets all but the first ``length`` tokens of a sequence.

        StateError where attention patterns gave up what was needed for that; the message tells how
        many tokens it can go back by: at most ``chunk``, or to 0.
        """
        with self._computing() as pointer:
            call(lib.sgt_session_rewind, pointer, sequence, length)

    def copy(self, to: int, source: int, length: Optional[int] = None) -> None:
        """Makes sequence ``to`` the first ``length`` tokens (None: all) of ``source``.

        Errors as ``rewind`` of ``source``.
        """
        with self._computing() as pointer:
            if length is None:
                length = lib.sgt_session_length(pointer, source)
            call(lib.sgt_session_copy, pointer, to, source, length)

    def score(self, tokens: Any, sequence: int = 0) -> Score:
        """Appends tokens [N] and tells how likely each was after those before it.

        The first one is only fed: to score what follows a prompt, feed the prompt without its last
        token and begin with that one. Errors as ``feed``.
        """
        given = tokens_of(tokens)
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

    @overload
    def generate(  # type: ignore # a string is a sequence of strings, but one prompt
        self,
        prompt: Union[str, Int32, Sequence[int]],
        *,
        tokenizer: Optional[Tokenizer] = None,
        add_special_tokens: bool = True,
        max_tokens: Union[int, Sequence[int]] = 0,
        sampler: Union[Sampler, Sequence[Sampler], None] = None,
        stop_tokens: Optional[Sequence[int]] = None,
        stop_strings: Union[str, Sequence[str]] = (),
        callback: Optional[OnToken] = None,
        sequence: Union[int, Sequence[int]] = 0,
        **sampling: Any,
    ) -> Generation: ...

    @overload
    def generate(
        self,
        prompt: Sequence[Union[str, Int32, Sequence[int]]],
        *,
        tokenizer: Optional[Tokenizer] = None,
        add_special_tokens: bool = True,
        max_tokens: Union[int, Sequence[int]] = 0,
        sampler: Union[Sampler, Sequence[Sampler], None] = None,
        stop_tokens: Optional[Sequence[int]] = None,
        stop_strings: Union[str, Sequence[str]] = (),
        callback: Optional[OnToken] = None,
        sequence: Union[int, Sequence[int]] = 0,
        **sampling: Any,
    ) -> List[Generation]: ...

    def generate(
        self,
        prompt: Any,
        *,
        tokenizer: Optional[Tokenizer] = None,
        add_special_tokens: bool = True,
        max_tokens: Union[int, Sequence[int]] = 0,
        sampler: Union[Sampler, Sequence[Sampler], None] = None,
        stop_tokens: Optional[Sequence[int]] = None,
        stop_strings: Union[str, Sequence[str]] = (),
        callback: Optional[OnToken] = None,
        sequence: Union[int, Sequence[int]] = 0,
        **sampling: Any,
    ) -> Union[Generation, List[Generation]]:
        """Feeds a prompt of at least one token and goes on with tokens that the sampler picks.

        prompt: tokens [N], or a string with a ``tokenizer``. add_special_tokens: False for a string
        that has its special tokens already, as chat templates write them. max_tokens 0: as many as
        fit. stop_tokens end the text and belong to it; None: the model's eos (``special_tokens``),
        (): none. So do stop_strings, with a tokenizer, but the text of the result ends before them.
        callback(token, index): something true ends the text, an exception travels to the caller.
        sampler None: one made of ``sampling``, the keyword arguments of ``Sampler``. Every token
        but the last is in the sequence afterwards, so that the next prompt begins with that one. A
        failure or Ctrl-C in the middle keeps what was fed.

        A list of prompts gives a list: their texts are generated side by side, which costs less
        than one after the other, and each is the one it would be alone. max_tokens may be a list
        then. sequence and seed may be lists; a number is the first one's, and goes up by 1.
        sampler: a list. callback(token, index, text) is told which text it is.
        Errors as ``feed`` and ``Sampler.pick``, ValueError for lists of another length.
        """
        several = are_several(prompt)
        texts = self._texts(
            prompt if several else [prompt],
            tokenizer,
            add_special_tokens,
            max_tokens,
            sampler if several else _alone(sampler),
            stop_tokens,
            stop_strings,
            sequence,
            sampling,
        )
        for i, text in enumerate(texts):
            told = callback
            if several and callback is not None:
                told = functools.partial(_tell, callback, i)
            if told is not None or text.stop_strings or in_main_thread():  # where Ctrl-C ends it
                text.listen(told)
        self._generate(texts)
        made = [Generation(*text.outcome(tokenizer)) for text in texts]
        return made if several else made[0]

    def _generate(self, texts: List[Text]) -> None:
        samplers = sorted((text.sampler for text in texts), key=id)  # threads wait in one order
        with self._computing() as pointer, contextlib.ExitStack() as inside:
            for sampler in samplers:
                inside.enter_context(sampler._guard.writing)
            if len(texts) == 1:
                _generate_one(pointer, texts[0], texts[0].options)
                return
            sequences = np.array([text.sequence for text in texts], np.int32)
            lengths = np.array([text.prompt.size for text in texts], np.int32)
            prompts = np.concatenate([text.prompt for text in texts])
            pickers = np.array([text.sampler._pointer for text in texts], np.uintp)
            options = np.array([ctypes.addressof(text.options) for text in texts], np.uintp)
            done = np.array([ctypes.addressof(text.done) for text in texts], np.uintp)
            batch = _structs.sgt_generate_batch(
                count=len(texts),
                sequences=address(sequences),
                samplers=address(pickers),
                prompts=address(prompts),
                lengths=address(lengths),
                options=address(options),
                generations=address(done),
            )
            call(lib.sgt_session_generate_batch, pointer, byref(batch))

    def stream(
        self,
        prompt: Union[str, Any],
        *,
        tokenizer: Optional[Tokenizer] = None,
        add_special_tokens: bool = True,
        max_tokens: int = 0,
        sampler: Optional[Sampler] = None,
        stop_tokens: Optional[Sequence[int]] = None,
        stop_strings: Union[str, Sequence[str]] = (),
        sequence: int = 0,
        **sampling: Any,
    ) -> Iterator[int]:
        """The tokens of ``generate`` one by one, while the caller does what it likes in between.

        Nothing is fed before the first one is asked for. Errors as ``generate``.
        """
        (text,) = self._texts(
            [prompt],
            tokenizer,
            add_special_tokens,
            max_tokens,
            _alone(sampler),
            stop_tokens,
            stop_strings,
            sequence,
            sampling,
        )
        return self._stream(text)

    def stream_text(
        self,
        prompt: Union[str, Any],
        *,
        tokenizer: Tokenizer,
        add_special_tokens: bool = True,
        max_tokens: int = 0,
        sampler: Optional[Sampler] = None,
        stop_tokens: Optional[Sequence[int]] = None,
        stop_strings: Union[str, Sequence[str]] = (),
        sequence: int = 0,
        **sampling: Any,
    ) -> Iterator[str]:
        """The text of ``generate`` in pieces, each as soon as its characters are certain.

        Joined they are the text of ``Generation``. Errors as ``generate``.
        """
        (text,) = self._texts(
            [prompt],
            tokenizer,
            add_special_tokens,
            max_tokens,
            _alone(sampler),
            stop_tokens,
            stop_strings,
            sequence,
            sampling,
        )
        return in_pieces(self._stream(text), tokenizer, text.stop_strings)

    def _stream(self, text: Text) -> Iterator[int]:
        stops = frozenset(map(int, text.stop_tokens))
        token = self._first_token(text)
        for count in itertools.count(1):
            found = text.stop_strings is not None and text.stop_strings.add(token)
            yield token
            if (
                found
                or token in stops
                or count == text.most
                or self.length(text.sequence) == self.max_length
            ):
                return
            token = text.sampler.pick(self.feed(token, text.sequence))

    def _first_token(self, text: Text) -> int:
        """Behind the prompt; the library knows what of it the sampler's window holds already."""
        token = ctypes.c_int32()
        options = _structs.sgt_session_generate_options(
            max_tokens=1, tokens=ctypes.addressof(token)
        )
        with self._computing() as pointer, text.sampler._guard.writing:
            _generate_one(pointer, text, options)
        return token.value

    def _texts(
        self,
        prompts: Sequence[Any],
        tokenizer: Optional[Tokenizer],
        add_special_tokens: bool,
        max_tokens: Any,
        samplers: Any,
        stop_tokens: Optional[Sequence[int]],
        stop_strings: Union[str, Sequence[str]],
        place: Any,
        sampling: Any,
    ) -> List[Text]:
        """What is asked for, checked for every way to generate."""
        count = len(prompts)
        given = [encode(prompt, tokenizer, add_special_tokens) for prompt in prompts]
        if stop_tokens is None:
            kept = self._owned.parent  # the C model is there while the session is
            assert kept
            eos = self._model._special_tokens_of(kept).stop_tokens
            stop_tokens = [token for token in eos if 0 <= token < self._model.config.vocab_size]
        stops = listed(stop_tokens, "stop_tokens")
        strings = checked_strings(stop_strings, tokenizer)
        limits = for_each(max_tokens, count, "max_tokens")
        places = for_each(place, count, "sequence", counting=True)
        vocabulary = self._model.config.vocab_size
        for most in limits:
            if most < 0:
                raise OutOfRangeError(f"max_tokens is {most}, below 0")
        for i, token in enumerate(stops):
            if not 0 <= token < vocabulary:
                raise OutOfRangeError(
                    f"stop_tokens[{i}] is {token}, not in 0 .. {vocabulary - 1}"
                )
        pickers = self._samplers(samplers, count, sampling)
        return [
            Text(
                tokens,
                picker,
                where,
                most,
                self.max_length - self.length(where),
                stops,
                StopStrings(strings, tokenizer) if strings else None,
            )
            for tokens, picker, where, most in zip(given, pickers, places, limits)
        ]

    def _samplers(self, samplers: Any, count: int, options: Any) -> List[Sampler]:
        """One for each text: those given, or of the options, whose seed counts the texts."""
        if isinstance(samplers, Sampler):
            samplers = [samplers]
        vocabulary = self._model.config.vocab_size
        if samplers is None:
            context = self._model.context._for(self._owned)
            seeds = for_each(options.pop("seed", 0), count, "seed", counting=True, kind=c_uint64)
            return [Sampler(context, vocabulary, seed=seed, **options) for seed in seeds]
        if options:
            raise TypeError(f"a sampler and its options {sorted(options)} were both given")
        if len(samplers) != count:
            raise ValueError(f"sampler has {len(samplers)} entries for {count} prompts")
        for i, sampler in enumerate(samplers):
            instance(sampler, (Sampler,), "sampler")
            if sampler in samplers[:i]:
                raise ValueError(f"sampler[{i}] is that of another prompt too")
            if sampler._vocab_size != vocabulary:
                raise InvalidArgumentError(
                    f"the sampler is for vocabularies of {sampler._vocab_size} tokens, the model "
                    f"has {vocabulary}"
                )
        return list(samplers)


def _generate_one(pointer: int, text: Text, options: Any) -> None:
    call(
        lib.sgt_session_generate,
        byref(text.done),
        pointer,
        text.sequence,
        text.sampler._pointer,
        address(text.prompt),
        text.prompt.size,
        byref(options),
    )


def _alone(sampler: Any) -> Any:
    return None if sampler is None else [sampler]


def _tell(callback: OnToken, text: int, token: int, index: int) -> Any:
    return callback(token, index, text)
