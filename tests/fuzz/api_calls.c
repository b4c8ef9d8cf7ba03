/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls about models, plans and memory; api_training.c has those of optimizers and growth. */
#include "api_calls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api_parts.h"

/* ---- models ---- */

static sgt_model_config config_of(int shape)
{
    sgt_model_config config;
    if (sgt_model_config_init(&config, sizeof config) != SGT_OK)
        abort();
    config.vocab_size = VOCAB;
    config.d_model = 8;
    config.n_layers = layers_of(shape);
    config.n_heads = HEADS;
    config.n_kv_heads = 1;
    config.head_dim = 4;
    config.d_ff = 6;
    config.max_seq_len = MOST_SEQ;
    config.tied = shape;
    return config;
}

/* Makes a good configuration bad in one place; what it then is. */
static sgt_status spoil_config(sgt_model_config *config, int32_t how)
{
    switch (how) {
    case 0:
        config->vocab_size = 0;
        return SGT_E_OUT_OF_RANGE;
    case 1:
        config->n_kv_heads = 3;
        return SGT_E_INVALID_ARGUMENT;
    case 2:
        config->head_dim = 3;
        return SGT_E_INVALID_ARGUMENT;
    case 3:
        config->size = 4;
        return SGT_E_STRUCT_SIZE;
    case 4:
        config->norm_eps = NAN;
        return SGT_E_OUT_OF_RANGE;
    default:
        return SGT_OK;
    }
}

static void make_model(world *w)
{
    sgt_model *made = NULL;
    int32_t slot = choose(&w->in, SLOTS), shape = choose(&w->in, 2);
    sgt_model_config config = config_of(shape);
    own_blocks blocks;
    int32_t how = choose(&w->in, 256);
    sgt_status expected = spoil_config(&config, how % 20);
    if (expected == SGT_OK && how >= 20 && how < 200)
        expected = add_blocks(&blocks, &config, w);
    if (expected == SGT_OK && config.n_blocks > 0 && how % 4 == 2)
        expected = add_sparse(&blocks, &config, w);
    if (expected == SGT_OK && how >= 140)
        expected = add_streams(&config, w);
    if (w->models[slot] != NULL) {
        sgt_model_free(w->models[slot]->handle);
        drop_model(w->models[slot]);
        w->models[slot] = NULL;
    }
    const sgt_model_options options = {
        .size = sizeof options, .recompute = shape, .seed = (uint64_t)how};
    if (!told(w, "sgt_model_create", sgt_model_create(&made, w->context, &config, &options),
              expected)) {
        if (made != NULL)
            abort();
        return;
    }
    sgt_model_init_options init;
    sgt_model_init_options_init(&init, sizeof init);
    init.std = 0.3;
    if (sgt_model_init_weights(made, &init) != SGT_OK)
        abort();
    w->models[slot] = calloc(1, sizeof *w->models[slot]);
    *w->models[slot] = (model_facts){.references = 1, .handle = made, .shape = shape};
    note_parts(w->models[slot], &config);
}

typedef struct own_batch {
    sgt_batch batch;
    int32_t tokens[MOST_BATCH * (MOST_SEQ + 1)];
    int32_t targets[MOST_BATCH * (MOST_SEQ + 1)];
    int64_t count; /* targets that are not -1 */
} own_batch;

/* A batch, good or bad; what it is. */
static sgt_status make_batch(own_batch *own, world *w, int look_at_targets)
{
    int32_t how = choose(&w->in, 24);
    int32_t batch = 1 + choose(&w->in, MOST_BATCH), seq = 1 + choose(&w->in, MOST_SEQ);
    *own = (own_batch){.batch = {.size = sizeof own->batch,
                                 .batch = batch,
                                 .seq = seq,
                                 .tokens = own->tokens,
                                 .targets = own->targets}};
    int32_t seed = choose(&w->in, 256), n = own->batch.batch * own->batch.seq;
    for (int32_t i = 0; i < n; i++) {
        own->tokens[i] = (seed + 5 * i) % VOCAB;
        own->targets[i] = seed % 3 == 0 ? -1 : (seed + 7 * i) % (VOCAB + 1) - 1;
        own->count += own->targets[i] >= 0;
    }
    switch (how) {
    case 0:
        own->tokens[n - 1] = VOCAB;
        return SGT_E_OUT_OF_RANGE;
    case 1:
        own->targets[n - 1] = VOCAB;
        return look_at_targets ? SGT_E_OUT_OF_RANGE : SGT_OK;
    case 2:
        own->batch.tokens = NULL;
        return SGT_E_INVALID_ARGUMENT;
    case 3:
        own->batch.seq = MOST_SEQ + 1;
        return SGT_E_OUT_OF_RANGE;
    case 4:
        own->batch.batch = 0;
        return SGT_E_OUT_OF_RANGE;
    case 5:
        own->batch.size = 8;
        return SGT_E_STRUCT_SIZE;
    case 6:
        own->batch.targets = NULL;
        own->count = 0;
        return SGT_OK;
    default:
        return SGT_OK;
    }
}

/* What a training forward leaves behind. */
static void note_forward(model_facts *m, int succeeded, ready state)
{
    if (!succeeded) {
        m->ready = NOTHING_READY;
        m->entropies_unsure = 1; /* a new step may have begun */
        return;
    }
    m->ready = state;
    m->open = 1;
    m->unseen = 1;
    m->collected = m->kinds | m->needed;
    m->entropies_unsure = 0;
}

static void forward(world *w)
{
    own_batch own;
    sgt_metrics metrics = {.size = sizeof metrics, .loss = -1.0};
    model_facts *m = choose_model(w);
    sgt_status expected = make_batch(&own, w, 1);
    if (m == NULL)
        expected = SGT_E_INVALID_ARGUMENT;
    int done = told(w, "sgt_model_forward",
                    sgt_model_forward(&metrics, m ? m->handle : NULL, &own.batch), expected);
    if (!done && metrics.loss != -1.0)
        abort();
    if (expected != SGT_OK)
        return;
    note_forward(m, done, LOSS_READY);
    m->count = own.count;
    if (done && metrics.count != own.count)
        abort();
}

static void forward_logits(world *w)
{
    own_batch own;
    sgt_tensor_view view = {.size = sizeof view};
    model_facts *m = choose_model(w);
    sgt_status expected = make_batch(&own, w, 0);
    if (m == NULL)
        expected = SGT_E_INVALID_ARGUMENT;
    int done = told(w, "sgt_model_forward_logits",
                    sgt_model_forward_logits(&view, m ? m->handle : NULL, &own.batch), expected);
    if (expected != SGT_OK)
        return;
    note_forward(m, done, LOGITS_READY);
    m->logits = done ? view.count : 0;
    if (done && view.count != (uint64_t)(own.batch.batch * own.batch.seq * VOCAB))
        abort();
}

/* READY_UNSURE: whichever of the two it was, it is known afterwards. */
static sgt_status settle(sgt_status got, sgt_status if_ready, ready state, ready wanted)
{
    if (state == wanted)
        return if_ready;
    return state == READY_UNSURE && got != SGT_E_STATE ? got : SGT_E_STATE;
}

static void note_backward(model_facts *m, const world *w, sgt_status got)
{
    (void)w;
    if (got == SGT_E_STATE || got == SGT_E_INVALID_ARGUMENT || got == SGT_E_OUT_OF_RANGE)
        return;
    m->ready = NOTHING_READY;
    if (got != SGT_OK)
        m->gradients = GRADIENTS_INVALID;
    else if (m->gradients == GRADIENTS_ZERO)
        m->gradients = GRADIENTS_VALID;
}

static void backward(world *w)
{
    static const double scales[] = {1.0, 0.25, -2.0, 0.0, NAN, INFINITY, 1e300};
    model_facts *m = choose_model(w);
    int32_t which = choose(&w->in, 7);
    sgt_status got = sgt_model_backward(m ? m->handle : NULL, scales[which], NULL);
    if (m == NULL || which >= 4)
        told(w, "sgt_model_backward", got, m ? SGT_E_OUT_OF_RANGE : SGT_E_INVALID_ARGUMENT);
    else
        told(w, "sgt_model_backward", got, settle(got, SGT_OK, m->ready, LOSS_READY));
    if (m != NULL)
        note_backward(m, w, got);
}

static void backward_logits(world *w)
{
    float dlogits[MOST_BATCH * MOST_SEQ * VOCAB];
    model_facts *m = choose_model(w);
    int32_t none = choose(&w->in, 8) == 0;
    for (size_t i = 0; i < sizeof dlogits / sizeof *dlogits; i++)
        dlogits[i] = 0.01f * (float)(i % 7);
    sgt_status got = sgt_model_backward_logits(m ? m->handle : NULL, none ? NULL : dlogits, NULL);
    if (m == NULL || none)
        told(w, "sgt_model_backward_logits", got, SGT_E_INVALID_ARGUMENT);
    else
        told(w, "sgt_model_backward_logits", got, settle(got, SGT_OK, m->ready, LOGITS_READY));
    if (m != NULL)
        note_backward(m, w, got);
}

static void read_logits(world *w)
{
    float logits[MOST_BATCH * MOST_SEQ * VOCAB];
    model_facts *m = choose_model(w);
    size_t count = m != NULL ? m->logits : 1;
    int32_t wrong = choose(&w->in, 4) == 0;
    sgt_status got = sgt_model_read_logits(logits, count + (wrong ? 1 : 0), m ? m->handle : NULL);
    if (m == NULL)
        told(w, "sgt_model_read_logits", got, SGT_E_INVALID_ARGUMENT);
    else
        told(w, "sgt_model_read_logits", got,
             settle(got, wrong ? SGT_E_OUT_OF_RANGE : SGT_OK, m->ready, LOGITS_READY));
}

static void evaluate(world *w)
{
    own_batch own;
    float last[MOST_BATCH * VOCAB];
    sgt_model_evaluate_options options;
    sgt_metrics metrics = {.size = sizeof metrics, .loss = -1.0};
    model_facts *m = choose_model(w);
    sgt_status expected = make_batch(&own, w, 1);
    sgt_model_evaluate_options_init(&options, sizeof options);
    options.last_logits = choose(&w->in, 2) ? last : NULL;
    if (m == NULL)
        expected = SGT_E_INVALID_ARGUMENT;
    int done = told(w, "sgt_model_evaluate",
                    sgt_model_evaluate(&metrics, m ? m->handle : NULL, &own.batch, &options),
                    expected);
    if (done ? metrics.count != own.count : metrics.loss != -1.0)
        abort();
}

static void zero_gradients(world *w)
{
    model_facts *m = choose_model(w);
    told(w, "sgt_model_zero_gradients", sgt_model_zero_gradients(m ? m->handle : NULL),
         m ? SGT_OK : SGT_E_INVALID_ARGUMENT);
    if (m == NULL)
        return;
    m->gradients = GRADIENTS_ZERO;
    m->open = 0;
}

/* Reads or writes a tensor, or one that is not there. */
static void parameter(world *w)
{
    float values[64 * 64];
    sgt_tensor_view view = {.size = sizeof view};
    model_facts *m = choose_model(w);
    int32_t index = choose(&w->in, 40) - 1, part = choose(&w->in, 5), writes = choose(&w->in, 2);
    sgt_model *model = m ? m->handle : NULL;
    sgt_status expected = sgt_model_parameter(&view, model, index, part);
    if (m == NULL ? expected != SGT_E_INVALID_ARGUMENT
                  : (index < 0 || index >= sgt_model_n_parameters(model) || part < 1 || part > 2)
                        ? expected != SGT_E_OUT_OF_RANGE
                        : part == 1 && expected != SGT_OK)
        abort();
    size_t count = expected == SGT_OK ? view.count : 1;
    uint64_t generation = sgt_model_generation(model);
    if (choose(&w->in, 8) == 0) {
        count++;
        expected = expected == SGT_OK ? SGT_E_OUT_OF_RANGE : expected;
    }
    for (size_t i = 0; i < count && i < 64 * 64; i++)
        values[i] = 0.05f * (float)(i % 9) - 0.2f;
    sgt_status got = writes ? sgt_model_write_parameter(model, index, part, values, count)
                            : sgt_model_read_parameter(values, count, model, index, part);
    if (!told(w, "a parameter", got, expected) || !writes)
        return;
    if (part == SGT_PART_GRADIENT) {
        m->gradients = m->gradients == GRADIENTS_ZERO ? GRADIENTS_VALID : m->gradients;
        return;
    }
    m->ready = NOTHING_READY;
    if (sgt_model_generation(model) <= generation)
        abort();
}

/* ---- entropies ---- */

static void entropies(world *w)
{
    double values[HEADS];
    model_facts *m = choose_model(w);
    int32_t layer = choose(&w->in, LAYERS + 2) - 1, pass = choose(&w->in, 6) - 1;
    int32_t kind = choose(&w->in, 4);
    sgt_model *model = m ? m->handle : NULL;
    sgt_status got = sgt_model_get_entropies(values, model, layer, pass, kind), expected = SGT_OK;
    if (m == NULL)
        expected = SGT_E_INVALID_ARGUMENT;
    else if (pass < 0 || pass >= sgt_model_n_passes(model, layer) || kind < 1 || kind > 2)
        expected = SGT_E_OUT_OF_RANGE;
    else if (!(m->collected & kind) || (m->entropies_unsure && got == SGT_E_STATE))
        expected = SGT_E_STATE;
    told(w, "sgt_model_get_entropies", got, expected);
}

static void collect(world *w)
{
    model_facts *m = choose_model(w);
    int32_t kinds = choose(&w->in, 6) - 1;
    int good = kinds >= 0 && kinds <= 3;
    told(w, "sgt_model_collect_entropy", sgt_model_collect_entropy(m ? m->handle : NULL, kinds),
         m == NULL ? SGT_E_INVALID_ARGUMENT : good ? SGT_OK : SGT_E_OUT_OF_RANGE);
    if (m != NULL && good)
        m->kinds = kinds;
}

/* ---- faults to come ---- */

static void fail_soon(world *w)
{
    w->fail_in = choose(&w->in, 24);
}

static void stop_soon(world *w)
{
    w->stop_in = choose(&w->in, 12);
}

static void count_memory(world *w)
{
    sgt_context_memory usage = {.size = sizeof usage};
    told(w, "sgt_context_get_memory", sgt_context_get_memory(&usage, w->context), SGT_OK);
    if (usage.current > usage.peak || usage.current != w->bytes)
        abort();
}

void make_a_call(world *w)
{
    static void (*const calls[])(world *) = {
        make_model,      forward,            forward,       forward_logits,
        backward,        backward,           evaluate,      zero_gradients,
        backward_logits, read_logits,        parameter,     entropies,
        collect,         fail_soon,          stop_soon,     count_memory,
        api_optimizer,   api_optimizer_step, api_policy,    api_growth,
        api_growth_step, api_plan,           api_plan_edit, api_set_plan,
        api_bytes,       api_checkpoint,     api_session,   api_feed,
        api_feed,        api_session_change, api_sampler,   api_pick,
        api_generate,    api_pattern,
    };
    calls[choose(&w->in, (int32_t)(sizeof calls / sizeof *calls))](w);
}
