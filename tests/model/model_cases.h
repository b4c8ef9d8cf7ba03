/* SPDX-License-Identifier: BSD-3-Clause */
/* Shapes and plans that between them reach every branch of the model. */
#ifndef SGTT_MODEL_CASES_H
#define SGTT_MODEL_CASES_H

#include "fixtures.h"

typedef struct model_case {
    const char *name;
    void (*shape)(sgt_model_config *config); /* NULL: as sgtt_config */
    void (*loops)(sgt_plan *plan);           /* NULL: none */
    int32_t batch;
    int32_t seq;
    int32_t ignore; /* about one target of so many is -1; 0: none */
    int soft;       /* 1: training weighs units that evaluation chooses: their losses differ */
} model_case;

extern const model_case model_cases[];
extern const int n_model_cases;

/* The model of a case with its plan, and its batch. */
sgt_model *model_case_create(sgt_batch *batch, sgt_context *context, const model_case *c);

#endif
