/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The standard attention part, for the files that compute with pieces of it: h heads over g
 * key/value heads, softmax over all earlier positions.
 */
#ifndef SGTI_ATTENTION_H
#define SGTI_ATTENTION_H

#include "../work.h"

enum sgti_attention_parameter {
    SGTI_ATTENTION_NORM, /* [d] */
    SGTI_ATTENTION_Q,    /* [H dh, d] */
    SGTI_ATTENTION_K,    /* [Hkv dh, d] */
    SGTI_ATTENTION_V,    /* [Hkv dh, d] */
    SGTI_ATTENTION_O     /* [d, H dh] */
};

enum sgti_attention_matrix {
    SGTI_MATRIX_QKV,
    SGTI_MATRIX_O
};

enum sgti_attention_region {
    SGTI_REGION_QKV,   /* [N,(h+2g)dh] rotated queries, keys, values */
    SGTI_REGION_OUT,   /* [N,h dh] what the heads read, times their gains */
    SGTI_REGION_LSE,   /* [B,h,T]; training */
    SGTI_REGION_H,     /* [N,d] output of the norm; this and all below are scratch */
    SGTI_REGION_D_QKV_ROWS,  /* gradients of gathered weights; training, like the rest */
    SGTI_REGION_D_O_COLUMNS,
    SGTI_REGION_DH,    /* [N,d] */
    SGTI_REGION_D_OUT, /* [N,h dh] */
    SGTI_REGION_D_QKV, /* [N,(h+2g)dh] */
    SGTI_REGION_NORM   /* scratch of the norm's gradient */
};

/* Views of q [B,T,h,dh], k and v [B,T,g,dh] inside a matrix qkv [N,(h+2g)dh]. */
typedef struct sgti_qkv {
    sgt_tensor q, k, v;
    sgt_tensor rotated; /* q and k together, which lie side by side: [B,T,h+g,dh] */
} sgti_qkv;

/* Makes the views, for `batch` sequences of equal length. */
sgti_qkv sgti_split_qkv(const sgti_pass *pass, const sgt_tensor *qkv, int64_t batch,
                        int64_t head_dim);

/* The factor of the scores: 1 / sqrt(dh). */
float sgti_attention_scale(const sgt_model_config *config);

/* ---- gather.c: the pass's rows of q|k|v [(h+2g)dh, d], and its columns of o [d, h dh] ---- */

/* How large the gathered form is, in the shape that a derived matrix is told in (part.h). */
sgti_derived sgti_gathered(const sgt_model_config *config, const sgti_pass *pass,
                           enum sgti_attention_matrix which);

/* Copies them from a whole matrix of weights into `gathered`. `lists` are those of passes. */
sgt_status sgti_gather_heads(const sgt_model *model, const sgti_pass *pass, sgt_buffer *lists,
                             enum sgti_attention_matrix which, const sgt_tensor *whole,
                             const sgt_tensor *gathered);

/* Adds gathered gradients to those of a whole matrix. */
sgt_status sgti_scatter_heads(const sgt_model *model, const sgti_pass *pass, sgt_buffer *lists,
                              enum sgti_attention_matrix which, const sgt_tensor *whole,
                              const sgt_tensor *gathered);

#endif
