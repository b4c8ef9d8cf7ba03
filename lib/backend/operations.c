/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations on tensors. A call goes to the backend's slot. Where there is none, or it declines
 * (returns SGT_E_UNSUPPORTED without a message), the portable kernels do the work. If the memory is
 * the backend's own, they get a copy of the arguments in which host addresses replace the buffers,
 * because a buffer of the portable backend is nothing but an address:
 *
 *     args --> backend's slot --declines--> copy of args --> portable slot --declines--> error,
 *                                                     or "do it by other calls" if additional
 */
#include "dispatch_data.h"

#include <string.h>

#include <sgt/sys/backend_args.h>

#include "../base/error.h"
#include "profile.h"
#include "registry.h"

typedef struct operation {
    const char *name;
    size_t slot;        /* SGT_SLOT */
    uint32_t bytes;     /* of the arguments */
    int32_t additional; /* 1: the caller knows another way, so it is no error if nobody does it */
} operation;

static const operation operations[SGTI_OPERATIONS] = {
#define REQUIRED(name, type)   [SGTI_OP_##name] = {#name, SGT_SLOT(name), sizeof(type), 0},
#define ADDITIONAL(name, type) [SGTI_OP_##name] = {#name, SGT_SLOT(name), sizeof(type), 1},
    REQUIRED(gemm, sgt_gemm_args) SGTI_OPTIONAL_SLOTS(REQUIRED) SGTI_PART_SLOTS(REQUIRED)
    SGTI_UNIT_SLOTS(REQUIRED) SGTI_ADDITIONAL_SLOTS(ADDITIONAL)
#undef REQUIRED
#undef ADDITIONAL
};

/* Room for a copy of any operation's arguments and of the tensors that they point to. */
typedef struct host_args {
    union {
#define MEMBER(name, type) type name;
        SGTI_OPERATION_SLOTS(MEMBER)
#undef MEMBER
    } args;
    sgt_tensor tensors[SGT_MAX_ARGS_TENSORS];
} host_args;

/* Copies the arguments; each of their tensors becomes a copy whose buffer is a host address. Where
 * in the arguments the pointers to tensors lie is in a table by operation. */
static const void *copy_for_host(host_args *copy, const sgti_dispatch *dispatch,
                                 const operation *called, const void *args)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(called->slot);
    char *bytes = (char *)&copy->args;
    sgt_tensor *own = copy->tensors;
    memcpy(bytes, args, called->bytes);
    for (; field->offset; field++) {
        const sgt_tensor *tensor;
        memcpy(&tensor, bytes + field->offset, sizeof tensor);
        if (!tensor)
            continue;
        *own = *tensor;
        own->buffer = dispatch->memory->host_pointer(dispatch->memory_instance, tensor->buffer);
        tensor = own++;
        memcpy(bytes + field->offset, &tensor, sizeof tensor);
    }
    return bytes;
}

/* Calls a slot; one that is not there declines everything. */
static int32_t call_slot(const sgt_backend *table, void *instance, sgti_operation which,
                         const void *args)
{
    switch (which) {
#define CALL(slot, type)                                                                           \
    case SGTI_OP_##slot:                                                                           \
        return table->slot ? table->slot(instance, args) : SGT_E_UNSUPPORTED;
        SGTI_OPERATION_SLOTS(CALL)
#undef CALL
    default:
        return SGT_E_UNSUPPORTED;
    }
}

/* The error for an operation that nobody does; its message says why nothing stands in. */
static sgt_status refuse(const sgti_dispatch *dispatch, const operation *called)
{
    return sgti_fail(SGT_E_UNSUPPORTED, "backend '%s' declines %s, %s", dispatch->table->name,
                     called->name,
                     dispatch->capturing ? "and nothing stands in for it in a graph"
                     : dispatch->portable ? "and so do the portable kernels"
                     : sgti_host_visible(dispatch)
                         ? "and nothing stands in for it"
                         : "and no other kernels reach its memory");
}

/* Runs one operation by the way that the head of this file shows. That no new failure was recorded
 * tells a slot that declines from one that failed with the same status. In a graph nothing stands
 * in: the portable kernels would run now, and not when the graph is replayed. */
static sgt_status operate(sgti_dispatch *dispatch, sgti_operation which, void *args)
{
    const operation *called = &operations[which];
    memcpy(args, &called->bytes, sizeof called->bytes); /* `size`, the first field of all of them */
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = call_slot(dispatch->table, dispatch->instance, which, args);
    if (result == SGT_E_UNSUPPORTED && sgti_failures() == failures && dispatch->portable &&
        !dispatch->capturing) {
        host_args copy;
        int translated = dispatch->memory != &sgti_portable_backend;
        result = call_slot(&sgti_portable_backend, dispatch->portable, which,
                           translated ? copy_for_host(&copy, dispatch, called, args) : args);
    }
    sgti_profile_end(dispatch, (int)which, begun);
    if (result == SGT_E_UNSUPPORTED && sgti_failures() == failures)
        return called->additional ? result : refuse(dispatch, called);
    return sgti_slot_status(dispatch, result, failures, called->name);
}

sgt_status sgti_embedding(sgti_dispatch *dispatch, sgt_embedding_args *args)
{
    return operate(dispatch, SGTI_OP_embedding, args);
}

sgt_status sgti_embedding_backward(sgti_dispatch *dispatch, sgt_embedding_backward_args *args)
{
    return operate(dispatch, SGTI_OP_embedding_backward, args);
}

sgt_status sgti_rmsnorm(sgti_dispatch *dispatch, sgt_rmsnorm_args *args)
{
    return operate(dispatch, SGTI_OP_rmsnorm, args);
}

sgt_status sgti_rmsnorm_backward(sgti_dispatch *dispatch, sgt_rmsnorm_backward_args *args)
{
    return operate(dispatch, SGTI_OP_rmsnorm_backward, args);
}

sgt_status sgti_rope(sgti_dispatch *dispatch, sgt_rope_args *args)
{
    return operate(dispatch, SGTI_OP_rope, args);
}

sgt_status sgti_attention(sgti_dispatch *dispatch, sgt_attention_args *args)
{
    return operate(dispatch, SGTI_OP_attention, args);
}

sgt_status sgti_attention_backward(sgti_dispatch *dispatch, sgt_attention_backward_args *args)
{
    return operate(dispatch, SGTI_OP_attention_backward, args);
}

sgt_status sgti_swiglu(sgti_dispatch *dispatch, sgt_swiglu_args *args)
{
    return operate(dispatch, SGTI_OP_swiglu, args);
}

sgt_status sgti_swiglu_backward(sgti_dispatch *dispatch, sgt_swiglu_backward_args *args)
{
    return operate(dispatch, SGTI_OP_swiglu_backward, args);
}

sgt_status sgti_cross_entropy(sgti_dispatch *dispatch, sgt_cross_entropy_args *args)
{
    return operate(dispatch, SGTI_OP_cross_entropy, args);
}

sgt_status sgti_norm(sgti_dispatch *dispatch, sgt_norm_args *args)
{
    return operate(dispatch, SGTI_OP_norm, args);
}

sgt_status sgti_adamw(sgti_dispatch *dispatch, sgt_adamw_args *args)
{
    return operate(dispatch, SGTI_OP_adamw, args);
}

sgt_status sgti_gather_rows(sgti_dispatch *dispatch, sgt_rows_args *args)
{
    return operate(dispatch, SGTI_OP_gather_rows, args);
}

sgt_status sgti_scatter_add_rows(sgti_dispatch *dispatch, sgt_rows_args *args)
{
    return operate(dispatch, SGTI_OP_scatter_add_rows, args);
}

#define PASS_ON(name, type)                                                                        \
    sgt_status sgti_##name(sgti_dispatch *dispatch, type *args)                                    \
    {                                                                                              \
        return operate(dispatch, SGTI_OP_##name, args);                                            \
    }
SGTI_PART_SLOTS(PASS_ON)
SGTI_UNIT_SLOTS(PASS_ON)
SGTI_ADDITIONAL_SLOTS(PASS_ON)
#undef PASS_ON

int sgti_has_units(const sgti_dispatch *dispatch)
{
    const sgt_backend *table = dispatch->portable ? &sgti_portable_backend : dispatch->table;
    return table->unit_inputs && table->unit_outputs && table->unit_gradients;
}

sgt_status sgti_axpy(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha,
                     const sgt_tensor *x)
{
    sgt_elementwise_args args = {.alpha = alpha, .x = x, .y = y};
    return operate(dispatch, SGTI_OP_axpy, &args);
}

sgt_status sgti_scale(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha)
{
    sgt_elementwise_args args = {.alpha = alpha, .y = y};
    return operate(dispatch, SGTI_OP_scale, &args);
}

sgt_status sgti_add(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x,
                    const sgt_tensor *z)
{
    sgt_elementwise_args args = {.x = x, .y = y, .z = z};
    return operate(dispatch, SGTI_OP_add, &args);
}

sgt_status sgti_convert(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x)
{
    sgt_elementwise_args args = {.x = x, .y = y};
    return operate(dispatch, SGTI_OP_convert, &args);
}

sgt_status sgti_gemm(sgti_dispatch *dispatch, const sgt_tensor *c, float alpha,
                     const sgt_tensor *a, const sgt_tensor *b, float beta, const sgt_tensor *d)
{
    sgt_gemm_args args = {.alpha = alpha, .beta = beta, .a = a, .b = b, .c = c, .d = d};
    return operate(dispatch, SGTI_OP_gemm, &args);
}

/* ---- copy, which is a slot of the memory, and prepare_weight, which may do nothing ---- */

sgt_status sgti_copy(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x)
{
    const sgt_elementwise_args args = {.size = sizeof args, .x = x, .y = y};
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->memory->copy(dispatch->memory_instance, &args);
    sgti_profile_end(dispatch, SGTI_PROFILE_copy, begun);
    return sgti_slot_status(dispatch, result, failures, "copy");
}

sgt_status sgti_prepare_weight(sgti_dispatch *dispatch, const sgt_tensor *weight)
{
    const sgt_prepare_weight_args args = {.size = sizeof args, .weight = weight};
    uint64_t failures = sgti_failures();
    if (!dispatch->table->prepare_weight)
        return SGT_OK;
    int32_t result = dispatch->table->prepare_weight(dispatch->instance, &args);
    if (result == SGT_E_UNSUPPORTED && sgti_failures() == failures)
        return SGT_OK;
    return sgti_slot_status(dispatch, result, failures, "prepare_weight");
}
