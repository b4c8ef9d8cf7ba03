/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The half-width formats bfloat16 and IEEE binary16, as bits. Rounding is to nearest even, a NaN
 * stays a (quiet) NaN, overflow gives infinity. Without branches, so that loops become vectors.
 */
#ifndef SGTI_NUMBER_FORMATS_H
#define SGTI_NUMBER_FORMATS_H

#include <stdint.h>
#include <string.h>

#include "strict_math.h"

static inline uint32_t sgti_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float sgti_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float sgti_bf16_to_f32(uint16_t half)
{
    return sgti_float_from_bits((uint32_t)half << 16);
}

static inline uint16_t sgti_f32_to_bf16(float value)
{
    uint32_t bits = sgti_float_bits(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float sgti_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = half & 0x7fffu;
    uint32_t normal = (magnitude << 13) + ((127u - 15u) << 23);
    uint32_t special = (magnitude << 13) | 0x7f800000u;
    uint32_t denormal = sgti_float_bits((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t bits = magnitude >= 0x7c00u ? special : normal;
    bits = magnitude < 0x0400u ? denormal : bits;
    return sgti_float_from_bits(bits | sign);
}

static inline uint16_t sgti_f32_to_f16(float value)
{
    uint32_t bits = sgti_float_bits(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    /* Adding 1/2 leaves a denormal's rounded bits at the end of the mantissa. */
    uint32_t denormal = sgti_float_bits(sgti_float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    uint32_t half = magnitude < 0x38800000u ? denormal : normal;
    half = magnitude >= 0x47800000u ? 0x7c00u : half;
    half = magnitude > 0x7f800000u ? 0x7e00u | (magnitude >> 13 & 0x3ffu) : half;
    return (uint16_t)(half | sign);
}

/* To float32 so that rounding the result once more gives what rounding `value` at once would:
 * towards zero, with the last bit set where something was lost. */
static inline float sgti_f64_to_f32_odd(double value)
{
    float nearest = (float)value;
    uint32_t bits = sgti_float_bits(nearest);
    double back = (double)nearest;
    if (back == value || value != value)
        return nearest;
    int too_far = value < 0.0 ? back < value : back > value;
    if (too_far)
        bits -= 1u;
    return sgti_float_from_bits(bits | 1u);
}

#endif
