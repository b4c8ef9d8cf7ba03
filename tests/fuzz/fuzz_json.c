/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a text of JSON: Jansson's own reader must say the same (but for zeros, some of which
 * it passes over), and what is written must be read again. Who wants two members only gets those,
 * whatever the others are. */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

#include "fuzz.h"

enum { DEPTH = 12 };

/* `whole`: the tree of all, NULL where not all of it is JSON. */
static void try_wanted(const json_t *whole, const char *data, size_t size)
{
    static const sgti_json_wanted wanted[] = {
        {.key = "a"}, {.key = "b", .presence = 1}, {.key = NULL}};
    json_t *tree = NULL;
    sgt_status status = sgti_json_parse(&tree, data, size, wanted, DEPTH, "fuzz");
    if (status != SGT_OK) {
        if (whole != NULL)
            __builtin_trap();
        return;
    }
    const json_t *a = json_object_get(tree, "a"), *b = json_object_get(tree, "b");
    if (json_object_size(tree) != (size_t)(a != NULL) + (size_t)(b != NULL))
        __builtin_trap();
    if (whole != NULL && a != json_object_get(whole, "a") &&
        !json_equal(a, json_object_get(whole, "a")))
        __builtin_trap();
    if (whole != NULL && (b != NULL) != (json_object_get(whole, "b") != NULL))
        __builtin_trap();
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tree = NULL, *again = NULL;
    json_t *other = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    sgt_status status = sgti_json_parse(&tree, (const char *)data, size, NULL, DEPTH, "fuzz");
    try_wanted(tree, (const char *)data, size);
    if (status == SGT_OK) {
        if (!json_equal(tree, other))
            __builtin_trap();
        char *text = sgti_json_text(tree, 0);
        if (text == NULL ||
            sgti_json_parse(&again, text, strlen(text), NULL, DEPTH, "again") != SGT_OK)
            __builtin_trap();
        free(text);
    } else if (other != NULL && json_is_object(other) && memchr(data, 0, size) == NULL &&
               strstr(sgt_error_message(), "deeply") == NULL) {
        __builtin_trap();
    }
    json_decref(tree);
    json_decref(again);
    json_decref(other);
    return 0;
}
