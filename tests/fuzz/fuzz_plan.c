/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a depth plan: what is accepted can be saved, read again and edited. */
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "fuzz.h"

static sgt_context *context;

static void open_context(void)
{
    sgt_context_options options;
    sgt_context_options_init(&options, sizeof options);
    options.threads = 1;
    options.backend = "portable";
    options.memory_limit = (uint64_t)1 << 26;
    if (context == NULL && sgt_context_create(&context, &options) != SGT_OK)
        abort();
}

static void check(const sgt_plan *plan)
{
    size_t bytes = 0, room;
    sgt_plan *again = NULL;
    if (sgt_plan_save(NULL, &bytes, plan) != SGT_OK)
        abort();
    uint8_t *saved = malloc(bytes);
    room = bytes;
    if (sgt_plan_save(saved, &room, plan) != SGT_OK || room != bytes)
        abort();
    room = bytes - 1;
    if (sgt_plan_save(saved, &room, plan) != SGT_E_OUT_OF_RANGE)
        abort();
    if (sgt_plan_load(&again, context, saved, bytes) != SGT_OK || !sgt_plan_equal(plan, again))
        abort();
    for (int32_t i = 0; i < sgt_plan_n_layers(plan); i++)
        for (int32_t k = 1; k <= sgt_plan_depth(plan, i); k++)
            for (int32_t h = 0; h < sgt_plan_n_heads(plan); h++)
                if (!(sgt_plan_gains(plan, i, k)[h] >= 0.0f &&
                      sgt_plan_targets(plan, i, k)[h] <= 1.0f))
                    abort();
    sgt_status status = sgt_plan_set_depth(again, 0, 1); /* of very many heads, perhaps */
    if (status != SGT_E_MEMORY_LIMIT && status != SGT_OK)
        abort();
    if (status == SGT_OK && sgt_plan_set_gain(again, 0, 1, 0, 0.5f) != SGT_OK)
        abort();
    free(saved);
    sgt_plan_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgt_plan *plan = NULL;
    sgt_context_memory before = {.size = sizeof before}, after = {.size = sizeof after};
    open_context();
    sgt_context_get_memory(&before, context);
    if (sgt_plan_load(&plan, context, data, size) == SGT_OK)
        check(plan);
    else if (plan != NULL || sgt_error_message()[0] == '\0')
        abort();
    sgt_plan_free(plan);
    sgt_context_get_memory(&after, context);
    if (before.current != after.current)
        abort();
    return 0;
}
