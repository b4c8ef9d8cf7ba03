/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of rotary positions: cosine and sine of the angle p theta^(-2i/dh) for position p and
 * pair i (Su et al., arXiv 2104.09864). They are as long as the longest sequence that a workspace
 * or a session has room for, and filled as far as a sequence has come. So a large max_seq_len in a
 * config takes neither memory nor time.
 */
#ifndef SGTI_ROTARY_H
#define SGTI_ROTARY_H

#include <sgt/model.h>

#include "../backend/storage.h"
#include "../core/tensors.h"

typedef struct sgti_rotary {
    sgti_storage tables; /* cosine [P,dh/2], then sine */
    int32_t positions;   /* P */
    int32_t filled;      /* positions 0 .. filled-1 are there */
} sgti_rotary;

/* The bytes of the tables of this many positions. */
uint64_t sgti_rotary_bytes(const sgt_model_config *config, int32_t positions);

/* Gives the old tables up and takes room for exactly this many positions, none of them filled. On
 * failure there are no tables. */
sgt_status sgti_rotary_resize(sgti_rotary *rotary, sgti_dispatch *dispatch,
                              const sgt_model_config *config, int32_t positions);
void sgti_rotary_free(sgti_rotary *rotary, sgti_dispatch *dispatch);

/* Fills at least positions 0 .. needed-1, for which there must be room. */
sgt_status sgti_rotary_fill(sgti_rotary *rotary, sgti_dispatch *dispatch,
                            const sgt_model_config *config, int32_t needed);

/* Rotates x [B,T,heads,dh]; offsets and inverse as in sgt_rope_args. */
sgt_status sgti_rotary_apply(const sgti_rotary *rotary, sgti_dispatch *dispatch,
                             const sgt_tensor *x, const sgt_tensor *offsets, int32_t inverse);

#endif
