/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_text_data.h"

enum { VOCABULARY = 256 };

/* Window number `index` into row `row`; what is left of a short last window is ignored. */
static void fill_window(int32_t *tokens, int32_t *targets, size_t row, size_t seq,
                        const unsigned char *bytes, size_t n_bytes, size_t index)
{
    for (size_t t = 0; t < seq; t++) {
        size_t at = index * seq + t;
        tokens[row * seq + t] = at < n_bytes ? bytes[at] : 0;
        targets[row * seq + t] = at + 1 < n_bytes ? bytes[at + 1] : -1;
    }
}

sgt_status evaluate_text(evaluation *e, const sgt_model *model, const settings *o,
                         const unsigned char *bytes, size_t n_bytes, int64_t max_windows)
{
    size_t seq = (size_t)o->seq, rows = (size_t)(o->batch / o->micro_batches);
    size_t all = (n_bytes - 2) / seq + 1;
    size_t windows = all < (size_t)max_windows ? all : (size_t)max_windows;
    double loss_sum = 0;
    int64_t count = 0;
    sgt_status status = SGT_OK;
    int32_t *tokens = malloc(2 * rows * seq * sizeof *tokens);
    if (!tokens)
        return SGT_E_OUT_OF_MEMORY;
    int32_t *targets = tokens + rows * seq;
    for (size_t first = 0; first < windows && !status; first += rows) {
        size_t used = windows - first < rows ? windows - first : rows;
        for (size_t row = 0; row < used; row++)
            fill_window(tokens, targets, row, seq, bytes, n_bytes, (first + row) * all / windows);
        sgt_batch batch = {sizeof batch, (int32_t)used, (int32_t)seq, tokens, targets};
        sgt_metrics metrics = {.size = sizeof metrics};
        status = sgt_model_evaluate(&metrics, model, &batch, NULL);
        loss_sum += metrics.loss_sum;
        count += metrics.count;
    }
    free(tokens);
    if (status == SGT_OK)
        *e = (evaluation){loss_sum / (double)count / log(2), count, (int64_t)n_bytes - 1};
    return status;
}

/* ---- sampling ---- */

/* A number in [0,1): draw number `counter` of a seed. */
static double uniform(uint64_t seed, uint64_t counter)
{
    return (double)(mix_bits(mix_bits(seed) + counter) >> 11) * 0x1p-53;
}

/* The k-th largest of the logits. */
static float kth_largest(const float *logits, int k)
{
    float sorted[VOCABULARY];
    memcpy(sorted, logits, sizeof sorted);
    for (int i = 0; i < k; i++) {
        int best = i;
        for (int j = i + 1; j < VOCABULARY; j++)
            if (sorted[j] > sorted[best])
                best = j;
        float swap = sorted[i];
        sorted[i] = sorted[best];
        sorted[best] = swap;
    }
    return sorted[k - 1];
}

/* One byte from softmax(logits / temperature) over the top_k likeliest; `draw` in [0,1). */
static int32_t pick(const float *logits, double temperature, int64_t top_k, double draw)
{
    double weights[VOCABULARY], total = 0;
    float highest = kth_largest(logits, 1);
    float lowest = top_k ? kth_largest(logits, (int)top_k) : -INFINITY;
    int32_t last = 0;
    for (int32_t i = 0; i < VOCABULARY; i++) {
        weights[i] = 0;
        if (temperature > 0 && logits[i] >= lowest)
            weights[i] = exp((double)(logits[i] - highest) / temperature);
        else if (temperature == 0 && logits[i] == highest)
            weights[i] = 1;
        total += weights[i];
    }
    draw *= total;
    for (int32_t i = 0; i < VOCABULARY; i++) {
        if (weights[i] > 0)
            last = i;
        if (weights[i] > 0 && (draw -= weights[i]) < 0)
            break;
    }
    return last;
}

/* Control characters of a half-trained model should not reach a terminal. */
static void print_bytes(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((bytes[i] < 32 && bytes[i] != '\n' && bytes[i] != '\t') || bytes[i] == 127)
            printf("\\x%02x", bytes[i]);
        else
            putchar(bytes[i]);
}

/* Extends all rows of texts, (samples, room) with `length` bytes each, by one byte. */
static sgt_status extend(unsigned char *texts, size_t room, size_t length, int32_t *tokens,
                         float *logits, const sgt_model *model, const settings *o)
{
    size_t samples = (size_t)o->samples;
    size_t seq = length < (size_t)o->seq ? length : (size_t)o->seq;
    for (size_t s = 0; s < samples; s++)
        for (size_t t = 0; t < seq; t++)
            tokens[s * seq + t] = texts[s * room + length - seq + t];
    sgt_evaluate_options wanted;
    sgt_evaluate_options_init(&wanted, sizeof wanted);
    wanted.last_logits = logits;
    sgt_batch batch = {sizeof batch, (int32_t)samples, (int32_t)seq, tokens, NULL};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_status status = sgt_model_evaluate(&metrics, model, &batch, &wanted);
    for (size_t s = 0; s < samples && status == SGT_OK; s++) {
        double draw = uniform((uint64_t)o->seed, length * samples + s);
        texts[s * room + length] =
            (unsigned char)pick(logits + s * VOCABULARY, o->temperature, o->top_k, draw);
    }
    return status;
}

sgt_status print_samples(const sgt_model *model, const settings *o)
{
    size_t samples = (size_t)o->samples, prompt = strlen(o->prompt);
    size_t room = prompt + (size_t)o->sample_bytes;
    sgt_status status = SGT_OK;
    if (!samples)
        return SGT_OK;
    unsigned char *texts = malloc(samples * room);
    int32_t *tokens = malloc(samples * (size_t)o->seq * sizeof *tokens);
    float *logits = malloc(samples * VOCABULARY * sizeof *logits);
    if (!texts || !tokens || !logits) {
        status = SGT_E_OUT_OF_MEMORY;
        goto done;
    }
    for (size_t s = 0; s < samples; s++)
        memcpy(texts + s * room, o->prompt, prompt);
    for (size_t length = prompt; length < room && !status; length++)
        status = extend(texts, room, length, tokens, logits, model, o);
    for (size_t s = 0; s < samples && !status; s++) {
        printf("---- sample %zu ----\n", s + 1);
        print_bytes(texts + s * room, room);
        putchar('\n');
    }
    if (status == SGT_OK)
        puts("----");
done:
    free(texts);
    free(tokens);
    free(logits);
    return status;
}
