/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of attention.cl. The lists that come in host memory (heads, gains, offsets,
 * lengths) go to the device for the call.
 */
#include "opencl_backend.h"

/* ---- host lists ---- */

typedef struct lists {
    cl_mem kv_heads;
    cl_mem gains;
    cl_mem offsets;
    cl_mem lengths;
} lists;

static void release(const lists *l)
{
    const cl_mem all[] = {l->kv_heads, l->gains, l->offsets, l->lengths};
    for (int i = 0; i < 4; i++) {
        if (all[i])
            clReleaseMemObject(all[i]);
    }
}

/* NULL lists become ones, zeros and the number of queries. */
static int32_t upload(lists *l, opencl_backend *self, const opencl_view *q,
                      const int32_t *kv_heads, const float *gains, const int32_t *offsets,
                      const int32_t *lengths)
{
    static const cl_float one = 1.0f;
    static const cl_int zero = 0;
    const cl_int all = (cl_int)q->shape[1];
    int32_t status = opencl_upload(&l->kv_heads, self, kv_heads, sizeof zero, q->shape[2], &zero);
    if (status == SGT_OK)
        status = opencl_upload(&l->gains, self, gains, sizeof one, q->shape[2], &one);
    if (status == SGT_OK)
        status = opencl_upload(&l->offsets, self, offsets, sizeof zero, q->shape[0], &zero);
    if (status == SGT_OK)
        status = opencl_upload(&l->lengths, self, lengths, sizeof all, q->shape[0], &all);
    return status;
}

/* ---- forward ---- */

/* A tensor that may be missing: its buffer or another one that is not touched. */
static const sgt_tensor *either(const sgt_tensor *wanted, const sgt_tensor *other)
{
    return wanted != NULL ? wanted : other;
}

static int32_t give_entropies(opencl_backend *self, const sgt_attention_args *args,
                              const opencl_view *q, const lists *l)
{
    const sgt_tensor *last = either(args->entropy_last, args->entropy_mean);
    const sgt_tensor *mean = either(args->entropy_mean, args->entropy_last);
    const cl_long last_at = opencl_offset(last), mean_at = opencl_offset(mean);
    const cl_int wants_last = args->entropy_last != NULL, wants_mean = args->entropy_mean != NULL;
    const cl_long queries = q->shape[1], heads = q->shape[2];
    const opencl_argument list[] = {OPENCL_VALUE(self->scratch), OPENCL_VALUE(queries),
                                    OPENCL_VALUE(heads),         OPENCL_VALUE(l->offsets),
                                    OPENCL_VALUE(l->lengths),    OPENCL_BUFFER(last),
                                    OPENCL_VALUE(last_at),       OPENCL_VALUE(wants_last),
                                    OPENCL_BUFFER(mean),         OPENCL_VALUE(mean_at),
                                    OPENCL_VALUE(wants_mean)};
    return opencl_launch(self, OPENCL_entropies, q->shape[0] * heads, OPENCL_COUNT(list), list);
}

/* Under the lock: the scratch holds the entropy of each row. */
static int32_t forward(opencl_backend *self, const sgt_attention_args *args, const lists *l)
{
    const opencl_view q = opencl_view_of(args->q), k = opencl_view_of(args->k);
    const opencl_view v = opencl_view_of(args->v), out = opencl_view_of(args->out);
    const sgt_tensor *lse = either(args->lse, args->out);
    const cl_long lse_at = opencl_offset(lse), rows = q.shape[0] * q.shape[2] * q.shape[1];
    const cl_int wants_lse = args->lse != NULL;
    const cl_int wants_entropy = args->entropy_last != NULL || args->entropy_mean != NULL;
    int32_t status =
        opencl_reserve(self, (wants_entropy ? (size_t)rows : 1) * sizeof(cl_double));
    if (status != SGT_OK)
        return status;
    const opencl_argument list[] = {
        OPENCL_BUFFER(args->q),      OPENCL_VALUE(q),         OPENCL_BUFFER(args->k),
        OPENCL_VALUE(k),             OPENCL_BUFFER(args->v),  OPENCL_VALUE(v),
        OPENCL_BUFFER(args->out),    OPENCL_VALUE(out),       OPENCL_BUFFER(lse),
        OPENCL_VALUE(lse_at),        OPENCL_VALUE(wants_lse), OPENCL_VALUE(self->scratch),
        OPENCL_VALUE(wants_entropy), OPENCL_VALUE(l->kv_heads), OPENCL_VALUE(l->gains),
        OPENCL_VALUE(l->offsets),    OPENCL_VALUE(l->lengths), OPENCL_VALUE(args->scale)};
    status = opencl_launch(self, OPENCL_attention, rows, OPENCL_COUNT(list), list);
    if (status == SGT_OK && wants_entropy)
        status = give_entropies(self, args, &q, l);
    return status;
}

int32_t opencl_attention(void *instance, const sgt_attention_args *args)
{
    opencl_backend *self = instance;
    const opencl_view q = opencl_view_of(args->q);
    lists l = {0};
    int32_t status =
        upload(&l, self, &q, args->kv_heads, args->gains, args->offsets, args->lengths);
    if (status == SGT_OK) {
        pthread_mutex_lock(&self->lock);
        status = forward(self, args, &l);
        pthread_mutex_unlock(&self->lock);
    }
    release(&l);
    return status;
}

/* ---- backward ---- */

/* Under the lock: the scratch holds dout . out of each row. */
static int32_t backward(opencl_backend *self, const sgt_attention_backward_args *args,
                        const lists *l)
{
    const opencl_view q = opencl_view_of(args->q), k = opencl_view_of(args->k);
    const opencl_view v = opencl_view_of(args->v), out = opencl_view_of(args->out);
    const opencl_view dout = opencl_view_of(args->dout), dq = opencl_view_of(args->dq);
    const opencl_view dk = opencl_view_of(args->dk), dv = opencl_view_of(args->dv);
    const cl_long lse_at = opencl_offset(args->lse);
    const cl_long rows = q.shape[0] * q.shape[2] * q.shape[1];
    const cl_long key_rows = k.shape[0] * k.shape[2] * k.shape[1];
    int32_t status = opencl_reserve(self, (size_t)rows * sizeof(cl_double));
    if (status != SGT_OK)
        return status;
    const opencl_argument to_q[] = {
        OPENCL_BUFFER(args->q),    OPENCL_VALUE(q),           OPENCL_BUFFER(args->k),
        OPENCL_VALUE(k),           OPENCL_BUFFER(args->v),    OPENCL_VALUE(v),
        OPENCL_BUFFER(args->out),  OPENCL_VALUE(out),         OPENCL_BUFFER(args->dout),
        OPENCL_VALUE(dout),        OPENCL_BUFFER(args->lse),  OPENCL_VALUE(lse_at),
        OPENCL_BUFFER(args->dq),   OPENCL_VALUE(dq),          OPENCL_VALUE(self->scratch),
        OPENCL_VALUE(l->kv_heads), OPENCL_VALUE(l->gains),    OPENCL_VALUE(args->scale)};
    const opencl_argument to_kv[] = {
        OPENCL_BUFFER(args->q),      OPENCL_VALUE(q),           OPENCL_BUFFER(args->k),
        OPENCL_VALUE(k),             OPENCL_BUFFER(args->v),    OPENCL_VALUE(v),
        OPENCL_BUFFER(args->dout),   OPENCL_VALUE(dout),        OPENCL_BUFFER(args->lse),
        OPENCL_VALUE(lse_at),        OPENCL_VALUE(self->scratch), OPENCL_BUFFER(args->dk),
        OPENCL_VALUE(dk),            OPENCL_BUFFER(args->dv),   OPENCL_VALUE(dv),
        OPENCL_VALUE(l->kv_heads),   OPENCL_VALUE(l->gains),    OPENCL_VALUE(args->scale)};
    status = opencl_launch(self, OPENCL_attention_dq, rows, OPENCL_COUNT(to_q), to_q);
    if (status == SGT_OK)
        status =
            opencl_launch(self, OPENCL_attention_dkv, key_rows, OPENCL_COUNT(to_kv), to_kv);
    return status;
}

int32_t opencl_attention_backward(void *instance, const sgt_attention_backward_args *args)
{
    opencl_backend *self = instance;
    const opencl_view q = opencl_view_of(args->q);
    lists l = {0};
    int32_t status = upload(&l, self, &q, args->kv_heads, args->gains, NULL, NULL);
    if (status == SGT_OK) {
        pthread_mutex_lock(&self->lock);
        status = backward(self, args, &l);
        pthread_mutex_unlock(&self->lock);
    }
    release(&l);
    return status;
}
