/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of rotary positions: cosine and sine of angle p theta^(-2i/dh) for position p and pair
 * i (Su et al., arXiv 2104.09864). They are as long as the longest sequence that a workspace or a
 * session has room for, and filled as far as one has come: what a file says about max_seq_len takes
 * neither memory nor time.
 */
#ifndef SGTI_ROTARY_H
#define SGTI_ROTARY_H

#include <sgt/model.h>

#include "../backend/storage.h"
#include "../core/tensors.h"

typedef struct sgti_rotary {
    sgti_storage tables; /* cosine [P,dh/2], then sine */
    int32_t positions;   /* P */
    int32_t filled;      /* positions from 0 on that are there */
} sgti_rotary;

/* Bytes of the tables of so many positions. */
uint64_t sgti_rotary_bytes(const sgt_model_config *config, int32_t positions);

/* Room for exactly so many positions, none of them filled; what was there is given up first. On
 * failure there is none. */
sgt_status sgti_rotary_resize(sgti_rotary *rotary, sgti_dispatch *dispatch,
                              const sgt_model_config *config, int32_t positions);
void sgti_rotary_free(sgti_rotary *rotary, sgti_dispatch *dispatch);

/* Fills at least positions 0 .. needed-1, of which there is room. */
sgt_status sgti_rotary_fill(sgti_rotary *rotary, sgti_dispatch *dispatch,
                            const sgt_model_config *config, int32_t needed);

/* Rotates x [B,T,heads,dh]; offsets and inverse as in sgt_rope_args. */
sgt_status sgti_rotary_apply(const sgti_rotary *rotary, sgti_dispatch *dispatch,
                             const sgt_tensor *x, const sgt_tensor *offsets, int32_t inverse);

#endif
