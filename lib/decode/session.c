/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions as objects: what they hold, and when that is out of date. All memory is taken by create
 * (and refresh, and pack); feeding takes none.
 */
#include "session.h"

#include <string.h>

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/float_mode.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_session_options, chunk)
#define MEMORY_MINIMUM  SGTI_SIZE_THROUGH(sgt_session_memory, packed)
#define MOST_SEQUENCES  65536

static const sgt_session_options default_options = {
    .size = sizeof default_options, .sequences = 1, .max_length = 0, .chunk = 512};

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
    return SGT_OK;
}

/* ---- memory ---- */

/* The lists of a session in the host allocation. */
static uint64_t lay_out(sgti_decode_state *state, char *host, const sgti_decode_layout *layout,
                        const sgt_model_config *config)
{
    sgti_carver c = {.memory = host};
    int64_t sequences = layout->sequences, listed = layout->n_listed;
    state->layout.layers = sgti_carve(&c, layout->n_layers, sizeof(sgti_decode_layer));
    state->layout.passes = sgti_carve(&c, layout->n_passes, sizeof(sgti_decode_pass));
    state->layout.matrices =
        sgti_carve(&c, layout->n_matrices, sizeof(sgti_decode_matrix));
    state->segments = sgti_carve(&c, sequences, sizeof(sgti_segment));
    state->lengths = sgti_carve(&c, sequences, sizeof(int32_t));
    state->positions = sgti_carve(&c, sequences, sizeof(int32_t));
    state->named = sgti_carve(&c, sequences, sizeof(int32_t));
    state->kv_heads = sgti_carve(&c, listed, sizeof(int32_t));
    state->gains = sgti_carve(&c, listed, sizeof(float));
    state->heads = sgti_carve(&c, config->n_heads, sizeof(int32_t));
    state->groups = sgti_carve(&c, config->n_kv_heads, sizeof(int32_t));
    state->losses = sgti_carve(&c, layout->max_length, sizeof(float));
    return c.bytes;
}

static void destroy_state(sgt_session *session)
{
    sgti_decode_state *state = &session->state;
    sgti_dispatch *dispatch = session->model->dispatch;
    sgti_storage_free(&state->cache, dispatch);
    sgti_storage_free(&state->gathered, dispatch);
    sgti_storage_free(&state->scratch, dispatch);
    sgti_release(&session->model->context->memory, state->host, state->host_bytes);
    sgt_plan_free(state->plan);
    memset(state, 0, sizeof *state);
}

static sgt_status allocate_blocks(sgti_decode_state *state, const sgti_decode_layout *layout,
                                  sgti_dispatch *dispatch)
{
    const struct {
        sgti_storage *block;
        uint64_t bytes;
        const char *what;
    } blocks[] = {
        {&state->cache, layout->cache * sizeof(float), "the key/value cache"},
        {&state->gathered, layout->gathered * sizeof(float), "the gathered weights of a session"},
        {&state->scratch, layout->scratch * sizeof(float), "the activations of a session"}};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        sgt_status status = SGT_OK;
        if (blocks[i].bytes > 0)
            status = sgti_storage_allocate(blocks[i].block, dispatch, blocks[i].bytes,
                                         blocks[i].what);
        if (status)
            return status;
    }
    return SGT_OK;
}

/* Memory and layout for the model's plan of now; on failure part of it. */
static sgt_status allocate_state(sgt_session *session)
{
    sgti_decode_state *state = &session->state;
    const sgt_model *model = session->model;
    sgti_decode_layout layout = {0};
    void *host;
    sgt_status status = sgt_plan_clone(&state->plan, model->plan);
    if (status)
        return status;
    status = sgti_decode_layout_plan(&layout, model, state->plan, &session->options);
    if (status)
        return status;
    uint64_t bytes = lay_out(state, NULL, &layout, &model->config);
    status = sgti_allocate_zeroed(&host, &model->context->memory, bytes, 1, "the lists of a session");
    if (status)
        return status;
    state->host = host;
    state->host_bytes = bytes;
    lay_out(state, host, &layout, &model->config);
    status = sgti_decode_layout_plan(&state->layout, model, state->plan, &session->options);
    return status ? status : allocate_blocks(state, &state->layout, model->dispatch);
}

static sgt_status create_state(sgt_session *session)
{
    sgt_status status = allocate_state(session);
    if (status == SGT_OK)
        status = sgti_decode_gather(session);
    if (status) {
        destroy_state(session);
        return status;
    }
    session->state.generation = sgt_model_generation(session->model);
    session->state.ready = 1;
    return SGT_OK;
}

/* ---- packed weights ---- */

static void drop_packed(sgt_session *session)
{
    sgti_storage_free(&session->packed, session->model->dispatch);
    sgti_storage_free(&session->panel, session->model->dispatch);
}

static sgt_status make_packed(sgt_session *session)
{
    const sgti_decode_layout *layout = &session->state.layout;
    sgti_dispatch *dispatch = session->model->dispatch;
    sgt_status status =
        sgti_storage_allocate(&session->packed, dispatch, layout->packed * sizeof(uint16_t),
                            "the packed weights of a session");
    if (status == SGT_OK)
        status = sgti_storage_allocate(&session->panel, dispatch, sgti_decode_panel_bytes(layout),
                                     "the panel of packed weights");
    if (status == SGT_OK)
        status = sgti_decode_convert(session);
    if (status)
        drop_packed(session);
    session->rounded = status == SGT_OK;
    return status;
}

sgt_status sgt_session_pack(sgt_session *session, int32_t dtype)
{
    SGTI_DEFAULT_FLOATS;
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    if (dtype != SGT_F32 && dtype != SGT_BF16)
        return sgti_fail(SGT_E_UNSUPPORTED, "weights can be packed as SGT_F32 (%d) or SGT_BF16 (%d)"
                         ", not as %d", SGT_F32, SGT_BF16, (int)dtype);
    sgt_status status = sgti_session_check(session);
    if (status)
        return status;
    if (dtype == SGT_BF16)
        return session->rounded ? SGT_OK : make_packed(session);
    drop_packed(session);
    session->rounded = 0;
    return SGT_OK;
}

/* ---- life ---- */

sgt_status sgt_session_estimate_memory(sgt_session_memory *memory, const sgt_model *model,
                                       const sgt_session_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_session_memory own = {.size = sizeof own};
    sgt_session_options options;
    sgti_decode_layout layout = {0};
    sgti_decode_state none = {0};
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(memory, MEMORY_MINIMUM, "sgt_session_memory");
    if (status == SGT_OK)
        status = read_options(&options, model, caller);
    if (status == SGT_OK)
        status = sgti_decode_layout_plan(&layout, model, model->plan, &options);
    if (status)
        return status;
    own.cache = layout.cache * sizeof(float);
    own.weights = layout.gathered * sizeof(float);
    own.scratch = layout.scratch * sizeof(float) + sizeof(sgt_session) +
                  lay_out(&none, NULL, &layout, &model->config) + sgti_plan_bytes(model->plan);
    own.total = own.cache + own.weights + own.scratch;
    own.packed = layout.packed * sizeof(uint16_t) + sgti_decode_panel_bytes(&layout);
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
    created->model = sgti_model_ref((sgt_model *)model);
    status = create_state(created);
    if (status) {
        sgti_release(&model->context->memory, created, sizeof *created);
        sgti_model_unref((sgt_model *)model);
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
    drop_packed(session);
    destroy_state(session);
    sgti_release(&model->context->memory, session, sizeof *session);
    sgti_model_unref(model);
}

sgt_status sgt_session_refresh(sgt_session *session)
{
    SGTI_DEFAULT_FLOATS;
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    int32_t rounded = session->rounded;
    drop_packed(session);
    destroy_state(session);
    sgt_status status = create_state(session);
    if (status == SGT_OK && rounded)
        status = make_packed(session);
    if (status)
        destroy_state(session);
    session->rounded = rounded;
    return status;
}

sgt_status sgti_session_check(const sgt_session *session)
{
    const sgti_decode_state *state = &session->state;
    if (!state->ready)
        return sgti_fail(SGT_E_STATE, "the last refresh of the session failed: refresh it again");
    if (state->generation != sgt_model_generation(session->model))
        return sgti_fail(SGT_E_STATE, "the weights of the model changed after the session was made: "
                                      "call sgt_session_refresh");
    if (!sgt_plan_equal(state->plan, session->model->plan))
        return sgti_fail(SGT_E_STATE, "the plan of the model changed after the session was made: "
                                      "call sgt_session_refresh");
    return SGT_OK;
}
