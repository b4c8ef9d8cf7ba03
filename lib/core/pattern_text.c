/* SPDX-License-Identifier: BSD-3-Clause */
/* Patterns as words: dense, local:256, local+strided:128, block+summary:128:8:1. */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"
#include "patterns.h"

enum { MOST_NUMBERS = 3 };

static const struct {
    const char *word;
    int32_t set;
} sets[] = {
    {"local", SGT_KEYS_LOCAL},
    {"strided", SGT_KEYS_STRIDED},
    {"block", SGT_KEYS_BLOCK},
    {"summary", SGT_KEYS_SUMMARY},
};

enum { N_SETS = sizeof sets / sizeof sets[0] };

/* Copies the text up to the first `end`, or all, as far as there is room for it, and returns what
 * follows; NULL at the end. */
static const char *take_word(char word[SGTI_PATTERN_TEXT], const char *text, char end)
{
    const char *stop = strchr(text, end);
    size_t length = stop ? (size_t)(stop - text) : strlen(text);
    size_t copied = length < SGTI_PATTERN_TEXT ? length : SGTI_PATTERN_TEXT - 1;
    memcpy(word, text, copied);
    word[copied] = '\0';
    return stop ? stop + 1 : NULL;
}

static int32_t set_of(const char *word)
{
    for (int i = 0; i < N_SETS; i++)
        if (!strcmp(word, sets[i].word))
            return sets[i].set;
    return 0;
}

/* Reads set+set:stride:summary:phase; returns 0 when it is no such text. */
static int read_spec(sgt_attention_pattern *pattern, const char *text)
{
    int32_t *const numbers[MOST_NUMBERS] = {&pattern->stride, &pattern->summary, &pattern->phase};
    char all[SGTI_PATTERN_TEXT], word[SGTI_PATTERN_TEXT];
    int64_t number;
    const char *rest = take_word(all, text, ':');
    for (const char *at = all; at;) {
        at = take_word(word, at, '+');
        int32_t set = set_of(word);
        if (!set || (pattern->sets & set))
            return 0;
        pattern->sets |= set;
    }
    for (int i = 0; rest; i++) {
        rest = take_word(word, rest, ':');
        if (i == MOST_NUMBERS || !sgti_text_to_whole(&number, word, 0, INT32_MAX))
            return 0;
        *numbers[i] = (int32_t)number;
    }
    return 1;
}

static sgt_status parse(sgt_attention_pattern *pattern, const char *text)
{
    *pattern = sgti_dense_pattern;
    if (strlen(text) >= SGTI_PATTERN_TEXT - 1 || /* a word may have been cut off there */
        (strcmp(text, "dense") != 0 && !read_spec(pattern, text)))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "'%.80s' is no pattern: dense, or sets (local, strided, block, summary) "
                         "joined by +, then :stride[:summary[:phase]]",
                         text);
    return sgti_pattern_check(pattern, text);
}

sgt_status sgt_attention_pattern_parse(sgt_attention_pattern *pattern, const char *text)
{
    SGTI_DEFAULT_FLOATS;
    sgt_attention_pattern own;
    sgt_status status = sgti_struct_check(pattern, SGTI_PATTERN_MINIMUM, "sgt_attention_pattern");
    if (status)
        return status;
    if (!text)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "text is NULL");
    status = parse(&own, text);
    if (status == SGT_OK)
        sgti_struct_write(pattern, &own, sizeof own);
    return status;
}

void sgti_pattern_print(char text[SGTI_PATTERN_TEXT], const sgt_attention_pattern *p)
{
    const int32_t numbers[MOST_NUMBERS] = {p->stride, p->summary, p->phase};
    int used = 0, shown = p->phase > 0 ? 3 : p->summary > 0 ? 2 : 1;
    if (!p->sets) {
        memcpy(text, "dense", sizeof "dense");
        return;
    }
    for (int i = 0; i < N_SETS; i++)
        if (p->sets & sets[i].set)
            used += sgti_format(text + used, SGTI_PATTERN_TEXT - (size_t)used, "%s%s",
                                used > 0 ? "+" : "", sets[i].word);
    for (int i = 0; i < shown; i++)
        used += sgti_format(text + used, SGTI_PATTERN_TEXT - (size_t)used, ":%d", (int)numbers[i]);
}

int64_t sgti_pattern_list_count(const char *text)
{
    int64_t count = 1;
    for (; *text; text++)
        count += *text == ',';
    return count;
}

sgt_status sgti_pattern_list_read(sgt_attention_pattern *patterns, const char *text)
{
    sgt_status status = SGT_OK;
    for (const char *at = text; at && status == SGT_OK; patterns++) {
        char one[SGTI_PATTERN_TEXT];
        at = take_word(one, at, ',');
        status = parse(patterns, one);
    }
    return status;
}
