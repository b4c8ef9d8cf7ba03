/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is particular to products by BLIS: the kernels that are chosen, products large enough to be
 * cut, strides and surroundings on which BLIS would abort, and that no product allocates. malloc is
 * wrapped by the linker.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/backend.h>

#include "backend/dispatch.h"
#include "core/tensors.h"
#include "testing.h"

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof isas[0] };

/* ---- malloc ---- */

static long mallocs;
static int malloc_fails;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    mallocs++;
    return malloc_fails ? NULL : __real_malloc(bytes);
}

/* ---- contexts and matrices ---- */

/* NULL where the processor lacks the instruction set. */
static sgt_context *open_context(const char *isa, int32_t threads)
{
    sgt_context_options options;
    sgt_context *context = NULL;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "blis";
    options.isa = isa;
    options.threads = threads;
    sgt_status status = sgt_context_create(&context, &options);
    ck_assert_msg(status == SGT_OK || status == SGT_E_UNSUPPORTED, "%s", sgt_error_message());
    return context;
}

typedef struct matrix {
    sgt_tensor t;
    uint64_t bytes;
    float *values;
} matrix;

/* `elements` random values in a buffer of their own, seen as one dense row. */
static matrix make(sgt_context *context, int64_t elements)
{
    static uint32_t state = 1;
    matrix m = {.bytes = (uint64_t)elements * sizeof(float)};
    sgt_buffer *buffer;
    sgtt_ok(sgti_buffer_allocate(&buffer, context->dispatch, m.bytes));
    m.t = sgti_tensor_2d(buffer, 0, 1, elements);
    m.values = sgti_host_address(context->dispatch, &m.t);
    for (int64_t i = 0; i < elements; i++) {
        state = state * 1664525u + 1013904223u;
        m.values[i] = (float)(state >> 8) / (float)(1 << 24) - 0.5f;
    }
    return m;
}

static void shape(matrix *m, int64_t rows, int64_t columns, int64_t row_stride,
                  int64_t column_stride)
{
    m->t.shape[0] = rows;
    m->t.shape[1] = columns;
    m->t.strides[0] = row_stride;
    m->t.strides[1] = column_stride;
}

static void drop(sgt_context *context, matrix *m)
{
    sgti_buffer_free(context->dispatch, m->t.buffer, m->bytes);
}

static double at(const sgt_tensor *t, const float *values, int64_t row, int64_t column)
{
    return values[row * t->strides[0] + column * t->strides[1]];
}

/* C = alpha A B + beta D, checked in `samples` places, the corners among them. `before` are the
 * values that D had. */
static void check(const matrix *c, double alpha, const matrix *a, const matrix *b, double beta,
                  const sgt_tensor *d, const float *before, int samples, const char *what)
{
    int64_t m = c->t.shape[0], n = c->t.shape[1], k = a->t.shape[1];
    for (int s = 0; s < samples; s++) {
        int64_t i = s < 4 ? (s & 1) * (m - 1) : (int64_t)s * 7919 % m;
        int64_t j = s < 4 ? (s >> 1) * (n - 1) : (int64_t)s * 104729 % n;
        double sum = 0, scale = 0;
        for (int64_t l = 0; l < k; l++) {
            double x = at(&a->t, a->values, i, l) * at(&b->t, b->values, l, j);
            sum += x;
            scale += fabs(x);
        }
        double base = beta == 0 ? 0 : beta * at(d, before, i, j);
        double expected = alpha * sum + base;
        double bound = 2e-6 * (fabs(alpha) * scale + fabs(base)) + 1e-30;
        double got = at(&c->t, c->values, i, j);
        ck_assert_msg(fabs(got - expected) <= bound, "%s: [%ld,%ld] is %.9g, expected %.9g", what,
                      (long)i, (long)j, got, expected);
    }
}

/* ---- tests ---- */

START_TEST(kernels_follow_the_instruction_set)
{
#if defined(SGTI_BLIS_LOOKUP) && defined(__x86_64__)
    static const char *const expected[ISAS][2] = {
        {" penryn", " penryn"}, {" zen", " haswell"}, {" skx", " skx"}};
    sgt_backend_info report = {.size = sizeof report};
    sgt_context *context = open_context(isas[_i], 1);
    if (context == NULL)
        return;
    sgtt_ok(sgt_context_get_backend(&report, context));
    ck_assert_msg(strstr(report.kernels, expected[_i][0]) != NULL ||
                      strstr(report.kernels, expected[_i][1]) != NULL,
                  "%s runs %s", isas[_i], report.kernels);
    ck_assert_int_eq(report.generic, 0);
    sgt_context_free(context);
#endif
}
END_TEST

/* Large enough to be cut in both dimensions, with remainders. */
START_TEST(large_products_are_right)
{
    enum { M = 1301, N = 1093, K = 71 };
    sgt_context *context = open_context(isas[_i], 2);
    if (context == NULL)
        return;
    matrix a = make(context, M * K), b = make(context, K * N);
    matrix c = make(context, M * N), d = make(context, M * N);
    float *before = malloc(sizeof *before * M * N);
    for (int layout = 0; layout < 16; layout++) {
        int by_columns = layout & 1, apart = layout & 8;
        double alpha = 0.75, beta = apart ? -1.5 : 0.5;
        shape(&a, M, K, layout & 2 ? 1 : K, layout & 2 ? M : 1);
        shape(&b, K, N, layout & 4 ? 1 : N, layout & 4 ? K : 1);
        shape(&c, M, N, by_columns ? 1 : N, by_columns ? M : 1);
        shape(&d, M, N, layout & 2 ? 1 : N, layout & 2 ? M : 1);
        memcpy(before, apart ? d.values : c.values, sizeof *before * M * N);
        if (apart)
            memset(c.values, 0xff, sizeof *before * M * N);
        sgtt_ok(sgti_gemm(context->dispatch, &c.t, (float)alpha, &a.t, &b.t, (float)beta,
                          apart ? &d.t : NULL));
        check(&c, alpha, &a, &b, beta, apart ? &d.t : &c.t, before, 2000, isas[_i]);

        memset(c.values, 0xff, sizeof *before * M * N);
        sgtt_ok(sgti_gemm(context->dispatch, &c.t, 1, &a.t, &b.t, 0, apart ? &c.t : NULL));
        check(&c, 1, &a, &b, 0, NULL, NULL, 2000, isas[_i]);
    }
    free(before);
    drop(context, &a);
    drop(context, &b);
    drop(context, &c);
    drop(context, &d);
    sgt_context_free(context);
}
END_TEST

/* Strides that BLIS calls inconsistent, most of them of dimensions of one element. */
START_TEST(odd_strides_are_right)
{
    static const struct {
        int64_t m, n, k;
        int64_t a[2], b[2], c[2];
    } cases[] = {
        {1, 1, 1, {0, 0}, {0, 0}, {0, 0}},
        {1, 1, 5, {0, 1}, {1, 0}, {1, 1}},
        {1, 7, 5, {0, 1}, {7, 1}, {0, 1}},
        {1, 7, 5, {1, 1}, {1, 5}, {1, 3}},
        {7, 1, 5, {5, 1}, {1, 1}, {1, 0}},
        {7, 1, 5, {1, 7}, {1, 0}, {9, 1}},
        {7, 1, 1, {1, 1}, {0, 1}, {1, 1}},
        {6, 7, 1, {1, 0}, {0, 1}, {7, 1}},
        {6, 7, 1, {4, 1}, {1, 4}, {1, 6}},
        {6, 7, 5, {0, 1}, {7, 1}, {7, 1}}, /* one row for all */
        {6, 7, 5, {1, 1}, {7, 1}, {1, 6}}, /* rows that overlap */
        {6, 7, 5, {5, 1}, {1, 0}, {7, 1}},
        {6, 7, 5, {5, 1}, {3, 1}, {9, 1}},
    };
    sgt_context *context = open_context(isas[_i], 1);
    if (context == NULL)
        return;
    matrix a = make(context, 100), b = make(context, 100), c = make(context, 100);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t m = cases[i].m, n = cases[i].n, k = cases[i].k;
        char what[32];
        snprintf(what, sizeof what, "%s, case %d", isas[_i], (int)i);
        shape(&a, m, k, cases[i].a[0], cases[i].a[1]);
        shape(&b, k, n, cases[i].b[0], cases[i].b[1]);
        shape(&c, m, n, cases[i].c[0], cases[i].c[1]);
        sgtt_ok(sgti_gemm(context->dispatch, &c.t, 2, &a.t, &b.t, 0, NULL));
        check(&c, 2, &a, &b, 0, NULL, NULL, 200, what);
    }
    drop(context, &a);
    drop(context, &b);
    drop(context, &c);
    sgt_context_free(context);
}
END_TEST

/* BLIS ends the process when it gets no memory, so it must have all it needs beforehand. */
START_TEST(products_do_not_allocate)
{
    static const int64_t extents[] = {1, 17, 240, 500, 1100};
    enum { EXTENTS = sizeof extents / sizeof extents[0], MOST = 1100 };
    sgt_context *context = open_context(isas[_i], 2);
    if (context == NULL)
        return;
    matrix a = make(context, MOST * MOST), b = make(context, MOST * MOST);
    matrix c = make(context, MOST * MOST);
    for (int i = 0; i < EXTENTS * EXTENTS * EXTENTS; i++) {
        int64_t m = extents[i % EXTENTS], n = extents[i / EXTENTS % EXTENTS];
        int64_t k = extents[i / EXTENTS / EXTENTS];
        shape(&a, m, k, k, 1);
        shape(&b, k, n, i & 1 ? n : 1, i & 1 ? 1 : k);
        shape(&c, m, n, n, 1);
        long so_far = mallocs;
        sgt_status status = sgti_gemm(context->dispatch, &c.t, 1, &a.t, &b.t, 1, NULL);
        long more = mallocs - so_far;
        ck_assert_int_eq(status, SGT_OK);
        ck_assert_msg(more == 0, "%s: %ld x %ld x %ld allocated %ld times", isas[_i], (long)m,
                      (long)n, (long)k, more);
    }
    drop(context, &a);
    drop(context, &b);
    drop(context, &c);
    sgt_context_free(context);
}
END_TEST

static void *own_allocate(void *user, size_t alignment, size_t bytes)
{
    (void)user;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void own_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

START_TEST(no_memory_for_blis_is_an_error)
{
    sgt_allocator allocator = {.size = sizeof allocator,
                               .allocate = own_allocate,
                               .release = own_release};
    sgt_context_options options;
    sgt_context *context = NULL;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "blis";
    options.allocator = &allocator;
    malloc_fails = 1;
    sgt_status status = sgt_context_create(&context, &options);
    malloc_fails = 0;
    ck_assert_ptr_null(context);
    sgtt_fails(status, SGT_E_OUT_OF_MEMORY, "BLIS");
    sgtt_ok(sgt_context_create(&context, &options));
    sgt_context_free(context);
}
END_TEST

START_TEST(unusable_environment_is_an_error)
{
    static const char *const values[] = {"15", "2", "-7", "100000000000"};
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "blis";
    ck_assert_int_eq(setenv("BLIS_ARCH_TYPE", values[_i], 1), 0);
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_BACKEND, "BLIS_ARCH_TYPE");
    ck_assert_int_eq(unsetenv("BLIS_ARCH_TYPE"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blis gemm");
    TCase *tests = tcase_create("blis gemm");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, kernels_follow_the_instruction_set, 0, ISAS);
    tcase_add_loop_test(tests, large_products_are_right, 0, ISAS);
    tcase_add_loop_test(tests, odd_strides_are_right, 0, ISAS);
    tcase_add_loop_test(tests, products_do_not_allocate, 0, ISAS);
    tcase_add_test(tests, no_memory_for_blis_is_an_error);
    tcase_add_loop_test(tests, unusable_environment_is_an_error, 0, 4);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
