/* SPDX-License-Identifier: BSD-3-Clause */
/* What every test program shares: the runner, and checks of a status with its message. */
#ifndef SGTT_TESTING_H
#define SGTT_TESTING_H

#include <check.h>

#include <sgt/status.h>

/* Runs the suite and frees it; failures are printed. 0 when there was at least one test and all
 * passed, else 1: the exit status of the program. The environment's CK_FORK is honoured. */
int sgtt_run(Suite *suite);

/* The exit status of a program that tests nothing here; both texts together say why. */
int sgtt_skipped(const char *reason, const char *detail);

/* The call must succeed; else its status and message are printed. */
#define sgtt_ok(call) sgtt_check_ok(call, #call, __FILE__, __LINE__)

/* The call must fail with this status and a message that contains `substring`. */
#define sgtt_fails(call, status, substring)                                                        \
    sgtt_check_fails(call, status, substring, #call, __FILE__, __LINE__)

void sgtt_check_ok(sgt_status status, const char *call, const char *file, int line);
void sgtt_check_fails(sgt_status status, sgt_status expected, const char *substring,
                      const char *call, const char *file, int line);

#endif
