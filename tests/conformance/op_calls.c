/* SPDX-License-Identifier: BSD-3-Clause */
/* Calling slots: what they must decline, what means the same, graphs of one call, stand-ins. */
#include "op_harness.h"

#include <stdio.h>
#include <string.h>

#include "watched_memory.h"

/* ---- copies of arguments ---- */

static void set_size(sgtt_args_copy *copy, size_t bytes)
{
    const uint32_t size = (uint32_t)bytes;
    memcpy(copy->bytes, &size, sizeof size);
}

/* The arguments with copies of their tensors, and room of 0 behind them. */
static void copy_args(sgtt_args_copy *copy, size_t slot, const void *args, size_t bytes)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    sgtt_require(bytes + 16 <= sizeof copy->bytes, "the arguments of a slot are too large");
    memset(copy->bytes, 0, sizeof copy->bytes);
    memcpy(copy->bytes, args, bytes);
    for (int i = 0; field[i].offset; i++) {
        const sgt_tensor *tensor;
        memcpy(&tensor, copy->bytes + field[i].offset, sizeof tensor);
        if (!tensor)
            continue;
        copy->tensors[i] = *tensor;
        tensor = &copy->tensors[i];
        memcpy(copy->bytes + field[i].offset, &tensor, sizeof tensor);
    }
}

/* A type that is not among those; 0: there is none. */
static int32_t other_type(uint32_t types)
{
    static const int32_t all[] = {SGT_F16, SGT_I32, SGT_F32};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(types & SGT_TYPE(all[i])))
            return all[i];
    return 0;
}

const void *sgtt_bad_args(sgtt_args_copy *copy, size_t slot, const void *args, size_t bytes)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    sgtt_forget_message();
    copy_args(copy, slot, args, bytes);
    if (copy->next++ == 0) {
        set_size(copy, bytes + 8);
        copy->bytes[bytes + 7] = 1;
        snprintf(copy->what, sizeof copy->what, "a field that it does not know");
        return copy->bytes;
    }
    for (; field[copy->next - 2].offset; copy->next++) {
        const sgt_args_tensor *own = &field[copy->next - 2];
        const int32_t type = other_type(own->types);
        const sgt_tensor *tensor;
        memcpy(&tensor, copy->bytes + own->offset, sizeof tensor);
        if (!tensor || !type)
            continue;
        copy->tensors[copy->next - 2].dtype = type;
        snprintf(copy->what, sizeof copy->what, "tensor %d of its arguments with type %d",
                 copy->next - 1, (int)type);
        return copy->bytes;
    }
    return NULL;
}

void sgtt_expect_declined(int32_t result, const char *slot, const sgtt_args_copy *copy)
{
    sgtt_require(result != SGT_OK, "%s takes %s", slot, copy->what);
    sgtt_require(result == SGT_E_UNSUPPORTED, "%s returns %s for %s, and does not decline it", slot,
                 sgt_status_name(result), copy->what);
    sgtt_require(!sgtt_new_message(), "%s records a message when it declines %s", slot,
                 copy->what);
}

const void *sgtt_good_args(sgtt_args_copy *copy, size_t slot, const void *args, size_t bytes)
{
    sgtt_forget_message();
    copy_args(copy, slot, args, bytes);
    set_size(copy, bytes + 8);
    return copy->bytes;
}

const void *sgtt_host_args(sgtt_args_copy *copy, sgtt_machine *machine, size_t slot,
                           const void *args, size_t bytes)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    copy_args(copy, slot, args, bytes);
    for (int i = 0; field[i].offset; i++)
        if (copy->tensors[i].buffer)
            copy->tensors[i].buffer = machine->memory->host_pointer(machine->memory_instance,
                                                                    copy->tensors[i].buffer);
    return copy->bytes;
}

/* ---- one call ---- */

int sgtt_is_left(sgtt_machine *machine, int32_t result)
{
    machine->calls++;
    if (result != SGT_E_UNSUPPORTED || machine->on_host || !machine->stand_in ||
        sgtt_new_message())
        return 0;
    machine->declined++;
    return 1;
}

void sgtt_begin_call(sgtt_machine *machine)
{
    if (machine->in_graphs)
        sgtt_slot_done(machine->slots->capture_begin(machine->slots_instance), "capture_begin");
}

int sgtt_end_call(sgtt_machine *machine, sgtt_args_copy *copy, int32_t result, const char *slot)
{
    const sgt_backend *slots = machine->slots;
    sgt_graph *graph = NULL;
    if (!machine->in_graphs)
        return 0;
    sgtt_slot_done(slots->capture_end(machine->slots_instance, &graph), "capture_end");
    sgtt_require(graph != NULL, "capture_end gives no graph of %s", slot);
    memset(copy, 0, sizeof *copy);
    if (result == SGT_OK)
        sgtt_slot_done(slots->replay(machine->slots_instance, graph), "replay");
    slots->free_graph(machine->slots_instance, graph);
    return result == SGT_E_UNSUPPORTED;
}

void sgtt_slot_done(int32_t result, const char *slot)
{
    if (result != SGT_OK)
        sgtt_fail("%s returned %s: %s", slot, sgt_status_name(result), sgt_error_message());
}

void sgtt_gemm(sgtt_machine *machine, const sgt_tensor *c, float alpha, const sgt_tensor *a,
               const sgt_tensor *b, float beta, const sgt_tensor *d)
{
    sgt_gemm_args args = {.alpha = alpha, .beta = beta, .a = a, .b = b, .c = c, .d = d};
    sgtt_call(machine, gemm, &args);
}

void sgtt_copy(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x)
{
    const sgt_elementwise_args args = {.size = sizeof args, .x = x, .y = y};
    sgtt_slot_done(machine->mover->copy(machine->mover_instance, &args), "copy");
}

void sgtt_axpy(sgtt_machine *machine, const sgt_tensor *y, float alpha, const sgt_tensor *x)
{
    sgt_elementwise_args args = {.alpha = alpha, .x = x, .y = y};
    sgtt_call(machine, axpy, &args);
}

void sgtt_scale(sgtt_machine *machine, const sgt_tensor *y, float alpha)
{
    sgt_elementwise_args args = {.alpha = alpha, .y = y};
    sgtt_call(machine, scale, &args);
}

void sgtt_add(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x,
              const sgt_tensor *z)
{
    sgt_elementwise_args args = {.x = x, .y = y, .z = z};
    sgtt_call(machine, add, &args);
}

void sgtt_convert(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x)
{
    sgt_elementwise_args args = {.x = x, .y = y};
    sgtt_call(machine, convert, &args);
}

void sgtt_fill(sgtt_machine *machine, const sgt_tensor *y, double value)
{
    sgtt_slot_done(machine->mover->fill(machine->mover_instance, y, value), "fill");
}

double sgtt_norm(sgtt_machine *machine, const sgt_tensor *x)
{
    const int64_t one = 1;
    double found = -1.0;
    int64_t first = 0, count = 1;
    sgtt_tensor *sum = sgtt_make(machine, SGT_F64, SGTT_DENSE, 1, &one);
    for (int32_t i = 0; i < x->rank; i++)
        count *= x->shape[i];
    sgt_norm_args args = {
        .n_pieces = 1, .x = x, .sum = &sum->t, .firsts = &first, .counts = &count};
    sgtt_call(machine, norm, &args);
    sgtt_read(machine, &found, sum);
    return found;
}
