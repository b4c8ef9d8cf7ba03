/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a growth policy: a vtable with its state, and what makes a question to it a
 * transaction: it is answered and used, or nothing has changed.
 *
 *     ask      the state is saved as bytes; the policy decides, on a copy of the plan;
 *              if that fails the state is loaded again
 *     use      the caller takes the copy, into its plan or into the model;
 *              if that fails it calls sgti_policy_restore, which loads the state again
 */
#ifndef SGTI_POLICY_H
#define SGTI_POLICY_H

#include <stdatomic.h>

#include <sgt/sys/growth.h>

#include "../base/structs.h"

/* Names a policy in its saved bytes. */
enum sgti_policy_kind {
    SGTI_POLICY_CUSTOM = 0,
    SGTI_POLICY_NONE = 1,
    SGTI_POLICY_STATIC = 2,
    SGTI_POLICY_SPARSE = 3
};

struct sgt_growth_policy {
    atomic_int references;
    sgt_context *context; /* counted */
    int32_t n_layers;
    int32_t n_heads;
    int32_t kind; /* enum sgti_policy_kind */
    sgt_growth_policy_vtable vtable;
    void *user;
    void *state;
    int32_t fixed;      /* 1: it has decided SGT_GROWTH_FIX, growth is over */
    sgt_growth *growth; /* the driver it is attached to; NULL: none */

    sgt_plan *scratch;    /* what decide edits */
    uint8_t *saved;       /* bytes of the state before the last decide */
    size_t saved_room;
    size_t saved_bytes;
    int32_t saved_fixed;  /* `fixed` before it */
};

/* The size of an event in its first version. */
#define SGTI_EVENT_MINIMUM SGTI_SIZE_THROUGH(sgt_growth_event, layers)

/* Makes a policy around a state that is there already; vtable->create is not called. The policy
 * owns the state from here on, unless this fails. */
sgt_status sgti_policy_new(sgt_growth_policy **policy, sgt_context *context, int32_t kind,
                           int32_t n_layers, int32_t n_heads,
                           const sgt_growth_policy_vtable *vtable, void *user, void *state);

sgt_growth_policy *sgti_policy_ref(sgt_growth_policy *policy);
void sgti_policy_unref(sgt_growth_policy *policy);

/*
 * Asks about `plan`: *candidate becomes the plan that the policy wants, owned by the policy and
 * valid until it is asked again. On failure the state is as before. A caller who cannot use the
 * candidate calls sgti_policy_restore.
 */
sgt_status sgti_policy_ask(sgt_growth_event *event, const sgt_plan **candidate,
                           sgt_growth_policy *policy, const sgt_growth_observation *observation,
                           const sgt_plan *plan);

/* Asks for the plan to start with. There is no event, and no way back to the state before. */
sgt_status sgti_policy_start(const sgt_plan **candidate, sgt_growth_policy *policy,
                             const sgt_plan *plan);

/* Takes the last question back, because something failed with `status`, and returns that status; if
 * the policy's load fails too, it returns what that gave. */
sgt_status sgti_policy_restore(sgt_growth_policy *policy, sgt_status status);

/* ---- calls of the functions in a policy's vtable, which must be there (policy_calls.c) ---- */

sgt_status sgti_policy_call_create(sgt_growth_policy *policy);
sgt_status sgti_policy_call_start(sgt_growth_policy *policy, sgt_plan *plan);
sgt_status sgti_policy_call_decide(sgt_growth_policy *policy,
                                   const sgt_growth_observation *observation, sgt_plan *plan,
                                   sgt_growth_event *event);

/* With data NULL, *bytes becomes the length of the state. Else *bytes is the room, and save must
 * write exactly so many. */
sgt_status sgti_policy_call_save(const sgt_growth_policy *policy, void *data, size_t *bytes);
sgt_status sgti_policy_call_load(sgt_growth_policy *policy, const void *data, size_t bytes);

#endif
