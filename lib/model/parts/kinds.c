/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of parts that there are, each in the row that its enum says. */
#include "part.h"

#define COUNT(table) (int32_t)(sizeof(table) / sizeof((table)[0]))

static const sgti_part_kind *const attentions[] = {
    [SGT_ATTENTION_SOFTMAX] = &sgti_softmax_attention,
    [SGT_ATTENTION_MULTIPLICATIVE] = &sgti_multiplicative_attention,
};

static const sgti_part_kind *const feed_forwards[] = {
    [SGT_FEED_FORWARD_SWIGLU] = &sgti_swiglu_feed_forward,
    [SGT_FEED_FORWARD_RELU] = &sgti_relu_feed_forward,
};

const sgti_part_kind *sgti_part_kind_of(enum sgti_block_part slot, int32_t number)
{
    int32_t count = slot == SGTI_ATTENTION ? COUNT(attentions) : COUNT(feed_forwards);
    if (number < 0 || number >= count)
        return NULL;
    return slot == SGTI_ATTENTION ? attentions[number] : feed_forwards[number];
}
