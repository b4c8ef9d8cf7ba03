/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes the safetensors format.
 *
 *     | u64 N | N bytes: a header in JSON, perhaps with spaces behind it | bytes of the tensors |
 *
 *     {"__metadata__":{"key":"value"},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}
 *
 * Opening a file checks its header completely, so that later code can trust it: N is at most
 * 100,000,000 and within the file; the JSON is strict; offsets start at 0, leave neither hole nor
 * overlap and end with the file; and every tensor has the bytes that dtype and shape ask for. In
 * files that are written here, tensors are sorted by size of element, the largest first, and then
 * by name, and the data begin at a multiple of 64 bytes, so that every element is aligned. Messages
 * name the file and the tensor.
 */
#ifndef SGTI_SAFETENSORS_H
#define SGTI_SAFETENSORS_H

#include <sgt/tensor.h>

#include "../base/files.h"
#include "checksum.h"
#include "json.h"

/* Element types by the names of the format; the value indexes the table in safetensors.c. */
typedef enum sgti_st_dtype {
    SGTI_ST_F64,
    SGTI_ST_I64,
    SGTI_ST_U64,
    SGTI_ST_F32,
    SGTI_ST_F16,
    SGTI_ST_BF16,
    SGTI_ST_U8,
    SGTI_ST_OTHER /* a type whose size is known, but which is read as bytes only */
} sgti_st_dtype;

#define SGTI_ST_MAX_HEADER UINT64_C(100000000)
#define SGTI_ST_ALIGN      64
#define SGTI_ST_CHECKSUM   "sgt.xxh3" /* key of the header's checksum; + ".NAME": a tensor's */
#define SGTI_ST_BLOCK      (UINT64_C(1) << 20) /* bytes read or written at once */

/* One tensor of an open file. */
typedef struct sgti_st_tensor {
    const char *name;  /* it and dtype_name belong to the header's tree */
    const char *dtype_name;
    sgti_st_dtype dtype;
    int32_t rank;
    uint64_t shape[SGT_MAX_RANK]; /* if the rank is higher, only the first extents */
    uint64_t count;               /* elements */
    uint64_t begin, end;          /* bytes within the data */
} sgti_st_tensor;

typedef struct sgti_safetensors {
    sgti_memory *memory;
    sgti_file file;
    char *path;
    json_t *header;
    json_t *metadata; /* borrowed from header; NULL: none */
    sgti_st_tensor *tensors; /* [count], in the order in which they lie in the file */
    const sgti_st_tensor **by_name; /* [count], sorted by name */
    uint64_t count;
    uint64_t data; /* where the bytes of the tensors begin */
} sgti_safetensors;

/* Opens a file and checks everything but the data. Errors: SGT_E_NOT_FOUND, SGT_E_IO, SGT_E_FORMAT,
 * SGT_E_UNSUPPORTED (a dtype of unknown size), SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. */
sgt_status sgti_safetensors_open(sgti_safetensors *file, sgti_memory *memory, const char *path);
void sgti_safetensors_close(sgti_safetensors *file);

/* Reads and checks a header without a file; `data_bytes` is how many bytes come behind it. Opening
 * uses it, and so does fuzzing. */
sgt_status sgti_safetensors_parse(sgti_safetensors *file, const char *header, uint64_t bytes,
                                  uint64_t data_bytes);

/* Finds a tensor, or a value of the metadata, by name; NULL when it is not there. Finding a
 * tensor takes logarithmic time. */
const sgti_st_tensor *sgti_safetensors_find(const sgti_safetensors *file, const char *name);
const char *sgti_safetensors_metadata(const sgti_safetensors *file, const char *key);

/* Reads a part of a tensor as it is stored. */
sgt_status sgti_safetensors_read(const sgti_safetensors *file, const sgti_st_tensor *tensor,
                                 void *data, uint64_t bytes, uint64_t offset);

/* How many bytes an element has; 0 for SGTI_ST_OTHER. */
uint64_t sgti_st_element_bytes(sgti_st_dtype dtype);

/* SGT_OK when elements of this type can be read as float32; else SGT_E_UNSUPPORTED. */
sgt_status sgti_st_check_float(const sgti_safetensors *file, const sgti_st_tensor *tensor);

/* Convert stored elements to floats, and floats to stored elements (F32, F16, BF16). Stored
 * bytes are little-endian, of any alignment. */
void sgti_st_to_float(float *floats, const void *stored, sgti_st_dtype dtype, uint64_t count);
void sgti_st_from_float(void *stored, const float *floats, sgti_st_dtype dtype, uint64_t count);

/* Index of the first finite value that would become infinite in this type (F32, F16, BF16); count
 * when there is none. */
uint64_t sgti_st_find_overflow(const float *floats, sgti_st_dtype dtype, uint64_t count);

/* *value becomes the checksum that the file has for a tensor. Returns 1 when there is one, 0 when
 * there is none, -1 when what is there is no checksum. */
int sgti_safetensors_checksum(uint64_t *value, const sgti_safetensors *file,
                              const sgti_st_tensor *tensor);

/* ---- writing (safetensors_write.c) ---- */

/* One tensor to write. `source` and `index` tell the writer's callback what it is. */
typedef struct sgti_st_output {
    char name[160];
    sgti_st_dtype dtype;
    int32_t rank;
    uint64_t shape[SGT_MAX_RANK];
    int32_t source;
    int32_t index;
    uint64_t checksum; /* set when the tensor was written */
} sgti_st_output;

typedef struct sgti_st_writer {
    sgti_memory *memory;
    sgti_new_file file;
    sgti_checksum *checksum; /* NULL: no checksums are wanted */
} sgti_st_writer;

/* Appends bytes to the tensor that is being written. */
sgt_status sgti_safetensors_put(sgti_st_writer *writer, const void *data, uint64_t bytes);

/* Puts exactly the bytes of one output, by calls of sgti_safetensors_put. */
typedef sgt_status (*sgti_st_put_fn)(void *user, sgti_st_writer *writer,
                                     const sgti_st_output *output);

/*
 * Writes a whole file and leaves it open; the caller gives it its name (sgti_new_file_commit) and
 * closes it. `outputs` are sorted, then `put` is called for the bytes of each. `metadata` is an
 * object of strings; NULL: none. With checksums, which need metadata, the checksums of all tensors
 * are added to it, and that of the header, which is taken while its own place holds zeros. Errors:
 * SGT_E_IO, SGT_E_OVERFLOW, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_UNSUPPORTED, or what
 * `put` returned; nothing is left of the file then.
 */
sgt_status sgti_safetensors_prepare(sgti_new_file *file, const char *path, sgti_memory *memory,
                                    sgti_st_output *outputs, uint64_t count, json_t *metadata,
                                    int checksums, sgti_st_put_fn put, void *user);

/* Writes a whole file under its name. On failure there is at that path what was there before. */
sgt_status sgti_safetensors_write(const char *path, sgti_memory *memory, sgti_st_output *outputs,
                                  uint64_t count, json_t *metadata, int checksums,
                                  sgti_st_put_fn put, void *user);

#endif
