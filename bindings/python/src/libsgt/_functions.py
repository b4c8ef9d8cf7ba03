# SPDX-License-Identifier: BSD-3-Clause
"""The functions of the library: result and arguments of each, as the headers declare them.

A test reads the headers and compares: every exported function is here, with arguments of the same
width and kind. Handles and arrays are addresses (``c_void_p``). Numbers have the names that they
have in the headers, for errors.
"""
from __future__ import annotations

from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, List, Tuple

from . import _structs as s
from ._scalars import parameter



def _int32(name: str) -> Any:
    return parameter(c_int32, name)


def _int64(name: str) -> Any:
    return parameter(c_int64, name)


def _uint64(name: str) -> Any:
    return parameter(c_uint64, name)


def _double(name: str) -> Any:
    return parameter(c_double, name)


def _float(name: str) -> Any:
    return parameter(c_float, name)


_handle = c_void_p
_array = c_void_p
_new = POINTER(c_void_p)
_status = c_int32


def _options(struct: type) -> Tuple[Any, List[Any]]:
    return _status, [POINTER(struct), c_size_t]


def _p(struct: type) -> Any:
    return POINTER(struct)


PROTOTYPES: Dict[str, Tuple[Any, List[Any]]] = {
    # common.h, status.h
    "sgt_version": (c_char_p, []),
    "sgt_version_number": (c_uint32, []),
    "sgt_status_name": (c_char_p, [_status]),
    "sgt_status_text": (c_char_p, [_status]),
    "sgt_error_message": (c_char_p, []),
    "sgt_error_set": (c_int32, [c_int32, c_char_p]),
    # context.h, backend.h
    "sgt_context_options_init": _options(s.sgt_context_options),
    "sgt_context_create": (_status, [_new, _p(s.sgt_context_options)]),
    "sgt_context_free": (None, [_handle]),
    "sgt_context_get_memory": (_status, [_p(s.sgt_context_memory), _handle]),
    "sgt_backend_load": (_status, [POINTER(c_char_p), c_char_p]),
    "sgt_context_get_backend": (_status, [_p(s.sgt_backend_info), _handle]),
    # plan.h
    "sgt_plan_create": (_status, [_new, _handle, _int32("n_layers"), _int32("n_heads")]),
    "sgt_plan_clone": (_status, [_new, _handle]),
    "sgt_plan_free": (None, [_handle]),
    "sgt_plan_n_layers": (c_int32, [_handle]),
    "sgt_plan_n_heads": (c_int32, [_handle]),
    "sgt_plan_equal": (c_int32, [_handle, _handle]),
    "sgt_plan_depth": (c_int32, [_handle, _int32("layer")]),
    "sgt_plan_set_depth": (_status, [_handle, _int32("layer"), _int32("depth")]),
    "sgt_plan_gains": (c_void_p, [_handle, _int32("layer"), _int32("pass")]),
    "sgt_plan_targets": (c_void_p, [_handle, _int32("layer"), _int32("pass")]),
    "sgt_plan_set_gains": (_status, [_handle, _int32("layer"), _int32("pass"), _array]),
    "sgt_plan_set_gain": (
        _status,
        [_handle, _int32("layer"), _int32("pass"), _int32("head"), _float("gain")],
    ),
    "sgt_plan_set_targets": (_status, [_handle, _int32("layer"), _int32("pass"), _array]),
    "sgt_plan_extra_runs": (c_int32, [_handle, _int32("layer")]),
    "sgt_plan_set_extra_runs": (_status, [_handle, _int32("layer"), _int32("runs")]),
    "sgt_plan_save": (_status, [_array, POINTER(c_size_t), _handle]),
    "sgt_plan_load": (_status, [_new, _handle, _array, c_size_t]),
    # model.h
    "sgt_block_config_init": _options(s.sgt_block_config),
    "sgt_model_config_init": _options(s.sgt_model_config),
    "sgt_model_options_init": _options(s.sgt_model_options),
    "sgt_model_create": (
        _status,
        [_new, _handle, _p(s.sgt_model_config), _p(s.sgt_model_options)],
    ),
    "sgt_model_get_options": (_status, [_p(s.sgt_model_options), _handle]),
    "sgt_model_free": (None, [_handle]),
    "sgt_model_get_config": (_status, [_p(s.sgt_model_config), _handle]),
    "sgt_model_init_options_init": _options(s.sgt_model_init_options),
    "sgt_model_init_weights": (_status, [_handle, _p(s.sgt_model_init_options)]),
    "sgt_model_forward": (_status, [_p(s.sgt_metrics), _handle, _p(s.sgt_batch)]),
    "sgt_model_backward_options_init": _options(s.sgt_model_backward_options),
    "sgt_model_backward": (
        _status,
        [_handle, _double("scale"), _p(s.sgt_model_backward_options)],
    ),
    "sgt_model_zero_gradients": (_status, [_handle]),
    "sgt_model_forward_logits": (_status, [_p(s.sgt_tensor_view), _handle, _p(s.sgt_batch)]),
    "sgt_model_read_logits": (_status, [_array, c_size_t, _handle]),
    "sgt_model_backward_logits": (
        _status,
        [_handle, _array, _p(s.sgt_model_backward_options)],
    ),
    "sgt_model_evaluate_options_init": _options(s.sgt_model_evaluate_options),
    "sgt_model_evaluate": (
        _status,
        [_p(s.sgt_metrics), _handle, _p(s.sgt_batch), _p(s.sgt_model_evaluate_options)],
    ),
    "sgt_model_plan": (_handle, [_handle]),
    "sgt_model_set_plan": (_status, [_handle, _handle]),
    "sgt_model_collect_entropy": (_status, [_handle, _int32("kinds")]),
    "sgt_model_n_passes": (c_int32, [_handle, _int32("layer")]),
    "sgt_model_get_entropies": (
        _status,
        [_array, _handle, _int32("layer"), _int32("pass"), _int32("kind")],
    ),
    "sgt_model_n_parameters": (c_int32, [_handle]),
    "sgt_model_n_weights": (c_uint64, [_handle]),
    "sgt_model_find_parameter": (_status, [POINTER(c_int32), _handle, c_char_p]),
    "sgt_model_parameter": (
        _status,
        [_p(s.sgt_tensor_view), _handle, _int32("index"), _int32("part")],
    ),
    "sgt_model_read_parameter": (
        _status,
        [_array, c_size_t, _handle, _int32("index"), _int32("part")],
    ),
    "sgt_model_write_parameter": (
        _status,
        [_handle, _int32("index"), _int32("part"), _array, c_size_t],
    ),
    "sgt_model_weights_changed": (_status, [_handle]),
    "sgt_model_generation": (c_uint64, [_handle]),
    "sgt_model_get_special_tokens": (_status, [_p(s.sgt_special_tokens), _handle]),
    "sgt_model_set_special_tokens": (_status, [_handle, _p(s.sgt_special_tokens)]),
    "sgt_model_memory_options_init": _options(s.sgt_model_memory_options),
    "sgt_model_estimate_memory": (
        _status,
        [
            _p(s.sgt_model_memory),
            _handle,
            _p(s.sgt_model_config),
            _handle,
            _int32("batch"),
            _int32("seq"),
            _p(s.sgt_model_memory_options),
        ],
    ),
    # flops.h
    "sgt_flops_options_init": _options(s.sgt_flops_options),
    "sgt_flops_count": (
        _status,
        [_p(s.sgt_flops), _p(s.sgt_model_config), _handle, _p(s.sgt_flops_options)],
    ),
    "sgt_model_get_flops": (_status, [_p(s.sgt_flops_total), _handle]),
    # optimizer.h
    "sgt_optimizer_options_init": _options(s.sgt_optimizer_options),
    "sgt_optimizer_create": (_status, [_new, _handle, _p(s.sgt_optimizer_options)]),
    "sgt_optimizer_free": (None, [_handle]),
    "sgt_optimizer_lr": (c_double, [_handle]),
    "sgt_optimizer_set_lr": (_status, [_handle, _double("lr")]),
    "sgt_optimizer_set_factors": (
        _status,
        [_handle, _int32("index"), _double("rate_factor"), _double("decay_factor")],
    ),
    "sgt_optimizer_step_options_init": _options(s.sgt_optimizer_step_options),
    "sgt_optimizer_step": (
        _status,
        [_p(s.sgt_step_report), _handle, _p(s.sgt_optimizer_step_options)],
    ),
    "sgt_optimizer_steps": (c_int64, [_handle]),
    "sgt_optimizer_get_scheduled_rate": (_status, [POINTER(c_double), _handle, _int64("step")]),
    "sgt_optimizer_moment": (
        _status,
        [_p(s.sgt_tensor_view), _handle, _int32("index"), _int32("moment")],
    ),
    "sgt_optimizer_read_moment": (
        _status,
        [_array, c_size_t, _handle, _int32("index"), _int32("moment")],
    ),
    "sgt_optimizer_write_moment": (
        _status,
        [_handle, _int32("index"), _int32("moment"), _array, c_size_t],
    ),
    # growth.h, sys/growth.h
    "sgt_growth_sparse_options_init": _options(s.sgt_growth_sparse_options),
    "sgt_growth_policy_sparse": (
        _status,
        [_new, _handle, _int32("n_layers"), _int32("n_heads"), _p(s.sgt_growth_sparse_options)],
    ),
    "sgt_growth_policy_none": (_status, [_new, _handle, _int32("n_layers"), _int32("n_heads")]),
    "sgt_growth_policy_static_blocks": (
        _status,
        [_new, _handle, _int32("n_layers"), _int32("n_heads"), _array, _array, _int32("count")],
    ),
    "sgt_growth_policy_static_heads": (_status, [_new, _handle, _handle]),
    "sgt_growth_policy_free": (None, [_handle]),
    "sgt_growth_policy_save": (_status, [_array, POINTER(c_size_t), _handle]),
    "sgt_growth_policy_load": (_status, [_handle, _array, c_size_t]),
    "sgt_growth_options_init": _options(s.sgt_growth_options),
    "sgt_growth_create": (_status, [_new, _handle, _handle, _p(s.sgt_growth_options)]),
    "sgt_growth_free": (None, [_handle]),
    "sgt_growth_step": (_status, [_p(s.sgt_growth_event), _handle, _p(s.sgt_growth_input)]),
    "sgt_growth_policy_custom": (
        _status,
        [
            _new,
            _handle,
            _int32("n_layers"),
            _int32("n_heads"),
            _p(s.sgt_growth_policy_vtable),
            c_void_p,
        ],
    ),
    "sgt_growth_policy_decide": (
        _status,
        [_p(s.sgt_growth_event), _handle, _p(s.sgt_growth_observation), _handle],
    ),
    # checkpoint.h
    "sgt_checkpoint_save_options_init": _options(s.sgt_checkpoint_save_options),
    "sgt_checkpoint_save": (_status, [_handle, c_char_p, _p(s.sgt_checkpoint_save_options)]),
    "sgt_checkpoint_open": (_status, [_new, _handle, c_char_p]),
    "sgt_checkpoint_free": (None, [_handle]),
    "sgt_checkpoint_get_info": (_status, [_p(s.sgt_checkpoint_info), _handle]),
    "sgt_checkpoint_get_config": (_status, [_p(s.sgt_model_config), _handle]),
    "sgt_checkpoint_get_optimizer_options": (_status, [_p(s.sgt_optimizer_options), _handle]),
    "sgt_checkpoint_value": (c_char_p, [_handle, c_char_p]),
    "sgt_checkpoint_key": (c_char_p, [_handle, _int32("index")]),
    "sgt_checkpoint_load_options_init": _options(s.sgt_checkpoint_load_options),
    "sgt_checkpoint_load": (
        _status,
        [_handle, _handle, _handle, _handle, _p(s.sgt_checkpoint_load_options)],
    ),
    "sgt_checkpoint_create": (
        _status,
        [
            _new,
            _new,
            _new,
            _handle,
            _handle,
            _p(s.sgt_model_options),
            _p(s.sgt_checkpoint_load_options),
        ],
    ),
    "sgt_checkpoint_get_path": (_status, [_array, POINTER(c_size_t), c_char_p, _int64("step")]),
    "sgt_checkpoint_get_latest": (_status, [POINTER(c_int64), c_char_p]),
    "sgt_checkpoint_keep_last": (_status, [c_char_p, _int32("keep")]),
    # huggingface.h
    "sgt_hf_load_options_init": _options(s.sgt_hf_load_options),
    "sgt_hf_load": (
        _status,
        [_new, _handle, c_char_p, _p(s.sgt_model_options), _p(s.sgt_hf_load_options)],
    ),
    "sgt_hf_save_options_init": _options(s.sgt_hf_save_options),
    "sgt_hf_save": (_status, [_handle, c_char_p, _p(s.sgt_hf_save_options)]),
    # pattern.h
    "sgt_attention_pattern_count_pairs": (
        _status,
        [POINTER(c_uint64), _p(s.sgt_attention_pattern), _int64("seq")],
    ),
    "sgt_attention_pattern_parse": (_status, [_p(s.sgt_attention_pattern), c_char_p]),
    # sampler.h
    "sgt_sampler_options_init": _options(s.sgt_sampler_options),
    "sgt_sampler_create": (
        _status,
        [_new, _handle, _int32("vocab_size"), _p(s.sgt_sampler_options)],
    ),
    "sgt_sampler_free": (None, [_handle]),
    "sgt_sampler_pick": (_status, [POINTER(c_int32), _handle, _array]),
    "sgt_sampler_accept": (_status, [_handle, _array, _int32("count")]),
    "sgt_sampler_reset": (_status, [_handle, _uint64("seed")]),
    # session.h
    "sgt_session_options_init": _options(s.sgt_session_options),
    "sgt_session_estimate_memory": (
        _status,
        [_p(s.sgt_session_memory), _handle, _p(s.sgt_session_options)],
    ),
    "sgt_session_create": (_status, [_new, _handle, _p(s.sgt_session_options)]),
    "sgt_session_free": (None, [_handle]),
    "sgt_session_refresh": (_status, [_handle]),
    "sgt_session_feed": (_status, [_array, _handle, _int32("sequence"), _array, _int32("count")]),
    "sgt_session_feed_batch": (_status, [_handle, _p(s.sgt_feed)]),
    "sgt_session_length": (c_int32, [_handle, _int32("sequence")]),
    "sgt_session_max_length": (c_int32, [_handle]),
    "sgt_session_rewind": (_status, [_handle, _int32("sequence"), _int32("length")]),
    "sgt_session_copy": (_status, [_handle, _int32("to"), _int32("from"), _int32("length")]),
    "sgt_session_score": (
        _status,
        [_p(s.sgt_score), _handle, _int32("sequence"), _array, _int32("count"), _array],
    ),
    "sgt_session_generate_options_init": _options(s.sgt_session_generate_options),
    "sgt_session_generate_batch": (_status, [_handle, _p(s.sgt_generate_batch)]),
    "sgt_session_generate": (
        _status,
        [
            _p(s.sgt_generation),
            _handle,
            _int32("sequence"),
            _handle,
            _array,
            _int32("n_prompt"),
            _p(s.sgt_session_generate_options),
        ],
    ),
}
