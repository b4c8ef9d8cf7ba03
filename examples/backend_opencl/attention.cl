
/*
 * Attention of a list of heads. One item for each query row: it goes over its keys three times, for
 * the largest score, for the sums, and for the output; no row of scores is kept. Scores and sums go
 * in double.
 */

/* Entry i of a list; `standard` where there is none. */
float gain_of(__global const float *gains, long at, long i)
{
    return at < 0 ? 1.0f : gains[at + i];
}

long entry_of(__global const int *list, long at, long i, long standard)
{
    return at < 0 ? standard : list[at + i];
}

/* Element 0 of head h at position t of sequence b; dh elements follow one another. */
long head_at(view v, long b, long t, long h)
{
    return v.offset + b * v.strides[2] + t * v.strides[3] + h * v.strides[4];
}

double dot_product(__global const float *x, long x_at, __global const float *y, long y_at, long n)
{
    double sum = 0.0;
    for (long i = 0; i < n; i++)
        sum += (double)x[x_at + i] * (double)y[y_at + i];
    return sum;
}

/* rows [B,h,Tq]: the entropy of each, normalised. */
__kernel void attention(long items, __global const float *q, view qv, __global const float *k,
                        view kv, __global const float *v, view vv, __global float *out, view ov,
                        __global float *lse, long lse_at, int wants_lse, __global double *rows,
                        int wants_entropy, __global const int *kv_heads, long kv_heads_at,
                        __global const float *gains, long gains_at, __global const int *offsets,
                        long offsets_at, __global const int *lengths, long lengths_at,
                        float factor)
{
    const long i = get_global_id(0), dh = qv.shape[5];
    if (i >= items)
        return;
    const long t = i % qv.shape[3], h = i / qv.shape[3] % qv.shape[4];
    const long b = i / (qv.shape[3] * qv.shape[4]);
    if (t >= entry_of(lengths, lengths_at, b, qv.shape[3]))
        return;
    const long visible = entry_of(offsets, offsets_at, b, 0) + t + 1;
    const long group = kv_heads[kv_heads_at + h];
    const long q_at = head_at(qv, b, t, h), out_at = head_at(ov, b, t, h);
    double top = -INFINITY, z = 0.0, a = 0.0;
    for (long j = 0; j < visible; j++) {
        const double s = (double)factor * dot_product(q, q_at, k, head_at(kv, b, j, group), dh);
        top = j == 0 || s > top ? s : top;
    }
    for (long j = 0; j < visible; j++) {
        const double s = (double)factor * dot_product(q, q_at, k, head_at(kv, b, j, group), dh);
        const double e = exp(s - top);
        z += e;
        a += e > 0.0 ? e * (s - top) : 0.0;
    }
    for (long n = 0; n < dh; n++)
        out[out_at + n] = 0.0f;
    for (long j = 0; j < visible; j++) {
        const double s = (double)factor * dot_product(q, q_at, k, head_at(kv, b, j, group), dh);
        const float p = (float)((double)gain_of(gains, gains_at, h) * exp(s - top) / z);
        for (long n = 0; n < dh; n++)
            out[out_at + n] += p * v[head_at(vv, b, j, group) + n];
    }
    if (wants_lse)
        lse[lse_at + i] = (float)(top + log(z));
    if (wants_entropy)
        rows[i] = visible > 1 ? (log(z) - a / z) / log((double)visible) : 0.0;
}

/* One item for each sequence and head: the entropy of the last row, and the mean of the rows that
 * see more than one key. */
__kernel void entropies(long items, __global const double *rows, long queries, long heads,
                        __global const int *offsets, long offsets_at,
                        __global const int *lengths, long lengths_at, __global double *last,
                        long last_at, int wants_last, __global double *mean, long mean_at,
                        int wants_mean)
{
    const long i = get_global_id(0);
    double sum = 0.0;
    long counted = 0;
    if (i >= items)
        return;
    const long b = i / heads, length = entry_of(lengths, lengths_at, b, queries);
    const long offset = entry_of(offsets, offsets_at, b, 0);
    for (long t = 0; t < length; t++) {
        if (offset + t > 0) {
            sum += rows[i * queries + t];
            counted++;
        }
    }
    if (wants_last)
        last[last_at + i] = length > 0 ? rows[i * queries + length - 1] : 0.0;
    if (wants_mean)
        mean[mean_at + i] = counted > 0 ? sum / (double)counted : 0.0;
}

/*
 * ds_j = p_j (dp_j - delta), dp_j = gain dout . v_j, delta = sum_l p_l dp_l = dout . out. One item
 * for each query row; leaves delta [B,h,T] for the keys.
 */
__kernel void attention_dq(long items, __global const float *q, view qv, __global const float *k,
                           view kv, __global const float *v, view vv, __global const float *out,
                           view ov, __global const float *dout, view dov, __global const float *lse,
                           long lse_at, __global float *dq, view dqv, __global double *delta,
                           __global const int *kv_heads, long kv_heads_at,
                           __global const float *gains, long gains_at, float factor)
{
    const long i = get_global_id(0), dh = qv.shape[5];
    if (i >= items)
        return;
    const long t = i % qv.shape[3], h = i / qv.shape[3] % qv.shape[4];
    const long b = i / (qv.shape[3] * qv.shape[4]);
    const long group = kv_heads[kv_heads_at + h];
    const double gain = (double)gain_of(gains, gains_at, h);
    const long q_at = head_at(qv, b, t, h), dout_at = head_at(dov, b, t, h);
    const long dq_at = head_at(dqv, b, t, h);
    const double of_row = dot_product(dout, dout_at, out, head_at(ov, b, t, h), dh);
    for (long n = 0; n < dh; n++)
        dq[dq_at + n] = 0.0f;
    for (long j = 0; j <= t; j++) {
        const long k_at = head_at(kv, b, j, group);
        const double s = (double)factor * dot_product(q, q_at, k, k_at, dh);
        const double p = exp(s - (double)lse[lse_at + i]);
        const double dp =
            gain * dot_product(dout, dout_at, v, head_at(vv, b, j, group), dh);
        const float ds = (float)((double)factor * p * (dp - of_row));
        for (long n = 0; n < dh; n++)
            dq[dq_at + n] += ds * k[k_at + n];
    }
    delta[i] = of_row;
}

/* One item for each key row of each group. */
__kernel void attention_dkv(long items, __global const float *q, view qv,
                            __global const float *k, view kv, __global const float *v, view vv,
                            __global const float *dout, view dov, __global const float *lse,
                            long lse_at, __global const double *delta, __global float *dk,
                            view dkv, __global float *dv, view dvv, __global const int *kv_heads,
                            long kv_heads_at, __global const float *gains, long gains_at,
                            float factor)
{
    const long i = get_global_id(0), dh = kv.shape[5], queries = qv.shape[3];
    const long j = i % kv.shape[3], group = i / kv.shape[3] % kv.shape[4];
    const long b = i / (kv.shape[3] * kv.shape[4]);
    if (i >= items)
        return;
    const long k_at = head_at(kv, b, j, group), v_at = head_at(vv, b, j, group);
    const long dk_at = head_at(dkv, b, j, group), dv_at = head_at(dvv, b, j, group);
    for (long n = 0; n < dh; n++) {
        dk[dk_at + n] = 0.0f;
        dv[dv_at + n] = 0.0f;
    }
    for (long h = 0; h < qv.shape[4]; h++) {
        if (kv_heads[kv_heads_at + h] != group)
            continue;
        const double gain = (double)gain_of(gains, gains_at, h);
        for (long t = j; t < queries; t++) {
            const long row = (b * qv.shape[4] + h) * queries + t;
            const long q_at = head_at(qv, b, t, h), dout_at = head_at(dov, b, t, h);
            const double s = (double)factor * dot_product(q, q_at, k, k_at, dh);
            const double p = exp(s - (double)lse[lse_at + row]);
            const double dp = gain * dot_product(dout, dout_at, v, v_at, dh);
            const float ds = (float)((double)factor * p * (dp - delta[row]));
            const float share = (float)(gain * p);
            for (long n = 0; n < dh; n++) {
                dk[dk_at + n] += ds * q[q_at + n];
                dv[dv_at + n] += share * dout[dout_at + n];
            }
        }
    }
}
