/* SPDX-License-Identifier: BSD-3-Clause */
#include "sampler_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "decode/sampler.h"

void reference_open(reference_sampler *r, int32_t vocab_size, const sgt_sampler_options *options)
{
    memset(r, 0, sizeof *r);
    r->options = *options;
    r->vocab_size = vocab_size;
    r->kept = calloc((size_t)vocab_size, sizeof *r->kept);
    ck_assert_ptr_nonnull(r->kept);
}

void reference_close(reference_sampler *r)
{
    free(r->kept);
}

static int is_in_window(const reference_sampler *r, int32_t token)
{
    int32_t first = r->n_history - r->options.repetition_window;
    for (int32_t i = first > 0 ? first : 0; i < r->n_history; i++)
        if (r->history[i] == token)
            return 1;
    return 0;
}

static double value_of(const reference_sampler *r, const float *logits, int32_t token)
{
    const sgt_sampler_options *o = &r->options;
    double value = logits[token];
    for (int32_t i = 0; i < o->n_bias; i++)
        if (o->bias_tokens[i] == token)
            value += o->bias[i];
    if (is_in_window(r, token))
        value = value > 0 ? value / o->repetition_penalty : value * o->repetition_penalty;
    return value;
}

static int by_likelihood(const void *a, const void *b)
{
    const reference_token *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return x->token < y->token ? -1 : 1;
}

static int by_token(const void *a, const void *b)
{
    const reference_token *x = a, *y = b;
    return x->token < y->token ? -1 : 1;
}

static double total_of(const reference_token *tokens, int32_t count)
{
    double total = 0;
    for (int32_t i = 0; i < count; i++)
        total += tokens[i].weight;
    return total;
}

void reference_filter(reference_sampler *r, const float *logits)
{
    const sgt_sampler_options *o = &r->options;
    int32_t n = r->vocab_size;
    reference_token *kept = r->kept;
    for (int32_t i = 0; i < n; i++)
        kept[i] = (reference_token){.token = i, .value = value_of(r, logits, i)};
    qsort(kept, (size_t)n, sizeof *kept, by_likelihood);
    if (o->temperature == 0) {
        r->n_kept = 1;
        kept[0].weight = 1;
        return;
    }
    for (int32_t i = n - 1; i >= 0; i--)
        kept[i].weight = exp((kept[i].value - kept[0].value) / o->temperature);
    if (o->top_k > 0 && o->top_k < n)
        n = o->top_k;
    if (o->top_p < 1) {
        double total = total_of(kept, n), together = 0;
        int32_t enough = 0;
        while (enough < n && together < o->top_p * total)
            together += kept[enough++].weight;
        n = enough;
    }
    while (kept[n - 1].weight < o->min_p * kept[0].weight || kept[n - 1].weight == 0)
        n--;
    if ((o->top_k == 0 || o->top_k >= r->vocab_size) && o->top_p == 1)
        qsort(kept, (size_t)n, sizeof *kept, by_token);
    r->n_kept = n;
}

int32_t reference_draw(const reference_sampler *r, double uniform)
{
    const double rounding = 1e-11;
    double total = total_of(r->kept, r->n_kept), place = uniform * total, before = 0;
    for (int32_t i = 0; i < r->n_kept; i++) {
        before += r->kept[i].weight;
        if (fabs(place - before) < rounding * total && i + 1 < r->n_kept)
            return -1;
        if (place < before)
            return r->kept[i].token;
    }
    return r->kept[r->n_kept - 1].token;
}

int32_t reference_pick(reference_sampler *r, const float *logits)
{
    uint32_t bits[4];
    reference_filter(r, logits);
    sgti_random_bits(bits, r->options.seed, SGTI_STREAM_TOKENS, r->drawn++);
    double uniform = ldexp((double)((((uint64_t)bits[1] << 32) + bits[0]) >> 11), -53);
    int32_t token = reference_draw(r, uniform);
    if (token >= 0)
        reference_accept(r, token);
    return token;
}

void reference_accept(reference_sampler *r, int32_t token)
{
    ck_assert_int_lt(r->n_history, sizeof r->history / sizeof r->history[0]);
    r->history[r->n_history++] = token;
}

/* ---- logits ---- */

void fill_logits(float *logits, int32_t count, enum logits_kind kind, uint64_t seed)
{
    for (int32_t i = 0; i < count; i++) {
        uint32_t bits[4];
        sgti_random_bits(bits, seed, 0, (uint64_t)i);
        float even = (float)((int32_t)(bits[0] >> 8) - (1 << 23)) * 0x1p-20f;
        logits[i] = even;
        if (kind == LOGITS_PEAKED)
            logits[i] = 8 * even;
        if (kind == LOGITS_TIES)
            logits[i] = (float)((int32_t)(bits[0] % 7) - 3);
        if (kind == LOGITS_FORBIDDEN && bits[1] % 3 != 0 && i + 1 < count)
            logits[i] = -INFINITY;
        if (kind == LOGITS_EQUAL)
            logits[i] = 1.5f;
        if (kind == LOGITS_HUGE)
            logits[i] = 1e35f * even;
    }
}

sgt_sampler_options sampling_defaults(void)
{
    sgt_sampler_options options;
    sgtt_ok(sgt_sampler_options_init(&options, sizeof options));
    return options;
}
