/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of attention.cl. */
#include "opencl_backend.h"

/* ---- lists: of a missing one the kernels get an offset of -1 ---- */

typedef struct lists {
    const sgt_tensor *kv_heads, *gains, *offsets, *lengths;
    cl_long kv_heads_at, gains_at, offsets_at, lengths_at;
} lists;

static lists lists_of(const sgt_tensor *kv_heads, const sgt_tensor *gains,
                      const sgt_tensor *offsets, const sgt_tensor *lengths)
{
    return (lists){.kv_heads = kv_heads,
                   .gains = opencl_either(gains, kv_heads),
                   .offsets = opencl_either(offsets, kv_heads),
                   .lengths = opencl_either(lengths, kv_heads),
                   .kv_heads_at = opencl_offset(kv_heads),
                   .gains_at = opencl_offset(gains),
                   .offsets_at = opencl_offset(offsets),
                   .lengths_at = opencl_offset(lengths)};
}

/* ---- forward ---- */

static int32_t give_entropies(opencl_backend *self, const sgt_attention_args *args,
                              const opencl_view *q, const lists *l)
{
    const sgt_tensor *last = opencl_either(args->entropy_last, args->entropy_mean);
    const sgt_tensor *mean = opencl_either(args->entropy_mean, args->entropy_last);
    const cl_long last_at = opencl_offset(last), mean_at = opencl_offset(mean);
    const cl_int wants_last = args->entropy_last != NULL, wants_mean = args->entropy_mean != NULL;
    const cl_long queries = q->shape[3], heads = q->shape[4];
    const opencl_argument list[] = {OPENCL_VALUE(self->scratch), OPENCL_VALUE(queries),
                                    OPENCL_VALUE(heads),         OPENCL_BUFFER(l->offsets),
                                    OPENCL_VALUE(l->offsets_at), OPENCL_BUFFER(l->lengths),
                                    OPENCL_VALUE(l->lengths_at), OPENCL_BUFFER(last),
                                    OPENCL_VALUE(last_at),       OPENCL_VALUE(wants_last),
                                    OPENCL_BUFFER(mean),         OPENCL_VALUE(mean_at),
                                    OPENCL_VALUE(wants_mean)};
    return opencl_launch(self, OPENCL_entropies, q->shape[2] * heads, OPENCL_COUNT(list), list);
}

/* Under the lock: the scratch holds the entropy of each row. */
static int32_t forward(opencl_backend *self, const sgt_attention_args *args, const lists *l)
{
    const opencl_view q = opencl_view_of(args->q), k = opencl_view_of(args->k);
    const opencl_view v = opencl_view_of(args->v), out = opencl_view_of(args->out);
    const sgt_tensor *lse = opencl_either(args->lse, args->out);
    const cl_long lse_at = opencl_offset(lse), rows = q.shape[2] * q.shape[4] * q.shape[3];
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
        OPENCL_VALUE(wants_entropy), OPENCL_BUFFER(l->kv_heads), OPENCL_VALUE(l->kv_heads_at),
        OPENCL_BUFFER(l->gains),     OPENCL_VALUE(l->gains_at),  OPENCL_BUFFER(l->offsets),
        OPENCL_VALUE(l->offsets_at), OPENCL_BUFFER(l->lengths),  OPENCL_VALUE(l->lengths_at),
        OPENCL_VALUE(args->scale)};
    status = opencl_launch(self, OPENCL_attention, rows, OPENCL_COUNT(list), list);
    if (status == SGT_OK && wants_entropy)
        status = give_entropies(self, args, &q, l);
    return status;
}

int32_t opencl_attention(void *instance, const sgt_attention_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention), args, sizeof *args) || args->patterns)
        return SGT_E_UNSUPPORTED; /* kernels are dense: the portable ones have patterns */
    opencl_backend *self = instance;
    const lists l = lists_of(args->kv_heads, args->gains, args->offsets, args->lengths);
    pthread_mutex_lock(&self->lock);
    int32_t status = forward(self, args, &l);
    pthread_mutex_unlock(&self->lock);
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
    const cl_long rows = q.shape[2] * q.shape[4] * q.shape[3];
    const cl_long key_rows = k.shape[2] * k.shape[4] * k.shape[3];
    int32_t status = opencl_reserve(self, (size_t)rows * sizeof(cl_double));
    if (status != SGT_OK)
        return status;
    const opencl_argument to_q[] = {
        OPENCL_BUFFER(args->q),    OPENCL_VALUE(q),           OPENCL_BUFFER(args->k),
        OPENCL_VALUE(k),           OPENCL_BUFFER(args->v),    OPENCL_VALUE(v),
        OPENCL_BUFFER(args->out),  OPENCL_VALUE(out),         OPENCL_BUFFER(args->dout),
        OPENCL_VALUE(dout),        OPENCL_BUFFER(args->lse),  OPENCL_VALUE(lse_at),
        OPENCL_BUFFER(args->dq),   OPENCL_VALUE(dq),          OPENCL_VALUE(self->scratch),
        OPENCL_BUFFER(l->kv_heads), OPENCL_VALUE(l->kv_heads_at), OPENCL_BUFFER(l->gains),
        OPENCL_VALUE(l->gains_at), OPENCL_VALUE(args->scale)};
    const opencl_argument to_kv[] = {
        OPENCL_BUFFER(args->q),      OPENCL_VALUE(q),           OPENCL_BUFFER(args->k),
        OPENCL_VALUE(k),             OPENCL_BUFFER(args->v),    OPENCL_VALUE(v),
        OPENCL_BUFFER(args->dout),   OPENCL_VALUE(dout),        OPENCL_BUFFER(args->lse),
        OPENCL_VALUE(lse_at),        OPENCL_VALUE(self->scratch), OPENCL_BUFFER(args->dk),
        OPENCL_VALUE(dk),            OPENCL_BUFFER(args->dv),   OPENCL_VALUE(dv),
        OPENCL_BUFFER(l->kv_heads),  OPENCL_VALUE(l->kv_heads_at), OPENCL_BUFFER(l->gains),
        OPENCL_VALUE(l->gains_at),   OPENCL_VALUE(args->scale)};
    status = opencl_launch(self, OPENCL_attention_dq, rows, OPENCL_COUNT(to_q), to_q);
    if (status == SGT_OK)
        status =
            opencl_launch(self, OPENCL_attention_dkv, key_rows, OPENCL_COUNT(to_kv), to_kv);
    return status;
}

int32_t opencl_attention_backward(void *instance, const sgt_attention_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention_backward), args, sizeof *args) || args->patterns)
        return SGT_E_UNSUPPORTED;
    opencl_backend *self = instance;
    const lists l = lists_of(args->kv_heads, args->gains, NULL, NULL);
    pthread_mutex_lock(&self->lock);
    int32_t status = backward(self, args, &l);
    pthread_mutex_unlock(&self->lock);
    return status;
}
