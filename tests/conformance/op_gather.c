/* SPDX-License-Identifier: BSD-3-Clause */
/* gather_rows and scatter_add_rows against loops, on rows and on columns of matrices. */
#include "suite.h"

#include <string.h>

typedef struct rows_case {
    int64_t blocks; /* of the whole */
    int64_t block;
    int64_t columns;
    int64_t chosen;
    int32_t index[8];
    int swapped; /* 1: rows lie across */
} rows_case;

static const rows_case listed[] = {
    {.blocks = 1, .block = 1, .columns = 1, .chosen = 1, .index = {0}},
    {.blocks = 5, .block = 3, .columns = 17, .chosen = 2, .index = {1, 4}},
    {.blocks = 6, .block = 16, .columns = 33, .chosen = 6, .index = {0, 1, 2, 3, 4, 5}},
    {.blocks = 4, .block = 8, .columns = 40, .chosen = 3, .index = {0, 2, 3}, .swapped = 1},
    {.blocks = 8, .block = 64, .columns = 300, .chosen = 5, .index = {7, 0, 3, 2, 6}, .swapped = 1},
};
#define CASES ((int)(sizeof listed / sizeof listed[0]))

static rows_case pick_case(sgtt_machine *m, int k)
{
    rows_case c = {.blocks = 8, .chosen = 0, .swapped = (int)sgtt_below(m, 2)};
    if (m->round == 0)
        return listed[k];
    c.block = 1 + sgtt_below(m, 40);
    c.columns = 1 + sgtt_below(m, 90);
    for (int32_t i = 0; i < 8; i++)
        if (i == 3 || sgtt_below(m, 2))
            c.index[c.chosen++] = i;
    return c;
}

/* Whole row of row `row` of the part. */
static int64_t source_row(const rows_case *c, int64_t row)
{
    return c->index[row / c->block] * c->block + row % c->block;
}

static void check_rows(sgtt_machine *m, const rows_case *c, int scatters)
{
    const enum sgtt_layout layout = c->swapped ? SGTT_SWAPPED : SGTT_ROWS;
    const int64_t rows = c->blocks * c->block, chosen = c->chosen * c->block;
    sgtt_tensor *whole = sgtt_random_matrix(m, layout, rows, c->columns);
    sgtt_tensor *part = sgtt_random_matrix(m, layout, chosen, c->columns);
    sgtt_tensor *index = sgtt_integer_list(m, c->chosen, c->index);
    double *of_whole = sgtt_values(m, whole), *of_part = sgtt_values(m, part);
    for (int64_t i = 0; i < chosen * c->columns; i++) {
        double *w = &of_whole[source_row(c, i / c->columns) * c->columns + i % c->columns];
        if (scatters)
            *w += of_part[i];
        else
            of_part[i] = *w;
    }
    sgt_rows_args args = {.block = (int32_t)c->block,
                          .whole = &whole->t,
                          .part = &part->t,
                          .index = &index->t};
    if (scatters)
        sgtt_call(m, scatter_add_rows, &args);
    else
        sgtt_call(m, gather_rows, &args);
    sgtt_expect(m, whole, of_whole, scatters ? 1e-7 : 0.0, "whole rows");
    sgtt_expect(m, part, of_part, 0.0, "gathered rows");
    sgtt_clear(m);
}

/* Halves are moved as they are. */
static void gather_moves_halves(sgtt_machine *m)
{
    enum { BLOCKS = 4, BLOCK = 2, COLUMNS = 9 };
    const int64_t whole_shape[] = {BLOCKS * BLOCK, COLUMNS}, part_shape[] = {BLOCK, COLUMNS};
    const int32_t chosen = 2;
    uint16_t bits[BLOCKS * BLOCK * COLUMNS], got[BLOCK * COLUMNS];
    sgtt_tensor *whole = sgtt_make(m, SGT_BF16, SGTT_DENSE, 2, whole_shape);
    sgtt_tensor *part = sgtt_make(m, SGT_BF16, SGTT_DENSE, 2, part_shape);
    sgtt_tensor *index = sgtt_integer_list(m, 1, &chosen);
    for (int i = 0; i < BLOCKS * BLOCK * COLUMNS; i++)
        bits[i] = (uint16_t)sgtt_below(m, 65536);
    sgtt_write(m, whole, bits);
    sgt_rows_args args = {
        .block = BLOCK, .whole = &whole->t, .part = &part->t, .index = &index->t};
    sgtt_call(m, gather_rows, &args);
    sgtt_read(m, got, part);
    sgtt_require(memcmp(got, bits + chosen * BLOCK * COLUMNS, sizeof got) == 0,
                 "gathered halves are not those of the whole");
    sgtt_count(0.0);
}

static void gather_matches(sgtt_machine *m)
{
    for (int k = 0; k < CASES; k++) {
        const rows_case c = pick_case(m, k);
        check_rows(m, &c, 0);
    }
}

static void scatter_matches(sgtt_machine *m)
{
    for (int k = 0; k < CASES; k++) {
        const rows_case c = pick_case(m, k);
        check_rows(m, &c, 1);
    }
}

const sgtt_op_test sgtt_gather_rows_tests[] = {gather_matches, gather_moves_halves, NULL};
const sgtt_op_test sgtt_scatter_add_rows_tests[] = {scatter_matches, NULL};
