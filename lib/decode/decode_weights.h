/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrices that a session multiplies with. They are the model's own, and for each pass that
 * runs only some heads a q|k|v and an o of those heads alone, whose rows and columns are gathered
 * once when the session is made. Where the options ask for it, products read copies of all of
 * these, rounded to bf16.
 */
#ifndef SGTI_DECODE_WEIGHTS_H
#define SGTI_DECODE_WEIGHTS_H

#include <sgt/session.h>

#include "../model/parts/attention.h"

typedef struct sgti_decode_matrix {
    int64_t rows;     /* outputs */
    int64_t columns;  /* inputs */
    uint64_t offset;  /* elements: in the weights of the model, or among the gathered ones */
    uint64_t rounded; /* elements: in the bf16 copies */
    int32_t gathered; /* 1: of a pass of some heads; 0: the model's own */
} sgti_decode_matrix;

/* The model's matrices in their order, then q|k|v and o of each pass of some heads. */
typedef struct sgti_decode_matrices {
    sgti_decode_matrix *list; /* [count]; NULL while sizes are only counted */
    int32_t *of_pass;         /* [n_passes] the place in `list` of q|k|v of the pass, which its o
                                 follows; -1: it runs all heads. NULL like `list` */
    int32_t count;
    int64_t widest;           /* the most columns that one has */
    uint64_t gathered;        /* bytes of all gathered ones */
    uint64_t rounded;         /* bytes of copies of all */
    int overflow;             /* 1: the bytes do not fit 64 bits */
} sgti_decode_matrices;

/* Counts the matrices of a session and their bytes, and fills the two lists unless they are NULL.
 * They need the room that a call with NULL has counted. */
void sgti_decode_matrices_plan(sgti_decode_matrices *matrices, const sgt_model *model,
                               const sgti_passes *passes);

/* Fills the gathered matrices of a session. */
sgt_status sgti_decode_gather(sgt_session *session);

/* Makes the bf16 copies of a session, the gathered matrices among them. */
sgt_status sgti_decode_round(sgt_session *session);

/* The providers of a session: its matrices, and attention through its cache. */
extern const sgti_providers sgti_session_providers;

#endif
