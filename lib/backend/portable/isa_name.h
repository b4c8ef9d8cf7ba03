/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of what is compiled once per instruction set. The build defines SGTI_ISA as baseline,
 * avx2 or avx512 for such files: SGTI_ISA_NAME(sgti_row_kernels) is sgti_row_kernels_avx2.
 * Processors other than x86-64 have baseline only.
 */
#ifndef SGTI_ISA_NAME_H
#define SGTI_ISA_NAME_H

#define SGTI_ISA_PASTE(name, isa) name##_##isa
#define SGTI_ISA_EXPAND(name, isa) SGTI_ISA_PASTE(name, isa)
#define SGTI_ISA_NAME(name) SGTI_ISA_EXPAND(name, SGTI_ISA)

#define SGTI_ISA_QUOTE(isa) #isa
#define SGTI_ISA_QUOTE_EXPANDED(isa) SGTI_ISA_QUOTE(isa)
#define SGTI_ISA_STRING SGTI_ISA_QUOTE_EXPANDED(SGTI_ISA)

#if defined(__x86_64__)
#define SGTI_HAVE_WIDE_ISA 1 /* avx2 and avx512 are built too */
#endif

#endif
