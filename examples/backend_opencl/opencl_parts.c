/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of parts.cl. */
#include "opencl_backend.h"

/* ---- masks ---- */

/* A mask or a choice, as kernels take them: `any` stands for the tensors that are missing. */
typedef struct mask_arguments {
    cl_int kind; /* as in parts.cl */
    const sgt_tensor *mask;
    opencl_view view;
    const sgt_tensor *choice;
    cl_long choice_at;
    cl_long units;
} mask_arguments;

static mask_arguments mask_of(const sgt_tensor *mask, const sgt_tensor *choice, int32_t units,
                              const sgt_tensor *any)
{
    return (mask_arguments){.kind = mask ? 1 : choice ? 2 : 0,
                            .mask = opencl_either(mask, any),
                            .view = opencl_view_of(opencl_either(mask, any)),
                            .choice = opencl_either(choice, any),
                            .choice_at = opencl_offset(choice),
                            .units = units};
}

#define MASK_ARGUMENTS(m)                                                                          \
    OPENCL_VALUE((m).kind), OPENCL_BUFFER((m).mask), OPENCL_VALUE((m).view),                       \
        OPENCL_BUFFER((m).choice), OPENCL_VALUE((m).choice_at), OPENCL_VALUE((m).units)

int32_t opencl_masked_swiglu(void *instance, const sgt_swiglu_args *args)
{
    const opencl_view gate = opencl_view_of(args->gate), up = opencl_view_of(args->up);
    const opencl_view out = opencl_view_of(args->out);
    const mask_arguments mask = mask_of(args->mask, args->choice, args->units, args->gate);
    const opencl_argument list[] = {OPENCL_BUFFER(args->gate), OPENCL_VALUE(gate),
                                    OPENCL_BUFFER(args->up),   OPENCL_VALUE(up),
                                    OPENCL_BUFFER(args->out),  OPENCL_VALUE(out),
                                    MASK_ARGUMENTS(mask)};
    return opencl_run(instance, OPENCL_masked_swiglu, opencl_count(args->out),
                      OPENCL_COUNT(list), list);
}

int32_t opencl_masked_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    const opencl_view gate = opencl_view_of(args->gate), up = opencl_view_of(args->up);
    const opencl_view dout = opencl_view_of(args->dout), dgate = opencl_view_of(args->dgate);
    const opencl_view dup = opencl_view_of(args->dup), out = opencl_view_of(args->out);
    const mask_arguments mask = mask_of(args->mask, args->choice, args->units, args->gate);
    const sgt_tensor *to_mask = opencl_either(args->dmask, args->out);
    const opencl_view dmask = opencl_view_of(to_mask);
    const cl_int wants_dmask = args->dmask != NULL;
    const opencl_argument list[] = {OPENCL_BUFFER(args->gate),  OPENCL_VALUE(gate),
                                    OPENCL_BUFFER(args->up),    OPENCL_VALUE(up),
                                    OPENCL_BUFFER(args->dout),  OPENCL_VALUE(dout),
                                    OPENCL_BUFFER(args->dgate), OPENCL_VALUE(dgate),
                                    OPENCL_BUFFER(args->dup),   OPENCL_VALUE(dup),
                                    OPENCL_BUFFER(args->out),   OPENCL_VALUE(out),
                                    MASK_ARGUMENTS(mask),       OPENCL_VALUE(wants_dmask),
                                    OPENCL_BUFFER(to_mask),     OPENCL_VALUE(dmask)};
    return opencl_run(instance, OPENCL_masked_swiglu_backward, opencl_count(args->out),
                      OPENCL_COUNT(list), list);
}

int32_t opencl_relu(void *instance, const sgt_relu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view x = opencl_view_of(args->x), out = opencl_view_of(args->out);
    const mask_arguments mask = mask_of(args->mask, args->choice, args->units, args->x);
    const opencl_argument list[] = {OPENCL_BUFFER(args->x), OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->out), OPENCL_VALUE(out),
                                    MASK_ARGUMENTS(mask)};
    return opencl_run(instance, OPENCL_relu, opencl_count(args->out), OPENCL_COUNT(list), list);
}

int32_t opencl_relu_backward(void *instance, const sgt_relu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view x = opencl_view_of(args->x), dout = opencl_view_of(args->dout);
    const opencl_view dx = opencl_view_of(args->dx), out = opencl_view_of(args->out);
    const mask_arguments mask = mask_of(args->mask, args->choice, args->units, args->x);
    const sgt_tensor *to_mask = opencl_either(args->dmask, args->out);
    const opencl_view dmask = opencl_view_of(to_mask);
    const cl_int wants_dmask = args->dmask != NULL;
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),    OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->dout), OPENCL_VALUE(dout),
                                    OPENCL_BUFFER(args->dx),   OPENCL_VALUE(dx),
                                    OPENCL_BUFFER(args->out),  OPENCL_VALUE(out),
                                    MASK_ARGUMENTS(mask),      OPENCL_VALUE(wants_dmask),
                                    OPENCL_BUFFER(to_mask),    OPENCL_VALUE(dmask)};
    return opencl_run(instance, OPENCL_relu_backward, opencl_count(args->out),
                      OPENCL_COUNT(list), list);
}

/* ---- choosing ---- */

int32_t opencl_choose(void *instance, const sgt_choose_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgt_tensor *soft = opencl_either(args->mask, args->logits);
    const sgt_tensor *choice = opencl_either(args->choice, args->logits);
    const opencl_view logits = opencl_view_of(args->logits), mask = opencl_view_of(soft);
    const cl_long choice_at = opencl_offset(args->choice), units = args->units;
    const cl_int wants_mask = args->mask != NULL;
    const opencl_argument list[] = {OPENCL_BUFFER(args->logits), OPENCL_VALUE(logits),
                                    OPENCL_BUFFER(choice),       OPENCL_VALUE(choice_at),
                                    OPENCL_VALUE(units),         OPENCL_VALUE(args->seed),
                                    OPENCL_VALUE(args->stream),  OPENCL_VALUE(args->temperature),
                                    OPENCL_VALUE(wants_mask),    OPENCL_BUFFER(soft),
                                    OPENCL_VALUE(mask)};
    return opencl_run(instance, OPENCL_choose, opencl_count(args->logits) / units,
                      OPENCL_COUNT(list), list);
}

int32_t opencl_choose_backward(void *instance, const sgt_choose_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view mask = opencl_view_of(args->mask), dmask = opencl_view_of(args->dmask);
    const opencl_view dlogits = opencl_view_of(args->dlogits);
    const sgt_tensor *choice = opencl_either(args->choice, args->mask);
    const cl_long choice_at = opencl_offset(args->choice), units = args->units;
    const opencl_argument list[] = {OPENCL_BUFFER(args->mask),    OPENCL_VALUE(mask),
                                    OPENCL_BUFFER(args->dmask),   OPENCL_VALUE(dmask),
                                    OPENCL_BUFFER(choice),        OPENCL_VALUE(choice_at),
                                    OPENCL_VALUE(units),
                                    OPENCL_BUFFER(args->dlogits), OPENCL_VALUE(dlogits)};
    return opencl_run(instance, OPENCL_choose_backward, opencl_count(args->mask) / units,
                      OPENCL_COUNT(list), list);
}

/* ---- products of rows ---- */

int32_t opencl_row_products(void *instance, const sgt_row_products_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view x = opencl_view_of(args->x), y = opencl_view_of(args->y);
    const opencl_view out = opencl_view_of(args->out);
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),   OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->y),   OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->out), OPENCL_VALUE(out)};
    return opencl_run(instance, OPENCL_row_products, opencl_count(args->out), OPENCL_COUNT(list),
                      list);
}

/* dx [i] += sum over j of dout y[j], or with the two exchanged. */
static int32_t add_gradient(void *instance, const sgt_tensor *to_x, const sgt_tensor *of_y,
                            const sgt_tensor *of_out, cl_int along)
{
    if (!to_x)
        return SGT_OK;
    const opencl_view dx = opencl_view_of(to_x), y = opencl_view_of(of_y);
    const opencl_view dout = opencl_view_of(of_out);
    const opencl_argument list[] = {OPENCL_BUFFER(to_x),   OPENCL_VALUE(dx),
                                    OPENCL_BUFFER(of_y),   OPENCL_VALUE(y),
                                    OPENCL_BUFFER(of_out), OPENCL_VALUE(dout),
                                    OPENCL_VALUE(along)};
    return opencl_run(instance, OPENCL_row_products_sum, opencl_count(to_x), OPENCL_COUNT(list),
                      list);
}

int32_t opencl_row_products_backward(void *instance, const sgt_row_products_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    int32_t status = add_gradient(instance, args->dx, args->y, args->dout, 3);
    return status ? status : add_gradient(instance, args->dy, args->x, args->dout, 4);
}
