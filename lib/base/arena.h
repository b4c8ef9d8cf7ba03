/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Planning one block of memory for many tensors. An arena hands out offsets in bytes; nothing is
 * allocated here. What lives through a step is taken at the bottom; scratch is taken and given back
 * in stack order. `peak` is what the block must hold.
 *
 *     | kept activations ... | scratch of one op ->      |
 *     0                      mark                  used  peak
 */
#ifndef SGTI_ARENA_H
#define SGTI_ARENA_H

#include <stdint.h>

#define SGTI_ARENA_ALIGN 64 /* bytes: a line of the cache */

typedef struct sgti_arena {
    uint64_t used; /* bytes */
    uint64_t peak;
    int overflow; /* set when a size did not fit in 64 bits */
} sgti_arena;

/* The offset of a fresh region of a * b elements of `width` bytes, aligned. */
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
