/* SPDX-License-Identifier: BSD-3-Clause */
/* Gradients of operations with masks, of the softmax of groups, and of products of rows. */
#include "op_gradients.h"

#include "op_masks.h"
#include "op_reference.h"
#include "suite.h"

enum { ROWS = 4, COLUMNS = 21, COUNT = ROWS * COLUMNS, UNITS = 7 };

/* ---- masks ---- */

typedef struct mask_case {
    double *gate; /* of SwiGLU */
    double *x;    /* up of SwiGLU */
    double *mask;
    double *dout;
    double *out;
} mask_case;

static double swiglu_loss(void *context)
{
    mask_case *c = context;
    double sum = 0.0;
    sgtt_ref_swiglu(c->out, c->gate, c->x, COUNT);
    for (int i = 0; i < COUNT; i++)
        sum += c->dout[i] * c->out[i] * c->mask[i];
    return sum;
}

static double relu_loss(void *context)
{
    mask_case *c = context;
    sgtt_ref_relu(c->out, c->x, c->mask, COUNT);
    return sgtt_weighted_sum(c->dout, c->out, COUNT);
}

static sgtt_tensor *mask_between(sgtt_machine *m, double low, double high)
{
    sgtt_tensor *mask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_set_random(m, mask, low, high);
    return mask;
}

void sgtt_masked_swiglu_gradient(sgtt_machine *m)
{
    if (sgtt_declines_masks(m))
        return;
    sgtt_tensor *gate = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *up = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *mask = mask_between(m, 0.0, 1.0);
    sgtt_tensor *dout = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dgate = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_tensor *dup = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_tensor *dmask = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_tensor *out = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_set_random(m, gate, -6.0, 6.0);
    mask_case c = {.gate = sgtt_values(m, gate),
                   .x = sgtt_values(m, up),
                   .mask = sgtt_values(m, mask),
                   .dout = sgtt_values(m, dout),
                   .out = sgtt_doubles(m, COUNT)};
    sgt_swiglu_backward_args args = {.gate = &gate->t,
                                     .up = &up->t,
                                     .dout = &dout->t,
                                     .dgate = &dgate->t,
                                     .dup = &dup->t,
                                     .out = &out->t,
                                     .mask = &mask->t,
                                     .dmask = &dmask->t};
    sgtt_call(m, swiglu_backward, &args);
    sgtt_expect(m, dgate, sgtt_differences(m, c.gate, COUNT, swiglu_loss, &c), 1e-5,
                "masked swiglu dgate");
    sgtt_expect(m, dup, sgtt_differences(m, c.x, COUNT, swiglu_loss, &c), 1e-5,
                "masked swiglu dup");
    sgtt_expect(m, dmask, sgtt_differences(m, c.mask, COUNT, swiglu_loss, &c), 1e-5,
                "masked swiglu dmask");
}

/* Where x mask is near 0 there is no gradient: so they stay away from it. */
static void relu_gradient(sgtt_machine *m)
{
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *mask = mask_between(m, 0.1, 1.0);
    sgtt_tensor *dout = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dx = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_tensor *dmask = sgtt_zero_matrix(m, ROWS, COLUMNS);
    sgtt_tensor *out = sgtt_zero_matrix(m, ROWS, COLUMNS);
    double *away = sgtt_values(m, x);
    for (int i = 0; i < COUNT; i++)
        away[i] += away[i] < 0.0 ? -0.1 : 0.1;
    sgtt_set(m, x, away);
    mask_case c = {.x = sgtt_values(m, x),
                   .mask = sgtt_values(m, mask),
                   .dout = sgtt_values(m, dout),
                   .out = sgtt_doubles(m, COUNT)};
    sgt_relu_backward_args args = {.x = &x->t,
                                   .dout = &dout->t,
                                   .dx = &dx->t,
                                   .out = &out->t,
                                   .mask = &mask->t,
                                   .dmask = &dmask->t};
    sgtt_call(m, relu_backward, &args);
    sgtt_expect(m, dx, sgtt_differences(m, c.x, COUNT, relu_loss, &c), 1e-5, "relu dx");
    sgtt_expect(m, dmask, sgtt_differences(m, c.mask, COUNT, relu_loss, &c), 1e-5, "relu dmask");
}

/* ---- the softmax of groups ---- */

typedef struct softmax_case {
    double *logits;
    double *dmask;
    double *mask;
} softmax_case;

static double softmax_loss(void *context)
{
    softmax_case *c = context;
    sgtt_ref_softmax(c->mask, c->logits, COUNT / UNITS, UNITS);
    return sgtt_weighted_sum(c->dmask, c->mask, COUNT);
}

static void softmax_gradient(sgtt_machine *m)
{
    sgtt_tensor *mask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dmask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dlogits = sgtt_zero_matrix(m, ROWS, COLUMNS);
    softmax_case c = {.logits = sgtt_values(m, mask),
                      .dmask = sgtt_values(m, dmask),
                      .mask = sgtt_doubles(m, COUNT)};
    softmax_loss(&c);
    sgtt_set(m, mask, c.mask);
    sgt_choose_backward_args args = {
        .units = UNITS, .mask = &mask->t, .dmask = &dmask->t, .dlogits = &dlogits->t};
    sgtt_call(m, choose_backward, &args);
    sgtt_expect(m, dlogits, sgtt_differences(m, c.logits, COUNT, softmax_loss, &c), 1e-5,
                "choose dlogits");
}

/* ---- products of rows ---- */

static const int64_t sizes[3] = {5, 3, 13};

typedef struct products_case {
    double *x;
    double *y;
    double *dout;
    double *out;
} products_case;

static double products_loss(void *context)
{
    products_case *c = context;
    sgtt_ref_row_products(c->out, c->x, c->y, sizes);
    return sgtt_weighted_sum(c->dout, c->out, sizes[0] * sizes[1] * sizes[2]);
}

static void row_products_gradient(sgtt_machine *m)
{
    const int64_t of_x = sizes[0] * sizes[2], of_y = sizes[1] * sizes[2];
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, sizes[0], sizes[2]);
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, sizes[1], sizes[2]);
    sgtt_tensor *dx = sgtt_zero_matrix(m, sizes[0], sizes[2]);
    sgtt_tensor *dy = sgtt_zero_matrix(m, sizes[1], sizes[2]);
    sgtt_tensor *dout = sgtt_make(m, SGT_F32, SGTT_ROWS, 3, sizes);
    sgtt_set_random(m, dout, -1.0, 1.0);
    products_case c = {.x = sgtt_values(m, x),
                       .y = sgtt_values(m, y),
                       .dout = sgtt_values(m, dout),
                       .out = sgtt_doubles(m, sgtt_count_of(dout))};
    sgt_row_products_backward_args args = {
        .x = &x->t, .y = &y->t, .dout = &dout->t, .dx = &dx->t, .dy = &dy->t};
    sgtt_call(m, row_products_backward, &args);
    sgtt_expect(m, dx, sgtt_differences(m, c.x, of_x, products_loss, &c), 1e-5, "row_products dx");
    sgtt_expect(m, dy, sgtt_differences(m, c.y, of_y, products_loss, &c), 1e-5, "row_products dy");
}

const sgtt_op_test sgtt_relu_gradient[] = {relu_gradient, NULL};
const sgtt_op_test sgtt_choose_gradient[] = {softmax_gradient, NULL};
const sgtt_op_test sgtt_row_products_gradient[] = {row_products_gradient, NULL};
