/* SPDX-License-Identifier: BSD-3-Clause */
/* Shapes, lists and tensors that the tests of attention and of its gradient share. */
#ifndef SGTT_OP_ATTENTION_H
#define SGTT_OP_ATTENTION_H

#include "op_reference.h"
#include "suite.h"

#define SGTT_MAX_BATCH       3
#define SGTT_MAX_HEADS       6
#define SGTT_MAX_GROUPS      5
#define SGTT_ATTENTION_CASES 24

typedef struct sgtt_attention_case {
    const char *name;
    int64_t batch;
    int64_t queries;
    int64_t keys;
    int64_t heads;
    int64_t groups;
    int64_t dh;
    int32_t kv_heads[SGTT_MAX_HEADS];
    int with_gains;
    int with_lengths; /* and offsets */
    int32_t offsets[SGTT_MAX_BATCH];
    int32_t lengths[SGTT_MAX_BATCH];
    double spread; /* of the scores, about */
    int with_patterns;
    sgt_attention_pattern patterns[SGTT_MAX_GROUPS]; /* of each group */
} sgtt_attention_case;

/* What round 0 takes. */
extern const sgtt_attention_case sgtt_attention_cases[SGTT_ATTENTION_CASES];

/* 1 when the backend declines patterns and nothing can stand in, because memory is not visible: its
 * models are dense. */
int sgtt_declines_patterns(sgtt_machine *m);

/* In round 0 case k of the list, later a random one; dense where patterns are declined. Before any
 * tensor is made. */
sgtt_attention_case sgtt_attention_pick(sgtt_machine *m, int k);

typedef struct sgtt_attention_tensors {
    sgtt_tensor *q;
    sgtt_tensor *k;
    sgtt_tensor *v;
    sgtt_tensor *out;
    sgtt_tensor *lse;
    sgtt_tensor *last;
    sgtt_tensor *mean;
    sgtt_tensor *kv_heads;
    sgtt_tensor *gains;   /* NULL: not wanted, like those below */
    sgtt_tensor *offsets;
    sgtt_tensor *lengths;
} sgtt_attention_tensors;

/* Keys in a ring (op_attention_rings.c). */
void sgtt_attention_rings(sgtt_machine *m);

/* The tensor for an argument that may be missing. */
const sgt_tensor *sgtt_tensor_of(const sgtt_tensor *tensor);

/* NULL, or the patterns of a case for an operation; those of the case itself. */
const sgt_attention_pattern *sgtt_attention_patterns(const sgtt_attention_case *c);

/* [B,T,heads,dh] of random values as columns of wider rows, with room between sequences. */
sgtt_tensor *sgtt_attention_heads(sgtt_machine *m, int64_t batch, int64_t length, int64_t heads,
                                  int64_t dh, double spread);
sgtt_attention_tensors sgtt_attention_make(sgtt_machine *m, const sgtt_attention_case *c);

float sgtt_attention_scale(const sgtt_attention_case *c);
/* The case for the naive attention. */
sgtt_ref_attention_args sgtt_attention_reference(sgtt_machine *m, const sgtt_attention_case *c,
                                                 const sgtt_attention_tensors *t);

/* Scores that overflow to -infinity, for more keys than fit into a block: they weigh nothing. */
extern const sgtt_attention_case sgtt_attention_overflowing[2];

/* Queries behind some early keys score -infinity with the keys before; each sees itself too. */
void sgtt_attention_overflow(sgtt_machine *m, const sgtt_attention_case *c,
                             const sgtt_attention_tensors *t);

#endif
