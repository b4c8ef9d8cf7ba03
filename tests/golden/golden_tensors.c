/* SPDX-License-Identifier: BSD-3-Clause */
#include "golden_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static uint64_t little_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = count - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* ---- the file ---- */

static unsigned char *read_file(size_t *size, const char *path)
{
    unsigned char *bytes = NULL;
    FILE *file = fopen(path, "rb");
    long length = -1;
    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0)
        length = ftell(file);
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)length + 1);
    if (bytes != NULL && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

static char type_of(const char *dtype, uint64_t *bytes)
{
    static const struct {
        const char *name;
        char type;
        uint64_t bytes;
    } types[] = {{"F32", 'f', 4}, {"F64", 'd', 8}, {"I32", 'i', 4}, {"I64", 'l', 8}};
    for (size_t i = 0; dtype != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, dtype) == 0) {
            *bytes = types[i].bytes;
            return types[i].type;
        }
    return 0;
}

/* Fills *tensor from its entry in the header; `data` are the file's bytes after it. */
static const char *read_entry(golden_tensor *tensor, json_t *entry, const unsigned char *data,
                              uint64_t room)
{
    uint64_t element = 0;
    uint64_t count = 1;
    json_t *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1));
    tensor->type = type_of(json_string_value(json_object_get(entry, "dtype")), &element);
    if (tensor->type == 0)
        return "a tensor has an unknown dtype";
    if (!json_is_array(shape) || json_array_size(shape) > GOLDEN_MAX_RANK)
        return "a tensor has no shape or more than 4 dimensions";
    for (size_t i = 0; i < json_array_size(shape); i++) {
        json_int_t side = json_integer_value(json_array_get(shape, i));
        if (side <= 0 || (uint64_t)side > room / count)
            return "a tensor has an impossible shape";
        tensor->shape[tensor->rank++] = side;
        count *= (uint64_t)side;
    }
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > room)
        return "the data of a tensor lies outside the file";
    if ((uint64_t)(end - begin) / element != count || (uint64_t)(end - begin) % element != 0)
        return "the data of a tensor do not fit its shape";
    tensor->count = count;
    tensor->data = data + begin;
    return NULL;
}

static const char *read_header(golden_tensors *tensors, json_t *header,
                               const unsigned char *data, uint64_t room)
{
    const char *name;
    json_t *entry;
    tensors->list = calloc(json_object_size(header) + 1, sizeof *tensors->list);
    if (tensors->list == NULL)
        return "out of memory";
    json_object_foreach (header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        golden_tensor *tensor = &tensors->list[tensors->count++];
        tensor->name = malloc(strlen(name) + 1);
        if (tensor->name == NULL)
            return "out of memory";
        memcpy(tensor->name, name, strlen(name) + 1);
        const char *problem = read_entry(tensor, entry, data, room);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

const char *golden_tensors_read(golden_tensors *tensors, const char *path)
{
    size_t size = 0;
    memset(tensors, 0, sizeof *tensors);
    tensors->file = read_file(&size, path);
    if (tensors->file == NULL)
        return "cannot be read";
    if (size < 8 || little_endian(tensors->file, 8) > size - 8)
        return "is shorter than its header";
    size_t length = (size_t)little_endian(tensors->file, 8);
    json_t *header = json_loadb((const char *)tensors->file + 8, length, JSON_REJECT_DUPLICATES,
                                NULL);
    if (!json_is_object(header)) {
        json_decref(header);
        return "has a header that is no JSON object";
    }
    const char *problem = read_header(tensors, header, tensors->file + 8 + length,
                                      size - 8 - length);
    json_decref(header);
    return problem;
}

void golden_tensors_destroy(golden_tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        free(tensors->list[i].name);
    free(tensors->list);
    free(tensors->file);
    memset(tensors, 0, sizeof *tensors);
}

/* ---- looking things up ---- */

const golden_tensor *golden_tensors_find(const golden_tensors *tensors, const char *name)
{
    for (size_t i = 0; i < tensors->count; i++)
        if (strcmp(tensors->list[i].name, name) == 0)
            return &tensors->list[i];
    return NULL;
}

size_t golden_tensors_count(const golden_tensors *tensors, const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < tensors->count; i++)
        count += strncmp(tensors->list[i].name, prefix, strlen(prefix)) == 0;
    return count;
}

double golden_element(const golden_tensor *tensor, uint64_t index)
{
    int wide = tensor->type == 'd' || tensor->type == 'l';
    uint64_t bits = little_endian(tensor->data + index * (wide ? 8 : 4), wide ? 8 : 4);
    uint32_t low = (uint32_t)bits;
    float f;
    double d;
    switch (tensor->type) {
    case 'f':
        memcpy(&f, &low, sizeof f);
        return f;
    case 'd':
        memcpy(&d, &bits, sizeof d);
        return d;
    case 'i':
        return (int32_t)low;
    default:
        return (double)(int64_t)bits;
    }
}
