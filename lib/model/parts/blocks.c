/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of blocks that there are: one, for every layer. */
#include "part.h"

static const sgti_block standard = {
    .parts = {[SGTI_ATTENTION] = &sgti_softmax_attention,
              [SGTI_FEED_FORWARD] = &sgti_swiglu_feed_forward},
};

const sgti_block *sgti_block_of(const sgt_model_config *config, int32_t layer)
{
    (void)config;
    (void)layer;
    return &standard;
}
