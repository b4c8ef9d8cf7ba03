# SPDX-License-Identifier: BSD-3-Clause
"""Arguments: ctypes cuts integers that do not fit and numpy cuts floats; this refuses them."""
from __future__ import annotations

import operator
from ctypes import c_double, c_float, c_int32, c_int64, c_uint32, c_uint64
from typing import Any, Tuple

import numpy as np

_RANGES = {
    c_int32: (-(2**31), 2**31 - 1),
    c_uint32: (0, 2**32 - 1),
    c_int64: (-(2**63), 2**63 - 1),
    c_uint64: (0, 2**64 - 1),
}


def instance(value: Any, kinds: Tuple[type, ...], name: str, *, optional: bool = False) -> None:
    """TypeError for what is no object of these classes; optional: None is fine."""
    if isinstance(value, kinds) or (optional and value is None):
        return
    if isinstance(value, type) and issubclass(value, kinds):
        made = value.__name__
        raise TypeError(f"{name}: an object is needed, not the class: {made}(...), not {made}")
    wanted = " or ".join(kind.__name__ for kind in kinds)
    article = "an" if wanted[0] in "AEIOU" else "a"
    raise TypeError(f"{name}: {article} {wanted} is needed, not {value!r:.40}")


def _refuse_masked(value: Any, name: str) -> None:
    """A masked number has no value, though numpy and Python give what lies under the mask."""
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise TypeError(f"{name}: a number is needed, not a masked one")


def integer(value: Any, name: str, type_: Any = c_int32) -> int:
    """Any integer, numpy's too, as Python's. TypeError for what is none, OverflowError."""
    _refuse_masked(value, name)
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: an integer is needed, not {value!r:.40}") from None
    least, most = _RANGES[type_]
    if not least <= number <= most:
        raise OverflowError(f"{name}: {number} does not fit, it is not in {least} .. {most}")
    return number


def real(value: Any, name: str) -> float:
    """Any real number as Python's. TypeError, OverflowError."""
    _refuse_masked(value, name)
    try:
        return c_double(value).value
    except TypeError:
        raise TypeError(f"{name}: a real number is needed, not {value!r:.40}") from None
    except OverflowError:
        raise OverflowError(f"{name}: the number is too large for a double") from None


def checked(value: Any, name: str, type_: Any) -> Any:
    """A value for a field or parameter of C; what is no number passes through."""
    if type_ in _RANGES:
        return integer(value, name, type_)
    if type_ is c_double or type_ is c_float:
        return real(value, name)
    return value


def parameter(type_: Any, name: str) -> Any:
    """The type of a function's argument that is checked; an error tells its name."""

    def from_param(cls: Any, value: Any) -> Any:
        return type_(checked(value, name, type_))

    members = {"from_param": classmethod(from_param), "parameter": name}
    return type(f"{type_.__name__}_{name}", (type_,), members)
