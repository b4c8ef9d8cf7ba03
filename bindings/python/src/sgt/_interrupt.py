# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C, held back while something is done that should not be left half-way."""
from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Optional


class HeldInterrupt:
    """Inside ``with``, Ctrl-C only sets ``wanted``; pressed again it interrupts at once.

    At the end KeyboardInterrupt is raised where it was wanted and nothing else is raised. Where
    Python's own handler is not in charge, as in a thread or under a host's handler, nothing is
    changed.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._previous: Any = None

    def __enter__(self) -> "HeldInterrupt":
        self.wanted = False
        own = threading.current_thread() is threading.main_thread()
        if own and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: object, exception: object, trace: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
        if self.wanted and kind is None:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
