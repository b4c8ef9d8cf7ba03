/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts several arrays into one block of memory. The same calls are made twice: without memory they
 * count the bytes; with a block of that many bytes they cut it into the arrays.
 *
 *     sgti_carver c = {0};                     c = (sgti_carver){.memory = block};
 *     lay_out(&c, ...);                        lay_out(&c, ...);
 *     allocate c.bytes, unless c.overflow
 *
 * Where every count is an int32_t and every element below 1 MiB, thousands of arrays cannot
 * overflow, and a caller need not look: so it is with lists of parameters, passes and parts, of
 * which the bounds of a configuration keep the elements small.
 *
 * Each array begins on a cache line of its own if the block begins on one.
 */
#ifndef SGTI_CARVER_H
#define SGTI_CARVER_H

#include <stddef.h>
#include <stdint.h>

#include "checked.h"

typedef struct sgti_carver {
    char *memory; /* NULL: only the size is asked for */
    uint64_t bytes;
    int overflow; /* 1: the bytes do not fit 64 bits, and mean nothing */
} sgti_carver;

/* Returns the next array of `count` >= 0 elements; NULL while sizes are only counted. */
static inline void *sgti_carve(sgti_carver *c, int64_t count, size_t element)
{
    const uint64_t line = 64;
    void *array = c->memory ? c->memory + c->bytes : NULL;
    uint64_t bytes = 0;
    if (!sgti_mul_u64(&bytes, (uint64_t)count, element) || !sgti_add_u64(&bytes, bytes, line - 1) ||
        !sgti_add_u64(&c->bytes, c->bytes, bytes / line * line))
        c->overflow = 1;
    return array;
}

#endif
