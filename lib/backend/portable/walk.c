/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk sorts and merges the dimensions, then cuts rows times columns into parts. Dimensions are
 * kept from the outermost to the innermost: | outer ones .. | rows | columns |, where columns run
 * along the output's row.
 */
#include "walk.h"

#include "../../core/tensors.h"
#include "parts.h"

enum {
    ROWS = SGT_MAX_RANK - 2,
    COLUMNS = SGT_MAX_RANK - 1
};

#define BLOCK 32         /* side of a square block where an input runs across */
#define BLOCK_COLUMNS 512 /* columns of a part of such blocks */

typedef struct dimension {
    int64_t size;
    int64_t stride[SGTI_OPERANDS]; /* bytes */
} dimension;

typedef struct walk {
    sgti_strip_fn strip;
    const void *context;
    int operands;
    char *data[SGTI_OPERANDS];
    int rank;
    dimension dims[SGT_MAX_RANK]; /* after setup the last `rank`: outer ones, rows, columns */
    int blocked;                  /* 1: some input is not contiguous along the columns */
    int64_t rows;                 /* the product of all dimensions but the columns */
    int64_t rows_per_part;
    int64_t columns_per_part;
    int64_t column_parts;
} walk;

static dimension *rows_of(walk *w)
{
    return &w->dims[ROWS];
}

static dimension *columns_of(walk *w)
{
    return &w->dims[COLUMNS];
}

/* Takes the dimensions longer than one and sorts them by y's strides, the largest first. */
static void collect(walk *w, const sgt_tensor *const *tensors)
{
    for (int32_t i = 0; i < tensors[SGTI_Y]->rank; i++) {
        dimension d = {.size = tensors[SGTI_Y]->shape[i]};
        if (d.size == 1)
            continue;
        for (int k = 0; k < w->operands; k++)
            d.stride[k] = tensors[k]->strides[i] * (int64_t)sgti_dtype_bytes(tensors[k]->dtype);
        int place = w->rank++;
        for (; place > 0 && w->dims[place - 1].stride[SGTI_Y] < d.stride[SGTI_Y]; place--)
            w->dims[place] = w->dims[place - 1];
        w->dims[place] = d;
    }
}

/* 1 when a step of `outer` is the same as walking through all of `inner`, in every tensor. */
static int follow_each_other(const walk *w, const dimension *outer, const dimension *inner)
{
    for (int k = 0; k < w->operands; k++) {
        if (outer->stride[k] != inner->stride[k] * inner->size)
            return 0;
    }
    return 1;
}

static void merge(walk *w)
{
    int kept = 0;
    for (int i = 1; i < w->rank; i++) {
        if (follow_each_other(w, &w->dims[kept], &w->dims[i])) {
            int64_t size = w->dims[kept].size * w->dims[i].size;
            w->dims[kept] = w->dims[i];
            w->dims[kept].size = size;
        } else {
            w->dims[++kept] = w->dims[i];
        }
    }
    if (w->rank > 0)
        w->rank = kept + 1;
}

/* Moves the dimensions to the end of the array and puts dimensions of one element before them, so
 * that rows and columns always exist. */
static void pad(walk *w)
{
    int shift = SGT_MAX_RANK - w->rank;
    for (int i = SGT_MAX_RANK - 1; i >= 0; i--)
        w->dims[i] = i >= shift ? w->dims[i - shift] : (dimension){.size = 1};
}

/* For an operand that is not contiguous along the columns: the dimension in which its elements are
 * closest becomes the rows, so that square blocks use whole cache lines of it. */
static void choose_rows(walk *w, int k)
{
    int best = ROWS;
    for (int i = 0; i <= ROWS; i++) {
        int64_t stride = w->dims[i].stride[k];
        int64_t least = w->dims[best].stride[k];
        if (w->dims[i].size > 1 && stride != 0 && (least == 0 || stride < least))
            best = i;
    }
    dimension rows = w->dims[best];
    w->dims[best] = *rows_of(w);
    *rows_of(w) = rows;
}

static void choose_blocks(walk *w, const sgt_tensor *const *tensors)
{
    for (int k = 1; k < w->operands; k++) {
        int64_t stride = columns_of(w)->stride[k];
        if (stride == 0 || stride == (int64_t)sgti_dtype_bytes(tensors[k]->dtype))
            continue;
        if (!w->blocked)
            choose_rows(w, k);
        w->blocked = 1;
    }
}

/* Walks over one block: `count` rows from `row` on, which have the same outer indices, and `width`
 * columns. */
static void walk_block(walk *w, int64_t row, int64_t count, int64_t column, int64_t width)
{
    const dimension *d = w->dims;
    sgti_strip strips[SGTI_OPERANDS];
    for (int k = 0; k < w->operands; k++) {
        strips[k].data = w->data[k] + column * d[COLUMNS].stride[k];
        strips[k].step = d[COLUMNS].stride[k];
    }
    for (int i = ROWS; i >= SGT_MAX_RANK - w->rank; i--) {
        for (int k = 0; k < w->operands; k++)
            strips[k].data += row % d[i].size * d[i].stride[k];
        row /= d[i].size;
    }
    for (int64_t r = 0; r < count; r++) {
        w->strip(w->context, strips, width);
        for (int k = 0; k < w->operands; k++)
            strips[k].data += d[ROWS].stride[k];
    }
}

/* Walks over a part: some rows times some columns. Rows are taken in runs that have the same outer
 * indices, and where an input runs across, in square blocks. */
static void walk_part(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    walk *w = argument;
    const int64_t per_outer = rows_of(w)->size;
    int64_t row_part = part / w->column_parts;
    int64_t column_part = part % w->column_parts;
    int64_t first_column = column_part * w->columns_per_part;
    int64_t end_column = sgti_part_end(column_part, w->columns_per_part, columns_of(w)->size);
    int64_t end_row = sgti_part_end(row_part, w->rows_per_part, w->rows);

    int64_t row = row_part * w->rows_per_part;
    while (row < end_row) {
        int64_t count = per_outer - row % per_outer;
        if (count > end_row - row)
            count = end_row - row;
        if (w->blocked && count > BLOCK)
            count = BLOCK;
        int64_t step = w->blocked ? BLOCK : w->columns_per_part;
        for (int64_t column = first_column; column < end_column; column += step) {
            int64_t width = end_column - column < step ? end_column - column : step;
            walk_block(w, row, count, column, width);
        }
        row += count;
    }
}

void sgti_walk(const sgti_portable *portable, const sgt_tensor *y, const sgt_tensor *x,
               const sgt_tensor *z, sgti_strip_fn strip, const void *context)
{
    const sgt_tensor *tensors[SGTI_OPERANDS] = {y, x, z};
    walk w = {.strip = strip, .context = context};
    while (w.operands < SGTI_OPERANDS && tensors[w.operands] != NULL) {
        const sgt_tensor *tensor = tensors[w.operands];
        w.data[w.operands++] = (char *)(void *)tensor->buffer
                               + tensor->offset * sgti_dtype_bytes(tensor->dtype);
    }
    collect(&w, tensors);
    merge(&w);
    pad(&w);
    choose_blocks(&w, tensors);

    int64_t columns = columns_of(&w)->size;
    int64_t widest = w.blocked ? BLOCK_COLUMNS : SGTI_PART_ELEMENTS;
    w.rows = 1;
    for (int i = 0; i <= ROWS; i++)
        w.rows *= w.dims[i].size;
    w.columns_per_part = columns < widest ? columns : widest;
    w.rows_per_part = sgti_rows_per_part(w.columns_per_part);
    w.column_parts = sgti_ceil_div(columns, w.columns_per_part);
    sgti_run_parts(portable, sgti_ceil_div(w.rows, w.rows_per_part) * w.column_parts, walk_part,
                   &w);
}
