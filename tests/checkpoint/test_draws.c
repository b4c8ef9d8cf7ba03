/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A part that draws random numbers: its training is a function of seed and counter, so recompute,
 * a forward that was stopped and a checkpoint leave every bit as it was. The library has no such
 * part yet. This program brings one, by a function of its own in the place of the library's
 * sgti_part_kind_of: the standard feed-forward, which a coin leaves out of a training forward
 * (Huang et al., Deep Networks with Stochastic Depth, ECCV 2016).
 */
#include "backend/dispatch.h"
#include "base/random.h"
#include "core/tensors.h"
#include "fixtures.h"
#include "model/work.h"
#include "scratch.h"
#include "training.h"

enum { STEPS = 8, SAVED = 5, TOSSED = 1, CHOSEN = SGTI_PART_REGIONS - 1 };

static const uint64_t coin_stream = UINT64_C(0x636f696e) << 32;

/* What the coin said last, and how often it was tossed. */
static float last_chosen;
static int tosses;

/* ---- the part ---- */

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    sgti_swiglu_feed_forward.parameters(placer, config);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    sgti_swiglu_feed_forward.place(part, regions);
    part->own[CHOSEN] = sgti_take(regions, SGTI_DECISIONS, 1, 1, SGT_F32);
}

/* 1 or 0, once for a training forward. */
static sgt_status choose(float *chosen, const sgti_work *work, const sgti_part *part)
{
    uint32_t bits[4];
    const sgt_tensor region = sgti_at(work, &part->own[CHOSEN]);
    if (work->remake)
        return sgti_read(work->dispatch, chosen, &region);
    sgti_random_bits(bits, 7, coin_stream | (uint32_t)part->index, (uint64_t)work->model->draws);
    *chosen = (float)(bits[0] & 1);
    last_chosen = *chosen;
    tosses++;
    return sgti_write(work->dispatch, &region, chosen);
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    float chosen = 1.0f;
    sgt_status status = SGT_OK;
    if (sgti_is_training(&work->layout->shape))
        status = choose(&chosen, work, part);
    if (status || chosen == 1.0f)
        return status ? status : sgti_swiglu_feed_forward.forward(work, part);
    const sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    return work->remake ? SGT_OK : sgti_copy(work->dispatch, &y, &x);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    float chosen;
    const sgt_tensor region = sgti_at(work, &part->own[CHOSEN]);
    sgt_status status = sgti_read(work->dispatch, &chosen, &region);
    if (status || chosen == 0.0f)
        return status;
    return sgti_swiglu_feed_forward.backward(work, part);
}

static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    sgti_swiglu_feed_forward.flops(flops, query);
}

static const sgti_part_kind tossed = {
    .name = "tossed",
    .slot = SGTI_FEED_FORWARD,
    .draws = 1,
    .parameters = declare,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};

/* ---- the kinds; one layer tosses ---- */

static int is_drawing = 1; /* 0: a kind of the same name does not draw */

const sgti_part_kind *sgti_part_kind_of(enum sgti_block_part slot, int32_t number)
{
    static sgti_part_kind settled;
    settled = sgti_swiglu_feed_forward;
    settled.name = tossed.name;
    if (slot == SGTI_ATTENTION)
        return number == 0 ? &sgti_softmax_attention : NULL;
    if (number == 1)
        return is_drawing ? &tossed : &settled;
    return number == 0 ? &sgti_swiglu_feed_forward : NULL;
}

static sgt_model_config drawing_config(void)
{
    static const sgt_block_config blocks[] = {
        {.size = sizeof *blocks},
        {.size = sizeof *blocks, .feed_forward = 1},
        {.size = sizeof *blocks},
    };
    sgt_model_config config = training_config(SGTT_KIND_DENSE);
    config.n_blocks = sizeof blocks / sizeof blocks[0];
    config.blocks = blocks;
    return config;
}

/* ---- trainings ---- */

static small_training start(int recompute)
{
    small_training t = {.context = training_context(2)};
    const sgt_model_options options = {.size = sizeof options, .recompute = recompute};
    const sgtt_small_recipe recipe = {.config = drawing_config(),
                                      .options = &options};
    t.policy = training_policy(t.context, SGTT_KIND_DENSE);
    sgtt_ok(sgtt_small_make(&t, &recipe));
    sgtt_randomize(t.model, 5);
    return t;
}

static void save_as(char path[SCRATCH_PATH], const char *name, int drawing)
{
    is_drawing = drawing;
    small_training t = start(0);
    training_run(&t, 1, SAVED);
    scratch_path(path, name);
    sgtt_ok(training_save(&t, path));
    sgtt_small_free(&t);
}

/* ---- tests ---- */

START_TEST(training_forwards_are_counted_where_a_part_draws)
{
    is_drawing = _i;
    small_training t = start(0);
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    training_run(&t, 1, 3); /* two batches each */
    ck_assert_int_eq(t.model->draws, _i ? 6 : 0);
    ck_assert_int_eq(tosses, _i ? 6 : 0);
    sgtt_ok(sgt_model_evaluate(&metrics, t.model, &batch, NULL));
    ck_assert_int_eq(t.model->draws, _i ? 6 : 0);
    sgtt_batch_free(&batch);
    sgtt_small_free(&t);
}
END_TEST

/* Stops before the layer that `user` says. */
static int32_t stop_at_layer(void *user, const sgt_progress *progress)
{
    return progress->done == *(const int64_t *)user ? 17 : 0;
}

START_TEST(a_forward_that_was_stopped_is_not_counted)
{
    int64_t layer = -1;
    small_training t = {0};
    sgt_context_options options = sgtt_model_options();
    sgtt_small_recipe recipe = {.config = drawing_config(), .context = &options};
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    options.progress = stop_at_layer;
    options.progress_user = &layer;
    sgtt_ok(sgtt_small_make(&t, &recipe));
    layer = TOSSED + 1;
    ck_assert_int_eq(sgt_model_forward(&metrics, t.model, &batch), 17);
    ck_assert_int_eq(tosses, 1);
    ck_assert_int_eq(t.model->draws, 0);
    layer = -1;
    sgtt_ok(sgt_model_forward(&metrics, t.model, &batch));
    ck_assert_int_eq(t.model->draws, 1);
    sgtt_batch_free(&batch);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(a_remade_forward_finds_what_was_chosen)
{
    small_training plain = start(0), remade = start(1);
    int left_out = 0;
    for (int step = 1; step <= STEPS; step++) {
        training_run(&plain, step, step);
        const float chosen = last_chosen;
        left_out += chosen == 0.0f;
        training_run(&remade, step, step);
        ck_assert_float_eq(last_chosen, chosen);
    }
    ck_assert_int_gt(left_out, 0);
    ck_assert_int_lt(left_out, STEPS);
    training_compare(&plain, &remade);
    sgtt_small_free(&remade);
    sgtt_small_free(&plain);
}
END_TEST

START_TEST(a_resumed_training_goes_on_drawing)
{
    char path[SCRATCH_PATH];
    small_training whole = start(0), made = {.context = training_context(1)}, other = start(0);
    made.policy = training_policy(made.context, SGTT_KIND_DENSE);
    training_run(&whole, 1, STEPS);
    training_run(&other, 1, 2);
    save_as(path, "drawing", 1);
    small_training *const resumed[] = {&made, &other};
    for (int i = 0; i < 2; i++) {
        sgtt_ok(sgtt_small_resume(resumed[i], path));
        ck_assert_int_eq(resumed[i]->model->draws, 2 * SAVED);
        training_run(resumed[i], SAVED + 1, STEPS);
        training_compare(&whole, resumed[i]);
        sgtt_small_free(resumed[i]);
    }
    sgtt_small_free(&whole);
}
END_TEST

/* Without the counter the training would be another one; with it, it is one that draws. */
START_TEST(the_counter_is_in_files_of_models_that_draw)
{
    char drawing[SCRATCH_PATH], plain[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_context *context = training_context(1);
    save_as(drawing, "drawing", 1);
    save_as(plain, "plain", 0);
    ck_assert_int_eq(scratch_replace(plain, "model.draws", "model.draws"), 0);
    sgtt_fails(sgt_checkpoint_open(&checkpoint, context, drawing), SGT_E_VERSION,
               "'model.draws' is not known");
    is_drawing = 1;
    sgtt_fails(sgt_checkpoint_open(&checkpoint, context, plain), SGT_E_FORMAT,
               "'model.draws' is missing");
    sgt_context_free(context);
}
END_TEST

START_TEST(an_impossible_counter_is_refused)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_checkpoint_save_options options;
    small_training t = start(0);
    training_run(&t, 1, SAVED);
    scratch_path(path, "no-checksums");
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 0;
    sgtt_ok(sgt_checkpoint_save(t.model, path, &options));
    ck_assert_int_eq(scratch_replace(path, "\"model.draws\":\"10\"", "\"model.draws\":\"-1\""), 1);
    sgtt_fails(sgt_checkpoint_open(&checkpoint, t.context, path), SGT_E_FORMAT,
               "model.draws is not possible");
    sgtt_small_free(&t);
}
END_TEST

static void begin(void)
{
    is_drawing = 1;
    tosses = 0;
}

int main(void)
{
    Suite *suite = suite_create("draws");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, begin, scratch_remove);
    tcase_add_loop_test(tests, training_forwards_are_counted_where_a_part_draws, 0, 2);
    tcase_add_test(tests, a_forward_that_was_stopped_is_not_counted);
    tcase_add_test(tests, a_remade_forward_finds_what_was_chosen);
    tcase_add_test(tests, a_resumed_training_goes_on_drawing);
    tcase_add_test(tests, the_counter_is_in_files_of_models_that_draw);
    tcase_add_test(tests, an_impossible_counter_is_refused);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
