# SPDX-License-Identifier: BSD-3-Clause
"""Who owns an object of the library, and who may use it now.

A ``Handle`` owns one C object and frees it when the last Python object that holds the handle is
gone: the wrapper (until ``close``) and the views of its memory. A ``Guard`` is the library's rule
for threads: any number of readers, or one caller that changes the object. What belongs to one
context shares a ``Family``, which a fork in a bad moment breaks: a child process whose parent had
another thread inside the library gets an error, not a lock that nobody will ever release.
"""
from __future__ import annotations

import os
import threading
import weakref
from _thread import allocate_lock, get_ident
from contextlib import nullcontext
from typing import Any, Callable, ContextManager, Dict, Optional, TypeVar

from ._interrupt import begin, end, end_finalizer, forked, wait
from ._text import public_name
from .errors import ClosedError, StateError

_Self = TypeVar("_Self", bound="Owner")

#: Held while the library's list of backends may be locked, and across forks.
registry_lock = threading.RLock()


class Family:
    """Everything that belongs to one context."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False


def _free(free: Callable[[int], None], pointer: int, family: Family, keep: Any) -> None:
    begin()
    try:
        if not family.broken:
            free(pointer)
    finally:
        end_finalizer()


class Handle:
    """One C object. ``keep`` is what C reaches from it: first the handle it was made from (None for
    a context), then callbacks and other handles."""

    __slots__ = ("pointer", "family", "parent", "__weakref__")

    def __init__(
        self, pointer: Optional[int], free: Callable[[int], None], family: Family, *keep: Any
    ) -> None:
        assert pointer
        self.pointer = pointer
        self.family = family
        self.parent: Optional[Handle] = keep[0] if keep else None
        finalizer = weakref.finalize(self, _free, free, pointer, family, keep)
        # A daemon thread may still be inside the library when the interpreter ends.
        finalizer.atexit = False


# ---- guards ----

_guards: "weakref.WeakSet[Guard]" = weakref.WeakSet()


class _Reading:
    """Signals are held back around it; an exception leaves the guard as it was."""

    __slots__ = ("guard",)
    write = False

    def __init__(self, guard: "Guard") -> None:
        self.guard = guard

    def __enter__(self) -> None:
        guard = self.guard
        before = guard._inside.get(get_ident(), 0)
        begin()
        try:
            guard.enter(self.write)
        except BaseException:
            guard.leave(before)
            end()
            raise

    def __exit__(self, *exception: object) -> None:
        guard = self.guard
        try:
            guard.leave(guard._inside[get_ident()] - 1)
        finally:
            end()


class _Writing(_Reading):
    __slots__ = ()
    write = True


class Guard:
    """Readers side by side (``with guard.reading``), writers alone (``with guard.writing``).

    nested: a thread may read again while it reads; else that is an error, because a callback must
    not call the object that it is called from. The lock is one of C, held for a few instructions
    in a ``with`` that nothing can come between; what waits has a ticket, a lock to sleep on.
    """

    def __init__(self, family: Family, nested: bool = False) -> None:
        self.family = family
        self._nested = nested
        self._lock = allocate_lock()
        self._inside: Dict[int, int] = {}  # how often each thread is inside
        self._writing = False
        self._waiting: Dict[Any, bool] = {}  # tickets, and whether they are for writing
        self.reading = _Reading(self)
        self.writing = _Writing(self)
        _guards.add(self)

    def enter(self, write: bool) -> None:
        if self._admit(write):
            return
        ticket = allocate_lock()
        ticket.acquire()
        try:
            while not self._admit(write, ticket):
                wait(ticket)
        finally:
            with self._lock:
                self._waiting.pop(ticket, None)
                self._wake()

    def _admit(self, write: bool, ticket: Any = None) -> bool:
        """Goes inside, or has the ticket called when somebody leaves."""
        me = get_ident()
        with self._lock:
            if self.family.broken:
                raise StateError(
                    "this process was forked while another thread was using the library; "
                    "make a new context"
                )
            if me in self._inside:
                if write or self._writing or not self._nested:
                    raise StateError("called from a callback of the same object")
                self._inside[me] += 1
                return True
            if self._inside if write else self._writing or any(self._waiting.values()):
                if ticket is not None:
                    self._waiting[ticket] = write
                return False
            self._writing = write
            self._inside[me] = 1
            return True

    def leave(self, left: int) -> None:
        """Takes this thread out until it is inside ``left`` times; repeating that is harmless."""
        try:
            self._leave(left)
        except BaseException:
            self._leave(left)
            raise

    def _leave(self, left: int) -> None:
        me = get_ident()
        with self._lock:
            if left > 0:
                self._inside[me] = left
                return
            self._inside.pop(me, None)
            if not self._inside:
                self._writing = False
                self._wake()

    def _wake(self) -> None:
        for ticket in self._waiting:
            if ticket.locked():
                ticket.release()

    def forked(self) -> None:
        """In the child: threads are gone, with what they were doing."""
        me = get_ident()
        if any(thread != me for thread in self._inside):
            self.family.broken = True
        self._inside = {me: self._inside[me]} if me in self._inside else {}
        self._writing = self._writing and bool(self._inside)
        self._waiting = {}
        self._lock = allocate_lock()


def _after_fork_in_child() -> None:
    registry_lock.release()
    forked()
    for guard in list(_guards):
        guard.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=registry_lock.acquire,
        after_in_parent=registry_lock.release,
        after_in_child=_after_fork_in_child,
    )


# ---- wrappers ----


class Owner:
    """A Python object that stands for one C object."""

    _handle: Optional[Handle] = None
    _guard: Guard

    @property
    def _owned(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ClosedError(f"this {type(self).__name__} is closed")
        return handle

    @property
    def _pointer(self) -> int:
        return self._owned.pointer

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called (or the constructor failed)."""
        return self._handle is None

    def close(self) -> None:
        """Gives the C object up; views of its memory stay valid. Closing twice is fine."""
        if self._handle is None:
            return
        with self._guard.writing:
            self._handle = None

    def __enter__(self: _Self) -> _Self:
        self._owned
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For copy and pickle."""
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled: it stands for one object of the "
            "library"
        )

    def _about(self) -> str:
        """What the repr says of an open object; it must not wait for other threads for long."""
        return f"at {self._pointer:#x}"

    def __repr__(self) -> str:
        try:
            about = "closed" if self._handle is None else self._about()
        except (StateError, AttributeError):  # just closed by another thread; not yet made
            about = "not usable now"
        return f"<{public_name(type(self))} {about}>"


def reading(owner: Optional[Owner]) -> ContextManager[None]:
    """Reads an object that may be left out."""
    if owner is None:
        return nullcontext()
    return owner._guard.reading
