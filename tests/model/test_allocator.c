/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_allocator.h"

#include <stdlib.h>
#include <string.h>

#include "testing.h"

#define NAN_BYTE 0xff

static int find(const test_allocator *allocator, const void *memory)
{
    for (int i = 0; i < TEST_ALLOCATOR_BLOCKS; i++)
        if (allocator->blocks[i].memory == memory)
            return i;
    ck_abort_msg(memory ? "a block was released that was not allocated" : "too many blocks");
    return -1;
}

static void *allocate(void *user, size_t alignment, size_t bytes)
{
    test_allocator *allocator = user;
    void *memory = NULL;
    int64_t call = allocator->calls++;
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > 4096 || bytes == 0)
        ck_abort_msg("%zu bytes aligned to %zu were asked for", bytes, alignment);
    if (allocator->fail_at >= 0 && call >= allocator->fail_at &&
        call < allocator->fail_at + allocator->fail_count) {
        allocator->failed++;
        return NULL;
    }
    if (posix_memalign(&memory, alignment < sizeof memory ? sizeof memory : alignment, bytes))
        return NULL;
    memset(memory, NAN_BYTE, bytes);
    int free_slot = find(allocator, NULL);
    allocator->blocks[free_slot].memory = memory;
    allocator->blocks[free_slot].bytes = bytes;
    allocator->live++;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    test_allocator *allocator = user;
    if (!memory)
        ck_abort_msg("NULL was released");
    int slot = find(allocator, memory);
    if (allocator->blocks[slot].bytes != bytes)
        ck_abort_msg("%zu bytes were released of a block of %zu", bytes,
                     allocator->blocks[slot].bytes);
    memset(memory, NAN_BYTE, bytes);
    free(memory);
    allocator->blocks[slot].memory = NULL;
    allocator->live--;
}

void test_allocator_init(test_allocator *allocator)
{
    memset(allocator, 0, sizeof *allocator);
    allocator->fail_at = -1;
    allocator->interface = (sgt_allocator){.size = sizeof allocator->interface,
                                           .allocate = allocate,
                                           .release = release,
                                           .user = allocator};
}
