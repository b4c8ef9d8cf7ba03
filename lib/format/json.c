/* SPDX-License-Identifier: BSD-3-Clause */
#include "json.h"

#include "../base/error.h"

/* What is wrong with the outer shape of a text, or NULL: a cheap walk before anything is built. */
static const char *find_excess(const char *text, uint64_t bytes, int depth)
{
    uint64_t values = 0;
    int open = 0, in_string = 0;
    for (uint64_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            values++;
            if (++open > depth)
                return "is nested too deeply";
        } else if (c == '}' || c == ']') {
            open--;
        } else if (c == ',') {
            values++;
        }
        if (values > SGTI_JSON_MOST_VALUES)
            return "has too many values";
    }
    return NULL;
}

sgt_status sgti_json_parse(json_t **object, const char *text, uint64_t bytes, int depth,
                           const char *where)
{
    json_error_t error;
    if (bytes == 0 || text[0] != '{')
        return sgti_fail(SGT_E_FORMAT, "%s: does not start with '{'", where);
    const char *excess = find_excess(text, bytes, depth);
    if (excess != NULL)
        return sgti_fail(SGT_E_FORMAT, "%s: %s", where, excess);
    json_t *parsed = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
    if (parsed == NULL && json_error_code(&error) == json_error_out_of_memory)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory to read it", where);
    if (parsed == NULL)
        return sgti_fail(SGT_E_FORMAT, "%s: byte %d: %.120s", where, error.position, error.text);
    *object = parsed;
    return SGT_OK;
}

char *sgti_json_text(const json_t *object, int indent)
{
    size_t flags = JSON_SORT_KEYS | (indent > 0 ? (size_t)JSON_INDENT(indent) : JSON_COMPACT);
    return json_dumps(object, flags);
}

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
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}
