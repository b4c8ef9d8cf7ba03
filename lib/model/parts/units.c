/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sparse feed-forward parts, of which each token uses one unit out of every group of `units`
 * (Scaling Transformers, arXiv 2111.12763). controller.h says how it is chosen; with G = f / units
 * groups and h = RMSNorm2(x),
 *
 *     soft     y = x + Wdown middle(Win h, m)            m [N,f] weighs every unit
 *     hard     y = x + Wdown middle(Win h, one-hot)      with the gradient of m, straight through
 *     infer    the same, chosen without noise
 *
 * Where a choice is all that counts, products are taken with the chosen rows of Win and of Wdown
 * turned only: G of them instead of f. In training so are those of ReLU, forward and backward: what
 * it does not choose has no gradient. SwiGLU's mask has one for every unit.
 */
#include "../../core/tensors.h"
#include "blocks.h"
#include "controller.h"
#include "feed_forward.h"

/* Few rows of decoding are bound by what they read, and choose always. Otherwise whole products are
 * as fast with fewer units to a group than this, and for fewer rows of a batch turning Wdown takes
 * longer than its product. */
#define FEW_ROWS     8
#define FEWEST_UNITS 8
#define MOST_UNITS   (1 << 18) /* that the operations take */
#define FEWEST_ROWS  32

enum { NORM, DERIVED_TURNED = 0, CONTROLLER_MATRIX = 2 };

enum region {
    IN,        /* [N, inputs f]; or of chosen units only, [N, inputs G] */
    MASK,      /* [N,f] z, and then m */
    LOW,       /* [N,r] */
    CHOICE,    /* int32 [N,G] */
    H,         /* [N,d] output of the norm; this and all below are scratch */
    ACT,       /* [N,f] or [N,G] output of the middle, or its gradient */
    DH,        /* [N,d]; this and all below in training */
    D_MASK,    /* [N,f] or [N,G] */
    D_LOW,     /* [N,r] */
    D_TURNED,  /* [f,d] */
    ONES,      /* [1,f] */
    NORM_SCRATCH
};

/* A part at work. */
typedef struct units_work {
    const sgti_work *work;
    const sgti_part *part;
    sgt_block_config block;
    int32_t inputs;
    int soft;
    int sparse; /* 1: only chosen units are computed */
    sgt_tensor in;  /* [N, inputs f], or [N, inputs G] where sparse */
    sgt_tensor act; /* [N,f], or [N,G] */
    sgti_controller controller;
} units_work;

static int32_t first_parameter(const sgti_work *work, const sgti_part *part, int32_t inputs)
{
    return sgti_part_parameter(work, part, NORM) + 1 + inputs + 1;
}

/* The first `columns` columns that a region has room for, as a dense matrix. */
static sgt_tensor dense(const sgti_work *work, const sgti_region *region, int64_t columns)
{
    const sgt_tensor whole = sgti_at(work, region);
    return sgti_tensor_2d(whole.buffer, whole.offset, work->rows, columns);
}

/* 1 when the products with chosen rows are the faster ones. */
static int is_worth_it(const sgti_work *work, int32_t units)
{
    if (units > MOST_UNITS)
        return 0;
    if (work->inference && work->rows <= FEW_ROWS)
        return 1;
    return units >= FEWEST_UNITS && (work->inference || work->rows >= FEWEST_ROWS);
}

static units_work begin(const sgti_work *work, const sgti_part *part)
{
    const int training = sgti_is_training(&work->layout->shape);
    units_work u = {
        .work = work, .part = part, .block = sgti_block_config_of(work->config, part->layer)};
    u.inputs = sgti_feed_forward_inputs(&u.block);
    u.soft = training && !sgti_controller_is_hard(work, part, &u.block);
    u.sparse = !u.soft && (!training || u.inputs == 1) && is_worth_it(work, u.block.units) &&
               sgti_has_units(work->dispatch);
    const int64_t width = work->config->d_ff / (u.sparse ? u.block.units : 1);
    u.in = dense(work, &part->own[IN], u.inputs * width);
    u.act = dense(work, &part->own[ACT], width);
    u.controller = (sgti_controller){
        .parameter = first_parameter(work, part, u.inputs),
        .matrix = sgti_part_matrix(work, part, CONTROLLER_MATRIX),
        .h = sgti_at(work, &part->own[H]),
        .low = sgti_at(work, &part->own[LOW]),
        .logits = sgti_at(work, &part->own[MASK]),
        .choice = sgti_at(work, &part->own[CHOICE]),
        .units = u.block.units,
    };
    return u;
}

/* ---- what it is made of ---- */

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    const sgt_block_config block = sgti_block_config_of(config, placer->layer);
    sgti_feed_forward_declare(placer, config);
    sgti_place_unit_outputs(placer, "mlp.down_proj.weight", config->d_model, config->d_ff,
                            block.units);
    sgti_controller_declare(placer, config, &block);
}

static sgti_derived derived(const sgt_model_config *config, int32_t layer, const sgti_pass *pass,
                            int32_t which)
{
    (void)layer;
    (void)pass;
    (void)which;
    return (sgti_derived){.rows = config->d_ff, .columns = config->d_model, .needed = 1};
}

static sgt_status derive(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                         sgt_buffer *lists, int32_t which, const sgt_tensor *to)
{
    const int32_t first = model->parameters.layers[layer].matrix[SGTI_FEED_FORWARD];
    const sgt_tensor turned = sgti_transposed(sgti_matrix_weight(model, first + SGTI_MATRIX_DOWN));
    (void)pass;
    (void)lists;
    (void)which;
    return sgti_copy(model->dispatch, to, &turned);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    const sgt_model_config *config = regions->shape->config;
    const sgt_block_config block = sgti_block_config_of(config, part->layer);
    const int64_t d = config->d_model, f = config->d_ff, r = block.controller_rank;
    const int training = sgti_is_training(regions->shape);
    const int relu = sgti_feed_forward_inputs(&block) == 1;
    sgti_region *own = part->own;
    own[IN] = sgti_take_activation(regions, sgti_feed_forward_inputs(&block) * f);
    own[MASK] = sgti_take_activation(regions, f);
    own[LOW] = sgti_take_activation(regions, r);
    own[CHOICE] = sgti_take(regions, training ? SGTI_DECISIONS : SGTI_SCRATCH, 0, f / block.units,
                            SGT_I32);
    own[H] = sgti_take_scratch(regions, 0, d);
    own[ACT] = sgti_take_scratch(regions, 0, f);
    if (!training)
        return;
    own[DH] = sgti_take_scratch(regions, 0, d);
    own[D_MASK] = sgti_take_scratch(regions, 0, f);
    own[D_LOW] = sgti_take_scratch(regions, 0, r);
    own[D_TURNED] = sgti_take_scratch(regions, relu ? f : 1, relu ? d : 0);
    own[ONES] = sgti_take_scratch(regions, 1, f);
    own[NORM_SCRATCH] = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
}

/* ---- products ---- */

static sgt_tensor weight(const units_work *u, int32_t matrix)
{
    return u->work->providers->matrix(u->work, sgti_part_matrix(u->work, u->part, matrix));
}

static sgt_tensor gradient(const units_work *u, int32_t matrix)
{
    return sgti_matrix_gradient(u->work, sgti_part_matrix(u->work, u->part, matrix));
}

/* Input number i of a matrix of all of them: `width` rows of weights. */
static sgt_tensor rows_of_input(const units_work *u, sgt_tensor weights, int32_t i)
{
    return sgti_rows(weights, i * (int64_t)u->work->config->d_ff, u->work->config->d_ff);
}

/* in = the products of h with Win. */
static sgt_status expand(const units_work *u)
{
    const int64_t width = u->act.shape[1];
    const sgt_tensor w = weight(u, SGTI_MATRIX_IN);
    sgt_status status = SGT_OK;
    if (!u->sparse)
        return sgti_multiply(u->work, &u->in, &u->controller.h, &w, NULL);
    for (int32_t i = 0; i < u->inputs && status == SGT_OK; i++) {
        const sgt_tensor a = sgti_columns(u->in, i * width, width);
        const sgt_tensor of_input = rows_of_input(u, w, i);
        sgt_units_args args = {.units = u->block.units,
                               .weight = &of_input,
                               .choice = &u->controller.choice,
                               .a = &a,
                               .x = &u->controller.h};
        status = sgti_unit_inputs(u->work->dispatch, &args);
    }
    return status;
}

/* y = x + the products of act with Wdown. A session has it turned only. */
static sgt_status project(const units_work *u)
{
    const sgt_tensor x = sgti_at(u->work, &u->part->x), y = sgti_at(u->work, &u->part->y);
    sgt_tensor turned;
    if (!u->sparse && !u->work->inference) {
        const sgt_tensor w = weight(u, SGTI_MATRIX_DOWN);
        return sgti_multiply(u->work, &y, &u->act, &w, &x);
    }
    sgt_status status = u->work->providers->derived(&turned, u->work, u->part, DERIVED_TURNED);
    if (status)
        return status;
    if (!u->sparse)
        return sgti_multiply_turned(u->work, &y, &u->act, &turned, &x);
    sgt_units_args args = {.units = u->block.units,
                           .weight = &turned,
                           .choice = &u->controller.choice,
                           .a = &u->act,
                           .x = &y,
                           .d = &x};
    return sgti_unit_outputs(u->work->dispatch, &args);
}

/* What the middle weighs units by: where only chosen ones are there, all count. */
static sgti_selection selection_of(const units_work *u)
{
    return (sgti_selection){
        .mask = u->soft ? &u->controller.logits : NULL,
        .choice = u->soft || u->sparse ? NULL : &u->controller.choice,
        .units = u->block.units,
    };
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    const units_work u = begin(work, part);
    const int training = sgti_is_training(&work->layout->shape);
    const sgt_tensor x = sgti_at(work, &part->x);
    const float temperature = training && !u.soft ? (float)u.block.temperature : 0.0f;
    sgt_status status = sgti_norm_forward(work, &u.controller.h, &x,
                                          sgti_part_parameter(work, part, NORM));
    if (status == SGT_OK)
        status = sgti_controller_forward(work, part, &u.controller, temperature, training);
    if (status == SGT_OK)
        status = expand(&u);
    if (status || work->remake)
        return status;
    const sgti_selection selection = selection_of(&u);
    status = sgti_activate(work, u.inputs, &u.in, &selection, &u.act);
    return status ? status : project(&u);
}

/* ---- backward ---- */

/* The gradient of Wdown's chosen rows, added to what there is through its turned form. */
static sgt_status turned_gradient(const units_work *u, const sgt_tensor *dy)
{
    const sgt_tensor d_turned = sgti_at(u->work, &u->part->own[D_TURNED]);
    const sgt_tensor dw = sgti_transposed(gradient(u, SGTI_MATRIX_DOWN));
    sgt_units_args args = {.units = u->block.units,
                           .weight = &d_turned,
                           .choice = &u->controller.choice,
                           .a = &u->act,
                           .x = dy};
    sgt_status status = sgti_copy(u->work->dispatch, &d_turned, &dw);
    if (status == SGT_OK)
        status = sgti_unit_gradients(u->work->dispatch, &args);
    return status ? status : sgti_copy(u->work->dispatch, &dw, &d_turned);
}

/* The upper half: the gradient of Wdown, in becomes its gradient, and dmask is made. */
static sgt_status down_backward(const units_work *u, const sgt_tensor *d_mask)
{
    const sgt_tensor dy = sgti_at(u->work, &u->work->layout->dx);
    const sgti_selection selection = selection_of(u);
    sgt_tensor turned;
    sgt_status status;
    if (u->sparse) {
        status = u->work->providers->derived(&turned, u->work, u->part, DERIVED_TURNED);
        sgt_units_args args = {.units = u->block.units,
                               .weight = &turned,
                               .choice = &u->controller.choice,
                               .a = &u->act,
                               .x = &dy};
        if (status == SGT_OK)
            status = sgti_unit_inputs(u->work->dispatch, &args);
    } else {
        const sgt_tensor w = weight(u, SGTI_MATRIX_DOWN);
        status = sgti_input_gradient(u->work, &u->act, &dy, &w);
    }
    if (status == SGT_OK)
        status = sgti_activate_backward(u->work, u->inputs, &u->in, &selection, &u->act, d_mask);
    if (status)
        return status;
    if (u->sparse)
        return turned_gradient(u, &dy);
    const sgt_tensor dw = gradient(u, SGTI_MATRIX_DOWN);
    return sgti_weight_gradient(u->work, &dw, 1.0f, &dy, &u->act);
}

/* The lower half: the gradient of Win, and dh, from that of the inputs. */
static sgt_status in_backward(const units_work *u, const sgt_tensor *dh)
{
    const sgt_tensor w = weight(u, SGTI_MATRIX_IN), dw = gradient(u, SGTI_MATRIX_IN);
    if (!u->sparse) {
        sgt_status status = sgti_weight_gradient(u->work, &dw, 1.0f, &u->in, &u->controller.h);
        return status ? status : sgti_input_gradient(u->work, dh, &u->in, &w);
    }
    sgt_units_args args = {.units = u->block.units,
                           .weight = &dw,
                           .choice = &u->controller.choice,
                           .a = &u->in,
                           .x = &u->controller.h};
    sgt_status status = sgti_unit_gradients(u->work->dispatch, &args);
    if (status)
        return status;
    args.weight = &w;
    args.x = dh;
    return sgti_unit_outputs(u->work->dispatch, &args);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    const units_work u = begin(work, part);
    const int32_t norm = sgti_part_parameter(work, part, NORM);
    const sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    const sgti_controller_backward_args args = {
        .dmask = dense(work, &part->own[D_MASK], u.act.shape[1]),
        .chosen = u.sparse,
        .dh = sgti_at(work, &part->own[DH]),
        .room = sgti_at(work, &part->own[D_LOW]),
        .ones = sgti_at(work, &part->own[ONES]),
    };
    sgt_status status = down_backward(&u, &args.dmask);
    if (status == SGT_OK)
        status = sgti_norm_forward(work, &u.controller.h, &x, norm);
    if (status == SGT_OK)
        status = in_backward(&u, &args.dh);
    if (status == SGT_OK)
        status = sgti_controller_backward(work, &u.controller, &args);
    return status ? status
                  : sgti_norm_backward(work, &dx, &args.dh, &x, norm, &part->own[NORM_SCRATCH]);
}

/* ---- FLOPs ---- */

/* Of a ReLU's hard steps only chosen units are counted in training, and of all parts in evaluation
 * and decoding. */
static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    const sgt_model_config *config = query->config;
    const sgt_block_config block = sgti_block_config_of(config, query->layer);
    const double controller = sgti_controller_weights(config, &block);
    const int32_t inputs = sgti_feed_forward_inputs(&block);
    const double all = (inputs + 1.0) * config->d_model * config->d_ff;
    const int training = query->phase == SGT_PHASE_FORWARD;
    const int decoding = query->phase == SGT_PHASE_DECODE;
    const double chosen = decoding || block.units >= FEWEST_UNITS ? all / block.units : all;
    const double hard = inputs == 1 ? block.hard_fraction : 0.0;
    const double read = decoding ? chosen : all;
    flops->feed_forward +=
        2.0 * (controller + (training ? hard * chosen + (1.0 - hard) * all : chosen));
    flops->weight_bytes += 4.0 * (controller + read + config->d_ff + config->d_model);
}

#define OF_UNITS(called)                                                                           \
    {                                                                                              \
        .name = called,                                                                            \
        .slot = SGTI_FEED_FORWARD,                                                                 \
        .draws = 1,                                                                                \
        .check = sgti_controller_check,                                                            \
        .parameters = declare,                                                                     \
        .n_derived = 1,                                                                            \
        .derived = derived,                                                                        \
        .derive = derive,                                                                          \
        .place = place,                                                                            \
        .forward = forward,                                                                        \
        .backward = backward,                                                                      \
        .flops = count_flops,                                                                      \
    }

const sgti_part_kind sgti_swiglu_of_units = OF_UNITS("swiglu");
const sgti_part_kind sgti_relu_of_units = OF_UNITS("relu");
