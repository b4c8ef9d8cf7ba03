/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growth policy of one's own. Every INTERVAL steps it looks for the head whose attention is
 * spread out the most (mean entropy, averaged over steps) in a layer that has no loop yet, and has
 * that one head attend a second time; it ends when no head is above THRESHOLD or enough layers
 * loop. Half-way the policy is saved, made anew and loaded, as a resumed training does.
 *
 * Exit status: 0 done, 1 a call failed, 2 out of memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>
#include <sgt/sys/growth.h>

enum { LAYERS = 4, HEADS = 4, VOCABULARY = 24, BATCH = 8, SEQ = 32, PERIOD = 4, STEPS = 240 };
enum { INTERVAL = 40, MAX_LOOPS = 3 };
#define THRESHOLD 0.5 /* of an entropy in [0,1] */
#define AVERAGE   0.9 /* weight of the past */

/* ---- the policy ---- */

/* Plain data, so that its bytes can be saved. A program that moves them between machines would
 * write each field in a fixed byte order. */
typedef struct spread_state {
    int32_t n_layers;
    int32_t n_heads;
    int32_t loops;
    int32_t over;
    int32_t looped[LAYERS];
    double averages[LAYERS][HEADS];
    int32_t chosen; /* the head of the last event, which points here */
} spread_state;

static int32_t spread_create(void **state, void *user, int32_t n_layers, int32_t n_heads)
{
    spread_state *s;
    (void)user;
    if (n_layers > LAYERS || n_heads > HEADS)
        return SGT_E_OUT_OF_RANGE;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return SGT_E_OUT_OF_MEMORY;
    s->n_layers = n_layers;
    s->n_heads = n_heads;
    *state = s;
    return SGT_OK;
}

static void spread_destroy(void *state, void *user)
{
    (void)user;
    free(state);
}

/* Averages of pass 0. A comparison with NaN is false: a head without entropy is left out. */
static void update_averages(spread_state *s, const sgt_growth_observation *seen)
{
    for (int32_t i = 0; i < s->n_layers; i++) {
        const double *pass_0 = seen->mean_entropy + i * seen->max_passes * s->n_heads;
        for (int32_t h = 0; h < s->n_heads; h++) {
            if (pass_0[h] >= 0.0)
                s->averages[i][h] = AVERAGE * s->averages[i][h] + (1.0 - AVERAGE) * pass_0[h];
        }
    }
}

/* The most spread-out head of the layers without a loop; *layer is -1 when none is above the
 * threshold. Of equal heads the first: ranks of a parallel training must agree. */
static void find_head(int32_t *layer, int32_t *head, const spread_state *s)
{
    double best = THRESHOLD;
    *layer = -1;
    for (int32_t i = 0; i < s->n_layers; i++) {
        for (int32_t h = 0; h < s->n_heads && !s->looped[i]; h++) {
            if (s->averages[i][h] > best) {
                best = s->averages[i][h];
                *layer = i;
                *head = h;
            }
        }
    }
}

static int32_t spread_decide(void *state, void *user, const sgt_growth_observation *seen,
                             sgt_plan *plan, sgt_growth_event *event)
{
    spread_state *s = state;
    float gains[HEADS] = {0};
    int32_t layer, head = 0;
    int32_t status;
    (void)user;

    if (s->over) /* entropies may be missing by now */
        return SGT_OK;
    if (seen->mean_entropy == NULL)
        return SGT_E_INVALID_ARGUMENT;
    update_averages(s, seen);
    if (seen->step % INTERVAL != 0)
        return SGT_OK;
    find_head(&layer, &head, s);
    if (layer < 0 || s->loops >= MAX_LOOPS) {
        s->over = 1;
        event->action = SGT_GROWTH_FIX;
        return SGT_OK;
    }
    gains[head] = 1.0f;
    status = sgt_plan_set_depth(plan, layer, 1);
    if (status == SGT_OK)
        status = sgt_plan_set_gains(plan, layer, 1, gains);
    if (status != SGT_OK)
        return status; /* the library puts plan and state back */
    s->looped[layer] = 1;
    s->loops++;
    s->chosen = head;
    event->action = SGT_GROWTH_SELECT;
    event->layer = layer;
    event->depth = 1;
    event->n_heads = 1;
    event->heads = &s->chosen;
    return SGT_OK;
}

static int32_t spread_save(const void *state, void *user, void *data, size_t *bytes)
{
    (void)user;
    if (data != NULL) {
        if (*bytes < sizeof(spread_state))
            return SGT_E_OUT_OF_RANGE;
        memcpy(data, state, sizeof(spread_state));
    }
    *bytes = sizeof(spread_state);
    return SGT_OK;
}

/* Bytes may come from a damaged file: whatever decide relies on is checked before it is taken. */
static int32_t spread_load(void *state, void *user, const void *data, size_t bytes)
{
    const spread_state *own = state;
    spread_state loaded;
    (void)user;
    if (bytes != sizeof loaded)
        return SGT_E_FORMAT;
    memcpy(&loaded, data, sizeof loaded);
    if (loaded.n_layers != own->n_layers || loaded.n_heads != own->n_heads)
        return SGT_E_INVALID_ARGUMENT;
    memcpy(state, &loaded, sizeof loaded);
    return SGT_OK;
}

static const sgt_growth_policy_vtable spread = {
    .size = sizeof spread,
    .entropy = SGT_ENTROPY_MEAN,
    .create = spread_create,
    .destroy = spread_destroy,
    .decide = spread_decide,
    .save = spread_save,
    .load = spread_load,
};

/* ---- a training with it ---- */

typedef struct training {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
} training;

static sgt_status attach_policy(training *t)
{
    sgt_status status =
        sgt_growth_policy_custom(&t->policy, t->context, LAYERS, HEADS, &spread, NULL);
    if (status == SGT_OK)
        status = sgt_growth_create(&t->growth, t->model, t->policy, NULL);
    return status;
}

static sgt_status open_training(training *t)
{
    sgt_model_config config;
    sgt_optimizer_options rates;
    sgt_status status = sgt_model_config_init(&config, sizeof config);
    if (status == SGT_OK)
        status = sgt_optimizer_options_init(&rates, sizeof rates);
    if (status == SGT_OK)
        status = sgt_context_create(&t->context, NULL);
    if (status != SGT_OK)
        return status;
    config.vocab_size = VOCABULARY;
    config.d_model = 32;
    config.n_layers = LAYERS;
    config.n_heads = HEADS;
    config.d_ff = 64;
    config.max_seq_len = SEQ;
    rates.lr = 3e-3;
    status = sgt_model_create(&t->model, t->context, &config, NULL);
    if (status == SGT_OK)
        status = sgt_model_init_weights(t->model, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_create(&t->optimizer, t->model, &rates);
    if (status == SGT_OK)
        status = attach_policy(t);
    return status;
}

static void close_training(training *t)
{
    sgt_growth_free(t->growth);
    sgt_growth_policy_free(t->policy);
    sgt_optimizer_free(t->optimizer);
    sgt_model_free(t->model);
    sgt_context_free(t->context);
}

/* Each sequence repeats PERIOD random tokens: to know the next one, look PERIOD - 1 back. */
static void fill_batch(int32_t *tokens, int32_t *targets, uint32_t step)
{
    uint32_t random = 2654435761u * step;
    for (int32_t i = 0; i < BATCH * SEQ; i++) {
        random = random * 1664525u + 1013904223u;
        int32_t repeats = i % SEQ >= PERIOD;
        tokens[i] = repeats ? tokens[i - PERIOD] : (int32_t)((random >> 16) % VOCABULARY);
    }
    for (int32_t i = 0; i < BATCH * SEQ; i++)
        targets[i] = i % SEQ == SEQ - 1 ? -1 : tokens[i + 1];
}

static void print_event(int64_t step, const sgt_growth_event *event)
{
    if (event->action == SGT_GROWTH_SELECT)
        printf("step %3d: head %d of layer %d attends twice\n", (int)step, (int)event->heads[0],
               (int)event->layer);
    else if (event->action == SGT_GROWTH_FIX)
        printf("step %3d: growth is over\n", (int)step);
}

static sgt_status train_step(training *t, int64_t step)
{
    int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    sgt_batch batch = {.size = sizeof batch, .batch = BATCH, .seq = SEQ, .tokens = tokens,
                       .targets = targets};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    sgt_growth_input input = {.size = sizeof input, .step = step};
    sgt_status status;

    fill_batch(tokens, targets, (uint32_t)step);
    status = sgt_model_forward(&metrics, t->model, &batch);
    if (status == SGT_OK)
        status = sgt_model_backward(t->model, 1.0 / (double)metrics.count, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_step(&report, t->optimizer, NULL);
    if (status != SGT_OK)
        return status;
    input.skipped = report.skipped;
    input.loss = metrics.loss;
    input.grad_norm = report.grad_norm;
    status = sgt_growth_step(&event, t->growth, &input);
    if (status != SGT_OK)
        return status;
    print_event(step, &event);
    if (step % INTERVAL == 0)
        printf("step %3d: loss %.4f\n", (int)step, metrics.loss);
    return SGT_OK;
}

/* Saves the policy, frees it, and goes on with a new one that was given the bytes. The plan stays
 * in the model; a program that ends here would keep it with sgt_plan_save. */
static sgt_status resume(training *t)
{
    size_t bytes = 0;
    void *data = NULL;
    sgt_status status = sgt_growth_policy_save(NULL, &bytes, t->policy);
    if (status == SGT_OK) {
        data = malloc(bytes);
        status = data == NULL ? SGT_E_OUT_OF_MEMORY
                              : sgt_growth_policy_save(data, &bytes, t->policy);
    }
    if (status == SGT_OK) {
        sgt_growth_free(t->growth);
        sgt_growth_policy_free(t->policy);
        t->growth = NULL;
        t->policy = NULL;
        status = attach_policy(t);
    }
    if (status == SGT_OK)
        status = sgt_growth_policy_load(t->policy, data, bytes);
    free(data);
    return status;
}

static sgt_status train(training *t)
{
    sgt_flops_total flops = {.size = sizeof flops};
    sgt_status status = SGT_OK;
    for (int64_t step = 1; status == SGT_OK && step <= STEPS; step++) {
        status = train_step(t, step);
        if (status == SGT_OK && step == STEPS / 2)
            status = resume(t);
    }
    if (status == SGT_OK)
        status = sgt_model_get_flops(&flops, t->model);
    if (status == SGT_OK)
        printf("the loops cost %.2f %% more FLOPs\n", 100.0 * flops.overhead);
    return status;
}

int main(void)
{
    training t = {0};
    sgt_status status = open_training(&t);
    if (status == SGT_OK)
        status = train(&t);
    if (status != SGT_OK)
        fprintf(stderr, "custom_policy: %s: %s\n", sgt_status_name(status), sgt_error_message());
    close_training(&t);
    if (status == SGT_E_OUT_OF_MEMORY || status == SGT_E_MEMORY_LIMIT)
        return 2;
    return status == SGT_OK ? 0 : 1;
}
