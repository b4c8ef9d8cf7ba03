/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growth policy for sgt-policy-test, and the same with one thing wrong, chosen by CASE at compile
 * time. It gives the head of highest average entropy of the deepest layer without a loop a second
 * pass, every INTERVAL steps, up to MOST layers.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sgt/sys/growth.h>

#define GOOD           1
#define WITHOUT_STATE  2  /* right: decides by the step and the plan alone */
#define CLOCK          3  /* asks what time it is */
#define SHARED         4  /* counts in a variable of the process */
#define ADDRESS        5  /* lets the address of its state decide */
#define UNSAVED        6  /* forgets a counter when it is saved */
#define NOT_KEPT       7  /* has state but no save and load */
#define WILD           8  /* loops everything */
#define SILENT         9  /* changes the plan and says nothing */
#define LYING          10 /* names another layer than the one it changes */
#define AFTER_THE_END  11 /* grows when it said that it was over */
#define NAN_TRUSTING   12 /* lets NaN into its averages */
#define OVER_TRUSTING  13 /* reads entropies that are no longer there */
#define LOOSE_LENGTH   14 /* takes bytes of any length */
#define UNCHECKED      15 /* takes any index from its bytes */
#define HALF_LOADED    16 /* has changed its state when it refuses */
#define LONG_SAVE      17 /* writes more than it says */
#define DEAF           18 /* goes on when the plan could not be changed */
#define START_AGAIN    19 /* changes the plan each time it is attached */
#define POINTERS       20 /* puts an address into its bytes */
#define NO_DECIDE      21 /* leaves a function out */

#ifndef CASE
#error "CASE says what is wrong"
#endif

#define INTERVAL 25
#define MOST     3
#define LAYERS   16
#define HEADS    16

typedef struct state {
    int32_t n_layers;
    int32_t n_heads;
    int32_t loops;
    int32_t over;
    int32_t asked;
    int32_t chosen; /* the head of the last event, which points here */
    double averages[LAYERS][HEADS];
    const void *self;
} state;

static int32_t create(void **made, void *user, int32_t n_layers, int32_t n_heads)
{
    (void)user;
    if (n_layers > LAYERS || n_heads > HEADS)
        return SGT_E_OUT_OF_RANGE;
    state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return SGT_E_OUT_OF_MEMORY;
    s->n_layers = n_layers;
    s->n_heads = n_heads;
#if CASE == POINTERS
    s->self = s;
#endif
    *made = s;
    return SGT_OK;
}

static void destroy(void *made, void *user)
{
    (void)user;
    free(made);
}

#if CASE == START_AGAIN
static int32_t start(void *made, void *user, sgt_plan *plan)
{
    (void)made;
    (void)user;
    return sgt_plan_set_depth(plan, 0, sgt_plan_depth(plan, 0) + 1);
}
#endif

static void update_averages(state *s, const sgt_growth_observation *seen)
{
    if (seen->last_entropy == NULL && CASE != OVER_TRUSTING)
        return;
    for (int32_t i = 0; i < s->n_layers; i++) {
        for (int32_t h = 0; h < s->n_heads; h++) {
            const double entropy = seen->last_entropy[i * seen->max_passes * s->n_heads + h];
            if (entropy >= 0.0 || CASE == NAN_TRUSTING)
                s->averages[i][h] = 0.9 * s->averages[i][h] + 0.1 * entropy;
        }
    }
}

/* The layer to grow; -1: none. */
static int32_t choose_layer(const state *s, const sgt_plan *plan)
{
    for (int32_t i = s->n_layers - 1; i >= 0; i--) {
        if (sgt_plan_depth(plan, i) == 0)
            return i;
    }
    return -1;
}

static int32_t choose_head(const state *s, int32_t layer)
{
    int32_t best = 0;
    for (int32_t h = 1; h < s->n_heads; h++)
        best = s->averages[layer][h] > s->averages[layer][best] ? h : best;
#if CASE == CLOCK
    best = (int32_t)(time(NULL) % s->n_heads);
#elif CASE == ADDRESS
    best = (int32_t)(((uint64_t)(uintptr_t)s + (uint64_t)s->asked) * 0x9e3779b97f4a7c15u >> 40) %
           s->n_heads;
#elif CASE == SHARED
    static int32_t calls;
    best = calls++ % s->n_heads;
#elif CASE == NAN_TRUSTING
    best = s->averages[layer][0] >= 0.0 ? best : -1; /* NaN: no head at all */
#elif CASE == WITHOUT_STATE
    best = layer % s->n_heads;
#endif
    return best;
}

static int32_t grow(state *s, int32_t layer, int32_t head, sgt_plan *plan)
{
    float gains[HEADS] = {0};
    if (head >= 0)
        gains[head] = 1.0f;
    int32_t status = sgt_plan_set_depth(plan, layer, 1);
    if (status == SGT_OK)
        status = sgt_plan_set_gains(plan, layer, 1, gains);
#if CASE == WILD
    for (int32_t i = 0; status == SGT_OK && i < s->n_layers; i++)
        status = sgt_plan_set_depth(plan, i, SGT_PLAN_MAX_DEPTH);
#endif
    (void)s;
    return CASE == DEAF ? SGT_OK : status;
}

static int32_t decide(void *made, void *user, const sgt_growth_observation *seen, sgt_plan *plan,
                      sgt_growth_event *event)
{
    state *s = made;
    (void)user;
    s->asked++;
    if (s->over && CASE != OVER_TRUSTING && CASE != AFTER_THE_END)
        return SGT_OK;
    update_averages(s, seen);
    const int64_t beat = CASE == WITHOUT_STATE ? seen->step : (int64_t)s->asked;
    if (beat % INTERVAL != 0)
        return SGT_OK;
    const int32_t layer = choose_layer(s, plan);
    const int ended = CASE == WITHOUT_STATE ? layer < s->n_layers - MOST : s->loops >= MOST;
    if (layer < 0 || (ended && !(CASE == AFTER_THE_END && s->over))) {
        s->over = CASE != WITHOUT_STATE;
        event->action = SGT_GROWTH_FIX;
        return SGT_OK;
    }
    const int32_t head = choose_head(s, layer);
    const int32_t status = grow(s, layer, head, plan);
    if (status != SGT_OK)
        return status; /* the library puts plan and state back */
    s->loops++;
    s->chosen = head;
    event->action = CASE == SILENT ? SGT_GROWTH_NONE : SGT_GROWTH_SELECT;
    event->layer = CASE == LYING ? (layer + 1) % s->n_layers : layer;
    event->depth = 1;
    event->n_heads = 1;
    event->heads = &s->chosen;
    return SGT_OK;
}

static int32_t save(const void *made, void *user, void *data, size_t *bytes)
{
    (void)user;
    if (data != NULL) {
        if (*bytes < sizeof(state))
            return SGT_E_OUT_OF_RANGE;
        memcpy(data, made, sizeof(state));
#if CASE == UNSAVED
        ((state *)data)->asked = 0;
#elif CASE == LONG_SAVE
        ((char *)data)[sizeof(state)] = 1;
#endif
    }
    *bytes = sizeof(state);
    return SGT_OK;
}

/* What decide relies on. */
static int is_sound(const state *loaded, const state *own)
{
    return loaded->n_layers == own->n_layers && loaded->n_heads == own->n_heads &&
           loaded->chosen >= 0 && loaded->chosen < own->n_heads;
}

static int32_t load(void *made, void *user, const void *data, size_t bytes)
{
    state loaded = {0};
    (void)user;
#if CASE == LOOSE_LENGTH
    memcpy(&loaded, data, bytes < sizeof loaded ? bytes : sizeof loaded);
    loaded.n_layers = ((state *)made)->n_layers;
    loaded.n_heads = ((state *)made)->n_heads;
#else
    if (bytes != sizeof loaded)
        return SGT_E_FORMAT;
    memcpy(&loaded, data, sizeof loaded);
#endif
#if CASE == HALF_LOADED
    ((state *)made)->asked = loaded.asked + 1;
#endif
    if (CASE != UNCHECKED && !is_sound(&loaded, made))
        return SGT_E_FORMAT;
    memcpy(made, &loaded, sizeof loaded);
    return SGT_OK;
}

__attribute__((visibility("default"))) const sgt_growth_policy_vtable *
sgt_growth_policy_entry(void **user);

const sgt_growth_policy_vtable *sgt_growth_policy_entry(void **user)
{
    static const sgt_growth_policy_vtable table = {
        .size = sizeof table,
        .entropy = SGT_ENTROPY_LAST,
        .create = create,
        .destroy = destroy,
#if CASE == START_AGAIN
        .start = start,
#endif
#if CASE != NO_DECIDE
        .decide = decide,
#endif
#if CASE != NOT_KEPT && CASE != WITHOUT_STATE
        .save = save,
        .load = load,
#endif
    };
    (void)user;
    (void)save;
    (void)load;
    (void)decide;
    return &table;
}
