/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counted, limited memory on top of a host's allocator. Thread-safe: one lock around the host's
 * functions and the counters. A child that was forked while another thread was inside has its own,
 * free lock; the block which that thread was about to get or give is lost to the child.
 */
#ifndef SGTI_MEMORY_H
#define SGTI_MEMORY_H

#include <sgt/context.h>

#include "locks.h"

typedef struct sgti_memory {
    sgt_allocator allocator;
    sgti_lock lock;
    uint64_t limit; /* 0: none */
    uint64_t current; /* this and the next two: written under the lock, read by anybody */
    uint64_t peak;
    uint64_t allocations;
} sgti_memory;

/* allocator NULL: the C library's. */
sgt_status sgti_memory_init(sgti_memory *memory, const sgt_allocator *allocator, uint64_t limit);
void sgti_memory_destroy(sgti_memory *memory);

/* `what` names the purpose in the message ("the arena of a training step"). bytes may be 0: then
 * *pointer is NULL. Contents are undefined, or zero for the second. *pointer is untouched on
 * failure: SGT_E_OUT_OF_MEMORY or SGT_E_MEMORY_LIMIT. */
sgt_status sgti_allocate_aligned(void **pointer, sgti_memory *memory, size_t alignment,
                                 uint64_t bytes, const char *what);
sgt_status sgti_allocate_zeroed(void **pointer, sgti_memory *memory, uint64_t count,
                                uint64_t element, const char *what);

/* bytes as given when allocated. NULL is fine. */
void sgti_release(sgti_memory *memory, void *pointer, uint64_t bytes);

/* Counts bytes that came from elsewhere. Errors: SGT_E_MEMORY_LIMIT, SGT_E_OUT_OF_MEMORY (the sum
 * does not fit in 64 bits). */
sgt_status sgti_memory_reserve(sgti_memory *memory, uint64_t bytes, const char *what);
void sgti_memory_unreserve(sgti_memory *memory, uint64_t bytes);

/* What the counters say; while other threads allocate, each of them is of its own moment. */
void sgti_memory_report(sgt_context_memory *usage, const sgti_memory *memory);

#endif
