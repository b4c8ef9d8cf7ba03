/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of rows.cl. */
#include "opencl_backend.h"

int32_t opencl_embedding(void *instance, const sgt_embedding_args *args)
{
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
    const opencl_view table = opencl_view_of(args->dtable), dout = opencl_view_of(args->dout);
    const cl_long ids_at = opencl_offset(args->ids);
    const opencl_argument list[] = {OPENCL_BUFFER(args->dtable), OPENCL_VALUE(table),
                                    OPENCL_BUFFER(args->ids),    OPENCL_VALUE(ids_at),
                                    OPENCL_BUFFER(args->dout),   OPENCL_VALUE(dout),
                                    OPENCL_VALUE(args->scale)};
    return opencl_run(instance, OPENCL_embedding_backward, dout.shape[3], OPENCL_COUNT(list),
                      list);
}

int32_t opencl_rmsnorm(void *instance, const sgt_rmsnorm_args *args)
{
    const opencl_view x = opencl_view_of(args->x), y = opencl_view_of(args->y);
    const cl_long weight_at = opencl_offset(args->weight);
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->weight), OPENCL_VALUE(weight_at),
                                    OPENCL_BUFFER(args->y),      OPENCL_VALUE(y),
                                    OPENCL_VALUE(args->eps)};
    return opencl_run(instance, OPENCL_rmsnorm, x.shape[2], OPENCL_COUNT(list), list);
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
        opencl_launch(self, OPENCL_rmsnorm_dx, x.shape[2], OPENCL_COUNT(to_x), to_x);
    if (status == SGT_OK)
        status = opencl_launch(self, OPENCL_rmsnorm_parts, SGT_RMSNORM_PARTS,
                               OPENCL_COUNT(to_parts), to_parts);
    if (status == SGT_OK)
        status = opencl_launch(self, OPENCL_rmsnorm_dweight, x.shape[3], OPENCL_COUNT(to_weight),
                               to_weight);
    return status;
}

int32_t opencl_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args)
{
    opencl_backend *self = instance;
    pthread_mutex_lock(&self->lock);
    int32_t status = rmsnorm_backward(self, args);
    pthread_mutex_unlock(&self->lock);
    return status;
}

int32_t opencl_rope(void *instance, const sgt_rope_args *args)
{
    static const cl_int zero = 0;
    opencl_backend *self = instance;
    const opencl_view x = opencl_view_of(args->x);
    const cl_long cosine_at = opencl_offset(args->cosine), sine_at = opencl_offset(args->sine);
    cl_mem offsets;
    int32_t status =
        opencl_upload(&offsets, self, args->offsets, sizeof zero, x.shape[0], &zero);
    if (status != SGT_OK)
        return status;
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->cosine), OPENCL_VALUE(cosine_at),
                                    OPENCL_BUFFER(args->sine),   OPENCL_VALUE(sine_at),
                                    OPENCL_VALUE(offsets),       OPENCL_VALUE(args->inverse)};
    status = opencl_run(self, OPENCL_rope, opencl_count(args->x) / 2, OPENCL_COUNT(list), list);
    clReleaseMemObject(offsets);
    return status;
}

int32_t opencl_swiglu(void *instance, const sgt_swiglu_args *args)
{
    const opencl_view gate = opencl_view_of(args->gate), up = opencl_view_of(args->up);
    const opencl_view out = opencl_view_of(args->out);
    const opencl_argument list[] = {OPENCL_BUFFER(args->gate), OPENCL_VALUE(gate),
                                    OPENCL_BUFFER(args->up),   OPENCL_VALUE(up),
                                    OPENCL_BUFFER(args->out),  OPENCL_VALUE(out)};
    return opencl_run(instance, OPENCL_swiglu, opencl_count(args->out), OPENCL_COUNT(list), list);
}

int32_t opencl_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
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
    return opencl_run(instance, OPENCL_cross_entropy, logits.shape[2], OPENCL_COUNT(list), list);
}
