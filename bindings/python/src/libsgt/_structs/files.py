# SPDX-License-Identifier: BSD-3-Clause
"""Of checkpoint.h and huggingface.h."""
from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_double, c_int32, c_int64, c_uint32, c_void_p

from .sized import Sized


class sgt_checkpoint_save_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("checksums", c_int32),
        ("optimizer", c_void_p),
        ("growth", c_void_p),
        ("keys", ctypes.POINTER(c_char_p)),
        ("values", ctypes.POINTER(c_char_p)),
        ("n_values", c_int32),
        ("reserved", c_int32),
    ]


class sgt_checkpoint_info(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("version", c_int32),
        ("has_optimizer", c_int32),
        ("has_growth", c_int32),
        ("steps", c_int64),
        ("executed_flops", c_double),
        ("vanilla_flops", c_double),
        ("n_values", c_int32),
        ("reserved", c_int32),
    ]


class sgt_checkpoint_load_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("own_schedule", c_int32),
        ("verify", c_int32),
        ("reserved", c_int32),
    ]


class sgt_hf_load_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("max_seq_len", c_int32),
        ("tie_missing_head", c_int32),
    ]


class sgt_hf_save_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("dtype", c_int32),
        ("without_loops", c_int32),
        ("reserved", c_int32),
        ("copy_from", c_char_p),
    ]
