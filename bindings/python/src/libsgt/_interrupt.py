# SPDX-License-Identifier: BSD-3-Clause
"""Signals such as Ctrl-C, held back while the library is at work in the main thread.

Python runs signal handlers between any two of its instructions, and a handler that raises, as that
of Ctrl-C does, would cut this package where it must not be cut: between a lock and its release, or
where C waits for an answer. So while a call is under way a signal is only noted. The handler that
was there before runs with everything released when the call is over, or earlier where C asks back
(``asked``): what it raises then ends the call and travels to the caller. User code in a callback
is interrupted as ever. Other threads need none of this: signals are handled in the main thread.
"""
from __future__ import annotations

import ctypes
import signal
import sys
import threading
from _thread import get_ident, start_new_thread
from functools import partial
from importlib import import_module
from operator import methodcaller
from time import sleep
from types import FrameType
from typing import Any, Callable, Dict, List, Optional

# What ``signal`` wraps, without its enums: ten times faster, and needed at every call.
_signal: Any = import_module("_signal")
_get, _set = _signal.getsignal, _signal.signal
# That of the system, with the interpreter's lock held; None where there is none (Windows).
_sigaction: Any = ctypes.PyDLL(None).sigaction if hasattr(signal, "siginterrupt") else None
_do = methodcaller("__call__")
_Action: Any = ctypes.c_char * 512  # at least a struct sigaction, whatever is in it
_NOT_PYTHON = (_signal.SIG_DFL, _signal.SIG_IGN, None)

_NAMES = ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_NUMBERS = tuple(int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name))

_POLL = 0.05  # seconds: how long a waiting main thread may overlook a signal


class _State:
    """Of the main thread; no other one touches it."""

    thread = threading.main_thread().ident or 0
    calls: List[bool] = []  # under way, innermost last: ``open`` as it was before each
    open = False  # the user's code, or a loop around calls, runs: handlers may raise
    patient = False  # it takes a second signal to interrupt that code
    urgent = False  # there was a second one
    noted: List[int] = []
    previous: Dict[int, Any] = {}  # handlers that ours stand in for, or did


_state = _State()


# ---- handlers ----


def _put(number: int, handler: Any) -> None:
    """``signal.signal``, which also resets the flags and the mask that the system keeps with a
    handler: what ``siginterrupt``, asyncio or C code of the host asked for stays."""
    if _sigaction is None:
        _set(number, handler)
        return
    kept = _Action()
    _sigaction(number, None, kept)
    steps = partial(_set, number, handler), partial(_sigaction, number, kept, None)
    tuple(map(_do, steps))  # all in C, where no handler comes between


def _note(number: int, frame: Optional[FrameType]) -> None:
    """The handler while a call is under way."""
    if not _inside(frame):
        return _heal(number, frame)
    if number in _state.noted:
        _state.urgent = True
    else:
        _state.noted.append(number)
    if _state.open and _due():
        _deliver()


def _inside(frame: Optional[FrameType]) -> bool:
    while frame is not None and frame.f_globals.get("__package__") != __package__:
        frame = frame.f_back
    return frame is not None


def _heal(number: int, frame: Optional[FrameType]) -> None:
    """Something cut a call off before it was over, and ours is still the handler."""
    _state.calls.clear()
    _state.open = False
    _restore()
    _state.noted.append(number)
    _deliver()


def _install() -> None:
    for number in _NUMBERS:
        handler = _get(number)
        if handler in _NOT_PYTHON or handler is _note:
            continue
        _state.previous[number] = handler
        _put(number, _note)


def _restore() -> None:
    for number in _NUMBERS:
        if _get(number) is _note:  # and not one that a callback put there
            _put(number, _state.previous[number])


def _due() -> bool:
    return bool(_state.noted) and (_state.urgent or not _state.patient)


def _deliver() -> None:
    """Runs the handlers of what was noted. One that raises leaves the door closed behind it."""
    was, _state.open = _state.open, False
    _state.urgent = False
    while _state.noted:
        number = _state.noted.pop(0)
        _state.previous[number](number, sys._getframe(1))
    _state.open = was


# ---- calls ----


def begin() -> None:
    """From here to ``end`` signals are noted. Calls may nest; handlers are put in place once."""
    state = _state
    if get_ident() != state.thread:
        return
    if not state.calls:
        _install()
    was, state.open = state.open, False  # closed before there is something to leave
    state.calls.append(was)


def end() -> None:
    """Ends what ``begin`` began; at the outermost call the handlers of noted signals run."""
    state = _state
    if not state.calls or get_ident() != state.thread:
        return
    state.open = state.calls.pop()
    if not state.calls:
        state.open = False
        _restore()
        if state.noted:
            _deliver()
    elif state.open and _due():
        _deliver()


def _mine() -> bool:
    return bool(_state.calls) and get_ident() == _state.thread


def end_finalizer() -> None:
    """``end`` where Python only prints what is raised: handlers run when that is over."""
    if _mine() and len(_state.calls) == 1 and _state.noted:
        _state.noted, again = [], _state.noted
        start_new_thread(_send, (again,))
    end()


def _send(numbers: List[int]) -> None:
    sleep(0.01)
    for number in numbers:
        if hasattr(signal, "pthread_kill"):  # which ends a sleep, too
            signal.pthread_kill(_state.thread, number)
        else:
            signal.raise_signal(number)


class Call:
    """``with Call():`` a call that no guard protects."""

    def __enter__(self) -> None:
        begin()

    def __exit__(self, *exception: object) -> None:
        end()


class Patiently:
    """``with Patiently():`` several calls that a first signal does not come between.

    It is handled at ``deliver`` or at the end; pressed again, Ctrl-C interrupts at once.
    """

    def __enter__(self) -> "Patiently":
        self._outer = _state.patient
        begin()
        if _mine():
            _state.patient = _state.open = True
        return self

    def __exit__(self, *exception: object) -> None:
        if _mine():
            _state.open = False
            _state.patient = self._outer
        end()

    def deliver(self) -> None:
        """Runs the handlers of what was noted so far."""
        if _mine():
            _deliver()


# ---- inside a call ----


def in_main_thread() -> bool:
    """Whether signals are handled here."""
    return get_ident() == _state.thread


def asked(function: Callable[[], int]) -> int:
    """Runs the user's part of a callback; the caller catches what it or a handler raises."""
    if not _mine():
        return function()
    _state.open = True
    try:
        if _due():
            _deliver()
        return function()
    finally:
        _state.open = False


def wait(lock: Any) -> None:
    """Acquires a lock, or returns to be called again; handlers may raise."""
    if not _mine():
        lock.acquire()
    elif not lock.acquire(True, _POLL) and _due():
        _deliver()


def forked() -> None:
    """In the child: the main thread may be another one, which is not in the parent's calls."""
    if _state.thread != get_ident():
        _state.thread = get_ident()
        _state.calls.clear()
        _state.noted.clear()
        _state.open = _state.patient = _state.urgent = False
        _restore()
