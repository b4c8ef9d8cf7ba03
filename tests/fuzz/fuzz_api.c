/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a sequence of calls, right and wrong ones, whose statuses are foretold. */
#include "api_world.h"
#include "fuzz.h"

enum { MOST_CALLS = 60 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    world_open(&w, data, size);
    for (int i = 0; i < MOST_CALLS && w.in.left > 0; i++)
        make_a_call(&w);
    world_close(&w);
    return 0;
}
