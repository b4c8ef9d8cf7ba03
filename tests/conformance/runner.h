/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs named checks, each in a process of its own, and reports a line for each. A check that fails,
 * crashes or hangs ends its process only: the others still run.
 *
 *     ok       rope                   96 comparisons, the worst used 31 % of its tolerance
 *     FAILED   attention              query [1,9,4,16]: element 3 is 0.25, expected 0.5
 *     skipped  linear                 left to the portable kernels
 *     24 passed, 1 failed, 3 skipped
 */
#ifndef SGTT_RUNNER_H
#define SGTT_RUNNER_H

#include <stdint.h>

typedef struct sgtt_check {
    const char *name;
    void (*run)(const void *argument);
    const void *argument;
} sgtt_check;

typedef struct sgtt_runner_options {
    const char *only; /* the one check to run; NULL: all */
    int32_t timeout;  /* seconds for each check */
    int32_t in_place; /* 1: no processes; ends at the first failure (for debuggers) */
} sgtt_runner_options;

/* Runs and reports; the exit status of the program: 0 when at least one check passed and none
 * failed, 1 when one failed, 77 when all were skipped, 2 when there is no check named `only`. */
int sgtt_run_checks(const sgtt_check *checks, int count, const sgtt_runner_options *options);

/* ---- arguments ---- */

/* Read a number from the command line; 0, after saying so, when it is none between the two. */
int sgtt_read_integer(int64_t *value, const char *text, int64_t least, int64_t most);
int sgtt_read_number(double *value, const char *text, double least, double most);

/* The one argument behind the options, `what`; 0, after saying so, when it is missing or another
 * follows. With `may_miss` it may be NULL. */
int sgtt_read_subject(const char **subject, int count, char **values, const char *what,
                      int may_miss);

/* Prints the version of a program, which is that of the library it runs with. */
int sgtt_print_version(const char *program);

/* ---- within a check ---- */

/* Ends the check. */
_Noreturn void sgtt_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void sgtt_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A comparison held and used this share of its tolerance; 0 where there is none. */
void sgtt_count(double share);

/* Said behind the figures of a check that passes; the last note counts. */
void sgtt_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define sgtt_require(holds, ...)                                                                   \
    do {                                                                                           \
        if (!(holds))                                                                              \
            sgtt_fail(__VA_ARGS__);                                                                \
    } while (0)

/* The library call must succeed. */
#define sgtt_ok(call) sgtt_require_ok(call, #call)
void sgtt_require_ok(int32_t status, const char *call);

#endif
