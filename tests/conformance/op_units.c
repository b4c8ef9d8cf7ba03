/* SPDX-License-Identifier: BSD-3-Clause */
/* Products with chosen rows of a weight matrix against loops: groups of every size, with weights of
 * F32 and BF16, and choices that are spread, crowded on one unit, or leave most units out. */
#include "suite.h"

#include <stdio.h>
#include <string.h>

#include "op_reference.h"

enum choices { SPREAD, CROWDED, LAST_ONLY, CHOICES };
enum added { NO_D, D_IS_X, D_APART, ADDED };

typedef struct units_case {
    int64_t rows;
    int64_t groups;
    int64_t units;
    int64_t cols;
    enum choices choices;
    int32_t dtype; /* of the weight */
    enum added d;
    enum sgtt_layout layout;
} units_case;

/* The tensors of a case and their values. */
typedef struct operands {
    sgtt_tensor *weight; /* [groups units, cols] */
    sgtt_tensor *choice; /* [rows groups] */
    sgtt_tensor *a;      /* [rows, groups] */
    sgtt_tensor *x;      /* [rows, cols] */
    sgtt_tensor *d;
    double *w;
    int32_t *chosen;
    sgt_tensor choices;  /* choice as [rows, groups] */
    char what[128];
} operands;

/* What the last groups of the list have are rows enough for any blocking to be used. */
static const units_case listed[] = {
    {.rows = 1, .groups = 1, .units = 1, .cols = 1},
    {.rows = 1, .groups = 64, .units = 64, .cols = 128},
    {.rows = 2, .groups = 3, .units = 1, .cols = 17},
    {.rows = 3, .groups = 1, .units = 50, .cols = 33},
    {.rows = 8, .groups = 20, .units = 3, .cols = 1},
    {.rows = 9, .groups = 16, .units = 4, .cols = 2},
    {.rows = 17, .groups = 33, .units = 16, .cols = 65},
    {.rows = 70, .groups = 5, .units = 100, .cols = 300},
    {.rows = 300, .groups = 18, .units = 7, .cols = 70},
    {.rows = 530, .groups = 2, .units = 130, .cols = 20},
};
#define LISTED ((int)(sizeof listed / sizeof listed[0]))
#define CASES  40

static units_case pick_case(sgtt_machine *m, int k)
{
    units_case c = {.rows = 1 + sgtt_below(m, sgtt_below(m, 4) ? 20 : 400),
                    .groups = 1 + sgtt_below(m, 40),
                    .units = 1 + sgtt_below(m, 40),
                    .cols = 1 + sgtt_below(m, 200)};
    if (m->round == 0)
        c = listed[k % LISTED];
    c.choices = (enum choices)sgtt_below(m, CHOICES);
    c.dtype = sgtt_below(m, 3) ? SGT_F32 : SGT_BF16;
    c.d = (enum added)sgtt_below(m, ADDED);
    c.layout = (enum sgtt_layout)sgtt_below(m, 2);
    return c;
}

static int32_t pick_unit(sgtt_machine *m, const units_case *c)
{
    if (c->choices == LAST_ONLY)
        return (int32_t)c->units - 1;
    if (c->choices == CROWDED && sgtt_below(m, 8))
        return (int32_t)(c->units / 2);
    return (int32_t)sgtt_below(m, c->units);
}

static operands make_operands(sgtt_machine *m, const units_case *c, const char *operation)
{
    const int64_t count = c->rows * c->groups;
    const int64_t shape[] = {c->groups * c->units, c->cols};
    operands o = {.x = sgtt_random_matrix(m, c->layout, c->rows, c->cols),
                  .a = sgtt_random_matrix(m, c->layout, c->rows, c->groups),
                  .weight = sgtt_make(m, c->dtype, c->layout, 2, shape),
                  .choice = sgtt_make(m, SGT_I32, SGTT_DENSE, 1, &count)};
    double *units = sgtt_doubles(m, count);
    for (int64_t i = 0; i < count; i++)
        units[i] = (double)pick_unit(m, c);
    sgtt_set(m, o.choice, units);
    sgtt_set_random(m, o.weight, -1.0, 1.0);
    o.d = c->d == D_APART ? sgtt_random_matrix(m, c->layout, c->rows, c->cols)
          : c->d == D_IS_X ? o.x
                           : NULL;
    o.w = sgtt_values(m, o.weight);
    o.chosen = sgtt_integers(m, o.choice);
    o.choices = o.choice->t;
    o.choices.rank = 2;
    o.choices.shape[0] = c->rows;
    o.choices.shape[1] = o.choices.strides[0] = c->groups;
    o.choices.strides[1] = 1;
    snprintf(o.what, sizeof o.what, "%s of %lld rows, %lld groups of %lld, %lld columns, %s",
             operation, (long long)c->rows, (long long)c->groups, (long long)c->units,
             (long long)c->cols, c->dtype == SGT_BF16 ? "BF16" : "F32");
    return o;
}

static sgt_units_args args_of(const units_case *c, const operands *o)
{
    return (sgt_units_args){.units = (int32_t)c->units,
                            .weight = &o->weight->t,
                            .choice = &o->choices,
                            .a = &o->a->t,
                            .x = &o->x->t};
}

/* The row of the weights that row n chose from group s. */
static int64_t chosen_row(const units_case *c, const operands *o, int64_t n, int64_t s)
{
    return s * c->units + o->chosen[n * c->groups + s];
}

/* A backend may leave these products to gemm: then it has written nothing. */
#define CALL(taken, m, slot, args, written, what)                                                  \
    do {                                                                                           \
        sgtt_probe(m, slot, args);                                                                 \
        const int32_t result_ = (m)->slots->slot((m)->slots_instance, args);                       \
        *(taken) = result_ != SGT_E_UNSUPPORTED;                                                   \
        if (*(taken))                                                                              \
            sgtt_slot_done(result_, #slot);                                                        \
        else                                                                                       \
            sgtt_expect_unchanged(m, written, what);                                               \
    } while (0)

/* a becomes NaN before, so that no element can be forgotten. */
static int check_inputs(sgtt_machine *m, const units_case *c)
{
    operands o = make_operands(m, c, "unit_inputs");
    double *x = sgtt_values(m, o.x);
    double *expected = sgtt_doubles(m, c->rows * c->groups);
    const int64_t shape[] = {c->rows, c->groups};
    int taken;
    o.a = sgtt_make(m, SGT_F32, c->layout, 2, shape);
    for (int64_t i = 0; i < c->rows * c->groups; i++) {
        const double *row = o.w + chosen_row(c, &o, i / c->groups, i % c->groups) * c->cols;
        for (int64_t j = 0; j < c->cols; j++)
            expected[i] += x[i / c->groups * c->cols + j] * row[j];
    }
    sgt_units_args args = args_of(c, &o);
    CALL(&taken, m, unit_inputs, &args, o.a, o.what);
    if (taken)
        sgtt_expect_product(m, o.a, expected, c->cols, 1.0f, 0.0f, o.what);
    sgtt_expect_unchanged(m, o.x, o.what);
    sgtt_expect_unchanged(m, o.weight, o.what);
    sgtt_clear(m);
    return taken;
}

static int check_outputs(sgtt_machine *m, const units_case *c)
{
    operands o = make_operands(m, c, "unit_outputs");
    const int64_t shape[] = {c->rows, c->cols};
    double *a = sgtt_values(m, o.a);
    double *expected = o.d ? sgtt_values(m, o.d) : sgtt_doubles(m, c->rows * c->cols);
    int taken;
    if (c->d != D_IS_X)
        o.x = sgtt_make(m, SGT_F32, c->layout, 2, shape);
    for (int64_t i = 0; i < c->rows * c->groups; i++) {
        const int64_t n = i / c->groups;
        const double *row = o.w + chosen_row(c, &o, n, i % c->groups) * c->cols;
        for (int64_t j = 0; j < c->cols; j++)
            expected[n * c->cols + j] += a[i] * row[j];
    }
    sgt_units_args args = args_of(c, &o);
    args.d = o.d ? &o.d->t : NULL;
    CALL(&taken, m, unit_outputs, &args, o.x, o.what);
    if (taken)
        sgtt_expect_product(m, o.x, expected, c->groups, 1.0f, o.d ? 1.0f : 0.0f, o.what);
    sgtt_expect_unchanged(m, o.a, o.what);
    sgtt_expect_unchanged(m, o.weight, o.what);
    if (c->d == D_APART)
        sgtt_expect_unchanged(m, o.d, o.what);
    sgtt_clear(m);
    return taken;
}

static int check_gradients(sgtt_machine *m, const units_case *c)
{
    operands o = make_operands(m, c, "unit_gradients");
    double *a = sgtt_values(m, o.a), *x = sgtt_values(m, o.x);
    int taken;
    for (int64_t i = 0; i < c->rows * c->groups; i++) {
        const int64_t n = i / c->groups;
        double *row = o.w + chosen_row(c, &o, n, i % c->groups) * c->cols;
        for (int64_t j = 0; j < c->cols; j++)
            row[j] += a[i] * x[n * c->cols + j];
    }
    sgt_units_args args = args_of(c, &o);
    CALL(&taken, m, unit_gradients, &args, o.weight, o.what);
    if (taken)
        sgtt_expect_product(m, o.weight, o.w, c->rows, 1.0f, 1.0f, o.what);
    sgtt_expect_unchanged(m, o.a, o.what);
    sgtt_expect_unchanged(m, o.x, o.what);
    sgtt_clear(m);
    return taken;
}

static void check_all(sgtt_machine *m, int (*check)(sgtt_machine *m, const units_case *c),
                      int takes_halves)
{
    int taken = 0;
    for (int k = 0; k < CASES; k++) {
        units_case c = pick_case(m, k);
        if (!takes_halves)
            c.dtype = SGT_F32;
        taken += check(m, &c);
    }
    sgtt_note("%d of %d shapes taken", taken, CASES);
}

static void inputs_match(sgtt_machine *m)
{
    check_all(m, check_inputs, 1);
}

static void outputs_match(sgtt_machine *m)
{
    check_all(m, check_outputs, 1);
}

static void gradients_match(sgtt_machine *m)
{
    check_all(m, check_gradients, 0);
}

/* Three terms whose sum in float32 is 0 in their order, and 1 from the last on. */
static void gradients_keep_the_order(sgtt_machine *m)
{
    static const double factors[] = {1.0, 1e8, -1e8};
    const units_case c = {
        .rows = 3, .groups = 1, .units = 2, .cols = 40, .choices = LAST_ONLY, .dtype = SGT_F32};
    operands o = make_operands(m, &c, "order of unit_gradients");
    double *zeros = sgtt_doubles(m, c.units * c.cols), *ones = sgtt_doubles(m, c.rows * c.cols);
    int taken;
    for (int64_t i = 0; i < c.rows * c.cols; i++)
        ones[i] = 1.0;
    sgtt_set(m, o.a, factors);
    sgtt_set(m, o.x, ones);
    sgtt_set(m, o.weight, zeros);
    sgt_units_args args = args_of(&c, &o);
    CALL(&taken, m, unit_gradients, &args, o.weight, o.what);
    if (taken)
        sgtt_expect(m, o.weight, zeros, 0.0, o.what);
}

const sgtt_op_test sgtt_unit_inputs_tests[] = {inputs_match, NULL};
const sgtt_op_test sgtt_unit_outputs_tests[] = {outputs_match, NULL};
const sgtt_op_test sgtt_unit_gradients_tests[] = {gradients_match, gradients_keep_the_order, NULL};
