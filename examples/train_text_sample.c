/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "long_text.h"
#include "text_output.h"
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

int64_t held_out_windows(const settings *o, size_t n_bytes)
{
    return (int64_t)((n_bytes - 2) / (size_t)o->seq + 1);
}

sgt_status evaluate_text(evaluation *e, const sgt_model *model, const settings *o,
                         const unsigned char *bytes, size_t n_bytes, int64_t max_windows)
{
    size_t seq = (size_t)o->seq, rows = (size_t)(o->batch / o->micro_batches);
    size_t all = (size_t)held_out_windows(o, n_bytes);
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
        sgt_batch batch = {.size = sizeof batch,
                           .batch = (int32_t)used,
                           .seq = (int32_t)seq,
                           .tokens = tokens,
                           .targets = targets};
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

static int32_t on_token(void *user, int32_t token, int32_t index)
{
    (void)index;
    text_put(user, (unsigned char)token);
    return 0;
}

/* One text; the sampler draws as the number of the sample says. */
static sgt_status print_sample(long_text *text, const settings *o, uint64_t number)
{
    text_output output = {.file = stdout, .at_line_start = 1};
    printf("---- sample %llu ----\n", (unsigned long long)number);
    for (const char *c = o->prompt; *c; c++)
        text_put(&output, (unsigned char)*c);
    text->callback = on_token;
    text->user = &output;
    sgt_status status = sgt_sampler_reset(text->sampler, mix_bits((uint64_t)o->seed) + number);
    if (status == SGT_OK)
        status = long_text_write(text);
    text_end(&output);
    return status;
}

static sgt_status make_sampler(sgt_sampler **sampler, sgt_context *context, const settings *o)
{
    sgt_sampler_options options;
    sgt_status status = sgt_sampler_options_init(&options, sizeof options);
    options.temperature = o->temperature;
    options.top_k = (int32_t)o->top_k;
    return status == SGT_OK ? sgt_sampler_create(sampler, context, VOCABULARY, &options) : status;
}

sgt_status print_samples(sgt_context *context, const sgt_model *model, const settings *o)
{
    size_t prompt = strlen(o->prompt);
    long_text text = {.n_prompt = (int32_t)prompt, .n_new = (int32_t)o->sample_bytes};
    if (!o->samples)
        return SGT_OK;
    sgt_status status = sgt_session_create(&text.session, model, NULL);
    if (status == SGT_OK)
        status = make_sampler(&text.sampler, context, o);
    if (status == SGT_OK && !(text.tokens = malloc((prompt + (size_t)o->sample_bytes) *
                                                   sizeof *text.tokens)))
        status = SGT_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < prompt && status == SGT_OK; i++)
        text.tokens[i] = (unsigned char)o->prompt[i];
    for (int64_t s = 1; s <= o->samples && status == SGT_OK; s++)
        status = print_sample(&text, o, (uint64_t)s);
    if (status == SGT_OK)
        puts("----");
    free(text.tokens);
    sgt_sampler_free(text.sampler);
    sgt_session_free(text.session);
    return status;
}
