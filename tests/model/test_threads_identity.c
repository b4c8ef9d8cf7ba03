/* SPDX-License-Identifier: BSD-3-Clause */
/* A training ends with the same bits for any number of threads. */
#include <string.h>

#include <sgt/growth.h>

#include "training_life.h"

/* That the comparison means something: growth did everything it can do. */
static void check_life_is_rich(const training_life *life)
{
    ck_assert_int_ge(life->actions[SGT_GROWTH_SELECT], 2);
    ck_assert_int_ge(life->actions[SGT_GROWTH_DEEPEN], 1);
    ck_assert_int_ge(life->actions[SGT_GROWTH_FIX], 1);
    ck_assert(life->losses[1] < life->losses[0]);
}

static void compare(int kind, int size)
{
    const int32_t threads[] = {1, 2, 3, 5};
    training_life lives[4];
    for (int i = 0; i < 4; i++) {
        lives[i] = (training_life){.options = sgtt_model_options()};
        lives[i].options.threads = threads[i];
        training_life_run(&lives[i], kind, size);
    }
    check_life_is_rich(&lives[0]);
    for (int i = 1; i < 4; i++)
        life_check_equal(&lives[0], &lives[i], sgtt_small_kinds[kind].name);
}

START_TEST(small_models)
{
    compare(_i, SGTT_SIZE_ODD);
}
END_TEST

START_TEST(larger_models)
{
    compare(SGTT_KIND_DENSE, SGTT_SIZE_LARGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("any number of threads");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, small_models, 0, SGTT_KINDS);
    tcase_add_test(cases, larger_models);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
