/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h> /* for __GLIBC__ */

#include "malloc_shim.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

sweep malloc_sweep;

#if MALLOC_SHIM

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/* Blocks got in calls of the library carry a mark in front, found again when they are freed. */
#define HEADER 64
#define OURS   UINT64_C(0x6f7572732d2d2d2d)
#define FREED  UINT64_C(0x66726565642d2d2d)

typedef struct header {
    void *block; /* of the C library */
    uint64_t mark;
    size_t bytes;
} header;

static atomic_llong live_blocks;

int64_t malloc_live(void)
{
    return live_blocks;
}

static header *header_of(void *memory)
{
    return (header *)(void *)((char *)memory - sizeof(header));
}

/* Every block has a header, whoever got it. */
static void *take(size_t alignment, size_t bytes, int zero)
{
    size_t before = alignment > HEADER ? alignment : HEADER;
    if (sweep_fails(&malloc_sweep) || bytes > PTRDIFF_MAX - before) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = zero ? __libc_calloc(1, bytes + before)
                       : __libc_memalign(before, bytes + before);
    if (block == NULL)
        return NULL;
    header *h = header_of(block + before);
    *h = (header){.block = block, .mark = malloc_sweep.inside ? OURS : 0, .bytes = bytes};
    live_blocks += malloc_sweep.inside ? 1 : 0;
    return block + before;
}

void *malloc(size_t bytes)
{
    return take(16, bytes, 0);
}

void *calloc(size_t count, size_t bytes)
{
    if (bytes != 0 && count > PTRDIFF_MAX / bytes) {
        errno = ENOMEM;
        return NULL;
    }
    return take(16, count * bytes, 1);
}

void free(void *memory)
{
    if (memory == NULL)
        return;
    header *h = header_of(memory);
    if (h->mark == FREED)
        abort();
    live_blocks -= h->mark == OURS ? 1 : 0;
    h->mark = FREED;
    __libc_free(h->block);
}

void *realloc(void *memory, size_t bytes)
{
    char *moved = malloc(bytes);
    if (moved == NULL || memory == NULL)
        return moved;
    size_t before = header_of(memory)->bytes;
    for (size_t i = 0; i < before && i < bytes; i++)
        moved[i] = ((char *)memory)[i];
    free(memory);
    return moved;
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *made = take(alignment, bytes, 0);
    if (made == NULL)
        return ENOMEM;
    *memory = made;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return take(alignment, bytes, 0);
}

void *memalign(size_t alignment, size_t bytes)
{
    return take(alignment, bytes, 0);
}

size_t malloc_usable_size(void *memory)
{
    return memory == NULL ? 0 : header_of(memory)->bytes;
}

#else

int64_t malloc_live(void)
{
    return 0;
}

#endif
