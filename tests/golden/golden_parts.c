/* SPDX-License-Identifier: BSD-3-Clause */
/* What a case says about the parts of its model. A key or a word that is not known breaks it. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The index of a member's word in a list of words with a space between; 0 when broken. */
static int word_of(golden_case *c, const json_t *object, const char *key, const char *words)
{
    const char *word = json_string_value(json_object_get(object, key));
    char list[128], *rest = list;
    snprintf(list, sizeof list, "%s", words);
    for (int i = 0; word != NULL && (rest = strtok(i == 0 ? list : NULL, " ")) != NULL; i++)
        if (strcmp(rest, word) == 0)
            return i;
    if (!c->broken)
        golden_fail(c->run, "\"%s\" is none of: %s", key, words);
    c->broken = 1;
    return 0;
}

/* ---- patterns ---- */

static int32_t set_of(golden_case *c, const json_t *value)
{
    static const char *const words[] = {"local", "strided", "block", "summary"};
    const char *word = json_string_value(value);
    for (int i = 0; i < 4 && word != NULL; i++)
        if (strcmp(word, words[i]) == 0)
            return 1 << i;
    if (!c->broken)
        golden_fail(c->run, "\"sets\" has something that is no set");
    c->broken = 1;
    return 0;
}

static sgt_attention_pattern read_pattern(golden_case *c, const json_t *object)
{
    sgt_attention_pattern pattern = {.size = sizeof pattern};
    golden_only(c, object, "sets stride summary phase");
    if (!json_is_object(object))
        c->broken = !golden_fail(c->run, "\"patterns\" holds something else than objects");
    if (golden_has(object, "sets")) {
        const json_t *sets = golden_array(c, object, "sets", -1);
        for (size_t i = 0; i < json_array_size(sets); i++)
            pattern.sets |= set_of(c, json_array_get(sets, i));
    }
    if (golden_has(object, "stride"))
        pattern.stride = golden_integer(c, object, "stride", 0);
    if (golden_has(object, "summary"))
        pattern.summary = golden_integer(c, object, "summary", 0);
    if (golden_has(object, "phase"))
        pattern.phase = golden_integer(c, object, "phase", 0);
    return pattern;
}

static void read_patterns(sgt_block_config *block, golden_case *c, const json_t *list)
{
    size_t count = json_array_size(list);
    sgt_attention_pattern *patterns = count > 0 ? golden_allocate(count, sizeof *patterns) : NULL;
    for (size_t i = 0; i < count; i++)
        patterns[i] = read_pattern(c, json_array_get(list, i));
    block->n_patterns = (int32_t)count;
    block->patterns = patterns;
}

/* ---- blocks ---- */

enum mode { SOFT, HARD, INFER };

static enum mode mode_of(golden_case *c)
{
    return golden_has(c->json, "mode") ? (enum mode)word_of(c, c->json, "mode", "soft hard infer")
                                       : SOFT;
}

static void read_block(sgt_block_config *block, golden_case *c, const json_t *object)
{
    block->size = sizeof *block;
    golden_only(c, object,
                "attention patterns mult_kernel attention_output feed_forward units "
                "controller_rank");
    block->attention = word_of(c, object, "attention", "standard multiplicative");
    block->feed_forward = word_of(c, object, "feed_forward", "swiglu relu");
    block->mult_kernel = golden_integer(c, object, "mult_kernel", 1);
    block->attention_output = golden_integer(c, object, "attention_output", 0) != 0
                                  ? SGT_ATTENTION_OUTPUT_PROJECTION
                                  : SGT_ATTENTION_OUTPUT_NONE;
    block->units = golden_integer(c, object, "units", 0);
    block->controller_rank = golden_integer(c, object, "controller_rank", 0);
    block->temperature = 0.0;
    block->hard_fraction = mode_of(c) == HARD;
    read_patterns(block, c, golden_array(c, object, "patterns", -1));
}

void golden_parts_read(sgt_model_config *config, golden_case *c)
{
    if (!golden_has(c->json, "parts"))
        return;
    const json_t *parts = golden_object(c, c->json, "parts");
    golden_only(c, parts, "blocks altup_streams altup_order altup_table head_modules");
    const json_t *list = golden_array(c, parts, "blocks", -1);
    size_t count = json_array_size(list);
    sgt_block_config *blocks = count > 0 ? golden_allocate(count, sizeof *blocks) : NULL;
    config->n_blocks = (int32_t)count;
    config->blocks = blocks;
    for (size_t i = 0; i < count; i++)
        read_block(&blocks[i], c, json_array_get(list, i));
    config->altup_streams = golden_integer(c, parts, "altup_streams", 1);
    config->altup_order = word_of(c, parts, "altup_order", "alternate same");
    config->altup_table = word_of(c, parts, "altup_table", "recycled wide");
    config->head_modules = golden_integer(c, parts, "head_modules", 0);
}

void golden_parts_free(sgt_model_config *config)
{
    for (int32_t i = 0; i < config->n_blocks; i++)
        free((void *)config->blocks[i].patterns);
    free((void *)config->blocks);
}

int golden_trains(golden_case *c)
{
    return mode_of(c) != INFER;
}

int golden_evaluates(golden_case *c, const sgt_model_config *config)
{
    int chooses = 0;
    for (int32_t i = 0; i < config->n_blocks; i++)
        chooses |= config->blocks[i].units > 0;
    return !chooses || mode_of(c) != SOFT;
}
