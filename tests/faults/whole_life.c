/* SPDX-License-Identifier: BSD-3-Clause */
#include "whole_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sgt/sgt.h>

enum { MOST_REFUSED = 40, VOCAB = 19, HEADS = 4, LAYERS = 2, BEFORE_SAVE = 4, AFTER_SAVE = 3 };

/* ---- what chapters share ---- */

static int is_allowed(const whole_life *life, sgt_status status)
{
    if (status > 0)
        return life->stops;
    for (size_t i = 0; i < sizeof life->allowed / sizeof *life->allowed; i++)
        if (life->allowed[i] != SGT_OK && life->allowed[i] == status)
            return 1;
    return 0;
}

void whole_life_enter(const whole_life *life)
{
    if (life->faults)
        life->faults->inside = 1;
    if (life->before)
        life->before();
}

int whole_life_refused(whole_life *life, sgt_status status, const char *call)
{
    if (life->after)
        life->after();
    if (life->faults)
        life->faults->inside = 0;
    if (status == SGT_OK)
        return 0;
    life->status = status;
    snprintf(life->refusal, sizeof life->refusal, "%s gave %s: %s", call,
             sgt_status_name(status), sgt_error_message());
    if (!is_allowed(life, status) || sgt_error_message()[0] == '\0')
        ck_abort_msg("%s", life->refusal);
    if (++life->refused > MOST_REFUSED)
        ck_abort_msg("for ever: %s", life->refusal);
    if (life->faults)
        sweep_lift(life->faults);
    if (life->look)
        life->look(life);
    return 1;
}

void whole_life_tell(whole_life *life, double number)
{
    ck_assert_int_lt(life->count, WHOLE_LIFE_NUMBERS);
    life->numbers[life->count++] = number;
}

/* FNV-1a, as a number that a double holds. */
void whole_life_tell_bytes(whole_life *life, const void *data, size_t bytes)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    whole_life_tell(life, (double)(sum >> 12));
}

void whole_life_tell_file(whole_life *life, const char *path)
{
    unsigned long bytes;
    unsigned char *data = scratch_read(path, &bytes);
    whole_life_tell_bytes(life, data, bytes);
    free(data);
}

void whole_life_tell_weights(whole_life *life, const sgt_model *model)
{
    float *weights = sgtt_read_all(model, SGT_WEIGHT);
    whole_life_tell_bytes(life, weights, sgtt_elements(model) * sizeof *weights);
    free(weights);
}

void whole_life_check_equal(const whole_life *a, const whole_life *b, const char *what)
{
    ck_assert_msg(a->count == b->count, "%s: %d numbers, %d (%s)", what, (int)a->count,
                  (int)b->count, b->refusal);
    for (int32_t i = 0; i < a->count; i++)
        ck_assert_msg(memcmp(&a->numbers[i], &b->numbers[i], sizeof(double)) == 0,
                      "%s: number %d is %.17g, not %.17g (%s)", what, (int)i, b->numbers[i],
                      a->numbers[i], b->refusal);
}

/* ---- a training ---- */

typedef struct people {
    small_training t;
    sgt_growth_sgt_options rule;
    sgt_batch batches[2];
} people;

static void be_born(people *p, whole_life *life)
{
    sgtt_small_recipe recipe = {.context = &life->options, .config = sgtt_config(),
                                .rule = &p->rule};
    recipe.config.n_layers = LAYERS;
    p->rule = sgtt_small_rule(2, 2);
    p->rule.n_exclude = 0;
    TRY(life, sgtt_small_make(&p->t, &recipe));
    sgtt_randomize(p->t.model, 21);
    for (int i = 0; i < 2; i++)
        p->batches[i] = sgtt_batch(2, 7 - 2 * i, VOCAB, 31 + (uint64_t)i, 9);
}

/* 0 when a backward was refused: its step begins anew, from zero gradients. */
static int accumulate(people *p, whole_life *life, double *loss)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    *loss = 0.0;
    for (int i = 0; i < 2; i++) {
        TRY(life, sgt_model_forward(&metrics, p->t.model, &p->batches[i]));
        double scale = 0.5 / (double)metrics.count;
        whole_life_enter(life);
        if (whole_life_refused(life, sgt_model_backward(p->t.model, scale), "sgt_model_backward")) {
            sgtt_fails(sgt_optimizer_step(NULL, p->t.optimizer), SGT_E_GRADIENTS_INVALID,
                       "backward");
            sgtt_ok(sgt_model_zero_gradients(p->t.model));
            return 0;
        }
        *loss += metrics.loss;
    }
    return 1;
}

static void take_step(people *p, whole_life *life, int32_t step)
{
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    double loss;
    while (!accumulate(p, life, &loss))
        ;
    TRY(life, sgt_optimizer_step(&report, p->t.optimizer));
    sgt_growth_input input = {.size = sizeof input, .step = step, .loss = loss};
    TRY(life, sgt_growth_step(&event, p->t.growth, &input));
    whole_life_tell(life, loss);
    whole_life_tell(life, report.grad_norm);
    whole_life_tell(life, event.action);
}

/* The loss of a model with all of its logits; the first and the last of them are told. */
static void look(whole_life *life, const sgt_model *model, const sgt_batch *batch)
{
    float logits[2 * 7 * VOCAB];
    sgt_evaluate_options options;
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_evaluate_options_init(&options, sizeof options));
    options.logits = logits;
    TRY(life, sgt_model_evaluate(&metrics, model, batch, &options));
    whole_life_tell(life, metrics.loss_sum);
    whole_life_tell(life, logits[0]);
    whole_life_tell(life, logits[batch->batch * batch->seq * VOCAB - 1]);
}

/* A step with a loss of the host's own, under a plan of the host's own. */
static void step_by_hand(people *p, whole_life *life)
{
    double entropies[HEADS];
    sgt_tensor_view view = {.size = sizeof view};
    sgt_plan *plan = NULL;
    float dlogits[2 * 7 * VOCAB];
    MAKE(life, plan, sgt_plan_clone(&plan, sgt_model_plan(p->t.model)));
    TRY(life, sgt_plan_set_depth(plan, 0, 3));
    TRY(life, sgt_plan_set_extra_runs(plan, 1, 2));
    TRY(life, sgt_model_set_plan(p->t.model, plan));
    TRY(life, sgt_model_collect_entropy(p->t.model, SGT_ENTROPY_BOTH));
    do {
        TRY(life, sgt_model_forward_logits(&view, p->t.model, &p->batches[0]));
        sgtt_ok(sgt_model_read_logits(dlogits, view.count, p->t.model));
        whole_life_enter(life);
    } while (whole_life_refused(life, sgt_model_backward_logits(p->t.model, dlogits),
                                "sgt_model_backward_logits") &&
             sgt_model_zero_gradients(p->t.model) == SGT_OK);
    sgtt_ok(sgt_model_entropies(entropies, p->t.model, 1, 1, SGT_ENTROPY_MEAN));
    whole_life_tell(life, entropies[0]);
    TRY(life, sgt_optimizer_step(NULL, p->t.optimizer));
    sgt_plan_free(plan);
}

/* ---- decoding ---- */

/* Feeds tokens and tells their last logits. A feed that was refused has added nothing. */
static void feed(whole_life *life, sgt_session *session, int32_t sequence, const int32_t *tokens,
                 int32_t count)
{
    float logits[VOCAB];
    int32_t before = sgt_session_length(session, sequence);
    do {
        ck_assert_int_eq(sgt_session_length(session, sequence), before);
        whole_life_enter(life);
    } while (whole_life_refused(life, sgt_session_feed(logits, session, sequence, tokens, count),
                                "sgt_session_feed"));
    whole_life_tell(life, logits[0]);
    whole_life_tell(life, logits[VOCAB - 1]);
}

/* A text that a sampler chooses. A failure in the middle keeps what was fed: it begins anew. */
static void generate(people *p, whole_life *life, sgt_session *session)
{
    const int32_t prompt[] = {2, 7};
    int32_t tokens[6] = {0};
    sgt_sampler *sampler = NULL;
    sgt_sampling_options sampling;
    sgt_generate_options options;
    sgt_generation generation = {.size = sizeof generation};
    sgtt_ok(sgt_sampling_options_init(&sampling, sizeof sampling));
    sampling.top_k = 9;
    sampling.top_p = 0.95;
    sampling.repetition_penalty = 1.3;
    sgtt_ok(sgt_generate_options_init(&options, sizeof options));
    options.tokens = tokens;
    options.max_tokens = 6;
    MAKE(life, sampler, sgt_sampler_create(&sampler, p->t.context, VOCAB, &sampling));
    do {
        sgtt_ok(sgt_session_rewind(session, 0, 0));
        sgtt_ok(sgt_sampler_reset(sampler, 5));
        whole_life_enter(life);
    } while (whole_life_refused(
        life, sgt_session_generate(&generation, session, 0, sampler, prompt, 2, &options),
        "sgt_session_generate"));
    ck_assert_int_eq(generation.count, 6);
    whole_life_tell(life, generation.log_prob);
    for (int i = 0; i < 6; i++)
        whole_life_tell(life, tokens[i]);
    sgt_sampler_free(sampler);
}

/* Two texts at once, of one and of two tokens, which begin anew after a failure. */
static void generate_together(people *p, whole_life *life, sgt_session *session)
{
    const int32_t prompts[] = {2, 7, 3}, lengths[] = {1, 2};
    sgt_sampler *samplers[2] = {NULL, NULL};
    sgt_generation made[2] = {{.size = sizeof made[0]}, {.size = sizeof made[0]}};
    sgt_generation *const generations[] = {&made[0], &made[1]};
    const sgt_generate_batch batch = {.size = sizeof batch,
                                      .count = 2,
                                      .samplers = samplers,
                                      .prompts = prompts,
                                      .lengths = lengths,
                                      .generations = generations};
    for (int i = 0; i < 2; i++)
        MAKE(life, samplers[i], sgt_sampler_create(&samplers[i], p->t.context, VOCAB, NULL));
    do {
        for (int i = 0; i < 2; i++) {
            sgtt_ok(sgt_session_rewind(session, i, 0));
            sgtt_ok(sgt_sampler_reset(samplers[i], 8));
        }
        whole_life_enter(life);
    } while (whole_life_refused(life, sgt_session_generate_batch(session, &batch),
                                "sgt_session_generate_batch"));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(made[i].end, SGT_END_FULL);
        whole_life_tell(life, made[i].log_prob);
        sgt_sampler_free(samplers[i]);
    }
}

/* Two sequences that share a beginning; then the model changes, and everything begins anew. */
static void decode(people *p, whole_life *life)
{
    const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    sgt_session *session = NULL;
    sgt_session_options options;
    sgt_score score = {.size = sizeof score};
    float logits[VOCAB];
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = 2;
    options.chunk = 3;
    MAKE(life, session, sgt_session_create(&session, p->t.model, &options));
    feed(life, session, 0, tokens, 5);
    TRY(life, sgt_session_copy(session, 1, 0, 4));
    feed(life, session, 1, tokens + 4, 1);
    TRY(life, sgt_session_pack(session, SGT_BF16));
    feed(life, session, 1, tokens + 5, 2);
    TRY(life, sgt_session_score(&score, session, 0, tokens + 5, 3, NULL));
    whole_life_tell(life, score.log_prob);
    sgtt_ok(sgt_model_weights_changed(p->t.model));
    sgtt_fails(sgt_session_feed(logits, session, 0, tokens, 1), SGT_E_STATE, "refresh");
    TRY(life, sgt_session_refresh(session));
    ck_assert_int_eq(sgt_session_length(session, 0), 0);
    feed(life, session, 0, tokens, 8);
    generate(p, life, session);
    generate_together(p, life, session);
    sgt_session_free(session);
}

/* ---- files ---- */

static void save(const people *p, whole_life *life)
{
    static const char *const keys[] = {"place", "notes"};
    static const char *const values[] = {"file 3, byte 17 \xc3\xa9",
                                         "longer than the first buffer of a reader of texts"};
    TRY(life, sgtt_small_save(life->path, &p->t, keys, values, 2));
}

/* Drops all handles but the context, and has them back from the file. */
static void be_reborn(people *p, whole_life *life)
{
    sgt_context *context = p->t.context;
    sgt_checkpoint *checkpoint = NULL;
    p->t.context = NULL;
    sgtt_small_free(&p->t);
    p->t.context = context;
    MAKE(life, p->t.policy,
         sgt_growth_policy_sgt(&p->t.policy, context, LAYERS, HEADS, &p->rule));
    MAKE(life, checkpoint, sgt_checkpoint_open(&checkpoint, context, life->path));
    ck_assert_str_eq(sgt_checkpoint_value(checkpoint, "place"), "file 3, byte 17 \xc3\xa9");
    MAKE(life, p->t.model, sgt_checkpoint_create(&p->t.model, &p->t.optimizer, &p->t.growth,
                                                 checkpoint, p->t.policy, NULL));
    sgt_checkpoint_free(checkpoint);
}

static void choose_path(whole_life *life, const char *folder, int64_t step)
{
    size_t room = sizeof life->path;
    sgtt_ok(sgt_checkpoint_path(life->path, &room, folder, step));
}

static void keep_the_last(whole_life *life, const char *folder)
{
    int64_t latest = 0;
    TRY(life, sgt_checkpoint_latest(&latest, folder));
    ck_assert_int_eq(latest, 7);
    TRY(life, sgt_checkpoint_keep_last(folder, 1));
    if (!life->stops)
        whole_life_tell_file(life, life->path);
}

/* There and back; what comes back is the same model. */
static void travel(const people *p, whole_life *life, const char *folder)
{
    sgt_model *model = NULL;
    sgt_hf_save_options options;
    char file[SCRATCH_PATH + 32];
    TRY(life, sgt_model_save_hf(p->t.model, folder, NULL));
    MAKE(life, model, sgt_model_load_hf(&model, p->t.context, folder, NULL));
    look(life, model, &p->batches[0]);
    look(life, p->t.model, &p->batches[0]);
    sgt_model_free(model);
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.dtype = SGT_BF16;
    options.without_loops = 1;
    TRY(life, sgt_model_save_hf(p->t.model, folder, &options));
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    whole_life_tell_file(life, file);
    snprintf(file, sizeof file, "%s/config.json", folder);
    whole_life_tell_file(life, file);
}

void whole_life_run(whole_life *life)
{
    people p = {0};
    char folder[SCRATCH_PATH], hf[SCRATCH_PATH];
    life->count = 0;
    life->refused = 0;
    life->refusal[0] = '\0';
    life->path[0] = '\0';
    scratch_remove();
    scratch_path(folder, "");
    scratch_path(hf, "hf");
    ck_assert_int_eq(mkdir(hf, 0777), 0);
    be_born(&p, life);
    for (int32_t step = 1; step <= BEFORE_SAVE; step++)
        take_step(&p, life, step);
    look(life, p.t.model, &p.batches[1]);
    choose_path(life, folder, BEFORE_SAVE);
    save(&p, life);
    be_reborn(&p, life);
    for (int32_t step = 1; step <= AFTER_SAVE; step++)
        take_step(&p, life, BEFORE_SAVE + step);
    TRY(life, sgtt_small_resume(&p.t, life->path)); /* into the handles there are */
    for (int32_t step = 1; step <= AFTER_SAVE; step++) /* the same once more */
        take_step(&p, life, BEFORE_SAVE + step);
    choose_path(life, folder, BEFORE_SAVE + AFTER_SAVE);
    save(&p, life);
    take_step(&p, life, BEFORE_SAVE + AFTER_SAVE + 1);
    save(&p, life); /* over what is there */
    keep_the_last(life, folder);
    step_by_hand(&p, life);
    decode(&p, life);
    travel(&p, life, hf);
    whole_life_tell_weights(life, p.t.model);
    sgtt_small_free(&p.t);
    for (int i = 0; i < 2; i++)
        sgtt_batch_free(&p.batches[i]);
}
