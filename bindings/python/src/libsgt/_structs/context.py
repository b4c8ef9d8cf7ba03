# SPDX-License-Identifier: BSD-3-Clause
"""Of context.h and backend.h."""
from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int32, c_uint32, c_uint64, c_void_p

from .sized import Sized

log_fn = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)


class sgt_allocator(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("allocate", c_void_p),
        ("release", c_void_p),
        ("user", c_void_p),
    ]


class sgt_progress(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("phase", c_int32),
        ("done", c_int32),
        ("total", c_int32),
    ]


progress_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, ctypes.POINTER(sgt_progress))


class sgt_context_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("threads", c_int32),
        ("backend", c_char_p),
        ("isa", c_char_p),
        ("allocator", c_void_p),
        ("memory_limit", c_uint64),
        ("log", log_fn),
        ("log_user", c_void_p),
        ("log_level", c_int32),
        ("reserved", c_int32),
        ("progress", progress_fn),
        ("progress_user", c_void_p),
        ("backend_options", c_char_p),
    ]


class sgt_context_memory(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("current", c_uint64),
        ("peak", c_uint64),
        ("limit", c_uint64),
        ("allocations", c_uint64),
    ]


class sgt_backend_info(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("threads", c_int32),
        ("name", c_char_p),
        ("kernels", c_char_p),
        ("isa", c_char_p),
        ("generic", c_int32),
        ("host_visible", c_int32),
    ]
