/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One forward or backward at work: what the parts of a block compute with. Shapes stand in
 * comments; N is the number of rows (tokens) of the call. The errors of all functions are those of
 * the backend.
 */
#ifndef SGTI_WORK_H
#define SGTI_WORK_H

#include "model.h"
#include "pass_lists.h"
#include "parts/part.h"

struct sgti_work;

/*
 * What differs between a batch (training, evaluation) and a session (decoding); everything else is
 * the same code.
 */
typedef struct sgti_providers {
    /* The weights [rows, columns] of the model's matrix `number`, in a type that products read. */
    sgt_tensor (*matrix)(const struct sgti_work *work, int32_t number);

    /* *matrix becomes a derived matrix of a part, made if need be, in a type that products read. */
    sgt_status (*derived)(sgt_tensor *matrix, const struct sgti_work *work, const sgti_part *part,
                          int32_t which);

    /* qkv [N,(h+2g)dh]: queries of h heads, then keys and values of g groups. Rotates queries and
     * keys by the positions of their rows and writes what each head reads to out [N, h dh]. */
    sgt_status (*attend)(const struct sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                         sgt_tensor out);

    /* Tap f of windows [N,n,F,M], which have any strides, becomes what u [N, n M] has F - 1 - f
     * rows earlier in the sequence of each row, and zeros in front of its start. */
    sgt_status (*remember)(const struct sgti_work *work, const sgti_part *part, sgt_tensor u,
                           sgt_tensor windows);
} sgti_providers;

typedef struct sgti_work {
    const sgt_model *model;
    sgti_dispatch *dispatch;
    const sgt_model_config *config;
    const sgti_layout *layout;
    const sgti_providers *providers;
    sgt_buffer *arena;      /* the block that the layout describes */
    const sgti_rotary *rotary; /* filled for every position of this call */
    sgt_buffer *lists;      /* the lists of its passes: pass_lists.h */
    sgt_buffer *panel;      /* room for converted rows of a bf16 matrix; NULL: there is none */
    int64_t rows;           /* N of this call */
    int64_t draw;           /* training forwards before this one; where parts draw */
    int32_t entropy;        /* kinds to collect */
    int32_t remake;         /* 1: under recompute, a forward again for the sake of backward */
    int32_t inference;      /* 1: products by the slot `linear` where the backend has it */
    int32_t phase;          /* enum sgt_phase, for the progress callback, as are the next two */
    int64_t progress_done;  /* runs of blocks that were done before this call */
    int64_t progress_total; /* runs of blocks in all */
} sgti_work;

/* The work of the batch that a workspace was prepared for. */
sgti_work sgti_batch_work(const sgt_model *model, const sgti_workspace *workspace);

/* The tensor of a region, and of a list of a pass. */
sgt_tensor sgti_at(const sgti_work *work, const sgti_region *region);
sgt_tensor sgti_list_at(const sgti_work *work, const sgti_pass *pass, sgti_pass_list which);

/* The index of a part's parameter or matrix, by the kind's own numbers. */
int32_t sgti_part_parameter(const sgti_work *work, const sgti_part *part, int32_t number);
int32_t sgti_part_matrix(const sgti_work *work, const sgti_part *part, int32_t number);

/* The gradient [rows, columns] of a matrix of the model. */
sgt_tensor sgti_matrix_gradient(const sgti_work *work, int32_t number);

/* y [N,out] = x [N,in] w^T + d, with w [out,in]. d may be NULL, which adds nothing, or y. */
sgt_status sgti_multiply(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                         const sgt_tensor *w, const sgt_tensor *d);

/* The same with w turned: y [N,out] = x [N,in] w + d, with w [in,out]. */
sgt_status sgti_multiply_turned(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                                const sgt_tensor *w, const sgt_tensor *d);

/* The bytes of a panel for matrices of at most this many columns. */
uint64_t sgti_panel_bytes(int64_t columns);

/* dw [out,in] += dy^T x (overwritten when beta is 0); dx [N,in] = dy w. */
sgt_status sgti_weight_gradient(const sgti_work *work, const sgt_tensor *dw, float beta,
                                const sgt_tensor *dy, const sgt_tensor *x);
sgt_status sgti_input_gradient(const sgti_work *work, const sgt_tensor *dx, const sgt_tensor *dy,
                               const sgt_tensor *w);

/* y = RMSNorm(x), weighted by this parameter; x and y have one shape [rows,d]. */
sgt_status sgti_norm_forward(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                             int32_t parameter);
/* Adds to dx [N,d] and to the gradient of the weight, from dy [N,d]. */
sgt_status sgti_norm_backward(const sgti_work *work, const sgt_tensor *dx, const sgt_tensor *dy,
                              const sgt_tensor *x, int32_t parameter, const sgti_region *scratch);

/* Rotates x [B,T,h,dh] by the positions offsets[b] + t, int32 [B]; NULL: 0 for each. */
sgt_status sgti_rotate(const sgti_work *work, const sgt_tensor *x, const sgt_tensor *offsets,
                       int32_t inverse);

/* sums [C] += the sum of all rows [R,C], which may lie apart. `ones` is scratch for at least C
 * values. */
sgt_status sgti_add_column_sums(const sgti_work *work, const sgt_tensor *sums,
                                const sgt_tensor *rows, const sgt_tensor *ones);

/* ---- block.c: all parts one after another ---- */

/* Runs the embedding of layout.ids and every part, with the progress callback between runs. */
sgt_status sgti_blocks_forward(const sgti_work *work);
/* Goes from head.dx, the gradient of the final norm's input, down to the embedding and adds to the
 * gradients of all weights on the way. */
sgt_status sgti_blocks_backward(const sgti_work *work);

/* ---- head.c: final norm, logits, loss ---- */

/* Does something with the logits [rows,V] of `rows` rows from `first` on; h [rows,d] is what they
 * were made of. */
typedef sgt_status (*sgti_logits_fn)(const sgti_work *work, const sgt_tensor *logits,
                                     const sgt_tensor *h, int64_t first, int64_t rows,
                                     void *argument);

/* Makes the logits of `count` rows, first, first + stride, .., a chunk at a time. The callback's
 * `first` counts among these rows: it begins at 0. */
sgt_status sgti_head_logits(const sgti_work *work, int64_t first, int64_t stride, int64_t count,
                            sgti_logits_fn use, void *argument);

/* Computes the losses of all rows against layout.targets, into host memory [N]. In a training step
 * it makes d_final and d_head too, the unscaled gradients of their sum. */
sgt_status sgti_head_losses(const sgti_work *work, float *losses);

/* Scales d_final and d_head, adds to the gradients of head and final norm, and makes head.dx. */
sgt_status sgti_head_loss_backward(const sgti_work *work, double scale);
/* The same from dlogits [N,V] in host memory. */
sgt_status sgti_head_logits_backward(const sgti_work *work, const float *dlogits);

/* Reads the logits of rows chosen as above into host memory [count,V]. */
sgt_status sgti_head_read_logits(const sgti_work *work, float *logits, int64_t first,
                                 int64_t stride, int64_t count);

#endif
