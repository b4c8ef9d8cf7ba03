/* SPDX-License-Identifier: BSD-3-Clause */
/* The update of AdamW against its formula in double. */
#include "suite.h"

#include <math.h>
#include <string.h>

typedef struct adamw_case {
    sgtt_tensor *param;
    sgtt_tensor *grad;
    sgtt_tensor *moment1;
    sgtt_tensor *moment2;
} adamw_case;

static adamw_case make_adamw(sgtt_machine *m, int64_t n)
{
    adamw_case c = {sgtt_random_vector(m, n), sgtt_random_vector(m, n), sgtt_random_vector(m, n),
                    sgtt_random_vector(m, n)};
    sgtt_set_random(m, c.moment2, 0.0, 1e-3);
    return c;
}

static sgt_adamw_args adamw_args(const adamw_case *c)
{
    return (sgt_adamw_args){.grad_scale = 0.3f,
                            .lr = 6e-4f,
                            .beta1 = 0.9f,
                            .beta2 = 0.95f,
                            .eps = 1e-8f,
                            .weight_decay = 0.1f,
                            .correction1 = 1.0f - 0.729f,
                            .correction2 = 1.0f - 0.857375f,
                            .param = &c->param->t,
                            .grad = &c->grad->t,
                            .moment1 = &c->moment1->t,
                            .moment2 = &c->moment2->t};
}

static void adamw_matches(sgtt_machine *m)
{
    static const int64_t sizes[] = {1, 15, 16, 33, 1000, 16385, 50001};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = m->round == 0 ? sizes[s] : 1 + sgtt_below(m, 40000);
        adamw_case c = make_adamw(m, n);
        sgt_adamw_args a = adamw_args(&c);
        double *before = sgtt_values(m, c.param);
        double *p = sgtt_values(m, c.param);
        double *g = sgtt_values(m, c.grad);
        double *m1 = sgtt_values(m, c.moment1);
        double *m2 = sgtt_values(m, c.moment2);
        for (int64_t i = 0; i < n; i++) {
            double scaled = g[i] * (double)a.grad_scale;
            m1[i] = (double)a.beta1 * m1[i] + (1.0 - (double)a.beta1) * scaled;
            m2[i] = (double)a.beta2 * m2[i] + (1.0 - (double)a.beta2) * scaled * scaled;
            p[i] -= (double)a.lr * (double)a.weight_decay * p[i];
            p[i] -= (double)a.lr * (m1[i] / (double)a.correction1)
                    / (sqrt(m2[i] / (double)a.correction2) + (double)a.eps);
        }
        sgtt_call(m, adamw, &a);
        sgtt_expect(m, c.param, p, 2e-7, "adamw param");
        sgtt_expect(m, c.moment1, m1, 5e-7, "adamw moment1");
        sgtt_expect(m, c.moment2, m2, 5e-7, "adamw moment2");
        sgtt_expect(m, c.grad, sgtt_doubles(m, n), 0.0, "adamw sets the gradient to zero");
        sgtt_require(memcmp(before, p, (size_t)n * sizeof(double)) != 0, "nothing was updated");
        sgtt_clear(m);
    }
}

/* Nothing has been seen yet: no division by zero. */
static void adamw_of_zeros_stays(sgtt_machine *m)
{
    const int64_t n = 21;
    adamw_case c = make_adamw(m, n);
    sgt_adamw_args a = adamw_args(&c);
    double *zeros = sgtt_doubles(m, n);
    sgtt_set(m, c.grad, zeros);
    sgtt_set(m, c.moment1, zeros);
    sgtt_set(m, c.moment2, zeros);
    a.weight_decay = 0.0f;
    double *p = sgtt_values(m, c.param);
    sgtt_call(m, adamw, &a);
    sgtt_expect(m, c.param, p, 0.0, "adamw without gradient or decay");
}

const sgtt_op_test sgtt_adamw_tests[] = {adamw_matches, adamw_of_zeros_stays, NULL};
