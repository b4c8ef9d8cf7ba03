/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of rows.cl. */
#include "opencl_backend.h"

int32_t opencl_embedding(void *instance, const sgt_embedding_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(embedding), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view table = opencl_view_of(args->table), out = opencl_view_of(args->out);
    const cl_long ids_at = opencl_offset(args->ids);
    const opencl_argument list[] = {OPENCL_BUFFER(args->table), OPENCL_VALUE(table),
                                    OPENCL_BUFFER(args->ids),   OPENCL_VALUE(ids_at),
                                    OPENCL_BUFFER(args->out),   OPENCL_VALUE(out)};
    return opencl_run(instance, OPENCL_embedding, opencl_count(args->out), OPENCL_COUNT(list),
                      list);
}

int32_t opencl_embedding_backward(void *instance, const sgt_embedding_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(embedding_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view table = opencl_view_of(args->dtable), dout = opencl_view_of(args->dout);
    const cl_long ids_at = opencl_offset(args->ids);
    const opencl_argument list[] = {OPENCL_BUFFER(args->dtable), OPENCL_VALUE(table),
                                    OPENCL_BUFFER(args->ids),    OPENCL_VALUE(ids_at),
                                    OPENCL_BUFFER(args->dout),   OPENCL_VALUE(dout),
                                    OPENCL_VALUE(args->scale)};
    return opencl_run(instance, OPENCL_embedding_backward, dout.shape[5], OPENCL_COUNT(list),
                      list);
}

int32_t opencl_rmsnorm(void *instance, const sgt_rmsnorm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rmsnorm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view x = opencl_view_of(args->x), y = opencl_view_of(args->y);
    const cl_long weight_at = opencl_offset(args->weight);
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->weight), OPENCL_VALUE(weight_at),
                                    OPENCL_BUFFER(args->y),      OPENCL_VALUE(y),
                                    OPENCL_VALUE(args->eps)};
    return opencl_run(instance, OPENCL_rmsnorm, x.shape[4], OPENCL_COUNT(list), list);
}

/* Under the lock: three kernels, one after the other. */
static int32_t rmsnorm_backward(opencl_backend *self, const sgt_rmsnorm_backward_args *args)
{
    const opencl_view x = opencl_view_of(args->x), dy = opencl_view_of(args->dy);
    const opencl_view dx = opencl_view_of(args->dx);
    const cl_long weight_at = opencl_offset(args->weight);
    const cl_long dweight_at = opencl_offset(args->dweight);
    const cl_long scratch_at = opencl_offset(args->scratch);
    const opencl_argument to_x[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->weight), OPENCL_VALUE(weight_at),
                                    OPENCL_BUFFER(args->dy),     OPENCL_VALUE(dy),
                                    OPENCL_BUFFER(args->dx),     OPENCL_VALUE(dx),
                                    OPENCL_VALUE(args->eps)};
    const opencl_argument to_parts[] = {OPENCL_BUFFER(args->x),       OPENCL_VALUE(x),
                                        OPENCL_BUFFER(args->dy),      OPENCL_VALUE(dy),
                                        OPENCL_BUFFER(args->scratch), OPENCL_VALUE(scratch_at),
                                        OPENCL_VALUE(args->eps)};
    const opencl_argument to_weight[] = {OPENCL_BUFFER(args->dweight), OPENCL_VALUE(dweight_at),
                                         OPENCL_BUFFER(args->scratch), OPENCL_VALUE(scratch_at)};
    int32_t status =
        opencl_launch(self, OPENCL_rmsnorm_dx, x.shape[4], OPENCL_COUNT(to_x), to_x);
    if (status == SGT_OK)
        status = opencl_launch(self, OPENCL_rmsnorm_parts, SGT_RMSNORM_PARTS,
                               OPENCL_COUNT(to_parts), to_parts);
    if (status == SGT_OK)
        status = opencl_launch(self, OPENCL_rmsnorm_dweight, x.shape[5], OPENCL_COUNT(to_weight),
                               to_weight);
    return status;
}

int32_t opencl_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rmsnorm_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    opencl_backend *self = instance;
    pthread_mutex_lock(&self->lock);
    int32_t status = rmsnorm_backward(self, args);
    pthread_mutex_unlock(&self->lock);
    return status;
}

int32_t opencl_rope(void *instance, const sgt_rope_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rope), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view x = opencl_view_of(args->x);
    const cl_long cosine_at = opencl_offset(args->cosine), sine_at = opencl_offset(args->sine);
    const cl_long offsets_at = opencl_offset(args->offsets);
    const sgt_tensor *offsets = opencl_either(args->offsets, args->x);
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->cosine), OPENCL_VALUE(cosine_at),
                                    OPENCL_BUFFER(args->sine),   OPENCL_VALUE(sine_at),
                                    OPENCL_BUFFER(offsets),      OPENCL_VALUE(offsets_at),
                                    OPENCL_VALUE(args->inverse)};
    return opencl_run(instance, OPENCL_rope, opencl_count(args->x) / 2, OPENCL_COUNT(list), list);
}

int32_t opencl_swiglu(void *instance, const sgt_swiglu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    if (args->mask || args->choice)
        return opencl_masked_swiglu(instance, args);
    const opencl_view gate = opencl_view_of(args->gate), up = opencl_view_of(args->up);
    const opencl_view out = opencl_view_of(args->out);
    const opencl_argument list[] = {OPENCL_BUFFER(args->gate), OPENCL_VALUE(gate),
                                    OPENCL_BUFFER(args->up),   OPENCL_VALUE(up),
                                    OPENCL_BUFFER(args->out),  OPENCL_VALUE(out)};
    return opencl_run(instance, OPENCL_swiglu, opencl_count(args->out), OPENCL_COUNT(list), list);
}

int32_t opencl_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    if (args->mask || args->choice || args->dmask)
        return opencl_masked_swiglu_backward(instance, args);
    const opencl_view gate = opencl_view_of(args->gate), up = opencl_view_of(args->up);
    const opencl_view dout = opencl_view_of(args->dout), dgate = opencl_view_of(args->dgate);
    const opencl_view dup = opencl_view_of(args->dup), out = opencl_view_of(args->out);
    const opencl_argument list[] = {OPENCL_BUFFER(args->gate),  OPENCL_VALUE(gate),
                                    OPENCL_BUFFER(args->up),    OPENCL_VALUE(up),
                                    OPENCL_BUFFER(args->dout),  OPENCL_VALUE(dout),
                                    OPENCL_BUFFER(args->dgate), OPENCL_VALUE(dgate),
                                    OPENCL_BUFFER(args->dup),   OPENCL_VALUE(dup),
                                    OPENCL_BUFFER(args->out),   OPENCL_VALUE(out)};
    return opencl_run(instance, OPENCL_swiglu_backward, opencl_count(args->out),
                      OPENCL_COUNT(list), list);
}

int32_t opencl_cross_entropy(void *instance, const sgt_cross_entropy_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(cross_entropy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgt_tensor *gradient = args->dlogits ? args->dlogits : args->logits;
    const opencl_view logits = opencl_view_of(args->logits), dlogits = opencl_view_of(gradient);
    const cl_long targets_at = opencl_offset(args->targets);
    const cl_long losses_at = opencl_offset(args->losses);
    const cl_int wants_gradient = args->dlogits != NULL;
    const opencl_argument list[] = {OPENCL_BUFFER(args->logits),  OPENCL_VALUE(logits),
                                    OPENCL_BUFFER(args->targets), OPENCL_VALUE(targets_at),
                                    OPENCL_BUFFER(args->losses),  OPENCL_VALUE(losses_at),
                                    OPENCL_BUFFER(gradient),      OPENCL_VALUE(dlogits),
                                    OPENCL_VALUE(wants_gradient)};
    return opencl_run(instance, OPENCL_cross_entropy, logits.shape[4], OPENCL_COUNT(list), list);
}

/* ---- blocks of rows by an index ---- */

static int32_t move_rows(void *instance, opencl_kernel which, const sgt_rows_args *args)
{
    const opencl_view whole = opencl_view_of(args->whole), part = opencl_view_of(args->part);
    const cl_long index_at = opencl_offset(args->index), block = args->block;
    const opencl_argument list[] = {OPENCL_BUFFER(args->whole), OPENCL_VALUE(whole),
                                    OPENCL_BUFFER(args->part),  OPENCL_VALUE(part),
                                    OPENCL_BUFFER(args->index), OPENCL_VALUE(index_at),
                                    OPENCL_VALUE(block)};
    return opencl_run(instance, which, opencl_count(args->part), OPENCL_COUNT(list), list);
}

int32_t opencl_gather_rows(void *instance, const sgt_rows_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gather_rows), args, sizeof *args) ||
        args->whole->dtype != args->part->dtype)
        return SGT_E_UNSUPPORTED;
    return move_rows(instance, args->part->dtype == SGT_F32 ? OPENCL_gather4 : OPENCL_gather2,
                     args);
}

int32_t opencl_scatter_add_rows(void *instance, const sgt_rows_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(scatter_add_rows), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    return move_rows(instance, OPENCL_scatter_add, args);
}
