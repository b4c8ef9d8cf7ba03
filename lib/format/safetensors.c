/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens and checks a safetensors file. The header is parsed into a tree, from which the table of
 * the tensors is made. That is then sorted by place, so that one walk finds holes and overlaps.
 */
#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/checked.h"
#include "../base/error.h"
#include "../base/number_formats.h"
#include "../base/text.h"

/* The levels of nesting: the header, the entry of a tensor, its shape. */
#define HEADER_DEPTH 3

#define LENGTH_BYTES 8 /* before the header */
#define METADATA "__metadata__"

/* Other keys in a tensor's entry are passed over, as the reference reader does. */
static const sgti_json_wanted tensor_keys[] = {
    {.key = "dtype"}, {.key = "shape"}, {.key = "data_offsets"}, {.key = NULL}};
static const sgti_json_wanted header_keys[] = {
    {.key = METADATA}, {.key = "*", .members = tensor_keys}, {.key = NULL}};

typedef struct dtype_row {
    const char *name;
    uint64_t bits;
    sgti_st_dtype dtype;
} dtype_row;

/* The first rows are in the order of enum sgti_st_dtype, which indexes them. */
static const dtype_row dtypes[] = {
    {"F64", 64, SGTI_ST_F64},     {"I64", 64, SGTI_ST_I64},
    {"U64", 64, SGTI_ST_U64},     {"F32", 32, SGTI_ST_F32},
    {"F16", 16, SGTI_ST_F16},     {"BF16", 16, SGTI_ST_BF16},
    {"U8", 8, SGTI_ST_U8},        {"I32", 32, SGTI_ST_OTHER},
    {"U32", 32, SGTI_ST_OTHER},   {"I16", 16, SGTI_ST_OTHER},
    {"U16", 16, SGTI_ST_OTHER},   {"I8", 8, SGTI_ST_OTHER},
    {"BOOL", 8, SGTI_ST_OTHER},   {"C64", 64, SGTI_ST_OTHER},
    {"F8_E4M3", 8, SGTI_ST_OTHER},     {"F8_E5M2", 8, SGTI_ST_OTHER},
    {"F8_E8M0", 8, SGTI_ST_OTHER},     {"F8_E4M3FNUZ", 8, SGTI_ST_OTHER},
    {"F8_E5M2FNUZ", 8, SGTI_ST_OTHER}, {"F6_E2M3", 6, SGTI_ST_OTHER},
    {"F6_E3M2", 6, SGTI_ST_OTHER},     {"F4", 4, SGTI_ST_OTHER},
};

enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

static const dtype_row *find_dtype(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    }
    return NULL;
}

uint64_t sgti_st_element_bytes(sgti_st_dtype dtype)
{
    return dtype < SGTI_ST_OTHER ? dtypes[dtype].bits / 8 : 0;
}

/* ---- one tensor of the header ---- */

static sgt_status malformed(const sgti_safetensors *file, const char *name, const char *what)
{
    return sgti_fail(SGT_E_FORMAT, "%s: tensor '%.120s': %s", file->path, name, what);
}

static sgt_status read_shape(sgti_st_tensor *tensor, const sgti_safetensors *file,
                             const json_t *shape)
{
    if (!json_is_array(shape))
        return malformed(file, tensor->name, "shape is not a list");
    tensor->count = 1;
    tensor->rank = (int32_t)json_array_size(shape);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        int64_t extent;
        if (!sgti_json_integer(&extent, json_array_get(shape, i), 0, INT64_MAX))
            return malformed(file, tensor->name, "shape holds something else than sizes");
        if (i < SGT_MAX_RANK)
            tensor->shape[i] = (uint64_t)extent;
        if (!sgti_mul_u64(&tensor->count, tensor->count, (uint64_t)extent))
            return malformed(file, tensor->name, "the product of its shape does not fit");
    }
    return SGT_OK;
}

static sgt_status read_offsets(sgti_st_tensor *tensor, const sgti_safetensors *file,
                               const json_t *offsets)
{
    int64_t begin, end;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !sgti_json_integer(&begin, json_array_get(offsets, 0), 0, INT64_MAX) ||
        !sgti_json_integer(&end, json_array_get(offsets, 1), 0, INT64_MAX))
        return malformed(file, tensor->name, "data_offsets are not two offsets");
    if (end < begin)
        return malformed(file, tensor->name, "data_offsets are the wrong way round");
    tensor->begin = (uint64_t)begin;
    tensor->end = (uint64_t)end;
    return SGT_OK;
}

/* Reads the entry of one tensor. Its dtype is looked up later, when its place is known to be right:
 * damage is then reported as damage and not as an unknown type. */
static sgt_status read_tensor(sgti_st_tensor *tensor, const sgti_safetensors *file,
                              const char *name, const json_t *value)
{
    tensor->name = name;
    if (!json_is_object(value))
        return malformed(file, name, "is not an object");
    if (json_object_size(value) != 3)
        return malformed(file, name, "does not have dtype, shape and data_offsets");
    tensor->dtype_name = json_string_value(json_object_get(value, "dtype"));
    if (!tensor->dtype_name)
        return malformed(file, name, "dtype is not a string");
    sgt_status status = read_shape(tensor, file, json_object_get(value, "shape"));
    if (status == SGT_OK)
        status = read_offsets(tensor, file, json_object_get(value, "data_offsets"));
    return status;
}

/* ---- all of them ---- */

static int by_place(const void *a, const void *b)
{
    const sgti_st_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const sgti_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int against_name(const void *name, const void *entry)
{
    const sgti_st_tensor *const *tensor = entry;
    return strcmp(name, (*tensor)->name);
}

/* Checks that the tensors cover the data without hole or overlap; their types do not matter
 * here. */
static sgt_status check_places(const sgti_safetensors *file, uint64_t data_bytes)
{
    uint64_t end = 0;
    for (uint64_t i = 0; i < file->count; i++) {
        const sgti_st_tensor *tensor = &file->tensors[i];
        if (tensor->begin != end)
            return malformed(file, tensor->name,
                             tensor->begin > end ? "there is a hole in the data before it"
                                                 : "it overlaps another tensor");
        end = tensor->end;
        if (end > data_bytes)
            return malformed(file, tensor->name, "it ends behind the end of the file");
    }
    if (end != data_bytes)
        return sgti_fail(SGT_E_FORMAT, "%s: %" PRIu64 " bytes behind the last tensor", file->path,
                         data_bytes - end);
    return SGT_OK;
}

static sgt_status check_sizes(sgti_safetensors *file)
{
    for (uint64_t i = 0; i < file->count; i++) {
        sgti_st_tensor *tensor = &file->tensors[i];
        const dtype_row *row = find_dtype(tensor->dtype_name);
        uint64_t bits;
        if (!row)
            return sgti_fail(SGT_E_UNSUPPORTED, "%s: tensor '%.120s': dtype '%.40s' is not known",
                             file->path, tensor->name, tensor->dtype_name);
        tensor->dtype = row->dtype;
        if (!sgti_mul_u64(&bits, tensor->count, row->bits))
            return malformed(file, tensor->name, "its size does not fit");
        if (bits % 8 != 0 || bits / 8 != tensor->end - tensor->begin)
            return malformed(file, tensor->name, "data_offsets do not fit dtype and shape");
    }
    return SGT_OK;
}

static sgt_status read_metadata(sgti_safetensors *file)
{
    const char *key;
    json_t *value;
    json_t *metadata = json_object_get(file->header, METADATA);
    if (!metadata || json_is_null(metadata))
        return SGT_OK;
    if (!json_is_object(metadata))
        return sgti_fail(SGT_E_FORMAT, "%s: __metadata__ is not an object", file->path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return sgti_fail(SGT_E_FORMAT, "%s: __metadata__: '%.120s' is not a string", file->path,
                             key);
    }
    file->metadata = metadata;
    return SGT_OK;
}

/* Looks a checksum up in the metadata. Returns 1, 0 or -1 as sgti_safetensors_checksum does. */
static int checksum_of_key(uint64_t *value, const sgti_safetensors *file, const char *key)
{
    const char *text = sgti_safetensors_metadata(file, key);
    if (!text)
        return 0;
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return -1;
    *value = strtoull(text, NULL, 16);
    return 1;
}

/* Compares the checksum of the header, which a file that has any checksum must have: else damage
 * could hide by making it disappear. It is over the whole header with zeros in its own place. */
static sgt_status check_header(const sgti_safetensors *file, const char *header, uint64_t bytes)
{
    static const char mark[] = "\"" SGTI_ST_CHECKSUM "\":\"", zeros[] = "0000000000000000";
    int has_any = 0;
    uint64_t told, digits = sizeof zeros - 1;
    const char *key;
    json_t *value;
    sgti_checksum *checksum = NULL;
    json_object_foreach(file->metadata, key, value)
        has_any |= strncmp(key, SGTI_ST_CHECKSUM, strlen(SGTI_ST_CHECKSUM)) == 0;
    if (!has_any || !sgti_checksums_exist())
        return SGT_OK;
    const char *place = memmem(header, (size_t)bytes, mark, sizeof mark - 1);
    if (!place || checksum_of_key(&told, file, SGTI_ST_CHECKSUM) != 1)
        return sgti_fail(SGT_E_FORMAT, "%s: the checksum of the header is missing", file->path);
    uint64_t before = (uint64_t)(place - header) + sizeof mark - 1;
    if (bytes - before < digits)
        return sgti_fail(SGT_E_FORMAT, "%s: the checksum of the header is cut short", file->path);
    sgt_status status = sgti_checksum_create(&checksum);
    if (status)
        return status;
    sgti_checksum_start(checksum);
    sgti_checksum_add(checksum, header, before);
    sgti_checksum_add(checksum, zeros, digits);
    sgti_checksum_add(checksum, header + before + digits, bytes - before - digits);
    if (sgti_checksum_value(checksum) != told)
        status = sgti_fail(SGT_E_FORMAT, "%s: the header is damaged: its checksum differs",
                           file->path);
    sgti_checksum_free(checksum);
    return status;
}

/* Sorts the tensors by their place in the file, and a list of them by name. */
static sgt_status sort_tensors(sgti_safetensors *file)
{
    void *list = NULL;
    sgt_status status = sgti_allocate_zeroed(&list, file->memory, file->count,
                                             sizeof *file->by_name,
                                             "the table of a safetensors file");
    if (status)
        return status;
    file->by_name = list;
    if (file->count == 0)
        return SGT_OK;
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_place);
    for (uint64_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
    return SGT_OK;
}

/* Makes the table of the tensors from the header's tree. */
static sgt_status read_tensors(sgti_safetensors *file)
{
    const char *name;
    json_t *value;
    void *tensors = NULL;
    uint64_t room = json_object_size(file->header);
    room -= json_object_get(file->header, METADATA) != NULL;
    sgt_status status = sgti_allocate_zeroed(&tensors, file->memory, room, sizeof *file->tensors,
                                             "the table of a safetensors file");
    if (status)
        return status;
    file->tensors = tensors;
    file->count = room;
    uint64_t i = 0;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, METADATA) == 0)
            continue;
        status = read_tensor(&file->tensors[i++], file, name, value);
        if (status)
            return status;
    }
    return sort_tensors(file);
}

sgt_status sgti_safetensors_parse(sgti_safetensors *file, const char *header, uint64_t bytes,
                                  uint64_t data_bytes)
{
    char where[300];
    sgti_format(where, sizeof where, "%.280s: header", file->path);
    if (bytes == 0 || header[0] != '{')
        return sgti_fail(SGT_E_FORMAT, "%s: does not start with '{': this is no safetensors file",
                         where);
    sgt_status status =
        sgti_json_parse(&file->header, header, bytes, header_keys, HEADER_DEPTH, where);
    if (status == SGT_OK)
        status = read_metadata(file);
    if (status == SGT_OK)
        status = check_header(file, header, bytes);
    if (status == SGT_OK)
        status = read_tensors(file);
    if (status == SGT_OK)
        status = check_places(file, data_bytes);
    if (status == SGT_OK)
        status = check_sizes(file);
    return status;
}

/* ---- files ---- */

/* Says what a file is that begins like this; NULL when it is none of the known kinds. */
static const char *known_kind(const uint8_t *start, uint64_t bytes)
{
    static const struct {
        const char *magic;
        const char *kind;
    } kinds[] = {{"GGUF", "is a GGUF file"},
                 {"PK\3\4", "is a zip archive, as torch.save makes one"},
                 {"\x80\2", "is a pickle"},
                 {"\x80\3", "is a pickle"},
                 {"\x80\4", "is a pickle"},
                 {"\x80\5", "is a pickle"},
                 {"version ", "is a pointer of Git LFS"},
                 {"\x89HDF", "is an HDF5 file"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].magic);
        if (bytes >= length && memcmp(start, kinds[i].magic, length) == 0)
            return kinds[i].kind;
    }
    return NULL;
}

/* Reads the length of the header, and checks that there can be such a header. */
static sgt_status read_length(uint64_t *bytes, const sgti_safetensors *file)
{
    uint8_t start[LENGTH_BYTES + 1] = {0}; /* the length, and the '{' of the header */
    uint64_t length = file->file.bytes < sizeof start ? file->file.bytes : sizeof start;
    sgt_status status = sgti_file_read(&file->file, start, length, 0);
    if (status)
        return status;
    sgti_reader reader = {.data = start, .left = sizeof start};
    *bytes = sgti_get_u64(&reader);
    /* A length can happen to look like another kind of file; behind it comes the header's '{'. */
    const char *kind = known_kind(start, length);
    if (kind && start[LENGTH_BYTES] != '{')
        return sgti_fail(SGT_E_FORMAT, "%s: %s, no safetensors file", file->path, kind);
    if (length < LENGTH_BYTES)
        return sgti_fail(SGT_E_FORMAT, "%s: is no safetensors file: it has %" PRIu64 " bytes",
                         file->path, length);
    if (*bytes > SGTI_ST_MAX_HEADER)
        return sgti_fail(SGT_E_FORMAT,
                         "%s: is no safetensors file: its header would have %" PRIu64
                         " bytes, more than %" PRIu64,
                         file->path, *bytes, SGTI_ST_MAX_HEADER);
    if (*bytes > file->file.bytes - LENGTH_BYTES)
        return sgti_fail(SGT_E_FORMAT,
                         "%s: is no safetensors file, or cut short: its header would have %" PRIu64
                         " bytes in a file of %" PRIu64, file->path, *bytes, file->file.bytes);
    return SGT_OK;
}

static sgt_status read_header(sgti_safetensors *file)
{
    void *header = NULL;
    uint64_t bytes;
    sgt_status status = read_length(&bytes, file);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&header, file->memory, bytes + 1, 1,
                                  "the header of a safetensors file");
    if (status)
        return status;
    file->data = LENGTH_BYTES + bytes;
    status = sgti_file_read(&file->file, header, bytes, LENGTH_BYTES);
    if (status == SGT_OK)
        status = sgti_safetensors_parse(file, header, bytes, file->file.bytes - file->data);
    sgti_release(file->memory, header, bytes + 1);
    return status;
}

sgt_status sgti_safetensors_open(sgti_safetensors *file, sgti_memory *memory, const char *path)
{
    sgti_safetensors own = {.memory = memory};
    void *copy = NULL;
    uint64_t room = strlen(path) + 1;
    sgt_status status = sgti_allocate_zeroed(&copy, memory, room, 1, "the name of a file");
    if (status)
        return status;
    own.path = memcpy(copy, path, room);
    status = sgti_file_open(&own.file, own.path);
    if (status == SGT_OK)
        status = read_header(&own);
    if (status) {
        sgti_safetensors_close(&own);
        return status;
    }
    *file = own;
    return SGT_OK;
}

void sgti_safetensors_close(sgti_safetensors *file)
{
    if (!file->memory)
        return;
    json_decref(file->header);
    sgti_file_close(&file->file);
    sgti_release(file->memory, file->tensors, file->count * sizeof *file->tensors);
    sgti_release(file->memory, file->by_name, file->count * sizeof *file->by_name);
    if (file->path)
        sgti_release(file->memory, file->path, strlen(file->path) + 1);
    *file = (sgti_safetensors){0};
}

const sgti_st_tensor *sgti_safetensors_find(const sgti_safetensors *file, const char *name)
{
    if (file->count == 0)
        return NULL;
    const sgti_st_tensor *const *found = bsearch(name, file->by_name, (size_t)file->count,
                                                 sizeof *file->by_name, against_name);
    return found ? *found : NULL;
}

const char *sgti_safetensors_metadata(const sgti_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(file->metadata, key));
}

sgt_status sgti_safetensors_read(const sgti_safetensors *file, const sgti_st_tensor *tensor,
                                 void *data, uint64_t bytes, uint64_t offset)
{
    uint64_t place = file->data + tensor->begin + offset;
    sgt_status status = sgti_file_read(&file->file, data, bytes, place);
    if (status)
        return sgti_fail(status, "tensor '%.120s': %s", tensor->name, sgt_error_message());
    return SGT_OK;
}

int sgti_safetensors_checksum(uint64_t *value, const sgti_safetensors *file,
                              const sgti_st_tensor *tensor)
{
    char key[256];
    if (strlen(tensor->name) > sizeof key - sizeof SGTI_ST_CHECKSUM - 1)
        return 0;
    sgti_format(key, sizeof key, SGTI_ST_CHECKSUM ".%s", tensor->name);
    return checksum_of_key(value, file, key);
}
