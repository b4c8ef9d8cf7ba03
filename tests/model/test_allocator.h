/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An allocator of a host that trusts nobody: knows every block, fills fresh and released memory
 * with bytes that are NaN as numbers, checks sizes when blocks come back, and fails when told to.
 */
#ifndef SGTT_TEST_ALLOCATOR_H
#define SGTT_TEST_ALLOCATOR_H

#include <sgt/context.h>

#define TEST_ALLOCATOR_BLOCKS 1024

typedef struct test_allocator {
    sgt_allocator interface; /* for sgt_context_options.allocator */
    int64_t calls;           /* allocations asked for so far */
    int64_t fail_at;         /* the first call that fails, counted from 0; -1: none */
    int64_t fail_count;      /* how many fail from there on */
    int64_t failed;          /* how many did */
    int64_t live;            /* blocks not released */
    struct {
        void *memory;
        size_t bytes;
    } blocks[TEST_ALLOCATOR_BLOCKS];
} test_allocator;

void test_allocator_init(test_allocator *allocator);

#endif
