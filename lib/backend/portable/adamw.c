/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW in one pass over parameters, gradients and moments; formulas in <sgt/optimizer.h>. */
#include "../../core/tensors.h"
#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    sgti_adamw_step step;
    float *param;
    float *grad;
    float *moment1;
    float *moment2;
    int64_t count;
} job;

static void update(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t first = part * SGTI_PART_ELEMENTS;
    int64_t end = sgti_part_end(part, SGTI_PART_ELEMENTS, j->count);
    j->row->adamw(&j->step, j->param + first, j->grad + first, j->moment1 + first,
                  j->moment2 + first, (size_t)(end - first));
}

int32_t sgti_portable_adamw(void *instance, const sgt_adamw_args *args)
{
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .step = {
            .grad_scale = args->grad_scale,
            .beta1 = args->beta1,
            .beta2 = args->beta2,
            .eps = args->eps,
            .decay = (float)(1.0 - (double)args->lr * (double)args->weight_decay),
            .rate = args->lr / args->correction1,
            .inverse_correction2 = 1.0f / args->correction2,
        },
        .param = sgti_data(args->param),
        .grad = sgti_data(args->grad),
        .moment1 = sgti_data(args->moment1),
        .moment2 = sgti_data(args->moment2),
        .count = sgti_tensor_count(args->param),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.count, SGTI_PART_ELEMENTS), update, &j);
    return SGT_OK;
}
