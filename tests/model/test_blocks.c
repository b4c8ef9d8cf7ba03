/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of blocks of a configuration: what is refused, who owns it, and layers that differ. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>
#include <sgt/session.h>

#include "fixtures.h"
#include "idle_kind.h"

static sgt_context *context;

static void begin(void)
{
    context = sgtt_model_context();
}

static void end(void)
{
    sgt_context_free(context);
}

/* ---- what is refused ---- */

static const struct {
    int32_t n_blocks;
    int32_t entry; /* of three; -1: there is no list */
    sgt_block_config block;
    sgt_status status;
    const char *message;
} wrong[] = {
#define BLOCK(...) {.size = sizeof(sgt_block_config), __VA_ARGS__}
#define PATTERN(...) {.size = sizeof(sgt_attention_pattern), __VA_ARGS__}
    {-1, 0, BLOCK(0), SGT_E_OUT_OF_RANGE, "n_blocks is -1, must be 0 to n_layers = 3"},
    {4, 0, BLOCK(0), SGT_E_OUT_OF_RANGE, "n_blocks is 4"},
    {2, -1, BLOCK(0), SGT_E_INVALID_ARGUMENT, "blocks is NULL, but n_blocks is 2"},
    {3, 2, BLOCK(.feed_forward = 7), SGT_E_OUT_OF_RANGE,
     "blocks[2].feed_forward is 7, not an sgt_feed_forward_kind"},
    {3, 1, BLOCK(.attention = -1), SGT_E_OUT_OF_RANGE,
     "blocks[1].attention is -1, not an sgt_attention_kind"},
    {3, 0, BLOCK(.attention = 1), SGT_E_OUT_OF_RANGE, "blocks[0].attention is 1"},
    {3, 1, {.size = 0}, SGT_E_STRUCT_SIZE, "blocks[1].size is 0, not 56"},
    {3, 0, {.size = 12}, SGT_E_STRUCT_SIZE, "sgt_block_config: size is 12"},
    {3, 1, BLOCK(.n_patterns = -1), SGT_E_OUT_OF_RANGE, "blocks[1].n_patterns is -1, must be 0 to"},
    {3, 1, BLOCK(.n_patterns = 3), SGT_E_OUT_OF_RANGE, "0 to n_kv_heads = 2"},
    {3, 2, BLOCK(.n_patterns = 2), SGT_E_INVALID_ARGUMENT,
     "blocks[2].patterns is NULL, but n_patterns is 2"},
    {3, 1, BLOCK(.mult_kernel = 65), SGT_E_OUT_OF_RANGE,
     "blocks[1].mult_kernel is 65, must be 0 to 64"},
    {3, 0, BLOCK(.mult_kernel = -1), SGT_E_OUT_OF_RANGE, "blocks[0].mult_kernel is -1"},
    {3, 2, BLOCK(.attention_output = 2), SGT_E_OUT_OF_RANGE,
     "blocks[2].attention_output is 2, must be 0 to 1"},
    {3, 1, BLOCK(.attention_output = SGT_ATTENTION_OUTPUT_NONE), SGT_E_UNSUPPORTED,
     "these exclude each other: attention_output none and attention softmax"},
    {3, 0, BLOCK(.units = -1), SGT_E_OUT_OF_RANGE, "blocks[0].units is -1, must be 0 to 67108864"},
    {3, 0, BLOCK(.units = (1 << 26) + 1), SGT_E_OUT_OF_RANGE, "blocks[0].units is 67108865"},
    {3, 0, BLOCK(.controller_rank = -1), SGT_E_OUT_OF_RANGE,
     "blocks[0].controller_rank is -1, must be 0 to 16777216"},
    {3, 1, BLOCK(.temperature = -0.5), SGT_E_OUT_OF_RANGE,
     "blocks[1].temperature is -0.5, must be finite and at least 0"},
    {3, 1, BLOCK(.temperature = NAN), SGT_E_OUT_OF_RANGE, "blocks[1].temperature is nan"},
    {3, 2, BLOCK(.hard_fraction = 1.5), SGT_E_OUT_OF_RANGE,
     "blocks[2].hard_fraction is 1.5, must be 0 to 1"},
    {3, 2, BLOCK(.hard_fraction = -1.0), SGT_E_OUT_OF_RANGE, "blocks[2].hard_fraction is -1"},
};

START_TEST(a_wrong_list_is_named)
{
    sgt_block_config list[3] = {BLOCK(0), BLOCK(0), BLOCK(0)};
    sgt_model_config config = idle_config();
    sgt_model *none = NULL;
    config.n_blocks = wrong[_i].n_blocks;
    config.blocks = wrong[_i].entry < 0 ? NULL : list;
    if (wrong[_i].entry >= 0)
        list[wrong[_i].entry] = wrong[_i].block;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), wrong[_i].status,
               wrong[_i].message);
    ck_assert_ptr_null(none);
}
END_TEST

static const struct {
    sgt_attention_pattern second; /* of two patterns of block 1 */
    sgt_status status;
    const char *message;
} wrong_patterns[] = {
    {PATTERN(.sets = 16), SGT_E_OUT_OF_RANGE, "blocks[1].patterns[1]: sets is 16"},
    {PATTERN(.sets = SGT_KEYS_LOCAL), SGT_E_OUT_OF_RANGE, "blocks[1].patterns[1]: stride is 0"},
    {PATTERN(.reserved = 1), SGT_E_INVALID_ARGUMENT, "blocks[1].patterns[1].reserved is 1"},
    {{.size = 12}, SGT_E_STRUCT_SIZE, "blocks[1].patterns[1].size is 12, not 24"},
};

START_TEST(a_wrong_pattern_is_named)
{
    const sgt_attention_pattern patterns[2] = {PATTERN(0), wrong_patterns[_i].second};
    const sgt_block_config list[2] = {BLOCK(0), BLOCK(.n_patterns = 2, .patterns = patterns)};
    sgt_model_config config = idle_config();
    sgt_model *none = NULL;
    config.blocks = list;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), wrong_patterns[_i].status,
               wrong_patterns[_i].message);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(defaults_are_those_of_a_standard_block)
{
    sgt_block_config block;
    sgtt_ok(sgt_block_config_init(&block, sizeof block));
    ck_assert_mem_eq(&block, &idle_blocks[0], sizeof block);
}
END_TEST

/* What a part does not have is as if nobody had said it. */
START_TEST(what_a_part_does_not_have_is_not_kept)
{
    const sgt_block_config list[3] = {
        BLOCK(.mult_kernel = 5, .controller_rank = 7, .temperature = 2.0, .hard_fraction = 1.0),
        BLOCK(.feed_forward = IDLE, .units = 2, .controller_rank = 7, .hard_fraction = 1.0),
        BLOCK(0),
    };
    sgt_model_config config = idle_config(), kept = {.size = sizeof kept};
    sgt_model *model = NULL;
    config.blocks = list;
    config.n_blocks = 3;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_get_config(&kept, model));
    ck_assert_mem_eq(&kept.blocks[0], &idle_blocks[0], sizeof kept.blocks[0]);
    ck_assert_mem_eq(&kept.blocks[2], &idle_blocks[0], sizeof kept.blocks[2]);
    ck_assert_int_eq(kept.blocks[1].units, 2);
    ck_assert_int_eq(kept.blocks[1].controller_rank, 7);
    ck_assert_double_eq(kept.blocks[1].temperature, 0.0);
    ck_assert_double_eq(kept.blocks[1].hard_fraction, 1.0);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_kind_refuses_what_does_not_go_with_it)
{
    sgt_model_config config = idle_config();
    sgt_model *none = NULL;
    config.d_ff++;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_UNSUPPORTED,
               "beside an idle part");
    config.n_blocks = 1; /* the standard one alone */
    sgtt_ok(sgt_model_create(&none, context, &config, NULL));
    sgt_model_free(none);
}
END_TEST

/* A list of a newer library: its entries are longer, and lie farther apart. */
START_TEST(entries_may_be_longer)
{
    struct {
        sgt_block_config known;
        int32_t unknown[3];
    } list[2];
    sgt_model_config config = idle_config(), kept = {.size = sizeof kept};
    sgt_model *model = NULL;
    memset(list, 0, sizeof list);
    list[0].known.size = list[1].known.size = sizeof list[0];
    list[1].known.feed_forward = IDLE;
    config.blocks = &list[0].known;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_get_config(&kept, model));
    ck_assert_uint_eq(kept.blocks[1].size, sizeof(sgt_block_config));
    ck_assert_int_eq(kept.blocks[0].feed_forward, 0);
    ck_assert_int_eq(kept.blocks[1].feed_forward, IDLE);
    sgt_model_free(model);
    list[1].unknown[2] = 1;
    sgtt_fails(sgt_model_create(&model, context, &config, NULL), SGT_E_STRUCT_SIZE,
               "sgt_block_config: a field at byte 64 is set");
}
END_TEST

/* ---- whose it is ---- */

START_TEST(a_model_keeps_a_copy)
{
    sgt_block_config *list = malloc(sizeof idle_blocks);
    sgt_model_config config = idle_config(), kept = {.size = sizeof kept};
    sgt_model *model = NULL;
    memcpy(list, idle_blocks, sizeof idle_blocks);
    config.blocks = list;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    memset(list, 0x5a, sizeof idle_blocks);
    free(list);
    sgtt_ok(sgt_model_get_config(&kept, model));
    ck_assert_ptr_ne(kept.blocks, list);
    ck_assert_int_eq(kept.n_blocks, 2);
    ck_assert_mem_eq(kept.blocks, idle_blocks, sizeof idle_blocks);
    sgt_model_free(model);
}
END_TEST

/* The patterns of a newer library, which are longer, in a list that goes away. */
START_TEST(a_model_keeps_a_copy_of_patterns)
{
    struct {
        sgt_attention_pattern known;
        int32_t unknown[2];
    } patterns[2];
    sgt_block_config list[2] = {BLOCK(.n_patterns = 2, .patterns = &patterns[0].known), BLOCK(0)};
    sgt_model_config config = idle_config(), kept = {.size = sizeof kept};
    sgt_model *model = NULL;
    memset(patterns, 0, sizeof patterns);
    patterns[0].known.size = patterns[1].known.size = sizeof patterns[0];
    patterns[1].known.sets = SGT_KEYS_LOCAL;
    patterns[1].known.stride = 5;
    config.blocks = list;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    memset(patterns, 0x5a, sizeof patterns);
    sgtt_ok(sgt_model_get_config(&kept, model));
    ck_assert_int_eq(kept.blocks[0].n_patterns, 2);
    ck_assert_int_eq(kept.blocks[0].patterns[0].sets, 0);
    ck_assert_uint_eq(kept.blocks[0].patterns[1].size, sizeof(sgt_attention_pattern));
    ck_assert_int_eq(kept.blocks[0].patterns[1].sets, SGT_KEYS_LOCAL);
    ck_assert_int_eq(kept.blocks[0].patterns[1].stride, 5);
    ck_assert_ptr_null(kept.blocks[1].patterns);
    sgt_model_free(model);
}
END_TEST

START_TEST(an_empty_list_is_none)
{
    sgt_model_config config = idle_config(), kept = {.size = sizeof kept};
    sgt_model *model = NULL;
    config.n_blocks = 0;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_get_config(&kept, model));
    ck_assert_int_eq(kept.n_blocks, 0);
    ck_assert_ptr_null(kept.blocks);
    sgt_model_free(model);
}
END_TEST

/* _i: entries of the list. */
START_TEST(the_estimate_counts_the_copy)
{
    const sgt_attention_pattern patterns[2] = {PATTERN(0),
                                               PATTERN(.sets = SGT_KEYS_BLOCK, .stride = 3)};
    const sgt_block_config list[3] = {BLOCK(0), BLOCK(.feed_forward = IDLE),
                                      BLOCK(.n_patterns = 2, .patterns = patterns)};
    sgt_model_config config = idle_config();
    sgt_model_memory estimate = {.size = sizeof estimate};
    sgt_batch batch = sgtt_batch(2, 7, config.vocab_size, 3, 0);
    sgt_model *model;
    sgt_optimizer *optimizer;
    config.n_blocks = _i;
    config.blocks = list;
    sgtt_ok(sgt_model_estimate_memory(&estimate, context, &config, NULL, 2, 7, NULL));
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, NULL));
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_step(model, &batch);
    ck_assert_uint_eq(sgtt_memory(context).peak, estimate.total);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgtt_batch_free(&batch);
    ck_assert_uint_eq(sgtt_memory(context).current, estimate.context);
}
END_TEST

/* ---- layers that differ ---- */

static sgt_status find(const sgt_model *model, const char *name)
{
    int32_t index;
    return sgt_model_find_parameter(&index, model, name);
}

START_TEST(a_short_list_goes_round)
{
    sgt_model_config config = idle_config();
    sgt_flops flops = {.size = sizeof flops}, standard = {.size = sizeof standard};
    config.n_layers = 4;
    sgt_model *model = sgtt_model(context, &config, 1);
    sgtt_ok(find(model, "model.layers.0.mlp.up_proj.weight"));
    ck_assert_int_eq(find(model, "model.layers.1.mlp.up_proj.weight"), SGT_E_NOT_FOUND);
    sgtt_ok(find(model, "model.layers.1.self_attn.o_proj.weight"));
    sgtt_ok(find(model, "model.layers.2.mlp.up_proj.weight"));
    ck_assert_int_eq(find(model, "model.layers.3.mlp.up_proj.weight"), SGT_E_NOT_FOUND);
    sgtt_ok(sgt_flops_count(&flops, &config, NULL, NULL));
    config.n_blocks = 0;
    sgtt_ok(sgt_flops_count(&standard, &config, NULL, NULL));
    ck_assert_double_eq(2.0 * flops.feed_forward, standard.feed_forward);
    ck_assert_double_eq(flops.attention, standard.attention);
    sgt_model_free(model);
}
END_TEST

static float *read_named(const sgt_model *model, const char *name, int32_t part, uint64_t *count)
{
    int32_t index;
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_find_parameter(&index, model, name));
    sgtt_ok(sgt_model_parameter(&view, model, index, part));
    float *values = calloc(view.count, sizeof *values);
    sgtt_ok(sgt_model_read_parameter(values, view.count, model, index, part));
    *count = view.count;
    return values;
}

/* A standard model that computes what `idle` does: its weights, and a down projection of 0. */
static sgt_model *standard_twin(const sgt_model *idle)
{
    sgt_model_config config = idle_config();
    config.n_blocks = 0;
    sgt_model *twin = sgtt_model(context, &config, 2);
    for (int32_t i = 0; i < sgt_model_n_parameters(twin); i++) {
        uint64_t count;
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, twin, i, SGT_PART_WEIGHT));
        float *values = find(idle, view.name) == SGT_OK
                            ? read_named(idle, view.name, SGT_PART_WEIGHT, &count)
                            : calloc(view.count, sizeof *values);
        sgtt_ok(sgt_model_write_parameter(twin, i, SGT_PART_WEIGHT, values, view.count));
        free(values);
    }
    return twin;
}

static void gradients_are_equal(const sgt_model *idle, const sgt_model *twin)
{
    for (int32_t i = 0; i < sgt_model_n_parameters(idle); i++) {
        uint64_t count;
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, idle, i, SGT_PART_GRADIENT));
        float *a = read_named(idle, view.name, SGT_PART_GRADIENT, &count);
        float *b = read_named(twin, view.name, SGT_PART_GRADIENT, &count);
        for (uint64_t j = 0; j < count; j++)
            ck_assert_msg(a[j] == b[j], "%s: gradient %llu is %g, not %g", view.name,
                          (unsigned long long)j, (double)a[j], (double)b[j]);
        free(a);
        free(b);
    }
}

/* _i: recompute. Layer 1 loops and runs twice. */
START_TEST(layers_of_two_kinds_train)
{
    const float gains[] = {1.0f, 0.0f, 0.5f, 0.0f};
    sgt_model_config config = idle_config();
    sgt_model *idle = sgtt_recomputing_model(context, &config, _i, 1);
    sgt_model *twin = standard_twin(idle);
    sgt_batch batch = sgtt_batch(2, 7, config.vocab_size, 3, 4);
    sgt_plan *plan = sgtt_plan_of(idle);
    sgtt_loop(plan, 1, 1, gains);
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
    sgtt_ok(sgt_model_set_plan(idle, plan));
    sgtt_ok(sgt_model_set_plan(twin, plan));
    ck_assert_double_eq(sgtt_step(idle, &batch).loss_sum, sgtt_step(twin, &batch).loss_sum);
    gradients_are_equal(idle, twin);
    sgt_plan_free(plan);
    sgtt_batch_free(&batch);
    sgt_model_free(twin);
    sgt_model_free(idle);
}
END_TEST

START_TEST(layers_of_two_kinds_decode)
{
    const int32_t tokens[] = {3, 1, 4, 1, 5};
    sgt_model_config config = idle_config();
    sgt_model *models[2];
    float logits[2][64];
    models[0] = sgtt_model(context, &config, 1);
    models[1] = standard_twin(models[0]);
    ck_assert_int_le(config.vocab_size, 64);
    for (int i = 0; i < 2; i++) {
        sgt_session *session = NULL;
        sgtt_ok(sgt_session_create(&session, models[i], NULL));
        sgtt_ok(sgt_session_feed(logits[i], session, 0, tokens, 5));
        sgt_session_free(session);
    }
    for (int32_t v = 0; v < config.vocab_size; v++)
        ck_assert_float_eq(logits[0][v], logits[1][v]);
    sgt_model_free(models[1]);
    sgt_model_free(models[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, a_wrong_list_is_named, 0, sizeof wrong / sizeof wrong[0]);
    tcase_add_loop_test(tests, a_wrong_pattern_is_named, 0,
                        sizeof wrong_patterns / sizeof wrong_patterns[0]);
    tcase_add_test(tests, defaults_are_those_of_a_standard_block);
    tcase_add_test(tests, what_a_part_does_not_have_is_not_kept);
    tcase_add_test(tests, a_kind_refuses_what_does_not_go_with_it);
    tcase_add_test(tests, entries_may_be_longer);
    tcase_add_test(tests, a_model_keeps_a_copy);
    tcase_add_test(tests, a_model_keeps_a_copy_of_patterns);
    tcase_add_test(tests, an_empty_list_is_none);
    tcase_add_loop_test(tests, the_estimate_counts_the_copy, 0, 4);
    tcase_add_test(tests, a_short_list_goes_round);
    tcase_add_loop_test(tests, layers_of_two_kinds_train, 0, 2);
    tcase_add_test(tests, layers_of_two_kinds_decode);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
