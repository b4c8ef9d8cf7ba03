/* SPDX-License-Identifier: BSD-3-Clause */
/* Angles are computed on the host, in double and block by block, and written to the backend. */
#include "rotary.h"

#include <math.h>

#include "../backend/dispatch.h"
#include "../core/config_fields.h"

enum {
    BLOCK_ELEMENTS = 1024, /* pairs filled at once: some positions of even the widest head */
    MOST_PAIRS = SGTI_MAX_HEAD_DIM / 2
};

uint64_t sgti_rotary_bytes(const sgt_model_config *config, int32_t positions)
{
    return (uint64_t)positions * (uint64_t)config->head_dim * sizeof(float);
}

sgt_status sgti_rotary_resize(sgti_rotary *rotary, sgti_dispatch *dispatch,
                              const sgt_model_config *config, int32_t positions)
{
    sgti_rotary_free(rotary, dispatch);
    if (positions == 0)
        return SGT_OK;
    sgt_status status =
        sgti_storage_allocate(&rotary->tables, dispatch, sgti_rotary_bytes(config, positions),
                              "the rotary tables");
    if (status == SGT_OK)
        rotary->positions = positions;
    return status;
}

void sgti_rotary_free(sgti_rotary *rotary, sgti_dispatch *dispatch)
{
    sgti_storage_free(&rotary->tables, dispatch);
    *rotary = (sgti_rotary){0};
}

/* The two tables, [P,dh/2] each. */
static void tables_of(sgt_tensor *cosine, sgt_tensor *sine, const sgti_rotary *rotary, int64_t half)
{
    int64_t positions = rotary->positions;
    *cosine = sgti_tensor_2d(rotary->tables.buffer, 0, positions, half);
    *sine = sgti_tensor_2d(rotary->tables.buffer, (uint64_t)(positions * half), positions, half);
}

/* Fills positions first .. first+count-1. Angles are in double: a late position times a frequency
 * has too few digits left in float32. */
static sgt_status fill_block(const sgti_rotary *rotary, sgti_dispatch *dispatch,
                             const double *frequencies, int64_t half, int32_t first, int32_t count)
{
    float cosines[BLOCK_ELEMENTS], sines[BLOCK_ELEMENTS];
    sgt_tensor cosine, sine;
    for (int32_t p = 0; p < count; p++) {
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)(first + p) * frequencies[i];
            cosines[p * half + i] = (float)cos(angle);
            sines[p * half + i] = (float)sin(angle);
        }
    }
    tables_of(&cosine, &sine, rotary, half);
    cosine = sgti_rows(cosine, first, count);
    sine = sgti_rows(sine, first, count);
    sgt_status status = sgti_write(dispatch, &cosine, cosines);
    return status ? status : sgti_write(dispatch, &sine, sines);
}

sgt_status sgti_rotary_fill(sgti_rotary *rotary, sgti_dispatch *dispatch,
                            const sgt_model_config *config, int32_t needed)
{
    double frequencies[MOST_PAIRS];
    int32_t half = config->head_dim / 2, most = BLOCK_ELEMENTS / half;
    if (needed <= rotary->filled)
        return SGT_OK;
    for (int32_t i = 0; i < half; i++)
        frequencies[i] = pow(config->rope_theta, -2.0 * (double)i / config->head_dim);
    /* Whole blocks are filled, more than needed: when tokens come one by one, this is seldom
     * called. */
    while (rotary->filled < needed) {
        int32_t rest = rotary->positions - rotary->filled;
        int32_t count = rest < most ? rest : most;
        sgt_status status =
            fill_block(rotary, dispatch, frequencies, half, rotary->filled, count);
        if (status)
            return status;
        rotary->filled += count;
    }
    return SGT_OK;
}

sgt_status sgti_rotary_apply(const sgti_rotary *rotary, sgti_dispatch *dispatch,
                             const sgt_tensor *x, const sgt_tensor *offsets, int32_t inverse)
{
    sgt_tensor cosine, sine;
    tables_of(&cosine, &sine, rotary, x->shape[3] / 2);
    sgt_rope_args args = {
        .inverse = inverse, .x = x, .cosine = &cosine, .sine = &sine, .offsets = offsets};
    return sgti_rope(dispatch, &args);
}
