/* SPDX-License-Identifier: BSD-3-Clause */
/* The update of AdamW against its formula in double. */
#include "suite.h"

#include <math.h>
#include <string.h>

#define PIECES 3

typedef struct adamw_case {
    sgtt_tensor *param;
    sgtt_tensor *grad;
    sgtt_tensor *moment1;
    sgtt_tensor *moment2;
    sgtt_tensor *copy;
    int32_t n_pieces;
    int64_t firsts[PIECES]; /* with gaps between the pieces, which nobody may touch */
    int64_t counts[PIECES];
    float rates[PIECES];
    float decays[PIECES];
} adamw_case;

static adamw_case make_adamw(sgtt_machine *m, int64_t n)
{
    adamw_case c = {.param = sgtt_random_vector(m, n),
                    .grad = sgtt_random_vector(m, n),
                    .moment1 = sgtt_random_vector(m, n),
                    .moment2 = sgtt_random_vector(m, n),
                    .copy = sgtt_make(m, SGT_BF16, SGTT_DENSE, 1, &n)};
    sgtt_set_random(m, c.moment2, 0.0, 1e-3);
    for (int i = 0; i < PIECES; i++) {
        const int64_t first = n * i / PIECES, gap = i % 2 ? 0 : n / 7;
        const int64_t count = n * (i + 1) / PIECES - first - gap;
        if (count < 1)
            continue;
        c.rates[c.n_pieces] = 6e-4f * (float)(i + 1);
        c.decays[c.n_pieces] = i == 1 ? 0.0f : 0.1f;
        c.firsts[c.n_pieces] = first;
        c.counts[c.n_pieces++] = count;
    }
    return c;
}

static sgt_adamw_args adamw_args(const adamw_case *c)
{
    return (sgt_adamw_args){.grad_scale = 0.3f,
                            .beta1 = 0.9f,
                            .beta2 = 0.95f,
                            .eps = 1e-8f,
                            .correction1 = 1.0f - 0.729f,
                            .correction2 = 1.0f - 0.857375f,
                            .n_pieces = c->n_pieces,
                            .param = &c->param->t,
                            .grad = &c->grad->t,
                            .moment1 = &c->moment1->t,
                            .moment2 = &c->moment2->t,
                            .firsts = c->firsts,
                            .counts = c->counts,
                            .rates = c->rates,
                            .decays = c->decays};
}

/* What piece k of an update makes of these. */
static void update_piece(double *p, double *g, double *m1, double *m2, const sgt_adamw_args *a,
                         int32_t k)
{
    const double lr = (double)a->rates[k], decay = (double)a->decays[k];
    for (int64_t i = a->firsts[k]; i < a->firsts[k] + a->counts[k]; i++) {
        double scaled = g[i] * (double)a->grad_scale;
        m1[i] = (double)a->beta1 * m1[i] + (1.0 - (double)a->beta1) * scaled;
        m2[i] = (double)a->beta2 * m2[i] + (1.0 - (double)a->beta2) * scaled * scaled;
        p[i] -= lr * decay * p[i];
        p[i] -= lr * (m1[i] / (double)a->correction1)
                / (sqrt(m2[i] / (double)a->correction2) + (double)a->eps);
        g[i] = 0.0;
    }
}

/* The copy is the updated parameter, rounded to bf16: the upper half, to nearest even. */
static void check_copy(sgtt_machine *m, const adamw_case *c)
{
    const int64_t n = sgtt_count_of(c->param);
    float *singles = (float *)sgtt_doubles(m, n);
    uint16_t *halves = (uint16_t *)sgtt_doubles(m, n);
    sgtt_read(m, singles, c->param);
    sgtt_read(m, halves, c->copy);
    for (int32_t k = 0; k < c->n_pieces; k++) {
        for (int64_t j = 0; j < c->counts[k]; j++) {
            const int64_t i = c->firsts[k] + j;
            uint32_t bits;
            memcpy(&bits, &singles[i], sizeof bits);
            bits += 0x7fff + (bits >> 16 & 1);
            sgtt_require(halves[i] == bits >> 16, "adamw copy: element %lld is %04x, not %04x",
                         (long long)i, halves[i], (unsigned)(bits >> 16));
        }
    }
}

static void adamw_matches(sgtt_machine *m)
{
    static const int64_t sizes[] = {1, 15, 16, 33, 1000, 16385, 100003};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = m->round == 0 ? sizes[s] : 1 + sgtt_below(m, 40000);
        adamw_case c = make_adamw(m, n);
        sgt_adamw_args a = adamw_args(&c);
        double *before = sgtt_values(m, c.param);
        double *p = sgtt_values(m, c.param);
        double *g = sgtt_values(m, c.grad);
        double *m1 = sgtt_values(m, c.moment1);
        double *m2 = sgtt_values(m, c.moment2);
        for (int32_t k = 0; k < c.n_pieces; k++)
            update_piece(p, g, m1, m2, &a, k);
        a.copy = s % 2 ? &c.copy->t : NULL;
        sgtt_call(m, adamw, &a);
        sgtt_expect(m, c.param, p, 2e-7, "adamw param");
        sgtt_expect(m, c.moment1, m1, 5e-7, "adamw moment1");
        sgtt_expect(m, c.moment2, m2, 5e-7, "adamw moment2");
        sgtt_expect(m, c.grad, g, 0.0, "adamw sets the gradient to zero");
        sgtt_require(memcmp(before, p, (size_t)n * sizeof(double)) != 0, "nothing was updated");
        if (a.copy)
            check_copy(m, &c);
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
    for (int k = 0; k < PIECES; k++)
        c.decays[k] = 0.0f;
    double *p = sgtt_values(m, c.param);
    sgtt_call(m, adamw, &a);
    sgtt_expect(m, c.param, p, 0.0, "adamw without gradient or decay");
}

const sgtt_op_test sgtt_adamw_tests[] = {adamw_matches, adamw_of_zeros_stays, NULL};
