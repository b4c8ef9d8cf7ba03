/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON from files nobody vouches for, as trees of Jansson: one object, no key twice, UTF-8, and no
 * more nesting and values than the reader expects, so that a hostile text cannot take memory
 * without bounds. What a caller does not want is passed over, whatever it is: other programs write
 * NaN, long integers and more into files that they share with us. The trees are malloc'd, outside
 * the context's counters.
 */
#ifndef SGTI_JSON_H
#define SGTI_JSON_H

#include <stdint.h>

#include <jansson.h>

#include <sgt/status.h>

#include "../base/strict_math.h"

#define SGTI_JSON_MOST_VALUES (UINT64_C(1) << 22)

/* A member that is wanted of an object. Lists end with a key of NULL. */
typedef struct sgti_json_wanted {
    const char *key; /* with a * at its end: all that begin so */
    const struct sgti_json_wanted *members; /* wanted of an object that is its value; NULL: all */
    int presence; /* 1: only whether it is there: its value is null, or true for any other */
    int optional; /* 1: where it is twice or cannot be read it is as if it were not wanted */
} sgti_json_wanted;

/*
 * Parses a text that is one object; release the tree with json_decref. The tree has only the wanted
 * members (NULL: all). They are checked, and may nest `depth` levels deep, where the object itself
 * is the first level. Messages begin with `where` ("FILE: header"). Errors: SGT_E_FORMAT,
 * SGT_E_OUT_OF_MEMORY.
 */
sgt_status sgti_json_parse(json_t **object, const char *text, uint64_t bytes,
                           const sgti_json_wanted *wanted, int depth, const char *where);

/* Returns the text of an object with its keys sorted, to be freed with free(); NULL when memory
 * is short. indented 0: without white space. */
char *sgti_json_text(const json_t *object, int indent);

/* 1 when the value is an integer in [least, most], stored in *number. */
int sgti_json_integer(int64_t *number, const json_t *value, int64_t least, int64_t most);

/* 1 when `text` is UTF-8. */
int sgti_json_is_utf8(const char *text);

#endif
