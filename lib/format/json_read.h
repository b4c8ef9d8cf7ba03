/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reader of JSON texts (RFC 8259) into Jansson's trees. Jansson's own reader forgets characters,
 * and may walk off its buffer, when its buffer cannot grow: nothing here goes on after memory was
 * refused.
 */
#ifndef SGTI_JSON_READ_H
#define SGTI_JSON_READ_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "json.h"

/* Why there is no tree. */
typedef struct sgti_json_error {
    uint64_t position; /* byte of the text */
    const char *text;  /* NULL: out of memory */
    char key[64];      /* the beginning of the key at fault; "" where none was read */
} sgti_json_error;

/*
 * Reads the value that is the whole text; release it with json_decref. Its objects get the wanted
 * members (NULL: all). No wanted key may be there twice, and nothing may nest deeper than `depth`
 * levels. `longest` is at least the length of the longest token. On failure NULL, and *error says
 * why.
 */
json_t *sgti_json_read(sgti_json_error *error, const char *text, uint64_t bytes, uint64_t longest,
                       const sgti_json_wanted *wanted, int depth);

/*
 * Passes over a value that nobody wants (json_pass.c). Only its strings must end and its brackets
 * match, up to SGTI_JSON_MOST_LEVELS deep; nothing recurses. Returns what is behind it; NULL when
 * it does not end properly, and *wrong says why.
 */
const char *sgti_json_pass_value(const char *at, const char *end, const char **wrong);
const char *sgti_json_pass_string(const char *at, const char *end, const char **wrong);

#define SGTI_JSON_MOST_LEVELS 1000

/* 1 when the bytes are UTF-8: nothing overlong, no surrogates. */
int sgti_is_utf8(const char *text, size_t bytes);

#endif
