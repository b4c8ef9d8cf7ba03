# SPDX-License-Identifier: BSD-3-Clause
"""What all structures have in common."""
from __future__ import annotations

import ctypes
from typing import Any, Dict

from .._scalars import checked


class Sized(ctypes.Structure):
    """A structure whose first field is its own size. Numbers that are not of their field's kind or
    do not fit are a TypeError or an OverflowError that names it."""

    _types: Dict[str, Any] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._types = {field[0]: field[1] for field in cls._fields_}

    def __init__(self, **fields: Any) -> None:
        super().__init__(size=ctypes.sizeof(self), **fields)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, checked(value, name, self._types.get(name)))
