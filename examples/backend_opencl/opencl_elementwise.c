/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of elementwise.cl. */
#include "opencl_backend.h"

int32_t opencl_copy(void *instance, const sgt_elementwise_args *args)
{
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x)};
    const size_t size = opencl_element_bytes(args->y->dtype);
    return opencl_run(instance,
               size == 2   ? OPENCL_copy2
               : size == 4 ? OPENCL_copy4
                           : OPENCL_copy8,
               opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_fill(void *instance, const sgt_tensor *tensor, double value)
{
    const opencl_view y = opencl_view_of(tensor);
    const cl_int type = tensor->dtype;
    const cl_double filled = value;
    const opencl_argument list[] = {OPENCL_BUFFER(tensor), OPENCL_VALUE(y), OPENCL_VALUE(type),
                                    OPENCL_VALUE(filled)};
    return opencl_run(instance, OPENCL_fill, opencl_count(tensor), OPENCL_COUNT(list), list);
}

int32_t opencl_convert(void *instance, const sgt_elementwise_args *args)
{
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const cl_int y_type = args->y->dtype, x_type = args->x->dtype;
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y), OPENCL_VALUE(y_type),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x), OPENCL_VALUE(x_type)};
    return opencl_run(instance, OPENCL_convert, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_add(void *instance, const sgt_elementwise_args *args)
{
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const opencl_view z = opencl_view_of(args->z);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->z), OPENCL_VALUE(z)};
    return opencl_run(instance, OPENCL_add, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_axpy(void *instance, const sgt_elementwise_args *args)
{
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x),
                                    OPENCL_VALUE(args->alpha)};
    return opencl_run(instance, OPENCL_axpy, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_scale(void *instance, const sgt_elementwise_args *args)
{
    const opencl_view y = opencl_view_of(args->y);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_VALUE(args->alpha)};
    return opencl_run(instance, OPENCL_scale, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_gemm(void *instance, const sgt_gemm_args *args)
{
    const sgt_tensor *d_tensor = args->d ? args->d : args->c;
    const opencl_view a = opencl_view_of(args->a), b = opencl_view_of(args->b);
    const opencl_view c = opencl_view_of(args->c), d = opencl_view_of(d_tensor);
    const opencl_argument list[] = {OPENCL_BUFFER(args->a),    OPENCL_VALUE(a),
                                    OPENCL_BUFFER(args->b),    OPENCL_VALUE(b),
                                    OPENCL_BUFFER(args->c),    OPENCL_VALUE(c),
                                    OPENCL_BUFFER(d_tensor),   OPENCL_VALUE(d),
                                    OPENCL_VALUE(args->alpha), OPENCL_VALUE(args->beta)};
    return opencl_run(instance, OPENCL_gemm, opencl_count(args->c), OPENCL_COUNT(list), list);
}

int32_t opencl_linear(void *instance, const sgt_linear_args *args)
{
    const sgt_tensor *d_tensor = args->d ? args->d : args->y;
    const opencl_view x = opencl_view_of(args->x), weight = opencl_view_of(args->weight);
    const opencl_view y = opencl_view_of(args->y), d = opencl_view_of(d_tensor);
    const cl_int type = args->weight->dtype, adds = args->d != NULL;
    const opencl_argument list[] = {OPENCL_BUFFER(args->x),      OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->weight), OPENCL_VALUE(weight),
                                    OPENCL_VALUE(type),          OPENCL_BUFFER(args->y),
                                    OPENCL_VALUE(y),             OPENCL_BUFFER(d_tensor),
                                    OPENCL_VALUE(d),             OPENCL_VALUE(adds)};
    return opencl_run(instance, OPENCL_linear, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_adamw(void *instance, const sgt_adamw_args *args)
{
    const cl_long param_at = opencl_offset(args->param), grad_at = opencl_offset(args->grad);
    const cl_long moment1_at = opencl_offset(args->moment1);
    const cl_long moment2_at = opencl_offset(args->moment2);
    const opencl_argument list[] = {
        OPENCL_BUFFER(args->param),      OPENCL_VALUE(param_at),
        OPENCL_BUFFER(args->grad),       OPENCL_VALUE(grad_at),
        OPENCL_BUFFER(args->moment1),    OPENCL_VALUE(moment1_at),
        OPENCL_BUFFER(args->moment2),    OPENCL_VALUE(moment2_at),
        OPENCL_VALUE(args->grad_scale),  OPENCL_VALUE(args->lr),
        OPENCL_VALUE(args->beta1),       OPENCL_VALUE(args->beta2),
        OPENCL_VALUE(args->eps),         OPENCL_VALUE(args->weight_decay),
        OPENCL_VALUE(args->correction1), OPENCL_VALUE(args->correction2)};
    return opencl_run(instance, OPENCL_adamw, opencl_count(args->param), OPENCL_COUNT(list), list);
}

/* The device adds up PARTS sums, which the host adds in their order. */
enum { PARTS = 256 };

static int32_t partial_sums(double *sums, opencl_backend *self, const sgt_norm_args *args)
{
    const cl_long offset = opencl_offset(args->x), count = opencl_count(args->x);
    int32_t status = opencl_reserve(self, PARTS * sizeof *sums);
    if (status != SGT_OK)
        return status;
    const opencl_argument list[] = {OPENCL_VALUE(self->scratch), OPENCL_BUFFER(args->x),
                                    OPENCL_VALUE(offset), OPENCL_VALUE(count)};
    status = opencl_launch(self, OPENCL_norm, PARTS, OPENCL_COUNT(list), list);
    if (status != SGT_OK)
        return status;
    cl_int code = clEnqueueReadBuffer(self->queue, self->scratch, CL_TRUE, 0,
                                      PARTS * sizeof *sums, sums, 0, NULL, NULL);
    return code == CL_SUCCESS ? SGT_OK : opencl_fail(self, "clEnqueueReadBuffer", code);
}

int32_t opencl_norm(void *instance, const sgt_norm_args *args)
{
    opencl_backend *self = instance;
    double sums[PARTS], sum = 0.0;
    pthread_mutex_lock(&self->lock);
    int32_t status = partial_sums(sums, self, args);
    pthread_mutex_unlock(&self->lock);
    if (status != SGT_OK)
        return status;
    for (int i = 0; i < PARTS; i++)
        sum += sums[i];
    *args->sum_of_squares = sum;
    return SGT_OK;
}
