/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations of parts that not every model has: masks and choices in feed-forwards, what makes
 * them, products of rows. Sums of groups go in double, those of rows in float, in their order. */

/* ---- masks ---- */

enum { NO_MASK, MASK, CHOICE };

/* The mask of the element with this row-major index. A choice is dense, so that the element belongs
 * to group i / units of all rows. */
float mask_at(int kind, __global const float *mask, view mv, __global const int *choice,
              long choice_at, long units, long i)
{
    if (kind == MASK)
        return mask[place(mv, i)];
    return kind == NO_MASK || choice[choice_at + i / units] == i % units ? 1.0f : 0.0f;
}

__kernel void masked_swiglu(long items, __global const float *gate, view gv,
                            __global const float *up, view uv, __global float *out, view ov,
                            int kind, __global const float *mask, view mv,
                            __global const int *choice, long choice_at, long units)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float g = gate[place(gv, i)], u = up[place(uv, i)];
    out[place(ov, i)] =
        g / (1.0f + exp(-g)) * u * mask_at(kind, mask, mv, choice, choice_at, units, i);
}

__kernel void masked_swiglu_backward(long items, __global const float *gate, view gv,
                                     __global const float *up, view uv,
                                     __global const float *dout, view dv, __global float *dgate,
                                     view dgv, __global float *dup, view duv,
                                     __global float *out, view ov, int kind,
                                     __global const float *mask, view mv,
                                     __global const int *choice, long choice_at, long units,
                                     int wants_dmask, __global float *dmask, view dmv)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float g = gate[place(gv, i)], u = up[place(uv, i)], d = dout[place(dv, i)];
    const float m = mask_at(kind, mask, mv, choice, choice_at, units, i);
    const float silu = g / (1.0f + exp(-g));
    const float slope = sigmoid(g) * (1.0f + g * sigmoid(-g));
    dgate[place(dgv, i)] = d * m * u * slope;
    dup[place(duv, i)] = d * m * silu;
    out[place(ov, i)] = silu * u * m;
    if (wants_dmask)
        dmask[place(dmv, i)] = d * silu * u;
}

__kernel void relu(long items, __global const float *x, view xv, __global float *out, view ov,
                   int kind, __global const float *mask, view mv, __global const int *choice,
                   long choice_at, long units)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float masked = x[place(xv, i)] * mask_at(kind, mask, mv, choice, choice_at, units, i);
    out[place(ov, i)] = masked < 0.0f ? 0.0f : masked;
}

__kernel void relu_backward(long items, __global const float *x, view xv,
                            __global const float *dout, view dv, __global float *dx, view dxv,
                            __global float *out, view ov, int kind, __global const float *mask,
                            view mv, __global const int *choice, long choice_at, long units,
                            int wants_dmask, __global float *dmask, view dmv)
{
    const long i = get_global_id(0);
    if (i >= items)
        return;
    const float m = mask_at(kind, mask, mv, choice, choice_at, units, i);
    const float of_x = x[place(xv, i)], d = dout[place(dv, i)], masked = of_x * m;
    dx[place(dxv, i)] = masked > 0.0f ? d * m : 0.0f;
    out[place(ov, i)] = masked < 0.0f ? 0.0f : masked;
    if (wants_dmask)
        dmask[place(dmv, i)] = masked > 0.0f ? d * of_x : 0.0f;
}

/* ---- choosing ---- */

/* Philox4x32-10 (Salmon et al., SC 2011). */
uint4 philox(uint4 counter, uint2 key)
{
    for (int round = 0; round < 10; round++) {
        const uint low0 = counter.x * 0xd2511f53u, low1 = counter.z * 0xcd9e8d57u;
        const uint high0 = mul_hi(counter.x, 0xd2511f53u);
        const uint high1 = mul_hi(counter.z, 0xcd9e8d57u);
        counter = (uint4)(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += (uint2)(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}

/* -ln(-ln u) of number i. */
double gumbel(ulong seed, ulong stream, ulong i)
{
    const ulong index = i / 4;
    const uint4 words = philox((uint4)((uint)index, (uint)(index >> 32), (uint)stream,
                                       (uint)(stream >> 32)),
                               (uint2)((uint)seed, (uint)(seed >> 32)));
    const uint4 which = (uint4)((uint)(i % 4));
    const uint4 same = select((uint4)(0u), words, which == (uint4)(0u, 1u, 2u, 3u));
    const uint word = same.x | same.y | same.z | same.w;
    return -log(-log(1e-6 + (1.0 - 2e-6) * ((double)word + 0.5) / 4294967296.0));
}

/* One item for each group; without a choice choice_at is below 0. */
__kernel void choose(long items, __global const float *logits, view lv, __global int *choice,
                     long choice_at, long units, ulong seed, ulong stream, float temperature,
                     int wants_mask, __global float *mask, view mv)
{
    const long s = get_global_id(0), first = s * units;
    if (s >= items)
        return;
    double best = -INFINITY, top = -INFINITY, sum = 0.0;
    int best_at = 0;
    for (int i = 0; i < units; i++) {
        const double logit = (double)logits[place(lv, first + i)];
        const double noise =
            temperature != 0.0f ? (double)temperature * gumbel(seed, stream, first + i) : 0.0;
        top = logit > top ? logit : top;
        best_at = logit + noise > best ? i : best_at;
        best = logit + noise > best ? logit + noise : best;
    }
    if (choice_at >= 0)
        choice[choice_at + s] = best_at;
    for (int i = 0; wants_mask && i < units; i++)
        sum += exp((double)logits[place(lv, first + i)] - top);
    for (int i = 0; wants_mask && i < units; i++)
        mask[place(mv, first + i)] =
            (float)(exp((double)logits[place(lv, first + i)] - top) / sum);
}

/* The gradient of the mask: with a choice [.., group] of the chosen unit, 0 for the others. */
float dmask_at(__global const float *dmask, view dv, __global const int *choice, long choice_at,
               long units, long i)
{
    if (choice_at < 0)
        return dmask[place(dv, i)];
    return choice[choice_at + i / units] == i % units ? dmask[place(dv, i / units)] : 0.0f;
}

/* One item for each group. */
__kernel void choose_backward(long items, __global const float *mask, view mv,
                              __global const float *dmask, view dv, __global const int *choice,
                              long choice_at, long units, __global float *dlogits, view lv)
{
    const long s = get_global_id(0), first = s * units;
    if (s >= items)
        return;
    double mean = 0.0;
    for (long i = first; i < first + units; i++)
        mean += (double)mask[place(mv, i)] *
                (double)dmask_at(dmask, dv, choice, choice_at, units, i);
    for (long i = first; i < first + units; i++)
        dlogits[place(lv, i)] =
            (float)((double)mask[place(mv, i)] *
                    ((double)dmask_at(dmask, dv, choice, choice_at, units, i) - mean));
}

/* ---- products of rows ---- */

/* x [A,D], y [B,D], out [A,B,D]. */
__kernel void row_products(long items, __global const float *x, view xv, __global const float *y,
                           view yv, __global float *out, view ov)
{
    const long i = get_global_id(0), d = ov.shape[5];
    if (i >= items)
        return;
    out[place(ov, i)] =
        x[row_of(xv, i / d / ov.shape[4]) + i % d] * y[row_of(yv, i / d % ov.shape[4]) + i % d];
}

/* One item for each element of dx; along 3 it is a row of x and the sum goes over the rows of y,
 * along 4 the two are exchanged. */
__kernel void row_products_sum(long items, __global float *dx, view dxv, __global const float *y,
                               view yv, __global const float *dout, view dv, int along)
{
    const long i = get_global_id(0), d = dv.shape[5];
    if (i >= items)
        return;
    const long row = i / d, column = i % d, other = 7 - along;
    const long at = dv.offset + row * dv.strides[along] + column;
    float sum = dx[row_of(dxv, row) + column];
    for (long j = 0; j < dv.shape[other]; j++)
        sum += dout[at + j * dv.strides[other]] * y[row_of(yv, j) + column];
    dx[row_of(dxv, row) + column] = sum;
}
