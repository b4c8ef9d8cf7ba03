# SPDX-License-Identifier: BSD-3-Clause
"""The structures and callbacks of the library's headers, mirrored once.

Names, fields and their order are those of ``include/sgt``; a test made from the headers compares
every size and offset with the C compiler's. Arrays are plain addresses (``c_void_p``).
"""
from __future__ import annotations

import ctypes
from ctypes import (
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict

from ._scalars import checked

MAX_RANK = 6
MAX_EOS_TOKENS = 64


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


# ---- callbacks ----

log_fn = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
rate_fn = ctypes.CFUNCTYPE(c_double, c_void_p, c_int64, c_double)
token_fn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int32, c_int32)


# ---- context.h, backend.h ----


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


# ---- tensor.h, model.h ----


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
        ("n_blocks", c_int32),
        ("blocks", ctypes.POINTER(sgt_block_config)),
    ]


class sgt_model_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("recompute", c_int32),
    ]


class sgt_model_init_options(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("residual", c_int32),
        ("seed", c_uint64),
        ("std", c_double),
        ("cut", c_double),
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


# ---- flops.h ----


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
    ]


class sgt_flops_total(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_int32),
        ("executed", c_double),
        ("vanilla", c_double),
        ("overhead", c_double),
    ]


# ---- optimizer.h ----


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


# ---- growth.h, sys/growth.h ----


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


# ---- checkpoint.h, huggingface.h ----


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


# ---- sampler.h, session.h ----


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
