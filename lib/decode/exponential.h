/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exp(x) for x <= 0, made of additions, multiplications and integer operations, so that it has the
 * same bits wherever double is IEEE binary64; exp of one C library may differ from that of another.
 * The relative error is below 2e-16. For x below SGTI_EXP_LEAST the result is 0, so that none is
 * subnormal.
 *
 * Include it only where products and sums are not contracted (-ffp-contract=off) and the rounding
 * mode is to the nearest.
 */
#ifndef SGTI_EXPONENTIAL_H
#define SGTI_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

#define SGTI_EXP_LEAST (-708.0)

/*
 * x = k ln 2 + r with |r| <= ln 2 / 2, k and r found by Cody and Waite's two-part ln 2 (Software
 * Manual for the Elementary Functions, 1980): the high part has 32 bits, so k times it is exact.
 * Then exp(x) = 2^k exp(r), with exp(r) by Taylor's series. The first term left out is below 5e-18.
 */
static inline double sgti_exp(double x)
{
    const double log2_e = 0x1.71547652b82fep+0;
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    const double to_whole = 0x1.8p+52; /* adding it leaves no bits behind the point */
    double within = x < SGTI_EXP_LEAST ? SGTI_EXP_LEAST : x;
    double shifted = within * log2_e + to_whole;
    double k = shifted - to_whole;
    double r = (within - k * ln2_high) - k * ln2_low;

    double series = 1.0 / 6227020800; /* 1/13! */
    series = series * r + 1.0 / 479001600;
    series = series * r + 1.0 / 39916800;
    series = series * r + 1.0 / 3628800;
    series = series * r + 1.0 / 362880;
    series = series * r + 1.0 / 40320;
    series = series * r + 1.0 / 5040;
    series = series * r + 1.0 / 720;
    series = series * r + 1.0 / 120;
    series = series * r + 1.0 / 24;
    series = series * r + 1.0 / 6;
    series = series * r + 0.5;
    double exp_r = 1 + (r + r * r * series);

    uint64_t bits; /* the low ones of `shifted` are k; the exponent field gets k + 1023 */
    double power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return x < SGTI_EXP_LEAST ? 0 : exp_r * power;
}

#endif
