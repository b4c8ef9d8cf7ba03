# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions: one class per status of the library, with its message.

Exceptions that are raised inside a callback cannot cross C. They are held for their thread, the
library is told to stop, and they go on from the call that the callback was part of. So does what a
signal's handler raises there.
"""
from __future__ import annotations

import threading
from typing import Any, Callable, Optional

from ._interrupt import asked
from ._library import lib
from ._messages import translated


class Error(Exception):
    """A call of the library failed. ``status`` is its code (see ``include/sgt/status.h``)."""

    status: int = 0

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class InvalidArgumentError(Error, ValueError):
    """An argument makes no sense."""

    status = -10


class StructSizeError(Error):
    """The package and the library disagree about a structure."""

    status = -11


class OutOfRangeError(Error, ValueError):
    """A value is out of range."""

    status = -12


class NotFoundError(Error, LookupError):
    """A file, name or part is not there."""

    status = -13


class MissingFileError(NotFoundError, FileNotFoundError):
    """A file or folder is not there."""


class UnsupportedError(Error):
    """The library, its build or this processor does not do it."""

    status = -14


class StateError(Error, RuntimeError):
    """The call is not allowed now."""

    status = -20


class ClosedError(StateError):
    """The object was closed."""


class GradientsInvalidError(StateError):
    """A backward pass failed or was stopped; ``zero_gradients`` makes them valid again."""

    status = -21


class OutOfMemoryError(Error, MemoryError):
    """There is no more memory."""

    status = -30


class MemoryLimitError(Error, MemoryError):
    """The memory limit of the context would be exceeded."""

    status = -31


class SizeOverflowError(Error, OverflowError):
    """A size does not fit."""

    status = -32


class FileError(Error, OSError):
    """Reading or writing a file failed."""

    status = -40


class FormatError(Error, ValueError):
    """Data is malformed."""

    status = -41


class VersionError(FormatError):
    """Data of an unknown version."""

    status = -42


class BackendError(Error):
    """An operation of the tensor backend failed."""

    status = -50


class PluginError(Error):
    """A plug-in could not be used; ``status`` tells why."""

    status = -51


class InternalError(Error):
    """The library's own fault."""

    status = -90


class Stopped(Error):
    """The progress callback of the context ended the call; ``status`` is positive."""

    status = 1


_CLASSES: dict[int, type[Error]] = {
    cls.status: cls
    for cls in (
        InvalidArgumentError,
        StructSizeError,
        OutOfRangeError,
        NotFoundError,
        UnsupportedError,
        StateError,
        GradientsInvalidError,
        OutOfMemoryError,
        MemoryLimitError,
        SizeOverflowError,
        FileError,
        FormatError,
        VersionError,
        BackendError,
        PluginError,
        InternalError,
    )
}
_CLASSES[-52] = _CLASSES[-53] = PluginError


def class_of(status: int) -> type[Error]:
    """The exception class of a status; ``Error`` for a code that this package does not know."""
    if status > 0:
        return Stopped
    return _CLASSES.get(status, Error)


# ---- exceptions of callbacks ----


class _Held(threading.local):
    exception: Optional[BaseException] = None


_held = _Held()


def held(function: Callable[[], int], failure: int = 1) -> int:
    """Runs the body of a callback; an exception is held and becomes the answer ``failure``."""
    outer, _held.exception = _held.exception, None
    try:
        answer = asked(function)
    except BaseException as exception:  # noqa: B902, it goes on from the caller
        _held.exception = outer or exception
        return failure
    _held.exception = outer
    return answer


# ---- calls ----


def failure(status: int) -> BaseException:
    """What to raise for a status, right after the call in the same thread."""
    exception, _held.exception = _held.exception, None
    if exception is not None:
        return exception
    message = translated(lib.sgt_error_message().decode("utf-8", "replace"))
    return class_of(status)(message or lib.sgt_status_text(status).decode(), status)


def call_for_file(function: Callable[..., int], *arguments: Any) -> None:
    """``call`` of a function that finds no other thing missing than a file."""
    try:
        call(function, *arguments)
    except NotFoundError as error:
        raise MissingFileError(str(error), error.status) from None


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function of the library that returns a status, and raises what it says."""
    _held.exception = None
    status = function(*arguments)
    if status:
        raise failure(status)
