/* SPDX-License-Identifier: BSD-3-Clause */
/* The entry points: a text is measured before it is read, so that neither the tree nor the reader's
 * buffer can grow without bounds. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "json_read.h"

/* Walks over the text before anything is built: returns 0 when it has too many values. *longest
 * becomes the length of the longest stretch between signs of JSON: no string or number is longer,
 * so that the reader needs one buffer of that size. */
static int count_values(uint64_t *longest, const char *text, uint64_t bytes)
{
    uint64_t values = 0, begin = 0;
    int in_string = 0;
    *longest = 0;
    for (uint64_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (i + 1 - begin > *longest)
            *longest = i + 1 - begin;
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
            continue;
        }
        in_string = c == '"';
        if (memchr("{}[],:", c, 6))
            begin = i;
        values += c == '{' || c == '[' || c == ',';
        if (values > SGTI_JSON_MOST_VALUES)
            return 0;
    }
    return 1;
}

sgt_status sgti_json_parse(json_t **object, const char *text, uint64_t bytes,
                           const sgti_json_wanted *wanted, int depth, const char *where)
{
    sgti_json_error error;
    uint64_t longest, space = 0;
    while (space < bytes && memchr(" \t\n\r", text[space], 4))
        space++;
    if (space == bytes || text[space] != '{')
        return sgti_fail(SGT_E_FORMAT, "%s: does not start with '{'", where);
    if (!count_values(&longest, text, bytes))
        return sgti_fail(SGT_E_FORMAT, "%s: has too many values", where);
    json_t *parsed = sgti_json_read(&error, text, bytes, longest, wanted, depth);
    if (!parsed && !error.text)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory to read it", where);
    if (!parsed)
        return sgti_fail(SGT_E_FORMAT, "%s: byte %llu: %s%s%s", where,
                         (unsigned long long)error.position, error.text,
                         error.key[0] != '\0' ? ", at " : "", error.key);
    *object = parsed;
    return SGT_OK;
}

/* ---- writing ---- */

typedef struct sink {
    char *text;
    size_t used;
    size_t room;
    int failed; /* 1: for good, since Jansson goes on writing after some refusals */
} sink;

static int put_text(const char *text, size_t bytes, void *data)
{
    sink *to = data;
    if (!to->failed && to->room - to->used <= bytes) { /* one more for the zero */
        size_t room = 2 * to->room + bytes + 1;
        char *grown = realloc(to->text, room);
        to->failed = grown == NULL;
        if (grown) {
            to->text = grown;
            to->room = room;
        }
    }
    if (to->failed)
        return -1;
    memcpy(to->text + to->used, text, bytes);
    to->used += bytes;
    to->text[to->used] = '\0';
    return 0;
}

char *sgti_json_text(const json_t *object, int indent)
{
    size_t flags = JSON_SORT_KEYS | (indent > 0 ? (size_t)JSON_INDENT(indent) : JSON_COMPACT);
    sink to = {0};
    if (json_dump_callback(object, put_text, &to, flags) == 0 && !to.failed)
        return to.text;
    free(to.text);
    return NULL;
}

/* ---- values ---- */

int sgti_json_integer(int64_t *number, const json_t *value, int64_t least, int64_t most)
{
    if (!json_is_integer(value))
        return 0;
    json_int_t found = json_integer_value(value);
    if (found < least || found > most)
        return 0;
    *number = found;
    return 1;
}

int sgti_json_is_utf8(const char *text)
{
    return sgti_is_utf8(text, strlen(text));
}
