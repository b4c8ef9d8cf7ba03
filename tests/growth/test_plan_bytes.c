/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan as bytes: there and back, and every kind of damage. */
#include <stdlib.h>
#include <string.h>

#include "growth_testing.h"

/* Where things are: magic, version, n_layers, n_heads, then depth and runs of layer 0. */
enum { VERSION = 4, N_LAYERS = 8, N_HEADS = 12, DEPTH_0 = 16, RUNS_0 = 20 };
enum { DEPTH_1 = 24, GAIN = 32 };

static sgtt_faulty_memory memory = {.left = -1};
static sgt_context *context;
static sgt_plan *plan, *loaded;
static unsigned char *data; /* of the plan */
static size_t bytes;
static int64_t live; /* what the context holds with this plan */

/* 2 layers of 3 heads, layer 1 with two passes and an extra run. */
static void setup(void)
{
    plan = loaded = NULL;
    context = sgtt_portable_context(&memory);
    sgtt_ok(sgt_plan_create(&plan, context, 2, 3));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){1, 0.1f, 0}));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (float[]){0.5f, 1e-30f, 0.25f}));
    sgtt_ok(sgt_plan_set_targets(plan, 1, 2, (float[]){0, 0.75f, 1}));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 5));
    data = sgtt_plan_bytes(&bytes, plan);
    live = memory.live;
}

static void teardown(void)
{
    free(data);
    sgt_plan_free(loaded);
    sgt_plan_free(plan);
    sgt_context_free(context);
    ck_assert_int_eq(memory.live, 0);
}

static void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

START_TEST(comes_back_whole)
{
    size_t again;
    ck_assert_uint_eq(bytes, 16 + 2 * 8 + 2 * 2 * 3 * 4);
    sgtt_ok(sgt_plan_load(&loaded, context, data, bytes));
    ck_assert_int_eq(sgt_plan_equal(plan, loaded), 1);
    sgtt_check_targets(loaded, 1, 2, (double[]){0, 0.75, 1});
    ck_assert_int_eq(sgt_plan_extra_runs(loaded, 1), 5);
    void *copy = sgtt_plan_bytes(&again, loaded);
    ck_assert_uint_eq(bytes, again);
    ck_assert_mem_eq(data, copy, bytes);
    free(copy);
}
END_TEST

START_TEST(bytes_are_these)
{
    static const unsigned char expected[] = {
        'S', 'G', 'T', 'P', 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, /* one layer of two heads */
        1,   0,   0,   0,   3, 0, 0, 0,                         /* depth 1, 3 extra runs */
        0,   0,   0,   0x3f, 0, 0, 0, 0,                        /* gains 0.5, 0 */
        0,   0,   0x80, 0x3f, 0, 0, 0, 0,                       /* targets 1, 0 */
    };
    sgt_plan *small = NULL;
    size_t written;

    sgtt_ok(sgt_plan_create(&small, context, 1, 2));
    sgtt_ok(sgt_plan_set_depth(small, 0, 1));
    sgtt_ok(sgt_plan_set_gains(small, 0, 1, (float[]){0.5f, -0.0f})); /* -0 is 0 */
    sgtt_ok(sgt_plan_set_targets(small, 0, 1, (float[]){1, 0}));
    sgtt_ok(sgt_plan_set_extra_runs(small, 0, 3));
    void *found = sgtt_plan_bytes(&written, small);
    ck_assert_uint_eq(written, sizeof expected);
    ck_assert_mem_eq(found, expected, sizeof expected);
    free(found);
    sgt_plan_free(small);
}
END_TEST

START_TEST(too_little_room_writes_nothing)
{
    unsigned char room[256], untouched[256];
    size_t given = 79;

    memset(room, 0xAA, sizeof room);
    memset(untouched, 0xAA, sizeof untouched);
    sgtt_fails(sgt_plan_save(room, &given, plan), SGT_E_OUT_OF_RANGE, "80");
    ck_assert_uint_eq(given, 79);
    ck_assert_mem_eq(room, untouched, sizeof room);
    given = 256;
    sgtt_ok(sgt_plan_save(room, &given, plan));
    ck_assert_uint_eq(given, 80);
    ck_assert_mem_eq(room + 80, untouched, sizeof room - 80);
    sgtt_fails(sgt_plan_save(room, NULL, plan), SGT_E_INVALID_ARGUMENT, "bytes");
    sgtt_fails(sgt_plan_save(room, &given, NULL), SGT_E_INVALID_ARGUMENT, "plan");
}
END_TEST

START_TEST(every_cut_is_refused)
{
    for (size_t cut = 0; cut < bytes; cut++) {
        unsigned char *exact = malloc(cut + 1); /* so that a read past the end is noticed */
        memcpy(exact, data, cut);
        sgtt_fails(sgt_plan_load(&loaded, context, exact, cut), SGT_E_FORMAT, "");
        ck_assert_ptr_null(loaded);
        ck_assert_int_eq(memory.live, live);
        free(exact);
    }
    data = realloc(data, bytes + 1);
    data[bytes] = 0;
    sgtt_fails(sgt_plan_load(&loaded, context, data, bytes + 1), SGT_E_FORMAT, "1 bytes too many");
    ck_assert_ptr_null(loaded);
}
END_TEST

START_TEST(every_damage_is_refused)
{
    static const struct {
        size_t at;
        uint32_t value;
        sgt_status status;
    } damages[] = {
        {0, 0x12345678, SGT_E_FORMAT},        {VERSION, 2, SGT_E_VERSION},
        {VERSION, 0, SGT_E_VERSION},          {N_LAYERS, 0, SGT_E_FORMAT},
        {N_LAYERS, 0x80000000, SGT_E_FORMAT}, {N_LAYERS, 0x7fffffff, SGT_E_FORMAT},
        {N_LAYERS, 1, SGT_E_FORMAT},          {N_LAYERS, 3, SGT_E_FORMAT},
        {N_HEADS, 0, SGT_E_FORMAT},           {N_HEADS, 0x7fffffff, SGT_E_FORMAT},
        {N_HEADS, 2, SGT_E_FORMAT},           {DEPTH_0, 65, SGT_E_FORMAT},
        {DEPTH_0, 0xffffffff, SGT_E_FORMAT},  {DEPTH_0, 64, SGT_E_FORMAT},
        {RUNS_0, 65, SGT_E_FORMAT},           {RUNS_0, 0xffffffff, SGT_E_FORMAT},
        {DEPTH_1, 1, SGT_E_FORMAT},           {DEPTH_1, 3, SGT_E_FORMAT},
        {GAIN, 0x7fc00000, SGT_E_FORMAT},     {GAIN, 0x7f800000, SGT_E_FORMAT},
        {GAIN, 0xbf800000, SGT_E_FORMAT},     {GAIN, 0x3f800001, SGT_E_FORMAT},
    };

    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        unsigned char *damaged = malloc(bytes);
        memcpy(damaged, data, bytes);
        put_u32(damaged + damages[i].at, damages[i].value);
        sgtt_fails(sgt_plan_load(&loaded, context, damaged, bytes), damages[i].status, "");
        ck_assert_ptr_null(loaded);
        ck_assert_int_eq(memory.live, live);
        free(damaged);
    }
    sgtt_fails(sgt_plan_load(&loaded, context, NULL, 0), SGT_E_INVALID_ARGUMENT, "data");
}
END_TEST

/* Whatever one byte is turned into, the load answers, and what it accepts it writes back alike. */
START_TEST(any_changed_byte_is_survived)
{
    for (size_t at = 0; at < bytes; at++) {
        unsigned char right = data[at];
        for (int value = 0; value < 256; value++) {
            data[at] = (unsigned char)value;
            if (sgt_plan_load(&loaded, context, data, bytes) == SGT_OK) {
                size_t again;
                void *copy = sgtt_plan_bytes(&again, loaded);
                ck_assert_uint_eq(again, bytes);
                free(copy);
            }
            sgt_plan_free(loaded);
            loaded = NULL;
        }
        data[at] = right;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan bytes");
    TCase *tests = tcase_create("bytes");
    tcase_add_checked_fixture(tests, setup, teardown);

    tcase_add_test(tests, comes_back_whole);
    tcase_add_test(tests, bytes_are_these);
    tcase_add_test(tests, too_little_room_writes_nothing);
    tcase_add_test(tests, every_cut_is_refused);
    tcase_add_test(tests, every_damage_is_refused);
    tcase_add_test(tests, any_changed_byte_is_survived);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
