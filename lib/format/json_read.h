/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads JSON texts (RFC 8259) into Jansson's trees. It is here because Jansson's own reader loses
 * characters and may walk off its buffer when that cannot grow; this one stops when it gets no
 * memory.
 */
#ifndef SGTI_JSON_READ_H
#define SGTI_JSON_READ_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "json.h"

/* Why there is no tree. */
typedef struct sgti_json_error {
    uint64_t position; /* the byte of the text at which it stopped */
    const char *text;  /* NULL: out of memory */
    char key[64];      /* the beginning of the key at fault; "" where none was read */
} sgti_json_error;

/*
 * Reads the value that is the whole text; the caller gives it to json_decref. Its objects get the
 * wanted members (NULL: all). No wanted key may be there twice, and nothing that is
 * wanted may nest deeper than `depth` levels. `longest` is at least the length of the
 * longest string or number. Returns NULL on failure, and *error says why.
 */
json_t *sgti_json_read(sgti_json_error *error, const char *text, uint64_t bytes, uint64_t longest,
                       const sgti_json_wanted *wanted, int depth);

/*
 * Pass over a value or a string that nobody wants (json_pass.c). Only its strings must end and its
 * brackets match, up to SGTI_JSON_MOST_LEVELS deep; this takes no stack. Return where the text goes
 * on behind it; NULL when it does not end properly, and *wrong says why.
 */
const char *sgti_json_pass_value(const char *at, const char *end, const char **wrong);
const char *sgti_json_pass_string(const char *at, const char *end, const char **wrong);

#define SGTI_JSON_MOST_LEVELS 1000

/* 1 when the bytes are UTF-8: nothing overlong, no surrogates. */
int sgti_is_utf8(const char *text, size_t bytes);

#endif
