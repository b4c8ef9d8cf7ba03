/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that a host can plan with: a limit is kept and survived, a steady step takes none, and
 * nothing stays behind.
 */
#include <stdlib.h>
#include <string.h>

#include <sgt/growth.h>
#include <sgt/optimizer.h>
#include <sgt/session.h>

#include "test_allocator.h"
#include "fixtures.h"

/* ---- limits ---- */

/* The whole of a training step, an evaluation and a session, under a limit. */
static sgt_status live(sgt_context *context, const sgt_model_config *config)
{
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_session *session = NULL;
    sgt_session_options rounded;
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_batch batch = sgtt_batch(2, 64, config->vocab_size, 3, 0);
    sgt_status status = sgt_model_create(&model, context, config, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_create(&optimizer, model, NULL);
    if (status == SGT_OK)
        status = sgt_model_forward(&metrics, model, &batch);
    if (status == SGT_OK)
        status = sgt_model_evaluate(&metrics, model, &batch, NULL);
    if (status == SGT_OK)
        status = sgt_session_options_init(&rounded, sizeof rounded);
    rounded.weights = SGT_BF16;
    if (status == SGT_OK)
        status = sgt_session_create(&session, model, &rounded);
    sgt_session_free(session);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgtt_batch_free(&batch);
    return status;
}

/* As the limit rises, another purpose is the one that does not fit. */
START_TEST(what_does_not_fit_is_named)
{
    static const char *const purposes[] = {
        "the weights: ",
        "the moments: ",
        "the gradients: ",
        "the activations of a training step: ",
        "the rotary tables: ",
        "the activations of an evaluation: ",
        "the key/value cache: ",
        "the activations of a session: ",
        "the rounded weights of a session: ",
    };
    enum { N_PURPOSES = sizeof purposes / sizeof purposes[0] };
    sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE);
    int seen = 0, fitted = 0;
    sgt_context *context = sgtt_model_context();
    uint64_t limit = sgtt_memory(context).current;
    sgt_context_free(context);
    for (; !fitted; limit += 4096) {
        context = sgtt_limited_context(limit);
        sgt_status status = live(context, &config);
        fitted = status == SGT_OK;
        ck_assert(fitted || status == SGT_E_MEMORY_LIMIT);
        const char *message = fitted ? "" : sgt_error_message();
        for (int i = seen; i < N_PURPOSES; i++)
            if (strncmp(message, purposes[i], strlen(purposes[i])) == 0) {
                ck_assert_msg(i == seen, "%s: before it should be %s", message, purposes[seen]);
                ck_assert_msg(strstr(message, " bytes are in use already") != NULL, "%s", message);
                seen = i + 1;
            }
        sgt_context_free(context);
    }
    ck_assert_msg(seen == N_PURPOSES, "nothing was said of %s",
                  purposes[seen < N_PURPOSES ? seen : 0]);
}
END_TEST

START_TEST(a_batch_that_does_not_fit_leaves_the_model_usable)
{
    sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE);
    sgt_model_memory e = {.size = sizeof e};
    const sgt_model_memory_options step = {.size = sizeof step, .training = 1};
    sgt_context *context = sgtt_model_context();
    sgtt_ok(sgt_model_estimate_memory(&e, context, &config, NULL, 1, 90, &step));
    sgt_context_free(context);
    context = sgtt_limited_context(e.total);
    sgt_model *model = sgtt_model(context, &config, 3);
    sgt_batch fits = sgtt_batch(1, 90, config.vocab_size, 3, 0);
    sgt_batch large = sgtt_batch(8, 90, config.vocab_size, 3, 0);
    sgt_metrics first = sgtt_step(model, &fits), metrics = {.size = sizeof metrics};
    sgtt_fails(sgt_model_forward(&metrics, model, &large), SGT_E_MEMORY_LIMIT, "bytes");
    sgtt_fails(sgt_model_backward(model, 1.0, NULL), SGT_E_STATE, "");
    sgtt_fails(sgt_model_evaluate(&metrics, model, &large, NULL), SGT_E_MEMORY_LIMIT, "bytes");
    sgt_metrics again = sgtt_step(model, &fits);
    ck_assert_double_eq(first.loss_sum, again.loss_sum);
    sgtt_batch_free(&fits);
    sgtt_batch_free(&large);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Whatever part of it does not fit: limits from just above the present use upwards. */
START_TEST(a_plan_that_does_not_fit_changes_nothing)
{
    sgt_model_config config = sgtt_config();
    sgt_batch batch = sgtt_batch(2, 7, config.vocab_size, 3, 0);
    uint64_t needed = 0;
    int fitted = 0, refused = 0;
    for (uint64_t extra = 0; fitted == 0; extra += 96) {
        sgt_context *context = sgtt_limited_context(needed ? needed + extra : 0);
        sgt_model *model = sgtt_model(context, &config, 3);
        sgt_plan *plan, *before;
        double entropies[2][4];
        sgtt_ok(sgt_plan_create(&plan, context, 3, 4));
        sgtt_ok(sgt_plan_create(&before, context, 3, 4));
        sgtt_loop(plan, 2, 2, (const float[]){1.0f, 0.0f, 1.0f, 0.0f});
        sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
        sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_LAST));
        sgt_metrics first = sgtt_step(model, &batch);
        sgtt_ok(sgt_model_get_entropies(entropies[0], model, 1, 0, SGT_ENTROPY_LAST));
        uint64_t current = sgtt_memory(context).current;
        if (needed == 0) {
            needed = sgtt_memory(context).peak;
            extra = (uint64_t)-96; /* the loop adds 96 to it */
        } else if (sgt_model_set_plan(model, plan) == SGT_OK) {
            fitted++;
            sgtt_step(model, &batch); /* and so does its step */
        } else {
            refused++;
            /* What was given up was taken back; entropies may have got more room. */
            ck_assert_uint_ge(sgtt_memory(context).current, current);
            ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(model), before), 1);
            sgtt_ok(sgt_model_get_entropies(entropies[1], model, 1, 0, SGT_ENTROPY_LAST));
            ck_assert_mem_eq(entropies[0], entropies[1], sizeof entropies[0]);
            ck_assert_double_eq(sgtt_step(model, &batch).loss_sum, first.loss_sum);
        }
        sgt_plan_free(plan);
        sgt_plan_free(before);
        sgt_model_free(model);
        sgt_context_free(context);
    }
    ck_assert_int_gt(refused, 10);
    sgtt_batch_free(&batch);
}
END_TEST

/* ---- steps ---- */

static const int steady[] = {SGTT_KIND_DENSE, SGTT_KIND_PATTERNS, SGTT_KIND_STREAMS,
                             SGTT_KIND_WIDE_STREAMS, SGTT_KIND_UNITS, SGTT_KIND_RELU_UNITS,
                             SGTT_KIND_HEAD_MODULES};

/* A ramp from its start to behind its end, evaluations in between: the counter stands still. */
START_TEST(a_steady_step_takes_no_memory)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_small_config(steady[_i], SGTT_SIZE_LARGE);
    sgt_model *model = sgtt_model(context, &config, 3);
    sgt_batch batch = sgtt_batch(2, 60, config.vocab_size, 3, 0);
    sgt_batch smaller = sgtt_batch(1, 50, config.vocab_size, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_plan *plan = sgtt_plan_of(model);
    sgt_optimizer *optimizer;
    uint64_t allocations = 0;
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_BOTH));
    sgtt_loop(plan, 2, 2, (const float[]){1.0f, 1.0f, 1.0f, 1.0f});
    sgtt_ok(sgt_model_set_plan(model, plan));
    for (int step = 0; step < 10; step++) {
        for (int32_t pass = 1; pass <= 2; pass++)
            sgtt_ok(sgt_plan_set_gain(plan, 2, pass, 3, (float)(9 - step) / 9.0f));
        sgtt_ok(sgt_model_set_plan(model, plan));
        sgtt_step(model, &batch);
        sgtt_step(model, &smaller);
        sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
        sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
        if (step == 0)
            allocations = sgtt_memory(context).allocations;
        ck_assert_uint_eq(sgtt_memory(context).allocations, allocations);
    }
    sgt_plan_free(plan);
    sgt_optimizer_free(optimizer);
    sgtt_batch_free(&batch);
    sgtt_batch_free(&smaller);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* What streams take, recomputation keeps. */
static const struct {
    int kind;
    double most; /* of the memory without */
} recomputed[] = {{SGTT_KIND_DENSE, 0.6}, {SGTT_KIND_STREAMS, 0.7}, {SGTT_KIND_WIDE_STREAMS, 0.7},
                  {SGTT_KIND_UNITS, 0.6}, {SGTT_KIND_RELU_UNITS, 0.7},
                  {SGTT_KIND_HEAD_MODULES, 0.6}};

static void loop_all(sgt_plan *plan)
{
    const float gains[] = {1.0f, 1.0f, 1.0f, 0.0f};
    for (int32_t layer = 1; layer < 3; layer++) {
        sgtt_loop(plan, layer, 2, gains);
        sgtt_ok(sgt_plan_set_extra_runs(plan, layer, 2));
    }
}

/* All loops, logits or loss: the bits of a step that keeps everything, in less memory. */
START_TEST(recomputation_gives_the_same_bits_in_less_memory)
{
    float *gradients[2];
    double losses[2];
    uint64_t peaks[2], elements = 0;
    for (int recompute = 0; recompute < 2; recompute++) {
        sgt_context *context = sgtt_model_context();
        sgt_model_config config = sgtt_small_config(recomputed[_i].kind, SGTT_SIZE_LARGE);
        uint64_t own = sgtt_memory(context).current;
        sgt_model *model = sgtt_recomputing_model(context, &config, recompute, 3);
        sgt_batch batch = sgtt_batch(3, 70, config.vocab_size, 3, 5);
        sgt_plan *plan = sgtt_plan_of(model);
        sgt_tensor_view view = {.size = sizeof view};
        loop_all(plan);
        sgtt_ok(sgt_model_set_plan(model, plan));
        losses[recompute] = sgtt_step(model, &batch).loss_sum;
        peaks[recompute] = sgtt_memory(context).peak - own;
        sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
        float *dlogits = calloc(view.count, sizeof *dlogits);
        sgtt_ok(sgt_model_read_logits(dlogits, view.count, model));
        sgtt_ok(sgt_model_backward_logits(model, dlogits, NULL));
        gradients[recompute] = sgtt_read_all(model, SGT_PART_GRADIENT);
        elements = sgtt_elements(model);
        free(dlogits);
        sgt_plan_free(plan);
        sgtt_batch_free(&batch);
        sgt_model_free(model);
        sgt_context_free(context);
    }
    ck_assert_double_eq(losses[0], losses[1]);
    ck_assert_mem_eq(gradients[0], gradients[1], elements * sizeof(float));
    ck_assert_msg((double)peaks[1] < (double)peaks[0] * recomputed[_i].most,
                  "%llu bytes, with recomputation %llu", (unsigned long long)peaks[0],
                  (unsigned long long)peaks[1]);
    free(gradients[0]);
    free(gradients[1]);
}
END_TEST

/* ---- the end ---- */

#define HANDLES 6

typedef struct handles {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    sgt_plan *plan;
} handles;

static void free_handle(handles *h, int which)
{
    switch (which) {
    case 0:
        sgt_context_free(h->context);
        break;
    case 1:
        sgt_model_free(h->model);
        break;
    case 2:
        sgt_optimizer_free(h->optimizer);
        break;
    case 3:
        sgt_growth_policy_free(h->policy);
        break;
    case 4:
        sgt_growth_free(h->growth);
        break;
    default:
        sgt_plan_free(h->plan);
    }
}

/* Frees all handles in the order that `number` stands for. */
static void free_in_order(handles *h, int number)
{
    int left[HANDLES] = {0, 1, 2, 3, 4, 5};
    for (int count = HANDLES; count > 0; count--) {
        int chosen = number % count;
        number /= count;
        free_handle(h, left[chosen]);
        memmove(&left[chosen], &left[chosen + 1], (size_t)(count - 1 - chosen) * sizeof *left);
    }
}

START_TEST(nothing_stays_behind_in_any_order_of_frees)
{
    sgt_model_config config = sgtt_config();
    sgt_batch batch = sgtt_batch(1, 3, config.vocab_size, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    for (int order = _i; order < 720; order += 8) {
        handles h;
        test_allocator allocator;
        test_allocator_init(&allocator);
        sgt_context_options options = sgtt_model_options();
        options.allocator = &allocator.interface;
        options.threads = 1;
        sgtt_ok(sgt_context_create(&h.context, &options));
        sgtt_ok(sgt_model_create(&h.model, h.context, &config, NULL));
        sgtt_ok(sgt_optimizer_create(&h.optimizer, h.model, NULL));
        sgtt_ok(sgt_growth_policy_sparse(&h.policy, h.context, 3, 4, NULL));
        sgtt_ok(sgt_growth_create(&h.growth, h.model, h.policy, NULL));
        h.plan = sgtt_plan_of(h.model);
        sgtt_step(h.model, &batch);
        sgtt_ok(sgt_model_evaluate(&metrics, h.model, &batch, NULL));
        free_in_order(&h, order);
        if (allocator.live)
            ck_abort_msg("order %d: %d blocks stay", order, (int)allocator.live);
    }
    sgtt_batch_free(&batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory of models");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, what_does_not_fit_is_named);
    tcase_add_test(cases, a_batch_that_does_not_fit_leaves_the_model_usable);
    tcase_add_test(cases, a_plan_that_does_not_fit_changes_nothing);
    tcase_add_loop_test(cases, a_steady_step_takes_no_memory, 0,
                        sizeof steady / sizeof *steady);
    tcase_add_loop_test(cases, recomputation_gives_the_same_bits_in_less_memory, 0,
                        sizeof recomputed / sizeof *recomputed);
    tcase_add_loop_test(cases, nothing_stays_behind_in_any_order_of_frees, 0, 8);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
