/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Converts the 16-bit formats bfloat16 and IEEE binary16, held as bits, to and from float32.
 * Rounding is to nearest even, a NaN stays a (quiet) NaN, overflow gives infinity. There are no
 * branches, so that compilers turn loops of these into vector code.
 *
 *                sign  exponent (bias)  mantissa
 *     float32      1       8 (127)         23
 *     bfloat16     1       8 (127)          7       the upper half of a float32
 *     binary16     1       5 (15)          10
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

/* Adding just under half of the last kept bit, and one more if that bit is set, rounds to nearest
 * even; a carry out of the mantissa raises the exponent, as it should. */
static inline uint16_t sgti_f32_to_bf16(float value)
{
    uint32_t bits = sgti_float_bits(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

/* Below 0x0400 are the denormals, which count units of 2^-24; from 0x7c00 on are infinity and
 * NaN. */
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

/* The limits, as bits of a float32: 0x38800000 is 2^-14, the smallest normal binary16; 0x47800000
 * is 2^16, from where on all is infinity; numbers just below it reach infinity by rounding. */
static inline uint16_t sgti_f32_to_f16(float value)
{
    uint32_t bits = sgti_float_bits(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    /* The last bit of a float32 in [1/2, 1) is worth 2^-24, as a denormal's is: adding 1/2 makes
     * the processor round there, and what is left above the bits of 1/2 is the denormal. */
    uint32_t denormal = sgti_float_bits(sgti_float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    uint32_t half = magnitude < 0x38800000u ? denormal : normal;
    half = magnitude >= 0x47800000u ? 0x7c00u : half;
    half = magnitude > 0x7f800000u ? 0x7e00u | (magnitude >> 13 & 0x3ffu) : half;
    return (uint16_t)(half | sign);
}

/* Rounds to float32 "to odd": towards zero, with the last bit set where something was lost.
 * Rounding the result once more, to 16 bits, then gives the same as rounding `value` to 16 bits at
 * once; rounding to nearest twice would not. */
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
