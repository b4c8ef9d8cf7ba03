/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts the FLOPs of a forward, for the totals of models and for what policies see. */
#ifndef SGTI_FLOPS_H
#define SGTI_FLOPS_H

#include <sgt/flops.h>

/* Fills *flops. `config` is resolved, `plan` has its shape or is NULL, and `options` were checked:
 * their seq is not 0. */
void sgti_flops_measure(sgt_flops *flops, const sgt_model_config *config, const sgt_plan *plan,
                        const sgt_flops_options *options);

/* The forward FLOPs of one token of a training forward, with causal attention, and with or without
 * the output head. */
static inline double sgti_flops_forward(const sgt_model_config *config, const sgt_plan *plan,
                                        int32_t seq, int32_t loops, int with_head)
{
    const sgt_flops_options options = {
        .size = sizeof options, .seq = seq, .loops = loops, .phase = SGT_PHASE_FORWARD};
    sgt_flops flops;
    sgti_flops_measure(&flops, config, plan, &options);
    return with_head ? flops.forward : flops.forward - flops.head;
}

#endif
