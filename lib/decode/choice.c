/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Draws a token. A random number in [0,1) times the sum of all weights is a place; the tokens lie
 * one behind the other, each as long as its weight, and the one at the place is drawn.
 *
 * Without top_k and top_p all tokens take part, in their order. Their weights are summed by blocks:
 * the draw first finds the block of the place, then the token in it.
 *
 * Else only the likeliest tokens, the candidates, take part, and a heap finds them. With top_k one
 * scan over the vocabulary keeps the k likeliest, which are then sorted. With top_p alone the
 * likeliest is taken from the heap again and again, until those taken have the probability that is
 * asked for; so no more tokens are sorted than are kept.
 *
 * Compiled with -ffp-contract=off (see meson.build).
 */
#include "choice.h"

#include <math.h>

#include "../base/integers.h"
#include "exponential.h"

enum { LANES = 8 }; /* sums and maxima run in so many lanes, which a compiler can vectorise */

int32_t sgti_choice_read(double *values, const float *logits, int32_t vocab_size)
{
    const uint32_t infinity = 0x7f800000, magnitude = 0x7fffffff;
    uint32_t wrong = 0;
    for (int32_t i = 0; i < vocab_size; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        wrong |= (uint32_t)((bits & magnitude) > infinity) | (uint32_t)(bits == infinity);
        values[i] = logits[i];
    }
    for (int32_t i = 0; wrong && i < vocab_size; i++)
        if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0))
            return i;
    return -1;
}

double sgti_choice_penalise(double value, double penalty)
{
    return value > 0 ? value / penalty : value * penalty;
}

int32_t sgti_choice_likeliest(const double *values, int32_t vocab_size)
{
    double lanes[LANES], highest = -INFINITY;
    int32_t whole = vocab_size - vocab_size % LANES;
    for (int j = 0; j < LANES; j++)
        lanes[j] = -INFINITY;
    for (int32_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++)
            lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
    for (int j = 0; j < LANES; j++)
        highest = lanes[j] > highest ? lanes[j] : highest;
    for (int32_t i = whole; i < vocab_size; i++)
        highest = values[i] > highest ? values[i] : highest;
    if (isinf(highest))
        return -1;
    int32_t token = 0;
    while (values[token] != highest)
        token++;
    return token;
}

/* ---- weights of the whole vocabulary ---- */

static double sum(const double *weights, int32_t count)
{
    double lanes[LANES] = {0}, total = 0;
    int32_t whole = count - count % LANES;
    for (int32_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++)
            lanes[j] += weights[i + j];
    for (int j = 0; j < LANES; j++)
        total += lanes[j];
    for (int32_t i = whole; i < count; i++)
        total += weights[i];
    return total;
}

static int32_t block_length(const sgti_choice *c, int64_t first)
{
    return (int32_t)sgti_min_i64(c->vocab_size - first, SGTI_CHOICE_BLOCK);
}

/* Fills the weights and the sums of their blocks, and returns the total. A weight below `least` is
 * set to 0. */
static double weigh(const sgti_choice *c, double highest, double least)
{
    double total = 0;
    for (int64_t first = 0; first < c->vocab_size; first += SGTI_CHOICE_BLOCK) {
        const double *restrict values = c->values + first;
        double *restrict weights = c->weights + first;
        int32_t count = block_length(c, first);
        for (int32_t i = 0; i < count; i++) {
            double weight = sgti_exp((values[i] - highest) / c->temperature);
            weights[i] = weight < least ? 0 : weight;
        }
        double together = sum(weights, count);
        c->blocks[first / SGTI_CHOICE_BLOCK] = together;
        total += together;
    }
    return total;
}

/* The sums of the blocks add up to the total, so `place` lies in one of them. Its tokens are added
 * one by one, in another order than the sum of the block was: rounding may leave them just below
 * `place`, which is then in the last token of a weight above 0. */
static int32_t draw_from_all(const sgti_choice *c, double place)
{
    double before = 0;
    int64_t first = 0, last = 0;
    const double *block = c->blocks;
    while (before + *block <= place && first + SGTI_CHOICE_BLOCK < c->vocab_size) {
        before += *block++;
        first += SGTI_CHOICE_BLOCK;
    }
    int64_t end = first + block_length(c, first);
    for (int64_t i = first; i < end; i++) {
        if (!(c->weights[i] > 0))
            continue;
        last = i;
        before += c->weights[i];
        if (place < before)
            break;
    }
    return (int32_t)last;
}

/* ---- candidates ---- */

static int is_likelier(const sgti_candidate *a, const sgti_candidate *b)
{
    return a->value > b->value || (a->value == b->value && a->token < b->token);
}

/* Lets entry i sink to its place in a heap. The root of the heap is the likeliest candidate
 * (likeliest_first 1) or the unlikeliest (0). */
static void sink(sgti_candidate *heap, int32_t count, int32_t i, int likeliest_first)
{
    sgti_candidate moving = heap[i];
    while (i < count / 2) {
        int32_t child = 2 * i + 1;
        if (child + 1 < count && is_likelier(&heap[child + 1], &heap[child]) == likeliest_first)
            child++;
        if (is_likelier(&heap[child], &moving) != likeliest_first)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

static void make_heap(sgti_candidate *heap, int32_t count, int likeliest_first)
{
    for (int32_t i = count / 2 - 1; i >= 0; i--)
        sink(heap, count, i, likeliest_first);
}

/* Takes the likeliest out of a heap and puts it behind the heap's new end; returns how many are
 * left in it. */
static int32_t pop(sgti_candidate *heap, int32_t count)
{
    sgti_candidate root = heap[0];
    heap[0] = heap[--count];
    heap[count] = root;
    sink(heap, count, 0, 1);
    return count;
}

/* Fills the candidates with the top_k likeliest tokens, the likeliest last. The root of the first
 * heap is the one that gives way to a likelier token; the second heap sorts. */
static void select_top_k(const sgti_choice *c)
{
    sgti_candidate *heap = c->candidates;
    for (int32_t i = 0; i < c->top_k; i++)
        heap[i] = (sgti_candidate){c->values[i], i};
    make_heap(heap, c->top_k, 0);
    for (int32_t i = c->top_k; i < c->vocab_size; i++)
        if (c->values[i] > heap[0].value) {
            heap[0] = (sgti_candidate){c->values[i], i};
            sink(heap, c->top_k, 0, 0);
        }
    make_heap(heap, c->top_k, 1);
    for (int32_t left = c->top_k; left > 0;)
        left = pop(heap, left);
}

/* Draws from candidates first .. end-1, the likeliest last. `total` is the sum of their weights. */
static int32_t draw_from_candidates(const sgti_choice *c, int32_t first, int32_t end, double total,
                                    double uniform)
{
    double place = uniform * total, before = 0;
    int32_t i = end;
    do
        before += c->candidates[--i].value;
    while (i > first && before <= place);
    return c->candidates[i].token;
}

/* top_p and min_p then keep the likeliest of the top_k. */
static int32_t draw_top_k(const sgti_choice *c, double highest, double uniform)
{
    double total = 0, kept = 0;
    int32_t first = c->top_k;
    select_top_k(c);
    for (int32_t i = c->top_k - 1; i >= 0; i--) {
        sgti_candidate *candidate = &c->candidates[i];
        candidate->value = sgti_exp((candidate->value - highest) / c->temperature);
        total += candidate->value;
    }
    while (first > 0 && kept < c->top_p * total && c->candidates[first - 1].value >= c->min_p)
        kept += c->candidates[--first].value;
    return draw_from_candidates(c, first, c->top_k, kept, uniform);
}

/*
 * Makes candidates of the tokens that can belong to top_p, and returns how many there are. The rest
 * of the probability, 1 - top_p, is not needed. V tokens that each have less than 1/V of that rest
 * have less than all of it together, so the others reach top_p without them. The limit is half of
 * this, so that the rounding of sums cannot matter; where the rest is as small as roundings may be,
 * no token stays out.
 */
static int32_t gather(const sgti_choice *c, double total)
{
    const double rounding = 1e-9; /* far above the relative rounding of any sum here */
    double spare = 1 - c->top_p;
    double least = spare > rounding ? 0.5 * spare * total / c->vocab_size : 0;
    int32_t count = 0;
    for (int32_t i = 0; i < c->vocab_size; i++)
        if (c->weights[i] > 0 && c->weights[i] >= least)
            c->candidates[count++] = (sgti_candidate){c->values[i], i};
    return count;
}

static int32_t draw_top_p(const sgti_choice *c, double highest, double uniform)
{
    double total = weigh(c, highest, 0), kept = 0;
    int32_t count = gather(c, total), first = count;
    make_heap(c->candidates, count, 1);
    while (first > 0 && kept < c->top_p * total) {
        double weight = c->weights[c->candidates[0].token];
        if (weight < c->min_p)
            break;
        first = pop(c->candidates, first);
        c->candidates[first].value = weight;
        kept += weight;
    }
    return draw_from_candidates(c, first, count, kept, uniform);
}

int32_t sgti_choice_draw(const sgti_choice *choice, int32_t likeliest, double uniform)
{
    double highest = choice->values[likeliest];
    if (choice->top_k > 0)
        return draw_top_k(choice, highest, uniform);
    if (choice->top_p < 1)
        return draw_top_p(choice, highest, uniform);
    return draw_from_all(choice, uniform * weigh(choice, highest, choice->min_p));
}

/* ---- probabilities ---- */

double sgti_choice_sum_exp(const float *logits, int32_t vocab_size, double highest)
{
    double weights[SGTI_CHOICE_BLOCK], total = 0;
    for (int64_t first = 0; first < vocab_size; first += SGTI_CHOICE_BLOCK) {
        int32_t count = (int32_t)sgti_min_i64(vocab_size - first, SGTI_CHOICE_BLOCK);
        for (int32_t i = 0; i < count; i++)
            weights[i] = sgti_exp(logits[first + i] - highest);
        total += sum(weights, count);
    }
    return total;
}
