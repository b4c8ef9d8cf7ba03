/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads JSON from files that nobody vouches for, into trees of Jansson. A text is one object in
 * UTF-8 with no wanted key twice. It may have no more nesting and values than the reader expects,
 * so that a hostile text cannot take memory without bounds. What a caller does not want is passed
 * over, whatever it is: other programs write NaN, long integers and more into files that they share
 * with us. The trees come from malloc and are not counted by the context.
 *
 * json.c has the entry points and the writer, json_read.c the reader, json_pass.c the passing over.
 */
#ifndef SGTI_JSON_H
#define SGTI_JSON_H

#include <stdint.h>

#include <jansson.h>

#include <sgt/status.h>

#include "../base/strict_math.h"

#define SGTI_JSON_MOST_VALUES (UINT64_C(1) << 22)

/* A member of an object that is wanted. Lists end with a key of NULL. */
typedef struct sgti_json_wanted {
    const char *key; /* a * at its end stands for any rest */
    const struct sgti_json_wanted *members; /* wanted if its value is an object; NULL: all */
    int presence; /* 1: only whether it is there is wanted: null stays null, others become true */
    int optional; /* 1: a value that cannot be read becomes null */
} sgti_json_wanted;

/*
 * Parses a text that is one object; the caller gives the tree to json_decref. It has only the
 * wanted members (NULL: all). These are checked and may nest `depth` levels deep, where the object
 * itself is the first level. Messages begin with `where` ("FILE: header"). Errors: SGT_E_FORMAT,
 * SGT_E_OUT_OF_MEMORY.
 */
sgt_status sgti_json_parse(json_t **object, const char *text, uint64_t bytes,
                           const sgti_json_wanted *wanted, int depth, const char *where);

/* Returns the text of an object with its keys sorted, which the caller frees with free(); NULL when
 * memory is short. `indent` is in spaces; 0: no white space at all. */
char *sgti_json_text(const json_t *object, int indent);

/* 1 when the value is an integer in [least, most], stored in *number. */
int sgti_json_integer(int64_t *number, const json_t *value, int64_t least, int64_t most);

/* 1 when `text` is UTF-8. */
int sgti_json_is_utf8(const char *text);

#endif
