/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of older and newer callers in the calls of session.h and sampler.h. */
#include <sgt/session.h>

#include "fixtures.h"
#include "struct_versions.h"

#define ROOM_FOR 9 /* tokens of a sequence */

static sgt_context *context;
static sgt_model *model;
static sgt_session *session;
static sgt_sampler *sampler;

static const int32_t prompt[] = {3, 1, 4, 1};
#define N_PROMPT 4

static sgt_sampler_options a_sampling;
static sgt_session_options a_session;
static sgt_feed a_feed;
static sgt_session_generate_options a_generate;
static sgt_generate_batch a_batch;
static int32_t generated[2];
static sgt_generation a_generation;
static sgt_generation *const an_output = &a_generation;
static const sgt_session_generate_options *const some_options = &a_generate;

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    sgtt_ok(sgt_session_options_init(&a_session, sizeof a_session));
    a_session.max_length = ROOM_FOR;
    sgtt_ok(sgt_session_create(&session, model, &a_session));
    sgtt_ok(sgt_sampler_options_init(&a_sampling, sizeof a_sampling));
    a_sampling.temperature = 0;
    sgtt_ok(sgt_sampler_create(&sampler, context, config.vocab_size, &a_sampling));
    a_feed = (sgt_feed){.size = sizeof a_feed, .count = 1, .tokens = prompt};
    sgtt_ok(sgt_session_generate_options_init(&a_generate, sizeof a_generate));
    a_generate.max_tokens = 2;
    a_generate.tokens = generated;
    a_generation.size = sizeof a_generation;
    a_batch = (sgt_generate_batch){.size = sizeof a_batch,
                                   .count = 1,
                                   .samplers = &sampler,
                                   .prompts = prompt,
                                   .options = &some_options,
                                   .generations = &an_output};
}

static void teardown(void)
{
    sgt_sampler_free(sampler);
    sgt_session_free(session);
    sgt_model_free(model);
    sgt_context_free(context);
}

/* A call that is refused feeds nothing; what a good one fed is taken back. */
static sgt_status fed(sgt_status status, int32_t tokens)
{
    ck_assert_int_eq(sgt_session_length(session, 0), status == SGT_OK ? tokens : 0);
    sgtt_ok(sgt_session_rewind(session, 0, 0));
    return status;
}

/* ---- structs that a call reads ---- */

static sgt_status with_sampling_options(void *input)
{
    sgt_sampler *made = NULL;
    sgt_status status = sgt_sampler_create(&made, context, 19, input);
    ck_assert_int_eq(made != NULL, status == SGT_OK);
    sgt_sampler_free(made);
    return status;
}

static sgt_status with_session_options(void *input)
{
    sgt_session *made = NULL;
    sgt_status status = sgt_session_create(&made, model, input);
    if (status == SGT_OK)
        ck_assert_int_eq(sgt_session_max_length(made), ROOM_FOR);
    sgt_session_free(made);
    return status;
}

static sgt_status with_estimated_options(void *input)
{
    sgt_session_memory memory = {.size = sizeof memory};
    return sgt_session_estimate_memory(&memory, model, input);
}

static sgt_status with_feed(void *input)
{
    return fed(sgt_session_feed_batch(session, input), 1);
}

static sgt_status with_generate_options(void *input)
{
    sgt_generation generation = {.size = sizeof generation};
    sgt_status status =
        sgt_session_generate(&generation, session, 0, sampler, prompt, N_PROMPT, input);
    if (status == SGT_OK)
        ck_assert_int_eq(generation.count, 2);
    return fed(status, N_PROMPT + 1);
}

static sgt_status with_generate_batch(void *input)
{
    return fed(sgt_session_generate_batch(session, input), 2);
}

static const struct_input inputs[] = {
    INPUT(sgt_sampler_create, sgt_sampler_options, with_sampling_options, &a_sampling),
    INPUT(sgt_session_create, sgt_session_options, with_session_options, &a_session),
    INPUT(sgt_session_estimate_memory, sgt_session_options, with_estimated_options, &a_session),
    INPUT(sgt_session_feed_batch, sgt_feed, with_feed, &a_feed),
    INPUT(sgt_session_generate, sgt_session_generate_options, with_generate_options, &a_generate),
    INPUT(sgt_session_generate_batch, sgt_generate_batch, with_generate_batch, &a_batch),
};

/* ---- structs that a call fills ---- */

static sgt_status fill_memory(void *output)
{
    return sgt_session_estimate_memory(output, model, &a_session);
}

static sgt_status fill_score(void *output)
{
    return fed(sgt_session_score(output, session, 0, prompt, N_PROMPT, NULL), N_PROMPT);
}

static sgt_status fill_generation(void *output)
{
    return fed(
        sgt_session_generate(output, session, 0, sampler, prompt, N_PROMPT, &a_generate),
        N_PROMPT + 1);
}

static const struct_output outputs[] = {
    OUTPUT(sgt_session_estimate_memory, sgt_session_memory, fill_memory, 1),
    OUTPUT(sgt_session_score, sgt_score, fill_score, 1),
    OUTPUT(sgt_session_generate, sgt_generation, fill_generation, 1),
};

/* ---- the functions that fill in defaults ---- */

INIT_CALL(sgt_sampler_options_init, sgt_sampler_options)
INIT_CALL(sgt_session_options_init, sgt_session_options)
INIT_CALL(sgt_session_generate_options_init, sgt_session_generate_options)

static const struct_init inits[] = {
    INIT(sgt_sampler_options_init, sgt_sampler_options),
    INIT(sgt_session_options_init, sgt_session_options),
    INIT(sgt_session_generate_options_init, sgt_session_generate_options),
};

int main(void)
{
    Suite *suite =
        struct_suite("structs of other versions: sessions", STRUCT_TABLES, setup, teardown);
    return sgtt_run(suite);
}
