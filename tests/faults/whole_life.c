/* SPDX-License-Identifier: BSD-3-Clause */
#include "whole_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sgt/sgt.h>

enum { VOCAB = 19, HEADS = 4, LAYERS = 2, BEFORE_SAVE = 4, AFTER_SAVE = 3 };

/* The loss of a model with all of its logits; the first and the last of them are told. */
static void look(training_life *life, const sgt_model *model, const sgt_batch *batch)
{
    float logits[2 * 7 * VOCAB];
    sgt_model_evaluate_options options;
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_evaluate_options_init(&options, sizeof options));
    options.logits = logits;
    TRY(life, sgt_model_evaluate(&metrics, model, batch, &options));
    life_tell(life, metrics.loss_sum);
    life_tell(life, logits[0]);
    life_tell(life, logits[batch->batch * batch->seq * VOCAB - 1]);
}

/* ---- decoding ---- */

/* Feeds tokens and tells their last logits. A feed that was refused has added nothing. */
static void feed(training_life *life, sgt_session *session, int32_t sequence, const int32_t *tokens,
                 int32_t count)
{
    float logits[VOCAB];
    int32_t before = sgt_session_length(session, sequence);
    do {
        ck_assert_int_eq(sgt_session_length(session, sequence), before);
        life_enter(life);
    } while (life_refused(life, sgt_session_feed(logits, session, sequence, tokens, count),
                                "sgt_session_feed"));
    life_tell(life, logits[0]);
    life_tell(life, logits[VOCAB - 1]);
}

/* A text that a sampler chooses. A failure in the middle keeps what was fed: it begins anew. */
static void generate(life_people *p, training_life *life, sgt_session *session)
{
    const int32_t prompt[] = {2, 7};
    int32_t tokens[6] = {0};
    sgt_sampler *sampler = NULL;
    sgt_sampler_options sampling;
    sgt_session_generate_options options;
    sgt_generation generation = {.size = sizeof generation};
    sgtt_ok(sgt_sampler_options_init(&sampling, sizeof sampling));
    sampling.top_k = 9;
    sampling.top_p = 0.95;
    sampling.repetition_penalty = 1.3;
    sgtt_ok(sgt_session_generate_options_init(&options, sizeof options));
    options.tokens = tokens;
    options.max_tokens = 6;
    MAKE(life, sampler, sgt_sampler_create(&sampler, p->t.context, VOCAB, &sampling));
    do {
        sgtt_ok(sgt_session_rewind(session, 0, 0));
        sgtt_ok(sgt_sampler_reset(sampler, 5));
        life_enter(life);
    } while (life_refused(
        life, sgt_session_generate(&generation, session, 0, sampler, prompt, 2, &options),
        "sgt_session_generate"));
    ck_assert_int_eq(generation.count, 6);
    life_tell(life, generation.log_prob);
    for (int i = 0; i < 6; i++)
        life_tell(life, tokens[i]);
    sgt_sampler_free(sampler);
}

/* Two texts at once, of one and of two tokens, which begin anew after a failure. */
static void generate_together(life_people *p, training_life *life, sgt_session *session)
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
        life_enter(life);
    } while (life_refused(life, sgt_session_generate_batch(session, &batch),
                                "sgt_session_generate_batch"));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(made[i].end, SGT_GENERATE_END_FULL);
        life_tell(life, made[i].log_prob);
        sgt_sampler_free(samplers[i]);
    }
}

/* Two sequences that share a beginning; then the model changes, and everything begins anew. */
static void decode(life_people *p, training_life *life, int32_t weights)
{
    const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    sgt_session *session = NULL;
    sgt_session_options options;
    sgt_score score = {.size = sizeof score};
    float logits[VOCAB];
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = 2;
    options.chunk = 3;
    options.weights = weights;
    MAKE(life, session, sgt_session_create(&session, p->t.model, &options));
    feed(life, session, 0, tokens, 5);
    TRY(life, sgt_session_copy(session, 1, 0, 4));
    feed(life, session, 1, tokens + 4, 3);
    TRY(life, sgt_session_score(&score, session, 0, tokens + 5, 3, NULL));
    life_tell(life, score.log_prob);
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

static void save(const life_people *p, training_life *life)
{
    static const char *const keys[] = {"place", "notes"};
    static const char *const values[] = {"file 3, byte 17 \xc3\xa9",
                                         "longer than the first buffer of a reader of texts"};
    TRY(life, sgtt_small_save(&p->t, life->path, keys, values, 2));
}

/* Drops all handles but the context, and has them back from the file. */
static void be_reborn(life_people *p, training_life *life)
{
    sgt_context *context = p->t.context;
    sgt_checkpoint *checkpoint = NULL;
    p->t.context = NULL;
    sgtt_small_free(&p->t);
    p->t.context = context;
    MAKE(life, p->t.policy,
         sgt_growth_policy_sparse(&p->t.policy, context, LAYERS, HEADS, &p->rule));
    MAKE(life, checkpoint, sgt_checkpoint_open(&checkpoint, context, life->path));
    ck_assert_str_eq(sgt_checkpoint_value(checkpoint, "place"), "file 3, byte 17 \xc3\xa9");
    MAKE(life, p->t.model,
         sgt_checkpoint_create(&p->t.model, &p->t.optimizer, &p->t.growth, checkpoint, p->t.policy,
                               NULL, NULL));
    sgt_checkpoint_free(checkpoint);
}

static void choose_path(training_life *life, const char *folder, int64_t step)
{
    size_t room = sizeof life->path;
    sgtt_ok(sgt_checkpoint_get_path(life->path, &room, folder, step));
}

static void keep_the_last(training_life *life, const char *folder)
{
    int64_t latest = 0;
    TRY(life, sgt_checkpoint_get_latest(&latest, folder));
    ck_assert_int_eq(latest, 7);
    TRY(life, sgt_checkpoint_keep_last(folder, 1));
    if (!life->stops)
        life_tell_file(life, life->path);
}

/* There and back; what comes back is the same model. */
static void travel(const life_people *p, training_life *life, const char *folder)
{
    sgt_model *model = NULL;
    sgt_hf_save_options options;
    char file[SCRATCH_PATH + 32];
    TRY(life, sgt_hf_save(p->t.model, folder, NULL));
    MAKE(life, model, sgt_hf_load(&model, p->t.context, folder, NULL, NULL));
    look(life, model, &p->batches[0]);
    look(life, p->t.model, &p->batches[0]);
    sgt_model_free(model);
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.dtype = SGT_BF16;
    options.without_loops = 1;
    TRY(life, sgt_hf_save(p->t.model, folder, &options));
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    life_tell_file(life, file);
    snprintf(file, sizeof file, "%s/config.json", folder);
    life_tell_file(life, file);
}

#define UNITS(kind, n, tau, hard)                                                                  \
    {.size = sizeof(sgt_block_config), .feed_forward = SGT_FEED_FORWARD_##kind, .units = n,        \
     .controller_rank = 3, .temperature = tau, .hard_fraction = hard}

/* Units, and a head of a module for each token. A step whose backward was stopped begins with
 * another forward, which would draw anew: where calls are stopped, nothing is drawn. */
static void add_sparse_parts(sgt_model_config *config, int draws)
{
    static const sgt_block_config drawing[] = {UNITS(RELU, 9, 0.1, 0.5),
                                               UNITS(SWIGLU, 3, 0.1, 0.5)};
    static const sgt_block_config settled[] = {UNITS(RELU, 9, 0.0, 1.0),
                                               UNITS(SWIGLU, 3, 0.0, 0.0)};
    config->n_blocks = 2;
    config->blocks = draws ? drawing : settled;
    config->head_modules = config->vocab_size;
}

void whole_life_run(training_life *life)
{
    life_people p = {.rule = sgtt_small_rule(2, 2)};
    sgt_model_config config = sgtt_config();
    char folder[SCRATCH_PATH], hf[SCRATCH_PATH];
    life->count = 0;
    life->refused = 0;
    life->refusal[0] = '\0';
    life->path[0] = '\0';
    scratch_remove();
    scratch_path(folder, "");
    scratch_path(hf, "hf");
    ck_assert_int_eq(mkdir(hf, 0777), 0);
    config.n_layers = LAYERS;
    config.altup_streams = life->streams;
    if (life->streams > 1)
        add_sparse_parts(&config, !life->stops);
    p.rule.n_exclude = 0;
    life_begin(&p, life, &config, SGTT_KIND_DENSE);
    for (int32_t step = 1; step <= BEFORE_SAVE; step++)
        life_take_step(&p, life, step);
    look(life, p.t.model, &p.batches[1]);
    choose_path(life, folder, BEFORE_SAVE);
    save(&p, life);
    be_reborn(&p, life);
    for (int32_t step = 1; step <= AFTER_SAVE; step++)
        life_take_step(&p, life, BEFORE_SAVE + step);
    TRY(life, sgtt_small_resume(&p.t, life->path)); /* into the handles there are */
    for (int32_t step = 1; step <= AFTER_SAVE; step++) /* the same once more */
        life_take_step(&p, life, BEFORE_SAVE + step);
    choose_path(life, folder, BEFORE_SAVE + AFTER_SAVE);
    save(&p, life);
    life_take_step(&p, life, BEFORE_SAVE + AFTER_SAVE + 1);
    save(&p, life); /* over what is there */
    keep_the_last(life, folder);
    life_step_by_hand(&p, life);
    decode(&p, life, SGT_F32);
    decode(&p, life, SGT_BF16);
    travel(&p, life, hf);
    life_tell_all(life, p.t.model, SGT_PART_WEIGHT);
    life_end(&p);
}
