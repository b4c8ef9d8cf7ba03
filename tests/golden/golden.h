/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of golden_check, a program that runs golden cases (folders with case.json and
 * tensors.safetensors) through the public API and compares every number. Functions that can fail
 * return 1 when all went well, 0 otherwise after saying why; a failure makes the program exit 1.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <jansson.h>
#include <sgt/sgt.h>

#include "golden_tensors.h"

/* ---- golden_report.c: what is printed ---- */

typedef struct golden_run {
    sgt_context *context;
    const char *folder; /* of the case that runs */
    long cases;
    long tensors;
    long failures;
    double worst; /* relative error */
} golden_run;

/* One line of the report: everything of one kind in a case. */
typedef struct golden_kind {
    const char *name;
    double bound;
    int relative; /* counts for golden_run.worst */
    long count;
    double worst;
    char where[160]; /* the worst was found */
} golden_kind;

/* One more tensor of a kind; NaN and infinity are over every bound. */
void golden_compare(golden_kind *kind, double error, const char *where, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints the line; nothing compared, or something over the bound, is a failure. */
void golden_line(golden_run *run, const golden_kind *kind);

/* Says why a case cannot be run or finished, and returns 0. */
int golden_fail(golden_run *run, const char *text, ...) __attribute__((format(printf, 2, 3)));

/* 1 when status is SGT_OK, else says what the call failed with. */
int golden_called(golden_run *run, sgt_status status, const char *call);

/* ||a - b|| / ||b||, or ||a - b|| where ||b|| is 0. */
double golden_norm(const float *values, size_t count);
double golden_distance(const float *a, const float *b, size_t count);
double golden_relative(const float *a, const float *b, size_t count);

/* The larger of two errors; NaN counts as infinite. */
double golden_worse(double a, double b);

/* Memory or exit. */
void *golden_allocate(size_t count, size_t element);

/* ---- golden_case.c: reading a case; `broken` is set by everything that fails ---- */

typedef struct golden_case {
    golden_run *run;
    json_t *json;
    golden_tensors tensors;
    int broken;
} golden_case;

int golden_case_open(golden_case *c, golden_run *run, const char *folder);
void golden_case_close(golden_case *c);

/* A member or element that must be there: of this type, in [low, high]. 0 when broken. */
int32_t golden_integer(golden_case *c, const json_t *object, const char *key, int32_t low);
double golden_number(golden_case *c, const json_t *object, const char *key);
double golden_number_at(golden_case *c, const json_t *array, size_t index);
int32_t golden_integer_at(golden_case *c, const json_t *array, size_t index);
const json_t *golden_object(golden_case *c, const json_t *object, const char *key);

/* An array of `length` elements; any length when that is -1. An empty array when broken. */
const json_t *golden_array(golden_case *c, const json_t *object, const char *key, long length);
const json_t *golden_array_at(golden_case *c, const json_t *array, size_t index, long length);

/* Whether an optional member is there and not null. */
int golden_has(const json_t *object, const char *key);

/* An object has no other members than these, words with a space between; what nobody compares must
 * not look as if it had been. */
void golden_only(golden_case *c, const json_t *object, const char *keys);

/* A tensor of `count` elements; NULL when broken. The name is formatted. */
const golden_tensor *golden_need(golden_case *c, uint64_t count, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* Its values in fresh memory (release with free); NULL when broken. */
float *golden_floats(golden_case *c, uint64_t count, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
int32_t *golden_integers(golden_case *c, uint64_t count, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- golden_model.c: from a case to a model ---- */

/* A model with the weights of param/; NULL when the case is broken. */
sgt_model *golden_model(golden_case *c);

/* The config as the library resolved it. */
sgt_model_config golden_config(const sgt_model *model);

/* Compares weights or gradients (enum sgt_parameter_part) with the tensors PREFIX/NAME. */
void golden_compare_parameters(golden_case *c, golden_kind *kind, const sgt_model *model,
                               const char *prefix, int32_t part);

/* ---- golden_parts.c: blocks and what is beside them ---- */

/* Sets the blocks of a config, which golden_parts_free gives back; may break or skip the case. */
void golden_parts_read(sgt_model_config *config, golden_case *c);
void golden_parts_free(sgt_model_config *config);

/* 1 when the case has the results of a training forward, and when it has those of an evaluation.
 * They are the same but where units are chosen: then those of soft training are no evaluation's. */
int golden_trains(golden_case *c);
int golden_evaluates(golden_case *c, const sgt_model_config *config);

/* ---- golden_growth.c: from a case to a policy ---- */

/* The policy `sgt` with a case's growth parameters; NULL when the case is broken. */
sgt_growth_policy *golden_policy(golden_case *c, const json_t *growth, int32_t n_layers,
                                 int32_t n_heads);

typedef struct golden_growth_kinds {
    golden_kind actions;
    golden_kind depths;
    golden_kind gains;
} golden_growth_kinds;

/* What a policy should have done in a step; `where` names the step. */
typedef struct golden_growth_step {
    const char *where;
    const json_t *action;
    const json_t *depth; /* [layer] */
    const json_t *scale; /* [layer][head] */
} golden_growth_step;

golden_growth_kinds golden_growth_kinds_make(void);
void golden_compare_growth(golden_case *c, golden_growth_kinds *kinds,
                           const golden_growth_step *expected, const sgt_growth_event *event,
                           const sgt_plan *plan);
void golden_growth_lines(golden_run *run, const golden_growth_kinds *kinds);

/* ---- one file per kind of case ---- */

void golden_forward(golden_case *c);
void golden_train(golden_case *c);
void golden_trace(golden_case *c);

#endif
