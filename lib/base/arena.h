/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans one block of memory for many tensors. An arena hands out offsets in bytes; nothing is
 * allocated here. What lives through a step is taken first, at the bottom. Scratch is a stack above
 * it: a caller notes the mark, takes what it needs and resets to the mark, so that the next caller
 * gets the same bytes. `peak` is the highest that `used` has ever been: what the block must hold.
 *
 *     | kept activations ... | scratch ->     |          |
 *     0                      mark             used       peak
 */
#ifndef SGTI_ARENA_H
#define SGTI_ARENA_H

#include <stdint.h>

#define SGTI_ARENA_ALIGN 64 /* bytes: a line of the cache */

typedef struct sgti_arena {
    uint64_t used; /* bytes */
    uint64_t peak;
    int overflow; /* 1: a size went beyond 2^61 bytes, and offsets and peak mean nothing */
} sgti_arena;

/* Returns the offset of a fresh, aligned region of a * b elements of `width` bytes. */
static inline uint64_t sgti_arena_take(sgti_arena *arena, uint64_t a, uint64_t b, uint64_t width)
{
    uint64_t offset = arena->used;
    uint64_t limit = UINT64_MAX / 8 / width;
    if (a != 0 && b > limit / a)
        arena->overflow = 1;
    else if (a * b > limit - offset / width)
        arena->overflow = 1;
    else
        arena->used +=
            (a * b * width + SGTI_ARENA_ALIGN - 1) / SGTI_ARENA_ALIGN * SGTI_ARENA_ALIGN;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return offset;
}

static inline uint64_t sgti_arena_mark(const sgti_arena *arena)
{
    return arena->used;
}

static inline void sgti_arena_reset(sgti_arena *arena, uint64_t mark)
{
    arena->used = mark;
}

#endif
