
/* Operations on rows [N,d]: embedding, RMSNorm, RoPE, SwiGLU, cross-entropy. Sums go in double. */

/* Where row n starts; its elements follow one another. */
long row_of(view v, long n)
{
    return v.offset + n * v.strides[4];
}

/* ---- embedding ---- */

__kernel void embedding(long items, __global const float *table, view tv,
                        __global const int *ids, long ids_at, __global float *out, view ov)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const long n = i / ov.shape[5], j = i % ov.shape[5];
    out[row_of(ov, n) + j] = table[row_of(tv, ids[ids_at + n]) + j];
}

/* One item for each column, which adds in the order of n. */
__kernel void embedding_backward(long items, __global float *dtable, view tv,
                                 __global const int *ids, long ids_at,
                                 __global const float *dout, view dv, float factor)
{
    const long j = get_global_id(0);
    if (j >= items)
        return;
    for (long n = 0; n < dv.shape[4]; n++)
        dtable[row_of(tv, ids[ids_at + n]) + j] += factor * dout[row_of(dv, n) + j];
}

/* ---- RMSNorm ---- */

#define PARTS 32 /* SGT_RMSNORM_PARTS */

double root_mean_square(__global const float *x, long at, long d, float eps)
{
    double sum = 0.0;
    for (long j = 0; j < d; j++)
        sum += (double)x[at + j] * (double)x[at + j];
    return sqrt(sum / (double)d + (double)eps);
}

__kernel void rmsnorm(long items, __global const float *x, view xv, __global const float *weight,
                      long weight_at, __global float *y, view yv, float eps)
{
    const long n = get_global_id(0);
    if (n >= items)
        return;
    const double root = root_mean_square(x, row_of(xv, n), xv.shape[5], eps);
    for (long j = 0; j < xv.shape[5]; j++)
        y[row_of(yv, n) + j] =
            (float)((double)weight[weight_at + j] * (double)x[row_of(xv, n) + j] / root);
}

__kernel void rmsnorm_dx(long items, __global const float *x, view xv,
                         __global const float *weight, long weight_at, __global const float *dy,
                         view dyv, __global float *dx, view dxv, float eps)
{
    const long n = get_global_id(0);
    double dot = 0.0;
    if (n >= items)
        return;
    const long d = xv.shape[5], at = row_of(xv, n), dy_at = row_of(dyv, n);
    const double root = root_mean_square(x, at, d, eps);
    for (long j = 0; j < d; j++)
        dot += (double)dy[dy_at + j] * (double)weight[weight_at + j] * (double)x[at + j];
    dot /= root * root * root * (double)d;
    for (long j = 0; j < d; j++)
        dx[row_of(dxv, n) + j] +=
            (float)((double)weight[weight_at + j] * (double)dy[dy_at + j] / root -
                    dot * (double)x[at + j]);
}

/* Part p of the gradient of the weight: rows p, p + PARTS, ... */
__kernel void rmsnorm_parts(long items, __global const float *x, view xv,
                            __global const float *dy, view dyv, __global float *scratch,
                            long scratch_at, float eps)
{
    const long p = get_global_id(0), d = xv.shape[5];
    if (p >= items)
        return;
    for (long j = 0; j < d; j++)
        scratch[scratch_at + p * d + j] = 0.0f;
    for (long n = p; n < xv.shape[4]; n += PARTS) {
        const double root = root_mean_square(x, row_of(xv, n), d, eps);
        for (long j = 0; j < d; j++)
            scratch[scratch_at + p * d + j] +=
                (float)((double)dy[row_of(dyv, n) + j] * (double)x[row_of(xv, n) + j] / root);
    }
}

__kernel void rmsnorm_dweight(long items, __global float *dweight, long dweight_at,
                              __global const float *scratch, long scratch_at)
{
    const long j = get_global_id(0);
    double sum = 0.0;
    if (j >= items)
        return;
    for (long p = 0; p < PARTS; p++)
        sum += (double)scratch[scratch_at + p * items + j];
    dweight[dweight_at + j] += (float)sum;
}

/* ---- RoPE ---- */

/* x [B,T,h,dh]; one item for each pair. */
__kernel void rope(long items, __global float *x, view xv, __global const float *cosine,
                   long cosine_at, __global const float *sine, long sine_at,
                   __global const int *offsets, long offsets_at, int inverse)
{
    const long i = get_global_id(0), dh_half = xv.shape[5] / 2;
    if (i >= items)
        return;
    const long pair = i % dh_half, head = i / dh_half % xv.shape[4];
    const long t = i / (dh_half * xv.shape[4]) % xv.shape[3];
    const long b = i / (dh_half * xv.shape[4] * xv.shape[3]);
    const long offset = offsets_at < 0 ? 0 : offsets[offsets_at + b];
    const long angle = (offset + t) * dh_half + pair;
    const long low_at = xv.offset + b * xv.strides[2] + t * xv.strides[3] +
                        head * xv.strides[4] + pair;
    const float c = cosine[cosine_at + angle];
    const float s = inverse ? -sine[sine_at + angle] : sine[sine_at + angle];
    const float low = x[low_at], high = x[low_at + dh_half];
    x[low_at] = low * c - high * s;
    x[low_at + dh_half] = high * c + low * s;
}

/* ---- SwiGLU ---- */

/* 1 / (1 + e^-x), which never overflows to NaN. */
float sigmoid(float x)
{
    return 1.0f / (1.0f + exp(-x));
}

__kernel void swiglu(long items, __global const float *gate, view gv, __global const float *up,
                     view uv, __global float *out, view ov)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float g = gate[place(gv, i)];
    out[place(ov, i)] = g / (1.0f + exp(-g)) * up[place(uv, i)];
}

/* The slope of silu is s (1 + g (1 - s)), and 1 - s(g) = s(-g). */
__kernel void swiglu_backward(long items, __global const float *gate, view gv,
                              __global const float *up, view uv, __global const float *dout,
                              view dv, __global float *dgate, view dgv, __global float *dup,
                              view duv, __global float *out, view ov)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float g = gate[place(gv, i)], u = up[place(uv, i)], d = dout[place(dv, i)];
    const float silu = g / (1.0f + exp(-g));
    const float slope = sigmoid(g) * (1.0f + g * sigmoid(-g));
    dgate[place(dgv, i)] = d * u * slope;
    dup[place(duv, i)] = d * silu;
    out[place(ov, i)] = silu * u;
}

/* ---- cross-entropy ---- */

/*
 * One item for each row. The largest logit is left out of the sum of exponentials, so that the
 * loss and the gradient of an almost certain target keep their digits. `spoiled` is 0, or NaN when
 * the largest one is infinite.
 */
__kernel void cross_entropy(long items, __global const float *logits, view lv,
                            __global const int *targets, long targets_at,
                            __global float *losses, long losses_at, __global float *dlogits,
                            view dv, int wants_gradient)
{
    const long r = get_global_id(0), vocabulary = lv.shape[5];
    if (r >= items)
        return;
    const long at = row_of(lv, r), d_at = row_of(dv, r);
    const int target = targets[targets_at + r];
    if (target < 0) {
        losses[losses_at + r] = 0.0f;
        for (long i = 0; wants_gradient && i < vocabulary; i++)
            dlogits[d_at + i] = 0.0f;
        return;
    }
    long largest = 0;
    for (long i = 1; i < vocabulary; i++)
        largest = logits[at + i] > logits[at + largest] ? i : largest;
    const double top = (double)logits[at + largest];
    const double spoiled = top - top;
    double others = 0.0;
    for (long i = 0; i < vocabulary; i++)
        others += i == largest ? 0.0 : exp((double)logits[at + i] - top);
    const double sum = 1.0 + others + spoiled;
    const double to_target = top - (double)logits[at + target];
    losses[losses_at + r] = (float)(log1p(others) + spoiled + to_target);
    for (long i = 0; wants_gradient && i < vocabulary; i++) {
        const double e = i == largest ? 1.0 : exp((double)logits[at + i] - top);
        const double rest = i == largest ? others : sum - e;
        dlogits[d_at + i] = (float)(i == target ? -(rest + spoiled) / sum : e / sum);
    }
}

/* ---- blocks of rows by an index ---- */

/* Where in the whole the element is that has this index in the part. */
long place_in_whole(view whole, view part, __global const int *index, long index_at, long block,
                    long i)
{
    const long row = i / part.shape[5], column = i % part.shape[5];
    const long of_whole = index[index_at + row / block] * block + row % block;
    return whole.offset + of_whole * whole.strides[4] + column * whole.strides[5];
}

__kernel void gather2(long items, __global const ushort *whole, view wv, __global ushort *part,
                      view pv, __global const int *index, long index_at, long block)
{
    const long i = get_global_id(0);
    if (i < items)
        part[place(pv, i)] = whole[place_in_whole(wv, pv, index, index_at, block, i)];
}

__kernel void gather4(long items, __global const uint *whole, view wv, __global uint *part,
                      view pv, __global const int *index, long index_at, long block)
{
    const long i = get_global_id(0);
    if (i < items)
        part[place(pv, i)] = whole[place_in_whole(wv, pv, index, index_at, block, i)];
}

__kernel void scatter_add(long items, __global float *whole, view wv, __global const float *part,
                          view pv, __global const int *index, long index_at, long block)
{
    const long i = get_global_id(0);
    if (i < items)
        whole[place_in_whole(wv, pv, index, index_at, block, i)] += part[place(pv, i)];
}
