/* SPDX-License-Identifier: BSD-3-Clause */
#include "runner.h"

#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sgt/common.h>
#include <sgt/status.h>

enum { PASSED, FAILED, SKIPPED, OUTCOMES };

/* What a check tells the process that started it. */
typedef struct outcome {
    int32_t kind;
    int32_t finished; /* 0: the process ended before the check did */
    int64_t comparisons;
    double worst;
    char text[400];
} outcome;

/* Of the check that runs in this process. */
static outcome now;
static int32_t running_in_place;
static jmp_buf end_in_place;
static int pipe_to_parent = -1;

/* ---- within a check ---- */

static void report_to_parent(void)
{
    const char *bytes = (const char *)&now;
    size_t left = sizeof now;
    now.finished = 1;
    while (left > 0) {
        ssize_t written = write(pipe_to_parent, bytes, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(1);
        bytes += written;
        left -= (size_t)written;
    }
}

_Noreturn static void end(int32_t kind)
{
    now.kind = kind;
    if (running_in_place)
        longjmp(end_in_place, 1);
    report_to_parent();
    _exit(0);
}

_Noreturn void sgtt_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now.text, sizeof now.text, format, arguments);
    va_end(arguments);
    end(FAILED);
}

_Noreturn void sgtt_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now.text, sizeof now.text, format, arguments);
    va_end(arguments);
    end(SKIPPED);
}

void sgtt_count(double share)
{
    now.comparisons++;
    if (share > now.worst)
        now.worst = share;
}

void sgtt_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now.text, sizeof now.text, format, arguments);
    va_end(arguments);
}

void sgtt_require_ok(int32_t status, const char *call)
{
    if (status != SGT_OK)
        sgtt_fail("%s: %s: %s", call, sgt_status_name(status), sgt_error_message());
}

/* ---- running ---- */

/* A check that compared nothing has shown nothing. */
static void pass(void)
{
    if (now.comparisons == 0)
        sgtt_fail("nothing was compared");
}

static outcome run_in_place(const sgtt_check *check)
{
    now = (outcome){.kind = PASSED};
    if (setjmp(end_in_place) == 0) {
        check->run(check->argument);
        pass();
    }
    now.finished = 1;
    return now;
}

_Noreturn static void run_in_child(const sgtt_check *check, int to_parent, int32_t timeout)
{
    pipe_to_parent = to_parent;
    now = (outcome){.kind = PASSED};
    alarm((unsigned)timeout);
    check->run(check->argument);
    pass();
    report_to_parent();
    _exit(0);
}

static size_t read_all(int from, void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = read(from, (char *)data + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* What became of a child that said nothing. */
static outcome of_the_dead(int state, int32_t timeout)
{
    outcome result = {.kind = FAILED};
    if (WIFSIGNALED(state) && WTERMSIG(state) == SIGALRM)
        snprintf(result.text, sizeof result.text, "not done after %d seconds", (int)timeout);
    else if (WIFSIGNALED(state))
        snprintf(result.text, sizeof result.text, "the process ended: %s",
                 strsignal(WTERMSIG(state)));
    else
        snprintf(result.text, sizeof result.text, "the process ended with status %d",
                 WEXITSTATUS(state));
    return result;
}

static outcome run_apart(const sgtt_check *check, int32_t timeout)
{
    outcome result = {.kind = FAILED};
    int ends[2];
    int state = 0;
    fflush(NULL);
    if (pipe(ends) != 0) {
        snprintf(result.text, sizeof result.text, "pipe: %s", strerror(errno));
        return result;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_in_child(check, ends[1], timeout);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        snprintf(result.text, sizeof result.text, "fork: %s", strerror(errno));
        return result;
    }
    size_t got = read_all(ends[0], &result, sizeof result);
    close(ends[0]);
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        continue;
    if (got != sizeof result || !result.finished)
        return of_the_dead(state, timeout);
    return result;
}

static void print_outcome(const char *name, const outcome *o)
{
    static const char *const words[OUTCOMES] = {"ok", "FAILED", "skipped"};
    printf("%-8s %-20s ", words[o->kind], name);
    if (o->kind != PASSED) {
        printf("%s\n", o->text);
        return;
    }
    if (o->worst > 0.0)
        printf("%lld comparisons, the worst used %.0f %% of its tolerance",
               (long long)o->comparisons, 100.0 * o->worst);
    else if (o->comparisons > 0)
        printf("%lld comparisons", (long long)o->comparisons);
    printf("%s%s\n", o->comparisons > 0 && o->text[0] != '\0' ? ", " : "", o->text);
    fflush(stdout);
}

int sgtt_run_checks(const sgtt_check *checks, int count, const sgtt_runner_options *options)
{
    int totals[OUTCOMES] = {0};
    int found = 0;
    running_in_place = options->in_place;
    for (int i = 0; i < count; i++) {
        if (options->only != NULL && strcmp(options->only, checks[i].name) != 0)
            continue;
        found = 1;
        const outcome result = options->in_place ? run_in_place(&checks[i])
                                                 : run_apart(&checks[i], options->timeout);
        print_outcome(checks[i].name, &result);
        totals[result.kind]++;
        if (options->in_place && result.kind == FAILED)
            break;
    }
    if (!found) {
        fprintf(stderr, "there is no check named %s\n", options->only);
        return 2;
    }
    printf("%d passed, %d failed, %d skipped\n", totals[PASSED], totals[FAILED], totals[SKIPPED]);
    return totals[FAILED] > 0 ? 1 : totals[PASSED] > 0 ? 0 : 77;
}

/* ---- arguments ---- */

int sgtt_read_number(double *value, const char *text, double least, double most)
{
    char *end = NULL;
    const double read = strtod(text, &end);
    if (end == text || *end != '\0' || !(read >= least && read <= most)) {
        fprintf(stderr, "'%s' is no number from %g to %g\n", text, least, most);
        return 0;
    }
    *value = read;
    return 1;
}

int sgtt_read_integer(int64_t *value, const char *text, int64_t least, int64_t most)
{
    char *end = NULL;
    const long long read = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || read < least || read > most) {
        fprintf(stderr, "'%s' is no whole number from %lld to %lld\n", text, (long long)least,
                (long long)most);
        return 0;
    }
    *value = read;
    return 1;
}

int sgtt_read_subject(const char **subject, int count, char **values, const char *what,
                      int may_miss)
{
    *subject = optind < count ? values[optind] : NULL;
    if (*subject == NULL && !may_miss)
        fprintf(stderr, "which %s?\n", what);
    else if (optind + 1 < count)
        fprintf(stderr, "'%s' is one argument too many\n", values[optind + 1]);
    else
        return 1;
    return 0;
}

int sgtt_print_version(const char *program)
{
    printf("%s %s\n", program, sgt_version());
    return 0;
}
