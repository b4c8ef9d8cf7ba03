/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Converts between F32, F64, BF16 and F16, rounding to nearest even. The 16-bit types to and from
 * F32 have kernels for contiguous memory; everything else goes element by element through double,
 * which holds every value of the other types.
 */
#include "../../base/number_formats.h"
#include "../../core/tensors.h"
#include "row_kernels.h"
#include "walk.h"

typedef struct conversion {
    const sgti_row_kernels *row;
    int32_t from;
    int32_t to;
} conversion;

static double read_element(const char *source, int32_t dtype)
{
    const void *at = source;
    switch (dtype) {
    case SGT_F64:
        return *(const double *)at;
    case SGT_BF16:
        return (double)sgti_bf16_to_f32(*(const uint16_t *)at);
    case SGT_F16:
        return (double)sgti_f16_to_f32(*(const uint16_t *)at);
    default:
        return (double)*(const float *)at;
    }
}

static void write_element(char *target, int32_t dtype, double value)
{
    void *at = target;
    switch (dtype) {
    case SGT_F64:
        *(double *)at = value;
        break;
    case SGT_BF16:
        *(uint16_t *)at = sgti_f32_to_bf16(sgti_f64_to_f32_odd(value));
        break;
    case SGT_F16:
        *(uint16_t *)at = sgti_f32_to_f16(sgti_f64_to_f32_odd(value));
        break;
    default:
        *(float *)at = (float)value;
        break;
    }
}

/* Returns 1 when there is a kernel for this pair of types, which then has converted the strip. */
static int convert_contiguous(const conversion *c, char *target, const char *source, size_t n)
{
    void *y = target;
    const void *x = source;
    if (c->from == SGT_F32 && c->to == SGT_BF16)
        c->row->f32_to_bf16(y, x, n);
    else if (c->from == SGT_F32 && c->to == SGT_F16)
        c->row->f32_to_f16(y, x, n);
    else if (c->from == SGT_BF16 && c->to == SGT_F32)
        c->row->bf16_to_f32(y, x, n);
    else if (c->from == SGT_F16 && c->to == SGT_F32)
        c->row->f16_to_f32(y, x, n);
    else
        return 0;
    return 1;
}

static void convert_strip(const void *context, const sgti_strip *strips, int64_t n)
{
    const conversion *c = context;
    const sgti_strip y = strips[SGTI_Y];
    const sgti_strip x = strips[SGTI_X];
    int contiguous = y.step == (int64_t)sgti_dtype_bytes(c->to)
                     && x.step == (int64_t)sgti_dtype_bytes(c->from);
    if (contiguous && convert_contiguous(c, y.data, x.data, (size_t)n))
        return;
    for (int64_t i = 0; i < n; i++)
        write_element(y.data + i * y.step, c->to, read_element(x.data + i * x.step, c->from));
}

int32_t sgti_portable_convert(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(convert), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    conversion c = {.row = portable->row, .from = args->x->dtype, .to = args->y->dtype};
    if (c.from == c.to)
        return sgti_portable_copy(instance, args);
    sgti_walk(portable, args->y, args->x, NULL, convert_strip, &c);
    return SGT_OK;
}
