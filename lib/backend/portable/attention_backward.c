/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of causal attention in the portable backend. Usually a part is one key/value head of
 * one sequence with all heads that read it. It walks over all pairs of a block of keys and a block
 * of queries, with five products each (q k^T, do v^T; dv, dk, dq), and nobody else writes its dq,
 * dk and dv.
 *
 * If there are so few such parts that threads would be idle, each is cut finer, one list of keys
 * (core/patterns.h) after the other. Usually the cut is into blocks of keys, which give dk and dv,
 * and blocks of queries, which give dq. Both kinds need the scores and the slopes, so this takes
 * seven products instead of five:
 *
 *              keys ->                      a part for dk, dv is a column of these blocks,
 *     queries  |##\                         a part for dq is a row
 *        |     |####\
 *        v     |######\
 *
 * Where queries and keys see only each other, the blocks of a BLOCK pattern and the places of a
 * stride, a part takes some of them with all three gradients.
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
    int32_t list;        /* which ones parts take now */
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
        .lists = a->list,
        .query_end = a->length,
        .key_end = a->length,
        .place_end = a->length,
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

/* The rows of each place of a strided pattern are a sequence of their own, dense. */
static void run_places(const attention_backward *a, const sgti_attention_backward_part *whole,
                       void *scratch)
{
    int64_t stride = whole->pattern->stride, end = sgti_min_i64(stride, whole->place_end);
    for (int64_t place = whole->place_begin; place < end; place++) {
        sgti_attention_backward_part part = *whole;
        part.pattern = NULL;
        part.query_begin = part.key_begin = 0;
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

/* The share of a piece in `count` things, by whole units. */
static void take_share(int64_t *begin, int64_t *end, const attention_backward *a, int64_t piece,
                       int64_t count, int64_t unit)
{
    int64_t units = sgti_ceil_div(count, unit), pieces = a->key_parts + a->query_parts;
    *begin = piece * units / pieces * unit;
    *end = sgti_min_i64((piece + 1) * units / pieces * unit, count);
}

/* A block of keys for dk and dv, or one of queries for dq. */
static void take_block(sgti_attention_backward_part *part, const attention_backward *a,
                       int64_t piece)
{
    if (piece < a->key_parts) {
        part->key_begin = piece * KEY_BLOCK;
        part->key_end = sgti_min_i64(part->key_begin + KEY_BLOCK, a->length);
        part->dq = NULL;
        return;
    }
    piece = a->key_parts + a->query_parts - 1 - piece; /* the longest first */
    part->query_begin = piece * QUERY_BLOCK;
    part->query_end = sgti_min_i64(part->query_begin + QUERY_BLOCK, a->length);
    part->dk = NULL;
    part->dv = NULL;
    if (a->list != SGTI_KEYS_NEAR)
        return;
    part->key_end = part->query_end;
    if (part->pattern) {
        part->key_begin = sgti_pattern_near_begin(part->pattern, part->query_begin);
        part->key_begin -= part->key_begin % KEY_BLOCK;
    }
}

/* Makes a piece of the finer cut of a whole part. */
static void narrow(sgti_attention_backward_part *part, const attention_backward *a, int64_t piece)
{
    const sgt_attention_pattern *pattern = part->pattern;
    int64_t span = pattern ? sgti_pattern_near_span(pattern, KEY_BLOCK) : 0;
    if (a->list == SGTI_KEYS_NEAR && span > 0) {
        take_share(&part->key_begin, &part->key_end, a, piece, a->length, span);
        part->query_begin = part->key_begin;
        part->query_end = part->key_end;
    } else if (a->list != SGTI_KEYS_STRIDED) {
        take_block(part, a, piece);
    }
    if (pattern)
        take_share(&part->place_begin, &part->place_end, a, piece,
                   sgti_min_i64(pattern->stride, a->length), 1);
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
    if (part.heads == 0) {
        if (part.dk && (part.lists & SGTI_KEYS_NEAR)) {
            zero_rows(part.dk, part.dk_row, part.key_begin, part.key_end, part.head_dim);
            zero_rows(part.dv, part.dv_row, part.key_begin, part.key_end, part.head_dim);
        }
    } else if (part.pattern && part.pattern->sets == SGT_KEYS_STRIDED) {
        if (part.lists & SGTI_KEYS_NEAR)
            run_places(a, &part, scratch);
    } else {
        a->portable->matrix->attention_backward(&part, scratch);
    }
}

/* The lists of keys that some head reads besides near ones. */
static int32_t lists_beside_near(const sgt_attention_backward_args *args)
{
    int32_t lists = 0;
    for (int64_t i = 0; args->patterns && i < args->k->shape[2]; i++) {
        int32_t sets = sgt_attention_pattern_of(args->patterns, i)->sets;
        lists |= sets & SGT_KEYS_STRIDED ? SGTI_KEYS_STRIDED : 0;
        lists |= sets & SGT_KEYS_SUMMARY ? SGTI_KEYS_SUMMARY : 0;
    }
    return lists;
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
    if (a.length > KEY_BLOCK && fine_is_faster(wholes, portable->threads)) {
        a.key_parts = sgti_ceil_div(a.length, KEY_BLOCK);
        a.query_parts = sgti_ceil_div(a.length, QUERY_BLOCK);
    }
    int64_t parts = wholes * (a.key_parts + a.query_parts);
    int32_t lists = a.query_parts > 0 ? SGTI_KEYS_NEAR | lists_beside_near(args) : 0;
    if (!lists) {
        a.list = SGTI_KEYS_LISTED;
        portable->services->parallel_for(portable->host, parts, run_part, &a);
    }
    for (a.list = SGTI_KEYS_NEAR; a.list <= lists; a.list *= 2)
        if (lists & a.list)
            portable->services->parallel_for(portable->host, parts, run_part, &a);
    return SGT_OK;
}
