/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A training that tells what it saw: context, model, optimizer, growth that selects, deepens, fades
 * and fixes, micro-batches, evaluations, at the end a step with a loss and a plan of the host's
 * own. Any call may be refused: the refusal is looked at, the fault lifted, and the call made again
 * on the same handles. Two lives must then tell the same numbers.
 */
#ifndef SGTT_TRAINING_LIFE_H
#define SGTT_TRAINING_LIFE_H

#include <sgt/growth.h>

#include "fixtures.h"
#include "scratch.h"
#include "sweep.h"

enum { LIFE_NUMBERS = 160 };

typedef struct training_life {
    sgt_context_options options;
    sgt_status allowed[3];    /* what a refused call may return; 0: no more */
    int32_t streams;          /* of a token, in a whole life; 0: 1. With several, it has sparse
                                 parts too */
    int steady;               /* backward and update may not be refused: they need no memory */
    int stops;                /* positive codes of the progress callback are allowed too */
    sweep *faults;            /* made in calls of the library only, lifted by a refusal; or NULL */
    void (*look)(const struct training_life *life); /* after a refusal; or NULL */
    void (*before)(void);     /* each call of the library; or NULL */
    void (*after)(void);

    double numbers[LIFE_NUMBERS]; /* losses, norms, entropies, sums over weights and files */
    int32_t count;
    double losses[2];      /* the first and the last */
    int32_t actions[4];    /* how often growth did what; enum sgt_growth_action */
    int32_t refused;       /* calls that failed */
    sgt_status status;     /* of the last of them */
    char refusal[700];     /* that call and its message */
    char path[SCRATCH_PATH]; /* the file that is being saved or read */
} training_life;

/* Lives it with a model of a kind and size. */
void training_life_run(training_life *life, int kind, int size);

/* Fails the test unless the numbers are the same, bit for bit. */
void life_check_equal(const training_life *a, const training_life *b, const char *what);

/* ---- chapters ---- */

typedef struct life_people {
    small_training t;
    sgt_growth_sparse_options rule;
    sgt_batch batches[2];
} life_people;

/* p->rule says how it grows. */
void life_begin(life_people *p, training_life *life, const sgt_model_config *config, int kind);
void life_end(life_people *p);
void life_take_step(life_people *p, training_life *life, int32_t step);
void life_step_by_hand(life_people *p, training_life *life);

/* The call, again as long as it is refused. */
#define TRY(life, call)                                                                            \
    do {                                                                                           \
    } while (life_refused(life, (life_enter(life), call), #call))

/* The same for a call that makes a handle: a refused one leaves it NULL. */
#define MAKE(life, handle, call)                                                                   \
    do {                                                                                           \
        ck_assert_ptr_null(handle);                                                                \
    } while (life_refused(life, (life_enter(life), call), #call))

void life_enter(const training_life *life);

/* 0 for SGT_OK; else checks and notes the refusal, lifts the fault and returns 1. */
int life_refused(training_life *life, sgt_status status, const char *call);

void life_tell(training_life *life, double number);

/* Of bytes, those of a file, and a part of a model's parameters. */
void life_tell_bytes(training_life *life, const void *data, size_t bytes);
void life_tell_file(training_life *life, const char *path);
void life_tell_all(training_life *life, const sgt_model *model, int32_t part);

#endif
