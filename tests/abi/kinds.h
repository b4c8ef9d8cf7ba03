/* SPDX-License-Identifier: BSD-3-Clause */
/* What a field of a public struct may be. */
#ifndef SGTT_KINDS_H
#define SGTT_KINDS_H

#include <stdint.h>

enum kind {
    I32,
    U32,
    I64,
    U64, /* size_t too */
    F32,
    F64,
    POINTER
};

#define KIND_NAMES {"I32", "U32", "I64", "U64", "F32", "F64", "POINTER"}

#define KIND_OF(type, field)                                                                       \
    _Generic(((type *)0)->field,                                                                   \
        int32_t: I32, uint32_t: U32, int64_t: I64, uint64_t: U64, float: F32, double: F64,         \
        default: POINTER)

#endif
