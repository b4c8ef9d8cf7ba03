/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting the FLOPs of a forward pass, for the accounting of models and policies. */
#ifndef SGTI_FLOPS_H
#define SGTI_FLOPS_H

#include <sgt/flops.h>

/* Fills *flops but for size: one token of a sequence of seq. config is resolved, plan of its shape
 * or NULL, depth one of enum sgt_flops_loops, full_square as in sgt_flops_options. */
void sgti_flops_measure(sgt_flops *flops, const sgt_model_config *config, const sgt_plan *plan,
                        int32_t seq, int32_t depth, int full_square);

/* The causal forward FLOPs of one token. */
static inline double sgti_flops_forward(const sgt_model_config *config, const sgt_plan *plan,
                                        int32_t seq, int32_t depth)
{
    sgt_flops flops;
    sgti_flops_measure(&flops, config, plan, seq, depth, 0);
    return flops.forward;
}

#endif
