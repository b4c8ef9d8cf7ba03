/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves tensors between a backend and a file, block by block. So one block is all the memory that
 * is needed, whatever kind of memory the backend has, and checksums are made while the bytes are at
 * hand.
 */
#include "checkpoint.h"

#include <inttypes.h>

#include "../base/error.h"
#include "../core/tensors.h"

/* A vector of `count` elements of a dense tensor, from `first` on. */
static sgt_tensor part_of(const sgt_tensor *tensor, uint64_t first, uint64_t count)
{
    return sgti_tensor_1d(tensor->buffer, tensor->offset + first, (int64_t)count);
}

sgt_status sgti_put_tensor(sgti_st_writer *writer, sgti_dispatch *dispatch,
                           const sgt_tensor *tensor, const sgti_st_output *output, void *block)
{
    sgti_st_dtype dtype = output->dtype;
    uint64_t count = (uint64_t)sgti_tensor_count(tensor);
    uint64_t most = SGTI_ST_BLOCK / sizeof(float);
    const float *floats = block;
    char *stored = (char *)block + SGTI_ST_BLOCK;
    sgt_status status = SGT_OK;
    for (uint64_t done = 0; done < count && status == SGT_OK; done += most) {
        uint64_t n = count - done < most ? count - done : most;
        sgt_tensor part = part_of(tensor, done, n);
        status = sgti_read(dispatch, block, &part);
        if (status)
            break;
        /* A weight that would become infinite must not be saved quietly: the model would be
         * lost. */
        uint64_t bad = sgti_st_find_overflow(floats, dtype, n);
        if (bad < n)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "%s: element %" PRIu64 " of tensor '%s' is %g, which would be "
                             "infinite in %s",
                             writer->file.path, done + bad, output->name, (double)floats[bad],
                             dtype == SGTI_ST_F16 ? "float16" : "bfloat16");
        sgti_st_from_float(stored, floats, dtype, n);
        status = sgti_safetensors_put(writer, stored, n * sgti_st_element_bytes(dtype));
    }
    return status;
}

/* ---- reading ---- */

sgt_status sgti_tensor_reader_open(sgti_tensor_reader *reader, const sgti_safetensors *file,
                                   sgti_dispatch *dispatch, int verify)
{
    sgti_tensor_reader own = {.file = file, .dispatch = dispatch};
    sgt_status status = sgti_allocate_aligned(&own.block, file->memory, 64, SGTI_BLOCK_BYTES,
                                              "a block of a file");
    if (status == SGT_OK && verify && sgti_checksums_exist())
        status = sgti_checksum_create(&own.checksum);
    if (status) {
        sgti_tensor_reader_close(&own);
        return status;
    }
    *reader = own;
    return SGT_OK;
}

void sgti_tensor_reader_close(sgti_tensor_reader *reader)
{
    if (!reader->file)
        return;
    sgti_release(reader->file->memory, reader->block, SGTI_BLOCK_BYTES);
    sgti_checksum_free(reader->checksum);
    *reader = (sgti_tensor_reader){0};
}

sgt_status sgti_require_tensor(const sgti_st_tensor **tensor, const sgti_safetensors *file,
                               const char *name)
{
    *tensor = sgti_safetensors_find(file, name);
    if (*tensor)
        return SGT_OK;
    return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' is missing", file->path, name);
}

/* Converts the elements of the reader's block and writes them into `tensor`, `done` elements in. */
static sgt_status write_floats(const sgti_tensor_reader *reader, const sgt_tensor *tensor,
                               sgti_st_dtype dtype, uint64_t done, uint64_t count)
{
    float *floats = (float *)reader->block + SGTI_ST_BLOCK / sizeof(float);
    sgt_tensor part = part_of(tensor, done, count);
    sgti_st_to_float(floats, reader->block, dtype, count);
    return sgti_write(reader->dispatch, &part, floats);
}

/* Reads a stored tensor and compares its checksum. If there is `data` the bytes go there as they
 * are; else they go into `tensor` as floats. Half a block is read at a time: as floats, 16-bit
 * elements take twice as much. */
static sgt_status read_blocks(sgti_tensor_reader *reader, const sgti_st_tensor *stored, char *data,
                              const sgt_tensor *tensor)
{
    uint64_t total = stored->end - stored->begin;
    uint64_t element = sgti_st_element_bytes(stored->dtype);
    uint64_t told = 0;
    int has_checksum = 0;
    sgt_status status = SGT_OK;
    if (reader->checksum) {
        sgti_checksum_start(reader->checksum);
        has_checksum = sgti_safetensors_checksum(&told, reader->file, stored);
    }
    for (uint64_t done = 0; done < total && status == SGT_OK; done += SGTI_ST_BLOCK / 2) {
        uint64_t n = total - done < SGTI_ST_BLOCK / 2 ? total - done : SGTI_ST_BLOCK / 2;
        char *block = data ? data + done : reader->block;
        status = sgti_safetensors_read(reader->file, stored, block, n, done);
        if (status)
            return status;
        if (has_checksum)
            sgti_checksum_add(reader->checksum, block, n);
        if (!data)
            status = write_floats(reader, tensor, stored->dtype, done / element, n / element);
    }
    if (status == SGT_OK && has_checksum &&
        (has_checksum < 0 || sgti_checksum_value(reader->checksum) != told))
        return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' is damaged: its checksum differs",
                         reader->file->path, stored->name);
    return status;
}

sgt_status sgti_check_shape(const sgti_safetensors *file, const sgti_st_tensor *stored,
                            int32_t rank, const int64_t *shape)
{
    int same = stored->rank == rank;
    for (int32_t i = 0; i < rank && same; i++)
        same = stored->shape[i] == (uint64_t)shape[i];
    if (same)
        return SGT_OK;
    if (stored->rank == 2 && rank == 2)
        return sgti_fail(SGT_E_FORMAT,
                         "%s: tensor '%s' has the shape [%" PRIu64 ", %" PRIu64
                         "], not [%lld, %lld]",
                         file->path, stored->name, stored->shape[0], stored->shape[1],
                         (long long)shape[0], (long long)shape[1]);
    return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' has another shape: %" PRIu64
                                   " elements in rank %d",
                     file->path, stored->name, stored->count, (int)stored->rank);
}

sgt_status sgti_get_tensor(sgti_tensor_reader *reader, const char *name, const sgt_tensor *tensor)
{
    const sgti_st_tensor *stored;
    sgt_status status = sgti_require_tensor(&stored, reader->file, name);
    if (status == SGT_OK)
        status = sgti_st_check_float(reader->file, stored);
    if (status == SGT_OK)
        status = sgti_check_shape(reader->file, stored, tensor->rank, tensor->shape);
    if (status == SGT_OK)
        status = read_blocks(reader, stored, NULL, tensor);
    return status;
}

sgt_status sgti_get_bytes(sgti_tensor_reader *reader, void *data, const char *name,
                          sgti_st_dtype dtype, uint64_t bytes)
{
    const sgti_st_tensor *stored;
    sgt_status status = sgti_require_tensor(&stored, reader->file, name);
    if (status)
        return status;
    if (stored->dtype != dtype || stored->end - stored->begin != bytes)
        return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' has the wrong type or length",
                         reader->file->path, name);
    return read_blocks(reader, stored, data, NULL);
}
