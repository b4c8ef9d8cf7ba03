/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of samplers: all of it is taken when they are made, or none; long windows. */
#include "fixtures.h"
#include "sampler_reference.h"
#include "test_allocator.h"

static sgt_context *watched_context(test_allocator *allocator)
{
    sgt_context_options options = sgtt_model_options();
    sgt_context *context;
    test_allocator_init(allocator);
    options.allocator = &allocator->interface;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

/* Settings that need every array there is. */
static sgt_sampler_options all_options(void)
{
    static const int32_t tokens[] = {1, 2};
    static const float bias[] = {0.5f, -0.5f};
    sgt_sampler_options options = sampling_defaults();
    options.top_p = 0.9;
    options.repetition_penalty = 1.1;
    options.bias_tokens = tokens;
    options.bias = bias;
    options.n_bias = 2;
    return options;
}

START_TEST(an_allocation_fails)
{
    test_allocator allocator;
    sgt_context *context = watched_context(&allocator);
    sgt_sampler_options options = all_options();
    int64_t live = allocator.live, before = allocator.calls;
    sgt_sampler *sampler = NULL;
    sgtt_ok(sgt_sampler_create(&sampler, context, 1000, &options));
    int64_t calls = allocator.calls - before;
    sgt_sampler_free(sampler);
    ck_assert_int_ge(calls, 1);
    for (int64_t i = 0; i < calls; i++) {
        sampler = NULL;
        allocator.fail_at = allocator.calls + i;
        allocator.fail_count = 1;
        sgtt_fails(sgt_sampler_create(&sampler, context, 1000, &options), SGT_E_OUT_OF_MEMORY,
                   "sampler");
        ck_assert_ptr_null(sampler);
        ck_assert_int_eq(allocator.live, live);
    }
    sgt_context_free(context);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

START_TEST(a_pick_allocates_nothing)
{
    enum { VOCAB = 3000 };
    float logits[VOCAB];
    test_allocator allocator;
    sgt_context *context = watched_context(&allocator);
    fill_logits(logits, VOCAB, LOGITS_EVEN, 1);
    for (int i = 0; i < 4; i++) {
        sgt_sampler_options options = all_options();
        sgt_sampler *sampler;
        int32_t token;
        options.top_k = i & 1 ? 50 : 0;
        options.top_p = i & 2 ? 0.7 : 1;
        sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, &options));
        int64_t calls = allocator.calls;
        for (int pick = 0; pick < 100; pick++) {
            sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
            sgtt_ok(sgt_sampler_accept(sampler, &token, 1));
        }
        sgtt_ok(sgt_sampler_reset(sampler, 3));
        ck_assert_int_eq(allocator.calls, calls);
        sgt_sampler_free(sampler);
    }
    sgt_context_free(context);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

START_TEST(the_limit_of_the_context_holds)
{
    sgt_context_options limited = sgtt_model_options();
    sgt_context *context;
    sgt_sampler *sampler = NULL;
    sgt_sampler_options options = sampling_defaults();
    limited.memory_limit = sgtt_memory(context = sgtt_model_context()).current + 100000;
    sgt_context_free(context);
    sgtt_ok(sgt_context_create(&context, &limited));
    uint64_t before = sgtt_memory(context).current;
    sgtt_fails(sgt_sampler_create(&sampler, context, INT32_MAX, &options), SGT_E_MEMORY_LIMIT,
               "the arrays of a sampler");
    options.repetition_penalty = 2;
    options.repetition_window = INT32_MAX;
    sgtt_fails(sgt_sampler_create(&sampler, context, 10, &options), SGT_E_MEMORY_LIMIT,
               "the arrays of a sampler");
    ck_assert_uint_eq(sgtt_memory(context).current, before);
    options.repetition_penalty = 1; /* nobody looks at the window then */
    sgtt_ok(sgt_sampler_create(&sampler, context, 10, &options));
    sgt_sampler_free(sampler);
    ck_assert_uint_eq(sgtt_memory(context).current, before);
    sgt_context_free(context);
}
END_TEST

enum { CYCLE = 50, CYCLES = 2000, PICKS = 200 };

/* The lowest token that is not among the last `window` ones of a text; 0 when all are. */
static int32_t lowest_missing(const int32_t *text, int32_t length, int32_t window)
{
    int there[CYCLE] = {0};
    for (int32_t i = length > window ? length - window : 0; i < length; i++)
        there[text[i]] = 1;
    for (int32_t token = 0; token < CYCLE; token++)
        if (!there[token])
            return token;
    return 0;
}

/* Windows that are filled several times over, some longer than the vocabulary. Of equal logits the
 * likeliest is the lowest that is not penalised. */
START_TEST(long_windows)
{
    static const int32_t windows[] = {0, 1, CYCLE - 1, CYCLE, CYCLE + 1, 10 * CYCLE, 5000, 1000000};
    static int32_t text[CYCLE * CYCLES + PICKS];
    float logits[CYCLE];
    int32_t prompt = CYCLE * CYCLES;
    sgt_context *context = sgtt_model_context();
    for (int i = 0; i < CYCLE; i++)
        logits[i] = 1;
    for (int32_t i = 0; i < prompt; i++)
        text[i] = (7 * i + 3) % CYCLE;
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        sgt_sampler_options options = sampling_defaults();
        sgt_sampler *sampler;
        options.temperature = 0;
        options.repetition_penalty = 4;
        options.repetition_window = windows[w];
        sgtt_ok(sgt_sampler_create(&sampler, context, CYCLE, &options));
        for (int32_t i = 0; i < prompt; i += CYCLE)
            sgtt_ok(sgt_sampler_accept(sampler, text + i, CYCLE));
        for (int32_t i = prompt; i < prompt + PICKS; i++) {
            int32_t expected = lowest_missing(text, i, windows[w]);
            sgtt_ok(sgt_sampler_pick(&text[i], sampler, logits));
            ck_assert_int_eq(text[i], expected);
        }
        sgt_sampler_free(sampler);
    }
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory of samplers");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, an_allocation_fails);
    tcase_add_test(cases, a_pick_allocates_nothing);
    tcase_add_test(cases, the_limit_of_the_context_holds);
    tcase_add_test(cases, long_windows);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
