/* SPDX-License-Identifier: BSD-3-Clause */
#include "protected.h"

#include <string.h>

static uint64_t element_bytes(int32_t dtype)
{
    return dtype == SGT_F64 ? 8 : dtype == SGT_BF16 || dtype == SGT_F16 ? 2 : 4;
}

/* What is wrong with a tensor; NULL: nothing. */
const char *protected_wrong(const sgt_tensor *tensor)
{
    if (tensor->size != sizeof *tensor || tensor->rank < 1 || tensor->rank > SGT_MAX_RANK)
        return "a tensor has a wrong size or rank";
    if (!tensor->buffer)
        return "a tensor has no buffer";
    uint64_t last = tensor->offset;
    for (int32_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 1 || tensor->strides[i] < 0)
            return "a tensor has an empty dimension or a negative stride";
        last += (uint64_t)(tensor->shape[i] - 1) * (uint64_t)tensor->strides[i];
    }
    if ((last + 1) * element_bytes(tensor->dtype) > tensor->buffer->bytes)
        return "a tensor reaches past its buffer";
    return NULL;
}

/* ---- opening the buffers of one operation ---- */

typedef struct operation {
    const backend *self;
    int32_t count;
    int32_t status;
    sgt_buffer *buffers[SGT_MAX_ARGS_TENSORS];
    sgt_tensor tensors[SGT_MAX_ARGS_TENSORS]; /* with addresses for buffers */
} operation;

/* The tensor as the portable backend sees it; its memory is open from now on. */
static const sgt_tensor *opened(operation *op, const sgt_tensor *tensor)
{
    if (!tensor || op->status)
        return NULL;
    const char *reason = protected_wrong(tensor);
    if (!reason && protected_enter(tensor->buffer))
        reason = "mprotect failed";
    if (reason) {
        op->status = protected_fail(op->self, reason);
        return NULL;
    }
    sgt_tensor *own = &op->tensors[op->count];
    *own = *tensor;
    own->buffer = (sgt_buffer *)(void *)tensor->buffer->data;
    op->buffers[op->count++] = tensor->buffer;
    return own;
}

static int32_t finish(operation *op)
{
    for (int32_t i = 0; i < op->count; i++)
        if (protected_leave(op->buffers[i]) && !op->status)
            op->status = protected_fail(op->self, "mprotect failed");
    return op->status;
}

/* ---- transfers ---- */

static int32_t refuse_capture(const backend *self)
{
    return self->graph ? protected_fail(self, "a transfer or a wait under capture") : SGT_OK;
}

int32_t protected_read(void *instance, void *data, const sgt_tensor *tensor)
{
    operation op = {.self = instance, .status = refuse_capture(instance)};
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = op.self->services->portable->read(op.self->portable, data, own);
    return finish(&op);
}

int32_t protected_write(void *instance, const sgt_tensor *tensor, const void *data)
{
    operation op = {.self = instance, .status = refuse_capture(instance)};
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = op.self->services->portable->write(op.self->portable, own, data);
    return finish(&op);
}

int32_t protected_run_fill(backend *self, const sgt_tensor *tensor, double value)
{
    operation op = {.self = self};
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = self->services->portable->fill(self->portable, own, value);
    return finish(&op);
}

int32_t protected_fill(void *instance, const sgt_tensor *tensor, double value)
{
    backend *self = instance;
    return self->graph ? protected_record_fill(self, tensor, value)
                       : protected_run_fill(self, tensor, value);
}

int32_t protected_sync(void *instance)
{
    const backend *self = instance;
    int32_t status = refuse_capture(self);
    return status ? status : self->services->portable->sync(self->portable);
}

/* ---- operations ---- */

static int32_t call_portable(const backend *self, size_t slot, const any_args *args)
{
    switch (slot) {
#define CALL(name, type)                                                                           \
    case SGT_SLOT(name):                                                                           \
        return self->services->portable->name(self->portable, &args->name);
        PROTECTED_OPERATIONS(CALL)
#undef CALL
    default:
        return SGT_E_UNSUPPORTED;
    }
}

static size_t bytes_of(size_t slot)
{
    switch (slot) {
#define BYTES(name, type)                                                                          \
    case SGT_SLOT(name):                                                                           \
        return sizeof(type);
        PROTECTED_OPERATIONS(BYTES)
#undef BYTES
    default:
        return 0;
    }
}

int32_t protected_run(backend *self, size_t slot, const void *args)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    operation op = {.self = self};
    const uint32_t size = (uint32_t)bytes_of(slot);
    any_args own;
    char *bytes = (char *)&own;
    memcpy(bytes, args, size);
    memcpy(bytes, &size, sizeof size);
    for (; field->offset; field++) {
        const sgt_tensor *tensor;
        memcpy(&tensor, bytes + field->offset, sizeof tensor);
        tensor = opened(&op, tensor);
        memcpy(bytes + field->offset, &tensor, sizeof tensor);
    }
    if (!op.status)
        op.status = call_portable(self, slot, &own);
    return finish(&op);
}

static int32_t call(void *instance, size_t slot, const void *args, size_t size)
{
    backend *self = instance;
    if (!sgt_args_fit(slot, args, size))
        return SGT_E_UNSUPPORTED;
    return self->graph ? protected_record(self, slot, args, size)
                       : protected_run(self, slot, args);
}

int32_t protected_copy(void *instance, const sgt_elementwise_args *args)
{
    return call(instance, SGT_SLOT(copy), args, sizeof *args);
}

int32_t protected_gemm(void *instance, const sgt_gemm_args *args)
{
    return call(instance, SGT_SLOT(gemm), args, sizeof *args);
}

int32_t protected_embedding(void *instance, const sgt_embedding_args *args)
{
    return call(instance, SGT_SLOT(embedding), args, sizeof *args);
}

int32_t protected_embedding_backward(void *instance, const sgt_embedding_backward_args *args)
{
    return call(instance, SGT_SLOT(embedding_backward), args, sizeof *args);
}

int32_t protected_rmsnorm(void *instance, const sgt_rmsnorm_args *args)
{
    return call(instance, SGT_SLOT(rmsnorm), args, sizeof *args);
}

int32_t protected_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args)
{
    return call(instance, SGT_SLOT(rmsnorm_backward), args, sizeof *args);
}

int32_t protected_rope(void *instance, const sgt_rope_args *args)
{
    return call(instance, SGT_SLOT(rope), args, sizeof *args);
}

int32_t protected_attention(void *instance, const sgt_attention_args *args)
{
    return call(instance, SGT_SLOT(attention), args, sizeof *args);
}

int32_t protected_attention_backward(void *instance, const sgt_attention_backward_args *args)
{
    return call(instance, SGT_SLOT(attention_backward), args, sizeof *args);
}

int32_t protected_swiglu(void *instance, const sgt_swiglu_args *args)
{
    return call(instance, SGT_SLOT(swiglu), args, sizeof *args);
}

int32_t protected_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    return call(instance, SGT_SLOT(swiglu_backward), args, sizeof *args);
}

int32_t protected_cross_entropy(void *instance, const sgt_cross_entropy_args *args)
{
    return call(instance, SGT_SLOT(cross_entropy), args, sizeof *args);
}

int32_t protected_add(void *instance, const sgt_elementwise_args *args)
{
    return call(instance, SGT_SLOT(add), args, sizeof *args);
}

int32_t protected_axpy(void *instance, const sgt_elementwise_args *args)
{
    return call(instance, SGT_SLOT(axpy), args, sizeof *args);
}

int32_t protected_scale(void *instance, const sgt_elementwise_args *args)
{
    return call(instance, SGT_SLOT(scale), args, sizeof *args);
}

int32_t protected_norm(void *instance, const sgt_norm_args *args)
{
    return call(instance, SGT_SLOT(norm), args, sizeof *args);
}

int32_t protected_convert(void *instance, const sgt_elementwise_args *args)
{
    return call(instance, SGT_SLOT(convert), args, sizeof *args);
}

int32_t protected_adamw(void *instance, const sgt_adamw_args *args)
{
    return call(instance, SGT_SLOT(adamw), args, sizeof *args);
}

int32_t protected_gather_rows(void *instance, const sgt_rows_args *args)
{
    return call(instance, SGT_SLOT(gather_rows), args, sizeof *args);
}

int32_t protected_scatter_add_rows(void *instance, const sgt_rows_args *args)
{
    return call(instance, SGT_SLOT(scatter_add_rows), args, sizeof *args);
}

int32_t protected_relu(void *instance, const sgt_relu_args *args)
{
    return call(instance, SGT_SLOT(relu), args, sizeof *args);
}

int32_t protected_relu_backward(void *instance, const sgt_relu_backward_args *args)
{
    return call(instance, SGT_SLOT(relu_backward), args, sizeof *args);
}

int32_t protected_choose(void *instance, const sgt_choose_args *args)
{
    return call(instance, SGT_SLOT(choose), args, sizeof *args);
}

int32_t protected_choose_backward(void *instance, const sgt_choose_backward_args *args)
{
    return call(instance, SGT_SLOT(choose_backward), args, sizeof *args);
}

int32_t protected_row_products(void *instance, const sgt_row_products_args *args)
{
    return call(instance, SGT_SLOT(row_products), args, sizeof *args);
}

int32_t protected_row_products_backward(void *instance, const sgt_row_products_backward_args *args)
{
    return call(instance, SGT_SLOT(row_products_backward), args, sizeof *args);
}

int32_t protected_unit_inputs(void *instance, const sgt_units_args *args)
{
    return call(instance, SGT_SLOT(unit_inputs), args, sizeof *args);
}

int32_t protected_unit_outputs(void *instance, const sgt_units_args *args)
{
    return call(instance, SGT_SLOT(unit_outputs), args, sizeof *args);
}

int32_t protected_unit_gradients(void *instance, const sgt_units_args *args)
{
    return call(instance, SGT_SLOT(unit_gradients), args, sizeof *args);
}

/* There is nothing to prepare: only looks whether the tensor is one. */
int32_t protected_prepare_weight(void *instance, const sgt_prepare_weight_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(prepare_weight), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const char *reason = protected_wrong(args->weight);
    return reason ? protected_fail(instance, reason) : SGT_OK;
}
