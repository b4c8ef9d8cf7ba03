/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts and limits the memory that comes from a host's allocator. Any thread may call: one lock is
 * held around the host's functions and the counters. A child that was forked while another thread
 * was inside finds the lock free (locks.h); only the block that this thread was about to get or
 * give back is lost to the child.
 */
#ifndef SGTI_MEMORY_H
#define SGTI_MEMORY_H

#include <sgt/context.h>

#include "locks.h"

typedef struct sgti_memory {
    sgt_allocator allocator;
    sgti_lock lock;
    uint64_t limit; /* 0: none */
    uint64_t current; /* this and the next two are written under the lock and read without it */
    uint64_t peak;
    uint64_t allocations;
} sgti_memory;

/* allocator NULL: the C library's. */
sgt_status sgti_memory_init(sgti_memory *memory, const sgt_allocator *allocator, uint64_t limit);
void sgti_memory_destroy(sgti_memory *memory);

/* Allocates. `what` names the purpose in the message ("the arena of a training step"). For 0 bytes
 * *pointer becomes NULL. The first function leaves the contents undefined, the second sets them to
 * zero. On failure *pointer is untouched: SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, and for the
 * second SGT_E_OVERFLOW. */
sgt_status sgti_allocate_aligned(void **pointer, sgti_memory *memory, size_t alignment,
                                 uint64_t bytes, const char *what);
sgt_status sgti_allocate_zeroed(void **pointer, sgti_memory *memory, uint64_t count,
                                uint64_t element, const char *what);

/* Gives memory back; `bytes` is what was asked for when it was allocated. `pointer` may be NULL. */
void sgti_release(sgti_memory *memory, void *pointer, uint64_t bytes);

/* Counts bytes that came from elsewhere, a device for example, against the limit. Errors:
 * SGT_E_MEMORY_LIMIT, SGT_E_OUT_OF_MEMORY (the sum does not fit in 64 bits). */
sgt_status sgti_memory_reserve(sgti_memory *memory, uint64_t bytes, const char *what);
void sgti_memory_unreserve(sgti_memory *memory, uint64_t bytes);

/* Reports the counters. While other threads allocate, each number may be of another moment. */
void sgti_memory_report(sgt_context_memory *usage, const sgti_memory *memory);

#endif
