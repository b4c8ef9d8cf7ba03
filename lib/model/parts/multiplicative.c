/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Multiplicative attention (Scaling Transformers, arXiv 2111.12763), and its gradient. A module of
 * M = dh values belongs to each head. Their weights are products of two factors, and convolutions
 * make the heads' queries, keys and values of them (modules.h); rotation, softmax and output are
 * the standard part's. Module s of a pass with n modules, h heads:
 *
 *     forward                                     backward, from dy
 *       h    = RMSNorm1(x)           [N,d]          d_out, d_qkv   as in the standard part
 *       W[s,m,:] = scale[s,:] weight[m,:]           dwindows, dkernels   from d_qkv
 *       u    = h W^T + bias          [N,n M]        du   the taps of dwindows, each by its lag
 *       windows = taps of u          [N,(n+2)F M]   dW   = du^T h,  dh = du W
 *       qkv  = convolutions          [N,3 h M]      dscale, dweight   from dW
 *       out  = g Attn(q, k, v)       [N,h M]        dx   = dy + through the norm, from dh
 *       y    = x + out Wo^T, or each head adds to its own M columns of the stream
 *
 * A batch makes W once for all rows. In decoding a few rows of h are scaled for each module
 * instead, so that only the two factors are read:
 *
 *       u[s,:] = (scale[s,:] h) weight^T + bias
 */
#include <math.h>

#include "../../base/integers.h"
#include "../../core/tensors.h"
#include "blocks.h"
#include "modules.h"

enum parameter {
    SCALE = SGTI_ATTENTION_NORM + 1, /* [H,d] */
    WEIGHT,      /* [M,d] */
    BIAS,        /* [d] */
    CONVOLUTIONS /* a kernel [M,M,F,3] or, for v, [M,M,F,1] and a bias [M], for q, k and v */
};

enum matrix { MATRIX_WEIGHT };

/* In place of q|k|v stands W; behind o, which there may be or not, the turned kernels. */
enum derived {
    DERIVED_W,       /* [n M, d] */
    DERIVED_QK = SGTI_MATRIX_O + 1, /* [2 M, 3 F M] */
    DERIVED_V        /* [M, F M] */
};

enum region {
    U = SGTI_ATTENTION_REGIONS, /* [N,n M]; all others are scratch */
    WINDOWS,   /* [N,(n+2) F M] and then their gradient */
    SCALED,    /* rows of h, scaled for each module; decoding */
    D_W,       /* [n M, d]; training, like the rest */
    D_KERNELS, /* of one of the turned kernels */
    D_U,       /* [N,n M] */
    SUMS       /* [2, 3 h M] */
};

/* So many rows of scaled h are made at a time, or those of one token. */
#define SCALED_ROWS 64

static int has_output(const sgt_model_config *config, int32_t layer)
{
    return sgti_block_config_of(config, layer).attention_output != SGT_ATTENTION_OUTPUT_NONE;
}

/* ---- what it is made of ---- */

static void declare_convolution(sgti_placer *placer, const char *const names[2], int64_t m,
                                int64_t taps, int64_t span)
{
    const int64_t shape[] = {m, m, taps, span};
    sgti_place_array(placer, names[0], 4, shape);
    sgti_place_std(placer, 1.0 / sqrt((double)(span * taps * m)));
    sgti_place_vector(placer, names[1], m, SGTI_INITIAL_ZEROS);
}

/* Queries, scores and what is added to the stream start with the variance of the standard part. */
static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    static const char *const q[] = {"self_attn.q_conv.weight", "self_attn.q_conv.bias"};
    static const char *const k[] = {"self_attn.k_conv.weight", "self_attn.k_conv.bias"};
    static const char *const v[] = {"self_attn.v_conv.weight", "self_attn.v_conv.bias"};
    const sgt_block_config block = sgti_block_config_of(config, placer->layer);
    const int64_t d = config->d_model, m = config->head_dim, taps = block.mult_kernel;
    sgti_place_vector(placer, "input_layernorm.weight", d, SGTI_INITIAL_ONES);
    sgti_place_table(placer, "self_attn.mult.scale", config->n_heads, d);
    sgti_place_std(placer, 0.5);
    sgti_place_undecayed(placer);
    sgti_place_matrix(placer, "self_attn.mult.weight", m, d);
    sgti_place_spread(placer, 2.0);
    sgti_place_vector(placer, "self_attn.mult.bias", d, SGTI_INITIAL_ZEROS);
    declare_convolution(placer, q, m, taps, 3);
    declare_convolution(placer, k, m, taps, 3);
    sgti_place_array(placer, v[0], 4, (const int64_t[]){m, m, taps, 1});
    if (has_output(config, placer->layer))
        sgti_place_std(placer, 1.0 / sqrt((double)(taps * m)));
    else
        sgti_place_spread(placer, sqrt((double)d / (double)(taps * m)));
    sgti_place_vector(placer, v[1], m, SGTI_INITIAL_ZEROS);
    if (has_output(config, placer->layer))
        sgti_place_residual(placer, "self_attn.o_proj.weight", d, d);
}

static sgti_derived derived(const sgt_model_config *config, int32_t layer, const sgti_pass *pass,
                            int32_t which)
{
    const sgt_block_config block = sgti_block_config_of(config, layer);
    const int64_t m = config->head_dim;
    const int runs = pass->n_heads > 0;
    switch (which) {
    case DERIVED_W:
        return (sgti_derived){.rows = runs ? pass->n_modules * m : 1,
                              .columns = runs ? config->d_model : 0,
                              .needed = 0};
    case DERIVED_QK:
        return (sgti_derived){
            .rows = 2 * m,
            .columns = sgti_kernel_columns(config, &block, SGTI_CONVOLVE_Q),
            .needed = runs};
    case DERIVED_V:
        return (sgti_derived){
            .rows = m,
            .columns = sgti_kernel_columns(config, &block, SGTI_CONVOLVE_V),
            .needed = runs};
    default:
        return has_output(config, layer) ? sgti_gathered(config, pass, SGTI_MATRIX_O)
                                         : (sgti_derived){.rows = 1};
    }
}

/* W, one stretch of modules after the other. */
static sgt_status multiply_factors(const sgt_model *model, int32_t first, const sgti_pass *pass,
                                   const sgt_tensor *to)
{
    const int64_t m = model->config.head_dim, d = model->config.d_model;
    const sgt_tensor scale = sgti_weight(model, first + SCALE);
    const sgt_tensor weight = sgti_weight(model, first + WEIGHT);
    sgt_status status = SGT_OK;
    for (sgti_stretch s = {0}; status == SGT_OK && sgti_next_stretch(&s, &model->config, pass);) {
        const sgt_tensor x = sgti_rows(scale, s.first, s.count);
        const sgt_tensor out = sgti_tensor_3d(
            to->buffer, to->offset + (uint64_t)(s.place * m * d), s.count, m, d);
        sgt_row_products_args args = {.x = &x, .y = &weight, .out = &out};
        status = sgti_row_products(model->dispatch, &args);
    }
    return status;
}

/* Turned kernels on top of each other, from the convolution `which` on. */
static sgt_status turn_kernels(const sgt_model *model, int32_t first, int32_t which,
                               const sgt_tensor *to)
{
    const int64_t m = model->config.head_dim;
    sgt_status status = SGT_OK;
    for (int64_t row = 0; row < to->shape[0] && status == SGT_OK; row += m, which++) {
        const sgt_tensor turned =
            sgti_turned_kernel(sgti_weight(model, first + CONVOLUTIONS + 2 * which));
        const sgt_tensor part = sgti_tensor_dense(
            to->buffer, to->offset + (uint64_t)(row * to->shape[1]), 4, turned.shape);
        status = sgti_copy(model->dispatch, &part, &turned);
    }
    return status;
}

static sgt_status derive(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                         sgt_buffer *lists, int32_t which, const sgt_tensor *to)
{
    const int32_t first = model->parameters.layers[layer].parameter[SGTI_ATTENTION];
    const int32_t matrix = model->parameters.layers[layer].matrix[SGTI_ATTENTION];
    switch (which) {
    case DERIVED_W:
        return multiply_factors(model, first, pass, to);
    case DERIVED_QK:
        return turn_kernels(model, first, SGTI_CONVOLVE_Q, to);
    case DERIVED_V:
        return turn_kernels(model, first, SGTI_CONVOLVE_V, to);
    default: {
        const sgt_tensor whole = sgti_matrix_weight(model, matrix + SGTI_MATRIX_O);
        return sgti_gather_heads(model, pass, lists, SGTI_MATRIX_O, &whole, to);
    }
    }
}

static sgti_history history(const sgt_model_config *config, int32_t layer, const sgti_pass *pass)
{
    return (sgti_history){.steps = sgti_block_config_of(config, layer).mult_kernel - 1,
                          .values = (int64_t)pass->n_modules * config->head_dim};
}

/* How many tokens are scaled at a time. */
static int64_t scaled_tokens(int64_t modules, int64_t rows)
{
    const int64_t tokens = modules > 0 && modules < SCALED_ROWS ? SCALED_ROWS / modules : 1;
    return sgti_min_i64(tokens, rows);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    const sgti_shape *shape = regions->shape;
    const sgt_block_config block = sgti_block_config_of(shape->config, part->layer);
    const int64_t d = shape->config->d_model, m = shape->config->head_dim;
    const int64_t n = part->pass->n_modules, h = part->pass->n_heads;
    const sgti_region *qk = &part->derived[DERIVED_QK], *w = &part->derived[DERIVED_W];
    sgti_region *own = part->own;
    sgti_heads_place(part, regions, &part->derived[SGTI_MATRIX_O]);
    own[U] = sgti_take_activation(regions, n * m);
    own[WINDOWS] = sgti_take_scratch(regions, 0, (n + 2) * block.mult_kernel * m);
    if (shape->mode == SGTI_DECODE)
        own[SCALED] = sgti_take_scratch(regions, 1, n * d * scaled_tokens(n, shape->rows));
    if (!sgti_is_training(shape))
        return;
    own[D_W] = sgti_take_scratch(regions, w->rows, w->columns);
    own[D_KERNELS] = sgti_take_scratch(regions, m, qk->columns);
    own[D_U] = sgti_take_scratch(regions, 0, n * m);
    own[SUMS] = sgti_take_scratch(regions, 2, 3 * h * m);
}

/* ---- modules ---- */

/* Puts the bias in every row of u. */
static sgt_status begin_modules(const sgti_work *work, const sgti_part *part, const sgt_tensor *u)
{
    const int64_t m = work->config->head_dim;
    const sgt_tensor bias = sgti_weight(work->model, sgti_part_parameter(work, part, BIAS));
    sgt_status status = SGT_OK;
    for (sgti_stretch s = {0};
         status == SGT_OK && sgti_next_stretch(&s, work->config, part->pass);) {
        const sgt_tensor y = sgti_columns(*u, s.place * m, s.count * m);
        const sgt_tensor x =
            sgti_columns(sgti_repeated(bias, work->rows), s.first * m, s.count * m);
        status = sgti_copy(work->dispatch, &y, &x);
    }
    return status;
}

/* Scales some rows of h for every module of the pass, into scaled [rows,n,d]. */
static sgt_status scale_rows(const sgti_work *work, const sgti_part *part, const sgt_tensor *scaled,
                             const sgt_tensor *h)
{
    const sgt_tensor scale = sgti_weight(work->model, sgti_part_parameter(work, part, SCALE));
    sgt_status status = SGT_OK;
    for (sgti_stretch s = {0};
         status == SGT_OK && sgti_next_stretch(&s, work->config, part->pass);) {
        const sgt_tensor y = sgti_rows(scale, s.first, s.count);
        const sgt_tensor out = sgti_steps(*scaled, s.place, s.count);
        sgt_row_products_args args = {.x = h, .y = &y, .out = &out};
        status = sgti_row_products(work->dispatch, &args);
    }
    return status;
}

/* Adds to u by way of scaled rows, those of a few tokens at a time. */
static sgt_status multiply_narrow(const sgti_work *work, const sgti_part *part, const sgt_tensor *u,
                                  const sgt_tensor *h)
{
    const int64_t n = part->pass->n_modules, m = work->config->head_dim;
    const int64_t d = work->config->d_model, step = scaled_tokens(n, work->layout->shape.rows);
    const sgt_tensor room = sgti_at(work, &part->own[SCALED]);
    const sgt_tensor weight =
        work->providers->matrix(work, sgti_part_matrix(work, part, MATRIX_WEIGHT));
    sgt_status status = SGT_OK;
    for (int64_t first = 0; first < work->rows && status == SGT_OK; first += step) {
        const int64_t count = sgti_min_i64(work->rows - first, step);
        const sgt_tensor rows = sgti_rows(*h, first, count);
        const sgt_tensor scaled = sgti_tensor_3d(room.buffer, room.offset, count, n, d);
        const sgt_tensor x = sgti_tensor_2d(room.buffer, room.offset, count * n, d);
        const sgt_tensor y =
            sgti_tensor_2d(u->buffer, u->offset + (uint64_t)(first * n * m), count * n, m);
        status = scale_rows(work, part, &scaled, &rows);
        if (status == SGT_OK)
            status = sgti_multiply(work, &y, &x, &weight, &y);
    }
    return status;
}

static sgt_status make_modules(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor u = sgti_at(work, &part->own[U]);
    const sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    sgt_tensor w;
    sgt_status status = begin_modules(work, part, &u);
    if (status || work->inference)
        return status ? status : multiply_narrow(work, part, &u, &h);
    status = work->providers->derived(&w, work, part, DERIVED_W);
    return status ? status : sgti_multiply(work, &u, &h, &w, &u);
}

/* ---- convolutions ---- */

/* Makes windows of the modules. */
static sgt_status begin_convolutions(sgti_convolutions *c, const sgti_work *work,
                                     const sgti_part *part)
{
    const sgt_block_config block = sgti_block_config_of(work->config, part->layer);
    const int64_t m = work->config->head_dim, width = m * block.mult_kernel;
    *c = (sgti_convolutions){.work = work,
                             .part = part,
                             .parameter = sgti_part_parameter(work, part, CONVOLUTIONS),
                             .taps = block.mult_kernel,
                             .windows = sgti_at(work, &part->own[WINDOWS])};
    const sgt_tensor before = sgti_columns(c->windows, 0, width);
    const sgt_tensor behind = sgti_columns(c->windows, c->windows.shape[1] - width, width);
    sgt_tensor qk;
    sgt_status status = work->providers->derived(&qk, work, part, DERIVED_QK);
    if (status == SGT_OK)
        status =
            work->providers->derived(&c->kernels[SGTI_CONVOLVE_V], work, part, DERIVED_V);
    if (status == SGT_OK)
        status = sgti_fill(work->dispatch, &before, 0.0);
    if (status == SGT_OK)
        status = sgti_fill(work->dispatch, &behind, 0.0);
    if (status)
        return status;
    c->kernels[SGTI_CONVOLVE_Q] = sgti_rows(qk, 0, m);
    c->kernels[SGTI_CONVOLVE_K] = sgti_rows(qk, m, m);
    return work->providers->remember(work, part, sgti_at(work, &part->own[U]),
                                     sgti_window_modules(c));
}

/* ---- forward ---- */

/* Each head adds to its own columns of the stream; the others stay. */
static sgt_status add_heads(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    const sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    const sgti_pass *pass = part->pass;
    const int64_t m = work->config->head_dim;
    sgt_status status = SGT_OK;
    if (pass->sparse && x.offset != y.offset)
        status = sgti_copy(work->dispatch, &y, &x);
    for (int32_t i = 0, count; i < pass->n_heads && status == SGT_OK; i += count) {
        count = sgti_count_neighbours(pass, i);
        const sgt_tensor from = sgti_columns(x, pass->heads[i] * m, count * m);
        const sgt_tensor to = sgti_columns(y, pass->heads[i] * m, count * m);
        const sgt_tensor added = sgti_columns(out, i * m, count * m);
        status = sgti_add(work->dispatch, &to, &from, &added);
    }
    return status;
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    const sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    const sgt_tensor qkv = sgti_at(work, &part->own[SGTI_REGION_QKV]);
    const sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    sgti_convolutions c;
    if (part->pass->n_heads == 0)
        return x.offset == y.offset ? SGT_OK : sgti_copy(work->dispatch, &y, &x);
    sgt_status status =
        sgti_norm_forward(work, &h, &x, sgti_part_parameter(work, part, SGTI_ATTENTION_NORM));
    if (status == SGT_OK)
        status = make_modules(work, part);
    if (status == SGT_OK)
        status = begin_convolutions(&c, work, part);
    if (status == SGT_OK)
        status = sgti_convolve(&c, &qkv);
    if (status == SGT_OK)
        status = work->providers->attend(work, part, qkv, out);
    if (status)
        return status;
    return has_output(work->config, part->layer) ? sgti_output_forward(work, part)
                                                 : add_heads(work, part);
}

/* ---- backward ---- */

/* The gradient of what heads have added to their own columns. */
static sgt_status add_heads_backward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor dy = sgti_at(work, &work->layout->dx);
    const sgt_tensor d_out = sgti_at(work, &part->own[SGTI_REGION_D_OUT]);
    const sgti_pass *pass = part->pass;
    const int64_t m = work->config->head_dim;
    sgt_status status = SGT_OK;
    for (int32_t i = 0, count; i < pass->n_heads && status == SGT_OK; i += count) {
        count = sgti_count_neighbours(pass, i);
        const sgt_tensor from = sgti_columns(dy, pass->heads[i] * m, count * m);
        const sgt_tensor to = sgti_columns(d_out, i * m, count * m);
        status = sgti_copy(work->dispatch, &to, &from);
    }
    return status;
}

/* The gradients of the factors and of the bias, from dW [n M, d] and du. */
static sgt_status factor_backward(const sgti_work *work, const sgti_part *part,
                                  const sgt_tensor *dw, const sgt_tensor *du)
{
    const int32_t first = sgti_part_parameter(work, part, 0);
    const int64_t m = work->config->head_dim, d = work->config->d_model;
    const sgt_tensor scale = sgti_weight(work->model, first + SCALE);
    const sgt_tensor weight = sgti_weight(work->model, first + WEIGHT);
    const sgt_tensor d_scale = sgti_gradient(work->model, first + SCALE);
    const sgt_tensor d_weight = sgti_gradient(work->model, first + WEIGHT);
    const sgt_tensor d_bias = sgti_gradient(work->model, first + BIAS);
    const sgt_tensor ones = sgti_tensor_flat(sgti_at(work, &part->own[SUMS]));
    sgt_status status = SGT_OK;
    for (sgti_stretch s = {0};
         status == SGT_OK && sgti_next_stretch(&s, work->config, part->pass);) {
        const sgt_tensor x = sgti_rows(scale, s.first, s.count);
        const sgt_tensor dx = sgti_rows(d_scale, s.first, s.count);
        const sgt_tensor dout = sgti_tensor_3d(
            dw->buffer, dw->offset + (uint64_t)(s.place * m * d), s.count, m, d);
        const sgt_tensor rows = sgti_columns(*du, s.place * m, s.count * m);
        const sgt_tensor sum =
            sgti_tensor_1d(d_bias.buffer, d_bias.offset + (uint64_t)(s.first * m), s.count * m);
        sgt_row_products_backward_args args = {
            .x = &x, .y = &weight, .dout = &dout, .dx = &dx, .dy = &d_weight};
        status = sgti_row_products_backward(work->dispatch, &args);
        if (status == SGT_OK)
            status = sgti_add_column_sums(work, &sum, &rows, &ones);
    }
    return status;
}

/* From d_qkv to du. */
static sgt_status convolutions_backward(const sgti_work *work, const sgti_part *part,
                                        const sgt_tensor *du)
{
    const sgti_convolve_backward_args args = {
        .d_qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV]),
        .d_kernels = sgti_at(work, &part->own[D_KERNELS]),
        .sums = sgti_at(work, &part->own[SUMS]),
    };
    sgti_convolutions c;
    sgt_status status = begin_convolutions(&c, work, part);
    if (status == SGT_OK)
        status = sgti_convolve_backward(&c, &args);
    return status ? status : sgti_windows_backward(&c, du);
}

/* From du to the gradients of the factors, of the norm and of x. */
static sgt_status modules_backward(const sgti_work *work, const sgti_part *part,
                                   const sgt_tensor *du)
{
    const int32_t norm = sgti_part_parameter(work, part, SGTI_ATTENTION_NORM);
    const sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    const sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    const sgt_tensor dh = sgti_at(work, &part->own[SGTI_REGION_DH]);
    const sgt_tensor dw = sgti_at(work, &part->own[D_W]);
    sgt_tensor w;
    sgt_status status = sgti_norm_forward(work, &h, &x, norm);
    if (status == SGT_OK)
        status = sgti_weight_gradient(work, &dw, 0.0f, du, &h);
    if (status == SGT_OK)
        status = factor_backward(work, part, &dw, du);
    if (status == SGT_OK)
        status = work->providers->derived(&w, work, part, DERIVED_W);
    if (status == SGT_OK)
        status = sgti_input_gradient(work, &dh, du, &w);
    return status ? status
                  : sgti_norm_backward(work, &dx, &dh, &x, norm, &part->own[SGTI_REGION_NORM]);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor du = sgti_at(work, &part->own[D_U]);
    if (part->pass->n_heads == 0)
        return SGT_OK;
    sgt_status status = has_output(work->config, part->layer) ? sgti_output_backward(work, part)
                                                              : add_heads_backward(work, part);
    if (status == SGT_OK)
        status = sgti_heads_backward(work, part);
    if (status == SGT_OK)
        status = convolutions_backward(work, part, &du);
    return status ? status : modules_backward(work, part, &du);
}

/* ---- FLOPs ---- */

/* Every module that some head sees takes M d, and every head its convolutions. Decoding reads the
 * two factors, and so do batches. */
static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    const sgt_model_config *config = query->config;
    const sgt_block_config block = sgti_block_config_of(config, query->layer);
    const double d = config->d_model, m = config->head_dim, taps = block.mult_kernel;
    const double n = sgti_count_modules(config, query->values);
    const double output = has_output(config, query->layer) ? query->heads * m * d : 0.0;
    flops->projections += 2.0 * (n * m * d + query->heads * 7.0 * taps * m * m + output);
    flops->attention += 4.0 * m * sgti_heads_keys(query);
    if (query->heads > 0.0)
        flops->weight_bytes +=
            4.0 * (d + (n + m) * d + n * m + 7.0 * taps * m * m + 3.0 * m + output);
}

const sgti_part_kind sgti_multiplicative_attention = {
    .name = "multiplicative",
    .slot = SGTI_ATTENTION,
    .check = sgti_heads_check,
    .parameters = declare,
    .n_derived = 4,
    .derived = derived,
    .derive = derive,
    .history = history,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};
