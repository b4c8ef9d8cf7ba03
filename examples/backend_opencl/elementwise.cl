/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements one by one, in any strides; types; the product; AdamW. Every kernel gets the number of
 * its items first, because more are launched. */
#pragma OPENCL EXTENSION cl_khr_fp64 : enable

enum { F32 = 1, F64 = 2, BF16 = 3, F16 = 4 };

/* As opencl_backend.h has it: six dimensions, the missing ones of one element in front. A matrix is
 * in the last two, attention and RoPE use the last four. */
typedef struct view {
    long offset;
    long shape[6];
    long strides[6];
} view;

/* Where the element with this row-major index is. */
long place(view v, long index)
{
    long at = v.offset;
    for (int i = 5; i >= 0; i--) {
        at += index % v.shape[i] * v.strides[i];
        index /= v.shape[i];
    }
    return at;
}

/* ---- types ---- */

double load_f16(ushort bits)
{
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 1023;
    const double sign = bits & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * (double)mantissa * 0x1p-24;
    /* 2^(exponent - 25), by its bits. */
    return sign * (double)(mantissa + 1024) * as_double((long)(exponent - 25 + 1023) << 52);
}

double load(__global const uchar *data, int type, long i)
{
    switch (type) {
    case F32:
        return (double)((__global const float *)data)[i];
    case F64:
        return ((__global const double *)data)[i];
    case BF16:
        return (double)as_float((uint)((__global const ushort *)data)[i] << 16);
    default:
        return load_f16(((__global const ushort *)data)[i]);
    }
}

/* The nearest number with `mantissa` bits after the point, ties to even; `lowest`: the exponent of
 * the smallest normal one. A unit in the last place is a power of two: the division is exact, and
 * the carry of a rounded mantissa goes into the exponent as it should. */
ushort narrow(double value, int mantissa, int lowest)
{
    const ushort sign = as_long(value) < 0 ? 0x8000 : 0;
    const ushort infinity = (ushort)(0x7fff & ~((1 << mantissa) - 1));
    const double size = fabs(value);
    if (isnan(value))
        return sign | infinity | (ushort)(1 << (mantissa - 1));
    if (isinf(value))
        return sign | infinity;
    int exponent = (int)(as_long(size) >> 52) - 1023;
    exponent = exponent < lowest ? lowest : exponent;
    const double unit = as_double((long)(exponent - mantissa + 1023) << 52);
    const long bits = ((long)(exponent - lowest) << mantissa) + (long)rint(size / unit);
    return sign | (ushort)(bits < infinity ? bits : infinity);
}

void store(__global uchar *data, int type, long i, double value)
{
    switch (type) {
    case F32:
        ((__global float *)data)[i] = (float)value;
        break;
    case F64:
        ((__global double *)data)[i] = value;
        break;
    case BF16:
        ((__global ushort *)data)[i] = narrow(value, 7, -126);
        break;
    default:
        ((__global ushort *)data)[i] = narrow(value, 10, -14);
        break;
    }
}

__kernel void convert(long items, __global uchar *y, view yv, int y_type,
                      __global const uchar *x, view xv, int x_type)
{
    const long i = get_global_id(0);
    if (i < items)
        store(y, y_type, place(yv, i), load(x, x_type, place(xv, i)));
}

__kernel void fill(long items, __global uchar *y, view yv, int type, double value)
{
    const long i = get_global_id(0);
    if (i < items)
        store(y, type, place(yv, i), value);
}

/* ---- copies move bits ---- */

__kernel void copy2(long items, __global ushort *y, view yv, __global const ushort *x, view xv)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] = x[place(xv, i)];
}

__kernel void copy4(long items, __global uint *y, view yv, __global const uint *x, view xv)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] = x[place(xv, i)];
}

__kernel void copy8(long items, __global ulong *y, view yv, __global const ulong *x, view xv)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] = x[place(xv, i)];
}

/* ---- arithmetic ---- */

__kernel void add(long items, __global float *y, view yv, __global const float *x, view xv,
                  __global const float *z, view zv)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] = x[place(xv, i)] + z[place(zv, i)];
}

__kernel void axpy(long items, __global float *y, view yv, __global const float *x, view xv,
                   float alpha)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] += alpha * x[place(xv, i)];
}

__kernel void scale(long items, __global float *y, view yv, float alpha)
{
    const long i = get_global_id(0);
    if (i < items)
        y[place(yv, i)] *= alpha;
}

/* sums[i] = the squares of every items-th element from i on. */
__kernel void norm(long items, __global double *sums, __global const float *x, long offset,
                   long count)
{
    const long i = get_global_id(0);
    double sum = 0.0;
    if (i >= items)
        return;
    for (long j = i; j < count; j += items) {
        const double value = (double)x[offset + j];
        sum += value * value;
    }
    sums[i] = sum;
}

/* One item: adds `count` sums to *sum, one after the other. */
__kernel void norm_sum(long items, __global const double *sums, long count, __global double *sum,
                       long sum_at)
{
    double total = 0.0;
    if (get_global_id(0) >= items)
        return;
    for (long i = 0; i < count; i++)
        total += sums[i];
    sum[sum_at] += total;
}

/* C [batch,M,N]. One item for each element of C. */
__kernel void gemm(long items, __global const float *a, view av, __global const float *b, view bv,
                   __global float *c, view cv, __global const float *d, view dv, float alpha,
                   float beta)
{
    const long i = get_global_id(0);
    const long column = i % cv.shape[5], row = i / cv.shape[5] % cv.shape[4];
    const long batch = i / (cv.shape[5] * cv.shape[4]);
    float sum = 0.0f;
    if (i >= items)
        return;
    __global const float *from_a = a + av.offset + batch * av.strides[3] + row * av.strides[4];
    __global const float *from_b = b + bv.offset + batch * bv.strides[3] + column * bv.strides[5];
    for (long k = 0; k < av.shape[5]; k++)
        sum += from_a[k * av.strides[5]] * from_b[k * bv.strides[4]];
    sum *= alpha;
    if (beta != 0.0f) /* else there may be NaN */
        sum += beta * d[place(dv, i)];
    c[place(cv, i)] = sum;
}

/* y [N,out] = x [N,in] W^T + d. */
__kernel void linear(long items, __global const float *x, view xv, __global const uchar *weight,
                     view wv, int type, __global float *y, view yv, __global const float *d,
                     view dv, int adds)
{
    const long i = get_global_id(0);
    float sum = 0.0f;
    if (i >= items)
        return;
    const long row = xv.offset + i / yv.shape[5] * xv.strides[4];
    const long of_weight = wv.offset + i % yv.shape[5] * wv.strides[4];
    for (long k = 0; k < xv.shape[5]; k++)
        sum += x[row + k] * (float)load(weight, type, of_weight + k);
    y[place(yv, i)] = adds ? d[place(dv, i)] + sum : sum;
}

__kernel void adamw(long items, __global float *param, long param_at, __global float *grad,
                    long grad_at, __global float *moment1, long moment1_at,
                    __global float *moment2, long moment2_at, __global uchar *copy,
                    long copy_at, float grad_scale, float lr,
                    float beta1, float beta2, float eps, float weight_decay, float correction1,
                    float correction2)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float g = grad[grad_at + i] * grad_scale;
    const float m = beta1 * moment1[moment1_at + i] + (1.0f - beta1) * g;
    const float v = beta2 * moment2[moment2_at + i] + (1.0f - beta2) * g * g;
    float p = param[param_at + i];
    p -= lr * weight_decay * p;
    p -= lr * (m / correction1) / (sqrt(v / correction2) + eps);
    param[param_at + i] = p;
    moment1[moment1_at + i] = m;
    moment2[moment2_at + i] = v;
    grad[grad_at + i] = 0.0f;
    if (copy_at >= 0)
        store(copy, BF16, copy_at + i, (double)p);
}
