/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A life with everything in it: a training that grows, a checkpoint that it goes on from in new
 * handles and in old ones, evaluations, decoding in a session, a Hugging Face folder there and back,
 * a folder of checkpoints kept short. Any call may be refused: the refusal is looked at, the fault lifted, and
 * the call made again on the same handles. Two lives must then tell the same numbers.
 */
#ifndef SGTT_WHOLE_LIFE_H
#define SGTT_WHOLE_LIFE_H

#include "fixtures.h"
#include "scratch.h"
#include "sweep.h"

#define WHOLE_LIFE_NUMBERS 160

typedef struct whole_life {
    sgt_context_options options;
    sgt_status allowed[3];    /* what a refused call may return; 0: no more */
    int stops;                /* positive codes of the progress callback are allowed too */
    sweep *faults;            /* made in calls of the library only, lifted by a refusal; or NULL */
    void (*look)(const struct whole_life *life); /* after a refusal; or NULL */
    void (*before)(void);     /* each call of the library; or NULL */
    void (*after)(void);

    double numbers[WHOLE_LIFE_NUMBERS]; /* losses, norms, entropies, sums over weights and files */
    int32_t count;
    int32_t refused;       /* calls that failed */
    sgt_status status;     /* of the last of them */
    char refusal[700];     /* that call and its message */
    char path[SCRATCH_PATH]; /* the file that is being saved or read */
} whole_life;

/* Lives it in the scratch folder, which is emptied first. */
void whole_life_run(whole_life *life);

/* Fails the test unless the numbers are the same, bit for bit. */
void whole_life_check_equal(const whole_life *a, const whole_life *b, const char *what);

/* ---- for the chapters of a life ---- */

/* The call, again as long as it is refused. */
#define TRY(life, call)                                                                            \
    do {                                                                                           \
    } while (whole_life_refused(life, (whole_life_enter(life), call), #call))

/* The same for a call that makes a handle: a refused one leaves it NULL. */
#define MAKE(life, handle, call)                                                                   \
    do {                                                                                           \
        ck_assert_ptr_null(handle);                                                                \
    } while (whole_life_refused(life, (whole_life_enter(life), call), #call))

void whole_life_enter(const whole_life *life);

/* 0 for SGT_OK; else checks and notes the refusal, lifts the fault and returns 1. */
int whole_life_refused(whole_life *life, sgt_status status, const char *call);

void whole_life_tell(whole_life *life, double number);

/* Of bytes, those of a file, and a model's weights. */
void whole_life_tell_bytes(whole_life *life, const void *data, size_t bytes);
void whole_life_tell_file(whole_life *life, const char *path);
void whole_life_tell_weights(whole_life *life, const sgt_model *model);

#endif
