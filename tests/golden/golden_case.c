/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the JSON and the tensors of a case; only the first thing wrong with it is told. */
#include "golden.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void broken(golden_case *c, const char *key, const char *problem)
{
    if (!c->broken)
        golden_fail(c->run, "\"%s\" %s", key, problem);
    c->broken = 1;
}

int golden_case_open(golden_case *c, golden_run *run, const char *folder)
{
    char path[PATH_MAX];
    json_error_t error;
    *c = (golden_case){.run = run};
    if (snprintf(path, sizeof path, "%s/case.json", folder) >= (int)sizeof path)
        return golden_fail(run, "the path is too long");
    c->json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (c->json == NULL)
        return golden_fail(run, "case.json: %s, line %d", error.text, error.line);
    if (!json_is_string(json_object_get(c->json, "kind")))
        return golden_fail(run, "case.json has no \"kind\"");
    if (snprintf(path, sizeof path, "%s/tensors.safetensors", folder) >= (int)sizeof path)
        return golden_fail(run, "the path is too long");
    if (strcmp(json_string_value(json_object_get(c->json, "kind")), "trace") == 0)
        return 1; /* these have no tensors */
    const char *problem = golden_tensors_read(&c->tensors, path);
    return problem == NULL ? 1 : golden_fail(run, "tensors.safetensors %s", problem);
}

void golden_case_close(golden_case *c)
{
    golden_tensors_destroy(&c->tensors);
    json_decref(c->json);
}

/* ---- JSON ---- */

int golden_has(const json_t *object, const char *key)
{
    json_t *member = json_object_get(object, key);
    return member != NULL && !json_is_null(member);
}

static int32_t integer_of(golden_case *c, const json_t *value, const char *key, int32_t low)
{
    if (json_is_integer(value) && json_integer_value(value) >= low &&
        json_integer_value(value) <= INT32_MAX)
        return (int32_t)json_integer_value(value);
    broken(c, key, "is missing or no integer in range");
    return 0;
}

static double number_of(golden_case *c, const json_t *value, const char *key)
{
    if (json_is_number(value))
        return json_number_value(value);
    broken(c, key, "is missing or no number");
    return 0.0;
}

static const json_t *array_of(golden_case *c, const json_t *value, const char *key, long length)
{
    if (json_is_array(value) && (length < 0 || json_array_size(value) == (size_t)length))
        return value;
    broken(c, key, "is missing, no array, or has a wrong length");
    return NULL;
}

int32_t golden_integer(golden_case *c, const json_t *object, const char *key, int32_t low)
{
    return integer_of(c, json_object_get(object, key), key, low);
}

double golden_number(golden_case *c, const json_t *object, const char *key)
{
    return number_of(c, json_object_get(object, key), key);
}

double golden_number_at(golden_case *c, const json_t *array, size_t index)
{
    return number_of(c, json_array_get(array, index), "a number of an array");
}

int32_t golden_integer_at(golden_case *c, const json_t *array, size_t index)
{
    return integer_of(c, json_array_get(array, index), "an integer of an array", INT32_MIN);
}

const json_t *golden_object(golden_case *c, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_object(value))
        broken(c, key, "is missing or no object");
    return value;
}

const json_t *golden_array(golden_case *c, const json_t *object, const char *key, long length)
{
    return array_of(c, json_object_get(object, key), key, length);
}

const json_t *golden_array_at(golden_case *c, const json_t *array, size_t index, long length)
{
    return array_of(c, json_array_get(array, index), "an array of an array", length);
}

void golden_only(golden_case *c, const json_t *object, const char *keys)
{
    for (void *at = json_object_iter((json_t *)object); at != NULL;
         at = json_object_iter_next((json_t *)object, at)) {
        const char *key = json_object_iter_key(at);
        char known[512], word[128];
        snprintf(known, sizeof known, " %s ", keys);
        snprintf(word, sizeof word, " %.120s ", key);
        if (strstr(known, word) == NULL)
            broken(c, key, "is not known");
    }
}

/* ---- tensors ---- */

static const golden_tensor *need(golden_case *c, uint64_t count, const char *name,
                                 va_list arguments)
{
    char full[256];
    vsnprintf(full, sizeof full, name, arguments);
    const golden_tensor *tensor = golden_tensors_find(&c->tensors, full);
    if (tensor == NULL)
        broken(c, full, "is missing from tensors.safetensors");
    else if (tensor->count != count)
        broken(c, full, "has a wrong number of elements");
    return c->broken ? NULL : tensor;
}

const golden_tensor *golden_need(golden_case *c, uint64_t count, const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    const golden_tensor *tensor = need(c, count, name, arguments);
    va_end(arguments);
    return tensor;
}

float *golden_floats(golden_case *c, uint64_t count, const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    const golden_tensor *tensor = need(c, count, name, arguments);
    va_end(arguments);
    if (tensor == NULL)
        return NULL;
    float *values = golden_allocate(count, sizeof *values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)golden_element(tensor, i);
    return values;
}

int32_t *golden_integers(golden_case *c, uint64_t count, const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    const golden_tensor *tensor = need(c, count, name, arguments);
    va_end(arguments);
    if (tensor == NULL)
        return NULL;
    if (tensor->type != 'i' && tensor->type != 'l') {
        broken(c, name, "holds no integers");
        return NULL;
    }
    int32_t *values = golden_allocate(count, sizeof *values);
    for (uint64_t i = 0; i < count; i++) {
        double value = golden_element(tensor, i);
        if (value < INT32_MIN || value > INT32_MAX)
            broken(c, name, "holds an integer of more than 32 bits");
        else
            values[i] = (int32_t)value;
    }
    return values;
}
