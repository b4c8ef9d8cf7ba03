/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sgt-policy-test [OPTION...] POLICY.so
 *
 * Checks a growth policy against what <sgt/sys/growth.h> promises. The policy comes as a shared
 * object with one entry, sgt_growth_policy_entry. Prints a line for each check and last "N passed,
 * N failed, N skipped"; exits as sgt-backend-test does.
 * doc/growth-policies.md explains the report.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_replay.h"

static const sgtt_check all_checks[] = {
    {"table", sgtt_check_table, NULL},
    {"start", sgtt_check_start, NULL},
    {"decisions", sgtt_check_decisions, NULL},
    {"missing", sgtt_check_missing, NULL},
    {"over", sgtt_check_over, NULL},
    {"determinism", sgtt_check_determinism, NULL},
    {"save", sgtt_check_save, NULL},
    {"resume", sgtt_check_resume, NULL},
    {"restore", sgtt_check_restore, NULL},
    {"damage", sgtt_check_damage, NULL},
    {"refused_memory", sgtt_check_refused_memory, NULL},
    {"training", sgtt_check_policy_training, NULL},
};
#define CHECKS ((int)(sizeof all_checks / sizeof all_checks[0]))

/* ---- the policy ---- */

static int fail_to_load(const char *message)
{
    printf("%-8s %-20s %s\n", "FAILED", "load", message);
    printf("0 passed, 1 failed, 0 skipped\n");
    return 1;
}

/* 0, or the exit status. */
static int load(sgtt_policy_subject *subject, const char *path)
{
    union {
        void *address;
        sgt_growth_policy_entry_fn function;
    } entry;
    char own[PATH_MAX]; /* without a '/' the dynamic linker would look elsewhere */
    snprintf(own, sizeof own, "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
    void *handle = dlopen(own, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return fail_to_load(dlerror());
    entry.address = dlsym(handle, "sgt_growth_policy_entry");
    if (entry.address == NULL)
        return fail_to_load("it has no symbol sgt_growth_policy_entry");
    subject->vtable = entry.function(&subject->user);
    return subject->vtable != NULL ? 0 : fail_to_load("its entry returned NULL");
}

/* ---- arguments ---- */

static int usage(void)
{
    printf("usage: sgt-policy-test [OPTION...] POLICY.so\n"
           "\n"
           "  --check NAME       only this check\n"
           "  --layers N         of the models it is made for; default 6\n"
           "  --heads N          query heads of each; default 4\n"
           "  --steps N          of a replay: enough for the policy to do all that it does;\n"
           "                     default 400\n"
           "  --seed N           of the entropies that are made up; default 1\n"
           "  --overhead X       loops may cost this share of the model; default 1.0\n"
           "  --timeout N        seconds that one check may take; default 300\n"
           "  --in-place         everything in one process, up to the first failure\n"
           "  --list             the names of the checks\n"
           "  --version          of the library, and of this program\n"
           "  --help             print this\n");
    return 0;
}

typedef struct arguments {
    sgtt_policy_subject subject;
    sgtt_runner_options runner;
    int list;
    const char *policy;
} arguments;

/* 0: go on; else the exit status plus 1. */
static int read_arguments(arguments *a, int count, char **values)
{
    enum { CHECK = 1, LAYERS, HEADS, STEPS, SEED, OVERHEAD, TIMEOUT, IN_PLACE, LIST, VERSION,
           HELP };
    static const struct option options[] = {
        {"check", required_argument, NULL, CHECK},
        {"layers", required_argument, NULL, LAYERS},
        {"heads", required_argument, NULL, HEADS},
        {"steps", required_argument, NULL, STEPS},
        {"seed", required_argument, NULL, SEED},
        {"overhead", required_argument, NULL, OVERHEAD},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"in-place", no_argument, NULL, IN_PLACE},
        {"list", no_argument, NULL, LIST},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0}};
    int64_t layers = 6, heads = 4, steps = 400, seed = 1, timeout = 300;
    double overhead = 1.0;
    int option, right = 1;
    while (right && (option = getopt_long(count, values, "h", options, NULL)) != -1) {
        switch (option) {
        case CHECK: a->runner.only = optarg; break;
        case LAYERS: right = sgtt_read_integer(&layers, optarg, 1, 1000); break;
        case HEADS: right = sgtt_read_integer(&heads, optarg, 1, 1000); break;
        case STEPS: right = sgtt_read_integer(&steps, optarg, 1, 1000000); break;
        case SEED: right = sgtt_read_integer(&seed, optarg, 0, INT64_MAX / 4); break;
        case OVERHEAD: right = sgtt_read_number(&overhead, optarg, 0.0, 1e6); break;
        case TIMEOUT: right = sgtt_read_integer(&timeout, optarg, 1, 1000000); break;
        case IN_PLACE: a->runner.in_place = 1; break;
        case LIST: a->list = 1; break;
        case VERSION: return 1 + sgtt_print_version("sgt-policy-test");
        case HELP:
        case 'h': return 1 + usage();
        default: right = 0; break;
        }
    }
    if (!right || !sgtt_read_subject(&a->policy, count, values, "POLICY.so", a->list)) {
        fprintf(stderr, "sgt-policy-test --help says more\n");
        return 3; /* the exit status 2 */
    }
    a->subject.n_layers = (int32_t)layers;
    a->subject.n_heads = (int32_t)heads;
    a->subject.steps = steps;
    a->subject.seed = (uint64_t)seed;
    a->subject.most_overhead = overhead;
    a->runner.timeout = (int32_t)timeout;
    return 0;
}

int main(int count, char **values)
{
    sgtt_check checks[CHECKS];
    arguments a = {0};
    int status = read_arguments(&a, count, values);
    if (status != 0)
        return status - 1;
    for (int i = 0; i < CHECKS; i++) {
        checks[i] = (sgtt_check){all_checks[i].name, all_checks[i].run, &a.subject};
        if (a.list)
            printf("%s\n", checks[i].name);
    }
    if (a.list)
        return 0;
    status = load(&a.subject, a.policy);
    return status != 0 ? status : sgtt_run_checks(checks, CHECKS, &a.runner);
}
