# SPDX-License-Identifier: BSD-3-Clause
"""The structures and callbacks of the library's headers, mirrored once.

Names, fields and their order are those of ``include/sgt``; a test made from the headers compares
every size and offset with the C compiler's. Arrays are plain addresses (``c_void_p``). Each module
has a few headers, and none imports another but ``sized``.
"""
from .context import (
    log_fn as log_fn,
    progress_fn as progress_fn,
    sgt_allocator as sgt_allocator,
    sgt_backend_info as sgt_backend_info,
    sgt_context_memory as sgt_context_memory,
    sgt_context_options as sgt_context_options,
    sgt_progress as sgt_progress,
)
from .files import (
    sgt_checkpoint_info as sgt_checkpoint_info,
    sgt_checkpoint_load_options as sgt_checkpoint_load_options,
    sgt_checkpoint_save_options as sgt_checkpoint_save_options,
    sgt_hf_load_options as sgt_hf_load_options,
    sgt_hf_save_options as sgt_hf_save_options,
)
from .flops import (
    sgt_flops as sgt_flops,
    sgt_flops_options as sgt_flops_options,
    sgt_flops_total as sgt_flops_total,
)
from .growth import (
    policy_create_fn as policy_create_fn,
    policy_decide_fn as policy_decide_fn,
    policy_destroy_fn as policy_destroy_fn,
    policy_load_fn as policy_load_fn,
    policy_save_fn as policy_save_fn,
    policy_start_fn as policy_start_fn,
    sgt_growth_event as sgt_growth_event,
    sgt_growth_input as sgt_growth_input,
    sgt_growth_observation as sgt_growth_observation,
    sgt_growth_options as sgt_growth_options,
    sgt_growth_policy_vtable as sgt_growth_policy_vtable,
    sgt_growth_sparse_options as sgt_growth_sparse_options,
)
from .model import (
    MAX_EOS_TOKENS as MAX_EOS_TOKENS,
    MAX_RANK as MAX_RANK,
    sgt_attention_pattern as sgt_attention_pattern,
    sgt_batch as sgt_batch,
    sgt_block_config as sgt_block_config,
    sgt_metrics as sgt_metrics,
    sgt_model_backward_options as sgt_model_backward_options,
    sgt_model_config as sgt_model_config,
    sgt_model_evaluate_options as sgt_model_evaluate_options,
    sgt_model_init_options as sgt_model_init_options,
    sgt_model_memory as sgt_model_memory,
    sgt_model_memory_options as sgt_model_memory_options,
    sgt_model_options as sgt_model_options,
    sgt_special_tokens as sgt_special_tokens,
    sgt_tensor_view as sgt_tensor_view,
)
from .optimizer import (
    rate_fn as rate_fn,
    sgt_optimizer_options as sgt_optimizer_options,
    sgt_optimizer_step_options as sgt_optimizer_step_options,
    sgt_step_report as sgt_step_report,
)
from .session import (
    sgt_feed as sgt_feed,
    sgt_generate_batch as sgt_generate_batch,
    sgt_generation as sgt_generation,
    sgt_sampler_options as sgt_sampler_options,
    sgt_score as sgt_score,
    sgt_session_generate_options as sgt_session_generate_options,
    sgt_session_memory as sgt_session_memory,
    sgt_session_options as sgt_session_options,
    token_fn as token_fn,
)
from .sized import Sized as Sized
