/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrices that a session multiplies with: the model's own, and those that parts derive from
 * parameters (part.h), which are made once with the session. Where the options ask for it, products
 * read copies of all of these, rounded to bf16.
 */
#ifndef SGTI_DECODE_WEIGHTS_H
#define SGTI_DECODE_WEIGHTS_H

#include <sgt/session.h>

#include "../model/parts/attention.h"

typedef struct sgti_decode_matrix {
    int64_t rows;     /* outputs */
    int64_t columns;  /* inputs */
    uint64_t offset;  /* elements: in the weights of the model, or among the derived ones */
    uint64_t rounded; /* elements: in the bf16 copies */
    int32_t derived;  /* 1: from parameters; 0: the model's own */
    int32_t read;     /* 0: no product reads it here, and nothing is kept for it */
} sgti_decode_matrix;

/* The model's matrices in their order, then the derived ones of each pass, then those of each
 * layer's feed-forward part. */
typedef struct sgti_decode_matrices {
    sgti_decode_matrix *list; /* [count]; NULL while sizes are only counted */
    int32_t *of_pass;         /* [n_passes] the place in `list` of the first derived one of a pass;
                                 NULL like `list`, as is the next */
    int32_t *of_layer;        /* [n_layers] likewise, of a feed-forward part */
    int32_t count;
    int64_t widest;           /* the most columns that one has */
    uint64_t derived;         /* bytes of all derived ones */
    uint64_t rounded;         /* bytes of copies of all */
    int overflow;             /* 1: the bytes do not fit 64 bits */
} sgti_decode_matrices;

/* Counts the matrices of a session and their bytes, and fills the lists unless they are NULL.
 * They need the room that a call with NULL has counted. */
void sgti_decode_matrices_plan(sgti_decode_matrices *matrices, const sgt_model *model,
                               const sgti_passes *passes);

/* Makes the derived matrices of a session. */
sgt_status sgti_decode_derive(sgt_session *session);

/* Makes the bf16 copies of a session, those of derived matrices among them. */
sgt_status sgti_decode_round(sgt_session *session);

/* The providers of a session: its matrices, and attention through its cache. */
extern const sgti_providers sgti_session_providers;

#endif
