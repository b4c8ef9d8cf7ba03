/* SPDX-License-Identifier: BSD-3-Clause */
/* Converts the elements of tensors between what files store and float32. */
#include "safetensors.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/number_formats.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE_ENDIAN_HOST 1
#else
#define LITTLE_ENDIAN_HOST 0
#endif

sgt_status sgti_st_check_float(const sgti_safetensors *file, const sgti_st_tensor *tensor)
{
    if (tensor->dtype == SGTI_ST_F32 || tensor->dtype == SGTI_ST_F16 ||
        tensor->dtype == SGTI_ST_BF16 || tensor->dtype == SGTI_ST_F64)
        return SGT_OK;
    return sgti_fail(SGT_E_UNSUPPORTED, "%s: tensor '%.120s': dtype %.40s is not F32, BF16, F16 or "
                                        "F64",
                     file->path, tensor->name, tensor->dtype_name);
}

static uint16_t half_at(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* On a little-endian host float32 is stored as it is in memory; this is the common case. */
void sgti_st_to_float(float *floats, const void *stored, sgti_st_dtype dtype, uint64_t count)
{
    const unsigned char *from = stored;
    sgti_reader reader = {.data = from, .left = (size_t)(count * sgti_st_element_bytes(dtype))};
    if (dtype == SGTI_ST_F32 && LITTLE_ENDIAN_HOST) {
        memcpy(floats, stored, (size_t)count * sizeof *floats);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        switch (dtype) {
        case SGTI_ST_F16:
            floats[i] = sgti_f16_to_f32(half_at(from + 2 * i));
            break;
        case SGTI_ST_BF16:
            floats[i] = sgti_bf16_to_f32(half_at(from + 2 * i));
            break;
        case SGTI_ST_F64:
            floats[i] = (float)sgti_get_f64(&reader);
            break;
        default:
            floats[i] = sgti_get_f32(&reader);
            break;
        }
    }
}

void sgti_st_from_float(void *stored, const float *floats, sgti_st_dtype dtype, uint64_t count)
{
    unsigned char *to = stored;
    sgti_writer writer = {.data = to};
    if (dtype == SGTI_ST_F32 && LITTLE_ENDIAN_HOST) {
        memcpy(stored, floats, (size_t)count * sizeof *floats);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (dtype == SGTI_ST_F32) {
            sgti_put_f32(&writer, floats[i]);
            continue;
        }
        uint16_t half =
            dtype == SGTI_ST_F16 ? sgti_f32_to_f16(floats[i]) : sgti_f32_to_bf16(floats[i]);
        to[2 * i] = (unsigned char)half;
        to[2 * i + 1] = (unsigned char)(half >> 8);
    }
}

uint64_t sgti_st_find_overflow(const float *floats, sgti_st_dtype dtype, uint64_t count)
{
    /* The limit is half-way from the type's largest number to the next power of two: from there on
     * numbers round to infinity. */
    float limit = dtype == SGTI_ST_F16 ? 0x1.ffep15f : 0x1.ffp127f;
    uint64_t i = 0;
    if (dtype == SGTI_ST_F32)
        return count;
    while (i < count && !(fabsf(floats[i]) >= limit && fabsf(floats[i]) <= FLT_MAX))
        i++;
    return i;
}
