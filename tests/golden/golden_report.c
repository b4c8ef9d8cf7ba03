/* SPDX-License-Identifier: BSD-3-Clause */
/* What golden_check prints, and how it measures a difference. */
#include "golden.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

double golden_worse(double a, double b)
{
    return isnan(a) || isnan(b) ? INFINITY : fmax(a, b);
}

void golden_compare(golden_kind *kind, double error, const char *where, ...)
{
    error = golden_worse(0.0, error);
    if (kind->count++ == 0 || error > kind->worst) {
        va_list arguments;
        va_start(arguments, where);
        vsnprintf(kind->where, sizeof kind->where, where, arguments);
        va_end(arguments);
        kind->worst = error;
    }
}

void golden_line(golden_run *run, const golden_kind *kind)
{
    int ok = kind->count > 0 && kind->worst <= kind->bound;
    printf("%s %s %ld %.3g %.3g %s", run->folder, kind->name, kind->count, kind->worst,
           kind->bound, ok ? "ok" : "FAIL");
    if (kind->count == 0)
        printf(" (nothing was compared)");
    else if (!ok)
        printf(" (worst: %s)", kind->where);
    printf("\n");
    run->tensors += kind->count;
    run->failures += !ok;
    if (kind->relative && kind->worst > run->worst)
        run->worst = kind->worst;
}

int golden_fail(golden_run *run, const char *text, ...)
{
    va_list arguments;
    printf("%s: ", run->folder);
    va_start(arguments, text);
    vprintf(text, arguments);
    va_end(arguments);
    printf(" FAIL\n");
    run->failures++;
    return 0;
}

int golden_called(golden_run *run, sgt_status status, const char *call)
{
    if (status == SGT_OK)
        return 1;
    return golden_fail(run, "%s: %s: %s", call, sgt_status_name(status), sgt_error_message());
}

double golden_norm(const float *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * values[i];
    return sqrt(sum);
}

double golden_distance(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

double golden_relative(const float *a, const float *b, size_t count)
{
    double norm = golden_norm(b, count);
    double distance = golden_distance(a, b, count);
    return norm == 0.0 ? distance : distance / norm;
}

void *golden_allocate(size_t count, size_t element)
{
    void *memory = calloc(count == 0 ? 1 : count, element);
    if (memory == NULL) {
        fprintf(stderr, "golden_check: out of memory\n");
        exit(1);
    }
    return memory;
}
