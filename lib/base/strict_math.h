/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Refuses a compiler that was told that there are no NaNs and no infinities, or that sums may be
 * taken in any order: every guard against bad numbers would vanish without a word, and results
 * would depend on the compiler. Every file of lib/ sees this (tests/consumers/fast_math.sh);
 * meson.build appends what takes such flags back.
 */
#ifndef SGTI_STRICT_MATH_H
#define SGTI_STRICT_MATH_H

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||          \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "libsgt needs NaN, infinity and the order of sums: build it without -ffast-math and -Ofast"
#endif

#endif
