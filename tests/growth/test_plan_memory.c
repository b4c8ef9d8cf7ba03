/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan when memory runs out at any allocation: as before, nothing lost, nothing leaked. */
#include <stdlib.h>

#include "growth_testing.h"

#include "model/plan_data.h"

typedef sgt_status (*attempt_fn)(sgt_plan *plan, sgt_context *context, const sgt_plan *other);

static sgt_status deepen(sgt_plan *plan, sgt_context *context, const sgt_plan *other)
{
    (void)context, (void)other;
    return sgt_plan_set_depth(plan, 1, 3);
}

static sgt_status flatten(sgt_plan *plan, sgt_context *context, const sgt_plan *other)
{
    (void)context, (void)other;
    return sgt_plan_set_depth(plan, 1, 1);
}

static sgt_status assign(sgt_plan *plan, sgt_context *context, const sgt_plan *other)
{
    (void)context;
    return sgti_plan_assign(plan, other);
}

static sgt_status clone_one(sgt_plan *plan, sgt_context *context, const sgt_plan *other)
{
    sgt_plan *copy = NULL;
    sgt_status status = sgt_plan_clone(&copy, plan);
    (void)context, (void)other;
    ck_assert_int_eq(copy == NULL, status != SGT_OK);
    sgt_plan_free(copy);
    return status;
}

static sgt_status load(sgt_plan *plan, sgt_context *context, const sgt_plan *other)
{
    sgt_plan *copy = NULL;
    size_t bytes;
    void *data = sgtt_plan_bytes(&bytes, other);
    sgt_status status = sgt_plan_load(&copy, context, data, bytes);
    (void)plan;
    ck_assert_int_eq(copy == NULL, status != SGT_OK);
    sgt_plan_free(copy);
    free(data);
    return status;
}

static const struct {
    attempt_fn attempt;
    int allocations; /* it makes at the most */
} attempts[] = {{deepen, 1}, {flatten, 1}, {assign, 3}, {clone_one, 2}, {load, 3}};

START_TEST(out_of_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_plan *plan = NULL;
    sgt_plan *other = NULL;
    sgt_plan *before = NULL;
    int64_t live;
    int failures = 0;

    sgtt_ok(sgt_plan_create(&plan, context, 3, 2));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0.5f, 0.25f}));
    sgtt_ok(sgt_plan_clone(&before, plan));
    sgtt_ok(sgt_plan_create(&other, context, 3, 2));
    sgtt_ok(sgt_plan_set_depth(other, 0, 1));
    sgtt_ok(sgt_plan_set_depth(other, 2, 1));
    live = memory.live;
    for (memory.left = 0; failures < 64; failures++) {
        int64_t allowed = memory.left;
        if (attempts[_i].attempt(plan, context, other) == SGT_OK)
            break;
        ck_assert_int_eq(sgt_plan_equal(plan, before), 1);
        ck_assert_int_eq(memory.live, live);
        memory.left = allowed + 1;
    }
    ck_assert_int_eq(failures, attempts[_i].allocations);
    memory.left = -1;
    sgt_plan_free(before);
    sgt_plan_free(other);
    sgt_plan_free(plan);
    sgt_context_free(context);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(equal_depths_need_no_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_plan *plan = NULL;
    sgt_plan *other = NULL;

    sgtt_ok(sgt_plan_create(&plan, context, 3, 2));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_clone(&other, plan));
    sgtt_ok(sgt_plan_set_gain(other, 1, 1, 0, 0.5f));
    memory.left = 0;
    sgtt_ok(sgti_plan_assign(plan, other));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 0)); /* nor does taking all passes away */
    sgt_plan_free(other);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan memory");
    TCase *tests = tcase_create("memory");

    tcase_add_loop_test(tests, out_of_memory, 0, (int)(sizeof attempts / sizeof attempts[0]));
    tcase_add_test(tests, equal_depths_need_no_memory);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
