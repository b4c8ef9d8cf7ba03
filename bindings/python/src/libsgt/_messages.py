# SPDX-License-Identifier: BSD-3-Clause
"""Messages of the library in the words of this package: it names arguments and calls as C has them.

    sgt_optimizer_options.beta2 is 2 ...        betas[1] is 2 ...
    batch.seq is 17, must be 1 to ...           tokens.shape[-1] is 17, must be 1 to ...
    call sgt_model_zero_gradients first         call model.zero_gradients() first
"""
from __future__ import annotations

import difflib
import functools
import re
from typing import Iterable, List, Pattern

from . import _structs
from ._functions import PROTOTYPES

# What is named otherwise here.
_ARGUMENTS = {
    "beta1": "betas[0]",
    "beta2": "betas[1]",
    "bias_tokens": "the tokens of bias",
    "batch.batch": "tokens.shape[0]",
    "batch.seq": "tokens.shape[-1]",
}
_CALLS = {
    "sgt_hf_load": "Model.from_pretrained",
    "sgt_hf_save": "model.save_pretrained",
    "sgt_model_set_plan": "an assignment to model.plan",
}
_OBJECTS = ("checkpoint", "growth", "model", "optimizer", "plan", "sampler", "session")


@functools.lru_cache(maxsize=None)
def _names() -> Pattern[str]:
    """Where the library's names are: fields at the beginning, calls that are no part of a path."""
    structs = "|".join(name for name in vars(_structs) if name.startswith("sgt_"))
    calls = "|".join(sorted(PROTOTYPES, key=len, reverse=True))
    return re.compile(
        rf"^(?:(?:{structs})\.)?(?P<field>{'|'.join(_ARGUMENTS)})(?=[ \[])"
        rf"|^(?:{structs})\.(?=\w+[ \[])"
        rf"|(?<![\w/.])(?P<article>an )?(?P<call>{calls})(?![\w/.])"
    )


def _word(match: "re.Match[str]") -> str:
    if match["field"]:
        return _ARGUMENTS[match["field"]]
    if not match["call"]:
        return ""
    call = _CALLS.get(match["call"])
    if call is None:
        owner, _, name = match["call"][len("sgt_") :].partition("_")
        call = f"{owner}.{name}()" if owner in _OBJECTS else match["call"]
    return ("a " if match["article"] else "") + call


def translated(message: str) -> str:
    """A message of the library for somebody who calls it from Python."""
    return _names().sub(_word, message)


def similar(name: object, names: Iterable[str]) -> str:
    """"; similar: ..." where some of the names are what may have been meant, else nothing."""
    known, wanted = list(names), str(name).lower()
    found: List[str] = [other for other in known if wanted and wanted in other.lower()]
    found += difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    shown = list(dict.fromkeys(found))[:3]
    return f"; similar: {', '.join(map(repr, shown))}" if shown else ""
