/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes a safetensors file. The header is made twice. The first time its checksums are not known
 * yet, but they always have 16 digits, so its length is right: the data are written behind the
 * place that it will take. The second header, with all checksums, is then written into that place.
 */
#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/checked.h"
#include "../base/error.h"
#include "../base/text.h"

static const char *const dtype_names[] = {"F64", "I64", "U64", "F32", "F16", "BF16", "U8"};

static uint64_t count_of(const sgti_st_output *output)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < output->rank; i++)
        count *= output->shape[i];
    return count;
}

static uint64_t bytes_of(const sgti_st_output *output)
{
    return count_of(output) * sgti_st_element_bytes(output->dtype);
}

/* The order of tensors in the file: by falling size of element, then by name. */
static int by_rank(const void *a, const void *b)
{
    const sgti_st_output *x = a, *y = b;
    uint64_t p = sgti_st_element_bytes(x->dtype), q = sgti_st_element_bytes(y->dtype);
    if (p != q)
        return p > q ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Makes the entry of a tensor in the header; NULL when memory is short. */
static json_t *describe(const sgti_st_output *output, uint64_t begin)
{
    json_t *shape = json_array();
    int failed = shape == NULL;
    for (int32_t i = 0; i < output->rank; i++)
        failed |= json_array_append_new(shape, json_integer((json_int_t)output->shape[i]));
    if (failed) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_names[output->dtype], "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + bytes_of(output)));
}

static const char no_checksum[] = "0000000000000000"; /* what stands there before it is known */

static int add_checksums(json_t *metadata, const sgti_st_output *outputs, uint64_t count)
{
    int failed = json_object_set_new(metadata, SGTI_ST_CHECKSUM, json_string(no_checksum));
    for (uint64_t i = 0; i < count; i++) {
        char key[sizeof outputs->name + sizeof SGTI_ST_CHECKSUM + 1];
        char text[17];
        sgti_format(key, sizeof key, SGTI_ST_CHECKSUM ".%s", outputs[i].name);
        sgti_format(text, sizeof text, "%016" PRIx64, outputs[i].checksum);
        failed |= json_object_set_new(metadata, key, json_string(text));
    }
    return failed;
}

/* Makes the header as text; NULL when memory is short. */
static char *make_header(const sgti_st_output *outputs, uint64_t count, json_t *metadata,
                         int checksums)
{
    json_t *header = json_object();
    char *text = NULL;
    uint64_t begin = 0;
    int failed = header == NULL;
    if (metadata && checksums)
        failed |= add_checksums(metadata, outputs, count);
    if (metadata)
        failed |= json_object_set(header, "__metadata__", metadata);
    for (uint64_t i = 0; i < count && !failed; i++) {
        failed |= json_object_set_new(header, outputs[i].name, describe(&outputs[i], begin));
        begin += bytes_of(&outputs[i]);
    }
    if (!failed)
        text = sgti_json_text(header, 0);
    json_decref(header);
    return text;
}

static sgt_status out_of_memory(const char *path)
{
    return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory for the header", path);
}

/* Pads the text with spaces to `room` bytes and, if there are checksums, puts the header's own into
 * it. */
static sgt_status finish_header(char *header, const char *text, uint64_t room,
                                sgti_checksum *checksum)
{
    memset(header, ' ', room);
    memcpy(header, text, strlen(text));
    if (!checksum)
        return SGT_OK;
    /* In a string of the host's a quote would be escaped, so this can only be the key. */
    char *place = strstr(text, "\"" SGTI_ST_CHECKSUM "\":\"");
    if (!place)
        return sgti_fail(SGT_E_INTERNAL, "the header has no place for its checksum");
    char digits[17];
    sgti_checksum_start(checksum);
    sgti_checksum_add(checksum, header, room);
    sgti_format(digits, sizeof digits, "%016" PRIx64, sgti_checksum_value(checksum));
    memcpy(header + (place - text) + sizeof SGTI_ST_CHECKSUM + 3, digits, 16);
    return SGT_OK;
}

/* Writes the first `start` bytes of the file: the length of the header, and the header. */
static sgt_status put_header(sgti_st_writer *writer, const char *text, uint64_t start)
{
    void *memory = NULL;
    sgt_status status = sgti_allocate_zeroed(&memory, writer->memory, start, 1, "a header");
    if (status)
        return status;
    sgti_writer bytes = {.data = memory};
    sgti_put_u64(&bytes, start - 8);
    status = finish_header((char *)memory + 8, text, start - 8, writer->checksum);
    if (status == SGT_OK)
        status = sgti_new_file_overwrite(&writer->file, memory, start, 0);
    sgti_release(writer->memory, memory, start);
    return status;
}

sgt_status sgti_safetensors_put(sgti_st_writer *writer, const void *data, uint64_t bytes)
{
    if (writer->checksum)
        sgti_checksum_add(writer->checksum, data, bytes);
    return sgti_new_file_write(&writer->file, data, bytes);
}

static sgt_status put_tensors(sgti_st_writer *writer, sgti_st_output *outputs, uint64_t count,
                              sgti_st_put_fn put, void *user)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = writer->file.written;
        if (writer->checksum)
            sgti_checksum_start(writer->checksum);
        sgt_status status = put(user, writer, &outputs[i]);
        if (status)
            return status;
        if (writer->file.written - before != bytes_of(&outputs[i]))
            return sgti_fail(SGT_E_INTERNAL, "%s: tensor '%s' was not written whole",
                             writer->file.path, outputs[i].name);
        if (writer->checksum)
            outputs[i].checksum = sgti_checksum_value(writer->checksum);
    }
    return SGT_OK;
}

/* Writes the data behind the header's place, then the header into it. */
static sgt_status write_all(sgti_st_writer *writer, sgti_st_output *outputs, uint64_t count,
                            json_t *metadata, sgti_st_put_fn put, void *user)
{
    int checksums = writer->checksum != NULL;
    char *text = make_header(outputs, count, metadata, checksums);
    if (!text)
        return out_of_memory(writer->file.path);
    uint64_t used = 8 + strlen(text);
    uint64_t start = (used + SGTI_ST_ALIGN - 1) / SGTI_ST_ALIGN * SGTI_ST_ALIGN;
    sgt_status status = SGT_OK;
    if (start - 8 > SGTI_ST_MAX_HEADER)
        status = sgti_fail(SGT_E_OVERFLOW, "%s: the header would have %" PRIu64 " bytes",
                           writer->file.path, start - 8);
    writer->file.written = start;
    if (status == SGT_OK)
        status = put_tensors(writer, outputs, count, put, user);
    if (status == SGT_OK && checksums) {
        free(text);
        text = make_header(outputs, count, metadata, checksums);
        if (!text)
            return out_of_memory(writer->file.path);
    }
    if (status == SGT_OK)
        status = put_header(writer, text, start);
    free(text);
    return status;
}

sgt_status sgti_safetensors_prepare(sgti_new_file *file, const char *path, sgti_memory *memory,
                                    sgti_st_output *outputs, uint64_t count, json_t *metadata,
                                    int checksums, sgti_st_put_fn put, void *user)
{
    sgti_st_writer writer = {.memory = memory};
    sgt_status status = sgti_new_file_open(&writer.file, memory, path);
    if (status == SGT_OK && checksums)
        status = sgti_checksum_create(&writer.checksum);
    if (count > 1)
        qsort(outputs, (size_t)count, sizeof *outputs, by_rank);
    if (status == SGT_OK)
        status = write_all(&writer, outputs, count, metadata, put, user);
    sgti_checksum_free(writer.checksum);
    if (status == SGT_OK)
        *file = writer.file;
    else
        sgti_new_file_close(&writer.file);
    return status;
}

sgt_status sgti_safetensors_write(const char *path, sgti_memory *memory, sgti_st_output *outputs,
                                  uint64_t count, json_t *metadata, int checksums,
                                  sgti_st_put_fn put, void *user)
{
    sgti_new_file file = {0};
    sgt_status status = sgti_safetensors_prepare(&file, path, memory, outputs, count, metadata,
                                                 checksums, put, user);
    if (status == SGT_OK)
        status = sgti_new_file_commit(&file);
    sgti_new_file_close(&file);
    return status;
}
