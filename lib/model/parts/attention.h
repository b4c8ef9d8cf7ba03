/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kinds of attention share, for them and for the files that compute with pieces of them: h
 * heads over g key/value heads, softmax over earlier positions, what that adds to the stream. The
 * parameters are those of the standard kind.
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

/* The matrices of a part; derived ones begin with the same numbers. */
enum sgti_attention_matrix {
    SGTI_MATRIX_QKV,
    SGTI_MATRIX_O
};

/* The regions of every kind; those of one kind alone follow. */
enum sgti_attention_region {
    SGTI_REGION_QKV,   /* [N,(h+2g)dh] rotated queries, keys, values */
    SGTI_REGION_OUT,   /* [N,h dh] what the heads read, times their gains */
    SGTI_REGION_LSE,   /* [B,h,T]; training */
    SGTI_REGION_H,     /* [N,d] output of the norm; this and all below are scratch */
    SGTI_REGION_D_O_COLUMNS, /* gradient of a gathered o; training, like the rest */
    SGTI_REGION_DH,    /* [N,d] */
    SGTI_REGION_D_OUT, /* [N,h dh] */
    SGTI_REGION_D_QKV, /* [N,(h+2g)dh] */
    SGTI_REGION_NORM,  /* scratch of the norm's gradient */
    SGTI_ATTENTION_REGIONS
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

/* Rotary positions turn pairs of a head, and kernels have room for so many. */
sgt_status sgti_heads_check(const sgt_model_config *config, const sgt_block_config *block);

/* Takes the regions that every kind has. o_columns is the size of a gathered o. */
void sgti_heads_place(sgti_part *part, sgti_regions *regions, const sgti_region *o_columns);

/* Makes d_qkv from the gradient of what the heads read, through the softmax and the rotation. */
sgt_status sgti_heads_backward(const sgti_work *work, const sgti_part *part);

/* y = x + the products of out with o, or with its columns of the pass's heads. */
sgt_status sgti_output_forward(const sgti_work *work, const sgti_part *part);
/* Adds to the gradient of o, and makes d_out. */
sgt_status sgti_output_backward(const sgti_work *work, const sgti_part *part);

/* The keys that a token sees, for all heads that run together. */
double sgti_heads_keys(const sgti_flops_query *query);

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
