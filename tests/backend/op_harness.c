/* SPDX-License-Identifier: BSD-3-Clause */
#include "op_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/isa_choice.h"
#include "backend/registry.h"
#include "core/tensors.h"

/* ---- devices ---- */

#define MAX_DEVICES 24

typedef struct pair {
    const char *backend;
    const char *isa;
} pair;

static pair devices[MAX_DEVICES];
static int device_count;

static void add_devices(const char *backend)
{
    static const char *const isas[] = {"baseline", "avx2", "avx512"};
    const sgt_backend *table;
    const char *chosen;
    if (sgti_backend_find(&table, backend) != SGT_OK)
        return;
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (sgti_isa_choose(&chosen, isas[i]) == SGT_OK && device_count < MAX_DEVICES)
            devices[device_count++] = (pair){backend, chosen};
    }
}

static void add_plugins(const char *paths)
{
    char *list = strdup(paths);
    for (char *path = strtok(list, ":"); path != NULL; path = strtok(NULL, ":")) {
        const char *name;
        if (sgt_backend_load(&name, path) != SGT_OK) {
            fprintf(stderr, "%s: %s\n", path, sgt_error_message());
            exit(1);
        }
        add_devices(name);
    }
    free(list);
}

int sgtt_devices(void)
{
    if (device_count == 0) {
        const char *plugins = getenv("SGT_TEST_BACKEND_PLUGINS");
        add_devices("portable");
        add_devices("blis");
        if (plugins != NULL)
            add_plugins(plugins);
    }
    return device_count;
}

/* ---- machines ---- */

void sgtt_open(sgtt_machine *machine, int device, int32_t threads)
{
    memset(machine, 0, sizeof *machine);
    machine->random = 0x9e3779b97f4a7c15u;
    machine->label = machine->text;
    snprintf(machine->text, sizeof machine->text, "%s %s with %d threads",
             devices[device].backend, devices[device].isa, (int)threads);

    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = devices[device].backend;
    options.isa = devices[device].isa;
    options.threads = threads;
    sgtt_ok(sgt_context_create(&machine->context, &options));
    machine->dispatch = machine->context->dispatch;
}

static uint64_t buffer_bytes(const sgtt_tensor *tensor)
{
    return tensor->count * sgti_dtype_bytes(tensor->t.dtype);
}

void sgtt_clear(sgtt_machine *machine)
{
    for (int i = 0; i < machine->tensors; i++) {
        sgtt_tensor *tensor = &machine->tensor[i];
        sgti_buffer_free(machine->dispatch, tensor->t.buffer, buffer_bytes(tensor));
        free(tensor->host);
    }
    for (int i = 0; i < machine->temporaries; i++)
        free(machine->temporary[i]);
    machine->tensors = 0;
    machine->temporaries = 0;
}

void sgtt_close(sgtt_machine *machine)
{
    sgtt_clear(machine);
    sgt_context_free(machine->context);
    memset(machine, 0, sizeof *machine);
}

static void *temporary(sgtt_machine *machine, size_t bytes)
{
    ck_assert_msg(machine->temporaries < SGTT_MAX_THINGS, "too many arrays in one test");
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    ck_assert_ptr_nonnull(memory);
    machine->temporary[machine->temporaries++] = memory;
    return memory;
}

double *sgtt_doubles(sgtt_machine *machine, int64_t count)
{
    return temporary(machine, (size_t)count * sizeof(double));
}

/* xorshift64* (Vigna, 2016). */
static uint64_t draw(sgtt_machine *machine)
{
    machine->random ^= machine->random >> 12;
    machine->random ^= machine->random << 25;
    machine->random ^= machine->random >> 27;
    return machine->random * 2685821657736338717u;
}

double sgtt_uniform(sgtt_machine *machine, double low, double high)
{
    return low + (high - low) * ((double)(draw(machine) >> 11) * 0x1p-53);
}

int64_t sgtt_below(sgtt_machine *machine, int64_t below)
{
    return (int64_t)(draw(machine) % (uint64_t)below);
}

/* ---- one element ---- */

static double get_element(const unsigned char *at, int32_t dtype)
{
    float single;
    double full;
    int32_t integer;
    switch (dtype) {
    case SGT_F32:
        memcpy(&single, at, sizeof single);
        return (double)single;
    case SGT_F64:
        memcpy(&full, at, sizeof full);
        return full;
    case SGT_I32:
        memcpy(&integer, at, sizeof integer);
        return (double)integer;
    default:
        ck_abort_msg("tests read half-width types as bits");
        return 0.0;
    }
}

static void put_element(unsigned char *at, int32_t dtype, double value)
{
    float single = (float)value;
    int32_t integer = dtype == SGT_I32 ? (int32_t)value : 0;
    switch (dtype) {
    case SGT_F32:
        memcpy(at, &single, sizeof single);
        break;
    case SGT_F64:
        memcpy(at, &value, sizeof value);
        break;
    case SGT_I32:
        memcpy(at, &integer, sizeof integer);
        break;
    default:
        ck_abort_msg("tests write half-width types as bits");
    }
}

/* Byte offset in the buffer of the element with this row-major index. */
static size_t place(const sgt_tensor *t, int64_t index)
{
    int64_t element = (int64_t)t->offset;
    for (int32_t i = t->rank - 1; i >= 0; i--) {
        element += index % t->shape[i] * t->strides[i];
        index /= t->shape[i];
    }
    return (size_t)element * sgti_dtype_bytes(t->dtype);
}

/* ---- tensors ---- */

/* All of the buffer as one dense tensor. */
static sgt_tensor whole(const sgtt_tensor *tensor)
{
    return sgti_tensor_as(sgti_tensor_1d(tensor->t.buffer, 0, (int64_t)tensor->count),
                          tensor->t.dtype);
}

static void upload(sgtt_machine *machine, sgtt_tensor *tensor)
{
    sgt_tensor all = whole(tensor);
    sgtt_run_op(machine, sgti_write(machine->dispatch, &all, tensor->host));
}

static unsigned char *download(sgtt_machine *machine, sgtt_tensor *tensor)
{
    unsigned char *bytes = malloc(buffer_bytes(tensor));
    ck_assert_ptr_nonnull(bytes);
    sgt_tensor all = whole(tensor);
    sgtt_run_op(machine, sgti_read(machine->dispatch, bytes, &all));
    return bytes;
}

static sgtt_tensor *make(sgtt_machine *machine, int32_t dtype, int32_t rank, const int64_t *shape,
                         const int64_t *strides, uint64_t offset)
{
    ck_assert_msg(machine->tensors < SGTT_MAX_THINGS, "too many tensors in one test");
    sgtt_tensor *made = &machine->tensor[machine->tensors];
    uint64_t last = offset;
    made->t = sgti_tensor_as(sgti_tensor_1d(NULL, offset, 1), dtype);
    made->t.rank = rank;
    for (int32_t i = 0; i < rank; i++) {
        made->t.shape[i] = shape[i];
        made->t.strides[i] = strides[i];
        last += (uint64_t)((shape[i] - 1) * strides[i]);
    }
    made->count = last + 1 + offset;
    sgtt_run_op(machine, sgti_buffer_allocate(&made->t.buffer, machine->dispatch,
                                              buffer_bytes(made)));
    machine->tensors++;
    made->host = malloc(buffer_bytes(made));
    ck_assert_ptr_nonnull(made->host);
    memset(made->host, dtype == SGT_I32 ? 0 : 0xff, buffer_bytes(made));
    upload(machine, made);
    return made;
}

sgtt_tensor *sgtt_make_strided(sgtt_machine *machine, int32_t dtype, int32_t rank,
                               const int64_t *shape, const int64_t *strides)
{
    return make(machine, dtype, rank, shape, strides, 3);
}

sgtt_tensor *sgtt_make(sgtt_machine *machine, int32_t dtype, enum sgtt_layout layout, int32_t rank,
                       const int64_t *shape)
{
    int64_t strides[SGT_MAX_RANK];
    int32_t order[SGT_MAX_RANK]; /* from the fastest dimension */
    int64_t step = 1;
    for (int32_t i = 0; i < rank; i++)
        order[i] = rank - 1 - i;
    if (layout == SGTT_SWAPPED && rank > 1) {
        order[0] = rank - 2;
        order[1] = rank - 1;
    }
    for (int32_t i = 0; i < rank; i++) {
        strides[order[i]] = step;
        step *= shape[order[i]];
        if (layout != SGTT_DENSE && i == 0 && rank > 1)
            step += 3;
    }
    return make(machine, dtype, rank, shape, strides, layout == SGTT_DENSE ? 0 : 5);
}

sgtt_tensor *sgtt_random_matrix(sgtt_machine *machine, enum sgtt_layout layout, int64_t rows,
                                int64_t columns)
{
    sgtt_tensor *made =
        sgtt_make(machine, SGT_F32, layout, 2, (const int64_t[]){rows, columns});
    sgtt_set_random(machine, made, -1.0, 1.0);
    return made;
}

sgtt_tensor *sgtt_random_vector(sgtt_machine *machine, int64_t n)
{
    sgtt_tensor *made = sgtt_make(machine, SGT_F32, SGTT_DENSE, 1, &n);
    sgtt_set_random(machine, made, -1.0, 1.0);
    return made;
}

sgtt_tensor *sgtt_random_integers(sgtt_machine *machine, int64_t n, int64_t low, int64_t below)
{
    sgtt_tensor *made = sgtt_make(machine, SGT_I32, SGTT_DENSE, 1, &n);
    for (int64_t i = 0; i < n; i++)
        put_element(made->host + place(&made->t, i), SGT_I32,
                    (double)(low + sgtt_below(machine, below - low)));
    upload(machine, made);
    return made;
}

int64_t sgtt_count(const sgtt_tensor *tensor)
{
    return sgti_tensor_count(&tensor->t);
}

void sgtt_set(sgtt_machine *machine, sgtt_tensor *tensor, const double *values)
{
    for (int64_t i = 0; i < sgtt_count(tensor); i++)
        put_element(tensor->host + place(&tensor->t, i), tensor->t.dtype, values[i]);
    upload(machine, tensor);
}

void sgtt_set_random(sgtt_machine *machine, sgtt_tensor *tensor, double low, double high)
{
    for (int64_t i = 0; i < sgtt_count(tensor); i++)
        put_element(tensor->host + place(&tensor->t, i), tensor->t.dtype,
                    sgtt_uniform(machine, low, high));
    upload(machine, tensor);
}

double *sgtt_values(sgtt_machine *machine, const sgtt_tensor *tensor)
{
    double *values = sgtt_doubles(machine, sgtt_count(tensor));
    for (int64_t i = 0; i < sgtt_count(tensor); i++)
        values[i] = get_element(tensor->host + place(&tensor->t, i), tensor->t.dtype);
    return values;
}

int32_t *sgtt_integers(sgtt_machine *machine, const sgtt_tensor *tensor)
{
    int32_t *values = temporary(machine, (size_t)sgtt_count(tensor) * sizeof *values);
    for (int64_t i = 0; i < sgtt_count(tensor); i++)
        values[i] = (int32_t)get_element(tensor->host + place(&tensor->t, i), tensor->t.dtype);
    return values;
}

/* ---- comparing ---- */

static double rms_of_finite(const double *values, int64_t count)
{
    double sum = 0.0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            sum += values[i] * values[i];
            finite++;
        }
    }
    return finite > 0 ? sqrt(sum / (double)finite) : 0.0;
}

static int close_enough(double got, double expected, double tolerance)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got);
    if (isinf(expected) || isinf(got))
        return got == expected;
    return fabs(got - expected) <= tolerance;
}

/* Within relative * |expected| + absolute. Elements that hold go to the host's copy, so that the
 * rest of the buffer can be compared as it is. */
static void compare(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                    double relative, double absolute, const char *what)
{
    const size_t size = sgti_dtype_bytes(tensor->t.dtype);
    unsigned char *got = download(machine, tensor);
    for (int64_t i = 0; i < sgtt_count(tensor); i++) {
        size_t at = place(&tensor->t, i);
        double value = get_element(got + at, tensor->t.dtype);
        if (!close_enough(value, expected[i], relative * fabs(expected[i]) + absolute))
            ck_abort_msg("%s: %s: element %lld is %.9g, expected %.9g", machine->label, what,
                         (long long)i, value, expected[i]);
        memcpy(tensor->host + at, got + at, size);
    }
    ck_assert_msg(memcmp(got, tensor->host, buffer_bytes(tensor)) == 0,
                  "%s: %s: memory outside of the tensor was written", machine->label, what);
    free(got);
}

void sgtt_expect(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                 double tolerance, const char *what)
{
    double rms = rms_of_finite(expected, sgtt_count(tensor));
    compare(machine, tensor, expected, tolerance, tolerance * rms, what);
}

void sgtt_expect_within(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                        double absolute, const char *what)
{
    compare(machine, tensor, expected, 0.0, absolute, what);
}

void sgtt_expect_norm(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                      double tolerance, const char *what)
{
    const double rms = rms_of_finite(expected, sgtt_count(tensor));
    compare(machine, tensor, expected, 20.0 * tolerance, 20.0 * tolerance * rms, what);
    double sum = 0.0;
    for (int64_t i = 0; i < sgtt_count(tensor); i++) {
        double got = get_element(tensor->host + place(&tensor->t, i), tensor->t.dtype);
        sum += (got - expected[i]) * (got - expected[i]);
    }
    double error = sqrt(sum / (double)sgtt_count(tensor));
    ck_assert_msg(error <= tolerance * rms, "%s: %s: relative error %.3g, more than %.3g",
                  machine->label, what, error / rms, tolerance);
}

void sgtt_expect_unchanged(sgtt_machine *machine, sgtt_tensor *tensor, const char *what)
{
    unsigned char *got = download(machine, tensor);
    ck_assert_msg(memcmp(got, tensor->host, buffer_bytes(tensor)) == 0,
                  "%s: %s: an input was written", machine->label, what);
    free(got);
}

/* FNV-1a. */
void sgtt_hash(uint64_t *hash, sgtt_machine *machine, sgtt_tensor *tensor)
{
    unsigned char *got = download(machine, tensor);
    for (uint64_t i = 0; i < buffer_bytes(tensor); i++)
        *hash = (*hash ^ got[i]) * 1099511628211u;
    free(got);
}
