/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses the instruction set that the kernels of a context use. */
#ifndef SGTI_ISA_CHOICE_H
#define SGTI_ISA_CHOICE_H

#include <sgt/status.h>

/*
 * *isa becomes "baseline", "avx2" or "avx512" (static): the wanted one, or for NULL the widest that
 * the processor and the operating system support. "avx2" is the whole of x86-64-v3, "avx512" the
 * whole of x86-64-v4. Errors: SGT_E_INVALID_ARGUMENT (no such name), SGT_E_UNSUPPORTED.
 */
sgt_status sgti_isa_choose(const char **isa, const char *wanted);

#endif
