/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of an optimizer: defaults, checks that name the field, short and newer structs. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include <sgt/sgt.h>

#include "testing.h"
#include "tiny_model.h"

/* What a program compiled against a later header would pass. */
typedef struct newer_options {
    sgt_optimizer_options known;
    double later;
} newer_options;

START_TEST(defaults_are_the_paper_s)
{
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_int_eq(options.schedule, SGT_SCHEDULE_CONSTANT);
    ck_assert_double_eq(options.lr, 6e-4);
    ck_assert_double_eq(options.beta1, 0.9);
    ck_assert_double_eq(options.beta2, 0.95);
    ck_assert_double_eq(options.eps, 1e-8);
    ck_assert_double_eq(options.weight_decay, 0.1);
    ck_assert_double_eq(options.clip, 1.0);
    ck_assert_double_eq(options.final_factor, 0.1);
    ck_assert_int_eq(options.decay_scope, SGT_DECAY_ALL);
    ck_assert(options.rate == NULL);
}
END_TEST

static void refuse(const small_training *tiny, const sgt_optimizer_options *options,
                   sgt_status status, const char *field)
{
    sgt_optimizer *optimizer = NULL;
    sgtt_fails(sgt_optimizer_create(&optimizer, tiny->model, options), status, field);
    ck_assert_ptr_null(optimizer);
}

START_TEST(bad_values_name_the_field)
{
    static const struct {
        size_t offset;
        const char *field;
        double values[4];
    } fields[] = {
        {offsetof(sgt_optimizer_options, lr), ".lr", {-1.0, NAN, INFINITY, 1e39}},
        {offsetof(sgt_optimizer_options, beta1), ".beta1", {-0.1, 1.0, NAN, 1.0 - 1e-12}},
        {offsetof(sgt_optimizer_options, beta2), ".beta2", {-0.1, 1.0, NAN, INFINITY}},
        {offsetof(sgt_optimizer_options, eps), ".eps", {0.0, -1e-8, NAN, 1e-60}},
        {offsetof(sgt_optimizer_options, weight_decay), ".weight_decay", {-0.1, NAN, INFINITY, -1}},
        {offsetof(sgt_optimizer_options, clip), ".clip", {-1.0, NAN, INFINITY, -1e-9}},
        {offsetof(sgt_optimizer_options, final_factor), ".final_factor", {-0.1, NAN, 1.1, -1}},
    };
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
        for (size_t v = 0; v < 4; v++) {
            sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
            memcpy((char *)&options + fields[f].offset, &fields[f].values[v], sizeof(double));
            refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, fields[f].field);
        }
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.decay_scope = 2;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, "decay_scope");
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.reserved = 1;
    refuse(&tiny, &options, SGT_E_INVALID_ARGUMENT, "reserved");
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.schedule = SGT_SCHEDULE_COSINE;
    refuse(&tiny, &options, SGT_E_INVALID_ARGUMENT, "total_steps");
    sgtt_small_free(&tiny);
}
END_TEST

/* What is refused for float32 alone says so, with the digits that matter. */
START_TEST(what_float32_loses_is_told)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.lr = 1e300;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".lr is 1e+300 (inf in float32)");
    options.lr = -1.0;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".lr is -1, must be finite and at least 0");
    options.lr = -0.1;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".lr is -0.1, must be");
    options.lr = 1e-60;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".lr is 1e-60, which is too small: it is 0 in");
    options.lr = 0.0; /* is what it says */
    options.beta1 = 0.99999999999;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".beta1 is 0.99999999999 (1 in float32), must be");
    options.beta1 = 0.9;
    options.eps = 1e-60;
    refuse(&tiny, &options, SGT_E_OUT_OF_RANGE, ".eps is 1e-60 (0 in float32), must be");
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(null_arguments_are_named)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    sgtt_fails(sgt_optimizer_create(NULL, tiny.model, NULL), SGT_E_INVALID_ARGUMENT, "optimizer");
    sgtt_fails(sgt_optimizer_create(&optimizer, NULL, NULL), SGT_E_INVALID_ARGUMENT, "model");
    sgtt_fails(sgt_optimizer_options_init(NULL, 8), SGT_E_INVALID_ARGUMENT, "options");
    ck_assert_ptr_null(optimizer);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(a_struct_shorter_than_the_first_version_is_refused)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.size = offsetof(sgt_optimizer_options, beta1);
    refuse(&tiny, &options, SGT_E_STRUCT_SIZE, "sgt_optimizer_options");
    options.size = 4;
    refuse(&tiny, &options, SGT_E_STRUCT_SIZE, "sgt_optimizer_options");
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(a_newer_struct_works_unless_it_uses_what_is_not_known)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    newer_options options;
    memset(&options, 0xff, sizeof options);
    sgtt_ok(sgt_optimizer_options_init(&options.known, sizeof options));
    ck_assert_uint_eq(options.known.size, sizeof options);
    ck_assert_double_eq(options.later, 0.0);
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, &options.known));
    sgt_optimizer_free(optimizer);
    optimizer = NULL;
    options.later = 1.0;
    refuse(&tiny, &options.known, SGT_E_STRUCT_SIZE, "sgt_optimizer_options");
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(an_optimizer_keeps_its_model_alive)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    sgt_context_memory usage = {.size = sizeof usage};
    sgtt_ok(sgt_context_get_memory(&usage, tiny.context));
    uint64_t before = usage.current;
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, NULL));
    sgt_optimizer_free(optimizer);
    sgtt_ok(sgt_context_get_memory(&usage, tiny.context));
    ck_assert_uint_eq(usage.current, before);
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, NULL));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_small_free(&tiny);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgt_optimizer_free(optimizer);
    sgt_optimizer_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, defaults_are_the_paper_s);
    tcase_add_test(tcase, bad_values_name_the_field);
    tcase_add_test(tcase, what_float32_loses_is_told);
    tcase_add_test(tcase, null_arguments_are_named);
    tcase_add_test(tcase, a_struct_shorter_than_the_first_version_is_refused);
    tcase_add_test(tcase, a_newer_struct_works_unless_it_uses_what_is_not_known);
    tcase_add_test(tcase, an_optimizer_keeps_its_model_alive);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
