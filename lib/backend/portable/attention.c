/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Causal attention of the portable backend. A part, the work that one thread takes at a time, is a
 * block of query rows of one sequence, for a group of heads that read the same key/value head:
 *
 *                      head 0   head 1   head 2   head 3        heads 0, 1 read key/value head 0,
 *     rows 0..         |    part 0   |   |    part 2   |        heads 2, 3 read key/value head 1
 *     rows block_rows..|    part 1   |   |    part 3   |
 *
 * Keys are packed once for all heads of a group. How rows are cut depends on the shape only.
 *
 * The entropy of a head is a sum over its blocks of rows. To add it up in a fixed order without
 * allocating, parts run in waves: each part of a wave leaves its sums in a slot on the caller's
 * stack, and after the wave the caller adds the slots up in the order of the parts.
 */
#include "portable.h"

#include <string.h>

#include "../../core/patterns.h"
#include "matrix_kernels.h"
#include "parts.h"

enum {
    ENTROPY_SLOTS = 1024,
    SHORT_BLOCK_ROWS = 128,
    ROW_STEP = 6,
    WANTED_PARTS = 16,
    WIDE_ROWS = 4096
};

typedef struct entropy_slot {
    double sum;
    double last;  /* of the sequence's last row, */
    int has_last; /* 1: which the part had */
} entropy_slot;

typedef struct attention {
    const sgti_portable *portable;
    const sgt_attention_args *args;
    const int32_t *kv_heads; /* the lists of args; the next three are NULL where they are missing */
    const float *gains;
    const int32_t *offsets;
    const int32_t *lengths;
    int64_t heads;
    int64_t groups;       /* runs of at most SGTI_ATTENTION_HEADS heads of one key/value head */
    int64_t blocks;       /* of query rows */
    int64_t block_rows;
    int64_t wide_blocks;  /* that are one part where rows read strided keys beside others */
    int64_t wave;         /* how many parts have entropies that fit the slots; all if not wanted */
    int64_t first_part;   /* the first of this wave */
    entropy_slot *slots;  /* [wave, SGTI_ATTENTION_HEADS]; NULL: no entropies */
} attention;

/* Returns how many heads a group has; *first becomes the first of them. */
static int64_t group_heads(int64_t *first, const attention *a, int64_t group)
{
    const int32_t *kv_heads = a->kv_heads;
    int64_t begin = 0;
    for (;;) {
        int64_t end = begin + 1;
        while (end < a->heads && end - begin < SGTI_ATTENTION_HEADS &&
               kv_heads[end] == kv_heads[begin])
            end++;
        if (group-- == 0) {
            *first = begin;
            return end - begin;
        }
        begin = end;
    }
}

/* Counts the groups; *most is the largest number of heads in one. */
static int64_t count_groups(int64_t *most, const attention *a)
{
    int64_t groups = 0;
    int64_t first = 0;
    int64_t heads = 0;
    *most = 0;
    while (first + heads < a->heads) {
        heads = group_heads(&first, a, groups++);
        if (heads > *most)
            *most = heads;
    }
    return groups;
}

static int64_t length_of(const attention *a, int64_t sequence)
{
    return a->lengths ? a->lengths[sequence] : a->args->q->shape[1];
}

/* What the readers of a key/value head see; NULL: all earlier keys. */
static const sgt_attention_pattern *pattern_of(const attention *a, int64_t kv_head)
{
    const sgt_attention_pattern *pattern = sgt_attention_pattern_of(a->args->patterns, kv_head);
    return pattern && sgti_pattern_is_dense(pattern) ? NULL : pattern;
}

static int64_t offset_of(const attention *a, int64_t sequence)
{
    return a->offsets ? a->offsets[sequence] : 0;
}

/* Cuts the rows into blocks. Each block packs all keys before it, so long blocks pack less; but
 * with few sequences and heads, blocks are halved until there are enough parts for several threads.
 * Then the blocks are made evenly long, in multiples of the rows of a tile. Of strided keys the
 * rows of a block read a list for each place of the stride: more rows read each list for more of
 * them. */
static void cut(attention *a)
{
    int64_t rows = a->args->q->shape[1];
    int64_t most;
    a->groups = count_groups(&most, a);

    int64_t limit = SGTI_ATTENTION_ROWS / most;
    int64_t pieces = a->args->q->shape[0] * a->groups;
    while (limit > SHORT_BLOCK_ROWS && pieces * sgti_ceil_div(rows, limit) < WANTED_PARTS)
        limit /= 2;
    limit -= limit % ROW_STEP;
    int64_t even = sgti_ceil_div(rows, sgti_ceil_div(rows, limit));
    a->block_rows = sgti_ceil_div(even, ROW_STEP) * ROW_STEP;
    a->blocks = sgti_ceil_div(rows, a->block_rows);

    int64_t room = sgti_attention_room(a->args->q->shape[3]) / most;
    a->wide_blocks = sgti_min_i64(room, WIDE_ROWS) / a->block_rows;
    a->wide_blocks = sgti_min_i64(a->wide_blocks, pieces * a->blocks / WANTED_PARTS);
    if (a->wide_blocks < 1)
        a->wide_blocks = 1;
}

/* Rows of a sequence for the heads of a group. */
static sgti_attention_part rows_of(const attention *a, int64_t sequence, int64_t group,
                                   int64_t row, int64_t rows)
{
    const sgt_attention_args *args = a->args;
    int64_t head;
    int64_t heads = group_heads(&head, a, group);
    int64_t kv_head = a->kv_heads[head];
    const int64_t *q = args->q->strides;
    const int64_t *k = args->k->strides;
    const int64_t *v = args->v->strides;
    const int64_t *out = args->out->strides;
    sgti_attention_part part = {
        .heads = heads,
        .rows = rows,
        .head_dim = args->q->shape[3],
        .visible = offset_of(a, sequence) + row + 1,
        .pattern = pattern_of(a, kv_head),
        .ring = args->ring,
        .scale = args->scale,
        .q = sgti_data(args->q) + sequence * q[0] + row * q[1] + head * q[2],
        .q_row = q[1],
        .q_head = q[2],
        .k = sgti_data(args->k) + sequence * k[0] + kv_head * k[2],
        .k_row = k[1],
        .v = sgti_data(args->v) + sequence * v[0] + kv_head * v[2],
        .v_row = v[1],
        .out = sgti_data(args->out) + sequence * out[0] + row * out[1] + head * out[2],
        .out_row = out[1],
        .out_head = out[2],
        .gains = a->gains ? a->gains + head : NULL,
        .lse_row = 1,
        .lse_head = args->q->shape[1],
    };
    if (args->lse)
        part.lse = sgti_data(args->lse) + (sequence * a->heads + head) * part.lse_head + row;
    return part;
}

/* The same for each stride-th row from `row` on. They see each stride-th key and are a sequence of
 * their own, dense. */
static sgti_attention_part strided_rows_of(const attention *a, int64_t sequence, int64_t group,
                                           int64_t row, int64_t rows)
{
    sgti_attention_part part = rows_of(a, sequence, group, row, rows);
    int64_t stride = part.pattern->stride, position = part.visible - 1;
    part.pattern = NULL;
    part.visible = position / stride + 1;
    part.k += position % stride * part.k_row;
    part.v += position % stride * part.v_row;
    part.q_row *= stride;
    part.k_row *= stride;
    part.v_row *= stride;
    part.out_row *= stride;
    part.lse_row *= stride;
    return part;
}

/* Runs rows and adds their entropies to those of the slot; `is_last`: the sequence's last row is
 * the last of them. */
static void run_rows(const attention *a, sgti_attention_part *part, int is_last,
                     entropy_slot *slots, int32_t thread)
{
    double sums[SGTI_ATTENTION_HEADS];
    double lasts[SGTI_ATTENTION_HEADS];
    if (slots) {
        part->entropy_sum = sums;
        part->entropy_last = lasts;
    }
    a->portable->matrix->attention(part, sgti_thread_scratch(a->portable, thread));
    for (int64_t i = 0; slots && i < part->heads; i++) {
        slots[i].sum += sums[i];
        if (is_last) {
            slots[i].last = lasts[i];
            slots[i].has_last = 1;
        }
    }
}

/* A share of the places of the stride, each with all its rows. */
static void run_places(const attention *a, int64_t sequence, int64_t group, int64_t block,
                       int64_t stride, entropy_slot *slots, int32_t thread)
{
    int64_t length = length_of(a, sequence);
    int64_t places = sgti_min_i64(stride, length);
    int64_t end = (block + 1) * places / a->blocks;
    for (int64_t place = block * places / a->blocks; place < end; place++)
        for (int64_t row = place, next; row < length; row = next) {
            int64_t rows = sgti_min_i64(sgti_ceil_div(length - row, stride), a->block_rows);
            sgti_attention_part part = strided_rows_of(a, sequence, group, row, rows);
            next = row + rows * stride;
            run_rows(a, &part, next - stride == length - 1, slots, thread);
        }
}

static void run_part(void *argument, int64_t index, int32_t thread)
{
    const attention *a = argument;
    int64_t whole = a->first_part + index;
    int64_t sequence = whole / (a->groups * a->blocks);
    int64_t group = whole / a->blocks % a->groups;
    int64_t block = a->blocks - 1 - whole % a->blocks; /* the longest first */
    int64_t row = block * a->block_rows;
    entropy_slot *slots = a->slots ? a->slots + index * SGTI_ATTENTION_HEADS : NULL;
    int64_t head;
    group_heads(&head, a, group);
    const sgt_attention_pattern *pattern = pattern_of(a, a->kv_heads[head]);
    int64_t blocks = pattern && (pattern->sets & SGT_KEYS_STRIDED) ? a->wide_blocks : 1;
    int64_t rows = sgti_min_i64(length_of(a, sequence) - row, blocks * a->block_rows);

    if (slots)
        memset(slots, 0, SGTI_ATTENTION_HEADS * sizeof *slots);
    if (pattern && pattern->sets == SGT_KEYS_STRIDED) {
        run_places(a, sequence, group, block, pattern->stride, slots, thread);
    } else if (rows > 0 && block % blocks == 0) {
        sgti_attention_part part = rows_of(a, sequence, group, row, rows);
        run_rows(a, &part, row + rows == length_of(a, sequence), slots, thread);
    }
}

static double *entropy_at(const sgt_tensor *tensor, int64_t index)
{
    return (double *)(void *)tensor->buffer + tensor->offset + index;
}

/* Adds what the parts of a wave left in their slots. */
static void collect_entropies(const attention *a, int64_t parts)
{
    const sgt_attention_args *args = a->args;
    for (int64_t index = 0; index < parts; index++) {
        int64_t whole = a->first_part + index;
        int64_t sequence = whole / (a->groups * a->blocks);
        int64_t head;
        int64_t heads = group_heads(&head, a, whole / a->blocks % a->groups);
        for (int64_t i = 0; i < heads; i++) {
            const entropy_slot *slot = &a->slots[index * SGTI_ATTENTION_HEADS + i];
            int64_t at = sequence * a->heads + head + i;
            if (args->entropy_mean)
                *entropy_at(args->entropy_mean, at) += slot->sum;
            if (args->entropy_last && slot->has_last)
                *entropy_at(args->entropy_last, at) = slot->last;
        }
    }
}

/* Makes means of the sums, over the rows that see more than one key: others have no entropy. */
static void finish_entropies(const attention *a)
{
    const sgt_attention_args *args = a->args;
    for (int64_t sequence = 0; args->entropy_mean && sequence < args->q->shape[0]; sequence++) {
        int64_t length = length_of(a, sequence), rows = 0;
        for (int64_t head = 0; head < a->heads; head++) {
            int64_t kv_head = a->kv_heads[head];
            const sgt_attention_pattern *pattern = pattern_of(a, kv_head);
            if (head == 0 || kv_head != a->kv_heads[head - 1])
                rows = length - sgti_pattern_rows_with_one(pattern ? pattern : &sgti_dense_pattern,
                                                           offset_of(a, sequence), length);
            if (rows > 0)
                *entropy_at(args->entropy_mean, sequence * a->heads + head) /= (double)rows;
        }
    }
}

int32_t sgti_portable_attention(void *instance, const sgt_attention_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    entropy_slot slots[ENTROPY_SLOTS];
    attention a = {.portable = portable,
                   .args = args,
                   .kv_heads = sgti_integers(args->kv_heads),
                   .gains = sgti_floats(args->gains),
                   .offsets = sgti_integers(args->offsets),
                   .lengths = sgti_integers(args->lengths),
                   .heads = args->q->shape[2]};
    size_t entropy_bytes = (size_t)(args->q->shape[0] * a.heads) * sizeof(double);

    if (args->q->shape[3] > SGTI_ATTENTION_MAX_HEAD_DIM)
        return portable->services->fail(portable->host, SGT_E_UNSUPPORTED,
                                        "attention: a head dimension over 512");
    cut(&a);
    int64_t parts = args->q->shape[0] * a.groups * a.blocks;
    a.wave = parts;
    if (args->entropy_mean)
        memset(entropy_at(args->entropy_mean, 0), 0, entropy_bytes);
    if (args->entropy_last)
        memset(entropy_at(args->entropy_last, 0), 0, entropy_bytes);
    if (args->entropy_mean || args->entropy_last) {
        a.slots = slots;
        a.wave = ENTROPY_SLOTS / SGTI_ATTENTION_HEADS;
    }
    /* Without entropies all parts are one wave. */
    for (; a.first_part < parts; a.first_part += a.wave) {
        int64_t count = parts - a.first_part < a.wave ? parts - a.first_part : a.wave;
        portable->services->parallel_for(portable->host, count, run_part, &a);
        if (a.slots)
            collect_entropies(&a, count);
    }
    finish_entropies(&a);
    return SGT_OK;
}
