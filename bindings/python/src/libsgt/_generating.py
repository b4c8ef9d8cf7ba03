# SPDX-License-Identifier: BSD-3-Clause
"""What ``Session.generate`` and ``stream`` share: prompts, one text's part of a call, and strings
to stop at, which C does not know."""
from __future__ import annotations

from ctypes import c_int32
from typing import Any, Callable, Iterator, List, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from . import _enums, _structs
from ._arrays import Int32, address, sequence
from ._scalars import integer
from .errors import held
from .sampler import Sampler

#: One prompt: tokens, or text with a tokenizer.
Prompt = Union[str, Any]

_UNDECODED = "\ufffd"  # what tokenizers write for bytes that are no character, or not yet


class Tokenizer(Protocol):
    """What a string prompt needs. ``encode`` gives tokens, or an object with ``ids``."""

    def encode(self, text: str) -> Any: ...

    def decode(self, tokens: Any) -> str: ...


def tokens_of(tokens: Any, name: str = "tokens") -> Int32:
    """Tokens [N]; a single one may be a number."""
    one = isinstance(tokens, (int, np.integer))
    return sequence(np.atleast_1d(tokens) if one else tokens, name)


def encode(prompt: Prompt, tokenizer: Optional[Tokenizer], add_special_tokens: bool) -> Int32:
    """A prompt as tokens; a tokenizer that adds none need not know of special ones."""
    if not isinstance(prompt, str):
        return tokens_of(prompt, "tokens of the prompt")
    if tokenizer is None:
        raise TypeError("a string prompt needs a tokenizer")
    options = {} if add_special_tokens else {"add_special_tokens": False}
    tokens = tokenizer.encode(prompt, **options)
    return sequence(getattr(tokens, "ids", tokens), "tokens of the encoded prompt")


def are_several(prompt: Any) -> bool:
    """Whether it is a list of prompts: of strings or arrays, not of numbers."""
    return (
        isinstance(prompt, (list, tuple))
        and len(prompt) > 0
        and all(isinstance(p, (str, list, tuple)) or np.ndim(p) > 0 for p in prompt)
    )


def for_each(
    value: Any, count: int, name: str, *, counting: bool = False, kind: Any = c_int32
) -> List[int]:
    """An integer for each of ``count`` texts: a list of them, or one that all share, or, counting,
    one that is the first's and goes up by 1."""
    if isinstance(value, (list, tuple, range, np.ndarray)):
        if len(value) != count:
            raise ValueError(f"{name} has {len(value)} entries for {count} prompts")
        return [integer(entry, f"{name}[{i}]", kind) for i, entry in enumerate(value)]
    first = integer(value, name, kind)
    return [integer(first + i * counting, name, kind) for i in range(count)]


# ---- text ----


class Pieces:
    """Text out of tokens that come one by one; joined, what ``decode`` makes of all of them.

    A token may end in the middle of a character, and how it is written may depend on those before
    it. So a few tokens are decoded together: those of the last piece, whose text is known, and the
    new ones; what the latter add is new text. Bytes that are no whole character wait.
    """

    def __init__(self, decode: Callable[[List[int]], str]) -> None:
        self._decode = decode
        self._tokens: List[int] = []  # of the last piece, and those since then
        self._known = 0  # of these, the former

    def add(self, token: int) -> Tuple[str, bool]:
        """The text since the last piece, but for bytes that wait, and whether it is a piece now."""
        self._tokens.append(token)
        new = self.rest()
        whole = new != "" and not new.endswith(_UNDECODED)
        if whole:
            self._tokens = self._tokens[self._known :]
            self._known = len(self._tokens)
        return new.rstrip(_UNDECODED), whole

    def rest(self) -> str:
        """All text since the last piece, with what may be a character that was cut off."""
        known = self._decode(self._tokens[: self._known])
        return self._decode(self._tokens)[len(known) :]


# ---- strings to stop at ----


def checked_strings(strings: Union[str, Sequence[str]], tokenizer: Any) -> Tuple[str, ...]:
    """The strings to stop at; a single one may come alone."""
    checked = (strings,) if isinstance(strings, str) else tuple(strings)
    for i, string in enumerate(checked):
        if not isinstance(string, str):
            raise TypeError(f"stop_strings[{i}] is {string!r}, a string is needed")
        if not string:
            raise ValueError(f"stop_strings[{i}] is empty")
    if checked and tokenizer is None:
        raise TypeError("stop_strings need a tokenizer")
    return checked


class StopStrings:
    """Looks for strings in the text that tokens make as they come one by one."""

    def __init__(self, strings: Tuple[str, ...], tokenizer: Any) -> None:
        self._strings = strings
        #: The characters at the end of a text that may be of a string that has begun.
        self.overlap = max(map(len, strings)) - 1
        self._decoded = Pieces(tokenizer.decode)
        self._pieces: List[str] = []
        self._tail = ""  # the end of the text in pieces
        #: The text before the string that was found; None: there was none yet.
        self.text: Optional[str] = None

    def add(self, token: int) -> bool:
        """Whether the text with this token has one of the strings."""
        new, whole = self._decoded.add(token)
        window = self._tail + new
        places = [window.find(string) for string in self._strings if string in window]
        if places:
            known = "".join(self._pieces)
            self.text = known[: len(known) - len(self._tail)] + window[: min(places)]
            return True
        if whole:
            self._pieces.append(new)
            self._tail = window[-self.overlap :] if self.overlap else ""
        return False


def in_pieces(
    tokens: Iterator[int], tokenizer: Tokenizer, stop_strings: Optional[StopStrings]
) -> Iterator[str]:
    """The text of a stream of tokens, up to the string that ends it. What may be the beginning of
    such a string waits."""
    pieces, waiting, given = Pieces(tokenizer.decode), "", 0
    overlap = 0 if stop_strings is None else stop_strings.overlap
    for token in tokens:
        if stop_strings is not None and stop_strings.text is not None:
            continue  # it completed one
        new, whole = pieces.add(token)
        if whole:
            waiting += new
            ready = waiting[: max(0, len(waiting) - overlap)]
            if ready:
                waiting, given = waiting[len(ready) :], given + len(ready)
                yield ready
    if stop_strings is not None and stop_strings.text is not None:
        last = stop_strings.text[given:]
    else:
        last = waiting + pieces.rest()
    if last:
        yield last


# ---- one text of a call ----


class Text:
    """A prompt and where its text goes on to; ``options`` is C's part of it."""

    def __init__(
        self,
        prompt: Int32,
        sampler: Sampler,
        place: int,
        most: int,
        room: int,
        stop_tokens: Int32,
        stop_strings: Optional[StopStrings],
    ) -> None:
        self.prompt = prompt
        self.sampler = sampler
        self.sequence = place
        self.most = most
        self.stop_tokens = stop_tokens
        self.stop_strings = stop_strings
        # One more than fit, so that the library says that the sequence is full.
        self._tokens = np.empty(most or max(1, room - prompt.size + 2), np.int32)
        self.options = _structs.sgt_session_generate_options(
            max_tokens=self._tokens.size,
            tokens=address(self._tokens),
            stop_tokens=address(stop_tokens),
            n_stop_tokens=stop_tokens.size,
            ignore_eos=True,  # they are among the stop tokens where they are wanted
        )
        self.done = _structs.sgt_generation()

    def listen(self, callback: Optional[Callable[[int, int], Any]]) -> None:
        """Has the callback asked, then the strings looked for, at each token."""
        strings = self.stop_strings

        def stops(token: int, index: int) -> bool:
            if callback is not None and callback(token, index):
                return True
            return strings is not None and strings.add(token)

        def answer(user: Optional[int], token: int, index: int) -> int:
            return held(lambda: 1 if stops(token, index) else 0, -1)

        self.options.callback = _structs.token_fn(answer)

    def outcome(self, tokenizer: Optional[Tokenizer]) -> Tuple[Int32, Optional[str], str, float]:
        """Tokens, text, end and log_prob, after the call."""
        tokens = self._tokens[: self.done.count].copy()
        end = _enums.word(_enums.GENERATE_END, self.done.end)
        if self.stop_strings is not None and self.stop_strings.text is not None:
            return tokens, self.stop_strings.text, "stop_string", self.done.log_prob
        text = None if tokenizer is None else tokenizer.decode(tokens.tolist())
        return tokens, text, end, self.done.log_prob
