/* SPDX-License-Identifier: BSD-3-Clause */
/* Policies of the host's own: the vtable's checks, what passes through, what a failure undoes. */
#include <stdlib.h>
#include <string.h>

#include "growth_testing.h"

enum { LAYERS = 2, HEADS = 2, STOP = 42 };

/* What the host can tell its policy to do, and what it saw. */
typedef struct host {
    int32_t create_status;
    int32_t decide_status; /* after everything was changed */
    const char *decide_message; /* NULL: it says nothing */
    int32_t said_status;        /* what it says that for; 0: for what it returns */
    int32_t save_status;
    int32_t load_status;
    size_t save_more; /* bytes that the second save claims more than the first */
    sgt_growth_event event;
    int created, destroyed, decided, loaded;
    sgt_growth_observation seen;
} host;

/* The state counts the questions. */
static int32_t counting_create(void **state, void *user, int32_t n_layers, int32_t n_heads)
{
    host *h = user;
    ck_assert_int_eq(n_layers, LAYERS);
    ck_assert_int_eq(n_heads, HEADS);
    if (h->create_status != 0)
        return h->create_status;
    *state = calloc(1, sizeof(uint32_t));
    ck_assert_ptr_nonnull(*state);
    h->created++;
    return 0;
}

static void counting_destroy(void *state, void *user)
{
    host *h = user;
    h->destroyed++;
    free(state);
}

static int32_t counting_decide(void *state, void *user, const sgt_growth_observation *observation,
                               sgt_plan *plan, sgt_growth_event *event)
{
    host *h = user;
    uint32_t *count = state;

    h->decided++;
    h->seen = *observation;
    ck_assert_uint_eq(event->size, sizeof *event);
    ck_assert_int_eq(event->action, SGT_GROWTH_NONE);
    ck_assert_int_eq(event->layer, -1);
    ck_assert_ptr_ne(plan, observation->plan);
    if (count != NULL)
        ++*count;
    sgtt_ok(sgt_plan_set_depth(plan, 1, sgt_plan_depth(plan, 1) + 1));
    if (h->event.action != SGT_GROWTH_NONE)
        *event = h->event;
    if (h->decide_message != NULL)
        sgt_error_set(h->said_status != 0 ? h->said_status : h->decide_status, h->decide_message);
    return h->decide_status;
}

static int32_t counting_save(const void *state, void *user, void *data, size_t *bytes)
{
    host *h = user;
    if (data != NULL) {
        ck_assert_uint_ge(*bytes, sizeof(uint32_t));
        memcpy(data, state, sizeof(uint32_t));
    }
    *bytes = sizeof(uint32_t) + (data != NULL ? h->save_more : 0);
    return h->save_status;
}

static int32_t counting_load(void *state, void *user, const void *data, size_t bytes)
{
    host *h = user;
    if (h->load_status != 0)
        return h->load_status;
    if (bytes != sizeof(uint32_t))
        return SGT_E_FORMAT;
    h->loaded++;
    memcpy(state, data, sizeof(uint32_t));
    return 0;
}

static sgt_growth_policy_vtable counting(void)
{
    return (sgt_growth_policy_vtable){
        .size = sizeof(sgt_growth_policy_vtable),
        .create = counting_create,
        .destroy = counting_destroy,
        .decide = counting_decide,
        .save = counting_save,
        .load = counting_load,
    };
}

static sgt_growth_policy *make(sgt_context *context, const sgt_growth_policy_vtable *vtable,
                               host *user)
{
    sgt_growth_policy *policy = NULL;
    sgtt_ok(sgt_growth_policy_custom(&policy, context, LAYERS, HEADS, vtable, user));
    return policy;
}

static void open_host(sgtt_replay *replay, sgt_context *context, host *user)
{
    sgt_growth_policy_vtable vtable = counting();
    sgtt_replay_open(replay, context, make(context, &vtable, user), LAYERS, HEADS, 1);
}

/* The count inside the saved bytes, the last four. */
static uint32_t count_of(const sgt_growth_policy *policy)
{
    size_t bytes;
    unsigned char *data = sgtt_policy_bytes(&bytes, policy);
    uint32_t count;
    memcpy(&count, data + bytes - 4, 4);
    free(data);
    return count;
}

static void refuse(sgt_context *context, const sgt_growth_policy_vtable *vtable, sgt_status status,
                   const char *message)
{
    host user = {0};
    sgt_growth_policy *policy = NULL;
    sgtt_fails(sgt_growth_policy_custom(&policy, context, LAYERS, HEADS, vtable, &user), status,
               message);
    ck_assert_ptr_null(policy);
    ck_assert_int_eq(user.created, user.destroyed);
}

START_TEST(vtables_are_checked)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_growth_policy_vtable vtable;
    int64_t live = memory.live;

    refuse(context, NULL, SGT_E_INVALID_ARGUMENT, "vtable");
    vtable = counting(), vtable.create = NULL;
    refuse(context, &vtable, SGT_E_INVALID_ARGUMENT, "create");
    vtable = counting(), vtable.decide = NULL;
    refuse(context, &vtable, SGT_E_INVALID_ARGUMENT, "decide");
    vtable = counting(), vtable.save = NULL;
    refuse(context, &vtable, SGT_E_INVALID_ARGUMENT, "lacks save");
    vtable = counting(), vtable.load = NULL;
    refuse(context, &vtable, SGT_E_INVALID_ARGUMENT, "lacks load");
    vtable = counting(), vtable.entropy = 4;
    refuse(context, &vtable, SGT_E_OUT_OF_RANGE, "entropy");
    vtable = counting(), vtable.size = 16;
    refuse(context, &vtable, SGT_E_STRUCT_SIZE, "sgt_growth_policy_vtable");
    ck_assert_int_eq(memory.live, live);
    sgt_context_free(context);
}
END_TEST

START_TEST(a_failing_create_passes_through)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_growth_policy_vtable vtable = counting();
    sgt_growth_policy *policy = NULL;
    int64_t live = memory.live;
    host user = {.create_status = STOP};

    sgtt_fails(sgt_growth_policy_custom(&policy, context, LAYERS, HEADS, &vtable, &user), STOP,
               "create of the growth policy returned 42");
    ck_assert_ptr_null(policy);
    ck_assert_int_eq(user.destroyed, 0);
    ck_assert_int_eq(memory.live, live);
    sgtt_fails(sgt_growth_policy_custom(&policy, context, LAYERS, 0, &vtable, &user),
               SGT_E_OUT_OF_RANGE, "n_heads");
    sgt_context_free(context);
}
END_TEST

START_TEST(state_lives_as_long_as_the_policy)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy_vtable vtable = counting();
    host user = {0};
    sgt_growth_policy *policy = make(context, &vtable, &user);

    sgt_context_free(context);
    memset(&vtable, 0, sizeof vtable); /* it was copied */
    ck_assert_uint_eq(count_of(policy), 0);
    ck_assert_int_eq(user.destroyed, 0);
    sgt_growth_policy_free(policy);
    ck_assert_int_eq(user.created, 1);
    ck_assert_int_eq(user.destroyed, 1);
}
END_TEST

START_TEST(sees_the_observation)
{
    host user = {0};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.loss = 2.5;
    replay.observation.grad_norm = 0.125;
    replay.observation.executed_flops = 1e9;
    replay.observation.vanilla_flops = 1e8;
    replay.observation.mean_entropy = NULL;
    sgtt_replay_step(&replay, 7);
    ck_assert_int_eq(user.seen.step, 7);
    ck_assert_double_eq(user.seen.loss, 2.5);
    ck_assert_double_eq(user.seen.grad_norm, 0.125);
    ck_assert_double_eq(user.seen.executed_flops, 1e9);
    ck_assert_double_eq(user.seen.vanilla_flops, 1e8);
    ck_assert_ptr_eq(user.seen.last_entropy, replay.entropies);
    ck_assert_ptr_null(user.seen.mean_entropy);
    ck_assert_ptr_eq(user.seen.plan, replay.plan);
    replay.observation.plan = NULL; /* then it is the plan that is edited */
    sgtt_replay_step(&replay, 8);
    ck_assert_ptr_eq(user.seen.plan, replay.plan);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 2);
    sgtt_replay_close(&replay);
}
END_TEST

static void refuse_question(sgtt_replay *replay, sgt_status status, const char *message)
{
    sgt_growth_event event = {.size = sizeof event, .action = 77};
    int32_t depth = sgt_plan_depth(replay->plan, 1);
    uint32_t count = count_of(replay->policy);

    sgtt_fails(sgt_growth_policy_decide(&event, replay->policy, &replay->observation, replay->plan),
               status, message);
    ck_assert_int_eq(event.action, 77);
    ck_assert_int_eq(sgt_plan_depth(replay->plan, 1), depth);
    ck_assert_uint_eq(count_of(replay->policy), count);
}

START_TEST(observations_are_checked)
{
    host user = {0};
    sgt_plan *other = NULL;
    sgt_growth_event small = {.size = 8};
    sgt_growth_observation right;
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    sgtt_replay_step(&replay, 1);
    right = replay.observation;
    replay.observation.n_layers++;
    refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "3 layers");
    replay.observation = right;
    replay.observation.n_heads--;
    refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "1 heads");
    replay.observation = right;
    replay.observation.step = 0;
    refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "step");
    replay.observation = right;
    replay.observation.max_passes = 0;
    refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "max_passes");
    replay.observation = right;
    replay.observation.size = 12;
    refuse_question(&replay, SGT_E_STRUCT_SIZE, "sgt_growth_observation");
    replay.observation = right;
    sgtt_ok(sgt_plan_create(&other, replay.context, LAYERS, HEADS + 1));
    replay.observation.plan = other;
    refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "plan");
    replay.observation = right;
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &right, other), SGT_E_INVALID_ARGUMENT,
               "plan");
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &right, NULL), SGT_E_INVALID_ARGUMENT,
               "plan");
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, NULL, replay.plan),
               SGT_E_INVALID_ARGUMENT, "observation");
    sgtt_fails(sgt_growth_policy_decide(NULL, NULL, &right, replay.plan), SGT_E_INVALID_ARGUMENT,
               "policy");
    sgtt_fails(sgt_growth_policy_decide(&small, replay.policy, &right, replay.plan),
               SGT_E_STRUCT_SIZE, "sgt_growth_event");
    ck_assert_int_eq(user.decided, 1);
    sgt_plan_free(other);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_failing_decide_undoes_itself)
{
    host user = {0};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    sgtt_replay_step(&replay, 1);
    sgtt_replay_step(&replay, 2);
    ck_assert_uint_eq(count_of(replay.policy), 2);
    user.decide_status = STOP;
    refuse_question(&replay, STOP, "decide of the growth policy returned 42");
    user.decide_status = SGT_E_STATE;
    refuse_question(&replay, SGT_E_STATE, "");
    user.decide_status = 0;
    user.save_status = STOP;
    replay.observation.step = 3;
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
               STOP, "save");
    user.save_status = 0;
    ck_assert_int_eq(user.decided, 4); /* not asked when it cannot be taken back */
    sgtt_replay_step(&replay, 3);
    ck_assert_uint_eq(count_of(replay.policy), 3);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 3);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_failing_restore_is_told)
{
    host user = {.decide_status = STOP, .load_status = STOP + 1};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
               STOP + 1, "load of the growth policy returned 43");
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 0);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(without_save_the_plan_is_kept_all_the_same)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy_vtable vtable = counting();
    host user = {.decide_status = STOP};
    sgtt_replay replay;
    size_t bytes;
    unsigned char *data;

    vtable.save = NULL;
    vtable.load = NULL;
    vtable.size = sizeof vtable;
    sgtt_replay_open(&replay, context, make(context, &vtable, &user), LAYERS, HEADS, 1);
    replay.observation.step = 1;
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
               STOP, "");
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 0);
    data = sgtt_policy_bytes(&bytes, replay.policy);
    sgtt_ok(sgt_growth_policy_load(replay.policy, data, bytes));
    data = realloc(data, bytes + 1);
    data[bytes] = 0;
    data[24] = 1; /* the length of its own bytes */
    sgtt_fails(sgt_growth_policy_load(replay.policy, data, bytes + 1), SGT_E_FORMAT, "keeps none");
    free(data);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(events_pass_through)
{
    static const int32_t heads[] = {1, 0};
    static const int32_t layers[] = {1};
    host user = {0};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    user.event = (sgt_growth_event){.size = sizeof user.event, .action = SGT_GROWTH_SELECT,
                                    .layer = 1, .depth = 1, .n_heads = 2, .heads = heads};
    ck_assert_int_eq(sgtt_replay_step(&replay, 1), SGT_GROWTH_SELECT);
    ck_assert_int_eq(replay.event.layer, 1);
    ck_assert_ptr_eq(replay.event.heads, heads);
    user.event = (sgt_growth_event){.size = sizeof user.event, .action = SGT_GROWTH_FIX,
                                    .layer = -1, .n_layers = 1, .layers = layers};
    ck_assert_int_eq(sgtt_replay_step(&replay, 2), SGT_GROWTH_FIX);
    ck_assert_ptr_eq(replay.event.layers, layers);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(events_are_checked)
{
    static const sgt_growth_event bad[] = {
        {.action = 4},
        {.action = -1},
        {.action = SGT_GROWTH_SELECT, .layer = LAYERS},
        {.action = SGT_GROWTH_DEEPEN, .layer = -1},
        {.action = SGT_GROWTH_SELECT, .layer = 0, .n_heads = 1},
        {.action = SGT_GROWTH_SELECT, .layer = 0, .n_heads = -1},
        {.action = SGT_GROWTH_FIX, .layer = -1, .n_layers = 2},
    };
    host user = {0};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        user.event = bad[i];
        refuse_question(&replay,
                        i < 4 ? SGT_E_OUT_OF_RANGE : SGT_E_INVALID_ARGUMENT, "event");
    }
    sgtt_replay_close(&replay);
}
END_TEST

/* A code of the list without a word gets a message that names the function. */
START_TEST(a_silent_refusal_has_a_message)
{
    host user = {.decide_status = SGT_E_STATE};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    sgtt_fails(sgt_plan_create(NULL, NULL, 1, 1), SGT_E_INVALID_ARGUMENT, "NULL"); /* stale */
    refuse_question(&replay, SGT_E_STATE, "decide of the growth policy returned -20");
    user.decide_status = 0;
    user.save_status = SGT_E_OUT_OF_MEMORY;
    sgtt_fails(
        sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
        SGT_E_OUT_OF_MEMORY, "save of the growth policy returned -30");
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_policy_says_why)
{
    host user = {.decide_status = STOP, .decide_message = "the budget is spent"};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    refuse_question(&replay, STOP, "the budget is spent");
    user.said_status = SGT_E_STATE; /* of a call that it got over */
    refuse_question(&replay, STOP, "decide of the growth policy returned 42");
    user.decide_status = SGT_E_STATE;
    refuse_question(&replay, SGT_E_STATE, "the budget is spent");
    sgtt_replay_close(&replay);
}
END_TEST

/* decide makes layer 1 one pass deeper, and layer 0 not. */
START_TEST(events_are_borne_out_by_the_plan)
{
    host user = {0};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    for (int32_t action = SGT_GROWTH_SELECT; action <= SGT_GROWTH_DEEPEN; action++) {
        user.event = (sgt_growth_event){.size = sizeof user.event, .action = action};
        refuse_question(&replay, SGT_E_INVALID_ARGUMENT,
                        "ed, but its plan is as before");
        user.event.layer = 1;
        user.event.depth = 2;
        refuse_question(&replay, SGT_E_INVALID_ARGUMENT, "layer 1 has depth 2 now, in the plan it "
                                                         "has 1");
    }
    user.event.depth = 1;
    ck_assert_int_eq(sgtt_replay_step(&replay, 1), SGT_GROWTH_DEEPEN);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(events_list_what_there_is)
{
    const int32_t heads[] = {0, HEADS}, layers[] = {-1};
    host user = {.event = {.action = SGT_GROWTH_SELECT, .n_heads = 2, .heads = heads}};
    sgtt_replay replay;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    refuse_question(&replay, SGT_E_OUT_OF_RANGE, "names head");
    user.event = (sgt_growth_event){
        .size = sizeof user.event, .action = SGT_GROWTH_FIX, .n_layers = 1, .layers = layers};
    refuse_question(&replay, SGT_E_OUT_OF_RANGE, "names layer -1 of");
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(saving_twice_must_agree)
{
    host user = {.save_more = 1};
    sgtt_replay replay;
    unsigned char data[64];
    size_t bytes = sizeof data;

    open_host(&replay, sgtt_portable_context(NULL), &user);
    replay.observation.step = 1;
    sgtt_fails(
        sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
        SGT_E_INVALID_ARGUMENT, "said 4 bytes and wrote 5");
    sgtt_fails(sgt_growth_policy_save(data, &bytes, replay.policy), SGT_E_INVALID_ARGUMENT,
               "4 bytes");
    ck_assert_uint_eq(bytes, sizeof data);
    sgtt_replay_close(&replay);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom policies");
    TCase *tests = tcase_create("custom");

    tcase_add_test(tests, vtables_are_checked);
    tcase_add_test(tests, a_failing_create_passes_through);
    tcase_add_test(tests, state_lives_as_long_as_the_policy);
    tcase_add_test(tests, sees_the_observation);
    tcase_add_test(tests, observations_are_checked);
    tcase_add_test(tests, a_failing_decide_undoes_itself);
    tcase_add_test(tests, a_failing_restore_is_told);
    tcase_add_test(tests, without_save_the_plan_is_kept_all_the_same);
    tcase_add_test(tests, events_pass_through);
    tcase_add_test(tests, events_are_checked);
    tcase_add_test(tests, a_silent_refusal_has_a_message);
    tcase_add_test(tests, a_policy_says_why);
    tcase_add_test(tests, events_are_borne_out_by_the_plan);
    tcase_add_test(tests, events_list_what_there_is);
    tcase_add_test(tests, saving_twice_must_agree);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
