/* SPDX-License-Identifier: BSD-3-Clause */
#include "naive_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/patterns.h"
#include "testing.h"

static double *new_doubles(int64_t count)
{
    double *values = calloc(count > 0 ? (size_t)count : 1, sizeof *values);
    if (!values) /* an assertion that holds costs a write to a file */
        ck_abort_msg("out of memory");
    return values;
}

/* ---- weights ---- */

static double *weight_named(const naive_model *naive, const sgt_model *model, const char *name)
{
    int32_t index;
    sgtt_ok(sgt_model_find_parameter(&index, model, name));
    return naive->weights[index];
}

/* NULL: the layer has none of that name. */
static double *layer_weight(const naive_model *naive, const sgt_model *model, int32_t layer,
                            const char *part)
{
    char name[96];
    int32_t index;
    snprintf(name, sizeof name, "model.layers.%d.%s", (int)layer, part);
    return sgt_model_find_parameter(&index, model, name) ? NULL : naive->weights[index];
}

static void find_attention(naive_layer *layer, const naive_model *naive, const sgt_model *model,
                           int32_t i)
{
    static const char *const kernels[] = {"self_attn.q_conv.weight", "self_attn.k_conv.weight",
                                          "self_attn.v_conv.weight"};
    static const char *const biases[] = {"self_attn.q_conv.bias", "self_attn.k_conv.bias",
                                         "self_attn.v_conv.bias"};
    layer->q = layer_weight(naive, model, i, "self_attn.q_proj.weight");
    layer->k = layer_weight(naive, model, i, "self_attn.k_proj.weight");
    layer->v = layer_weight(naive, model, i, "self_attn.v_proj.weight");
    layer->o = layer_weight(naive, model, i, "self_attn.o_proj.weight");
    layer->scale = layer_weight(naive, model, i, "self_attn.mult.scale");
    layer->weight = layer_weight(naive, model, i, "self_attn.mult.weight");
    layer->bias = layer_weight(naive, model, i, "self_attn.mult.bias");
    for (int which = 0; which < 3; which++) {
        layer->kernels[which] = layer_weight(naive, model, i, kernels[which]);
        layer->biases[which] = layer_weight(naive, model, i, biases[which]);
    }
}

static naive_layer layer_weights(const naive_model *naive, const sgt_model *model, int32_t i)
{
    naive_layer layer = {
        .norm1 = layer_weight(naive, model, i, "input_layernorm.weight"),
        .norm2 = layer_weight(naive, model, i, "post_attention_layernorm.weight"),
        .gate = layer_weight(naive, model, i, "mlp.gate_proj.weight"),
        .up = layer_weight(naive, model, i, "mlp.up_proj.weight"),
        .down = layer_weight(naive, model, i, "mlp.down_proj.weight"),
        .predict = layer_weight(naive, model, i, "altup.predict"),
        .correct = layer_weight(naive, model, i, "altup.correct"),
        .controller_down = layer_weight(naive, model, i, "mlp.controller.down.weight"),
        .controller_up = layer_weight(naive, model, i, "mlp.controller.up.weight"),
        .controller_bias = layer_weight(naive, model, i, "mlp.controller.bias"),
    };
    find_attention(&layer, naive, model, i);
    return layer;
}

static void copy_weights(naive_model *naive, const sgt_model *model)
{
    for (int32_t i = 0; i < naive->count; i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        naive->sizes[i] = view.count;
        naive->weights[i] = new_doubles((int64_t)view.count);
        float *values = calloc(view.count, sizeof *values);
        sgtt_ok(sgt_model_read_parameter(values, view.count, model, i, SGT_PART_WEIGHT));
        for (uint64_t j = 0; j < view.count; j++)
            naive->weights[i][j] = values[j];
        free(values);
    }
}

naive_model *naive_create(const sgt_model *model)
{
    naive_model *naive = calloc(1, sizeof *naive);
    naive->config.size = sizeof naive->config;
    sgtt_ok(sgt_model_get_config(&naive->config, model));
    sgtt_ok(sgt_plan_clone(&naive->plan, sgt_model_plan(model)));
    naive->count = sgt_model_n_parameters(model);
    naive->weights = calloc((size_t)naive->count, sizeof *naive->weights);
    naive->sizes = calloc((size_t)naive->count, sizeof *naive->sizes);
    naive->layers = calloc((size_t)naive->config.n_layers, sizeof *naive->layers);
    copy_weights(naive, model);
    naive->embedding = weight_named(naive, model, "model.embed_tokens.weight");
    naive->final_norm = weight_named(naive, model, "model.norm.weight");
    naive->head = naive->config.tied ? naive->embedding
                                     : weight_named(naive, model, "lm_head.weight");
    if (naive->config.head_modules > 0) {
        naive->head_scale = weight_named(naive, model, "lm_head.scale");
        naive->head_bias = weight_named(naive, model, "lm_head.bias");
    }
    for (int32_t i = 0; i < naive->config.n_layers; i++)
        naive->layers[i] = layer_weights(naive, model, i);
    return naive;
}

void naive_free(naive_model *naive)
{
    for (int32_t i = 0; i < naive->count; i++)
        free(naive->weights[i]);
    free(naive->weights);
    free(naive->sizes);
    free(naive->layers);
    if (naive->tape)
        free(naive->tape->numbers);
    free(naive->tape);
    sgt_plan_free(naive->plan);
    free(naive);
}

/* ---- parts of the network, on one sequence of T rows ---- */

static void rms_norm(double *y, const double *x, const double *w, int64_t rows, int64_t d,
                     double eps)
{
    for (int64_t r = 0; r < rows; r++) {
        double squares = 0.0;
        for (int64_t i = 0; i < d; i++)
            squares += x[r * d + i] * x[r * d + i];
        double scale = 1.0 / sqrt(squares / (double)d + eps);
        for (int64_t i = 0; i < d; i++)
            y[r * d + i] = w[i] * x[r * d + i] * scale;
    }
}

/* y [rows,out] = x [rows,in] w^T, w [out,in]. */
static double *project(const double *x, const double *w, int64_t rows, int64_t in, int64_t out)
{
    double *y = new_doubles(rows * out);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                y[r * out + o] += x[r * in + i] * w[o * in + i];
    return y;
}

static void rotate(double *x, int64_t rows, int64_t heads, int64_t dh, double theta)
{
    for (int64_t t = 0; t < rows; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < dh / 2; i++) {
                double angle = (double)t * pow(theta, -2.0 * (double)i / (double)dh);
                double *pair = &x[(t * heads + h) * dh + i];
                double a = pair[0], b = pair[dh / 2];
                pair[0] = a * cos(angle) - b * sin(angle);
                pair[dh / 2] = b * cos(angle) + a * sin(angle);
            }
}

/* Probabilities of one query over its first n keys into p; returns their entropy over ln n. */
static double softmax_row(double *p, int64_t n)
{
    double most = p[0], sum = 0.0, entropy = 0.0;
    for (int64_t j = 1; j < n; j++)
        most = fmax(most, p[j]);
    for (int64_t j = 0; j < n; j++) {
        p[j] = exp(p[j] - most);
        sum += p[j];
    }
    for (int64_t j = 0; j < n; j++) {
        p[j] /= sum;
        if (p[j] > 0.0)
            entropy -= p[j] * log(p[j]);
    }
    return n > 1 ? entropy / log((double)n) : 0.0;
}

/* One head under a pattern: q, k, v are its columns with row strides sq, sk. Writes out [T,dh] at
 * stride sq. */
static void attend(double *out, double entropy[2], const sgt_attention_pattern *pattern,
                   const double *q, int64_t sq, const double *k, const double *v, int64_t sk,
                   int64_t rows, int64_t dh)
{
    double *p = new_doubles(rows), sum = 0.0, last = 0.0;
    int64_t *seen = calloc((size_t)rows, sizeof *seen), counted = 0;
    for (int64_t t = 0; t < rows; t++) {
        int64_t n = 0;
        for (int64_t j = 0; j <= t; j++) {
            if (!sgti_pattern_sees(pattern, t, j))
                continue;
            p[n] = 0.0;
            for (int64_t i = 0; i < dh; i++)
                p[n] += q[t * sq + i] * k[j * sk + i];
            p[n] /= sqrt((double)dh);
            seen[n++] = j;
        }
        last = softmax_row(p, n);
        sum += last;
        counted += n > 1;
        for (int64_t i = 0; i < dh; i++) {
            out[t * sq + i] = 0.0;
            for (int64_t j = 0; j < n; j++)
                out[t * sq + i] += p[j] * v[seen[j] * sk + i];
        }
    }
    entropy[0] = last;
    entropy[1] = counted > 0 ? sum / (double)counted : 0.0;
    free(seen);
    free(p);
}

/* What key/value head `group` of a layer sees. */
static const sgt_attention_pattern *pattern_of(const sgt_model_config *c, int32_t layer,
                                               int64_t group)
{
    if (c->n_blocks == 0 || c->blocks[layer % c->n_blocks].n_patterns == 0)
        return &sgti_dense_pattern;
    const sgt_block_config *block = &c->blocks[layer % c->n_blocks];
    return &block->patterns[group % block->n_patterns];
}

/* u[s,m] = sum_i h_i scale[s,i] weight[m,i] + bias[s M + m]. */
static double *modules(const double *h, const naive_layer *w, int64_t rows, int64_t heads,
                       int64_t m)
{
    const int64_t d = heads * m;
    double *u = new_doubles(rows * d);
    for (int64_t j = 0; j < rows * d; j++) {
        const int64_t row = j / d, place = j % d;
        u[j] = w->bias[place];
        for (int64_t i = 0; i < d; i++)
            u[j] += h[row * d + i] * w->scale[place / m * d + i] * w->weight[place % m * d + i];
    }
    return u;
}

/* One value of a convolution [M,M,F,W]: output o of module s in row t. */
static double convolve_one(const double *u, const double *kernel, int64_t heads, int64_t m,
                           int64_t taps, int64_t span, int64_t t, int64_t s, int64_t o)
{
    double sum = 0.0;
    for (int64_t f = 0; f < taps; f++)
        for (int64_t e = 0; e < span; e++)
            for (int64_t i = 0; i < m; i++) {
                const int64_t row = t - (taps - 1) + f, module = s - span / 2 + e;
                if (row >= 0 && module >= 0 && module < heads)
                    sum += kernel[((o * m + i) * taps + f) * span + e] *
                           u[(row * heads + module) * m + i];
            }
    return sum;
}

/* Queries, keys and values of modules. */
static void convolve(double *qkv[3], const double *h, const naive_model *naive, int32_t layer,
                     int64_t rows)
{
    const sgt_model_config *c = &naive->config;
    const naive_layer *w = &naive->layers[layer];
    const int64_t heads = c->n_heads, m = c->head_dim;
    const int64_t taps = c->blocks[layer % c->n_blocks].mult_kernel;
    double *u = modules(h, w, rows, heads, m);
    for (int which = 0; which < 3; which++) {
        qkv[which] = new_doubles(rows * heads * m);
        for (int64_t j = 0; j < rows * heads * m; j++)
            qkv[which][j] = w->biases[which][j % m] +
                            convolve_one(u, w->kernels[which], heads, m, taps, which < 2 ? 3 : 1,
                                         j / m / heads, j / m % heads, j % m);
    }
    free(u);
}

/* x += sum_h gain_h Attn_h(RMSNorm1(x)). gains NULL: ones. entropies [2][H]. */
static void attention_pass(double *x, double *entropies[2], const naive_model *naive,
                           int32_t layer, const float *gains, int64_t rows)
{
    const sgt_model_config *c = &naive->config;
    const naive_layer *w = &naive->layers[layer];
    int64_t d = c->d_model, dh = c->head_dim, heads = c->n_heads, groups = c->n_kv_heads;
    double *normed = new_doubles(rows * d), *out = new_doubles(rows * heads * dh);
    rms_norm(normed, x, w->norm1, rows, d, c->norm_eps);
    double *qkv[3];
    if (w->scale) {
        convolve(qkv, normed, naive, layer, rows);
    } else {
        qkv[0] = project(normed, w->q, rows, d, heads * dh);
        qkv[1] = project(normed, w->k, rows, d, groups * dh);
        qkv[2] = project(normed, w->v, rows, d, groups * dh);
    }
    double *q = qkv[0], *k = qkv[1], *v = qkv[2];
    rotate(q, rows, heads, dh, c->rope_theta);
    rotate(k, rows, groups, dh, c->rope_theta);
    for (int64_t h = 0; h < heads; h++) {
        int64_t group = h / (heads / groups);
        double both[2], gain = gains ? gains[h] : 1.0;
        attend(out + h * dh, both, pattern_of(c, layer, group), q + h * dh, heads * dh,
               k + group * dh, v + group * dh, groups * dh, rows, dh);
        for (int i = 0; i < 2; i++)
            entropies[i][h] = gain > 0.0 ? both[i] : NAN;
        for (int64_t t = 0; t < rows; t++)
            for (int64_t i = 0; i < dh; i++)
                out[(t * heads + h) * dh + i] *= gain;
    }
    double *added = w->o ? project(out, w->o, rows, heads * dh, d) : NULL;
    for (int64_t i = 0; i < rows * d; i++)
        x[i] += added ? added[i] : out[i];
    free(normed);
    free(out);
    free(q);
    free(k);
    free(v);
    free(added);
}

/* ---- units ---- */

static void record(naive_tape *tape, double number)
{
    if (tape->count == tape->room) {
        tape->room = 2 * tape->room + 1024;
        tape->numbers = realloc(tape->numbers, (size_t)tape->room * sizeof *tape->numbers);
    }
    tape->numbers[tape->count++] = number;
}

/* The next number of the tape, which is this one the first time. */
static double held(naive_tape *tape, double number)
{
    if (!tape)
        return number;
    if (tape->at == tape->count)
        record(tape, number);
    return tape->numbers[tape->at++];
}

static int64_t largest(const double *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static sgt_block_config block_of(const sgt_model_config *c, int32_t layer)
{
    return c->n_blocks > 0 ? c->blocks[layer % c->n_blocks] : (sgt_block_config){0};
}

/* The mask of one group, from its logits in place. */
static void mask_group(double *z, const naive_model *naive, const sgt_block_config *block)
{
    const int relu = block->feed_forward == SGT_FEED_FORWARD_RELU;
    const int64_t n = block->units;
    double chosen = (double)largest(z, n);
    softmax_row(z, n);
    if (!naive->evaluates && block->hard_fraction == 0.0)
        return;
    if (!naive->evaluates)
        chosen = held(naive->tape, chosen);
    for (int64_t i = 0; i < n; i++) {
        const double is_chosen = (double)i == chosen;
        const double moved = naive->evaluates ? 0.0 : z[i] - held(naive->tape, z[i]);
        z[i] = relu && is_chosen == 0.0 ? 0.0 : is_chosen + moved;
    }
}

/* What units are weighed with, [rows,f]; NULL: nothing. */
static double *mask_of(const naive_model *naive, int32_t layer, const double *normed, int64_t rows)
{
    const sgt_block_config block = block_of(&naive->config, layer);
    const int64_t d = naive->config.d_model, ff = naive->config.d_ff;
    const naive_layer *w = &naive->layers[layer];
    if (block.units == 0)
        return NULL;
    double *low = project(normed, w->controller_down, rows, d, block.controller_rank);
    double *mask = project(low, w->controller_up, rows, block.controller_rank, ff);
    for (int64_t i = 0; i < rows * ff; i++)
        mask[i] += w->controller_bias[i % ff];
    for (int64_t i = 0; i < rows * ff; i += block.units)
        mask_group(mask + i, naive, &block);
    free(low);
    return mask;
}

/* x += Wdown a of h = RMSNorm2(x), where a is silu(Wgate h) * Wup h * mask, or of a ReLU
 * max(0, Wup h * mask). */
static void feed_forward(double *x, const naive_model *naive, int32_t layer, int64_t rows)
{
    const naive_layer *w = &naive->layers[layer];
    int64_t d = naive->config.d_model, ff = naive->config.d_ff;
    double *normed = new_doubles(rows * d);
    rms_norm(normed, x, w->norm2, rows, d, naive->config.norm_eps);
    double *gate = w->gate ? project(normed, w->gate, rows, d, ff) : NULL;
    double *up = project(normed, w->up, rows, d, ff), *mask = mask_of(naive, layer, normed, rows);
    for (int64_t i = 0; i < rows * ff; i++) {
        up[i] *= mask ? mask[i] : 1.0;
        up[i] = gate ? gate[i] / (1.0 + exp(-gate[i])) * up[i] : fmax(0.0, up[i]);
    }
    double *added = project(up, w->down, rows, ff, d);
    for (int64_t i = 0; i < rows * d; i++)
        x[i] += added[i];
    free(normed);
    free(gate);
    free(up);
    free(mask);
    free(added);
}

/* ---- the model ---- */

static void run_layer(double *x, naive_result *result, const naive_model *naive, int32_t layer,
                      int64_t rows)
{
    int32_t depth = sgt_plan_depth(naive->plan, layer), number = 0;
    int64_t heads = naive->config.n_heads;
    for (int32_t run = 0; run <= sgt_plan_extra_runs(naive->plan, layer); run++) {
        for (int32_t pass = 0; pass <= depth; pass++, number++) {
            double last[1024], mean[1024], *one[2] = {last, mean};
            attention_pass(x, one, naive, layer, sgt_plan_gains(naive->plan, layer, pass), rows);
            int64_t place = ((int64_t)layer * result->max_passes + number) * heads;
            for (int i = 0; i < 2; i++)
                for (int64_t h = 0; h < heads; h++)
                    result->entropy[i][place + h] += one[i][h];
        }
        feed_forward(x, naive, layer, rows);
    }
}

/* ---- streams: x [K,rows,d] ---- */

/* Where a value of stream k lies in a row of the wide table, or of one that all streams share. */
static int64_t width_of(const sgt_model_config *c)
{
    return c->altup_table == SGT_ALTUP_WIDE ? (int64_t)c->altup_streams * c->d_model : c->d_model;
}

static void begin_streams(double *x, const naive_model *naive, const int32_t *tokens, int64_t rows)
{
    const int64_t d = naive->config.d_model, width = width_of(&naive->config);
    for (int64_t k = 0; k < naive->config.altup_streams; k++)
        for (int64_t t = 0; t < rows; t++)
            memcpy(x + (k * rows + t) * d,
                   naive->embedding + tokens[t] * width + (width > d ? k * d : 0),
                   (size_t)d * sizeof *x);
}

/* The layer on its active stream, and then what AltUp makes of all of them. */
static void run_on_stream(double *x, naive_result *result, const naive_model *naive, int32_t layer,
                          int64_t rows)
{
    const sgt_model_config *c = &naive->config;
    const int64_t n = rows * c->d_model, k = c->altup_streams;
    const int64_t active = c->altup_order == SGT_ALTUP_SAME ? 0 : layer % k;
    const double *predict = naive->layers[layer].predict, *correct = naive->layers[layer].correct;
    double *ahead = new_doubles(k * n), *y = x + active * n;
    for (int64_t j = 0; j < k * k * n && predict; j++)
        ahead[j / (k * n) * n + j % n] += predict[j / n] * x[j / n % k * n + j % n];
    run_layer(y, result, naive, layer, rows);
    if (predict) {
        double *error = new_doubles(n);
        for (int64_t i = 0; i < n; i++)
            error[i] = y[i] - ahead[active * n + i];
        for (int64_t j = 0; j < k * n; j++)
            x[j] = ahead[j] + correct[j / n] * error[j % n];
        free(error);
    }
    free(ahead);
}

/* What the final norm reads, [rows, width]: all streams, or their mean. */
static void end_streams(double *out, const double *x, const naive_model *naive, int64_t rows)
{
    const int64_t d = naive->config.d_model, k = naive->config.altup_streams;
    const int64_t width = width_of(&naive->config);
    for (int64_t j = 0; j < k * rows * d; j++) {
        int64_t stream = j / (rows * d), row = j / d % rows, i = j % d;
        if (width > d)
            out[row * width + stream * d + i] = x[j];
        else
            out[row * d + i] += x[j] / (double)k;
    }
}

static void row_loss(naive_result *result, int64_t row, int32_t target, int64_t vocab)
{
    const double *logits = &result->logits[row * vocab];
    double most = logits[0], sum = 0.0;
    if (target < 0)
        return;
    for (int64_t i = 1; i < vocab; i++)
        most = fmax(most, logits[i]);
    for (int64_t i = 0; i < vocab; i++)
        sum += exp(logits[i] - most);
    result->losses[row] = most + log(sum) - logits[target];
    result->loss_sum += result->losses[row];
    result->count++;
}

/* The logits [rows,V] of h [rows,d]. With S modules, logit s V/S + m is
 * sum_i h_i scale[s,i] head[m,i] + bias. */
static double *logits_of(const naive_model *naive, const double *h, int64_t rows, int64_t d)
{
    const int64_t vocab = naive->config.vocab_size, modules = naive->config.head_modules;
    if (modules == 0)
        return project(h, naive->head, rows, d, vocab);
    double *logits = new_doubles(rows * vocab);
    for (int64_t k = 0; k < rows * vocab; k++) {
        const int64_t s = k % vocab / (vocab / modules), m = k % (vocab / modules);
        logits[k] = naive->head_bias[k % vocab];
        for (int64_t i = 0; i < d; i++)
            logits[k] += h[k / vocab * d + i] * naive->head_scale[s * d + i] *
                         naive->head[m * d + i];
    }
    return logits;
}

static void sequence_forward(naive_result *result, const naive_model *naive,
                             const sgt_batch *batch, int64_t b)
{
    int64_t rows = batch->seq, d = width_of(&naive->config), vocab = naive->config.vocab_size;
    double *x = new_doubles(naive->config.altup_streams * rows * naive->config.d_model);
    double *end = new_doubles(rows * d), *normed = new_doubles(rows * d);
    begin_streams(x, naive, batch->tokens + b * rows, rows);
    for (int32_t layer = 0; layer < naive->config.n_layers; layer++)
        run_on_stream(x, result, naive, layer, rows);
    end_streams(end, x, naive, rows);
    rms_norm(normed, end, naive->final_norm, rows, d, naive->config.norm_eps);
    double *logits = logits_of(naive, normed, rows, d);
    memcpy(result->logits + b * rows * vocab, logits, (size_t)(rows * vocab) * sizeof *logits);
    for (int64_t t = 0; t < rows && batch->targets; t++)
        row_loss(result, b * rows + t, batch->targets[b * rows + t], vocab);
    free(x);
    free(end);
    free(normed);
    free(logits);
}

void naive_forward(naive_result *result, const naive_model *naive, const sgt_batch *batch)
{
    int64_t tokens = (int64_t)batch->batch * batch->seq;
    memset(result, 0, sizeof *result);
    if (naive->tape)
        naive->tape->at = 0;
    for (int32_t i = 0; i < naive->config.n_layers; i++) {
        int32_t passes =
            (1 + sgt_plan_depth(naive->plan, i)) * (1 + sgt_plan_extra_runs(naive->plan, i));
        if (passes > result->max_passes)
            result->max_passes = passes;
    }
    int64_t places =
        (int64_t)naive->config.n_layers * result->max_passes * naive->config.n_heads;
    result->losses = new_doubles(tokens);
    result->logits = new_doubles(tokens * naive->config.vocab_size);
    for (int i = 0; i < 2; i++)
        result->entropy[i] = new_doubles(places);
    for (int64_t b = 0; b < batch->batch; b++)
        sequence_forward(result, naive, batch, b);
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < places; j++)
            result->entropy[i][j] /= batch->batch;
}

void naive_result_free(naive_result *result)
{
    free(result->losses);
    free(result->logits);
    free(result->entropy[0]);
    free(result->entropy[1]);
}

void naive_hold(naive_model *naive, const sgt_batch *batch)
{
    naive->tape = calloc(1, sizeof *naive->tape);
    naive_loss(naive, batch);
}

double naive_loss(const naive_model *naive, const sgt_batch *batch)
{
    naive_result result;
    naive_forward(&result, naive, batch);
    double loss = result.loss_sum;
    naive_result_free(&result);
    return loss;
}
