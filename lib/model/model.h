/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a model, for the files of this floor and for growth, optim and decode above.
 */
#ifndef SGTI_MODEL_H
#define SGTI_MODEL_H

#include <sgt/flops.h>
#include <sgt/model.h>

#include "../backend/dispatch.h"
#include "../base/structs.h"
#include "../format/hf_notes.h"
#include "entropy.h"
#include "parameters.h"
#include "parts/blocks.h"
#include "passes.h"
#include "plan_data.h"
#include "shared.h"

/* What the last training call left behind, and so what may follow. */
typedef enum sgti_model_state {
    SGTI_IDLE,          /* nothing to go backward from */
    SGTI_LOSS_READY,    /* sgt_model_forward succeeded */
    SGTI_LOGITS_READY   /* sgt_model_forward_logits succeeded */
} sgti_model_state;

typedef enum sgti_gradient_state {
    SGTI_GRADIENTS_ZERO,    /* nothing was added since they were zeroed */
    SGTI_GRADIENTS_VALID,   /* whole backwards were added */
    SGTI_GRADIENTS_INVALID  /* a backward failed half-way */
} sgti_gradient_state;

/* Hears that the gradients of the elements first .. first + count - 1 are complete. Backward calls
 * it for the final norm and the head, then for layer after layer from the last one on, then for the
 * embedding: for each element of the buffer once. */
typedef void (*sgti_ready_fn)(void *user, uint64_t first, uint64_t count);

struct sgt_model {
    sgti_model_shared *shared; /* what const calls may change */
    sgt_context *context;      /* counted */
    sgti_dispatch *dispatch;
    sgt_model_config config; /* every default resolved */
    sgti_block_list blocks;  /* where the list of config lies */
    sgt_model_options options;
    sgt_plan *plan;
    sgti_passes *passes;     /* the plan, unrolled */
    sgti_storage lists;      /* the lists of the passes in the backend's memory */
    uint64_t plans_set;      /* how many plans were set: the serial number of the passes */
    sgt_special_tokens tokens;
    sgti_hf_notes notes;

    sgti_parameters parameters; /* names, shapes, matrices */
    sgti_storage weights;
    sgti_storage gradients; /* empty before the first training forward */

    sgti_workspace training; /* of the last training forward; all 0 before it */

    sgti_model_state state;
    sgti_gradient_state gradient_state;
    int32_t step_closed; /* 1: the step is over, and the next forward starts a new one */
    int64_t loss_count;  /* targets of the last sgt_model_forward */

    sgti_ready_fn gradients_ready; /* NULL: nobody wants to know */
    void *ready_user;

    sgti_entropies entropies;
    int32_t growth_entropy; /* kinds an attached growth needs */
    int32_t growth_attached;

    /* The training forwards so far if some part draws random numbers, else 0. It is all the state
     * that the random numbers of a model have. */
    int64_t draws;
    double executed_flops;
    double vanilla_flops;
    double step_flops[2]; /* forward FLOPs of the last training batch: executed, vanilla */
};

/* Adds a reference, which keeps the model alive. Who holds one may change the model. */
sgt_model *sgti_model_ref(const sgt_model *model);
void sgti_model_unref(sgt_model *model);

/* Checks flags and the number of ids; `where` opens the message. */
sgt_status sgti_special_tokens_check(const sgt_special_tokens *tokens, const char *where);

/* A matrix of the model as a tensor [rows, columns]. */
sgt_tensor sgti_matrix_weight(const sgt_model *model, int32_t number);

/* The weight or gradient of a parameter as a tensor. */
sgt_tensor sgti_weight(const sgt_model *model, int32_t index);
sgt_tensor sgti_gradient(const sgt_model *model, int32_t index);

/* ---- what optimizers, growth and checkpoints tell a model ---- */

/* An optimizer has used the gradients up and zeroed them: the next forward starts a new step. */
void sgti_model_close_step(sgt_model *model);
/* An optimizer failed half-way: some of the gradients were used up, others not. */
void sgti_model_spoil_gradients(sgt_model *model);
/* 1 while gradients or entropies of a step are being collected. */
int sgti_model_step_is_open(const sgt_model *model);

/* A growth attaches itself, SGT_E_STATE when there is one already, and leaves. */
sgt_status sgti_model_attach_growth(sgt_model *model);
void sgti_model_detach_growth(sgt_model *model);
/* The growth needs these kinds of entropy (enum sgt_entropy) from now on. */
void sgti_model_want_entropy(sgt_model *model, int32_t kinds);

/* A checkpoint restores the running totals of a training that goes on. */
void sgti_model_restore_totals(sgt_model *model, double executed, double vanilla, int64_t draws);

/* Sets a parameter that does not start as noise to what it starts as. */
sgt_status sgti_set_plainly(sgt_model *model, int32_t index);

/* Someone has changed the weights in place: what depends on them is out of date. */
void sgti_model_touch_weights(sgt_model *model);

/* Tells the backend of matrices that changed since the last call. Any thread may call. */
sgt_status sgti_model_prepare_weights(const sgt_model *model);

/* flops[0] becomes the forward FLOPs per token under the current plan, flops[1] those without
 * loops; both with or without the output head. */
void sgti_model_forward_flops(double flops[2], const sgt_model *model, int32_t seq, int with_head);

/* The largest number of steps that files and hosts may tell: a double holds it exactly, and
 * counting on from there does not overflow. */
#define SGTI_MOST_STEPS (INT64_C(1) << 53)

#define SGTI_VIEW_MINIMUM SGTI_SIZE_THROUGH(sgt_tensor_view, data)

/* Makes a view of a tensor shaped like parameter `index`; checks a host's array for such a
 * tensor. */
void sgti_parameter_view(sgt_tensor_view *view, const sgt_model *model, int32_t index,
                         const sgt_tensor *tensor);
sgt_status sgti_check_count(const sgt_model *model, int32_t index, const void *values,
                            size_t count);

#endif
