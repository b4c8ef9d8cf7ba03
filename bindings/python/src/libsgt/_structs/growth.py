# SPDX-License-Identifier: BSD-3-Clause
"""Of growth.h and sys/growth.h."""
from __future__ import annotations

import ctypes
from ctypes import c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from .sized import Sized


class sgt_growth_event(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("action", c_int32),
        ("layer", c_int32),
        ("depth", c_int32),
        ("n_heads", c_int32),
        ("n_layers", c_int32),
        ("heads", ctypes.POINTER(c_int32)),
        ("layers", ctypes.POINTER(c_int32)),
    ]


class sgt_growth_sparse_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("top_k_layers", c_int32),
        ("first_step", c_int64),
        ("window", c_int64),
        ("max_layers", c_int32),
        ("max_depth", c_int32),
        ("keep_heads", c_int32),
        ("ramp", c_int32),
        ("fade", c_int32),
        ("entropy", c_int32),
        ("average", c_double),
        ("direction", c_int32),
        ("head_choice", c_int32),
        ("seed", c_uint64),
        ("exclude", c_void_p),
        ("n_exclude", c_int32),
        ("n_groups", c_int32),
        ("max_gain", c_double),
        ("groups", c_void_p),
    ]


class sgt_growth_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("observe_after_fix", c_int32),
    ]


class sgt_growth_input(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("skipped", c_int32),
        ("step", c_int64),
        ("loss", c_double),
        ("grad_norm", c_double),
    ]


class sgt_growth_observation(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("n_layers", c_int32),
        ("n_heads", c_int32),
        ("max_passes", c_int32),
        ("step", c_int64),
        ("loss", c_double),
        ("grad_norm", c_double),
        ("plan", c_void_p),
        ("last_entropy", c_void_p),
        ("mean_entropy", c_void_p),
        ("executed_flops", c_double),
        ("vanilla_flops", c_double),
    ]


policy_create_fn = ctypes.CFUNCTYPE(c_int32, ctypes.POINTER(c_void_p), c_void_p, c_int32, c_int32)
policy_destroy_fn = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
policy_start_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p)
policy_decide_fn = ctypes.CFUNCTYPE(
    c_int32,
    c_void_p,
    c_void_p,
    ctypes.POINTER(sgt_growth_observation),
    c_void_p,
    ctypes.POINTER(sgt_growth_event),
)
policy_save_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, ctypes.POINTER(c_size_t))
policy_load_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, c_size_t)


class sgt_growth_policy_vtable(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("entropy", c_int32),
        ("create", policy_create_fn),
        ("destroy", policy_destroy_fn),
        ("start", policy_start_fn),
        ("decide", policy_decide_fn),
        ("save", policy_save_fn),
        ("load", policy_load_fn),
    ]
