/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sgt-backend-test [OPTION...] PLUGIN
 *
 * Checks a tensor backend against what <sgt/sys/backend.h> promises: every operation against naive
 * ones in double, then whole training steps against the portable backend. Prints a line for each
 * check and last "N passed, N failed, N skipped"; exits 0 when some passed and none failed, 1 when
 * one failed, 77 when all were skipped, 2 for wrong arguments. PLUGIN is a file, or the name of a
 * backend that is built in. doc/backends.md explains the report.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

#define MOST_CHECKS 64

/* An operation of the subject. */
typedef struct task {
    const sgtt_subject *subject;
    const sgtt_operation *operation;
} task;

static const char *why_left_out(const char *slot, int visible)
{
    if (strcmp(slot, "prepare_weight") == 0)
        return "not provided";
    if (visible)
        return "left to the portable kernels";
    return strcmp(slot, "linear") == 0 ? "left to gemm" : "models with such parts do not run";
}

static void check_operation(const void *argument)
{
    const task *t = argument;
    sgtt_machine m;
    sgtt_open(&m, t->subject, t->subject->threads, 0);
    if (!sgtt_has(m.slots, t->operation))
        sgtt_skip("%s", why_left_out(t->operation->name, m.stand_in != NULL));
    sgtt_run_operation(&m, t->operation);
    sgtt_require(m.declined == 0 || m.declined < m.calls, "every call is declined");
    if (m.declined > 0)
        sgtt_note("%lld of %lld calls are declined", (long long)m.declined, (long long)m.calls);
    sgtt_close(&m);
}

/* The list for a subject; the tasks lie in `tasks`. */
static int list_checks(sgtt_check *checks, task *tasks, const sgtt_subject *subject)
{
    static const sgtt_check before[] = {
        {"open", sgtt_check_open, NULL},
        {"memory", sgtt_check_memory, NULL},
        {"transfer", sgtt_check_transfer, NULL},
        {"host_pointer", sgtt_check_host_pointer, NULL},
    };
    static const sgtt_check after[] = {
        {"fallback", sgtt_check_fallback, NULL},
        {"order", sgtt_check_order, NULL},
        {"threads", sgtt_check_threads, NULL},
        {"concurrency", sgtt_check_concurrency, NULL},
        {"graphs", sgtt_check_graphs, NULL},
        {"faults", sgtt_check_faults, NULL},
        {"training", sgtt_check_training, NULL},
        {"patterns", sgtt_check_patterns, NULL},
        {"parts", sgtt_check_parts, NULL},
        {"growth", sgtt_check_growth, NULL},
        {"training_threads", sgtt_check_training_threads, NULL},
        {"training_memory", sgtt_check_training_memory, NULL},
        {"evaluation", sgtt_check_evaluation, NULL},
        {"checkpoint", sgtt_check_checkpoint, NULL},
        {"decoding", sgtt_check_decoding, NULL},
    };
    int count = 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        checks[count++] = (sgtt_check){before[i].name, before[i].run, subject};
    for (int i = 0; i < sgtt_operation_count; i++) {
        tasks[i] = (task){subject, &sgtt_operations[i]};
        checks[count++] = (sgtt_check){sgtt_operations[i].name, check_operation, &tasks[i]};
    }
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        checks[count++] = (sgtt_check){after[i].name, after[i].run, subject};
    return count;
}

/* ---- the backend ---- */

/* Loads a plug-in; the exit status when that fails. No name of a backend has a '.' or '/'. */
static int load(sgtt_subject *subject, const char *plugin)
{
    char path[PATH_MAX];
    subject->backend = plugin;
    if (strpbrk(plugin, "./") == NULL)
        return 0;
    snprintf(path, sizeof path, "%s%s", strchr(plugin, '/') == NULL ? "./" : "", plugin);
    if (sgt_backend_load(&subject->backend, path) == SGT_OK)
        return 0;
    printf("%-8s %-20s %s\n", "FAILED", "load", sgt_error_message());
    printf("0 passed, 1 failed, 0 skipped\n");
    return 1;
}

/* ---- arguments ---- */

static int usage(void)
{
    printf("usage: sgt-backend-test [OPTION...] PLUGIN\n"
           "\n"
           "PLUGIN is the path of a tensor backend, or the name of a built-in one.\n"
           "\n"
           "  --op NAME      only this check\n"
           "  --rounds N     the first round has listed shapes, later ones random shapes;\n"
           "                 default 2\n"
           "  --seed N       of random numbers; default 1\n"
           "  --isa NAME     instruction set of the context: baseline, avx2, avx512\n"
           "  --threads N    of the context; default 2\n"
           "  --timeout N    seconds that one check may take; default 600\n"
           "  --in-place     everything in one process, up to the first failure\n"
           "  --list         the names of the checks\n"
           "  --version      of the library, and of this program\n"
           "  --help         print this\n");
    return 0;
}

typedef struct arguments {
    sgtt_subject subject;
    sgtt_runner_options runner;
    int list;
    const char *plugin;
} arguments;

/* 0: go on; else the exit status plus 1. */
static int read_arguments(arguments *a, int count, char **values)
{
    enum { OP = 1, ROUNDS, SEED, ISA, THREADS, TIMEOUT, IN_PLACE, LIST, VERSION, HELP };
    static const struct option options[] = {
        {"op", required_argument, NULL, OP},
        {"rounds", required_argument, NULL, ROUNDS},
        {"seed", required_argument, NULL, SEED},
        {"isa", required_argument, NULL, ISA},
        {"threads", required_argument, NULL, THREADS},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"in-place", no_argument, NULL, IN_PLACE},
        {"list", no_argument, NULL, LIST},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0}};
    int64_t rounds = 2, seed = 1, threads = 2, timeout = 600;
    int option, right = 1;
    while (right && (option = getopt_long(count, values, "h", options, NULL)) != -1) {
        switch (option) {
        case OP: a->runner.only = optarg; break;
        case ROUNDS: right = sgtt_read_integer(&rounds, optarg, 1, 1000000); break;
        case SEED: right = sgtt_read_integer(&seed, optarg, 0, INT64_MAX / 4); break;
        case ISA: a->subject.isa = optarg; break;
        case THREADS: right = sgtt_read_integer(&threads, optarg, 1, 256); break;
        case TIMEOUT: right = sgtt_read_integer(&timeout, optarg, 1, 1000000); break;
        case IN_PLACE: a->runner.in_place = 1; break;
        case LIST: a->list = 1; break;
        case VERSION: return 1 + sgtt_print_version("sgt-backend-test");
        case HELP:
        case 'h': return 1 + usage();
        default: right = 0; break;
        }
    }
    if (!right || !sgtt_read_subject(&a->plugin, count, values, "PLUGIN", a->list)) {
        fprintf(stderr, "sgt-backend-test --help says more\n");
        return 3; /* the exit status 2 */
    }
    a->subject.rounds = (int32_t)rounds;
    a->subject.seed = (uint64_t)seed;
    a->subject.threads = (int32_t)threads;
    a->runner.timeout = (int32_t)timeout;
    return 0;
}

int main(int count, char **values)
{
    sgtt_check checks[MOST_CHECKS];
    task tasks[MOST_CHECKS];
    arguments a = {0};
    int status = read_arguments(&a, count, values);
    if (status != 0)
        return status - 1;
    int total = list_checks(checks, tasks, &a.subject);
    for (int i = 0; a.list && i < total; i++)
        printf("%s\n", checks[i].name);
    if (a.list)
        return 0;
    status = load(&a.subject, a.plugin);
    return status != 0 ? status : sgtt_run_checks(checks, total, &a.runner);
}
