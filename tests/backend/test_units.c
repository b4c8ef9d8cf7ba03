/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products with chosen rows of a weight matrix give the bits of the whole products by the portable
 * gemm, in which everything that is not chosen is 0, on every instruction set. Up to SGTI_FEW_ROWS
 * rows the inputs give those of the whole product too, which are then other ones.
 */
#include <stdlib.h>
#include <string.h>

#include <sgt/backend.h>

#include "backend/dispatch.h"
#include "core/tensors.h"
#include "testing.h"

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof isas[0] };

typedef struct shape {
    int64_t rows;
    int64_t groups;
    int64_t units;
    int64_t cols;
} shape;

/* Few and many rows of groups that fit a piece of a sum and that do not; what is copied and what is
 * read in place; several parts. */
static const shape shapes[] = {
    {1, 3, 5, 7},      {8, 20, 16, 300},   {9, 2, 1, 3},      {9, 17, 3, 129},
    {11, 64, 64, 256}, {33, 7, 40, 513},   {300, 70, 1, 131}, {257, 33, 60, 255},
    {520, 21, 100, 97}, {600, 3, 300, 640}, {1300, 37, 7, 260}, {530, 9, 129, 272},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* One case: chosen values and where they are in the whole matrix. */
typedef struct units_case {
    sgt_context *context;
    shape shape;
    int64_t all; /* groups units */
    float *weight; /* [all, cols] */
    float *x;      /* [rows, cols] */
    float *d;
    float *a;      /* [rows, groups] */
    float *whole;  /* [rows, all]: a where it is chosen, else 0 */
    float *result;
    float *expected;
    int32_t *choice;
} units_case;

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * below) >> 32);
}

static float *random_floats(int64_t count)
{
    float *made = malloc((size_t)count * sizeof *made);
    for (int64_t i = 0; i < count; i++)
        made[i] = (float)random_below(1u << 24) / (float)(1 << 23) - 1.0f;
    return made;
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The last group's choices are one unit only, so that others stay unchosen and one is crowded. */
static units_case make_case(sgt_context *context, shape s)
{
    const int64_t all = s.groups * s.units;
    const int64_t most = largest(all * s.cols, s.rows * largest(s.cols, all));
    units_case c = {.context = context, .shape = s, .all = all};
    c.weight = random_floats(all * s.cols);
    c.x = random_floats(s.rows * s.cols);
    c.d = random_floats(s.rows * s.cols);
    c.a = random_floats(s.rows * s.groups);
    c.whole = calloc((size_t)(s.rows * all), sizeof *c.whole);
    c.result = malloc((size_t)most * sizeof *c.result);
    c.expected = malloc((size_t)most * sizeof *c.expected);
    c.choice = malloc((size_t)(s.rows * s.groups) * sizeof *c.choice);
    for (int64_t i = 0; i < s.rows * s.groups; i++) {
        const int64_t group = i % s.groups;
        c.choice[i] = group == s.groups - 1 ? (int32_t)s.units / 2
                                            : (int32_t)random_below((uint32_t)s.units);
        c.whole[i / s.groups * all + group * s.units + c.choice[i]] = c.a[i];
    }
    return c;
}

static void drop_case(units_case *c)
{
    free(c->weight);
    free(c->x);
    free(c->d);
    free(c->a);
    free(c->whole);
    free(c->result);
    free(c->expected);
    free(c->choice);
}

/* The portable backend's buffers are addresses. */
static sgt_tensor matrix(const void *data, int64_t rows, int64_t cols)
{
    return sgti_tensor_2d((sgt_buffer *)data, 0, rows, cols);
}

static sgt_tensor transposed(sgt_tensor t)
{
    const int64_t rows = t.shape[0], stride = t.strides[0];
    t.shape[0] = t.shape[1];
    t.shape[1] = rows;
    t.strides[0] = t.strides[1];
    t.strides[1] = stride;
    return t;
}

typedef sgt_status (*units_fn)(sgti_dispatch *dispatch, sgt_units_args *args);

static void call(const units_case *c, units_fn operation, const float *weight, const float *a,
                 const float *x, const float *d)
{
    const shape *s = &c->shape;
    sgt_tensor choice = matrix(c->choice, s->rows, s->groups);
    choice.dtype = SGT_I32;
    const sgt_tensor w = matrix(weight, c->all, s->cols), xs = matrix(x, s->rows, s->cols);
    const sgt_tensor as = matrix(a, s->rows, s->groups), ds = matrix(d, s->rows, s->cols);
    sgt_units_args args = {.units = (int32_t)s->units,
                           .weight = &w,
                           .choice = &choice,
                           .a = &as,
                           .x = &xs,
                           .d = d ? &ds : NULL};
    sgtt_ok(operation(c->context->dispatch, &args));
}

static void same_bits(const units_case *c, int64_t count, const char *what)
{
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&c->result[i], &c->expected[i], sizeof(float)) != 0)
            ck_abort_msg("%s of %ld rows, %ld groups of %ld, %ld columns: element %ld is %.9g, and "
                         "%.9g in the whole product",
                         what, (long)c->shape.rows, (long)c->shape.groups, (long)c->shape.units,
                         (long)c->shape.cols, (long)i, (double)c->result[i],
                         (double)c->expected[i]);
}

static void check_inputs(const units_case *c)
{
    const shape *s = &c->shape;
    const sgt_tensor x = matrix(c->x, s->rows, s->cols);
    const sgt_tensor w = transposed(matrix(c->weight, c->all, s->cols));
    float *all = malloc((size_t)(s->rows * c->all) * sizeof *all);
    const sgt_tensor y = matrix(all, s->rows, c->all);
    sgtt_ok(sgti_gemm(c->context->dispatch, &y, 1.0f, &x, &w, 0.0f, NULL));
    for (int64_t i = 0; i < s->rows * s->groups; i++)
        c->expected[i] =
            all[i / s->groups * c->all + i % s->groups * s->units + c->choice[i]];
    free(all);
    call(c, sgti_unit_inputs, c->weight, c->result, c->x, NULL);
    same_bits(c, s->rows * s->groups, "inputs");
}

/* d NULL, apart, and what is added to. */
static void check_outputs(const units_case *c)
{
    const shape *s = &c->shape;
    const int64_t count = s->rows * s->cols;
    const sgt_tensor a = matrix(c->whole, s->rows, c->all);
    const sgt_tensor w = matrix(c->weight, c->all, s->cols);
    const sgt_tensor y = matrix(c->expected, s->rows, s->cols);
    const sgt_tensor d = matrix(c->d, s->rows, s->cols);
    sgtt_ok(sgti_gemm(c->context->dispatch, &y, 1.0f, &a, &w, 0.0f, NULL));
    call(c, sgti_unit_outputs, c->weight, c->a, c->result, NULL);
    same_bits(c, count, "outputs");
    sgtt_ok(sgti_gemm(c->context->dispatch, &y, 1.0f, &a, &w, 1.0f, &d));
    call(c, sgti_unit_outputs, c->weight, c->a, c->result, c->d);
    same_bits(c, count, "outputs and others");
    memcpy(c->result, c->d, (size_t)count * sizeof(float));
    call(c, sgti_unit_outputs, c->weight, c->a, c->result, c->result);
    same_bits(c, count, "outputs in place");
}

static void check_gradients(const units_case *c)
{
    const shape *s = &c->shape;
    const int64_t count = c->all * s->cols;
    const sgt_tensor a = transposed(matrix(c->whole, s->rows, c->all));
    const sgt_tensor x = matrix(c->x, s->rows, s->cols);
    const sgt_tensor w = matrix(c->expected, c->all, s->cols);
    memcpy(c->expected, c->weight, (size_t)count * sizeof(float));
    memcpy(c->result, c->weight, (size_t)count * sizeof(float));
    sgtt_ok(sgti_gemm(c->context->dispatch, &w, 1.0f, &a, &x, 1.0f, NULL));
    call(c, sgti_unit_gradients, c->result, c->a, c->x, NULL);
    same_bits(c, count, "gradients");
}

START_TEST(bits_are_those_of_the_whole_product)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "portable";
    options.isa = isas[_i / SHAPES];
    options.threads = 2;
    sgt_status status = sgt_context_create(&context, &options);
    if (status == SGT_E_UNSUPPORTED)
        return;
    sgtt_ok(status);
    units_case c = make_case(context, shapes[_i % SHAPES]);
    check_inputs(&c);
    check_gradients(&c);
    if (c.shape.rows > 8)
        check_outputs(&c);
    drop_case(&c);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tests = tcase_create("units");
    tcase_add_loop_test(tests, bits_are_those_of_the_whole_product, 0, ISAS * SHAPES);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
