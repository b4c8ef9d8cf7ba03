# SPDX-License-Identifier: BSD-3-Clause
"""The enumerations of the headers, by the words that Python callers use.

Each table is named after its C enumeration and checked against it by a test. A word is the rest of
the constant's name in lower case where that reads well.
"""
from __future__ import annotations

from typing import Any, Literal, Mapping

# The words of arguments, for type checkers; a test compares them with the tables.
AttentionKind = Literal["softmax", "multiplicative"]
AttentionOutput = Literal["projection", "none"]
FeedForwardKind = Literal["swiglu", "relu"]
AltupOrder = Literal["alternate", "same"]
AltupTable = Literal["recycled", "wide"]
Collected = Literal["none", "last", "mean", "both"]
Kind = Literal["last", "mean"]
FlopsLoops = Literal["vanilla", "now", "grown"]
FlopsPhase = Literal["forward", "evaluate", "decode"]
Schedule = Literal["constant", "linear", "cosine", "warmup_stable_decay"]
DecayScope = Literal["all", "matrices"]
Moment = Literal["first", "second"]
GrowthAction = Literal["none", "select", "deepen", "fix"]
Ramp = Literal["reference", "hard", "warm"]
Fade = Literal["linear", "cosine", "exponential"]
Direction = Literal["deep_to_shallow", "shallow_to_deep"]
HeadChoice = Literal["highest", "lowest", "random"]
SavedType = Literal["float32", "bfloat16", "float16"]
SessionWeights = Literal["float32", "bfloat16"]
Isa = Literal["baseline", "avx2", "avx512"]

LOG_LEVEL = {"error": 1, "warning": 2, "info": 3, "debug": 4}
PHASE = {"forward": 1, "backward": 2, "evaluate": 3, "decode": 4, "load": 5, "save": 6}
DTYPE = {"float32": 1, "float64": 2, "bfloat16": 3, "float16": 4, "int32": 5}
SAVED_TYPE = {word: DTYPE[word] for word in ("float32", "bfloat16", "float16")}
SESSION_WEIGHTS = {word: DTYPE[word] for word in ("float32", "bfloat16")}
ATTENTION = {"softmax": 0, "multiplicative": 1}
ATTENTION_OUTPUT = {"projection": 0, "none": 1}
FEED_FORWARD = {"swiglu": 0, "relu": 1}
ALTUP_ORDER = {"alternate": 0, "same": 1}
ALTUP_TABLE = {"recycled": 0, "wide": 1}
ENTROPY = {"none": 0, "last": 1, "mean": 2, "both": 3}
PART = {"weight": 1, "gradient": 2}
FLOPS_LOOPS = {"vanilla": 0, "now": 1, "grown": 2}
FLOPS_PHASE = {word: PHASE[word] for word in ("forward", "evaluate", "decode")}
SCHEDULE = {"constant": 0, "linear": 1, "cosine": 2, "warmup_stable_decay": 3}
DECAY_SCOPE = {"all": 0, "matrices": 1}
MOMENT = {"first": 1, "second": 2}
GROWTH_ACTION = {"none": 0, "select": 1, "deepen": 2, "fix": 3}
RAMP = {"reference": 0, "hard": 1, "warm": 2}
FADE = {"linear": 0, "cosine": 1, "exponential": 2}
DIRECTION = {"deep_to_shallow": 0, "shallow_to_deep": 1}
HEAD_CHOICE = {"highest": 0, "lowest": 1, "random": 2}
KEY_SET = {"local": 1, "strided": 2, "block": 4, "summary": 8}
GENERATE_END = {
    "max_tokens": 1,
    "stop_token": 2,
    "callback": 3,
    "full": 4,
    "stop_sequence": 5,
}


def number(table: Mapping[str, int], word: str, name: str) -> int:
    """The value of a word; ValueError names the argument and the words there are."""
    try:
        return table[word]
    except (KeyError, TypeError):
        known = ", ".join(repr(w) for w in table)
        raise ValueError(f"{name} is {word!r}, not one of {known}") from None


def word(table: Mapping[str, int], value: int) -> Any:
    """The word of a value of the library."""
    for known, number_ in table.items():
        if number_ == value:
            return known
    return str(value)
