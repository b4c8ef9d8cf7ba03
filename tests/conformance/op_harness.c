/* SPDX-License-Identifier: BSD-3-Clause */
#include "op_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- machines ---- */

sgt_context_options sgtt_subject_options(const sgtt_subject *subject)
{
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = subject->backend;
    options.isa = subject->isa;
    options.threads = subject->threads;
    return options;
}

void sgtt_memory_of(const sgt_backend **table, void **instance, const sgt_context *context)
{
    sgtt_ok(sgt_backend_instance(table, instance, context));
    if (!(*table)->allocate)
        sgtt_ok(sgt_backend_stand_in(table, instance, context));
}

void sgtt_open_with(sgtt_machine *machine, const sgtt_subject *subject,
                    const sgt_context_options *options)
{
    memset(machine, 0, sizeof *machine);
    machine->subject = subject;
    machine->random = subject->seed * 2 + 0x9e3779b97f4a7c15u; /* never 0 */
    sgtt_ok(sgt_context_create(&machine->context, options));
    sgtt_ok(sgt_backend_instance(&machine->slots, &machine->slots_instance, machine->context));
    sgtt_memory_of(&machine->memory, &machine->memory_instance, machine->context);
    if (machine->memory->host_pointer)
        sgtt_ok(sgt_backend_stand_in(&machine->stand_in, &machine->stand_in_instance,
                                     machine->context));
    machine->mover = machine->memory;
    machine->mover_instance = machine->memory_instance;
}

void sgtt_open(sgtt_machine *machine, const sgtt_subject *subject, int32_t threads, int stand_in)
{
    sgt_context_options options = sgtt_subject_options(subject);
    options.threads = threads;
    sgtt_open_with(machine, subject, &options);
    if (stand_in) {
        machine->on_host = 1;
        machine->slots = machine->mover = machine->stand_in;
        machine->slots_instance = machine->mover_instance = machine->stand_in_instance;
    }
}

static uint64_t buffer_bytes(const sgtt_tensor *tensor)
{
    return tensor->count * sgtt_dtype_bytes(tensor->t.dtype);
}

void sgtt_clear(sgtt_machine *machine)
{
    for (int i = 0; i < machine->tensors; i++) {
        sgtt_tensor *tensor = &machine->tensor[i];
        machine->memory->free(machine->memory_instance, tensor->buffer, buffer_bytes(tensor));
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
    sgtt_require(machine->temporaries < SGTT_MAX_THINGS, "too many arrays in one test");
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    sgtt_require(memory != NULL, "out of memory");
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

size_t sgtt_dtype_bytes(int32_t dtype)
{
    return dtype == SGT_F64 ? 8 : dtype == SGT_BF16 || dtype == SGT_F16 ? 2 : 4;
}

static double get_element(const unsigned char *at, int32_t dtype)
{
    float single;
    double full;
    int32_t integer;
    uint16_t half;
    uint32_t bits;
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
    case SGT_BF16:
        memcpy(&half, at, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    default:
        sgtt_fail("float16 is read as bits");
    }
}

static void put_element(unsigned char *at, int32_t dtype, double value)
{
    float single = (float)value;
    int32_t integer = dtype == SGT_I32 ? (int32_t)value : 0;
    uint16_t half;
    uint32_t bits;
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
    case SGT_BF16: /* to nearest even */
        memcpy(&bits, &single, sizeof bits);
        half = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
        memcpy(at, &half, sizeof half);
        break;
    default:
        sgtt_fail("float16 is written as bits");
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
    return (size_t)element * sgtt_dtype_bytes(t->dtype);
}

/* ---- tensors ---- */

/* All of the buffer as one dense tensor of the backend. */
static sgt_tensor whole(const sgtt_tensor *tensor)
{
    return (sgt_tensor){.size = sizeof(sgt_tensor),
                        .dtype = tensor->t.dtype,
                        .buffer = tensor->buffer,
                        .rank = 1,
                        .shape = {(int64_t)tensor->count},
                        .strides = {1}};
}

static void upload(sgtt_machine *machine, sgtt_tensor *tensor)
{
    sgt_tensor all = whole(tensor);
    sgtt_slot_done(machine->memory->write(machine->memory_instance, &all, tensor->host), "write");
}

static unsigned char *download(sgtt_machine *machine, sgtt_tensor *tensor)
{
    unsigned char *bytes = malloc(buffer_bytes(tensor));
    sgtt_require(bytes != NULL, "out of memory");
    sgt_tensor all = whole(tensor);
    sgtt_slot_done(machine->memory->read(machine->memory_instance, bytes, &all), "read");
    return bytes;
}

static sgtt_tensor *make(sgtt_machine *machine, int32_t dtype, int32_t rank, const int64_t *shape,
                         const int64_t *strides, uint64_t offset)
{
    sgtt_require(machine->tensors < SGTT_MAX_THINGS, "too many tensors in one test");
    sgtt_tensor *made = &machine->tensor[machine->tensors];
    uint64_t last = offset;
    memset(made, 0, sizeof *made);
    made->t = (sgt_tensor){.size = sizeof made->t, .dtype = dtype, .offset = offset, .rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        made->t.shape[i] = shape[i];
        made->t.strides[i] = strides[i];
        last += (uint64_t)((shape[i] - 1) * strides[i]);
    }
    made->count = last + 1 + offset;
    sgtt_slot_done(
        machine->memory->allocate(machine->memory_instance, &made->buffer, buffer_bytes(made)),
        "allocate");
    made->t.buffer = made->buffer;
    if (machine->on_host)
        made->t.buffer = machine->memory->host_pointer(machine->memory_instance, made->buffer);
    machine->tensors++;
    made->host = malloc(buffer_bytes(made));
    sgtt_require(made->host != NULL, "out of memory");
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

sgtt_tensor *sgtt_integer_list(sgtt_machine *machine, int64_t n, const int32_t *values)
{
    sgtt_tensor *made = sgtt_make(machine, SGT_I32, SGTT_DENSE, 1, &n);
    memcpy(made->host, values, (size_t)n * sizeof *values);
    upload(machine, made);
    return made;
}

sgtt_tensor *sgtt_float_list(sgtt_machine *machine, int64_t n, const float *values)
{
    sgtt_tensor *made = sgtt_make(machine, SGT_F32, SGTT_DENSE, 1, &n);
    memcpy(made->host, values, (size_t)n * sizeof *values);
    upload(machine, made);
    return made;
}

int64_t sgtt_count_of(const sgtt_tensor *tensor)
{
    int64_t count = 1;
    for (int32_t i = 0; i < tensor->t.rank; i++)
        count *= tensor->t.shape[i];
    return count;
}

void sgtt_set(sgtt_machine *machine, sgtt_tensor *tensor, const double *values)
{
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++)
        put_element(tensor->host + place(&tensor->t, i), tensor->t.dtype, values[i]);
    upload(machine, tensor);
}

void sgtt_set_random(sgtt_machine *machine, sgtt_tensor *tensor, double low, double high)
{
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++)
        put_element(tensor->host + place(&tensor->t, i), tensor->t.dtype,
                    sgtt_uniform(machine, low, high));
    upload(machine, tensor);
}

double *sgtt_values(sgtt_machine *machine, const sgtt_tensor *tensor)
{
    double *values = sgtt_doubles(machine, sgtt_count_of(tensor));
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++)
        values[i] = get_element(tensor->host + place(&tensor->t, i), tensor->t.dtype);
    return values;
}

int32_t *sgtt_integers(sgtt_machine *machine, const sgtt_tensor *tensor)
{
    int32_t *values = temporary(machine, (size_t)sgtt_count_of(tensor) * sizeof *values);
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++)
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

/* The share of the tolerance that is used; more than 1, or NaN: wrong. */
static double share_used(double got, double expected, double tolerance)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got) ? 0.0 : INFINITY;
    if (got == expected)
        return 0.0;
    return isinf(expected) || isinf(got) ? INFINITY : fabs(got - expected) / tolerance;
}

/* Within relative * |expected| + absolute. Elements that hold go to the host's copy, so that the
 * rest of the buffer can be compared as it is. */
static void compare(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                    double relative, double absolute, const char *what)
{
    const size_t size = sgtt_dtype_bytes(tensor->t.dtype);
    double worst = 0.0;
    unsigned char *got = download(machine, tensor);
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++) {
        size_t at = place(&tensor->t, i);
        double value = get_element(got + at, tensor->t.dtype);
        double share = share_used(value, expected[i], relative * fabs(expected[i]) + absolute);
        if (!(share <= 1.0))
            sgtt_fail("%s: element %lld is %.9g, expected %.9g", what, (long long)i, value,
                      expected[i]);
        worst = share > worst ? share : worst;
        memcpy(tensor->host + at, got + at, size);
    }
    sgtt_require(memcmp(got, tensor->host, buffer_bytes(tensor)) == 0,
                 "%s: memory outside of the tensor was written", what);
    free(got);
    sgtt_count(worst);
}

void sgtt_expect(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                 double tolerance, const char *what)
{
    double rms = rms_of_finite(expected, sgtt_count_of(tensor));
    compare(machine, tensor, expected, tolerance, tolerance * rms, what);
}

void sgtt_expect_product(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                         int64_t k, float alpha, float beta, const char *what)
{
    const double root = sqrt((double)k);
    const double deviation = fabs((double)alpha) * root / 3.0 + fabs((double)beta);
    const double relative = 2e-6 + 1e-7 * root;
    compare(machine, tensor, expected, relative, relative * deviation, what);
}

void sgtt_expect_within(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                        double absolute, const char *what)
{
    compare(machine, tensor, expected, 0.0, absolute, what);
}

void sgtt_expect_norm(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                      double tolerance, const char *what)
{
    const double rms = rms_of_finite(expected, sgtt_count_of(tensor));
    compare(machine, tensor, expected, 20.0 * tolerance, 20.0 * tolerance * rms, what);
    double sum = 0.0;
    for (int64_t i = 0; i < sgtt_count_of(tensor); i++) {
        double got = get_element(tensor->host + place(&tensor->t, i), tensor->t.dtype);
        sum += (got - expected[i]) * (got - expected[i]);
    }
    double error = sqrt(sum / (double)sgtt_count_of(tensor));
    sgtt_require(error <= tolerance * rms, "%s: relative error %.3g, more than %.3g", what,
                 error / rms, tolerance);
    sgtt_count(rms > 0.0 ? error / (tolerance * rms) : 0.0);
}

void sgtt_expect_unchanged(sgtt_machine *machine, sgtt_tensor *tensor, const char *what)
{
    unsigned char *got = download(machine, tensor);
    sgtt_require(memcmp(got, tensor->host, buffer_bytes(tensor)) == 0,
                 "%s: an input was written", what);
    free(got);
    sgtt_count(0.0);
}

/* FNV-1a. */
void sgtt_hash(uint64_t *hash, sgtt_machine *machine, sgtt_tensor *tensor)
{
    unsigned char *got = download(machine, tensor);
    for (uint64_t i = 0; i < buffer_bytes(tensor); i++)
        *hash = (*hash ^ got[i]) * 1099511628211u;
    free(got);
}

/* ---- transfers ---- */

/* The tensor as the backend knows it. */
static sgt_tensor of_backend(const sgtt_tensor *tensor)
{
    sgt_tensor own = tensor->t;
    own.buffer = tensor->buffer;
    return own;
}

void sgtt_write(sgtt_machine *machine, const sgtt_tensor *tensor, const void *data)
{
    const sgt_tensor own = of_backend(tensor);
    sgtt_slot_done(machine->memory->write(machine->memory_instance, &own, data), "write");
}

void sgtt_read(sgtt_machine *machine, void *data, const sgtt_tensor *tensor)
{
    const sgt_tensor own = of_backend(tensor);
    sgtt_slot_done(machine->memory->read(machine->memory_instance, data, &own), "read");
}
