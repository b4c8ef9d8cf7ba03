/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

sgt_context *bench_context(const bench_options *o)
{
    sgt_context *context;
    sgt_context_options options;
    bench_check(sgt_context_options_init(&options, sizeof options), "options");
    options.threads = o->threads;
    options.backend = o->backend;
    options.isa = o->isa;
    bench_check(sgt_context_create(&context, &options), "context");
    return context;
}

int32_t *bench_tokens(size_t count, int32_t vocab)
{
    uint32_t state = 12345;
    int32_t *tokens = malloc(count * sizeof *tokens);
    if (!tokens)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((state >> 8) % (uint32_t)vocab);
    }
    return tokens;
}

void bench_print_components(const double seconds[SGTI_PROFILE_SLOTS], double total)
{
    double named = 0.0;
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++) {
        if (seconds[i] > 0.0)
            printf("  %-20s %8.3f ms  %5.1f %%\n", sgti_profile_name(i), seconds[i] * 1e3,
                   100.0 * seconds[i] / total);
        named += seconds[i];
    }
    printf("  %-20s %8.3f ms\n", "other", (total - named) * 1e3);
}

json_t *bench_components(const double seconds[SGTI_PROFILE_SLOTS])
{
    json_t *components = json_object();
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++)
        if (seconds[i] > 0.0)
            json_object_set_new(components, sgti_profile_name(i), json_real(seconds[i]));
    return components;
}

void bench_write_json(json_t *root, const char *file)
{
    if (!root || json_dump_file(root, file, JSON_INDENT(2))) {
        fprintf(stderr, "bench: cannot write %s\n", file);
        exit(1);
    }
    json_decref(root);
}

static double read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double bench_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double bench_processor_now(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t bench_page_faults(void)
{
    struct rusage resources;
    getrusage(RUSAGE_SELF, &resources);
    return resources.ru_minflt + resources.ru_majflt;
}

int64_t bench_peak_rss(void)
{
    struct rusage resources;
    getrusage(RUSAGE_SELF, &resources);
    return (int64_t)resources.ru_maxrss * 1024;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int below = (int)place;
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return bench_quantile(values, count, 0.5);
}

void bench_check(sgt_status status, const char *what)
{
    if (status == SGT_OK)
        return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, sgt_status_name(status), sgt_error_message());
    exit(1);
}
