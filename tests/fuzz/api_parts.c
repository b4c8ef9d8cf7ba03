/* SPDX-License-Identifier: BSD-3-Clause */
#include "api_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_calls.h"

enum { ALL_SETS = 15, MOST_STREAMS = 16, MOST_COUNTED = 64, MOST_WORDS = 10 };

static const int32_t wild_numbers[] = {0,  1,  2,         3,         4,       7,
                                       60, -1, INT32_MIN, INT32_MAX, 1 << 20, INT32_MAX / 2 + 1};

static int32_t wild(world *w)
{
    return wild_numbers[choose(&w->in, sizeof wild_numbers / sizeof *wild_numbers)];
}

/* ---- what a pattern is ---- */

static sgt_status judge_numbers(const sgt_attention_pattern *p)
{
    int summary = (p->sets & SGT_KEYS_SUMMARY) != 0;
    if (p->sets & ~ALL_SETS)
        return SGT_E_OUT_OF_RANGE;
    if (p->sets == 0)
        return p->stride || p->summary || p->phase ? SGT_E_OUT_OF_RANGE : SGT_OK;
    if (p->stride < 1 || p->summary < summary || p->phase < 0)
        return SGT_E_OUT_OF_RANGE;
    if (!summary)
        return p->summary || p->phase ? SGT_E_OUT_OF_RANGE : SGT_OK;
    return (int64_t)p->summary * ((int64_t)p->phase + 1) > p->stride ? SGT_E_OUT_OF_RANGE : SGT_OK;
}

static sgt_status judge(const sgt_attention_pattern *p)
{
    if (p->size != sizeof *p)
        return SGT_E_STRUCT_SIZE;
    sgt_status status = judge_numbers(p);
    return status == SGT_OK && p->reserved ? SGT_E_INVALID_ARGUMENT : status;
}

/* As the header says it. */
static int sees(const sgt_attention_pattern *p, int64_t i, int64_t j)
{
    const int64_t l = p->stride, c = p->summary, o = p->phase;
    return p->sets == 0 || i == j || ((p->sets & SGT_KEYS_LOCAL) && i - j < l) ||
           ((p->sets & SGT_KEYS_STRIDED) && (i - j) % l == 0) ||
           ((p->sets & SGT_KEYS_BLOCK) && i / l == j / l) ||
           ((p->sets & SGT_KEYS_SUMMARY) && j % l >= l - c * (o + 1) && j % l < l - c * o);
}

static int is_dense(const sgt_attention_pattern *p)
{
    return p->sets == 0 || ((p->sets & SGT_KEYS_STRIDED) && p->stride == 1) ||
           ((p->sets & SGT_KEYS_SUMMARY) && p->summary == p->stride);
}

/* A good one of short strides, or any numbers. */
static sgt_attention_pattern make_pattern(world *w)
{
    sgt_attention_pattern p = {.size = sizeof p};
    int32_t how = choose(&w->in, 8);
    p.sets = choose(&w->in, ALL_SETS + 1);
    if (how < 6) {
        p.stride = p.sets ? 1 + choose(&w->in, 7) : 0;
        if (p.sets & SGT_KEYS_SUMMARY) {
            p.summary = 1 + choose(&w->in, p.stride);
            p.phase = choose(&w->in, p.stride / p.summary);
        }
        return p;
    }
    if (how == 7)
        p.sets = wild(w);
    p.stride = wild(w);
    p.summary = wild(w);
    p.phase = wild(w);
    if (choose(&w->in, 8) == 1)
        p.reserved = wild(w);
    if (choose(&w->in, 8) == 1)
        p.size = 4;
    return p;
}

/* ---- models ---- */

/* Spoils the list in one place; what it then is. */
static sgt_status spoil_blocks(sgt_model_config *config, own_blocks *own, int32_t how)
{
    switch (how) {
    case 1:
        config->n_blocks = config->n_layers + 1;
        return SGT_E_OUT_OF_RANGE;
    case 2:
        config->n_blocks = -1;
        return SGT_E_OUT_OF_RANGE;
    case 3:
        config->blocks = NULL;
        return SGT_E_INVALID_ARGUMENT;
    case 4:
        own->blocks[0].size = 4;
        return SGT_E_STRUCT_SIZE;
    case 5:
        own->blocks[0].n_patterns = INT32_MAX;
        return SGT_E_OUT_OF_RANGE;
    case 6:
        own->blocks[0].n_patterns = 1;
        own->blocks[0].patterns = NULL;
        return SGT_E_INVALID_ARGUMENT;
    case 7:
        own->blocks[config->n_blocks - 1].attention = INT32_MAX;
        return SGT_E_OUT_OF_RANGE;
    default:
        return SGT_OK;
    }
}

sgt_status add_blocks(own_blocks *own, sgt_model_config *config, world *w)
{
    sgt_status expected = SGT_OK;
    config->n_blocks = 1 + choose(&w->in, config->n_layers);
    config->blocks = own->blocks;
    for (int32_t i = 0; i < config->n_blocks; i++) {
        int32_t has = choose(&w->in, 4) != 1;
        own->patterns[i] = make_pattern(w);
        own->blocks[i] = (sgt_block_config){.size = sizeof *own->blocks,
                                            .n_patterns = has,
                                            .patterns = has ? &own->patterns[i] : NULL};
        if (has && expected == SGT_OK)
            expected = judge(&own->patterns[i]);
    }
    int32_t how = choose(&w->in, 32);
    return expected == SGT_OK ? spoil_blocks(config, own, how) : expected;
}

/* Spoils the configuration in one place; what it then is. Two key/value heads and a head that is
 * not tied are what all sparse parts go with. */
static sgt_status spoil_sparse(sgt_model_config *config, sgt_block_config *block, int32_t how)
{
    config->n_kv_heads = HEADS;
    switch (how) {
    case 1:
        block->units = 4;
        block->controller_rank = 1;
        return SGT_E_INVALID_ARGUMENT;
    case 2:
        block->units = 2;
        block->controller_rank = 0;
        return SGT_E_OUT_OF_RANGE;
    case 3:
        block->temperature = -1.0;
        return SGT_E_OUT_OF_RANGE;
    case 4:
        block->hard_fraction = 1.0 + 1e-9;
        return SGT_E_OUT_OF_RANGE;
    case 5:
        block->mult_kernel = 65;
        return SGT_E_OUT_OF_RANGE;
    case 6:
        block->attention = SGT_ATTENTION_SOFTMAX;
        block->attention_output = SGT_ATTENTION_OUTPUT_NONE;
        return SGT_E_UNSUPPORTED;
    case 7:
        block->attention = SGT_ATTENTION_MULTIPLICATIVE;
        config->n_kv_heads = 1;
        return SGT_E_UNSUPPORTED;
    case 8:
        block->attention = SGT_ATTENTION_MULTIPLICATIVE;
        config->head_dim = 2;
        return SGT_E_UNSUPPORTED;
    case 9:
        config->head_modules = 3;
        return SGT_E_INVALID_ARGUMENT;
    case 10:
        config->head_modules = 1;
        config->tied = 1;
        return SGT_E_UNSUPPORTED;
    default:
        return SGT_OK;
    }
}

sgt_status add_sparse(own_blocks *own, sgt_model_config *config, world *w)
{
    static const double temperatures[] = {0.1, 0.0, 3.0, 1e30};
    enum { UNITS = 1, RELU = 2, MULTIPLICATIVE = 4, MODULES = 8 };
    const int32_t has = choose(&w->in, 16), how = choose(&w->in, 32);
    sgt_block_config *block = &own->blocks[choose(&w->in, config->n_blocks)];
    if (has & UNITS) {
        block->units = 1 + choose(&w->in, 3);
        block->controller_rank = 1 + choose(&w->in, 3);
        block->temperature = temperatures[choose(&w->in, 4)];
        block->hard_fraction = 0.25 * choose(&w->in, 5);
    }
    if (has & RELU)
        block->feed_forward = SGT_FEED_FORWARD_RELU;
    if (has & MULTIPLICATIVE) {
        block->attention = SGT_ATTENTION_MULTIPLICATIVE;
        block->mult_kernel = choose(&w->in, 5);
        block->attention_output = choose(&w->in, 2);
    }
    if (has & MODULES) {
        config->head_modules = choose(&w->in, 2) ? VOCAB : 1;
        config->tied = 0;
    }
    return spoil_sparse(config, block, how);
}

sgt_status add_streams(sgt_model_config *config, world *w)
{
    static const int32_t numbers[] = {1, 2, 3, 4, 0, 16, 17, -1, INT32_MIN, INT32_MAX};
    static const int32_t words[] = {0, 1, 0, 1, 0, 1, 2, -1};
    config->altup_streams = numbers[choose(&w->in, sizeof numbers / sizeof *numbers)];
    config->altup_order = words[choose(&w->in, 8)];
    config->altup_table = words[choose(&w->in, 8)];
    int good = config->altup_streams >= 0 && config->altup_streams <= MOST_STREAMS &&
               config->altup_order >= 0 && config->altup_order <= 1 && config->altup_table >= 0 &&
               config->altup_table <= 1;
    return good ? SGT_OK : SGT_E_OUT_OF_RANGE;
}

static void note_block(sgt_block_config *noted, const sgt_block_config *block)
{
    noted->attention = block->attention;
    noted->feed_forward = block->feed_forward;
    if (block->attention == SGT_ATTENTION_MULTIPLICATIVE) {
        noted->mult_kernel = block->mult_kernel == 0 ? 3 : block->mult_kernel;
        noted->attention_output = block->attention_output;
    }
    if (block->units > 0) {
        noted->units = block->units;
        noted->controller_rank = block->controller_rank;
        noted->temperature = block->temperature;
        noted->hard_fraction = block->hard_fraction;
    }
}

void note_parts(model_facts *m, const sgt_model_config *config)
{
    if (config->altup_streams > 1) {
        m->streams = config->altup_streams;
        m->order = config->altup_order;
        m->table = config->altup_table;
    }
    m->head_modules = config->head_modules;
    for (int32_t i = 0; i < config->n_layers && config->n_blocks > 0; i++) {
        const sgt_block_config *block = &config->blocks[i % config->n_blocks];
        note_block(&m->parts[i], block);
        if (block->n_patterns > 0)
            m->patterns[i] = block->patterns[0];
        m->forgets |= m->patterns[i].sets != 0 || block->attention == SGT_ATTENTION_MULTIPLICATIVE;
    }
}

int same_parts(const model_facts *a, const model_facts *b)
{
    if (a->streams != b->streams || a->order != b->order || a->table != b->table ||
        a->head_modules != b->head_modules || memcmp(a->parts, b->parts, sizeof a->parts) != 0)
        return 0;
    for (int32_t i = 0; i < MOST_LAYERS; i++) {
        const sgt_attention_pattern *p = &a->patterns[i], *q = &b->patterns[i];
        if (!(is_dense(p) && is_dense(q)) && (p->sets != q->sets || p->stride != q->stride ||
                                              p->summary != q->summary || p->phase != q->phase))
            return 0;
    }
    return 1;
}

/* ---- calls with a pattern alone ---- */

/* Short sequences are counted one pair after another. */
static void check_pairs(const sgt_attention_pattern *p, int64_t seq, uint64_t pairs)
{
    uint64_t counted = 0;
    if (pairs < (uint64_t)seq || pairs > (uint64_t)seq * ((uint64_t)seq + 1) / 2)
        abort();
    if (seq > MOST_COUNTED)
        return;
    for (int64_t i = 0; i < seq; i++)
        for (int64_t j = 0; j <= i; j++)
            counted += (uint64_t)sees(p, i, j);
    if (pairs != counted)
        abort();
}

static void count_pairs(world *w)
{
    static const int64_t lengths[] = {1 << 28, (1 << 28) + 1, 0, -1, INT64_MAX, INT64_MIN, 70000};
    sgt_attention_pattern p = make_pattern(w);
    int64_t seq = 1 + choose(&w->in, MOST_COUNTED);
    int32_t other = choose(&w->in, 16), none = choose(&w->in, 16) == 1;
    uint64_t pairs = 7;
    if (other > 0 && other <= 7)
        seq = lengths[other - 1];
    if (seq == 1 << 28 && p.stride > 1 << 16) /* as many steps */
        seq = 1 << 16;
    sgt_status expected = none ? SGT_E_INVALID_ARGUMENT : judge(&p);
    if (expected == SGT_OK && (seq < 1 || seq > 1 << 28))
        expected = SGT_E_OUT_OF_RANGE;
    if (told(w, "sgt_attention_pattern_count_pairs",
             sgt_attention_pattern_count_pairs(&pairs, none ? NULL : &p, seq), expected))
        check_pairs(&p, seq, pairs);
    else if (pairs != 7)
        abort();
}

/* The text of a pattern is read as that pattern, or refused as its numbers are. */
static void read_own(world *w)
{
    static const char *const words[] = {"local", "strided", "block", "summary"};
    sgt_attention_pattern p = make_pattern(w), made = {.size = sizeof made};
    char text[200] = "";
    size_t used = 0;
    for (int i = 0; i < 4; i++)
        if (p.sets & 1 << i)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? "+" : "",
                                     words[i]);
    if (used == 0)
        return;
    snprintf(text + used, sizeof text - used, ":%d:%d:%d", (int)p.stride, (int)p.summary,
             (int)p.phase);
    p.sets &= ALL_SETS;
    sgt_status expected =
        p.stride < 0 || p.summary < 0 || p.phase < 0 ? SGT_E_INVALID_ARGUMENT : judge_numbers(&p);
    if (told(w, text, sgt_attention_pattern_parse(&made, text), expected) &&
        (made.size != sizeof made || made.sets != p.sets || made.stride != p.stride ||
         made.summary != p.summary || made.phase != p.phase || made.reserved != 0))
        abort();
}

/* Whatever words give is a good pattern or refused, and then left alone. */
static void read_words(world *w)
{
    static const char *const words[] = {
        "local", "strided", "block", "summary",    "dense",      "+", ":", "1",
        "12",    "0",       "-1",    "2147483647", "2147483648", " ", ",", "x"};
    sgt_attention_pattern made = {.size = sizeof made, .stride = -7};
    char text[256] = "";
    for (int32_t i = choose(&w->in, MOST_WORDS); i > 0; i--)
        strcat(text, words[choose(&w->in, sizeof words / sizeof *words)]);
    sgt_status got = sgt_attention_pattern_parse(&made, text);
    int refused = got == SGT_E_INVALID_ARGUMENT || got == SGT_E_OUT_OF_RANGE;
    int done = told(w, text, got, refused ? got : SGT_OK);
    if (done ? judge(&made) != SGT_OK : made.stride != -7)
        abort();
}

void api_pattern(world *w)
{
    static void (*const calls[])(world *) = {count_pairs, read_own, read_words};
    calls[choose(&w->in, 3)](w);
}
