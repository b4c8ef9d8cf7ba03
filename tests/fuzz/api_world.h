/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a sequence of calls should do: the handles of a host, and beside each what the contract says
 * about it. Every call's status is foretold from that. Memory can be made to run out and calls to
 * be stopped at any point; then it says what may be left behind.
 */
#ifndef SGTT_API_WORLD_H
#define SGTT_API_WORLD_H

#include <stddef.h>

#include <sgt/sgt.h>

enum { SLOTS = 2, VOCAB = 11, LAYERS = 2, MOST_LAYERS = 3, HEADS = 2, MOST_SEQ = 6,
       MOST_BATCH = 2, SEQUENCES = 2 };

/* ---- the input: whatever is asked of it, a byte at a time ---- */

typedef struct choices {
    const uint8_t *data;
    size_t left;
} choices;

/* 0 .. count-1; 0 at the end. */
int32_t choose(choices *in, int32_t count);

/* ---- what the contract knows ---- */

typedef enum ready { NOTHING_READY, LOSS_READY, LOGITS_READY, READY_UNSURE } ready;
typedef enum gradients { GRADIENTS_ZERO, GRADIENTS_VALID, GRADIENTS_INVALID } gradients;

typedef struct model_facts {
    int references; /* slots, optimizers, growths and sessions */
    sgt_model *handle;
    int shape; /* of two */
    ready ready;
    gradients gradients;
    int open;   /* a step is under way */
    int unseen; /* growth has not seen the last forward */
    int32_t collected;
    int entropies_unsure; /* unseen and collected may be 0 as well */
    int32_t kinds;
    int32_t needed; /* by an attached growth */
    int attached;
    int64_t count; /* targets of the last forward */
    size_t logits; /* elements of the last forward_logits */
    sgt_attention_pattern patterns[MOST_LAYERS]; /* of all heads of a layer */
    int forgets;
    int32_t streams, order, table; /* 0 with one stream */
    int32_t head_modules;
    sgt_block_config parts[MOST_LAYERS]; /* what a part does not have is 0 */
} model_facts;

typedef struct policy_facts {
    int references; /* slots and growths */
    sgt_growth_policy *handle;
    int32_t needs;
    int shape;
    int attached;
    int fixed;
} policy_facts;

typedef struct optimizer_facts {
    sgt_optimizer *handle;
    model_facts *model;
} optimizer_facts;

typedef struct growth_facts {
    sgt_growth *handle;
    model_facts *model;
    policy_facts *policy;
    int64_t last_step;
} growth_facts;

typedef struct plan_facts {
    sgt_plan *handle;
    int shape;
} plan_facts;

typedef struct session_facts {
    sgt_session *handle;
    model_facts *model;
    sgt_plan *plan; /* a copy of the model's when it was made */
    uint64_t generation;
    int ready; /* the last refresh succeeded */
    int32_t chunk;
    int32_t lengths[SEQUENCES];
    int32_t most[SEQUENCES]; /* that it had, or began to have, since it was last empty */
} session_facts;

typedef struct world {
    choices in;
    sgt_context *context;
    model_facts *models[SLOTS];
    optimizer_facts optimizers[SLOTS];
    policy_facts *policies[SLOTS];
    growth_facts growths[SLOTS];
    plan_facts plans[SLOTS];
    session_facts sessions[SLOTS];
    sgt_sampler *samplers[SLOTS];
    int32_t sampler_vocab[SLOTS];

    /* the host's allocator */
    uint64_t bytes;      /* taken and not given back */
    int32_t fail_in;     /* allocations until one fails; -1: never */
    int failed;          /* one did, in this call */

    int32_t stop_in;     /* likewise for the progress callback */
    int stopped;
} world;

enum { STOP_CODE = 7 };

/* 1: the call did what it should. 0: it was refused, rightly, and its outputs were left alone. Any
 * other status than `expected`, or what a fault in the call explains, ends the process. */
int told(world *w, const char *call, sgt_status got, sgt_status expected);

/* Of the argument's kind, NULL where the slot is empty. */
model_facts *choose_model(world *w);
policy_facts *choose_policy(world *w);

void drop_model(model_facts *m);
void drop_policy(policy_facts *p);

int32_t layers_of(int shape);

/* The plan of a model may have changed: what is forgotten then. `before` is a copy to compare with,
 * freed here. */
sgt_plan *copy_plan(const world *w, const model_facts *m);
void note_plan(model_facts *m, sgt_plan *before, int succeeded);

void world_open(world *w, const uint8_t *data, size_t size);
void world_close(world *w);

/* The calls (api_calls.c): one is made. */
void make_a_call(world *w);

#endif
