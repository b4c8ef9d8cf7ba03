# SPDX-License-Identifier: BSD-3-Clause
"""Strings for C: bytes without a zero inside, where C would end them."""
from __future__ import annotations

import ctypes
import os
from typing import Any, Iterable, Optional, Union

Path = Union[str, "os.PathLike[str]"]


def public_name(kind: type) -> str:
    """A class as users know it: those of this package by the package alone."""
    module = kind.__module__
    inside = module == __package__ or module.startswith(f"{__package__}.")
    return f"{__package__ if inside else module}.{kind.__name__}"


def _whole(data: bytes, what: object) -> bytes:
    if b"\0" in data:
        raise ValueError(f"{what!r} has a zero character in it")
    return data


def encoded(text: Optional[str]) -> Optional[bytes]:
    """UTF-8, or None for nothing."""
    return None if text is None else _whole(text.encode(), text)


def encoded_path(path: Path) -> bytes:
    """A path as the system writes it."""
    return _whole(os.fsencode(path), path)


def encoded_list(texts: Iterable[str]) -> Any:
    """An array of C strings, which keeps them."""
    data = [_whole(text.encode(), text) for text in texts]
    return (ctypes.c_char_p * len(data))(*data)
