/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks the processor. An instruction set counts when CPUID has all of its features and the
 * operating system saves its registers (XGETBV); a virtual machine may hide either.
 */
#include "isa_choice.h"

#include <string.h>

#include "../base/error.h"

enum level {
    BASELINE,
    AVX2,
    AVX512,
    LEVELS
};

static const char *const names[LEVELS] = {"baseline", "avx2", "avx512"};

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>

/* The features of x86-64-v3 and v4, by the leaf and register of CPUID that tells them. */
#define LEAF_1_ECX        (bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C)
#define LEAF_7_EBX_AVX2   (bit_BMI | bit_AVX2 | bit_BMI2)
#define LEAF_7_EBX_AVX512 (bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL)
#define LEAF_80000001_ECX bit_LZCNT

/* Bits of the register XCR0: what the operating system saves when it switches threads. */
#define SAVED_AVX    0x06u /* xmm, ymm */
#define SAVED_AVX512 0xe6u /* and the masks and both halves of zmm */

static uint32_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t value, uint32_t wanted)
{
    return (value & wanted) == wanted;
}

static enum level best_level(void)
{
    unsigned a, b, c, d, leaf_7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, LEAF_1_ECX))
        return BASELINE;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !has(c, LEAF_80000001_ECX))
        return BASELINE;
    if (!__get_cpuid_count(7, 0, &a, &leaf_7, &c, &d) || !has(leaf_7, LEAF_7_EBX_AVX2))
        return BASELINE;
    unsigned saved = saved_registers();
    if (!has(saved, SAVED_AVX))
        return BASELINE;
    return has(leaf_7, LEAF_7_EBX_AVX512) && has(saved, SAVED_AVX512) ? AVX512 : AVX2;
}

#else

static enum level best_level(void)
{
    return BASELINE;
}

#endif

sgt_status sgti_isa_choose(const char **isa, const char *wanted)
{
    enum level best = best_level();
    if (!wanted) {
        *isa = names[best];
        return SGT_OK;
    }
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(wanted, names[i]))
            continue;
        if (i > (int)best)
            return sgti_fail(SGT_E_UNSUPPORTED, "isa %s: this processor only has %s", wanted,
                             names[best]);
        *isa = names[i];
        return SGT_OK;
    }
    return sgti_fail(SGT_E_INVALID_ARGUMENT,
                     "isa is \"%s\", not \"baseline\", \"avx2\" or \"avx512\"", wanted);
}
