/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session multiplies with: the model's own matrices, those of passes of some heads, gathered
 * once, and bf16 copies of both on request.
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
    int32_t gathered; /* 1: of a pass of some heads */
} sgti_decode_matrix;

/* The model's matrices, then q|k|v and o of each pass of some heads. */
typedef struct sgti_decode_matrices {
    sgti_decode_matrix *list; /* [count]; NULL while sizes are counted, like the next */
    int32_t *of_pass;         /* [n_passes] q|k|v of a gathered pass; o is the next one; else -1 */
    int32_t count;
    int64_t widest;           /* the most columns */
    uint64_t gathered;        /* bytes of all gathered ones */
    uint64_t rounded;         /* bytes of all copies */
    int overflow;
} sgti_decode_matrices;

/* Fills in everything; the lists are NULL, or have room for as many as a first call counted. */
void sgti_decode_matrices_plan(sgti_decode_matrices *matrices, const sgt_model *model,
                               const sgti_passes *passes);

/* Fills the gathered matrices of a session. */
sgt_status sgti_decode_gather(sgt_session *session);

/* Makes the bf16 copies of a session, the gathered matrices among them. */
sgt_status sgti_decode_round(sgt_session *session);

/* The providers of a session: its matrices, and attention through its cache. */
extern const sgti_providers sgti_session_providers;

#endif
