/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rotary positions (Su et al., arXiv 2104.09864) in the half-split form: elements i and dh/2 + i of
 * a head are a pair, which turns by an angle that grows with the position. The gradient of a
 * rotation is the rotation back.
 */
#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    const sgt_tensor *x; /* (B,T,h,dh) */
    const float *cosine; /* (P,dh/2) */
    const float *sine;
    const int32_t *offsets;
    float direction;
    int64_t tokens; /* B * T */
    int64_t tokens_per_part;
} job;

static void rotate(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    const sgt_tensor *x = j->x;
    const int64_t half = x->shape[3] / 2;
    int64_t end = sgti_part_end(part, j->tokens_per_part, j->tokens);
    for (int64_t token = part * j->tokens_per_part; token < end; token++) {
        int64_t b = token / x->shape[1];
        int64_t t = token % x->shape[1];
        int64_t angle = (t + (j->offsets != NULL ? j->offsets[b] : 0)) * half;
        float *heads = sgti_data(x) + b * x->strides[0] + t * x->strides[1];
        for (int64_t h = 0; h < x->shape[2]; h++)
            j->row->rope(heads + h * x->strides[2], j->cosine + angle, j->sine + angle,
                         j->direction, (size_t)half);
    }
}

int32_t sgti_portable_rope(void *instance, const sgt_rope_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rope), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    const sgt_tensor *x = args->x;
    job j = {
        .row = portable->row,
        .x = x,
        .cosine = sgti_data(args->cosine),
        .sine = sgti_data(args->sine),
        .offsets = sgti_integers(args->offsets),
        .direction = args->inverse ? -1.0f : 1.0f,
        .tokens = x->shape[0] * x->shape[1],
        .tokens_per_part = sgti_rows_per_part(x->shape[2] * x->shape[3]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.tokens, j.tokens_per_part), rotate, &j);
    return SGT_OK;
}
