/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of the policy of the paper as bytes: what is refused leaves the state as it was. */
#include <stdlib.h>
#include <string.h>

#include "growth_testing.h"

enum { LAYERS = 3, HEADS = 2 };

/* Where things are: 32 bytes that every policy has, then the version of this one. */
enum { MAGIC = 0, VERSION = 4, KIND = 8, FIXED = 20, LENGTH = 24, OWN_VERSION = 32 };

/* From the own bytes on: 13 options, an exclusion per layer, the highest gain and a group per
 * layer, each 8 bytes, then the state. */
enum {
    OPTIONS = 36,
    MAX_GAIN = OPTIONS + 8 * (13 + LAYERS),
    GROUPS = MAX_GAIN + 8,
    STATE = GROUPS + 8 * LAYERS,
    STATE_FIXED = STATE,
    N_SELECTED = STATE + 4,
    WINDOW_START = STATE + 8,
    SELECTED = STATE + 16,
    DEPTHS = SELECTED + 4 * LAYERS,
    KEPT = DEPTHS + 4 * LAYERS,
    STARTS = KEPT + 4 * LAYERS, /* one head is kept */
    AVERAGES = STARTS + 8 * LAYERS * 2,
    BYTES = AVERAGES + 8 * LAYERS * HEADS
};

static const int32_t two_groups[LAYERS] = {4, 1, 1};

static sgt_growth_sparse_options small_options(void)
{
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 2;
    options.window = 3;
    options.max_depth = 2;
    options.keep_heads = 1;
    options.seed = UINT64_C(0xfedcba9876543210);
    options.max_gain = 0.5;
    options.groups = two_groups;
    options.n_groups = LAYERS;
    return options;
}

/* A policy that has selected layer 2 and head 1 at step 2 and deepened it at step 5. */
static void open_state(sgtt_replay *replay, sgtt_faulty_memory *memory)
{
    sgt_context *context = sgtt_portable_context(memory);
    sgt_growth_sparse_options options = small_options();

    sgtt_replay_open(replay, context, sgtt_policy_sparse(context, LAYERS, HEADS, &options), LAYERS,
                     HEADS, 3);
    for (int32_t pass = 0; pass < 3; pass++) {
        sgtt_replay_entropies(replay, 1, pass)[0] = 0.25;
        sgtt_replay_entropies(replay, 2, pass)[1] = 0.75;
    }
    for (int64_t step = 1; step <= 6; step++)
        sgtt_replay_step(replay, step);
    ck_assert_int_eq(sgt_plan_depth(replay->plan, 2), 2);
}

static void expect_bytes(const sgt_growth_policy *policy, const void *expected, size_t bytes)
{
    size_t again;
    void *data = sgtt_policy_bytes(&again, policy);
    ck_assert_uint_eq(again, bytes);
    ck_assert_mem_eq(data, expected, bytes);
    free(data);
}

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

START_TEST(everything_is_in_its_place)
{
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;
    static const unsigned char layer_2[] = {2, 0, 0, 0};
    static const unsigned char half[] = {0, 0, 0, 0, 0, 0, 0xe0, 0x3f};

    open_state(&replay, NULL);
    replay.entropies[1] = 1; /* the average of head 1 of layer 0 becomes 0.5 */
    sgtt_replay_step(&replay, 7);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    ck_assert_uint_eq(bytes, BYTES);
    ck_assert_mem_eq(data, "SGTG\1\0\0\0", 8);
    ck_assert_uint_eq(data[GROUPS], 0); /* each is called by its first layer */
    ck_assert_uint_eq(data[GROUPS + 8], 1);
    ck_assert_uint_eq(data[GROUPS + 16], 1);
    ck_assert_uint_eq(data[LENGTH], (BYTES - OWN_VERSION) & 255);
    ck_assert_uint_eq(data[N_SELECTED], 1);
    ck_assert_uint_eq(data[WINDOW_START], 5);
    ck_assert_mem_eq(data + SELECTED, layer_2, 4);
    ck_assert_mem_eq(data + DEPTHS + 8, layer_2, 4); /* and depth 2 */
    ck_assert_uint_eq(data[KEPT + 8], 1);
    ck_assert_uint_eq(data[STARTS + 8 * 4], 2);
    ck_assert_uint_eq(data[STARTS + 8 * 5], 5);
    ck_assert_mem_eq(data + AVERAGES + 8, half, 8);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(too_little_room_writes_nothing)
{
    unsigned char data[BYTES], untouched[BYTES];
    size_t bytes = BYTES - 1;
    sgtt_replay replay;

    open_state(&replay, NULL);
    memset(data, 0xAA, sizeof data);
    memset(untouched, 0xAA, sizeof untouched);
    sgtt_fails(sgt_growth_policy_save(data, &bytes, replay.policy), SGT_E_OUT_OF_RANGE, "bytes");
    ck_assert_uint_eq(bytes, BYTES - 1);
    ck_assert_mem_eq(data, untouched, sizeof data);
    sgtt_fails(sgt_growth_policy_save(data, NULL, replay.policy), SGT_E_INVALID_ARGUMENT, "bytes");
    sgtt_fails(sgt_growth_policy_save(data, &bytes, NULL), SGT_E_INVALID_ARGUMENT, "policy");
    sgtt_fails(sgt_growth_policy_load(NULL, data, bytes), SGT_E_INVALID_ARGUMENT, "policy");
    sgtt_fails(sgt_growth_policy_load(replay.policy, NULL, 0), SGT_E_INVALID_ARGUMENT, "data");
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(every_cut_is_refused)
{
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    for (size_t cut = 0; cut < bytes; cut++) {
        unsigned char *exact = malloc(cut + 1);
        memcpy(exact, data, cut);
        sgtt_fails(sgt_growth_policy_load(replay.policy, exact, cut), SGT_E_FORMAT, "");
        if (cut >= OWN_VERSION) { /* with the length set to what is there */
            put(exact + LENGTH, cut - OWN_VERSION, 8);
            sgtt_fails(sgt_growth_policy_load(replay.policy, exact, cut), SGT_E_FORMAT, "");
        }
        free(exact);
    }
    data = realloc(data, bytes + 1);
    data[bytes] = 0;
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes + 1), SGT_E_FORMAT, "length");
    put(data + LENGTH, bytes + 1 - OWN_VERSION, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes + 1), SGT_E_FORMAT, "length");
    put(data + LENGTH, bytes - OWN_VERSION, 8);
    expect_bytes(replay.policy, data, bytes);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

static const struct {
    int at;
    int width;
    uint64_t value;
    sgt_status status;
} damages[] = {
    {MAGIC, 4, 0, SGT_E_FORMAT},
    {VERSION, 4, 2, SGT_E_VERSION},
    {KIND, 4, 0, SGT_E_INVALID_ARGUMENT},
    {KIND, 4, 1, SGT_E_INVALID_ARGUMENT},
    {FIXED, 4, 2, SGT_E_FORMAT},
    {LENGTH, 8, UINT64_MAX, SGT_E_FORMAT},
    {OWN_VERSION, 4, 9, SGT_E_VERSION},
    {STATE_FIXED, 4, 2, SGT_E_FORMAT},
    {N_SELECTED, 4, 0, SGT_E_FORMAT},
    {N_SELECTED, 4, 2, SGT_E_FORMAT},
    {N_SELECTED, 4, 0x7fffffff, SGT_E_FORMAT},
    {N_SELECTED, 4, 0xffffffff, SGT_E_FORMAT},
    {WINDOW_START, 8, 0, SGT_E_FORMAT},
    {WINDOW_START, 8, 4, SGT_E_FORMAT}, /* before the last pass began */
    {WINDOW_START, 8, UINT64_MAX, SGT_E_FORMAT},
    {SELECTED, 4, 0, SGT_E_FORMAT},
    {SELECTED, 4, 1, SGT_E_FORMAT}, /* the loops are on layer 2 */
    {SELECTED, 4, 3, SGT_E_FORMAT},
    {SELECTED, 4, 0xffffffff, SGT_E_FORMAT},
    {SELECTED + 4, 4, 1, SGT_E_FORMAT},
    {DEPTHS + 4, 4, 1, SGT_E_FORMAT},
    {DEPTHS + 8, 4, 0, SGT_E_FORMAT},
    {DEPTHS + 8, 4, 1, SGT_E_FORMAT},
    {DEPTHS + 8, 4, 3, SGT_E_FORMAT},
    {DEPTHS + 8, 4, 0x7fffffff, SGT_E_FORMAT},
    {KEPT + 8, 4, HEADS, SGT_E_FORMAT},
    {KEPT + 8, 4, 0xffffffff, SGT_E_FORMAT},
    {KEPT, 4, 1, SGT_E_FORMAT},
    {STARTS + 32, 8, 0, SGT_E_FORMAT},
    {STARTS + 32, 8, 6, SGT_E_FORMAT},
    {STARTS + 40, 8, 1, SGT_E_FORMAT},
    {STARTS, 8, 1, SGT_E_FORMAT},
    {AVERAGES, 8, UINT64_C(0x7ff8000000000000), SGT_E_FORMAT},
    {AVERAGES + 16, 8, UINT64_C(0xfff0000000000000), SGT_E_FORMAT},
};

START_TEST(every_damage_is_refused)
{
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;
    unsigned char damaged[BYTES];

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    sgtt_ok(sgt_growth_policy_load(replay.policy, data, bytes));
    memcpy(damaged, data, BYTES);
    put(damaged + damages[_i].at, damages[_i].value, damages[_i].width);
    sgtt_fails(sgt_growth_policy_load(replay.policy, damaged, BYTES), damages[_i].status, "");
    expect_bytes(replay.policy, data, bytes);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

/* Each field is possible by itself, but not beside the others. */
START_TEST(contradictions_are_refused)
{
    sgt_growth_sparse_options options = small_options();
    sgt_growth_policy *fresh;
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    put(data + DEPTHS + 4, 1, 4); /* a loop of layer 1, which was never selected */
    put(data + STARTS + 16, 2, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes), SGT_E_FORMAT, "depths");
    free(data);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    put(data + WINDOW_START, UINT64_C(1) << 60, 8); /* growth would never decide again */
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes), SGT_E_FORMAT, "window_start");
    put(data + WINDOW_START, 6, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes), SGT_E_FORMAT, "window_start");
    put(data + WINDOW_START, 4, 8); /* a deepening before the window was over */
    put(data + STARTS + 8 * 5, 4, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes), SGT_E_FORMAT, "a layer");
    put(data + WINDOW_START, 5, 8); /* a selection before the first step */
    put(data + STARTS + 8 * 5, 5, 8);
    put(data + STARTS + 8 * 4, 1, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes), SGT_E_FORMAT, "a layer");
    free(data);
    fresh = sgtt_policy_sparse(replay.context, LAYERS, HEADS, &options);
    data = sgtt_policy_bytes(&bytes, fresh);
    sgtt_ok(sgt_growth_policy_load(fresh, data, bytes));
    put(data + WINDOW_START, 5, 8); /* a window without a selection */
    sgtt_fails(sgt_growth_policy_load(fresh, data, bytes), SGT_E_FORMAT, "window_start");
    put(data + WINDOW_START, 0, 8);
    put(data + STATE_FIXED, 1, 4); /* growth that ended while it could select */
    sgtt_fails(sgt_growth_policy_load(fresh, data, bytes), SGT_E_FORMAT, "fixed");
    free(data);
    sgt_growth_policy_free(fresh);
    sgtt_replay_close(&replay);
}
END_TEST

/* A damage that is not noticed must leave a policy that can go on. */
START_TEST(any_changed_byte_is_survived)
{
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    for (size_t at = 0; at < bytes; at++) {
        unsigned char right = data[at];
        for (int bit = 0; bit < 8; bit++) {
            data[at] = (unsigned char)(right ^ (1 << bit));
            if (sgt_growth_policy_load(replay.policy, data, bytes) == SGT_OK) {
                expect_bytes(replay.policy, data, bytes);
                for (int64_t step = 7; step <= 20; step++)
                    sgtt_replay_step(&replay, step);
            }
        }
        data[at] = right;
    }
    sgtt_ok(sgt_growth_policy_load(replay.policy, data, bytes));
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

static const char *const fields[] = {"top_k_layers", "first_step", "window",    "max_layers",
                                     "max_depth",    "keep_heads", "ramp",      "fade",
                                     "entropy",      "average",    "direction", "head_choice",
                                     "seed",         "max_gain",   "groups",    "exclude"};

START_TEST(other_options_are_named)
{
    static const int32_t none_but_two[] = {0, 1};
    sgt_growth_sparse_options o = small_options();
    sgt_growth_policy *other = NULL;
    sgtt_replay replay;
    size_t bytes;
    void *data;

    switch (_i) {
    case 0: o.top_k_layers++; break;
    case 1: o.first_step++; break;
    case 2: o.window++; break;
    case 3: o.max_layers++; break;
    case 4: o.max_depth++; break;
    case 5: o.keep_heads++; break;
    case 6: o.ramp = SGT_RAMP_WARM; break;
    case 7: o.fade = SGT_FADE_COSINE; break;
    case 8: o.entropy = SGT_ENTROPY_MEAN; break;
    case 9: o.average = 0.25; break;
    case 10: o.direction = SGT_DIRECTION_SHALLOW_TO_DEEP; break;
    case 11: o.head_choice = SGT_HEADS_RANDOM; break;
    case 12: o.seed++; break;
    case 13: o.max_gain = 0.25; break;
    case 14: o.n_groups = 2; break;
    default:
        o.exclude = none_but_two;
        o.n_exclude = 2;
        break;
    }
    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    other = sgtt_policy_sparse(replay.context, LAYERS, HEADS, &o);
    sgtt_fails(sgt_growth_policy_load(other, data, bytes), SGT_E_INVALID_ARGUMENT, fields[_i]);
    sgt_growth_policy_free(other);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

/* Version 1, which is all that 0.1 knows, has no highest gain and no groups. */
START_TEST(a_gain_of_1_and_one_group_are_version_1)
{
    sgt_growth_sparse_options options = small_options();
    sgt_growth_policy *plain, *grouped;
    sgtt_replay replay;
    size_t bytes;
    size_t saved_bytes;
    unsigned char *data, *saved, old[BYTES - 8 - 8 * LAYERS];

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    memcpy(old, data, MAX_GAIN);
    memcpy(old + MAX_GAIN, data + STATE, BYTES - STATE);
    put(old + OWN_VERSION, 1, 4);
    put(old + LENGTH, sizeof old - OWN_VERSION, 8);
    sgtt_fails(sgt_growth_policy_load(replay.policy, old, sizeof old), SGT_E_INVALID_ARGUMENT,
               "max_gain");
    expect_bytes(replay.policy, data, bytes);
    options.max_gain = 1.0;
    grouped = sgtt_policy_sparse(replay.context, LAYERS, HEADS, &options);
    sgtt_fails(sgt_growth_policy_load(grouped, old, sizeof old), SGT_E_INVALID_ARGUMENT, "groups");
    saved = sgtt_policy_bytes(&saved_bytes, grouped);
    ck_assert_uint_eq(saved_bytes, BYTES);
    ck_assert_uint_eq(saved[OWN_VERSION], 2);
    sgtt_ok(sgt_growth_policy_load(grouped, saved, saved_bytes));
    sgt_growth_policy_free(grouped);
    options.n_groups = 1;
    plain = sgtt_policy_sparse(replay.context, LAYERS, HEADS, &options);
    sgtt_fails(sgt_growth_policy_load(plain, saved, saved_bytes), SGT_E_INVALID_ARGUMENT, "groups");
    free(saved);
    sgtt_ok(sgt_growth_policy_load(plain, old, sizeof old));
    sgtt_fails(sgt_growth_policy_load(plain, data, bytes), SGT_E_INVALID_ARGUMENT, "max_gain");
    expect_bytes(plain, old, sizeof old);
    put(data + MAX_GAIN, UINT64_C(0x3ff0000000000000), 8);
    memset(data + GROUPS, 0, 8 * LAYERS);
    sgtt_fails(sgt_growth_policy_load(plain, data, bytes), SGT_E_FORMAT, "version 2 without need");
    sgt_growth_policy_free(plain);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(the_numbers_of_groups_do_not_matter)
{
    static const int32_t renamed[LAYERS] = {0, 3, 3};
    sgt_growth_sparse_options options = small_options();
    sgt_growth_policy *other;
    sgtt_replay replay;
    size_t bytes;
    void *data;

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    options.groups = renamed;
    other = sgtt_policy_sparse(replay.context, LAYERS, HEADS, &options);
    sgtt_ok(sgt_growth_policy_load(other, data, bytes));
    expect_bytes(other, data, bytes);
    sgt_growth_policy_free(other);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(other_shapes_and_kinds_are_refused)
{
    sgt_growth_sparse_options options = small_options();
    sgt_growth_policy *other;
    sgtt_replay replay;
    size_t bytes;
    void *data;

    open_state(&replay, NULL);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    other = sgtt_policy_sparse(replay.context, LAYERS + 1, HEADS, &options);
    sgtt_fails(sgt_growth_policy_load(other, data, bytes), SGT_E_INVALID_ARGUMENT, "3 layers");
    sgt_growth_policy_free(other);
    other = sgtt_policy_sparse(replay.context, LAYERS, HEADS + 1, &options);
    sgtt_fails(sgt_growth_policy_load(other, data, bytes), SGT_E_INVALID_ARGUMENT, "2 heads");
    sgt_growth_policy_free(other);
    sgtt_ok(sgt_growth_policy_none(&other, replay.context, LAYERS, HEADS));
    sgtt_fails(sgt_growth_policy_load(other, data, bytes), SGT_E_INVALID_ARGUMENT, "kind");
    sgt_growth_policy_free(other);
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(asking_saving_and_loading_need_no_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgtt_replay replay;
    unsigned char data[BYTES];
    size_t bytes = BYTES;

    open_state(&replay, &memory);
    memory.left = 0;
    sgtt_replay_step(&replay, 7);
    sgtt_ok(sgt_growth_policy_save(data, &bytes, replay.policy));
    sgtt_ok(sgt_growth_policy_load(replay.policy, data, bytes));
    sgtt_replay_close(&replay);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

/* The step that deepens needs memory: refused, it changes nothing and can be repeated. */
START_TEST(a_decision_without_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_plan *before = NULL;
    sgt_growth_event event = {.size = sizeof event, .action = 77};
    sgtt_replay replay;
    size_t bytes;
    void *data;
    int failures = 0;

    open_state(&replay, &memory);
    sgtt_ok(sgt_plan_clone(&before, replay.plan));
    sgtt_replay_step(&replay, 7);
    for (int32_t pass = 0; pass < 3; pass++) /* now layer 1 is above layer 2 in score */
        sgtt_replay_entropies(&replay, 1, pass)[0] = 8;
    data = sgtt_policy_bytes(&bytes, replay.policy);
    replay.observation.step = 8;
    for (;; failures++) {
        sgt_status status;
        memory.left = failures;
        status = sgt_growth_policy_decide(&event, replay.policy, &replay.observation, replay.plan);
        memory.left = -1;
        if (status == SGT_OK)
            break;
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        ck_assert_int_eq(event.action, 77);
        ck_assert_int_eq(sgt_plan_equal(replay.plan, before), 1);
        expect_bytes(replay.policy, data, bytes);
    }
    ck_assert_int_gt(failures, 1);
    ck_assert_int_eq(event.action, SGT_GROWTH_SELECT);
    ck_assert_int_eq(event.layer, 1);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 1);
    free(data);
    sgt_plan_free(before);
    sgtt_replay_close(&replay);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state of the sparse policy");
    TCase *tests = tcase_create("state");

    tcase_add_test(tests, everything_is_in_its_place);
    tcase_add_test(tests, too_little_room_writes_nothing);
    tcase_add_test(tests, every_cut_is_refused);
    tcase_add_loop_test(tests, every_damage_is_refused, 0,
                        (int)(sizeof damages / sizeof damages[0]));
    tcase_add_test(tests, contradictions_are_refused);
    tcase_add_test(tests, any_changed_byte_is_survived);
    tcase_add_loop_test(tests, other_options_are_named, 0,
                        (int)(sizeof fields / sizeof fields[0]));
    tcase_add_test(tests, a_gain_of_1_and_one_group_are_version_1);
    tcase_add_test(tests, the_numbers_of_groups_do_not_matter);
    tcase_add_test(tests, other_shapes_and_kinds_are_refused);
    tcase_add_test(tests, asking_saving_and_loading_need_no_memory);
    tcase_add_test(tests, a_decision_without_memory);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
