/* SPDX-License-Identifier: BSD-3-Clause */
/* One fault after another: which calls of a sweep fail. */
#ifndef SGTT_SWEEP_H
#define SGTT_SWEEP_H

#include <stdint.h>

/* Counts the calls that may fail, and says which do. */
typedef struct sweep {
    int inside;      /* a call of the library: only there anything is counted, or fails */
    int64_t calls;
    int64_t fail_at; /* the first that fails, from 0; -1: none */
    int64_t most;    /* how many fail from there on, unless lifted before */
    int64_t failed;
} sweep;

/* A sweep's next place: every SGT_FAULT_STEP-th (1 unless the environment says else), `usual`
 * where the environment says nothing. */
int64_t sweep_next(int64_t at, int64_t usual);

/* 1 when the call that asks must fail. */
int sweep_fails(sweep *s);

/* From `at` on `most` calls fail; -1: none. */
void sweep_arm(sweep *s, int64_t at, int64_t most);
void sweep_lift(sweep *s);

/* Prints what a sweep did, for the figures of doc/reliability.md. */
void sweep_report(const char *what, int64_t calls, int64_t failed);

#endif
