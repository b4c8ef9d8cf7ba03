/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass over a batch: what the parts of the network work on. Forward beside backward; shapes
 * in comments; N = B T. Errors of all functions are those of the backend.
 */
#ifndef SGTI_STEP_H
#define SGTI_STEP_H

#include "model.h"

typedef struct sgti_step {
    const sgt_model *model;
    sgti_dispatch *dispatch;
    const sgt_model_config *config;
    sgti_workspace *workspace;
    const sgti_layout *layout;
    int32_t entropy; /* kinds to collect */
} sgti_step;

sgti_step sgti_step_of(const sgt_model *model, sgti_workspace *workspace);

/* A dense [rows, columns] tensor in the arena. */
sgt_tensor sgti_at(const sgti_step *step, uint64_t offset, int64_t rows, int64_t columns);

/* y [N,out] = x [N,in] w^T + residual (NULL: none); w [out,in]. */
sgt_status sgti_linear(const sgti_step *step, const sgt_tensor *y, const sgt_tensor *x,
                       const sgt_tensor *w, const sgt_tensor *residual);

/* dw [out,in] += dy^T x (overwritten when beta is 0); dx [N,in] = dy w. */
sgt_status sgti_linear_weight_gradient(const sgti_step *step, const sgt_tensor *dw, float beta,
                                       const sgt_tensor *dy, const sgt_tensor *x);
sgt_status sgti_linear_input_gradient(const sgti_step *step, const sgt_tensor *dx,
                                      const sgt_tensor *dy, const sgt_tensor *w);

/* y = RMSNorm(x) with the norm weight of this index. x, y: offsets of [N,d]. */
sgt_status sgti_norm_forward(const sgti_step *step, uint64_t y, uint64_t x, int32_t parameter);
/* dx += and the gradient of the weight += , from dy. Offsets of [N,d]. */
sgt_status sgti_norm_backward(const sgti_step *step, uint64_t dx, uint64_t dy, uint64_t x,
                              int32_t parameter);

/* One attention pass of a run (0: all heads): y [N,d] = x + Attn(RMSNorm1(x)). attention.c */
sgt_status sgti_attention_forward(const sgti_step *step, const sgti_run *run, int32_t pass,
                                  uint64_t y);
/* layout.dx [N,d]: gradient of y in, gradient of x out. */
sgt_status sgti_attention_pass_backward(const sgti_step *step, const sgti_run *run, int32_t pass);

/* Feed-forward part: gate_up from x_ffn, then (unless y is NULL) y = x_ffn + FFN. ffn.c */
sgt_status sgti_ffn_forward(const sgti_step *step, const sgti_run *run, const uint64_t *y);
/* layout.dx as above. Uses gate_up up. */
sgt_status sgti_ffn_backward(const sgti_step *step, const sgti_run *run);

/* All passes and the feed-forward part of one run. block.c */
sgt_status sgti_run_forward(const sgti_step *step, const sgti_run *run);
sgt_status sgti_run_backward(const sgti_step *step, const sgti_run *run);

/* Embedding of layout.ids and all runs, with the progress callback between them. block.c */
sgt_status sgti_blocks_forward(const sgti_step *step, int32_t phase);
/* From layout.dx, the gradient of x_final, to the gradients of every weight below. */
sgt_status sgti_blocks_backward(const sgti_step *step);

/* Uploads tokens, and targets unless NULL. */
sgt_status sgti_write_batch(const sgti_step *step, const sgt_batch *batch);

/* The heads of a pass that run: fills the lists of the workspace. attention.c */
void sgti_list_heads(const sgti_step *step, int32_t layer, int32_t pass);

/* Losses of all rows against layout.targets, and (in a training step) d_final and d_head, the
 * unscaled gradients of their sum. head.c */
sgt_status sgti_head_loss(const sgti_step *step);
/* Scales them into layout.dx and the gradients of head and final norm. */
sgt_status sgti_head_loss_backward(const sgti_step *step, double scale);

/* layout.logits [N,V]; and back from host dlogits [N,V]. */
sgt_status sgti_head_logits(const sgti_step *step);
sgt_status sgti_head_logits_backward(const sgti_step *step, const float *dlogits);

/* Logits of rows first, first + stride, .. (count of them) to host memory [count,V]; the
 * normalised x_final is in layout.h. */
sgt_status sgti_head_copy_logits(const sgti_step *step, float *logits, int64_t first,
                                 int64_t stride, int64_t count);

#endif
