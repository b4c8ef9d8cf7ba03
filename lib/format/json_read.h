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

/* Why there is no tree. */
typedef struct sgti_json_error {
    uint64_t position; /* byte of the text */
    const char *text;  /* NULL: out of memory */
} sgti_json_error;

/*
 * The value that is the whole text, with no key twice in an object; json_decref it. NULL: see
 * *error. `longest` is at least the length of the longest token. The depth is not limited: look
 * first.
 */
json_t *sgti_json_read(sgti_json_error *error, const char *text, uint64_t bytes, uint64_t longest);

/* 1 when the bytes are UTF-8: nothing overlong, no surrogates. */
int sgti_is_utf8(const char *text, size_t bytes);

#endif
