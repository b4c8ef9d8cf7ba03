/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a text of JSON: Jansson's own reader must say the same (but for zeros, some of which
 * it passes over), and what is written must be read again. */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

#include "fuzz.h"

enum { DEPTH = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tree = NULL, *again = NULL;
    json_t *other = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    sgt_status status = sgti_json_parse(&tree, (const char *)data, size, DEPTH, "fuzz");
    if (status == SGT_OK) {
        if (!json_equal(tree, other))
            __builtin_trap();
        char *text = sgti_json_text(tree, 0);
        if (text == NULL || sgti_json_parse(&again, text, strlen(text), DEPTH, "again") != SGT_OK)
            __builtin_trap();
        free(text);
    } else if (other != NULL && data[0] == '{' && memchr(data, 0, size) == NULL &&
               strstr(sgt_error_message(), "deeply") == NULL) {
        __builtin_trap();
    }
    json_decref(tree);
    json_decref(again);
    json_decref(other);
    return 0;
}
