/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a growth, for the driver and for checkpoints. */
#ifndef SGTI_GROWTH_H
#define SGTI_GROWTH_H

#include "../model/model.h"
#include "policy.h"

struct sgt_growth {
    sgt_model *model;          /* counted */
    sgt_growth_policy *policy; /* counted */
    sgt_growth_options options;
    int64_t last_step; /* of the last call; 0: none yet */
    double *entropies; /* [2, n_layers, max_passes, n_heads] last, then mean, for a policy to see */
    uint64_t capacity; /* how many doubles there is room for */
};

/* Tells the model again which entropies are needed: after a policy was loaded or has decided. */
void sgti_growth_refresh(sgt_growth *growth);

#endif
