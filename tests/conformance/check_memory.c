/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances, buffers, transfers, host addresses. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include "watched_memory.h"

/* ---- open, close, describe ---- */

static sgt_context *open_watched(const sgtt_subject *subject, sgtt_watched_memory *memory,
                                 int32_t threads)
{
    sgt_context *context;
    sgt_context_options options = sgtt_subject_options(subject);
    const sgt_allocator allocator = sgtt_watched_allocator(memory);
    options.threads = threads;
    options.allocator = &allocator;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

static void check_description(const sgt_context *context)
{
    const sgt_backend *table;
    void *instance;
    sgt_backend_info report = {.size = sizeof report};
    sgtt_ok(sgt_backend_instance(&table, &instance, context));
    sgtt_ok(sgt_context_get_backend(&report, context));
    if (table->describe) {
        sgt_backend_description said = {.size = sizeof said};
        sgtt_slot_done(table->describe(instance, &said), "describe");
        sgtt_require(said.kernels != NULL && said.kernels[0] != '\0',
                     "describe leaves kernels empty");
    }
    sgtt_note("%s", report.kernels);
}

/* Several instances at a time, closed in any order, leave nothing behind. */
void sgtt_check_open(const void *argument)
{
    const sgtt_subject *subject = argument;
    sgtt_watched_memory memory[3] = {SGTT_WATCHED_MEMORY, SGTT_WATCHED_MEMORY,
                                     SGTT_WATCHED_MEMORY};
    for (int k = 0; k < 6; k++) {
        static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        sgt_context *contexts[3];
        for (int i = 0; i < 3; i++)
            contexts[i] = open_watched(subject, &memory[i], i + 1);
        check_description(contexts[k % 3]);
        for (int i = 0; i < 3; i++)
            sgt_context_free(contexts[orders[k][i]]);
        for (int i = 0; i < 3; i++)
            sgtt_expect_released(&memory[i], "close");
        sgtt_count(0.0);
    }
}

/* ---- buffers ---- */

static const uint64_t sizes[] = {1, 2, 63, 64, 65, 4095, 4096, 100003, 1u << 22};
#define SIZES ((int)(sizeof sizes / sizeof sizes[0]))

static sgt_tensor bytes_of(sgt_buffer *buffer, uint64_t elements)
{
    return (sgt_tensor){.size = sizeof(sgt_tensor),
                        .dtype = SGT_F16,
                        .buffer = buffer,
                        .rank = 1,
                        .shape = {(int64_t)elements},
                        .strides = {1}};
}

static void fill_pattern(unsigned char *bytes, uint64_t count, int which)
{
    for (uint64_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(i * 7u + (uint64_t)which * 31u + i / 251u);
}

/* Every buffer keeps what is its own while others come and go. */
static void check_buffers(const sgt_backend *table, void *instance)
{
    sgt_buffer *buffers[SIZES];
    unsigned char *data = malloc(1u << 22), *got = malloc(1u << 22);
    sgtt_require(data != NULL && got != NULL, "out of memory");
    for (int i = 0; i < SIZES; i++) {
        buffers[i] = NULL;
        sgtt_slot_done(table->allocate(instance, &buffers[i], sizes[i]), "allocate");
        sgtt_require(buffers[i] != NULL, "allocate gave no buffer of %llu bytes",
                     (unsigned long long)sizes[i]);
        if (table->host_pointer)
            sgtt_require((uintptr_t)table->host_pointer(instance, buffers[i]) % 64 == 0,
                         "a buffer of %llu bytes is not aligned to 64",
                         (unsigned long long)sizes[i]);
        if (sizes[i] < 2)
            continue;
        const sgt_tensor all = bytes_of(buffers[i], sizes[i] / 2);
        fill_pattern(data, sizes[i], i);
        sgtt_slot_done(table->write(instance, &all, data), "write");
    }
    for (int i = SIZES - 1; i >= 0; i--) {
        if (sizes[i] >= 2) {
            const sgt_tensor all = bytes_of(buffers[i], sizes[i] / 2);
            fill_pattern(data, sizes[i], i);
            sgtt_slot_done(table->read(instance, got, &all), "read");
            sgtt_require(memcmp(got, data, sizes[i] / 2 * 2) == 0,
                         "a buffer of %llu bytes lost its contents", (unsigned long long)sizes[i]);
        }
        table->free(instance, buffers[i], sizes[i]);
        sgtt_count(0.0);
    }
    free(data);
    free(got);
}

/* More than any machine has: refused with a message, and nothing given. */
static void check_refusal(const sgt_backend *table, void *instance)
{
    static char untouched;
    static const uint64_t excessive[] = {UINT64_C(1) << 60, UINT64_MAX - 100, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        sgt_buffer *buffer = (sgt_buffer *)(void *)&untouched;
        sgtt_forget_message();
        int32_t result = table->allocate(instance, &buffer, excessive[i]);
        sgtt_require(result < 0, "allocate of %llu bytes returned %d",
                     (unsigned long long)excessive[i], (int)result);
        sgtt_require(buffer == (sgt_buffer *)(void *)&untouched,
                     "an allocate that fails writes its result");
        sgtt_require(sgtt_new_message(), "an allocate that fails records no message");
        sgtt_count(0.0);
    }
}

void sgtt_check_memory(const void *argument)
{
    const sgt_backend *table;
    void *instance;
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    sgt_context *context = open_watched(argument, &memory, 2);
    sgtt_memory_of(&table, &instance, context);
    check_buffers(table, instance);
    check_refusal(table, instance);
    check_buffers(table, instance);
    sgt_context_free(context);
    sgtt_expect_released(&memory, "close");
}

/* ---- transfers ---- */

/* Dense tensors of every type and rank, in the middle of a buffer. */
static void check_transfer(sgtt_machine *m, int32_t dtype, int32_t rank)
{
    enum { BEFORE = 5 };
    const int64_t count = 4000;
    const size_t size = sgtt_dtype_bytes(dtype);
    sgtt_tensor *all = sgtt_make(m, dtype, SGTT_DENSE, 1, &count);
    unsigned char *data = (unsigned char *)sgtt_doubles(m, count);
    unsigned char *got = (unsigned char *)sgtt_doubles(m, count);
    sgt_tensor part = all->t;
    size_t elements = 1;
    part.offset = BEFORE;
    part.rank = rank;
    for (int32_t i = rank - 1; i >= 0; i--) {
        part.shape[i] = 1 + sgtt_below(m, rank > 4 ? 3 : 7);
        part.strides[i] = (int64_t)elements;
        elements *= (size_t)part.shape[i];
    }
    for (size_t i = 0; i < elements * size; i++)
        data[i] = (unsigned char)sgtt_below(m, 256);
    memcpy(all->host + BEFORE * size, data, elements * size);
    sgtt_slot_done(m->memory->write(m->memory_instance, &part, data), "write");
    memset(data, 0x11, elements * size); /* the host's memory is its own again */
    memset(got, 0x22, (elements + 1) * size);
    sgtt_slot_done(m->memory->read(m->memory_instance, got, &part), "read");
    sgtt_require(memcmp(got, all->host + BEFORE * size, elements * size) == 0,
                 "read of type %d, rank %d gives other bytes than write got", (int)dtype,
                 (int)rank);
    sgtt_require(got[elements * size] == 0x22, "read writes past the tensor");
    sgtt_expect_unchanged(m, all, "write of a part of a buffer");
    sgtt_clear(m);
}

void sgtt_check_transfer(const void *argument)
{
    static const int32_t dtypes[] = {SGT_F32, SGT_F64, SGT_BF16, SGT_F16, SGT_I32};
    sgtt_machine m;
    sgtt_open(&m, argument, 2, 0);
    for (int round = 0; round < 8; round++) {
        for (int k = 0; k < 5; k++) {
            for (int32_t rank = 1; rank <= SGT_MAX_RANK; rank++)
                check_transfer(&m, dtypes[k], rank);
        }
    }
    sgtt_close(&m);
}

/* ---- host addresses ---- */

/* What a slot wrote is at the address; what the host wrote there is what a slot reads. */
void sgtt_check_host_pointer(const void *argument)
{
    enum { N = 1000 };
    const int64_t n = N;
    float values[N], got[N];
    sgtt_machine m;
    sgtt_open(&m, argument, 2, 0);
    if (!m.memory->host_pointer)
        sgtt_skip("memory is not host-visible");
    sgtt_tensor *x = sgtt_make(&m, SGT_F32, SGTT_DENSE, 1, &n);
    sgtt_tensor *y = sgtt_make(&m, SGT_F32, SGTT_DENSE, 1, &n);
    float *at_x = m.memory->host_pointer(m.memory_instance, x->buffer);
    float *at_y = m.memory->host_pointer(m.memory_instance, y->buffer);
    sgtt_require(at_x != NULL && at_y != NULL && at_x != at_y, "host_pointer gives no addresses");
    for (int i = 0; i < N; i++)
        values[i] = (float)sgtt_uniform(&m, -1.0, 1.0);
    sgtt_write(&m, x, values);
    sgtt_slot_done(m.memory->sync(m.memory_instance), "sync");
    sgtt_require(memcmp(at_x, values, sizeof values) == 0, "what write wrote is not there");
    memset(at_x, 0, sizeof values);
    sgtt_read(&m, got, x);
    for (int i = 0; i < N; i++)
        sgtt_require(got[i] == 0.0f, "read does not see what the host wrote");
    memcpy(at_x, values, sizeof values);
    sgtt_copy(&m, &y->t, &x->t);
    sgtt_slot_done(m.memory->sync(m.memory_instance), "sync");
    sgtt_require(memcmp(at_y, values, sizeof values) == 0, "copy does not see what the host wrote");
    sgtt_require(at_x == m.memory->host_pointer(m.memory_instance, x->buffer),
                 "an address has moved");
    sgtt_count(0.0);
    sgtt_close(&m);
}
