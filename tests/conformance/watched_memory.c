/* SPDX-License-Identifier: BSD-3-Clause */
#include "watched_memory.h"

#include <stdlib.h>
#include <string.h>

#include <sgt/backend.h>

#include "runner.h"

/*
 *     header, unused | what was asked for | TAIL bytes that nobody may write
 *     (one alignment)
 */
#define LEAST_ALIGNMENT 64
#define TAIL            64
#define TAIL_BYTE       0xa5

typedef struct header {
    size_t bytes;
    size_t before;
} header;

static header *header_of(void *memory)
{
    return (header *)(void *)((char *)memory - LEAST_ALIGNMENT);
}

static void *allocate(void *user, size_t alignment, size_t bytes)
{
    sgtt_watched_memory *memory = user;
    const size_t before = alignment > LEAST_ALIGNMENT ? alignment : LEAST_ALIGNMENT;
    memory->requests++;
    if (memory->left == 0 || bytes > SIZE_MAX / 4)
        return NULL;
    if (memory->left > 0)
        memory->left--;
    const size_t whole = (before + bytes + TAIL + before - 1) / before * before;
    char *start = aligned_alloc(before, whole);
    if (start == NULL)
        return NULL;
    char *given = start + before;
    *header_of(given) = (header){.bytes = bytes, .before = before};
    memset(given, 0xff, bytes);
    memset(given + bytes, TAIL_BYTE, TAIL);
    memory->blocks++;
    return given;
}

static void release(void *user, void *given, size_t bytes)
{
    sgtt_watched_memory *memory = user;
    if (given == NULL)
        return;
    const header own = *header_of(given);
    sgtt_require(own.bytes == bytes, "a block of %zu bytes was released as one of %zu", own.bytes,
                 bytes);
    for (int i = 0; i < TAIL; i++)
        sgtt_require(((unsigned char *)given)[bytes + (size_t)i] == TAIL_BYTE,
                     "memory past a block of %zu bytes was written", bytes);
    memory->blocks--;
    free((char *)given - own.before);
}

sgt_allocator sgtt_watched_allocator(sgtt_watched_memory *memory)
{
    return (sgt_allocator){
        .size = sizeof(sgt_allocator), .allocate = allocate, .release = release, .user = memory};
}

void sgtt_expect_released(const sgtt_watched_memory *memory, const char *after)
{
    sgtt_require(memory->blocks == 0, "after %s %lld blocks of memory are not released", after,
                 (long long)memory->blocks);
}

/* ---- messages ---- */

/* A failure of the library's own, whose message is known. */
void sgtt_forget_message(void)
{
    sgt_backend_load(NULL, NULL);
}

int sgtt_new_message(void)
{
    char now[512];
    strncpy(now, sgt_error_message(), sizeof now - 1);
    now[sizeof now - 1] = '\0';
    sgt_backend_load(NULL, NULL);
    return now[0] != '\0' && strcmp(now, sgt_error_message()) != 0;
}
