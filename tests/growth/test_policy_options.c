/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of the policy of the paper: defaults, ranges, older and newer callers, memory. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "growth_testing.h"

enum { LAYERS = 4, HEADS = 4 };

START_TEST(defaults)
{
    sgt_growth_sparse_options o;

    memset(&o, 0xAA, sizeof o);
    sgtt_ok(sgt_growth_sparse_options_init(&o, sizeof o));
    ck_assert_uint_eq(o.size, sizeof o);
    ck_assert_int_eq(o.top_k_layers, 3);
    ck_assert_int_eq(o.first_step, 250);
    ck_assert_int_eq(o.window, 250);
    ck_assert_int_eq(o.max_layers, 3);
    ck_assert_int_eq(o.max_depth, 1);
    ck_assert_int_eq(o.keep_heads, 2);
    ck_assert_int_eq(o.ramp, SGT_RAMP_REFERENCE);
    ck_assert_int_eq(o.fade, SGT_FADE_LINEAR);
    ck_assert_int_eq(o.entropy, SGT_ENTROPY_LAST);
    ck_assert_double_eq(o.average, 0.5);
    ck_assert_int_eq(o.direction, SGT_DIRECTION_DEEP_TO_SHALLOW);
    ck_assert_int_eq(o.head_choice, SGT_HEADS_HIGHEST);
    ck_assert_uint_eq(o.seed, 0);
    ck_assert_int_eq(o.n_exclude, 1);
    ck_assert_int_eq(o.exclude[0], 0);
    ck_assert_int_eq(o.n_groups, 0);
    ck_assert_ptr_null(o.groups);
    ck_assert_double_eq(o.max_gain, 1.0);
    sgtt_fails(sgt_growth_sparse_options_init(NULL, sizeof o), SGT_E_INVALID_ARGUMENT, "NULL");
    sgtt_fails(sgt_growth_sparse_options_init(&o, 4), SGT_E_STRUCT_SIZE, "size");
}
END_TEST

START_TEST(null_means_defaults)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = sgtt_policy_sparse(context, LAYERS, HEADS, NULL);
    sgt_growth_policy_free(policy);
    sgt_growth_policy_free(NULL);
    sgt_context_free(context);
}
END_TEST

#define FIELD(name, value)                                                                         \
    {#name, offsetof(sgt_growth_sparse_options, name),                                             \
     sizeof(((sgt_growth_sparse_options *)NULL)->name), value}

static const struct {
    const char *field;
    size_t at;
    size_t width;
    int64_t value;
} out_of_range[] = {
    FIELD(top_k_layers, 0),
    FIELD(first_step, 0),
    FIELD(window, 0),
    FIELD(window, -1),
    FIELD(max_layers, 0),
    FIELD(max_depth, 0),
    FIELD(max_depth, SGT_PLAN_MAX_DEPTH + 1),
    FIELD(keep_heads, 0),
    FIELD(keep_heads, HEADS + 1),
    FIELD(ramp, 3),
    FIELD(ramp, -1),
    FIELD(fade, 3),
    FIELD(entropy, SGT_ENTROPY_NONE),
    FIELD(entropy, SGT_ENTROPY_BOTH),
    FIELD(direction, 2),
    FIELD(head_choice, 3),
    FIELD(n_exclude, -1),
    FIELD(n_groups, -1),
    FIELD(n_groups, LAYERS + 1),
};

START_TEST(groups_are_checked)
{
    static const int32_t groups[] = {0, 7, -1, 0};
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;
    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.n_groups = 1;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
               SGT_E_INVALID_ARGUMENT, "groups is NULL, n_groups is 1");
    options.groups = groups;
    options.n_groups = LAYERS;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
               SGT_E_OUT_OF_RANGE, "groups[2] is -1, less than 0");
    ck_assert_ptr_null(policy);
    options.n_groups = 2;
    sgtt_ok(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options));
    sgt_growth_policy_free(policy);
    sgt_context_free(context);
}
END_TEST

START_TEST(each_field_is_checked_and_named)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;
    int32_t narrow = (int32_t)out_of_range[_i].value;
    int64_t wide = out_of_range[_i].value;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    memcpy((char *)&options + out_of_range[_i].at,
           out_of_range[_i].width == 8 ? (void *)&wide : (void *)&narrow, out_of_range[_i].width);
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
               SGT_E_OUT_OF_RANGE, out_of_range[_i].field);
    ck_assert_ptr_null(policy);
    sgt_context_free(context);
}
END_TEST

START_TEST(numbers_and_lists_are_checked)
{
    static const double averages[] = {1.0, -0.1, NAN, INFINITY};
    static const double gains[] = {0.0, -0.5, 1.01, NAN, INFINITY};
    static const int32_t beyond[] = {1, LAYERS};
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;

    for (int i = 0; i < 4; i++) {
        sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
        options.average = averages[i];
        sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
                   SGT_E_OUT_OF_RANGE, "average");
    }
    for (int i = 0; i < 5; i++) {
        sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
        options.max_gain = gains[i];
        sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
                   SGT_E_OUT_OF_RANGE, "max_gain");
    }
    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.exclude = beyond;
    options.n_exclude = 2;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
               SGT_E_OUT_OF_RANGE, "exclude[1]");
    options.exclude = NULL;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options),
               SGT_E_INVALID_ARGUMENT, "exclude");
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, 0, HEADS, NULL), SGT_E_OUT_OF_RANGE,
               "n_layers");
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, -3, NULL), SGT_E_OUT_OF_RANGE,
               "n_heads");
    sgtt_fails(sgt_growth_policy_sparse(&policy, NULL, LAYERS, HEADS, NULL), SGT_E_INVALID_ARGUMENT,
               "context");
    sgtt_fails(sgt_growth_policy_sparse(NULL, context, LAYERS, HEADS, NULL), SGT_E_INVALID_ARGUMENT,
               "policy");
    ck_assert_ptr_null(policy);
    sgt_context_free(context);
}
END_TEST

START_TEST(newer_callers)
{
    struct {
        sgt_growth_sparse_options known;
        int64_t later;
    } options;
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;

    sgtt_ok(sgt_growth_sparse_options_init(&options.known, sizeof options));
    ck_assert_int_eq(options.later, 0);
    sgtt_ok(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options.known));
    sgt_growth_policy_free(policy);
    policy = NULL;
    options.later = 1;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options.known),
               SGT_E_STRUCT_SIZE, "sgt_growth_sparse_options");
    options.later = 0;
    options.known.size = 8;
    sgtt_fails(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options.known),
               SGT_E_STRUCT_SIZE, "sgt_growth_sparse_options");
    ck_assert_ptr_null(policy);
    sgt_context_free(context);
}
END_TEST

/* Of 0.1, whose struct ended with `reserved`: the gain is 1 whatever lies behind. */
START_TEST(an_older_caller_has_gain_1)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.size = (uint32_t)offsetof(sgt_growth_sparse_options, max_gain);
    options.max_gain = NAN;
    sgtt_ok(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options));
    sgt_growth_policy_free(policy);
    sgt_context_free(context);
}
END_TEST

START_TEST(sizes_that_do_not_fit)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_status status =
        sgt_growth_policy_sparse(&policy, context, INT32_MAX, INT32_MAX, NULL);

    ck_assert(status == SGT_E_OUT_OF_RANGE || status == SGT_E_OUT_OF_MEMORY);
    ck_assert_ptr_null(policy);
    sgt_context_free(context);
}
END_TEST

START_TEST(out_of_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_growth_policy *policy = NULL;
    int64_t live = memory.live;
    int failures = 0;

    for (; failures < 64 && policy == NULL; failures++) {
        sgt_status status;
        memory.left = failures;
        status = sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, NULL);
        if (status == SGT_OK)
            break;
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        ck_assert_int_eq(memory.live, live);
    }
    ck_assert_int_gt(failures, 1);
    ck_assert_ptr_nonnull(policy);
    memory.left = -1;
    sgt_growth_policy_free(policy);
    sgt_context_free(context);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options of the sparse policy");
    TCase *tests = tcase_create("options");

    tcase_add_test(tests, defaults);
    tcase_add_test(tests, null_means_defaults);
    tcase_add_test(tests, groups_are_checked);
    tcase_add_loop_test(tests, each_field_is_checked_and_named, 0,
                        (int)(sizeof out_of_range / sizeof out_of_range[0]));
    tcase_add_test(tests, numbers_and_lists_are_checked);
    tcase_add_test(tests, newer_callers);
    tcase_add_test(tests, an_older_caller_has_gain_1);
    tcase_add_test(tests, sizes_that_do_not_fit);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
