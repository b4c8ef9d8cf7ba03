/* SPDX-License-Identifier: BSD-3-Clause */
/* Backward tells which gradients are complete while it goes on: what is told does not change any
 * more, and in the end everything was told once. */
#include <stdlib.h>
#include <string.h>

#include "fixtures.h"
#include "model/model.h"

/* What was told so far, with the gradients as they were then. */
typedef struct heard {
    const sgt_model *model;
    float *then;
    uint64_t below; /* everything from here on was told */
    int calls;
} heard;

static const float *gradients_of(const sgt_model *model)
{
    sgt_tensor first = sgti_gradient(model, 0);
    return sgti_host_address(model->dispatch, &first);
}

static void hear(void *user, uint64_t first, uint64_t count)
{
    heard *h = user;
    ck_assert_uint_eq(first + count, h->below);
    ck_assert_uint_gt(count, 0);
    memcpy(h->then + first, gradients_of(h->model) + first, count * sizeof(float));
    h->below = first;
    h->calls++;
}

static void watch(int kind, int32_t tied, int32_t recompute)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_small_config(kind, SGTT_SIZE_ODD);
    config.tied = tied && config.head_modules == 0;
    sgt_model *model = sgtt_recomputing_model(context, &config, recompute, 3);
    sgt_batch batch = sgtt_batch(2, 7, config.vocab_size, 4, 5);
    sgt_plan *plan = sgtt_plan_of(model);
    uint64_t elements = model->parameters.elements;
    heard h = {.model = model, .below = elements};
    sgtt_loop(plan, 1, 1, (const float[]){0.0f, 1.0f, 0.5f, 0.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 2));
    sgtt_ok(sgt_model_set_plan(model, plan));
    h.then = calloc(elements, sizeof *h.then);
    model->gradients_ready = hear;
    model->ready_user = &h;
    sgtt_step(model, &batch);
    ck_assert_uint_eq(h.below, 0);
    ck_assert_int_eq(h.calls, config.n_layers + 2);
    ck_assert_mem_eq(h.then, gradients_of(model), elements * sizeof *h.then);
    free(h.then);
    sgt_plan_free(plan);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

static const int kinds[] = {SGTT_KIND_DENSE, SGTT_KIND_STREAMS, SGTT_KIND_WIDE_STREAMS,
                            SGTT_KIND_UNITS, SGTT_KIND_RELU_UNITS};

START_TEST(what_is_told_is_complete)
{
    watch(kinds[_i / 4], _i & 1, _i >> 1 & 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients_ready");
    TCase *tests = tcase_create("gradients_ready");
    tcase_add_loop_test(tests, what_is_told_is_complete, 0,
                        4 * (int)(sizeof kinds / sizeof *kinds));
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
