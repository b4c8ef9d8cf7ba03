# SPDX-License-Identifier: BSD-3-Clause
"""Of sampler.h and session.h."""
from __future__ import annotations

import ctypes
from ctypes import c_double, c_int32, c_uint32, c_uint64, c_void_p

from .sized import Sized

token_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int32, c_int32)


class sgt_sampler_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("top_k", c_int32),
        ("temperature", c_double),
        ("top_p", c_double),
        ("min_p", c_double),
        ("repetition_penalty", c_double),
        ("repetition_window", c_int32),
        ("n_bias", c_int32),
        ("bias_tokens", c_void_p),
        ("bias", c_void_p),
        ("seed", c_uint64),
    ]


class sgt_session_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("sequences", c_int32),
        ("max_length", c_int32),
        ("chunk", c_int32),
        ("weights", c_int32),
    ]


class sgt_session_memory(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("cache", c_uint64),
        ("weights", c_uint64),
        ("scratch", c_uint64),
        ("total", c_uint64),
    ]


class sgt_feed(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("count", c_int32),
        ("sequences", c_void_p),
        ("lengths", c_void_p),
        ("tokens", c_void_p),
        ("logits", c_void_p),
        ("all_logits", c_void_p),
    ]


class sgt_score(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("count", c_int32),
        ("log_prob", c_double),
        ("perplexity", c_double),
    ]


class sgt_session_generate_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("max_tokens", c_int32),
        ("tokens", c_void_p),
        ("stop_tokens", c_void_p),
        ("n_stop_tokens", c_int32),
        ("reserved", c_int32),
        ("callback", token_fn),
        ("user", c_void_p),
        ("stop_sequences", c_void_p),
        ("stop_lengths", c_void_p),
        ("n_stop_sequences", c_int32),
        ("ignore_eos", c_int32),
    ]


class sgt_generate_batch(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("count", c_int32),
        ("sequences", c_void_p),
        ("samplers", c_void_p),
        ("prompts", c_void_p),
        ("lengths", c_void_p),
        ("options", c_void_p),
        ("generations", c_void_p),
    ]


class sgt_generation(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("count", c_int32),
        ("end", c_int32),
        ("reserved", c_int32),
        ("log_prob", c_double),
    ]
