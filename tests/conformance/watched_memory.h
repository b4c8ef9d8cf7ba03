/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An allocator that finds out about its users: memory starts full of NaN, what is written past a
 * block, released with another size or never released ends the check, and the n-th request can be
 * refused.
 */
#ifndef SGTT_WATCHED_MEMORY_H
#define SGTT_WATCHED_MEMORY_H

#include <sgt/context.h>

typedef struct sgtt_watched_memory {
    int64_t blocks;   /* that were not released */
    int64_t requests; /* so far */
    int64_t left;     /* requests until one is refused, and all after it; -1: never */
} sgtt_watched_memory;

#define SGTT_WATCHED_MEMORY {0, 0, -1}

sgt_allocator sgtt_watched_allocator(sgtt_watched_memory *memory);

/* Nothing may be left. */
void sgtt_expect_released(const sgtt_watched_memory *memory, const char *after);

/* Whether the library recorded a message since the last sgtt_forget_message of this thread. */
void sgtt_forget_message(void);
int sgtt_new_message(void);

#endif
