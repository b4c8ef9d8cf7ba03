/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are not what they say: each is refused with a message that names what is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/safetensors.h"

#include "scratch.h"
#include "testing.h"

typedef struct attack {
    const char *header;
    uint64_t data_bytes;
    sgt_status status;
    const char *message;
} attack;

#define A(dtype, shape, begin, end)                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const attack attacks[] = {
    {"", 0, SGT_E_FORMAT, "does not start with '{'"},
    {" {}", 0, SGT_E_FORMAT, "does not start with '{'"},
    {"[1]", 0, SGT_E_FORMAT, "does not start with '{'"},
    {"{", 0, SGT_E_FORMAT, "header"},
    {"{}x", 0, SGT_E_FORMAT, "header"},
    {"{\"\xff\":1}", 0, SGT_E_FORMAT, "header"},
    {"{\"a\":" A("F32", "[1]", "0", "4") ",\"a\":" A("F32", "[1]", "4", "8") "}", 8, SGT_E_FORMAT,
     "duplicate"},
    {"{\"a\":1}", 0, SGT_E_FORMAT, "'a': is not an object"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SGT_E_FORMAT, "'a': does not have dtype"},
    {"{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SGT_E_FORMAT,
     "dtype is not a string"},
    {"{\"a\":" A("F32", "1", "0", "4") "}", 4, SGT_E_FORMAT, "shape is not a list"},
    {"{\"a\":" A("F32", "[-1]", "0", "4") "}", 4, SGT_E_FORMAT, "something else than sizes"},
    {"{\"a\":" A("F32", "[1.0]", "0", "4") "}", 4, SGT_E_FORMAT, "something else than sizes"},
    {"{\"a\":" A("F32", "[\"1\"]", "0", "4") "}", 4, SGT_E_FORMAT, "something else than sizes"},
    {"{\"a\":" A("F32", "[18446744073709551616]", "0", "4") "}", 4, SGT_E_FORMAT, "too big"},
    {"{\"a\":" A("F32", "[4294967296,4294967296,1]", "0", "4") "}", 4, SGT_E_FORMAT, "product"},
    {"{\"a\":" A("F32", "[4611686018427387904]", "0", "0") "}", 0, SGT_E_FORMAT,
     "size does not fit"},
    {"{\"a\":" A("F32", "[1]", "-4", "0") "}", 4, SGT_E_FORMAT, "are not two offsets"},
    {"{\"a\":" A("F32", "[1]", "4", "0") "}", 4, SGT_E_FORMAT, "wrong way round"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, SGT_E_FORMAT,
     "are not two offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, SGT_E_FORMAT,
     "are not two offsets"},
    {"{\"a\":" A("F32", "[1]", "4", "8") "}", 8, SGT_E_FORMAT, "'a': there is a hole"},
    {"{\"a\":" A("F32", "[1]", "0", "4") ",\"b\":" A("F32", "[1]", "8", "12") "}", 12, SGT_E_FORMAT,
     "'b': there is a hole"},
    {"{\"a\":" A("F32", "[2]", "0", "8") ",\"b\":" A("F32", "[1]", "4", "8") "}", 8, SGT_E_FORMAT,
     "'b': it overlaps"},
    {"{\"a\":" A("F32", "[1]", "0", "4") ",\"b\":" A("F32", "[1]", "0", "4") "}", 4, SGT_E_FORMAT,
     "overlaps"},
    {"{\"a\":" A("F32", "[2]", "0", "4") "}", 4, SGT_E_FORMAT, "do not fit dtype and shape"},
    {"{\"a\":" A("F32", "[1]", "0", "8") "}", 8, SGT_E_FORMAT, "do not fit dtype and shape"},
    {"{\"a\":" A("F4", "[3]", "0", "1") "}", 1, SGT_E_FORMAT, "do not fit dtype and shape"},
    {"{\"a\":" A("F32", "[2]", "0", "8") "}", 4, SGT_E_FORMAT, "behind the end of the file"},
    {"{\"a\":" A("F32", "[1]", "0", "4") "}", 9, SGT_E_FORMAT, "5 bytes behind the last tensor"},
    {"{}", 1, SGT_E_FORMAT, "1 bytes behind the last tensor"},
    {"{\"a\":" A("Q7", "[1]", "0", "4") "}", 4, SGT_E_UNSUPPORTED, "'a': dtype 'Q7' is not known"},
    /* An unknown type must not hide what is wrong with its place. */
    {"{\"a\":" A("Q7", "[1]", "0", "99") "}", 4, SGT_E_FORMAT, "behind the end of the file"},
    {"{\"a\":" A("Q7", "[1]", "4", "8") "}", 8, SGT_E_FORMAT, "hole"},
    {"{\"__metadata__\":[]}", 0, SGT_E_FORMAT, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, SGT_E_FORMAT, "'a' is not a string"},
    {"{\"a\":[[[[1]]]]}", 0, SGT_E_FORMAT, "nested too deeply"},
    {"{\"a\":{\"shape\":[[[1]]]}}", 0, SGT_E_FORMAT, "nested too deeply"},
    {"{\"a\":{\"b\":{\"c\":{}}}}", 0, SGT_E_FORMAT, "'a': does not have dtype"},
    {"{\"__metadata__\":null,\"a\":null}", 0, SGT_E_FORMAT, "'a': is not an object"},
    {"{\"__metadata__\":null,\"__metadata__\":{}}", 0, SGT_E_FORMAT, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"shape\":[1]}}", 4,
     SGT_E_FORMAT, "duplicate"},
    {"{\"__metadata__\":{\"sgt.xxh3.a\":\"0\"}}", 0, SGT_E_FORMAT, "checksum of the header"},
    {"{\"a\":{\"sgt.xxh3\":\"1\"}}", 0, SGT_E_FORMAT, "'a'"},
};

static sgti_memory memory;
static char path[SCRATCH_PATH];

static void setup(void)
{
    scratch_path(path, "attack.safetensors");
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.current, 0);
    sgti_memory_destroy(&memory);
    scratch_remove();
}

/* A file with this length before its header, this header, and so many bytes. */
static void write_file(uint64_t length, const char *header, uint64_t header_bytes,
                       uint64_t data_bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 8; i++)
        fputc((int)(length >> (8 * i) & 255), file);
    fwrite(header, 1, header_bytes, file);
    for (uint64_t i = 0; i < data_bytes; i++)
        fputc((int)i, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(an_attack_is_refused)
{
    const attack *a = &attacks[_i];
    sgti_safetensors file;
    write_file(strlen(a->header), a->header, strlen(a->header), a->data_bytes);
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), a->status, a->message);
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), "attack.safetensors"));
}
END_TEST

/* As the reference reader takes them. */
START_TEST(what_the_reference_takes_is_taken)
{
    static const char *const headers[] = {
        "{\"__metadata__\":null,\"a\":" A("F32", "[1]", "0", "4") "}",
        "{\"a\":" A("F32", "[1]", "0", "4") ",\"__metadata__\":null}",
        "{\"a\":{\"extra\":1,\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],"
        "\"extra\":{\"b\":[{\"c\":[[1e999]]}]},\"extra\":\"\\ud800\"}}",
    };
    sgti_safetensors file;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        write_file(strlen(headers[i]), headers[i], strlen(headers[i]), 4);
        sgtt_ok(sgti_safetensors_open(&file, &memory, path));
        ck_assert_uint_eq(file.count, 1);
        ck_assert_ptr_null(file.metadata);
        ck_assert_str_eq(file.tensors[0].name, "a");
        sgti_safetensors_close(&file);
    }
}
END_TEST

START_TEST(a_hostile_length_is_refused)
{
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63,
                                       (uint64_t)1 << 32, SGTI_ST_MAX_HEADER + 1};
    sgti_safetensors file;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        write_file(lengths[i], "{}", 2, 0);
        sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT,
                   "more than 100000000");
    }
    write_file(3, "{}", 2, 0);
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT, "in a file of 10");
}
END_TEST

/* Files of other kinds are called what they are. */
START_TEST(other_kinds_of_files_are_named)
{
    static const struct {
        const char *bytes;
        uint64_t count;
        const char *message;
    } files[] = {
        {"GGUF\3\0\0\0\x20\1\0\0\0\0\0\0", 16, "is a GGUF file, no safetensors file"},
        {"GGUF", 4, "is a GGUF file"},
        {"PK\3\4\0\0\x8\x8\0\0", 10,
         "is a zip archive, as torch.save makes one, no safetensors file"},
        {"\x80\2\x8a\nl\xfc\x9c\x46\xf9 ", 10, "is a pickle, no safetensors file"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "is a pointer of Git LFS, no"},
        {"root:x:0:0:root:/root:/bin/bash\n", 32, "is no safetensors file: its header would have"},
        {"hello", 5, "is no safetensors file: it has 5 bytes"},
        {"", 0, "is no safetensors file: it has 0 bytes"},
        {"\2\0\0\0\0\0\0\0[]", 10, "this is no safetensors file"},
        {"\x80\2\0\0\0\0\0\0{}", 10, "or cut short: its header would have 640 bytes"},
    };
    sgti_safetensors file;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        scratch_write(path, files[i].bytes, files[i].count);
        sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT, files[i].message);
        const char *named = strstr(sgt_error_message(), path);
        ck_assert_ptr_nonnull(named);
        ck_assert_ptr_null(strstr(named + 1, path)); /* once */
    }
}
END_TEST

START_TEST(an_escape_at_the_end_is_no_way_out)
{
    sgti_safetensors file;
    write_file(3, "{\"\\", 3, 0);
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT, "header");
    write_file(9, "{\"a\":1}\0 ", 9, 0);
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT, "header");
}
END_TEST

START_TEST(too_many_values_are_refused_before_they_take_memory)
{
    uint64_t count = SGTI_JSON_MOST_VALUES + 2;
    char *header = malloc(2 * count + 6);
    sgti_safetensors file;
    ck_assert_ptr_nonnull(header);
    memcpy(header, "{\"a\":[", 6);
    for (uint64_t i = 0; i < count; i++)
        memcpy(header + 6 + 2 * i, "1,", 2);
    write_file(2 * count + 6, header, 2 * count + 6, 0);
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT, "too many values");
    free(header);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    static const char header[] = "{\"a\":" A("F32", "[2]", "0", "8") ",\"b\":" A("U8", "[]", "8",
                                                                                 "9") "}   ";
    sgti_safetensors file;
    uint64_t all = 8 + sizeof header - 1 + 9;
    for (uint64_t bytes = 0; bytes < all; bytes++) {
        write_file(sizeof header - 1, header, sizeof header - 1, 9);
        ck_assert_int_eq(truncate(path, (off_t)bytes), 0);
        ck_assert_int_eq(sgti_safetensors_open(&file, &memory, path), SGT_E_FORMAT);
    }
    write_file(sizeof header - 1, header, sizeof header - 1, 9);
    sgtt_ok(sgti_safetensors_open(&file, &memory, path));
    sgti_safetensors_close(&file);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    char folder[SCRATCH_PATH];
    sgti_safetensors file;
    scratch_path(folder, "");
    sgtt_fails(sgti_safetensors_open(&file, &memory, folder), SGT_E_IO, "not a regular file");
    sgtt_fails(sgti_safetensors_open(&file, &memory, path), SGT_E_NOT_FOUND, path);
}
END_TEST

START_TEST(a_file_that_shrinks_is_a_status)
{
    static const char header[] = "{\"a\":" A("F32", "[2]", "0", "8") "}";
    sgti_safetensors file;
    float values[2];
    write_file(sizeof header - 1, header, sizeof header - 1, 8);
    sgtt_ok(sgti_safetensors_open(&file, &memory, path));
    sgtt_ok(sgti_safetensors_read(&file, &file.tensors[0], values, 8, 0));
    ck_assert_int_eq(truncate(path, (off_t)file.data + 6), 0);
    sgtt_fails(sgti_safetensors_read(&file, &file.tensors[0], values, 8, 0), SGT_E_IO,
               "tensor 'a'");
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), "it was longer"));
    sgti_safetensors_close(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attacks on safetensors");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, an_attack_is_refused, 0, sizeof attacks / sizeof attacks[0]);
    tcase_add_test(tests, what_the_reference_takes_is_taken);
    tcase_add_test(tests, a_hostile_length_is_refused);
    tcase_add_test(tests, other_kinds_of_files_are_named);
    tcase_add_test(tests, an_escape_at_the_end_is_no_way_out);
    tcase_add_test(tests, too_many_values_are_refused_before_they_take_memory);
    tcase_add_test(tests, every_truncation_is_refused);
    tcase_add_test(tests, what_is_no_file_is_refused);
    tcase_add_test(tests, a_file_that_shrinks_is_a_status);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
