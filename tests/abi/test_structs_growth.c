/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of older and newer callers in the calls of growth.h and sys/growth.h, and the structs
 * that the library hands to callbacks. */
#include <string.h>

#include <sgt/optimizer.h>
#include <sgt/sys/growth.h>

#include "fixtures.h"
#include "struct_versions.h"

static sgt_context *context;
static sgt_model *model;
static sgt_optimizer *optimizer;
static sgt_growth_policy *policy;
static sgt_growth *growth;
static sgt_plan *plan;
static sgt_batch batch;
static int64_t steps;

static sgt_growth_sparse_options a_policy;
static sgt_growth_options a_growth;
static sgt_growth_input an_input;
static sgt_growth_observation an_observation;
static sgt_growth_policy_vtable a_table;
static double entropies[3 * 4];

/* ---- a policy of the host's own, which looks at what it is given ---- */

static int decisions;

static int32_t make_state(void **state, void *user, int32_t n_layers, int32_t n_heads)
{
    (void)user, (void)n_layers, (void)n_heads;
    *state = NULL;
    return 0;
}

static int32_t look(void *state, void *user, const sgt_growth_observation *observation,
                    sgt_plan *edited, sgt_growth_event *event)
{
    (void)state, (void)user, (void)edited;
    ck_assert_uint_eq(observation->size, sizeof *observation);
    ck_assert_uint_eq(event->size, sizeof *event);
    ck_assert_int_eq(event->action, SGT_GROWTH_NONE);
    decisions++;
    return 0;
}

static sgt_growth_policy *looking_policy(void)
{
    sgt_growth_policy *made;
    sgtt_ok(sgt_growth_policy_custom(&made, context, 3, 4, &a_table, NULL));
    return made;
}

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    batch = sgtt_batch(2, 5, config.vocab_size, 2, 0);
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    a_table = (sgt_growth_policy_vtable){.size = sizeof a_table,
                                         .entropy = SGT_ENTROPY_LAST,
                                         .create = make_state,
                                         .decide = look};
    policy = looking_policy();
    sgtt_ok(sgt_growth_create(&growth, model, policy, NULL));
    sgtt_ok(sgt_plan_create(&plan, context, 3, 4));
    steps = 0;

    sgtt_ok(sgt_growth_sparse_options_init(&a_policy, sizeof a_policy));
    a_policy.first_step = 1;
    sgtt_ok(sgt_growth_options_init(&a_growth, sizeof a_growth));
    an_input = (sgt_growth_input){.size = sizeof an_input, .loss = 2.5};
    an_observation = (sgt_growth_observation){.size = sizeof an_observation,
                                              .n_layers = 3,
                                              .n_heads = 4,
                                              .max_passes = 1,
                                              .plan = plan,
                                              .last_entropy = entropies,
                                              .mean_entropy = entropies};
}

static void teardown(void)
{
    sgt_plan_free(plan);
    sgt_growth_free(growth);
    sgt_growth_policy_free(policy);
    sgt_optimizer_free(optimizer);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

/* ---- structs that a call reads ---- */

static sgt_status with_policy_options(void *input)
{
    sgt_growth_policy *made;
    sgt_status status = sgt_growth_policy_sparse(&made, context, 3, 4, input);
    if (status == SGT_OK)
        sgt_growth_policy_free(made);
    return status;
}

static sgt_status with_vtable(void *input)
{
    sgt_growth_policy *made;
    sgt_status status = sgt_growth_policy_custom(&made, context, 3, 4, input, NULL);
    if (status == SGT_OK)
        sgt_growth_policy_free(made);
    return status;
}

/* A refused growth leaves model and policy free for the next one. */
static sgt_status with_growth_options(void *input)
{
    sgt_growth_free(growth);
    growth = NULL;
    sgt_growth *made = NULL;
    sgt_status status = sgt_growth_create(&made, model, policy, input);
    ck_assert_int_eq(made != NULL, status == SGT_OK);
    sgt_growth_free(made);
    sgtt_ok(sgt_growth_create(&growth, model, policy, NULL));
    return status;
}

static void train_one_step(void)
{
    sgtt_step(model, &batch);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
}

/* The step number goes up at each call, as it must. */
static sgt_status with_growth_input(void *input)
{
    steps++;
    memcpy((char *)input + offsetof(sgt_growth_input, step), &steps, sizeof steps);
    train_one_step();
    decisions = 0;
    sgt_status status = sgt_growth_step(NULL, growth, input);
    ck_assert_int_eq(decisions, status == SGT_OK);
    return status;
}

static sgt_status with_observation(void *input)
{
    steps++;
    memcpy((char *)input + offsetof(sgt_growth_observation, step), &steps, sizeof steps);
    decisions = 0;
    sgt_status status = sgt_growth_policy_decide(NULL, policy, input, plan);
    ck_assert_int_eq(decisions, status == SGT_OK);
    return status;
}

static const struct_input inputs[] = {
    INPUT(sgt_growth_policy_sparse, sgt_growth_sparse_options, with_policy_options, &a_policy),
    INPUT(sgt_growth_policy_custom, sgt_growth_policy_vtable, with_vtable, &a_table),
    INPUT(sgt_growth_create, sgt_growth_options, with_growth_options, &a_growth),
    INPUT(sgt_growth_step, sgt_growth_input, with_growth_input, &an_input),
    INPUT(sgt_growth_policy_decide, sgt_growth_observation, with_observation, &an_observation),
};

/* ---- structs that a call fills ---- */

static sgt_status fill_event(void *output)
{
    an_input.step = ++steps;
    train_one_step();
    decisions = 0;
    sgt_status status = sgt_growth_step(output, growth, &an_input);
    ck_assert_int_eq(decisions, status == SGT_OK);
    return status;
}

static sgt_status fill_decided_event(void *output)
{
    an_observation.step = ++steps;
    return sgt_growth_policy_decide(output, policy, &an_observation, plan);
}

static const struct_output outputs[] = {
    OUTPUT(sgt_growth_step, sgt_growth_event, fill_event, 1),
    OUTPUT(sgt_growth_policy_decide, sgt_growth_event, fill_decided_event, 1),
};

/* ---- the functions that fill in defaults ---- */

INIT_CALL(sgt_growth_sparse_options_init, sgt_growth_sparse_options)
INIT_CALL(sgt_growth_options_init, sgt_growth_options)

static const struct_init inits[] = {
    INIT(sgt_growth_sparse_options_init, sgt_growth_sparse_options),
    INIT(sgt_growth_options_init, sgt_growth_options),
};

/* ---- callbacks: a newer host sees by the size which fields an older library has ---- */

static int32_t see_progress(void *user, const sgt_progress *progress)
{
    ++*(int *)user;
    ck_assert_uint_eq(progress->size, sizeof *progress);
    ck_assert_int_ge(progress->phase, SGT_PHASE_FORWARD);
    return 0;
}

START_TEST(callbacks_get_the_size_of_their_structs)
{
    int seen = 0;
    sgt_context *other;
    sgt_context_options options = sgtt_model_options();
    options.progress = see_progress;
    options.progress_user = &seen;
    sgtt_ok(sgt_context_create(&other, &options));
    sgt_model_config config = sgtt_config();
    sgt_model *watched = sgtt_model(other, &config, 1);
    sgtt_step(watched, &batch);
    ck_assert_int_ge(seen, 2 * config.n_layers);
    sgt_model_free(watched);
    sgt_context_free(other);
}
END_TEST

int main(void)
{
    Suite *suite =
        struct_suite("structs of other versions: growth", STRUCT_TABLES, setup, teardown);
    TCase *cases = tcase_create("callbacks");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, callbacks_get_the_size_of_their_structs);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
