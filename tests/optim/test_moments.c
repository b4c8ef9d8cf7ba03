/* SPDX-License-Identifier: BSD-3-Clause */
/* Views and copies of an optimizer's moments. */
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "testing.h"
#include "tiny_model.h"

START_TEST(moments_start_at_zero_and_are_apart)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, NULL));
    int32_t parameters = sgt_model_n_parameters(tiny.model);
    for (int32_t p = 0; p < parameters; p++)
        for (int32_t moment = SGT_MOMENT_FIRST; moment <= SGT_MOMENT_SECOND; moment++) {
            size_t count = tiny_model_count(&tiny, p);
            float *values = tiny_model_read_moment(&tiny, optimizer, p, moment);
            for (size_t i = 0; i < count; i++) {
                ck_assert_float_eq(values[i], 0.0f);
                values[i] = (float)(1000 * p + 100 * moment) + (float)i / 1024.0f;
            }
            sgtt_ok(sgt_optimizer_write_moment(optimizer, p, moment, values, count));
            free(values);
        }
    for (int32_t p = 0; p < parameters; p++)
        for (int32_t moment = SGT_MOMENT_FIRST; moment <= SGT_MOMENT_SECOND; moment++) {
            float *values = tiny_model_read_moment(&tiny, optimizer, p, moment);
            for (size_t i = 0; i < tiny_model_count(&tiny, p); i++)
                ck_assert_float_eq(values[i],
                                   (float)(1000 * p + 100 * moment) + (float)i / 1024.0f);
            free(values);
        }
    sgt_optimizer_free(optimizer);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(views_show_the_same_memory)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    sgt_tensor_view view = {.size = sizeof view};
    sgt_tensor_view weight = {.size = sizeof weight};
    int32_t index = tiny_model_find(&tiny, "model.layers.0.mlp.gate_proj.weight");
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, NULL));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgtt_ok(sgt_model_parameter(&weight, tiny.model, index, SGT_PART_WEIGHT));
    for (int32_t moment = SGT_MOMENT_FIRST; moment <= SGT_MOMENT_SECOND; moment++) {
        sgtt_ok(sgt_optimizer_moment(&view, optimizer, index, moment));
        ck_assert_str_eq(view.name, weight.name);
        ck_assert_int_eq(view.dtype, SGT_F32);
        ck_assert_int_eq(view.rank, 2);
        ck_assert_int_eq(view.shape[0], 12);
        ck_assert_int_eq(view.shape[1], 8);
        ck_assert_uint_eq(view.count, 96);
        float *copy = tiny_model_read_moment(&tiny, optimizer, index, moment);
        if (weight.data != NULL) {
            ck_assert_ptr_nonnull(view.data);
            ck_assert_ptr_ne(view.data, weight.data);
            ck_assert_mem_eq(view.data, copy, 96 * sizeof(float));
        }
        free(copy);
    }
    sgt_optimizer_free(optimizer);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(wrong_arguments_are_named)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = NULL;
    sgt_tensor_view view = {.size = sizeof view};
    float values[96] = {0};
    sgtt_ok(sgt_optimizer_create(&optimizer, tiny.model, NULL));
    int32_t end = sgt_model_n_parameters(tiny.model);
    sgtt_fails(sgt_optimizer_moment(NULL, optimizer, 0, SGT_MOMENT_FIRST), SGT_E_INVALID_ARGUMENT,
               "sgt_tensor_view");
    sgtt_fails(sgt_optimizer_moment(&view, NULL, 0, SGT_MOMENT_FIRST), SGT_E_INVALID_ARGUMENT,
               "optimizer");
    sgtt_fails(sgt_optimizer_moment(&view, optimizer, end, SGT_MOMENT_FIRST), SGT_E_OUT_OF_RANGE,
               "index");
    sgtt_fails(sgt_optimizer_moment(&view, optimizer, 0, 3), SGT_E_OUT_OF_RANGE, "moment");
    sgtt_fails(sgt_optimizer_read_moment(values, 5, optimizer, 0, SGT_MOMENT_FIRST),
               SGT_E_OUT_OF_RANGE, "count");
    sgtt_fails(sgt_optimizer_read_moment(NULL, 88, optimizer, 0, SGT_MOMENT_FIRST),
               SGT_E_INVALID_ARGUMENT, "values");
    sgtt_fails(sgt_optimizer_write_moment(optimizer, 0, 0, values, 88), SGT_E_OUT_OF_RANGE,
               "moment");
    sgtt_fails(sgt_optimizer_write_moment(optimizer, 0, SGT_MOMENT_SECOND, values, 89),
               SGT_E_OUT_OF_RANGE, "count");
    view.size = 3;
    sgtt_fails(sgt_optimizer_moment(&view, optimizer, 0, SGT_MOMENT_FIRST), SGT_E_STRUCT_SIZE,
               "sgt_tensor_view");
    sgt_optimizer_free(optimizer);
    sgtt_small_free(&tiny);
}
END_TEST

/* A resumed optimizer goes on exactly where the first one was. */
START_TEST(written_moments_are_used)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *first = NULL;
    sgt_optimizer *second = NULL;
    int32_t index = tiny_model_find(&tiny, "model.norm.weight");
    sgtt_ok(sgt_optimizer_create(&first, tiny.model, NULL));
    sgtt_ok(sgt_optimizer_create(&second, tiny.model, NULL));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    float m[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    sgtt_ok(sgt_optimizer_write_moment(second, index, SGT_MOMENT_FIRST, m, 8));
    sgtt_ok(sgt_optimizer_step(NULL, second, NULL));
    float *after = tiny_model_read_moment(&tiny, second, index, SGT_MOMENT_FIRST);
    for (int i = 0; i < 8; i++) /* 0.9 m + 0.1 g with |g| clipped under 1 */
        ck_assert_float_eq_tol(after[i], 0.9f * m[i], 0.1f);
    free(after);
    sgt_optimizer_free(second);
    sgt_optimizer_free(first);
    sgtt_small_free(&tiny);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moments");
    TCase *tcase = tcase_create("moments");
    tcase_add_test(tcase, moments_start_at_zero_and_are_apart);
    tcase_add_test(tcase, views_show_the_same_memory);
    tcase_add_test(tcase, wrong_arguments_are_named);
    tcase_add_test(tcase, written_moments_are_used);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
