/* SPDX-License-Identifier: BSD-3-Clause */
#include "op_masks.h"

int32_t sgtt_pick_units(sgtt_machine *m, int64_t columns)
{
    const int64_t way = sgtt_below(m, 4);
    if (way < 2)
        return way == 0 ? 1 : (int32_t)columns;
    int64_t units = way == 2 ? 2 : 1 + sgtt_below(m, columns);
    while (units < columns && columns % units != 0)
        units++;
    return (int32_t)(units < columns ? units : columns);
}

sgtt_tensor *sgtt_random_choice(sgtt_machine *m, int64_t rows, int64_t groups, int32_t units)
{
    const int64_t shape[] = {rows, groups};
    sgtt_tensor *choice = sgtt_make(m, SGT_I32, SGTT_DENSE, 2, shape);
    sgtt_set_random(m, choice, 0.0, units);
    return choice;
}

static void choose_units(sgtt_machine *m, sgtt_mask *made, int64_t rows, int64_t columns)
{
    made->units = sgtt_pick_units(m, columns);
    const int64_t groups = columns / made->units;
    made->choice = sgtt_random_choice(m, rows, groups, made->units);
    made->values = sgtt_doubles(m, rows * columns);
    const int32_t *chosen = sgtt_integers(m, made->choice);
    for (int64_t s = 0; s < rows * groups; s++)
        made->values[s * made->units + chosen[s]] = 1.0;
}

sgtt_mask sgtt_pick_mask(sgtt_machine *m, enum sgtt_mask_kind kind, enum sgtt_layout layout,
                         int64_t rows, int64_t columns)
{
    sgtt_mask made = {.units = 0};
    if (kind == SGTT_CHOICE) {
        choose_units(m, &made, rows, columns);
        return made;
    }
    made.values = sgtt_doubles(m, rows * columns);
    for (int64_t i = 0; i < rows * columns; i++)
        made.values[i] = 1.0;
    if (kind == SGTT_NO_MASK)
        return made;
    for (int64_t i = 0; i < rows * columns; i++)
        made.values[i] = sgtt_below(m, 5) > 0 ? sgtt_uniform(m, -0.5, 1.0) : 0.0;
    made.mask = sgtt_random_matrix(m, layout, rows, columns);
    sgtt_set(m, made.mask, made.values);
    made.values = sgtt_values(m, made.mask);
    return made;
}

double *sgtt_products(sgtt_machine *m, const double *a, const double *b, int64_t count)
{
    double *products = sgtt_doubles(m, count);
    for (int64_t i = 0; i < count; i++)
        products[i] = a[i] * b[i];
    return products;
}

int sgtt_declines_masks(sgtt_machine *m)
{
    if (m->stand_in || m->on_host || !m->slots->swiglu)
        return 0;
    sgtt_tensor *gate = sgtt_random_matrix(m, SGTT_DENSE, 2, 3);
    sgtt_tensor *mask = sgtt_random_matrix(m, SGTT_DENSE, 2, 3);
    const sgt_swiglu_args args = {.size = sizeof args,
                                  .gate = &gate->t,
                                  .up = &gate->t,
                                  .out = &gate->t,
                                  .mask = &mask->t};
    int32_t result = m->slots->swiglu(m->slots_instance, &args);
    sgtt_clear(m);
    return result == SGT_E_UNSUPPORTED;
}
