/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts and limits a host's allocator, or the C library's where the host has none. */
#include "memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checked.h"
#include "error.h"
#include "structs.h"

#define DEFAULT_ALIGNMENT 16
#define LARGE_PAGE        ((size_t)2 << 20)
#define LARGE_BLOCK       (4 * LARGE_PAGE)
#define ALLOCATOR_MINIMUM SGTI_SIZE_THROUGH(sgt_allocator, user)

/* Asks for large pages where the system leaves that choice to programs. Weights and arenas are
 * walked through from end to end, and with small pages the first walk would mostly wait for the
 * system to map them. */
static void want_large_pages(void *memory, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

static void *libc_allocate(void *user, size_t alignment, size_t bytes)
{
    (void)user;
    void *memory = NULL;
    int large = bytes >= LARGE_BLOCK;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    if (posix_memalign(&memory, large ? LARGE_PAGE : alignment, bytes))
        return NULL;
    if (large)
        want_large_pages(memory, bytes);
    return memory;
}

static void libc_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

sgt_status sgti_memory_init(sgti_memory *memory, const sgt_allocator *allocator, uint64_t limit)
{
    sgt_allocator own = {
        .size = sizeof own, .allocate = libc_allocate, .release = libc_release};
    if (allocator) {
        sgt_status status = sgti_struct_read(&own, sizeof own, allocator, ALLOCATOR_MINIMUM,
                                             "sgt_allocator");
        if (status == SGT_OK)
            status = sgti_check_reserved(own.reserved, "sgt_allocator");
        if (status)
            return status;
        if (!own.allocate || !own.release)
            return sgti_fail(SGT_E_INVALID_ARGUMENT, "sgt_allocator: %s is NULL",
                             own.allocate ? "release" : "allocate");
    }
    *memory = (sgti_memory){.allocator = own, .limit = limit};
    if (sgti_lock_init(&memory->lock))
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "the lock of the memory counters could not be made");
    return SGT_OK;
}

void sgti_memory_destroy(sgti_memory *memory)
{
    sgti_lock_destroy(&memory->lock);
}

/* Reports read the counters without the lock, so every access to them is atomic. */
static void set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Called under the lock. Says whether `bytes` more may be had; *after is what is in use then. */
static sgt_status admit(uint64_t *after, const sgti_memory *memory, uint64_t bytes,
                        const char *what)
{
    if (bytes > PTRDIFF_MAX || !sgti_add_u64(after, memory->current, bytes))
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%" PRIu64 " bytes for %s cannot be addressed", bytes,
                         what);
    if (memory->limit && *after > memory->limit)
        return sgti_fail(SGT_E_MEMORY_LIMIT,
                         "%" PRIu64 " bytes for %s: %" PRIu64 " of %" PRIu64
                         " bytes are in use already",
                         bytes, what, memory->current, memory->limit);
    return SGT_OK;
}

static void count(sgti_memory *memory, uint64_t after)
{
    set(&memory->current, after);
    if (after > memory->peak)
        set(&memory->peak, after);
    set(&memory->allocations, memory->allocations + 1);
}

static void discount(sgti_memory *memory, uint64_t bytes)
{
    set(&memory->current, memory->current - bytes);
}

/* Called under the lock. */
static sgt_status take(void **pointer, sgti_memory *memory, size_t alignment, uint64_t bytes,
                       const char *what)
{
    uint64_t after = 0;
    sgt_status status = admit(&after, memory, bytes, what);
    if (status)
        return status;
    void *taken = memory->allocator.allocate(memory->allocator.user, alignment, (size_t)bytes);
    if (!taken)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%" PRIu64 " bytes for %s", bytes, what);
    count(memory, after);
    *pointer = taken;
    return SGT_OK;
}

sgt_status sgti_allocate_aligned(void **pointer, sgti_memory *memory, size_t alignment,
                                 uint64_t bytes, const char *what)
{
    if (bytes == 0) {
        *pointer = NULL;
        return SGT_OK;
    }
    sgti_lock_take(&memory->lock);
    sgt_status status = take(pointer, memory, alignment, bytes, what);
    sgti_lock_give(&memory->lock);
    return status;
}

sgt_status sgti_allocate_zeroed(void **pointer, sgti_memory *memory, uint64_t count,
                                uint64_t element, const char *what)
{
    uint64_t bytes;
    if (!sgti_mul_u64(&bytes, count, element))
        return sgti_fail(SGT_E_OVERFLOW, "%" PRIu64 " times %" PRIu64 " bytes for %s", count,
                         element, what);
    void *taken = NULL;
    sgt_status status = sgti_allocate_aligned(&taken, memory, DEFAULT_ALIGNMENT, bytes, what);
    if (status)
        return status;
    if (taken)
        memset(taken, 0, (size_t)bytes);
    *pointer = taken;
    return SGT_OK;
}

void sgti_release(sgti_memory *memory, void *pointer, uint64_t bytes)
{
    if (!pointer)
        return;
    sgti_lock_take(&memory->lock);
    memory->allocator.release(memory->allocator.user, pointer, (size_t)bytes);
    discount(memory, bytes);
    sgti_lock_give(&memory->lock);
}

sgt_status sgti_memory_reserve(sgti_memory *memory, uint64_t bytes, const char *what)
{
    uint64_t after = 0;
    sgti_lock_take(&memory->lock);
    sgt_status status = admit(&after, memory, bytes, what);
    if (!status)
        count(memory, after);
    sgti_lock_give(&memory->lock);
    return status;
}

void sgti_memory_unreserve(sgti_memory *memory, uint64_t bytes)
{
    sgti_lock_take(&memory->lock);
    discount(memory, bytes);
    sgti_lock_give(&memory->lock);
}

void sgti_memory_report(sgt_context_memory *usage, const sgti_memory *memory)
{
    sgt_context_memory own = {.size = sizeof own,
                              .current = get(&memory->current),
                            .peak = get(&memory->peak),
                            .limit = memory->limit,
                            .allocations = get(&memory->allocations)};
    sgti_struct_write(usage, &own, sizeof own);
}
