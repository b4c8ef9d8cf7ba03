/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions as objects: what they hold, what memory that takes, and when it is out of date. All
 * memory is taken by create and refresh; feeding takes none.
 */
#include "session.h"

#include <string.h>

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/integers.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_session_options, weights)
#define MEMORY_MINIMUM  SGTI_SIZE_THROUGH(sgt_session_memory, total)
#define MOST_SEQUENCES  65536

static const sgt_session_options default_options = {
    .size = sizeof default_options, .sequences = 1, .chunk = 512, .weights = SGT_F32};

sgt_status sgt_session_options_init(sgt_session_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_session_options");
}

/* The caller's options, checked, with every default resolved. */
static sgt_status read_options(sgt_session_options *options, const sgt_model *model,
                               const sgt_session_options *caller)
{
    *options = default_options;
    if (caller) {
        sgt_status status = sgti_struct_read(options, sizeof *options, caller, OPTIONS_MINIMUM,
                                             "sgt_session_options");
        if (status)
            return status;
    }
    int32_t longest = model->config.max_seq_len;
    if (options->max_length == 0)
        options->max_length = longest;
    if (options->sequences < 1 || options->sequences > MOST_SEQUENCES)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sequences is %d, not in 1 .. %d",
                         (int)options->sequences, MOST_SEQUENCES);
    if (options->max_length < 1 || options->max_length > longest)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "max_length is %d, not in 1 .. %d (max_seq_len)",
                         (int)options->max_length, (int)longest);
    if (options->chunk < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "chunk is %d, not at least 1", (int)options->chunk);
    if (options->weights == 0)
        options->weights = SGT_F32;
    if (options->weights != SGT_F32 && options->weights != SGT_BF16)
        return sgti_fail(SGT_E_UNSUPPORTED, "weights is %d, not SGT_F32 (%d) or SGT_BF16 (%d)",
                         (int)options->weights, SGT_F32, SGT_BF16);
    return SGT_OK;
}

/* ---- memory ---- */

/* What the state of a session takes. The estimate and the allocation both read it, so that they
 * agree to the byte. */
typedef struct needs {
    sgti_layout layout;
    sgti_decode_matrices matrices;
    sgti_cache_layout caches;
    uint64_t rounded; /* bytes, like all that follows; 0: products read the model's own weights */
    uint64_t panel;
    uint64_t host;
} needs;

/* Points the arrays of a state into the host allocation, and returns its bytes; host NULL: only the
 * bytes are wanted. */
static uint64_t cut_arrays(sgti_decode_state *state, char *host, const sgt_session_options *options,
                           const needs *n)
{
    sgti_carver c = {.memory = host};
    int64_t sequences = options->sequences;
    state->layout.layers =
        sgti_carve(&c, n->layout.shape.config->n_layers, sizeof(sgti_layer_place));
    state->layout.runs = sgti_carve(&c, n->layout.n_runs, sizeof(sgti_run));
    state->layout.parts = sgti_carve(&c, n->layout.n_parts, sizeof(sgti_part));
    state->matrices.list = sgti_carve(&c, n->matrices.count, sizeof(sgti_decode_matrix));
    state->matrices.of_pass = sgti_carve(&c, n->layout.shape.passes->n_passes, sizeof(int32_t));
    state->matrices.of_layer =
        sgti_carve(&c, n->layout.shape.config->n_layers, sizeof(int32_t));
    state->caches.places = sgti_carve(&c, n->layout.n_parts, sizeof(sgti_cache_place));
    state->segments = sgti_carve(&c, sequences, sizeof(sgti_segment));
    state->lengths = sgti_carve(&c, sequences, sizeof(int32_t));
    state->shortest = sgti_carve(&c, sequences, sizeof(int32_t));
    state->positions = sgti_carve(&c, sequences, sizeof(int32_t));
    state->named = sgti_carve(&c, sequences, sizeof(int32_t));
    state->losses = sgti_carve(&c, options->max_length, sizeof(float));
    return c.bytes;
}

static sgti_shape shape_of(const sgt_model *model, const sgti_passes *passes,
                           const sgt_session_options *options)
{
    int64_t tokens = (int64_t)options->sequences * options->max_length;
    return (sgti_shape){.config = &model->config,
                        .passes = passes,
                        .mode = SGTI_DECODE,
                        .logits_bytes = sgti_logits_bytes(model->dispatch),
                        .rows = sgti_min_i64(options->chunk, tokens)};
}

static sgt_status measure(needs *needed, const sgt_model *model, const sgti_passes *passes,
                          const sgt_session_options *options)
{
    sgti_decode_state none = {0};
    needs n = {0};
    sgti_shape shape = shape_of(model, passes, options);
    sgt_status status = sgti_layout_plan(&n.layout, &shape);
    if (status)
        return status;
    sgti_decode_matrices_plan(&n.matrices, model, passes);
    sgti_cache_layout_plan(&n.caches, &model->config, passes, options);
    if (n.matrices.overflow || n.caches.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "a session of %d sequences of %d tokens does not fit",
                         (int)options->sequences, (int)options->max_length);
    if (options->weights == SGT_BF16) {
        n.rounded = n.matrices.rounded;
        n.panel = sgti_panel_bytes(n.matrices.widest);
    }
    n.host = cut_arrays(&none, NULL, options, &n);
    *needed = n;
    return SGT_OK;
}

static void destroy_state(sgt_session *session)
{
    sgti_decode_state *state = &session->state;
    sgti_dispatch *dispatch = session->model->dispatch;
    sgti_memory *memory = &session->model->context->memory;
    sgti_storage_free(&state->lists, dispatch);
    sgti_storage_free(&state->cache, dispatch);
    sgti_storage_free(&state->derived, dispatch);
    sgti_storage_free(&state->scratch, dispatch);
    sgti_storage_free(&state->rounded, dispatch);
    sgti_storage_free(&state->panel, dispatch);
    sgti_release(memory, state->host, state->host_bytes);
    sgti_passes_free(state->passes, memory);
    memset(state, 0, sizeof *state);
}

static sgt_status allocate_storage(sgti_decode_state *state, const needs *n,
                                   sgti_dispatch *dispatch)
{
    const struct {
        sgti_storage *storage;
        uint64_t bytes;
        const char *what;
    } all[] = {{&state->cache, n->caches.bytes, "the key/value cache"},
               {&state->derived, n->matrices.derived, "the derived weights of a session"},
               {&state->scratch, n->layout.bytes, "the activations of a session"},
               {&state->rounded, n->rounded, "the rounded weights of a session"},
               {&state->panel, n->panel, "the panel of rounded weights"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sgt_status status = SGT_OK;
        if (all[i].bytes > 0)
            status = sgti_storage_allocate(all[i].storage, dispatch, all[i].bytes, all[i].what);
        if (status)
            return status;
    }
    return SGT_OK;
}

/* Takes all memory of a state and lays it out, for the plan that the model has now. After a failure
 * some of it may have been taken: destroy_state gives it back. */
static sgt_status allocate_state(sgt_session *session)
{
    sgti_decode_state *state = &session->state;
    const sgt_model *model = session->model;
    const sgt_session_options *options = &session->options;
    needs n;
    void *host;
    sgt_status status = sgti_passes_create(&state->passes, &model->context->memory,
                                           &model->config, model->plan, 0);
    if (status)
        return status;
    status = measure(&n, model, state->passes, options);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&host, &model->context->memory, n.host, 1,
                                  "the lists of a session");
    if (status)
        return status;
    state->host = host;
    state->host_bytes = n.host;
    cut_arrays(state, host, options, &n);
    sgti_decode_matrices_plan(&state->matrices, model, state->passes);
    sgti_cache_layout_plan(&state->caches, &model->config, state->passes, options);
    sgti_shape shape = shape_of(model, state->passes, options);
    status = sgti_layout_plan(&state->layout, &shape);
    if (status == SGT_OK)
        status = sgti_pass_lists_create(&state->lists, model->dispatch, state->passes,
                                        options->sequences);
    return status ? status : allocate_storage(state, &n, model->dispatch);
}

static sgt_status create_state(sgt_session *session)
{
    sgt_status status = allocate_state(session);
    if (status == SGT_OK)
        status = sgti_decode_derive(session);
    if (status == SGT_OK && session->options.weights == SGT_BF16)
        status = sgti_decode_round(session);
    if (status) {
        destroy_state(session);
        return status;
    }
    session->state.generation = sgt_model_generation(session->model);
    session->state.ready = 1;
    return SGT_OK;
}

/* ---- life ---- */

sgt_status sgt_session_estimate_memory(sgt_session_memory *memory, const sgt_model *model,
                                       const sgt_session_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_session_memory own = {.size = sizeof own};
    sgt_session_options options;
    needs n;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(memory, MEMORY_MINIMUM, "sgt_session_memory");
    if (status == SGT_OK)
        status = read_options(&options, model, caller);
    if (status == SGT_OK)
        status = measure(&n, model, model->passes, &options);
    if (status)
        return status;
    own.cache = n.caches.bytes;
    own.weights = n.matrices.derived + n.rounded;
    own.scratch = n.layout.bytes + n.panel + sizeof(sgt_session) + n.host + model->passes->bytes +
                  sgti_rotary_bytes(&model->config, options.max_length) +
                  ((uint64_t)model->passes->n_entries + (uint64_t)options.sequences) *
                      sizeof(int32_t);
    own.total = own.cache + own.weights + own.scratch;
    sgti_struct_write(memory, &own, sizeof own);
    return SGT_OK;
}

sgt_status sgt_session_create(sgt_session **session, const sgt_model *model,
                              const sgt_session_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_session_options options;
    void *made;
    if (!session || !model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", session ? "model" : "session");
    sgt_status status = read_options(&options, model, caller);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&made, &model->context->memory, 1, sizeof(sgt_session),
                                  "a session");
    if (status)
        return status;
    sgt_session *created = made;
    created->options = options;
    created->model = sgti_model_ref(model);
    status = sgti_rotary_resize(&created->rotary, model->dispatch, &model->config,
                                options.max_length);
    if (status == SGT_OK)
        status = create_state(created);
    if (status) {
        sgt_model *kept = created->model;
        sgti_rotary_free(&created->rotary, model->dispatch);
        sgti_release(&model->context->memory, created, sizeof *created);
        sgti_model_unref(kept);
        return status;
    }
    *session = created;
    return SGT_OK;
}

void sgt_session_free(sgt_session *session)
{
    if (!session)
        return;
    sgt_model *model = session->model;
    destroy_state(session);
    sgti_rotary_free(&session->rotary, model->dispatch);
    sgti_release(&model->context->memory, session, sizeof *session);
    sgti_model_unref(model);
}

sgt_status sgt_session_refresh(sgt_session *session)
{
    SGTI_DEFAULT_FLOATS;
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    destroy_state(session);
    return create_state(session);
}

sgt_status sgti_session_check(const sgt_session *session)
{
    const sgti_decode_state *state = &session->state;
    if (!state->ready)
        return sgti_fail(SGT_E_STATE, "the last refresh of the session failed: refresh it again");
    if (state->generation != sgt_model_generation(session->model))
        return sgti_fail(SGT_E_STATE, "the weights of the model changed after the session was "
                                      "made: call sgt_session_refresh");
    if (!sgti_passes_equal(state->passes, session->model->passes))
        return sgti_fail(SGT_E_STATE, "the plan of the model changed after the session was made: "
                                      "call sgt_session_refresh");
    return SGT_OK;
}
