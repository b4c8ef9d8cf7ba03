/* SPDX-License-Identifier: BSD-3-Clause */
#include "idle_kind.h"

#include "base/error.h"
#include "core/tensors.h"
#include "fixtures.h"
#include "model/work.h"

int idle_is_known = 1;

#define RESOLVED                                                                                   \
    .size = sizeof *idle_blocks, .mult_kernel = 3, .temperature = 0.1, .hard_fraction = 0.3

const sgt_block_config idle_blocks[2] = {
    {RESOLVED},
    {RESOLVED, .feed_forward = IDLE},
};

sgt_model_config idle_config(void)
{
    sgt_model_config config = sgtt_config();
    config.d_ff = 34;
    config.n_blocks = 2;
    config.blocks = idle_blocks;
    return config;
}

static sgt_status check(const sgt_model_config *config, const sgt_block_config *block)
{
    if (block->feed_forward == IDLE && config->d_ff % 2 != 0)
        return sgti_fail(SGT_E_UNSUPPORTED, "d_ff %d is odd beside an idle part",
                         (int)config->d_ff);
    return SGT_OK;
}

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    (void)placer;
    (void)config;
}

static void place(sgti_part *part, sgti_regions *regions)
{
    (void)part;
    (void)regions;
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    const int in_place = part->x.arena == part->y.arena && part->x.offset == part->y.offset;
    if (work->remake || in_place)
        return SGT_OK;
    return sgti_copy(work->dispatch, &y, &x);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    (void)work;
    (void)part;
    return SGT_OK;
}

static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    (void)flops;
    (void)query;
}

static const sgti_part_kind idle = {
    .name = "idle",
    .slot = SGTI_FEED_FORWARD,
    .check = check,
    .parameters = declare,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};

const sgti_part_kind *sgti_part_kind_of(enum sgti_block_part slot, int32_t number)
{
    if (number == 0)
        return slot == SGTI_ATTENTION ? &sgti_softmax_attention : &sgti_swiglu_feed_forward;
    return slot == SGTI_FEED_FORWARD && number == IDLE && idle_is_known ? &idle : NULL;
}
