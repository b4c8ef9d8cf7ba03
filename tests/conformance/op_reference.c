/* SPDX-License-Identifier: BSD-3-Clause */
#include "op_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <Random123/philox.h>

void sgtt_ref_gemm(double *c, double alpha, const double *a, const double *b, double beta,
                   const double *d, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (int64_t l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * n + j];
            c[i * n + j] = alpha * sum + (beta != 0.0 ? beta * d[i * n + j] : 0.0);
        }
    }
}

static double rms(const double *x, double eps, int64_t d)
{
    double sum = 0.0;
    for (int64_t i = 0; i < d; i++)
        sum += x[i] * x[i];
    return sqrt(sum / (double)d + eps);
}

void sgtt_ref_rmsnorm(double *y, const double *x, const double *weight, double eps, int64_t rows,
                      int64_t d)
{
    for (int64_t n = 0; n < rows; n++) {
        double root = rms(x + n * d, eps, d);
        for (int64_t i = 0; i < d; i++)
            y[n * d + i] = weight[i] * x[n * d + i] / root;
    }
}

/* From y_i = w_i x_i / s with ds/dx_j = x_j / (d s). */
void sgtt_ref_rmsnorm_backward(double *dx, double *dweight, const double *dy, const double *x,
                               const double *weight, double eps, int64_t rows, int64_t d)
{
    for (int64_t n = 0; n < rows; n++) {
        double s = rms(x + n * d, eps, d);
        double dot = 0.0;
        for (int64_t i = 0; i < d; i++)
            dot += dy[n * d + i] * weight[i] * x[n * d + i];
        for (int64_t i = 0; i < d; i++) {
            dx[n * d + i] += weight[i] * dy[n * d + i] / s
                             - dot * x[n * d + i] / (s * s * s * (double)d);
            dweight[i] += dy[n * d + i] * x[n * d + i] / s;
        }
    }
}

void sgtt_ref_rope(double *x, const double *cosine, const double *sine, const int32_t *offsets,
                   int inverse, int64_t batch, int64_t length, int64_t heads, int64_t dh)
{
    const int64_t half = dh / 2;
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t t = 0; t < length; t++) {
            int64_t position = t + (offsets != NULL ? offsets[b] : 0);
            for (int64_t h = 0; h < heads; h++) {
                double *head = x + ((b * length + t) * heads + h) * dh;
                for (int64_t i = 0; i < half; i++) {
                    double c = cosine[position * half + i];
                    double s = inverse ? -sine[position * half + i] : sine[position * half + i];
                    double low = head[i];
                    double high = head[half + i];
                    head[i] = low * c - high * s;
                    head[half + i] = high * c + low * s;
                }
            }
        }
    }
}

void sgtt_ref_swiglu(double *out, const double *gate, const double *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
}

void sgtt_ref_swiglu_backward(double *dgate, double *dup, const double *dout, const double *gate,
                              const double *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double e = exp(-gate[i]);
        double s = 1.0 / (1.0 + e);
        double slope = isinf(e) ? 0.0 : s + gate[i] * e * s * s;
        dgate[i] = dout[i] * up[i] * slope;
        dup[i] = dout[i] * gate[i] * s;
    }
}

/* ---- masks, choices, products of rows ---- */

void sgtt_ref_relu(double *out, const double *x, const double *mask, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] * mask[i] < 0.0 ? 0.0 : x[i] * mask[i];
}

void sgtt_ref_relu_backward(double *dx, double *dmask, const double *dout, const double *x,
                            const double *mask, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const int passes = x[i] * mask[i] > 0.0;
        dx[i] = passes ? dout[i] * mask[i] : 0.0;
        dmask[i] = passes ? dout[i] * x[i] : 0.0;
    }
}

void sgtt_ref_choose(int32_t *choice, const double *logits, int64_t groups, int64_t units)
{
    for (int64_t s = 0; s < groups; s++) {
        double best = -INFINITY;
        choice[s] = 0;
        for (int64_t i = 0; i < units; i++) {
            if (logits[s * units + i] > best) {
                best = logits[s * units + i];
                choice[s] = (int32_t)i;
            }
        }
    }
}

void sgtt_ref_softmax(double *mask, const double *logits, int64_t groups, int64_t units)
{
    for (int64_t s = 0; s < groups; s++) {
        const double *x = logits + s * units;
        double *m = mask + s * units;
        double top = x[0], sum = 0.0;
        for (int64_t i = 1; i < units; i++)
            top = x[i] > top ? x[i] : top;
        for (int64_t i = 0; i < units; i++)
            sum += m[i] = exp(x[i] - top);
        for (int64_t i = 0; i < units; i++)
            m[i] /= sum;
    }
}

void sgtt_ref_softmax_backward(double *dlogits, const double *mask, const double *dmask,
                               int64_t groups, int64_t units)
{
    for (int64_t s = 0; s < groups * units; s += units) {
        double mean = 0.0;
        for (int64_t i = s; i < s + units; i++)
            mean += mask[i] * dmask[i];
        for (int64_t i = s; i < s + units; i++)
            dlogits[i] = mask[i] * (dmask[i] - mean);
    }
}

double sgtt_ref_gumbel(uint64_t seed, uint64_t stream, uint64_t number)
{
    const uint64_t index = number / 4;
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)}};
    const uint32_t word = philox4x32(counter, key).v[number % 4];
    return -log(-log(1e-6 + (1.0 - 2e-6) * ((double)word + 0.5) / 4294967296.0));
}

void sgtt_ref_row_products(double *out, const double *x, const double *y, const int64_t size[3])
{
    const int64_t rows = size[1], d = size[2];
    for (int64_t i = 0; i < size[0]; i++)
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = 0; k < d; k++)
                out[(i * rows + j) * d + k] = x[i * d + k] * y[j * d + k];
}

void sgtt_ref_row_products_backward(double *dx, double *dy, const double *dout, const double *x,
                                    const double *y, const int64_t size[3])
{
    const int64_t rows = size[1], d = size[2];
    for (int64_t i = 0; i < size[0]; i++) {
        for (int64_t j = 0; j < rows; j++) {
            for (int64_t k = 0; k < d; k++) {
                dx[i * d + k] += dout[(i * rows + j) * d + k] * y[j * d + k];
                dy[j * d + k] += dout[(i * rows + j) * d + k] * x[i * d + k];
            }
        }
    }
}

/* ---- cross-entropy ---- */

void sgtt_ref_cross_entropy(double *losses, double *dlogits, const double *logits,
                            const int32_t *targets, int64_t rows, int64_t vocabulary)
{
    for (int64_t r = 0; r < rows; r++) {
        const double *x = logits + r * vocabulary;
        double *dx = dlogits + r * vocabulary;
        losses[r] = 0.0;
        memset(dx, 0, (size_t)vocabulary * sizeof(double));
        if (targets[r] < 0)
            continue;
        double top = x[0];
        for (int64_t i = 1; i < vocabulary; i++)
            top = x[i] > top ? x[i] : top;
        double z = 0.0;
        for (int64_t i = 0; i < vocabulary; i++)
            z += exp(x[i] - top);
        losses[r] = log(z) + top - x[targets[r]];
        for (int64_t i = 0; i < vocabulary; i++)
            dx[i] = exp(x[i] - top) / z - (i == targets[r] ? 1.0 : 0.0);
    }
}

/* ---- attention ---- */

/* Where one query row finds its data. */
typedef struct row {
    const double *q; /* dh */
    const double *k; /* first key of the group; keys are `step` apart */
    const double *v;
    int64_t step;
    int64_t visible;  /* keys up to the query's own position */
    double gain;
    const sgt_attention_pattern *pattern;
} row;

static row row_of(const sgtt_ref_attention_args *a, int64_t b, int64_t t, int64_t h)
{
    int64_t group = a->kv_heads[h];
    int64_t first = (b * a->keys * a->groups + group) * a->dh;
    return (row){
        .q = a->q + ((b * a->queries + t) * a->heads + h) * a->dh,
        .k = a->k + first,
        .v = a->v + first,
        .step = a->groups * a->dh,
        .visible = t + 1 + (a->offsets != NULL ? a->offsets[b] : 0),
        .gain = a->gains != NULL ? (double)a->gains[h] : 1.0,
        .pattern = a->patterns != NULL ? &a->patterns[group] : NULL,
    };
}

/* The sets of <sgt/pattern.h>, word by word. */
static int sees(const row *r, int64_t j)
{
    const sgt_attention_pattern *p = r->pattern;
    int64_t i = r->visible - 1;
    if (p == NULL || p->sets == 0 || i == j)
        return 1;
    int64_t l = p->stride, c = p->summary, o = p->phase;
    int local = i - j < l, strided = (i - j) % l == 0, block = j / l == i / l;
    int summary = l - c * (o + 1) <= j % l && j % l < l - c * o;
    return (p->sets & SGT_KEYS_LOCAL && local) || (p->sets & SGT_KEYS_STRIDED && strided) ||
           (p->sets & SGT_KEYS_BLOCK && block) || (p->sets & SGT_KEYS_SUMMARY && summary);
}

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Probabilities of the visible keys; returns ln sum exp. */
static double softmax(double *p, const row *r, const sgtt_ref_attention_args *a)
{
    double top = -INFINITY;
    for (int64_t j = 0; j < r->visible; j++) {
        p[j] = sees(r, j) ? a->scale * dot(r->q, r->k + j * r->step, a->dh) : -INFINITY;
        top = p[j] > top ? p[j] : top;
    }
    double z = 0.0;
    for (int64_t j = 0; j < r->visible; j++)
        z += exp(p[j] - top);
    double lse = top + log(z);
    for (int64_t j = 0; j < r->visible; j++)
        p[j] = exp(p[j] - lse);
    return lse;
}

/* -sum p ln p / ln n over the n keys that the row sees; 0 for one key. */
static double normalised_entropy(int64_t *n, const double *p, const row *r)
{
    double sum = 0.0;
    *n = 0;
    for (int64_t j = 0; j < r->visible; j++) {
        sum -= p[j] > 0.0 ? p[j] * log(p[j]) : 0.0;
        *n += sees(r, j);
    }
    return *n > 1 ? sum / log((double)*n) : 0.0;
}

static void attend_head(double *out, double *lse, double *last, double *mean, double *p,
                        const sgtt_ref_attention_args *a, int64_t b, int64_t h)
{
    int64_t length = a->lengths != NULL ? a->lengths[b] : a->queries;
    int64_t counted = 0;
    double sum = 0.0;
    *last = 0.0;
    for (int64_t t = 0; t < length; t++) {
        row r = row_of(a, b, t, h);
        lse[(b * a->heads + h) * a->queries + t] = softmax(p, &r, a);
        double *result = out + ((b * a->queries + t) * a->heads + h) * a->dh;
        for (int64_t i = 0; i < a->dh; i++) {
            result[i] = 0.0;
            for (int64_t j = 0; j < r.visible; j++)
                result[i] += sees(&r, j) ? r.gain * p[j] * r.v[j * r.step + i] : 0.0;
        }
        int64_t seen;
        *last = normalised_entropy(&seen, p, &r);
        if (seen > 1) {
            sum += *last;
            counted++;
        }
    }
    *mean = counted > 0 ? sum / (double)counted : 0.0;
}

void sgtt_ref_attention(double *out, double *lse, double *entropy_last, double *entropy_mean,
                        const sgtt_ref_attention_args *args)
{
    double *p = malloc((size_t)args->keys * sizeof *p);
    for (int64_t b = 0; b < args->batch; b++) {
        for (int64_t h = 0; h < args->heads; h++)
            attend_head(out, lse, &entropy_last[b * args->heads + h],
                        &entropy_mean[b * args->heads + h], p, args, b, h);
    }
    free(p);
}

/* ds_j = p_j (dp_j - sum_l p_l dp_l) with dp_j = gain dout . v_j. */
static void row_backward(double *dq, double *dk, double *dv, const double *dout, double *p,
                         const row *r, const sgtt_ref_attention_args *a)
{
    softmax(p, r, a);
    double mean = 0.0;
    for (int64_t j = 0; j < r->visible; j++)
        mean += !sees(r, j) ? 0.0 : p[j] * r->gain * dot(dout, r->v + j * r->step, a->dh);
    for (int64_t j = 0; j < r->visible; j++) {
        if (!sees(r, j))
            continue;
        double dp = r->gain * dot(dout, r->v + j * r->step, a->dh);
        double ds = a->scale * p[j] * (dp - mean);
        for (int64_t i = 0; i < a->dh; i++) {
            dq[i] += ds * r->k[j * r->step + i];
            dk[j * r->step + i] += ds * r->q[i];
            dv[j * r->step + i] += p[j] * r->gain * dout[i];
        }
    }
}

void sgtt_ref_attention_backward(double *dq, double *dk, double *dv, const double *dout,
                                 const sgtt_ref_attention_args *args)
{
    size_t q_count = (size_t)(args->batch * args->queries * args->heads * args->dh);
    size_t k_count = (size_t)(args->batch * args->keys * args->groups * args->dh);
    memset(dq, 0, q_count * sizeof(double));
    memset(dk, 0, k_count * sizeof(double));
    memset(dv, 0, k_count * sizeof(double));
    double *p = malloc((size_t)args->keys * sizeof *p);
    for (int64_t b = 0; b < args->batch; b++) {
        for (int64_t t = 0; t < args->queries; t++) {
            for (int64_t h = 0; h < args->heads; h++) {
                row r = row_of(args, b, t, h);
                int64_t at = ((b * args->queries + t) * args->heads + h) * args->dh;
                row_backward(dq + at, dk + (r.k - args->k), dv + (r.v - args->v), dout + at, p,
                             &r, args);
            }
        }
    }
    free(p);
}
