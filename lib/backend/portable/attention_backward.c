/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of causal attention in the portable backend. Usually a part is one key/value head of
 * one sequence with all heads that read it. It walks over all pairs of a block of keys and a block
 * of queries, with five products each (q k^T, do v^T; dv, dk, dq), and nobody else writes its dq,
 * dk and dv.
 *
 * If there are so few such parts that threads would be idle, each is cut finer: into blocks of
 * keys, which give dk and dv, and blocks of queries, which give dq. Both kinds need the scores and
 * the slopes, so this takes seven products instead of five:
 *
 *              keys ->                      a part for dk, dv is a column of these blocks,
 *     queries  |##\                         a part for dq is a row
 *        |     |####\
 *        v     |######\
 *
 * Every element is added up in the same order in both cuts, so the choice between them may depend
 * on the number of threads without changing a bit.
 */
#include "portable.h"

#include <string.h>

#include "matrix_kernels.h"
#include "parts.h"

/* The products for each pair of blocks in either cut, and the blocks of the finer one. Its blocks
 * of keys are the kernel's own: with others, sums would be rounded elsewhere. */
enum {
    WHOLE_PRODUCTS = 5,
    FINE_PRODUCTS = 7,
    KEY_BLOCK = SGTI_ATTENTION_KEYS,
    QUERY_BLOCK = 384
};

typedef struct attention_backward {
    const sgti_portable *portable;
    const sgt_attention_backward_args *args;
    const int32_t *reads; /* [heads] which key/value head each reads */
    const float *gains;   /* [heads]; NULL: ones */
    int64_t heads;
    int64_t kv_heads;
    int64_t length;
    int64_t key_parts;   /* for each sequence and key/value head; 1 unless cut finer */
    int64_t query_parts; /* the same; 0 unless cut finer */
} attention_backward;

/* Returns how many heads read a key/value head; *first becomes the first of them. */
static int64_t readers(int64_t *first, const attention_backward *a, int64_t kv_head)
{
    const int32_t *reads = a->reads;
    int64_t begin = 0;
    int64_t end;
    while (begin < a->heads && reads[begin] < kv_head)
        begin++;
    for (end = begin; end < a->heads && reads[end] == kv_head; end++)
        ;
    *first = begin;
    return end - begin;
}

static float *place(const sgt_tensor *tensor, int64_t sequence, int64_t head)
{
    return sgti_data(tensor) + sequence * tensor->strides[0] + head * tensor->strides[2];
}

static void zero_rows(float *rows, int64_t stride, int64_t first, int64_t last, int64_t width)
{
    for (int64_t row = first; row < last; row++)
        memset(rows + row * stride, 0, (size_t)width * sizeof(float));
}

/* A part that covers all queries and keys and gives all gradients; run_part narrows it. */
static sgti_attention_backward_part part_of(const attention_backward *a, int64_t sequence,
                                            int64_t kv_head)
{
    const sgt_attention_backward_args *args = a->args;
    int64_t head;
    int64_t heads = readers(&head, a, kv_head);
    const sgt_attention_pattern *pattern = sgt_attention_pattern_of(args->patterns, kv_head);
    if (heads == 0)
        head = 0; /* nobody reads this key/value head: only dk and dv are used, which become 0 */
    return (sgti_attention_backward_part){
        .heads = heads,
        .head_dim = args->q->shape[3],
        .pattern = pattern && sgti_pattern_is_dense(pattern) ? NULL : pattern,
        .query_end = a->length,
        .key_end = a->length,
        .scale = args->scale,
        .gains = a->gains ? a->gains + head : NULL,
        .q = place(args->q, sequence, head),
        .q_row = args->q->strides[1],
        .q_head = args->q->strides[2],
        .k = place(args->k, sequence, kv_head),
        .k_row = args->k->strides[1],
        .v = place(args->v, sequence, kv_head),
        .v_row = args->v->strides[1],
        .out = place(args->out, sequence, head),
        .out_row = args->out->strides[1],
        .out_head = args->out->strides[2],
        .dout = place(args->dout, sequence, head),
        .dout_row = args->dout->strides[1],
        .dout_head = args->dout->strides[2],
        .lse = sgti_data(args->lse) + (sequence * a->heads + head) * a->length,
        .lse_row = 1,
        .lse_head = a->length,
        .dq = place(args->dq, sequence, head),
        .dq_row = args->dq->strides[1],
        .dq_head = args->dq->strides[2],
        .dk = place(args->dk, sequence, kv_head),
        .dk_row = args->dk->strides[1],
        .dv = place(args->dv, sequence, kv_head),
        .dv_row = args->dv->strides[1],
    };
}

/* Compares the time of both cuts, in products. Whole parts take as many rounds as the busiest
 * thread has parts, and in the last round some threads are idle; the finer cut keeps all of them
 * busy. */
static int fine_is_faster(int64_t wholes, int64_t threads)
{
    return WHOLE_PRODUCTS * sgti_ceil_div(wholes, threads) * threads > FINE_PRODUCTS * wholes;
}

/* The rows of each place of the stride are a sequence of their own, dense. */
static void run_places(const attention_backward *a, const sgti_attention_backward_part *whole,
                       int64_t stride, void *scratch)
{
    for (int64_t place = 0; place < sgti_min_i64(stride, a->length); place++) {
        sgti_attention_backward_part part = *whole;
        part.pattern = NULL;
        part.query_end = part.key_end = sgti_ceil_div(a->length - place, stride);
        part.q += place * part.q_row;
        part.k += place * part.k_row;
        part.v += place * part.v_row;
        part.out += place * part.out_row;
        part.dout += place * part.dout_row;
        part.lse += place;
        part.dq += place * part.dq_row;
        part.dk += place * part.dk_row;
        part.dv += place * part.dv_row;
        part.q_row *= stride;
        part.k_row *= stride;
        part.v_row *= stride;
        part.out_row *= stride;
        part.dout_row *= stride;
        part.lse_row = stride;
        part.dq_row *= stride;
        part.dk_row *= stride;
        part.dv_row *= stride;
        a->portable->matrix->attention_backward(&part, scratch);
    }
}

/* Of a finer cut: a block of keys for dk and dv, or one of queries for dq. */
static void narrow(sgti_attention_backward_part *part, const attention_backward *a, int64_t piece)
{
    int64_t pieces = a->key_parts + a->query_parts;
    if (piece < a->key_parts) {
        part->key_begin = piece * KEY_BLOCK;
        part->key_end = sgti_min_i64(part->key_begin + KEY_BLOCK, a->length);
        part->query_begin = part->key_begin;
        part->dq = NULL;
    } else {
        part->query_begin = (pieces - 1 - piece) * QUERY_BLOCK; /* the longest first */
        part->query_end = sgti_min_i64(part->query_begin + QUERY_BLOCK, a->length);
        part->key_end = part->query_end;
        part->dk = NULL;
        part->dv = NULL;
    }
}

static void run_part(void *argument, int64_t index, int32_t thread)
{
    const attention_backward *a = argument;
    int64_t pieces = a->key_parts + a->query_parts;
    int64_t kv_head = index / pieces % a->kv_heads;
    void *scratch = sgti_thread_scratch(a->portable, thread);
    sgti_attention_backward_part part = part_of(a, index / pieces / a->kv_heads, kv_head);

    if (a->query_parts > 0)
        narrow(&part, a, index % pieces);
    if (part.heads == 0 && part.dk) {
        zero_rows(part.dk, part.dk_row, part.key_begin, part.key_end, part.head_dim);
        zero_rows(part.dv, part.dv_row, part.key_begin, part.key_end, part.head_dim);
    } else if (part.pattern && part.pattern->sets == SGT_KEYS_STRIDED) {
        run_places(a, &part, part.pattern->stride, scratch);
    } else if (part.heads > 0) {
        a->portable->matrix->attention_backward(&part, scratch);
    }
}

/* 1 when some head sees less than every earlier key. */
static int has_patterns(const sgt_attention_backward_args *args)
{
    for (int64_t i = 0; args->patterns && i < args->k->shape[2]; i++)
        if (!sgti_pattern_is_dense(sgt_attention_pattern_of(args->patterns, i)))
            return 1;
    return 0;
}

int32_t sgti_portable_attention_backward(void *instance, const sgt_attention_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    attention_backward a = {
        .portable = portable,
        .args = args,
        .reads = sgti_integers(args->kv_heads),
        .gains = sgti_floats(args->gains),
        .heads = args->q->shape[2],
        .kv_heads = args->k->shape[2],
        .length = args->q->shape[1],
        .key_parts = 1,
    };
    int64_t wholes = args->q->shape[0] * a.kv_heads;

    if (args->q->shape[3] > SGTI_ATTENTION_MAX_HEAD_DIM)
        return portable->services->fail(portable->host, SGT_E_UNSUPPORTED,
                                        "attention: a head dimension over 512");
    if (a.length > KEY_BLOCK && fine_is_faster(wholes, portable->threads) && !has_patterns(args)) {
        a.key_parts = sgti_ceil_div(a.length, KEY_BLOCK);
        a.query_parts = sgti_ceil_div(a.length, QUERY_BLOCK);
    }
    portable->services->parallel_for(portable->host, wholes * (a.key_parts + a.query_parts),
                                     run_part, &a);
    return SGT_OK;
}
