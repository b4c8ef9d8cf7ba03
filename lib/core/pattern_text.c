/* SPDX-License-Identifier: BSD-3-Clause */
/* Patterns as words: dense, local:256, local+strided:128, block+summary:128:8:1. */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"
#include "patterns.h"

enum { LONGEST_SPEC = 80, MOST_NUMBERS = 3 };

/* Copies the text up to the first `end`, or all, and returns what follows it; NULL at the end. */
static const char *take_word(char word[LONGEST_SPEC], const char *text, char end)
{
    const char *stop = strchr(text, end);
    size_t length = stop ? (size_t)(stop - text) : strlen(text);
    memcpy(word, text, length);
    word[length] = '\0';
    return stop ? stop + 1 : NULL;
}

static int32_t set_of(const char *word)
{
    static const struct {
        const char *word;
        int32_t set;
    } sets[] = {
        {"local", SGT_KEYS_LOCAL},
        {"strided", SGT_KEYS_STRIDED},
        {"block", SGT_KEYS_BLOCK},
        {"summary", SGT_KEYS_SUMMARY},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (!strcmp(word, sets[i].word))
            return sets[i].set;
    return 0;
}

/* Reads set+set:stride:summary:phase; returns 0 when it is no such text. */
static int read_spec(sgt_attention_pattern *pattern, const char *text)
{
    int32_t *const numbers[MOST_NUMBERS] = {&pattern->stride, &pattern->summary, &pattern->phase};
    char sets[LONGEST_SPEC], word[LONGEST_SPEC];
    int64_t number;
    const char *rest = take_word(sets, text, ':');
    for (const char *at = sets; at;) {
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

sgt_status sgt_attention_pattern_parse(sgt_attention_pattern *pattern, const char *text)
{
    SGTI_DEFAULT_FLOATS;
    sgt_attention_pattern own = {.size = sizeof own};
    sgt_status status = sgti_struct_check(pattern, SGTI_PATTERN_MINIMUM, "sgt_attention_pattern");
    if (status)
        return status;
    if (!text)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "text is NULL");
    if (strlen(text) >= LONGEST_SPEC || (strcmp(text, "dense") != 0 && !read_spec(&own, text)))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "'%.80s' is no pattern: dense, or sets (local, strided, block, summary) "
                         "joined by +, then :stride[:summary[:phase]]",
                         text);
    status = sgti_pattern_check(&own, text);
    if (status == SGT_OK)
        sgti_struct_write(pattern, &own, sizeof own);
    return status;
}
