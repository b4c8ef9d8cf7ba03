/* SPDX-License-Identifier: BSD-3-Clause */
#include "generate_scene.h"

const int32_t prompt[PROMPT] = {3, 1, 4, 1, 5};

static sgt_sampler_options some_options(void)
{
    sgt_sampler_options options;
    sgtt_ok(sgt_sampler_options_init(&options, sizeof options));
    options.top_p = 0.95;
    options.repetition_penalty = 6;
    options.repetition_window = 8;
    options.seed = 5;
    return options;
}

sgt_sampler *make_sampler(sgt_context *context, int greedy)
{
    sgt_sampler_options options = some_options();
    sgt_sampler *sampler;
    if (greedy) {
        options.temperature = 0;
        options.repetition_penalty = 1;
    }
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, &options));
    return sampler;
}

scene open_scene(int greedy, const sgt_context_options *options)
{
    static const float gains[] = {0, 1, 0.5f, 0};
    scene s = {0};
    sgt_session_options two;
    sgt_model_config config = sgtt_config();
    sgtt_ok(sgt_context_create(&s.context, options));
    s.model = sgtt_model(s.context, &config, 9);
    sgt_plan *plan = sgtt_plan_of(s.model);
    sgtt_loop(plan, 1, 1, gains);
    sgtt_loop(plan, 2, 2, gains);
    sgtt_ok(sgt_model_set_plan(s.model, plan));
    sgt_plan_free(plan);
    sgtt_ok(sgt_session_options_init(&two, sizeof two));
    two.sequences = 2;
    sgtt_ok(sgt_session_create(&s.session, s.model, &two));
    s.sampler = make_sampler(s.context, greedy);
    return s;
}

scene open_default(int greedy)
{
    sgt_context_options options = sgtt_model_options();
    return open_scene(greedy, &options);
}

void close_scene(scene *s)
{
    sgt_sampler_free(s->sampler);
    sgt_session_free(s->session);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
}

sgt_session_generate_options generate_defaults(void)
{
    sgt_session_generate_options options;
    sgtt_ok(sgt_session_generate_options_init(&options, sizeof options));
    return options;
}

sgt_generation generate(const scene *s, const int32_t *tokens, int32_t count,
                        const sgt_session_generate_options *options)
{
    sgt_generation made = {.size = sizeof made};
    sgtt_ok(sgt_session_generate(&made, s->session, 0, s->sampler, tokens, count, options));
    return made;
}

int32_t on_token(void *user, int32_t token, int32_t index)
{
    listener *l = user;
    ck_assert_int_eq(index, l->count);
    l->tokens[l->count++] = token;
    return index == l->stop_at ? l->answer : 0;
}
