/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floating-point environment: rounding mode, flushing of small numbers to zero, traps, flags.
 * Outside of the library it is the host's, inside always the default one, so that no result
 * depends on it. Every public function that returns a status or a number begins with
 *
 *     SGTI_DEFAULT_FLOATS;
 *
 * which puts the caller's environment aside until the function returns, on whichever way
 * (tests/abi/float_calls.py looks for it). The pool does the same for its jobs.
 */
#ifndef SGTI_FLOAT_MODE_H
#define SGTI_FLOAT_MODE_H

#include <fenv.h>
#include <stdint.h>

#include "strict_math.h"

typedef struct sgti_floats {
#ifdef __x86_64__
    uint32_t vector; /* MXCSR */
    uint16_t x87;    /* the control word */
#else
    fenv_t environment;
#endif
} sgti_floats;

/* These are not inlined, because a compiler that saw their inside might move arithmetic across. */
sgti_floats sgti_floats_enter(void) __attribute__((noinline));
void sgti_floats_leave(sgti_floats *host) __attribute__((noinline));

/* Sets the default again after foreign code, a callback or a backend, has run on this thread. */
void sgti_floats_renew(void) __attribute__((noinline));

#define SGTI_DEFAULT_FLOATS                                                                        \
    __attribute__((cleanup(sgti_floats_leave))) sgti_floats sgti_host_floats = sgti_floats_enter()

#endif
