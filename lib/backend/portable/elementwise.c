/* SPDX-License-Identifier: BSD-3-Clause */
/* copy, fill, add, axpy and scale on tensors of any strides: each is a function for one strip,
 * which the walk calls. Contiguous strips go to a kernel, others element by element. */
#include <string.h>

#include "../../core/tensors.h"
#include "row_kernels.h"
#include "turn.h"
#include "walk.h"

#define FLOAT_STEP ((int64_t)sizeof(float))

/* ---- copy ---- */

/* `size` is a constant after inlining, so that each memcpy becomes one move. */
static inline void copy_steps(const sgti_strip *strips, int64_t n, size_t size)
{
    const sgti_strip y = strips[SGTI_Y];
    const sgti_strip x = strips[SGTI_X];
    for (int64_t i = 0; i < n; i++)
        memcpy(y.data + i * y.step, x.data + i * x.step, size);
}

static void copy_strip(const void *context, const sgti_strip *strips, int64_t n)
{
    const size_t size = *(const uint32_t *)context;
    if (strips[SGTI_Y].step == (int64_t)size && strips[SGTI_X].step == (int64_t)size)
        memcpy(strips[SGTI_Y].data, strips[SGTI_X].data, (size_t)n * size);
    else if (size == 4)
        copy_steps(strips, n, 4);
    else if (size == 2)
        copy_steps(strips, n, 2);
    else
        copy_steps(strips, n, 8);
}

int32_t sgti_portable_copy(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(copy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    uint32_t size = sgti_dtype_bytes(args->y->dtype);
    if (sgti_turn(instance, args->y, args->x))
        return SGT_OK;
    sgti_walk(instance, args->y, args->x, NULL, copy_strip, &size);
    return SGT_OK;
}

/* ---- fill ---- */

static void fill_floats(const void *context, const sgti_strip *strips, int64_t n)
{
    const float value = *(const float *)context;
    const sgti_strip y = strips[SGTI_Y];
    if (y.step == FLOAT_STEP) {
        float *data = (void *)y.data;
        for (int64_t i = 0; i < n; i++)
            data[i] = value;
    } else {
        for (int64_t i = 0; i < n; i++)
            *(float *)(void *)(y.data + i * y.step) = value;
    }
}

static void fill_doubles(const void *context, const sgti_strip *strips, int64_t n)
{
    const double value = *(const double *)context;
    const sgti_strip y = strips[SGTI_Y];
    for (int64_t i = 0; i < n; i++)
        *(double *)(void *)(y.data + i * y.step) = value;
}

int32_t sgti_portable_fill(void *instance, const sgt_tensor *tensor, double value)
{
    const sgti_portable *portable = instance;
    float as_float = (float)value;
    if (tensor->dtype == SGT_F32)
        sgti_walk(portable, tensor, NULL, NULL, fill_floats, &as_float);
    else if (tensor->dtype == SGT_F64)
        sgti_walk(portable, tensor, NULL, NULL, fill_doubles, &value);
    else
        return portable->services->fail(portable->host, SGT_E_UNSUPPORTED,
                                        "fill takes tensors of F32 and F64");
    return SGT_OK;
}

/* ---- arithmetic ---- */

typedef struct arithmetic {
    const sgti_row_kernels *row;
    float alpha;
} arithmetic;

static float *element(sgti_strip strip, int64_t i)
{
    return (float *)(void *)(strip.data + i * strip.step);
}

static void add_strip(const void *context, const sgti_strip *strips, int64_t n)
{
    const arithmetic *a = context;
    const sgti_strip y = strips[SGTI_Y];
    const sgti_strip x = strips[SGTI_X];
    const sgti_strip z = strips[SGTI_Z];
    if (y.step == FLOAT_STEP && x.step == FLOAT_STEP && z.step == FLOAT_STEP) {
        a->row->add(element(y, 0), element(x, 0), element(z, 0), (size_t)n);
    } else {
        for (int64_t i = 0; i < n; i++)
            *element(y, i) = *element(x, i) + *element(z, i);
    }
}

static void axpy_strip(const void *context, const sgti_strip *strips, int64_t n)
{
    const arithmetic *a = context;
    const sgti_strip y = strips[SGTI_Y];
    const sgti_strip x = strips[SGTI_X];
    if (y.step == FLOAT_STEP && x.step == FLOAT_STEP) {
        a->row->axpy(element(y, 0), a->alpha, element(x, 0), (size_t)n);
    } else {
        for (int64_t i = 0; i < n; i++)
            *element(y, i) += a->alpha * *element(x, i);
    }
}

static void scale_strip(const void *context, const sgti_strip *strips, int64_t n)
{
    const arithmetic *a = context;
    const sgti_strip y = strips[SGTI_Y];
    if (y.step == FLOAT_STEP) {
        a->row->scale(element(y, 0), a->alpha, (size_t)n);
    } else {
        for (int64_t i = 0; i < n; i++)
            *element(y, i) *= a->alpha;
    }
}

int32_t sgti_portable_add(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(add), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    arithmetic a = {.row = portable->row};
    sgti_walk(portable, args->y, args->x, args->z, add_strip, &a);
    return SGT_OK;
}

int32_t sgti_portable_axpy(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(axpy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    arithmetic a = {.row = portable->row, .alpha = args->alpha};
    sgti_walk(portable, args->y, args->x, NULL, axpy_strip, &a);
    return SGT_OK;
}

int32_t sgti_portable_scale(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(scale), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    arithmetic a = {.row = portable->row, .alpha = args->alpha};
    sgti_walk(portable, args->y, NULL, NULL, scale_strip, &a);
    return SGT_OK;
}
