# SPDX-License-Identifier: BSD-3-Clause
"""Of flops.h."""
from __future__ import annotations

from ctypes import c_double, c_int32, c_uint32

from .sized import Sized


class sgt_flops_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("seq", c_int32),
        ("loops", c_int32),
        ("full_square", c_int32),
        ("phase", c_int32),
    ]


class sgt_flops(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("forward", c_double),
        ("training", c_double),
        ("projections", c_double),
        ("attention", c_double),
        ("feed_forward", c_double),
        ("head", c_double),
        ("mixing", c_double),
        ("weight_bytes", c_double),
    ]


class sgt_flops_total(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("executed", c_double),
        ("vanilla", c_double),
        ("overhead", c_double),
    ]
