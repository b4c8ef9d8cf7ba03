# SPDX-License-Identifier: BSD-3-Clause
"""Of tensor.h, pattern.h and model.h."""
from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p

from .sized import Sized

MAX_RANK = 6
MAX_EOS_TOKENS = 64


class sgt_tensor_view(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("dtype", c_int32),
        ("name", c_char_p),
        ("rank", c_int32),
        ("reserved", c_int32),
        ("shape", c_int64 * MAX_RANK),
        ("count", c_uint64),
        ("data", c_void_p),
    ]


class sgt_special_tokens(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("has_bos", c_int32),
        ("has_pad", c_int32),
        ("n_eos", c_int32),
        ("bos", c_int32),
        ("pad", c_int32),
        ("eos_is_list", c_int32),
        ("eos", c_int32 * MAX_EOS_TOKENS),
    ]


class sgt_attention_pattern(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("sets", c_int32),
        ("stride", c_int32),
        ("summary", c_int32),
        ("phase", c_int32),
        ("reserved", c_int32),
    ]


class sgt_block_config(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("attention", c_int32),
        ("feed_forward", c_int32),
        ("n_patterns", c_int32),
        ("patterns", ctypes.POINTER(sgt_attention_pattern)),
        ("mult_kernel", c_int32),
        ("attention_output", c_int32),
        ("units", c_int32),
        ("controller_rank", c_int32),
        ("temperature", c_double),
        ("hard_fraction", c_double),
    ]


class sgt_model_config(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("vocab_size", c_int32),
        ("d_model", c_int32),
        ("n_layers", c_int32),
        ("n_heads", c_int32),
        ("n_kv_heads", c_int32),
        ("head_dim", c_int32),
        ("d_ff", c_int32),
        ("max_seq_len", c_int32),
        ("tied", c_int32),
        ("rope_theta", c_double),
        ("norm_eps", c_double),
        ("altup_streams", c_int32),
        ("altup_order", c_int32),
        ("altup_table", c_int32),
        ("head_modules", c_int32),
        ("reserved", c_int32),
        ("n_blocks", c_int32),
        ("blocks", ctypes.POINTER(sgt_block_config)),
    ]


class sgt_model_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("recompute", c_int32),
        ("seed", c_uint64),
    ]


class sgt_model_init_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("residual", c_int32),
        ("seed", c_uint64),
        ("std", c_double),
        ("cut", c_double),
        ("unit_scale", c_int32),
        ("reserved", c_int32),
    ]


class sgt_batch(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("batch", c_int32),
        ("seq", c_int32),
        ("reserved", c_int32),
        ("tokens", c_void_p),
        ("targets", c_void_p),
    ]


class sgt_metrics(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("finite", c_int32),
        ("count", c_int64),
        ("loss_sum", c_double),
        ("loss", c_double),
    ]


class sgt_model_backward_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
    ]


class sgt_model_evaluate_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("token_losses", c_void_p),
        ("logits", c_void_p),
        ("last_logits", c_void_p),
    ]


class sgt_model_memory_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("training", c_int32),
        ("optimizer", c_int32),
        ("logits", c_int32),
        ("model", ctypes.POINTER(sgt_model_options)),
    ]


class sgt_model_memory(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("context", c_uint64),
        ("parameters", c_uint64),
        ("gradients", c_uint64),
        ("moments", c_uint64),
        ("activations", c_uint64),
        ("other", c_uint64),
        ("total", c_uint64),
    ]
