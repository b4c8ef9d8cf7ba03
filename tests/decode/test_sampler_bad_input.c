/* SPDX-License-Identifier: BSD-3-Clause */
/* Samplers given what they cannot use: a status, a message that names it, nothing changed. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "fixtures.h"
#include "sampler_reference.h"

enum { VOCAB = 20 };

/* What a program compiled against a later header would pass. */
typedef struct newer_options {
    sgt_sampler_options known;
    double later;
} newer_options;

static void refuse(sgt_context *context, const sgt_sampler_options *options, sgt_status status,
                   const char *message)
{
    sgt_sampler *sampler = NULL;
    sgtt_fails(sgt_sampler_create(&sampler, context, VOCAB, options), status, message);
    ck_assert_ptr_null(sampler);
}

START_TEST(numbers_out_of_range_name_the_option)
{
    static const struct {
        size_t offset;
        const char *field;
        double values[4]; /* the last one is NaN */
    } numbers[] = {
        {offsetof(sgt_sampler_options, temperature), ".temperature is",
         {-1e-9, INFINITY, -INFINITY, NAN}},
        {offsetof(sgt_sampler_options, top_p), ".top_p is", {0, -0.5, 1.0000001, NAN}},
        {offsetof(sgt_sampler_options, min_p), ".min_p is", {-1e-9, 1.0000001, INFINITY, NAN}},
        {offsetof(sgt_sampler_options, repetition_penalty), ".repetition_penalty is",
         {0, -1, INFINITY, NAN}},
    };
    static const struct {
        size_t offset;
        const char *message;
    } counts[] = {
        {offsetof(sgt_sampler_options, top_k), "sgt_sampler_options.top_k is -1, below 0"},
        {offsetof(sgt_sampler_options, repetition_window), ".repetition_window is -1, below 0"},
        {offsetof(sgt_sampler_options, n_bias), ".n_bias is -1, below 0"},
    };
    sgt_context *context = sgtt_model_context();
    for (size_t f = 0; f < sizeof numbers / sizeof numbers[0]; f++)
        for (int v = 0; v < 4; v++) {
            sgt_sampler_options options = sampling_defaults();
            memcpy((char *)&options + numbers[f].offset, &numbers[f].values[v], sizeof(double));
            refuse(context, &options, v < 3 ? SGT_E_OUT_OF_RANGE : SGT_E_INVALID_ARGUMENT,
                   numbers[f].field);
        }
    for (size_t f = 0; f < sizeof counts / sizeof counts[0]; f++) {
        sgt_sampler_options options = sampling_defaults();
        memcpy((char *)&options + counts[f].offset, &(int32_t){-1}, sizeof(int32_t));
        refuse(context, &options, SGT_E_OUT_OF_RANGE, counts[f].message);
    }
    sgt_context_free(context);
}
END_TEST

START_TEST(bias_that_cannot_be)
{
    int32_t tokens[] = {0, VOCAB - 1};
    float bias[] = {1, -INFINITY};
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    options.n_bias = 2;
    options.bias = bias;
    refuse(context, &options, SGT_E_INVALID_ARGUMENT, ".bias_tokens is NULL, n_bias is 2");
    options.bias = NULL;
    options.bias_tokens = tokens;
    refuse(context, &options, SGT_E_INVALID_ARGUMENT, ".bias is NULL, n_bias is 2");
    options.bias = bias;
    tokens[1] = VOCAB;
    refuse(context, &options, SGT_E_OUT_OF_RANGE, ".bias_tokens[1] is 20, not in 0 .. 19");
    tokens[1] = -1;
    refuse(context, &options, SGT_E_OUT_OF_RANGE, ".bias_tokens[1] is -1");
    tokens[1] = 1;
    bias[0] = INFINITY;
    refuse(context, &options, SGT_E_OUT_OF_RANGE, ".bias[0] is inf");
    bias[0] = NAN;
    refuse(context, &options, SGT_E_INVALID_ARGUMENT, ".bias[0] is");
    sgt_context_free(context);
}
END_TEST

START_TEST(structs_of_other_versions)
{
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler = NULL;
    newer_options newer = {.later = 0};
    sgtt_fails(sgt_sampler_options_init(NULL, sizeof newer), SGT_E_INVALID_ARGUMENT,
               "sgt_sampler_options is NULL");
    sgtt_fails(sgt_sampler_options_init(&newer.known, 8), SGT_E_STRUCT_SIZE,
               "sgt_sampler_options");
    sgtt_ok(sgt_sampler_options_init(&newer.known, sizeof newer));
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, &newer.known));
    sgt_sampler_free(sampler);
    newer.later = 1;
    refuse(context, &newer.known, SGT_E_STRUCT_SIZE, "sgt_sampler_options: a field at byte");
    sgt_sampler_options unset = {0};
    refuse(context, &unset, SGT_E_STRUCT_SIZE, "sgt_sampler_options: size is 0");
    sgt_context_free(context);
}
END_TEST

START_TEST(arguments_of_create)
{
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler = NULL;
    sgtt_fails(sgt_sampler_create(NULL, context, VOCAB, NULL), SGT_E_INVALID_ARGUMENT,
               "sampler is NULL");
    sgtt_fails(sgt_sampler_create(&sampler, NULL, VOCAB, NULL), SGT_E_INVALID_ARGUMENT,
               "context is NULL");
    sgtt_fails(sgt_sampler_create(&sampler, context, 0, NULL), SGT_E_OUT_OF_RANGE,
               "vocab_size is 0");
    sgtt_fails(sgt_sampler_create(&sampler, context, INT32_MIN, NULL), SGT_E_OUT_OF_RANGE,
               "vocab_size is -2147483648");
    ck_assert_ptr_null(sampler);
    sgt_sampler_free(NULL);
    sgt_context_free(context);
}
END_TEST

/* Two samplers, of which only one meets errors, go on alike. */
START_TEST(a_failed_call_changes_nothing)
{
    static const float wrong[] = {NAN, -NAN, INFINITY};
    float logits[VOCAB], broken[VOCAB], forbidden[VOCAB];
    int32_t token = 77, other = 0;
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    sgt_sampler *calm, *tried;
    options.repetition_penalty = 2;
    options.repetition_window = 5;
    sgtt_ok(sgt_sampler_create(&calm, context, VOCAB, &options));
    sgtt_ok(sgt_sampler_create(&tried, context, VOCAB, &options));
    fill_logits(logits, VOCAB, LOGITS_EVEN, 1);
    for (int i = 0; i < VOCAB; i++)
        forbidden[i] = -INFINITY;
    for (int round = 0; round < 3 * VOCAB; round++) {
        char message[32];
        int at = round % VOCAB;
        memcpy(broken, logits, sizeof broken);
        broken[at] = wrong[round % 3];
        snprintf(message, sizeof message, "logits[%d] is %s", at,
                 round % 3 < 2 ? "not a number" : "+infinity");
        token = 77;
        sgtt_fails(sgt_sampler_pick(&token, tried, broken), SGT_E_INVALID_ARGUMENT, message);
        sgtt_fails(sgt_sampler_pick(&token, tried, forbidden), SGT_E_INVALID_ARGUMENT,
                   "forbid all 20 tokens");
        int32_t prompt[] = {1, 2, round % 2 ? VOCAB : -1};
        sgtt_fails(sgt_sampler_accept(tried, prompt, 3), SGT_E_OUT_OF_RANGE, "tokens[2] is");
        ck_assert_int_eq(token, 77);
        sgtt_ok(sgt_sampler_pick(&token, tried, logits));
        sgtt_ok(sgt_sampler_pick(&other, calm, logits));
        ck_assert_int_eq(token, other);
    }
    sgt_sampler_free(calm);
    sgt_sampler_free(tried);
    sgt_context_free(context);
}
END_TEST

/* The bias alone may forbid everything. */
START_TEST(bias_forbids_all)
{
    const int32_t tokens[] = {0, 1};
    const float bias[] = {-INFINITY, -INFINITY}, logits[] = {1, 2};
    int32_t token = 77;
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    sgt_sampler *sampler;
    options.bias_tokens = tokens;
    options.bias = bias;
    options.n_bias = 2;
    sgtt_ok(sgt_sampler_create(&sampler, context, 2, &options));
    sgtt_fails(sgt_sampler_pick(&token, sampler, logits), SGT_E_INVALID_ARGUMENT,
               "forbid all 2 tokens");
    ck_assert_int_eq(token, 77);
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

START_TEST(arguments_of_calls)
{
    const float logits[VOCAB] = {0};
    int32_t token = 3;
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler;
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, NULL));
    sgtt_fails(sgt_sampler_pick(NULL, sampler, logits), SGT_E_INVALID_ARGUMENT, "token is NULL");
    sgtt_fails(sgt_sampler_pick(&token, NULL, logits), SGT_E_INVALID_ARGUMENT, "sampler is NULL");
    sgtt_fails(sgt_sampler_pick(&token, sampler, NULL), SGT_E_INVALID_ARGUMENT, "logits is NULL");
    sgtt_fails(sgt_sampler_accept(NULL, &token, 1), SGT_E_INVALID_ARGUMENT, "sampler is NULL");
    sgtt_fails(sgt_sampler_accept(sampler, NULL, 1), SGT_E_INVALID_ARGUMENT, "tokens is NULL");
    sgtt_fails(sgt_sampler_accept(sampler, &token, -1), SGT_E_INVALID_ARGUMENT, "count is -1");
    sgtt_ok(sgt_sampler_accept(sampler, NULL, 0));
    sgtt_fails(sgt_sampler_reset(NULL, 1), SGT_E_INVALID_ARGUMENT, "sampler is NULL");
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

/* The sampler may be the last that needs the context. */
START_TEST(a_sampler_keeps_its_context)
{
    const float logits[VOCAB] = {0};
    int32_t token = -1;
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler;
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, NULL));
    sgt_context_free(context);
    sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
    ck_assert_int_ge(token, 0);
    sgt_sampler_free(sampler);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad input of samplers");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, numbers_out_of_range_name_the_option);
    tcase_add_test(cases, bias_that_cannot_be);
    tcase_add_test(cases, structs_of_other_versions);
    tcase_add_test(cases, arguments_of_create);
    tcase_add_test(cases, a_failed_call_changes_nothing);
    tcase_add_test(cases, bias_forbids_all);
    tcase_add_test(cases, arguments_of_calls);
    tcase_add_test(cases, a_sampler_keeps_its_context);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
