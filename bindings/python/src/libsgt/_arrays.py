# SPDX-License-Identifier: BSD-3-Clause
"""Arrays in and out: what callers give becomes dense arrays of the type that C reads, and memory of
the library becomes numpy arrays that keep its owner alive.

Whoever passes an address to C keeps the array it belongs to until the call is over.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ._enums import DTYPE
from ._handles import Handle
from ._messages import similar
from ._scalars import integer

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

_ma: Any = np.ma  # without hints before numpy 2
_INT32 = np.iinfo(np.int32)
_VIEWS: Dict[int, str] = {DTYPE["float32"]: "<f4", DTYPE["float64"]: "<f8", DTYPE["int32"]: "<i4"}


def _taken(values: Any) -> Any:
    """Whatever was given as numpy takes it; subclasses, masks with them, stay what they are."""
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        return np.from_dlpack(values)
    if isinstance(values, (list, tuple)) and _holds_masks(values):
        return _ma.array(values)
    return np.asanyarray(values)


def _holds_masks(values: Any) -> bool:
    """Whether lists have masked arrays inside, whose masks numpy would drop."""
    return any(
        _holds_masks(item) if isinstance(item, (list, tuple)) else _is_masked_array(item)
        for item in values
    )


def _is_masked_array(values: Any) -> bool:
    return isinstance(values, _ma.MaskedArray)


def as_array(values: Any, name: str) -> npt.NDArray[Any]:
    """A plain numpy array of what was given; without a copy where DLPack or the buffer allow it.

    Masked elements have no value: they are a TypeError.
    """
    array = _taken(values)
    if _ma.is_masked(array):
        raise TypeError(f"{name}: some elements are masked, only targets may be")
    return np.asarray(array)


def whole_numbers(values: Any, name: str) -> npt.NDArray[Any]:
    """The same for integers of any width; bytes are numbers from 0 to 255."""
    if isinstance(values, bytes):
        return np.frombuffer(values, np.uint8)
    array = as_array(values, name)
    if array.size and array.dtype.kind not in "iu":
        hint = ", of which text.encode() has one per byte" if array.dtype.kind == "U" else ""
        raise TypeError(f"{name}: integers are needed, not {array.dtype}{hint}")
    return array


def listed(values: Iterable[Any], name: str) -> Int32:
    """A dense int32 array of integers that come one by one; none is cut."""
    return np.array([integer(value, f"{name}[{i}]") for i, value in enumerate(values)], np.int32)


def integers(values: Any, name: str) -> Int32:
    """A dense int32 array of any shape: the one given if it is that already, else a copy."""
    array = whole_numbers(values, name)
    if array.size == 0:  # of no integers, whatever numpy took them for
        return np.empty(array.shape, np.int32)
    if array.dtype == np.int32 and array.flags.c_contiguous and array.flags.aligned:
        return array
    if array.dtype.itemsize >= 4 and array.size:
        least, most = int(array.min()), int(array.max())
        if least < _INT32.min or most > _INT32.max:
            raise ValueError(f"{name}: {least if least < 0 else most} does not fit in 32 bits")
    return array.astype(np.int32, order="C")


def _targets(values: Any) -> Int32:
    """Targets as ``integers``, -1 where they are masked."""
    given: Any = values if isinstance(values, bytes) else _taken(values)
    mask = _ma.getmask(given)
    if not np.any(mask):
        return integers(given, "targets")
    dense = integers(np.where(mask, np.zeros((), given.dtype), _ma.getdata(given)), "targets")
    dense[mask] = -1
    return dense


def floats(values: Any, shape: Optional[Tuple[int, ...]], name: str) -> Float32:
    """A dense float32 array of that shape: the one given if it is that already, else a copy."""
    array = as_array(values, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: real numbers are needed, not {array.dtype}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, {shape} is needed")
    if array.dtype == np.float32 and array.flags.c_contiguous and array.flags.aligned:
        return array
    return array.astype(np.float32, order="C")


def output(out: Optional[Float32], shape: Tuple[int, ...], name: str = "out") -> Float32:
    """The caller's array to write to, or a new one."""
    if out is None:
        return np.empty(shape, dtype=np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or _is_masked_array(out):
        raise TypeError(f"{name} is no float32 array, or a masked one")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}, {shape} is needed")
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError(f"{name} is not contiguous or cannot be written")
    return out


def batch(tokens: Any, targets: Any) -> Tuple[Int32, Optional[Int32]]:
    """Tokens and targets as [B,T]; one sequence may come as [T]."""
    inputs = integers(tokens, "tokens")
    if inputs.ndim == 1:
        inputs = inputs.reshape(1, -1)
    if inputs.ndim != 2 or inputs.size == 0:
        raise ValueError(f"tokens have shape {inputs.shape}, [B,T] or [T] is needed")
    if targets is None:
        return inputs, None
    outputs = _targets(targets)
    if outputs.ndim == 1:
        outputs = outputs.reshape(1, -1)
    if outputs.shape != inputs.shape:
        raise ValueError(f"targets have shape {outputs.shape}, tokens {inputs.shape}")
    return inputs, outputs


def sequence(tokens: Any, name: str = "tokens") -> Int32:
    """Tokens of one sequence as [N], N at least 1."""
    array = integers(tokens, name)
    if array.size == 0:
        raise ValueError(f"{name}: there are none, at least one is needed")
    if array.ndim != 1:
        raise ValueError(f"{name} have shape {array.shape}, [N] is needed")
    return array


def raw(data: Any, what: str) -> bytes:
    """Anything bytes-like as bytes; ``what`` says whose it is in the TypeError for the rest."""
    try:
        return data if isinstance(data, bytes) else bytes(memoryview(data))
    except (TypeError, ValueError, BufferError):
        raise TypeError(f"{what} is a {type(data).__name__}, bytes are needed") from None


def address(array: Optional[npt.NDArray[Any]]) -> Optional[int]:
    """Where its data is, None (NULL) for no array."""
    return None if array is None else int(array.__array_interface__["data"][0])


class _Memory:
    """Memory of the library as numpy asks for it; numpy keeps this object, this keeps the owner."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(
        self,
        pointer: int,
        shape: Sequence[int],
        typestr: str,
        owner: Optional[Handle],
        writable: bool,
    ) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (pointer, not writable),
            "shape": tuple(shape),
            "typestr": typestr,
        }


def view(struct: Any, owner: Handle, writable: bool) -> npt.NDArray[Any]:
    """A zero-copy array of a filled sgt_tensor_view; BufferError where the host cannot see it."""
    typestr = _VIEWS.get(struct.dtype)
    if not struct.data or typestr is None:
        raise BufferError(
            "the memory of this backend cannot be seen by the host; use the read_... and "
            "write_... functions"
        )
    shape = struct.shape[: struct.rank]
    return np.asarray(_Memory(struct.data, shape, typestr, owner, writable))


def copied(pointer: Optional[int], shape: Tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """A copy of borrowed memory, which may be gone soon."""
    return np.array(_Memory(pointer or 0, shape, np.dtype(dtype).str, None, False))


class Views(Mapping[str, Float32]):
    """The tensors of a model by name; each access makes a view."""

    def __init__(
        self,
        names: Tuple[str, ...],
        shapes: Sequence[Tuple[int, ...]],
        get: Callable[[str], Float32],
    ) -> None:
        self._names = dict(zip(names, shapes))
        self._get = get

    def __repr__(self) -> str:
        shown = [f"{name!r}: {shape}" for name, shape in self._names.items()]
        if len(shown) > 6:
            shown[3:-3] = ["..."]
        return f"<{len(self)} arrays: {', '.join(shown)}>"

    def __getitem__(self, name: str) -> Float32:
        if name not in self._names:
            raise KeyError(f"there is no parameter {name!r}{similar(name, self._names)}")
        return self._get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
