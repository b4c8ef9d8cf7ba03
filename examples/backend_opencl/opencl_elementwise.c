/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of elementwise.cl. */
#include "opencl_backend.h"

int32_t opencl_copy(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(copy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
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
    if (!sgt_args_fit(SGT_SLOT(convert), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const cl_int y_type = args->y->dtype, x_type = args->x->dtype;
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y), OPENCL_VALUE(y_type),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x), OPENCL_VALUE(x_type)};
    return opencl_run(instance, OPENCL_convert, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_add(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(add), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const opencl_view z = opencl_view_of(args->z);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x),
                                    OPENCL_BUFFER(args->z), OPENCL_VALUE(z)};
    return opencl_run(instance, OPENCL_add, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_axpy(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(axpy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view y = opencl_view_of(args->y), x = opencl_view_of(args->x);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_BUFFER(args->x), OPENCL_VALUE(x),
                                    OPENCL_VALUE(args->alpha)};
    return opencl_run(instance, OPENCL_axpy, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_scale(void *instance, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(scale), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const opencl_view y = opencl_view_of(args->y);
    const opencl_argument list[] = {OPENCL_BUFFER(args->y), OPENCL_VALUE(y),
                                    OPENCL_VALUE(args->alpha)};
    return opencl_run(instance, OPENCL_scale, opencl_count(args->y), OPENCL_COUNT(list), list);
}

int32_t opencl_gemm(void *instance, const sgt_gemm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gemm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
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
    if (!sgt_args_fit(SGT_SLOT(linear), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
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

static int32_t update_piece(opencl_backend *self, const sgt_adamw_args *args, int32_t piece)
{
    const sgt_tensor *copy = opencl_either(args->copy, args->param);
    const cl_long first = args->firsts[piece];
    const cl_long param_at = opencl_offset(args->param) + first;
    const cl_long grad_at = opencl_offset(args->grad) + first;
    const cl_long moment1_at = opencl_offset(args->moment1) + first;
    const cl_long moment2_at = opencl_offset(args->moment2) + first;
    const cl_long copy_at = args->copy ? opencl_offset(args->copy) + first : -1;
    const opencl_argument list[] = {
        OPENCL_BUFFER(args->param),      OPENCL_VALUE(param_at),
        OPENCL_BUFFER(args->grad),       OPENCL_VALUE(grad_at),
        OPENCL_BUFFER(args->moment1),    OPENCL_VALUE(moment1_at),
        OPENCL_BUFFER(args->moment2),    OPENCL_VALUE(moment2_at),
        OPENCL_BUFFER(copy),             OPENCL_VALUE(copy_at),
        OPENCL_VALUE(args->grad_scale),  OPENCL_VALUE(args->rates[piece]),
        OPENCL_VALUE(args->beta1),       OPENCL_VALUE(args->beta2),
        OPENCL_VALUE(args->eps),         OPENCL_VALUE(args->decays[piece]),
        OPENCL_VALUE(args->correction1), OPENCL_VALUE(args->correction2)};
    return opencl_run(self, OPENCL_adamw, args->counts[piece], OPENCL_COUNT(list), list);
}

int32_t opencl_adamw(void *instance, const sgt_adamw_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(adamw), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    int32_t status = SGT_OK;
    for (int32_t i = 0; i < args->n_pieces && status == SGT_OK; i++)
        status = update_piece(instance, args, i);
    return status;
}

/* PARTS sums of a piece, which one item then adds to the whole sum in their order. */
enum { PARTS = 256 };

/* Under the lock. */
static int32_t sum_piece(opencl_backend *self, const sgt_norm_args *args, int32_t piece)
{
    const cl_long offset = opencl_offset(args->x) + args->firsts[piece];
    const cl_long count = args->counts[piece], parts = PARTS, sum_at = opencl_offset(args->sum);
    const opencl_argument squares[] = {OPENCL_VALUE(self->scratch), OPENCL_BUFFER(args->x),
                                       OPENCL_VALUE(offset), OPENCL_VALUE(count)};
    const opencl_argument total[] = {OPENCL_VALUE(self->scratch), OPENCL_VALUE(parts),
                                     OPENCL_BUFFER(args->sum), OPENCL_VALUE(sum_at)};
    int32_t status = opencl_launch(self, OPENCL_norm, PARTS, OPENCL_COUNT(squares), squares);
    if (status == SGT_OK)
        status = opencl_launch(self, OPENCL_norm_sum, 1, OPENCL_COUNT(total), total);
    return status;
}

int32_t opencl_norm(void *instance, const sgt_norm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(norm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    opencl_backend *self = instance;
    int32_t status = opencl_fill(instance, args->sum, 0.0);
    pthread_mutex_lock(&self->lock);
    if (status == SGT_OK)
        status = opencl_reserve(self, PARTS * sizeof(cl_double));
    for (int32_t i = 0; i < args->n_pieces && status == SGT_OK; i++)
        status = sum_piece(self, args, i);
    pthread_mutex_unlock(&self->lock);
    return status;
}
