/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON from files nobody vouches for, as trees of Jansson: one object, no key twice, UTF-8, and no
 * more nesting and values than the reader expects, so that a hostile text cannot take memory
 * without bounds. The trees are malloc'd, outside the context's counters.
 */
#ifndef SGTI_JSON_H
#define SGTI_JSON_H

#include <stdint.h>

#include <jansson.h>

#include <sgt/status.h>

#define SGTI_JSON_MOST_VALUES (UINT64_C(1) << 22)

/*
 * Parses an object; json_decref it. `where` opens the message ("FILE: header"). Errors:
 * SGT_E_FORMAT, SGT_E_OUT_OF_MEMORY.
 */
sgt_status sgti_json_parse(json_t **object, const char *text, uint64_t bytes, int depth,
                           const char *where);

/* The text of an object with its keys sorted, indented or (0) without white space; free() it. NULL:
 * out of memory. */
char *sgti_json_text(const json_t *object, int indent);

/* 1 when the value is an integer in [least, most], stored in *number. */
int sgti_json_integer(int64_t *number, const json_t *value, int64_t least, int64_t most);

/* 1 when `text` is UTF-8. */
int sgti_json_is_utf8(const char *text);

#endif
