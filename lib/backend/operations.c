/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations on tensors. A call goes to the backend's slot; where there is none, the portable
 * kernels get a copy of the arguments whose buffers are replaced by their host addresses.
 */
#include "dispatch_data.h"

#include <string.h>

#include "../base/error.h"
#include "profile.h"
#include "registry.h"

#define MOST_TENSORS 9

/* An argument struct: the pointers to its tensors stand together. */
typedef struct args_layout {
    const char *name;
    uint32_t bytes;
    uint32_t first; /* where the first of them is */
    uint32_t last;
} args_layout;

#define LAYOUT(slot, type, first, last)                                                            \
    [SGTI_OP_##slot] = {#slot, sizeof(type), offsetof(type, first), offsetof(type, last)}

static const args_layout layouts[SGTI_OPERATIONS] = {
    LAYOUT(embedding, sgt_embedding_args, table, out),
    LAYOUT(embedding_backward, sgt_embedding_backward_args, dtable, dout),
    LAYOUT(rmsnorm, sgt_rmsnorm_args, x, y),
    LAYOUT(rmsnorm_backward, sgt_rmsnorm_backward_args, x, scratch),
    LAYOUT(rope, sgt_rope_args, x, sine),
    LAYOUT(attention, sgt_attention_args, q, entropy_mean),
    LAYOUT(attention_backward, sgt_attention_backward_args, q, dv),
    LAYOUT(swiglu, sgt_swiglu_args, gate, out),
    LAYOUT(swiglu_backward, sgt_swiglu_backward_args, gate, out),
    LAYOUT(cross_entropy, sgt_cross_entropy_args, logits, dlogits),
    LAYOUT(add, sgt_elementwise_args, x, z),
    LAYOUT(axpy, sgt_elementwise_args, x, z),
    LAYOUT(scale, sgt_elementwise_args, x, z),
    LAYOUT(norm, sgt_norm_args, x, x),
    LAYOUT(convert, sgt_elementwise_args, x, z),
    LAYOUT(adamw, sgt_adamw_args, param, moment2),
    LAYOUT(linear, sgt_linear_args, x, d),
};

/* Room for a copy of any argument struct of the table. */
typedef union any_args {
    sgt_embedding_args embedding;
    sgt_embedding_backward_args embedding_backward;
    sgt_rmsnorm_args rmsnorm;
    sgt_rmsnorm_backward_args rmsnorm_backward;
    sgt_rope_args rope;
    sgt_attention_args attention;
    sgt_attention_backward_args attention_backward;
    sgt_swiglu_args swiglu;
    sgt_swiglu_backward_args swiglu_backward;
    sgt_cross_entropy_args cross_entropy;
    sgt_elementwise_args elementwise;
    sgt_norm_args norm;
    sgt_adamw_args adamw;
    sgt_linear_args linear;
} any_args;

/* One call under way: whose slot gets which arguments. */
typedef struct slot_call {
    const sgti_dispatch *dispatch;
    const args_layout *layout;
    const sgt_backend *table;
    void *instance;
    const void *args;
    uint64_t failures;
    double begun;
    any_args copy;
    sgt_tensor tensors[MOST_TENSORS];
} slot_call;

/* Makes call->copy the arguments with host addresses for buffers. */
static void copy_for_host(slot_call *call, const void *args)
{
    const sgti_dispatch *dispatch = call->dispatch;
    char *copy = (char *)&call->copy;
    sgt_tensor *own = call->tensors;
    memcpy(copy, args, call->layout->bytes);
    for (uint32_t at = call->layout->first; at <= call->layout->last; at += sizeof(void *)) {
        const sgt_tensor *tensor;
        memcpy(&tensor, copy + at, sizeof tensor);
        if (!tensor)
            continue;
        *own = *tensor;
        own->buffer = dispatch->table->host_pointer(dispatch->instance, tensor->buffer);
        tensor = own++;
        memcpy(copy + at, &tensor, sizeof tensor);
    }
}

static void begin(slot_call *call, const sgti_dispatch *dispatch, sgti_operation which, void *args)
{
    memcpy(args, &layouts[which].bytes, sizeof layouts[which].bytes); /* its size */
    call->dispatch = dispatch;
    call->layout = &layouts[which];
    call->failures = sgti_failures();
    call->begun = sgti_profile_begin(dispatch);
    if (!dispatch->stands_in[which]) {
        call->table = dispatch->table;
        call->instance = dispatch->instance;
        call->args = args;
        return;
    }
    copy_for_host(call, args);
    call->table = &sgti_portable_backend;
    call->instance = dispatch->portable;
    call->args = &call->copy;
}

static sgt_status end(const slot_call *call, int32_t result)
{
    sgti_profile_end(call->dispatch, (int)(call->layout - layouts), call->begun);
    return sgti_slot_status(call->dispatch, result, call->failures, call->layout->name);
}

sgt_status sgti_embedding(sgti_dispatch *dispatch, sgt_embedding_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_embedding, args);
    return end(&call, call.table->embedding(call.instance, call.args));
}

sgt_status sgti_embedding_backward(sgti_dispatch *dispatch, sgt_embedding_backward_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_embedding_backward, args);
    return end(&call, call.table->embedding_backward(call.instance, call.args));
}

sgt_status sgti_rmsnorm(sgti_dispatch *dispatch, sgt_rmsnorm_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_rmsnorm, args);
    return end(&call, call.table->rmsnorm(call.instance, call.args));
}

sgt_status sgti_rmsnorm_backward(sgti_dispatch *dispatch, sgt_rmsnorm_backward_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_rmsnorm_backward, args);
    return end(&call, call.table->rmsnorm_backward(call.instance, call.args));
}

sgt_status sgti_rope(sgti_dispatch *dispatch, sgt_rope_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_rope, args);
    return end(&call, call.table->rope(call.instance, call.args));
}

sgt_status sgti_attention(sgti_dispatch *dispatch, sgt_attention_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_attention, args);
    return end(&call, call.table->attention(call.instance, call.args));
}

sgt_status sgti_attention_backward(sgti_dispatch *dispatch, sgt_attention_backward_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_attention_backward, args);
    return end(&call, call.table->attention_backward(call.instance, call.args));
}

sgt_status sgti_swiglu(sgti_dispatch *dispatch, sgt_swiglu_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_swiglu, args);
    return end(&call, call.table->swiglu(call.instance, call.args));
}

sgt_status sgti_swiglu_backward(sgti_dispatch *dispatch, sgt_swiglu_backward_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_swiglu_backward, args);
    return end(&call, call.table->swiglu_backward(call.instance, call.args));
}

sgt_status sgti_cross_entropy(sgti_dispatch *dispatch, sgt_cross_entropy_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_cross_entropy, args);
    return end(&call, call.table->cross_entropy(call.instance, call.args));
}

sgt_status sgti_adamw(sgti_dispatch *dispatch, sgt_adamw_args *args)
{
    slot_call call;
    begin(&call, dispatch, SGTI_OP_adamw, args);
    return end(&call, call.table->adamw(call.instance, call.args));
}

sgt_status sgti_norm(sgti_dispatch *dispatch, double *sum_of_squares, const sgt_tensor *x)
{
    double sum = 0;
    sgt_norm_args args = {.x = x, .sum_of_squares = &sum};
    slot_call call;
    begin(&call, dispatch, SGTI_OP_norm, &args);
    sgt_status status = end(&call, call.table->norm(call.instance, call.args));
    if (!status)
        *sum_of_squares = sum;
    return status;
}

sgt_status sgti_axpy(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha,
                     const sgt_tensor *x)
{
    sgt_elementwise_args args = {.alpha = alpha, .x = x, .y = y};
    slot_call call;
    begin(&call, dispatch, SGTI_OP_axpy, &args);
    return end(&call, call.table->axpy(call.instance, call.args));
}

sgt_status sgti_scale(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha)
{
    sgt_elementwise_args args = {.alpha = alpha, .y = y};
    slot_call call;
    begin(&call, dispatch, SGTI_OP_scale, &args);
    return end(&call, call.table->scale(call.instance, call.args));
}

sgt_status sgti_add(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x,
                    const sgt_tensor *z)
{
    sgt_elementwise_args args = {.x = x, .y = y, .z = z};
    slot_call call;
    begin(&call, dispatch, SGTI_OP_add, &args);
    return end(&call, call.table->add(call.instance, call.args));
}

sgt_status sgti_convert(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x)
{
    sgt_elementwise_args args = {.x = x, .y = y};
    slot_call call;
    begin(&call, dispatch, SGTI_OP_convert, &args);
    return end(&call, call.table->convert(call.instance, call.args));
}

sgt_status sgti_linear_slot(sgti_dispatch *dispatch, sgt_linear_args *args)
{
    slot_call call;
    if (!dispatch->stands_in[SGTI_OP_linear] && !dispatch->table->linear)
        return SGT_E_UNSUPPORTED;
    begin(&call, dispatch, SGTI_OP_linear, args);
    int32_t result = call.table->linear(call.instance, call.args);
    return result == SGT_E_UNSUPPORTED ? result : end(&call, result);
}

/* ---- slots that every backend has, and one that may do nothing ---- */

sgt_status sgti_copy(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x)
{
    const sgt_elementwise_args args = {.size = sizeof args, .x = x, .y = y};
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->table->copy(dispatch->instance, &args);
    sgti_profile_end(dispatch, SGTI_PROFILE_copy, begun);
    return sgti_slot_status(dispatch, result, failures, "copy");
}

sgt_status sgti_gemm(sgti_dispatch *dispatch, const sgt_tensor *c, float alpha,
                     const sgt_tensor *a, const sgt_tensor *b, float beta, const sgt_tensor *d)
{
    const sgt_gemm_args args = {
        .size = sizeof args, .alpha = alpha, .beta = beta, .a = a, .b = b, .c = c, .d = d};
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->table->gemm(dispatch->instance, &args);
    sgti_profile_end(dispatch, SGTI_PROFILE_gemm, begun);
    return sgti_slot_status(dispatch, result, failures, "gemm");
}

sgt_status sgti_prepare_weight(sgti_dispatch *dispatch, const sgt_tensor *weight)
{
    const sgt_prepare_weight_args args = {.size = sizeof args, .weight = weight};
    uint64_t failures = sgti_failures();
    if (!dispatch->table->prepare_weight)
        return SGT_OK;
    int32_t result = dispatch->table->prepare_weight(dispatch->instance, &args);
    return sgti_slot_status(dispatch, result, failures, "prepare_weight");
}
