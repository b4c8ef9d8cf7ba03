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
from contextlib import nullcontext
from typing import Any, Callable, ContextManager, Dict, Optional, TypeVar

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
    if not family.broken:
        free(pointer)


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
        self.parent: Optional[Handle] = keep[0]
        finalizer = weakref.finalize(self, _free, free, pointer, family, keep)
        # A daemon thread may still be inside the library when the interpreter ends.
        finalizer.atexit = False


# ---- guards ----

_guards: "weakref.WeakSet[Guard]" = weakref.WeakSet()


class _Reading:
    __slots__ = ("guard",)

    def __init__(self, guard: "Guard") -> None:
        self.guard = guard

    def __enter__(self) -> None:
        self.guard.enter(False)

    def __exit__(self, *exception: object) -> None:
        self.guard.leave()


class _Writing(_Reading):
    __slots__ = ()

    def __enter__(self) -> None:
        self.guard.enter(True)


class Guard:
    """Readers side by side (``with guard.reading``), writers alone (``with guard.writing``).

    nested: a thread may read again while it reads; else that is an error, because a callback must
    not call the object that it is called from.
    """

    def __init__(self, family: Family, nested: bool = False) -> None:
        self.family = family
        self._nested = nested
        self._turn = threading.Condition(threading.Lock())
        self._inside: Dict[int, int] = {}  # how often each thread is inside
        self._writing = False
        self._writers_waiting = 0
        self.reading = _Reading(self)
        self.writing = _Writing(self)
        _guards.add(self)

    def enter(self, write: bool) -> None:
        me = threading.get_ident()
        with self._turn:
            if self.family.broken:
                raise StateError(
                    "this process was forked while another thread was using the library; "
                    "make a new context"
                )
            if me in self._inside:
                if write or self._writing or not self._nested:
                    raise StateError("called from a callback of the same object")
                self._inside[me] += 1
                return
            if write:
                self._wait_to_write()
            else:
                while self._writing or self._writers_waiting:
                    self._turn.wait()
            self._inside[me] = 1
            self._writing = write

    def _wait_to_write(self) -> None:
        self._writers_waiting += 1
        try:
            while self._inside:
                self._turn.wait()
        finally:
            self._writers_waiting -= 1
            self._turn.notify_all()

    def leave(self) -> None:
        me = threading.get_ident()
        with self._turn:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
                self._writing = False
                self._turn.notify_all()

    def forked(self) -> None:
        """In the child: threads are gone, with what they were doing."""
        me = threading.get_ident()
        if any(thread != me for thread in self._inside):
            self.family.broken = True
        self._inside = {me: self._inside[me]} if me in self._inside else {}
        self._writing = self._writing and bool(self._inside)
        self._writers_waiting = 0
        self._turn = threading.Condition(threading.Lock())


def _after_fork_in_child() -> None:
    registry_lock.release()
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
        return f"<{type(self).__module__}.{type(self).__name__} {about}>"


def reading(owner: Optional[Owner]) -> ContextManager[None]:
    """Reads an object that may be left out."""
    if owner is None:
        return nullcontext()
    return owner._guard.reading
