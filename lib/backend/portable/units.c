/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products with chosen rows of a weight matrix. Parts are cut by the shape only, so that none
 * shares a sum with another: tokens and groups of units for the inputs, tokens and columns for the
 * outputs, groups and columns for the gradients.
 *
 * With many tokens every row of the weights is read again and again, and a part copies its block
 * of them once; with few the rows come from memory, and a part is some microseconds of reading.
 */
#include "portable.h"

#include "matrix_kernels.h"
#include "parts.h"

/* A block is copied when its rows are read this often, on average. */
#define COPY_READS 4

/* Tokens of a part that copies, enough that copying takes little of it; fewer only where they are
 * needed for parts enough for a few cores. */
enum { WANTED_PARTS = 8, COPY_ROWS = 2048 };

/* Units of a part of the gradients and the fewest groups, so that tokens are copied a few times. */
enum { GRADIENT_UNITS = 1024, GRADIENT_GROUPS = 4 };

/* The bytes of rows that other parts read; fewer are not handed out. */
#define PART_BYTES ((int64_t)64 << 10)

typedef struct product {
    const sgti_portable *portable;
    void (*kernel)(const sgti_units_part *part, void *scratch);
    sgti_units_part whole;
    int64_t rows; /* of a part */
    int64_t groups;
    int64_t cols;
    int64_t row_parts;
    int64_t group_parts;
    int64_t col_parts;
    int uses_scratch;
} product;

static void *weight_at(const sgti_units_part *p, int64_t row, int64_t col)
{
    int64_t bytes = p->weight_is_bf16 ? 2 : 4;
    return (char *)p->weight + (row * p->weight_row + col) * bytes;
}

static void run_part(void *argument, int64_t index, int32_t thread)
{
    const product *work = argument;
    int64_t col = index % work->col_parts * work->cols;
    int64_t group = index / work->col_parts % work->group_parts * work->groups;
    int64_t row = index / work->col_parts / work->group_parts * work->rows;
    sgti_units_part part = work->whole;
    part.rows = sgti_min_i64(part.rows - row, work->rows);
    part.groups = sgti_min_i64(part.groups - group, work->groups);
    part.cols = sgti_min_i64(part.cols - col, work->cols);
    part.weight = weight_at(&part, group * part.units, col);
    part.choice += row * part.choice_row + group;
    part.a += row * part.a_row + group;
    part.x += row * part.x_row + col;
    if (part.d)
        part.d += row * part.d_row + col;
    work->kernel(&part, work->uses_scratch ? sgti_thread_scratch(work->portable, thread) : NULL);
}

static product product_of(const sgti_portable *portable, const sgt_units_args *args)
{
    const sgt_tensor *w = args->weight;
    product work = {
        .portable = portable,
        .whole =
            {
                .rows = args->x->shape[0],
                .groups = w->shape[0] / args->units,
                .units = args->units,
                .cols = w->shape[1],
                .weight_row = w->strides[0],
                .weight_is_bf16 = w->dtype == SGT_BF16,
                .choice = sgti_integers(args->choice),
                .choice_row = args->choice->strides[0],
                .a = sgti_data(args->a),
                .a_row = args->a->strides[0],
                .x = sgti_data(args->x),
                .x_row = args->x->strides[0],
                .d = sgti_floats(args->d),
                .d_row = args->d ? args->d->strides[0] : 0,
            },
    };
    sgti_units_part *p = &work.whole;
    p->weight = (char *)(void *)w->buffer + (int64_t)w->offset * (p->weight_is_bf16 ? 2 : 4);
    p->is_packed = p->units <= SGTI_UNITS_PACKED && p->rows >= COPY_READS * p->units;
    work.rows = p->rows;
    work.groups = p->groups;
    work.cols = p->cols;
    return work;
}

/* The bytes of a row of the weights. */
static int64_t row_bytes(const sgti_units_part *p)
{
    return p->cols * (p->weight_is_bf16 ? 2 : 4);
}

/* Tokens of a part that copies, where each stretch of tokens is cut into `others` parts. */
static int64_t copy_rows(const sgti_units_part *p, int64_t others)
{
    int64_t rows = COPY_ROWS;
    while (rows >= 2 * COPY_READS * p->units &&
           others * sgti_ceil_div(p->rows, rows) < WANTED_PARTS)
        rows /= 2;
    return rows;
}

/* Runs the parts. One that uses scratch goes through the pool even when it is the only one. */
static void run(product *work)
{
    const sgti_portable *portable = work->portable;
    work->row_parts = sgti_ceil_div(work->whole.rows, work->rows);
    work->group_parts = sgti_ceil_div(work->whole.groups, work->groups);
    work->col_parts = sgti_ceil_div(work->whole.cols, work->cols);
    int64_t parts = work->row_parts * work->group_parts * work->col_parts;
    if (work->uses_scratch)
        portable->services->parallel_for(portable->host, parts, run_part, work);
    else
        sgti_run_parts(portable, parts, run_part, work);
}

int32_t sgti_portable_unit_inputs(void *instance, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_inputs), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    product work = product_of(instance, args);
    const sgti_units_part *p = &work.whole;
    work.kernel = work.portable->matrix->unit_inputs;
    work.uses_scratch = p->rows > SGTI_FEW_ROWS;
    if (work.uses_scratch) {
        work.groups = SGTI_UNITS_GROUPS;
        work.rows = p->is_packed
                        ? copy_rows(p, sgti_ceil_div(p->groups, work.groups))
                        : sgti_ceil_div(2 * PART_BYTES, row_bytes(p) * SGTI_UNITS_GROUPS);
        work.rows = sgti_min_i64(work.rows, SGTI_UNITS_ROWS);
    } else if (p->rows * p->groups * row_bytes(p) > PART_BYTES) {
        work.groups = sgti_ceil_div(PART_BYTES, row_bytes(p) * p->rows);
    }
    run(&work);
    return SGT_OK;
}

int32_t sgti_portable_unit_outputs(void *instance, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_outputs), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    product work = product_of(instance, args);
    const sgti_units_part *p = &work.whole;
    work.kernel = work.portable->matrix->unit_outputs;
    work.uses_scratch = p->is_packed;
    if (p->is_packed) {
        work.cols = SGTI_UNITS_COLS;
        work.rows = copy_rows(p, sgti_ceil_div(p->cols, work.cols));
    } else if (p->rows * p->groups * row_bytes(p) > PART_BYTES) {
        work.cols = 4 * SGTI_UNITS_COLS;
        work.rows = sgti_ceil_div(PART_BYTES, p->groups * work.cols * 4);
    }
    run(&work);
    return SGT_OK;
}

int32_t sgti_portable_unit_gradients(void *instance, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_gradients), args, sizeof *args) ||
        args->units > SGTI_UNITS_MOST)
        return SGT_E_UNSUPPORTED;
    product work = product_of(instance, args);
    work.kernel = work.portable->matrix->unit_gradients;
    work.uses_scratch = 1;
    work.cols = SGTI_UNITS_COLS;
    work.groups = sgti_ceil_div(GRADIENT_UNITS, args->units);
    while (work.groups >= 2 * GRADIENT_GROUPS &&
           sgti_ceil_div(work.whole.groups, work.groups) *
                   sgti_ceil_div(work.whole.cols, work.cols) < WANTED_PARTS)
        work.groups /= 2;
    run(&work);
    return SGT_OK;
}
