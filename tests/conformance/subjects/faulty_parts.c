/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations of parts that not every model has, each wrong in one of the cases. */
#include "faulty.h"

#include <string.h>

static float *data_of(const sgt_tensor *t)
{
    return (float *)(void *)t->buffer + t->offset;
}

int32_t faulty_masked_swiglu(void *made, const sgt_swiglu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_swiglu_args own = *args;
    own.size = sizeof own;
    own.mask = own.choice = NULL;
    own.units = 0;
    return self->services->portable->swiglu(self->portable, &own);
}

int32_t faulty_relu(void *made, const sgt_relu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_relu_args own = *args;
    own.size = sizeof own;
    own.mask = own.choice = NULL;
    own.units = 0;
    return self->services->portable->relu(self->portable, &own);
}

/* Zeros in a list of its own, as long as that of the call; NULL where it does not fit. */
static const sgt_tensor *first_units(sgt_tensor *own, int32_t *units, size_t most,
                                     const sgt_tensor *choice)
{
    if (!choice || (size_t)(choice->shape[0] * choice->shape[1]) > most)
        return choice;
    memset(units, 0, most * sizeof *units);
    *own = *choice;
    own->buffer = (sgt_buffer *)(void *)units;
    own->offset = 0;
    return own;
}

enum { MOST = 4096 };

int32_t faulty_masked_swiglu_backward(void *made, const sgt_swiglu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    int32_t units[MOST];
    sgt_tensor choice;
    sgt_swiglu_backward_args own = *args;
    own.size = sizeof own;
    own.choice = first_units(&choice, units, MOST, args->choice);
    return self->services->portable->swiglu_backward(self->portable, &own);
}

int32_t faulty_relu_backward(void *made, const sgt_relu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    int32_t units[MOST];
    sgt_tensor choice;
    sgt_relu_backward_args own = *args;
    own.size = sizeof own;
    own.choice = first_units(&choice, units, MOST, args->choice);
    return self->services->portable->relu_backward(self->portable, &own);
}

/* The index of the last element that is as large as the one that was chosen. */
static int32_t last_of_equals(const float *x, int32_t chosen, int32_t units)
{
    for (int32_t i = units - 1; i > chosen; i--)
        if (x[i] >= x[chosen])
            return i;
    return chosen;
}

int32_t faulty_choose(void *made, const sgt_choose_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_choose_args own = *args;
    own.size = sizeof own;
    if (CASE == ONE_STREAM)
        own.stream = 0;
    if (CASE == OTHER_DRAWS)
        own.seed ^= 1;
    if (CASE == LOUD)
        own.temperature *= 2.0f;
    if (CASE != LAST_OF_EQUALS || own.temperature != 0.0f || own.mask == own.logits)
        return self->services->portable->choose(self->portable, &own);
    int32_t status = self->services->portable->choose(self->portable, &own);
    const int64_t groups = own.choice->shape[1];
    int32_t *choice = (int32_t *)(void *)own.choice->buffer + own.choice->offset;
    for (int64_t k = 0; k < own.choice->shape[0] * groups; k++) {
        const float *row = data_of(own.logits) + k / groups * own.logits->strides[0];
        choice[k] = last_of_equals(row + k % groups * own.units, choice[k], own.units);
    }
    return status;
}

int32_t faulty_choose_backward(void *made, const sgt_choose_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    const sgt_tensor *mask = args->mask, *dmask = args->dmask, *dlogits = args->dlogits;
    if (args->choice)
        return self->services->portable->choose_backward(self->portable, args);
    for (int64_t n = 0; n < mask->shape[0]; n++) {
        for (int64_t i = 0; i < mask->shape[1]; i++)
            data_of(dlogits)[n * dlogits->strides[0] + i] =
                data_of(mask)[n * mask->strides[0] + i] *
                data_of(dmask)[n * dmask->strides[0] + i];
    }
    return SGT_OK;
}

int32_t faulty_row_products(void *made, const sgt_row_products_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_row_products_args own = *args;
    sgt_tensor y = *args->y;
    own.size = sizeof own;
    y.strides[0] = 0;
    own.y = &y;
    return self->services->portable->row_products(self->portable, &own);
}

/* Row i from the end of `rows` rows along a dimension. */
static sgt_tensor row_from_end(const sgt_tensor *tensor, int32_t dimension, int64_t i)
{
    sgt_tensor row = *tensor;
    row.offset += (uint64_t)((tensor->shape[dimension] - 1 - i) * tensor->strides[dimension]);
    row.shape[dimension] = 1;
    return row;
}

static int32_t products_from_the_end(const instance *self,
                                     const sgt_row_products_backward_args *args)
{
    int32_t status = SGT_OK;
    for (int64_t i = 0; i < args->x->shape[0] && status == SGT_OK; i++) {
        sgt_row_products_backward_args one = *args;
        sgt_tensor x = row_from_end(args->x, 0, i), dout = row_from_end(args->dout, 0, i), dx;
        one.size = sizeof one;
        one.x = &x;
        one.dout = &dout;
        if (args->dx) {
            dx = row_from_end(args->dx, 0, i);
            one.dx = &dx;
        }
        status = self->services->portable->row_products_backward(self->portable, &one);
    }
    return status;
}

int32_t faulty_row_products_backward(void *made, const sgt_row_products_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    if (CASE == FROM_THE_END)
        return products_from_the_end(self, args);
    sgt_row_products_backward_args own = *args;
    own.size = sizeof own;
    if (args->dx && args->dy && args->dx->shape[0] == args->dy->shape[0]) {
        own.dx = args->dy;
        own.dy = args->dx;
    }
    return self->services->portable->row_products_backward(self->portable, &own);
}

int32_t faulty_unit_inputs(void *made, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_inputs), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_tensor choice = *args->choice;
    if (CASE == ONE_CHOICE)
        choice.strides[0] = 0;
    sgt_units_args own = *args;
    own.size = sizeof own;
    own.choice = &choice;
    return self->services->portable->unit_inputs(self->portable, &own);
}

int32_t faulty_unit_outputs(void *made, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_outputs), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_units_args own = *args;
    own.size = sizeof own;
    if (CASE == ADDS_NOTHING)
        own.d = NULL;
    return self->services->portable->unit_outputs(self->portable, &own);
}

int32_t faulty_unit_gradients(void *made, const sgt_units_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(unit_gradients), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    int32_t status = SGT_OK;
    if (CASE != LAST_FIRST)
        return self->services->portable->unit_gradients(self->portable, args);
    for (int64_t n = args->x->shape[0] - 1; n >= 0 && status == SGT_OK; n--) {
        sgt_tensor choice = *args->choice, a = *args->a, x = *args->x;
        sgt_tensor *rows[] = {&choice, &a, &x};
        sgt_units_args one = *args;
        for (int i = 0; i < 3; i++) {
            rows[i]->shape[0] = 1;
            rows[i]->offset += (uint64_t)(n * rows[i]->strides[0]);
        }
        one.size = sizeof one;
        one.choice = &choice;
        one.a = &a;
        one.x = &x;
        status = self->services->portable->unit_gradients(self->portable, &one);
    }
    return status;
}
