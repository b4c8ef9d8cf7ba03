/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions of one model in several threads at the same time give the bits that each gives alone,
 * beside evaluations of the same model; and the bits do not depend on the context's threads.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "session_cases.h"

enum { THREADS = 4, ROUNDS = 6, VOCAB = 600, LENGTH = 40 };

typedef struct reader {
    const sgt_model *model;
    const int32_t *tokens;
    float logits[ROUNDS][VOCAB];
    float evaluated[VOCAB];
    sgt_status status;
} reader;

/* Wide enough that products are shared by the context's threads; with_rings: of attention patterns
 * whose caches are rings. */
static sgt_model *wide_model(sgt_context *context, int with_rings)
{
    static const sgt_attention_pattern patterns[] = {
        {.size = sizeof *patterns, .sets = SGT_KEYS_LOCAL, .stride = 9},
        {.size = sizeof *patterns, .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 8,
         .summary = 2}};
    static const sgt_block_config block = {
        .size = sizeof block, .n_patterns = 2, .patterns = patterns};
    sgt_model_config config = sgtt_config();
    config.vocab_size = VOCAB;
    config.d_model = 256;
    config.head_dim = 32;
    config.d_ff = 512;
    config.max_seq_len = 64;
    config.n_blocks = with_rings;
    config.blocks = with_rings ? &block : NULL;
    sgt_model *model;
    sgt_model_init_options init;
    const float gains[] = {0.0f, 1.0f, 0.5f, 0.0f};
    sgtt_ok(sgt_model_init_options_init(&init, sizeof init));
    init.std = 0.1;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, &init));
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 2, gains);
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    return model;
}

static void *read_model(void *argument)
{
    reader *r = argument;
    sgt_session *session = NULL;
    sgt_metrics metrics = {.size = sizeof metrics};
    const sgt_batch batch = {.size = sizeof batch, .batch = 1, .seq = LENGTH, .tokens = r->tokens};
    sgt_model_evaluate_options options = {.size = sizeof options, .last_logits = r->evaluated};
    sgt_session_options session_options = {.size = 0};
    sgt_session_options_init(&session_options, sizeof session_options);
    session_options.chunk = 12;
    r->status = sgt_session_create(&session, r->model, &session_options);
    for (int i = 0; i < ROUNDS && !r->status; i++) {
        int32_t first = i == 0 ? 0 : LENGTH - ROUNDS + i;
        r->status = sgt_session_feed(r->logits[i], session, 0, r->tokens + first,
                                     i == 0 ? LENGTH - ROUNDS + 1 : 1);
    }
    if (!r->status)
        r->status = sgt_model_evaluate(&metrics, r->model, &batch, &options);
    sgt_session_free(session);
    return NULL;
}

static reader *readers_of(const sgt_model *model, int32_t *tokens)
{
    reader *readers = calloc(THREADS, sizeof *readers);
    for (int i = 0; i < THREADS; i++) {
        readers[i].model = model;
        readers[i].tokens = tokens + i;
    }
    return readers;
}

static void fill(int32_t *tokens)
{
    for (int i = 0; i < LENGTH + THREADS; i++)
        tokens[i] = (int32_t)(sgtt_uniform(3, (uint64_t)i) * VOCAB);
}

START_TEST(several_threads)
{
    int32_t tokens[LENGTH + THREADS];
    pthread_t ids[THREADS];
    sgt_context *context = sgtt_model_context();
    sgt_model *model = wide_model(context, _i);
    fill(tokens);
    reader *alone = readers_of(model, tokens), *together = readers_of(model, tokens);
    for (int i = 0; i < THREADS; i++)
        read_model(&alone[i]);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&ids[i], NULL, read_model, &together[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        ck_assert_int_eq(alone[i].status, SGT_OK);
        ck_assert_int_eq(together[i].status, SGT_OK);
        ck_assert_mem_eq(alone[i].logits, together[i].logits, sizeof alone[i].logits);
        ck_assert_mem_eq(alone[i].evaluated, together[i].evaluated, sizeof alone[i].evaluated);
        check_close(alone[i].logits[ROUNDS - 1], alone[i].evaluated, VOCAB, 1e-5, "decoding");
    }
    free(alone);
    free(together);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    int32_t tokens[LENGTH + THREADS];
    reader first, other;
    fill(tokens);
    memset(&first, 0, sizeof first);
    for (int32_t threads = 1; threads <= 5; threads += 2) {
        sgt_context_options options = sgtt_model_options();
        sgt_context *context;
        options.threads = threads;
        sgtt_ok(sgt_context_create(&context, &options));
        sgt_model *model = wide_model(context, _i);
        other = (reader){.model = model, .tokens = tokens};
        read_model(&other);
        ck_assert_int_eq(other.status, SGT_OK);
        if (threads == 1)
            first = other;
        ck_assert_mem_eq(first.logits, other.logits, sizeof first.logits);
        sgt_model_free(model);
        sgt_context_free(context);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session threads");
    TCase *tests = tcase_create("threads");
    tcase_add_loop_test(tests, several_threads, 0, 2);
    tcase_add_loop_test(tests, any_number_of_threads_gives_the_same_bits, 0, 2);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
