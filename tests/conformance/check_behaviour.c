/* SPDX-License-Identifier: BSD-3-Clause */
/* What no single operation shows: order, calls of several threads, the portable kernels on the
 * backend's memory, refused memory. */
#include "suite.h"

#include <pthread.h>
#include <string.h>

#include "op_reference.h"
#include "watched_memory.h"

/* ---- order ---- */

enum { N = 24 };

/* A chain of products, none of which is waited for. */
static void check_chain(sgtt_machine *m)
{
    enum { STEPS = 60 };
    sgtt_tensor *a = sgtt_random_matrix(m, SGTT_DENSE, N, N);
    sgtt_tensor *x[2];
    double *expected[2];
    for (int i = 0; i < 2; i++) {
        x[i] = sgtt_random_matrix(m, SGTT_DENSE, N, N);
        expected[i] = sgtt_values(m, x[i]);
    }
    for (int step = 0; step < STEPS; step++) {
        const int to = step % 2, from = 1 - to;
        sgtt_ref_gemm(expected[to], 0.25, sgtt_values(m, a), expected[from], 0.0, NULL, N, N, N);
        sgtt_gemm(m, &x[to]->t, 0.25f, &a->t, &x[from]->t, 0.0f, NULL);
    }
    sgtt_expect(m, x[(STEPS - 1) % 2], expected[(STEPS - 1) % 2], 2e-5,
                "a chain of products without a wait");
    sgtt_clear(m);
}

/* Inputs may be overwritten or freed as soon as a call has returned. */
static void check_reuse(sgtt_machine *m)
{
    for (int k = 0; k < 20; k++) {
        sgtt_tensor *a = sgtt_random_matrix(m, SGTT_DENSE, N, N);
        sgtt_tensor *b = sgtt_random_matrix(m, SGTT_DENSE, N, N);
        sgtt_tensor *c = sgtt_random_matrix(m, SGTT_DENSE, N, N);
        double *expected = sgtt_doubles(m, N * N);
        sgtt_ref_gemm(expected, 1.0, sgtt_values(m, a), sgtt_values(m, b), 0.0, NULL, N, N, N);
        sgtt_gemm(m, &c->t, 1.0f, &a->t, &b->t, 0.0f, NULL);
        sgtt_set_random(m, a, -9.0, 9.0);
        sgtt_fill(m, &b->t, 7.0);
        m->memory->free(m->memory_instance, a->buffer, a->count * sizeof(float));
        a->buffer = NULL;
        sgtt_slot_done(
            m->memory->allocate(m->memory_instance, &a->buffer, a->count * sizeof(float)),
            "allocate");
        a->t.buffer = a->buffer;
        sgtt_set_random(m, a, -9.0, 9.0);
        sgtt_expect(m, c, expected, 2e-6, "a product whose inputs changed after the call");
        sgtt_clear(m);
    }
}

void sgtt_check_order(const void *subject)
{
    sgtt_machine m;
    sgtt_open(&m, subject, 2, 0);
    check_chain(&m);
    check_reuse(&m);
    sgtt_slot_done(m.memory->sync(m.memory_instance), "sync");
    sgtt_slot_done(m.memory->sync(m.memory_instance), "sync");
    sgtt_close(&m);
}

/* ---- calls of several threads ---- */

enum { THREADS = 4, CALLS = 30, ROWS = 40, HEADS = 2, HEAD_DIM = 20, COLUMNS = HEADS * HEAD_DIM };

/* What evaluations in several threads do: they read the same weights, and each its own rows. */
typedef struct worker {
    sgtt_machine *m;
    sgtt_tensor *x;
    sgtt_tensor *weight;
    sgtt_tensor *norm;
    sgtt_tensor *kv_heads;
    sgtt_tensor *product;
    sgtt_tensor *attended;
    const char *failed;
} worker;

static sgt_tensor as_heads(const sgtt_tensor *matrix)
{
    sgt_tensor t = matrix->t;
    t.rank = 4;
    t.shape[0] = 1;
    t.shape[1] = ROWS;
    t.shape[2] = HEADS;
    t.shape[3] = HEAD_DIM;
    t.strides[0] = (int64_t)ROWS * COLUMNS;
    t.strides[1] = COLUMNS;
    t.strides[2] = HEAD_DIM;
    t.strides[3] = 1;
    return t;
}

/* What is declined stays as it is. */
static int failed(int32_t result)
{
    return result != SGT_OK && result != SGT_E_UNSUPPORTED;
}

static const char *work_once(const worker *w)
{
    const sgt_backend *slots = w->m->slots;
    void *instance = w->m->slots_instance;
    const sgt_tensor q = as_heads(w->product), k = as_heads(w->x), out = as_heads(w->attended);
    const sgt_gemm_args gemm = {.size = sizeof gemm,
                                .alpha = 0.3f,
                                .a = &w->x->t,
                                .b = &w->weight->t,
                                .c = &w->product->t};
    const sgt_rmsnorm_args norm = {.size = sizeof norm,
                                   .eps = 1e-6f,
                                   .x = &w->product->t,
                                   .weight = &w->norm->t,
                                   .y = &w->product->t};
    const sgt_attention_args attention = {.size = sizeof attention,
                                          .scale = 0.2f,
                                          .q = &q,
                                          .k = &k,
                                          .v = &k,
                                          .out = &out,
                                          .kv_heads = &w->kv_heads->t};
    if (failed(slots->gemm(instance, &gemm)))
        return "gemm";
    if (slots->rmsnorm && failed(slots->rmsnorm(instance, &norm)))
        return "rmsnorm";
    if (slots->attention && failed(slots->attention(instance, &attention)))
        return "attention";
    return NULL;
}

static void *work(void *argument)
{
    worker *w = argument;
    for (int i = 0; i < CALLS && w->failed == NULL; i++)
        w->failed = work_once(w);
    return NULL;
}

static uint64_t hash_of(sgtt_machine *m, const worker *w)
{
    uint64_t hash = 14695981039346656037u;
    sgtt_hash(&hash, m, w->product);
    sgtt_hash(&hash, m, w->attended);
    return hash;
}

static worker make_worker(sgtt_machine *m, sgtt_tensor *weight, sgtt_tensor *norm)
{
    static const int32_t kv_heads[HEADS] = {0, 1};
    return (worker){.m = m,
                    .x = sgtt_random_matrix(m, SGTT_DENSE, ROWS, COLUMNS),
                    .weight = weight,
                    .norm = norm,
                    .kv_heads = sgtt_integer_list(m, HEADS, kv_heads),
                    .product = sgtt_random_matrix(m, SGTT_DENSE, ROWS, COLUMNS),
                    .attended = sgtt_random_matrix(m, SGTT_DENSE, ROWS, COLUMNS)};
}

void sgtt_check_concurrency(const void *subject)
{
    sgtt_machine m;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    uint64_t alone[THREADS];
    sgtt_open(&m, subject, 2, 0);
    sgtt_tensor *weight = sgtt_random_matrix(&m, SGTT_DENSE, COLUMNS, COLUMNS);
    sgtt_tensor *norm = sgtt_random_vector(&m, COLUMNS);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = make_worker(&m, weight, norm);
        work(&workers[i]);
        sgtt_require(workers[i].failed == NULL, "%s fails", workers[i].failed);
        alone[i] = hash_of(&m, &workers[i]);
        sgtt_set_random(&m, workers[i].product, -1.0, 1.0);
    }
    for (int i = 0; i < THREADS; i++)
        sgtt_require(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, "no thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        sgtt_require(workers[i].failed == NULL, "%s fails in one of %d threads",
                     workers[i].failed, THREADS);
        sgtt_require(hash_of(&m, &workers[i]) == alone[i],
                     "results differ when %d threads call at the same time", THREADS);
        sgtt_count(0.0);
    }
    sgtt_close(&m);
}

/* ---- the portable kernels on the backend's memory ---- */

void sgtt_check_fallback(const void *argument)
{
    sgtt_machine m;
    int left_out = 0;
    sgtt_open(&m, argument, 2, 0);
    const sgt_backend *backend = m.slots;
    int visible = m.stand_in != NULL;
    sgtt_close(&m);
    if (!visible)
        sgtt_skip("memory is not host-visible");
    for (int i = 0; i < sgtt_operation_count; i++) {
        sgtt_machine stand_in;
        if (sgtt_has(backend, &sgtt_operations[i]))
            continue;
        sgtt_open(&stand_in, argument, 2, 1);
        if (sgtt_has(stand_in.slots, &sgtt_operations[i])) {
            sgtt_run_operation(&stand_in, &sgtt_operations[i]);
            left_out++;
        }
        sgtt_close(&stand_in);
    }
    if (left_out == 0)
        sgtt_skip("the backend provides every operation");
    sgtt_note("%d operations are left to the portable kernels", left_out);
}

/* ---- refused memory ---- */

/* Every request of opening refused in turn; returns how many there are. */
static int64_t check_refused_open(const sgtt_subject *subject)
{
    for (int64_t left = 0;; left++) {
        sgtt_watched_memory memory = {.left = left};
        const sgt_allocator allocator = sgtt_watched_allocator(&memory);
        sgt_context_options options = sgtt_subject_options(subject);
        sgt_context *context = NULL;
        options.allocator = &allocator;
        sgtt_forget_message();
        sgt_status status = sgt_context_create(&context, &options);
        if (status == SGT_OK) {
            sgt_context_free(context);
            sgtt_expect_released(&memory, "close");
            return left;
        }
        sgtt_require(memory.left == 0, "opening gives %s: %s", sgt_status_name(status),
                     sgt_error_message());
        sgtt_require(status < 0 && sgtt_new_message(),
                     "opening with request %lld refused gives %s and no message",
                     (long long)left + 1, sgt_status_name(status));
        sgtt_expect_released(&memory, "an open that failed");
        sgtt_count(0.0);
    }
}

/* With no memory at all: a buffer, then products; each is refused or right. */
static void check_refused_calls(const sgtt_subject *subject)
{
    sgtt_machine m;
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    const sgt_allocator allocator = sgtt_watched_allocator(&memory);
    sgt_context_options options = sgtt_subject_options(subject);
    options.allocator = &allocator;
    sgtt_open_with(&m, subject, &options);
    sgtt_tensor *a = sgtt_random_matrix(&m, SGTT_SWAPPED, 70, 90);
    sgtt_tensor *b = sgtt_random_matrix(&m, SGTT_ROWS, 90, 50);
    sgtt_tensor *c = sgtt_random_matrix(&m, SGTT_DENSE, 70, 50);
    const sgt_gemm_args args = {.size = sizeof args, .alpha = 1.0f, .a = &a->t, .b = &b->t,
                                .c = &c->t};
    double *expected = sgtt_doubles(&m, 70 * 50);
    sgtt_ref_gemm(expected, 1.0, sgtt_values(&m, a), sgtt_values(&m, b), 0.0, NULL, 70, 50, 90);

    sgt_buffer *buffer = NULL;
    memory.left = 0;
    sgtt_forget_message();
    int32_t allocated = m.memory->allocate(m.memory_instance, &buffer, 1000);
    sgtt_require(allocated == SGT_OK || (allocated < 0 && sgtt_new_message()),
                 "allocate without memory returned %d and no message", (int)allocated);
    sgtt_forget_message();
    int32_t product = m.slots->gemm(m.slots_instance, &args);
    sgtt_require(product == SGT_OK || product == SGT_E_UNSUPPORTED ||
                     (product < 0 && sgtt_new_message()),
                 "gemm without memory returned %d and no message", (int)product);
    if (product == SGT_OK)
        sgtt_expect(&m, c, expected, 2e-6, "gemm without memory");
    memory.left = -1;
    if (allocated == SGT_OK)
        m.memory->free(m.memory_instance, buffer, 1000);
    sgtt_gemm(&m, &c->t, 1.0f, &a->t, &b->t, 0.0f, NULL);
    sgtt_expect(&m, c, expected, 2e-6, "gemm when there is memory again");
    sgtt_close(&m);
    sgtt_expect_released(&memory, "close");
}

void sgtt_check_faults(const void *argument)
{
    int64_t requests = check_refused_open(argument);
    check_refused_calls(argument);
    sgtt_note("each of %lld requests of opening was refused once", (long long)requests);
}
