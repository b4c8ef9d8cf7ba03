/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes and reads numbers as little-endian bytes: the form in which plans and policies are saved.
 * A writer without data only counts, so that one function of the caller gives both the length and
 * the bytes. A reader never goes past its end: it answers 0 and remembers that it failed, so that
 * callers need to look at `failed` only once, at the end.
 */
#ifndef SGTI_BYTES_H
#define SGTI_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sgti_writer {
    uint8_t *data; /* NULL: count only; else room for everything */
    uint64_t used;
} sgti_writer;

typedef struct sgti_reader {
    const uint8_t *data;
    size_t left;
    int failed; /* 1: more was asked for than there is */
} sgti_reader;

static inline void sgti_put_u32(sgti_writer *writer, uint32_t value)
{
    if (writer->data) {
        for (int i = 0; i < 4; i++)
            writer->data[writer->used + (uint64_t)i] = (uint8_t)(value >> (8 * i));
    }
    writer->used += 4;
}

static inline void sgti_put_u64(sgti_writer *writer, uint64_t value)
{
    sgti_put_u32(writer, (uint32_t)(value & UINT32_MAX));
    sgti_put_u32(writer, (uint32_t)(value >> 32));
}

static inline void sgti_put_i32(sgti_writer *writer, int32_t value)
{
    sgti_put_u32(writer, (uint32_t)value);
}

static inline void sgti_put_i64(sgti_writer *writer, int64_t value)
{
    sgti_put_u64(writer, (uint64_t)value);
}

static inline void sgti_put_f32(sgti_writer *writer, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    sgti_put_u32(writer, bits);
}

static inline uint64_t sgti_bits_of_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline void sgti_put_f64(sgti_writer *writer, double value)
{
    sgti_put_u64(writer, sgti_bits_of_f64(value));
}

static inline uint32_t sgti_get_u32(sgti_reader *reader)
{
    uint32_t value = 0;
    if (reader->left < 4) {
        reader->failed = 1;
        reader->left = 0;
        return 0;
    }
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)reader->data[i] << (8 * i);
    reader->data += 4;
    reader->left -= 4;
    return value;
}

static inline uint64_t sgti_get_u64(sgti_reader *reader)
{
    uint64_t low = sgti_get_u32(reader);
    uint64_t high = sgti_get_u32(reader);
    return reader->failed ? 0 : low | high << 32;
}

/* Signed numbers take their bits by memcpy, because C leaves the conversion of large unsigned ones
 * to the compiler; that int32_t and int64_t are two's complement it promises. */
static inline int32_t sgti_get_i32(sgti_reader *reader)
{
    uint32_t bits = sgti_get_u32(reader);
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int64_t sgti_get_i64(sgti_reader *reader)
{
    uint64_t bits = sgti_get_u64(reader);
    int64_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float sgti_get_f32(sgti_reader *reader)
{
    uint32_t bits = sgti_get_u32(reader);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double sgti_get_f64(sgti_reader *reader)
{
    uint64_t bits = sgti_get_u64(reader);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
