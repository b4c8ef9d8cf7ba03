# SPDX-License-Identifier: BSD-3-Clause
"""Finds the shared library, checks its version and declares its functions.

The order: the path in ``SGT_LIBRARY``, the library that a wheel carries inside the package, the
library of the system by its soname. Only the first of them that is there is tried.
"""
from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Callable, List, Tuple

from ._functions import PROTOTYPES

#: The version of this package; structures are those of the headers of this version.
VERSION = "0.2.0"

#: The binary interface it was made for: below 1.0 every minor release has one of its own.
ABI = "0.2"

_FILE_NAMES = {"darwin": f"libsgt.{ABI}.dylib", "win32": f"sgt-{ABI}.dll"}
_FILE_NAME = _FILE_NAMES.get(sys.platform, f"libsgt.so.{ABI}")


def _candidate() -> Tuple[str, str]:
    """What to load, and where that choice comes from."""
    override = os.environ.get("SGT_LIBRARY")
    if override:
        return override, "named by the environment variable SGT_LIBRARY"
    bundled = Path(__file__).parent / "_lib" / _FILE_NAME
    if bundled.exists():
        return str(bundled), "inside the package"
    return _FILE_NAME, (
        "of the system (SGT_LIBRARY is not set and the package carries no library: it was not "
        "installed from a wheel)"
    )


def _load() -> Tuple[ctypes.CDLL, str]:
    path, origin = _candidate()
    try:
        return ctypes.CDLL(path), path
    except OSError as error:
        message = f"libsgt: the library {path!r} {origin} cannot be loaded: {error}"
        raise ImportError(message) from None


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _check_version(library: ctypes.CDLL, path: str) -> None:
    """Structures only grow, so a newer library of the same interface is fine."""
    library.sgt_version.restype = ctypes.c_char_p
    found = library.sgt_version().decode()
    own, theirs = _numbers(VERSION), _numbers(found)
    interface = _numbers(ABI)
    if theirs[: len(interface)] != interface or theirs < own:
        raise ImportError(
            f"libsgt: the library {path!r} is version {found}; this package is {VERSION} and needs "
            f"that version or a later one of {ABI}.x"
        )


def _declare(library: ctypes.CDLL, path: str) -> None:
    for name, (result, arguments) in PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"libsgt: the library {path!r} lacks the function {name}") from None
        function.restype = result
        function.argtypes = arguments
        setattr(library, name, _explaining(name, function, arguments))


def _explaining(name: str, function: Callable[..., Any], arguments: List[Any]) -> Any:
    """The function, with the error of an argument as it is in place of ctypes' own."""

    def caller(*given: Any) -> Any:
        try:
            return function(*given)
        except ctypes.ArgumentError as error:
            wrong: Exception = error
        for type_, value in zip(arguments, given):
            try:
                type_.from_param(value)
            except (TypeError, OverflowError) as error:
                named = hasattr(type_, "parameter")  # the error has the argument's name
                wrong = error if named else type(error)(f"{name}: {error}")
                break
        raise wrong

    return caller


def _open() -> Tuple[ctypes.CDLL, str]:
    library, path = _load()
    try:
        _check_version(library, path)
    except AttributeError:
        raise ImportError(f"libsgt: {path!r} is not libsgt: it has no sgt_version") from None
    _declare(library, path)
    return library, path


lib, library_file = _open()


def library_version() -> str:
    """The version of the library that runs, as "major.minor.patch"."""
    return str(lib.sgt_version().decode())


def library_path() -> str:
    """What was loaded: a path, or a soname that the system looked up."""
    return library_file
