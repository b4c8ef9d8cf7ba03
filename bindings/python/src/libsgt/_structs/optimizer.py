# SPDX-License-Identifier: BSD-3-Clause
"""Of optimizer.h."""
from __future__ import annotations

import ctypes
from ctypes import c_double, c_int32, c_int64, c_uint32, c_void_p

from .sized import Sized

rate_fn = ctypes.CFUNCTYPE(c_double, c_void_p, c_int64, c_double)


class sgt_optimizer_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("schedule", c_int32),
        ("lr", c_double),
        ("beta1", c_double),
        ("beta2", c_double),
        ("eps", c_double),
        ("weight_decay", c_double),
        ("clip", c_double),
        ("decay_scope", c_int32),
        ("reserved", c_int32),
        ("warmup_steps", c_int64),
        ("total_steps", c_int64),
        ("decay_steps", c_int64),
        ("final_factor", c_double),
        ("rate", rate_fn),
        ("rate_user", c_void_p),
    ]


class sgt_optimizer_step_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("scale", c_double),
    ]


class sgt_step_report(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("skipped", c_int32),
        ("step", c_int64),
        ("lr", c_double),
        ("grad_norm", c_double),
        ("clip_scale", c_double),
    ]
