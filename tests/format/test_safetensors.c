/* SPDX-License-Identifier: BSD-3-Clause */
/* What is written is read again; where it lies; what a failed write leaves. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "format/safetensors.h"

#include "scratch.h"
#include "testing.h"

static sgti_memory memory;
static char path[SCRATCH_PATH];

static void setup(void)
{
    scratch_path(path, "file.safetensors");
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
}

static void teardown(void)
{
    ck_assert_uint_eq(memory.current, 0);
    sgti_memory_destroy(&memory);
    scratch_remove();
}

static const float values[6] = {1.0f, -2.5f, 0.0f, 1e-3f, 65504.0f, -0.333f};

static sgt_status put(void *user, sgti_st_writer *writer, const sgti_st_output *output)
{
    unsigned char stored[64];
    uint64_t count = output->rank == 0 ? 1 : output->shape[0];
    if (user != NULL)
        return sgti_fail(*(sgt_status *)user, "no bytes today");
    if (output->dtype == SGTI_ST_U8)
        return sgti_safetensors_put(writer, "bytes", count);
    if (output->dtype == SGTI_ST_F64)
        return sgti_safetensors_put(writer, &(double){0.1}, 8);
    sgti_st_from_float(stored, values, output->dtype, count);
    return sgti_safetensors_put(writer, stored, count * sgti_st_element_bytes(output->dtype));
}

static sgt_status write_sample(int checksums, void *user)
{
    sgti_st_output outputs[] = {
        {.name = "bytes", .dtype = SGTI_ST_U8, .rank = 1, .shape = {5}},
        {.name = "bf16", .dtype = SGTI_ST_BF16, .rank = 1, .shape = {6}},
        {.name = "f16", .dtype = SGTI_ST_F16, .rank = 1, .shape = {6}},
        {.name = "f32 \"quoted\" \xc3\xa9", .dtype = SGTI_ST_F32, .rank = 1, .shape = {6}},
        {.name = "empty", .dtype = SGTI_ST_F32, .rank = 1, .shape = {0}},
        {.name = "scalar", .dtype = SGTI_ST_F64, .rank = 0},
    };
    json_t *metadata = json_pack("{s:s}", "key", "\"sgt.xxh3\":\"value\"");
    sgt_status status = sgti_safetensors_write(path, &memory, outputs, 6, metadata, checksums, put,
                                               user);
    json_decref(metadata);
    return status;
}

static void check_floats(const sgti_safetensors *file, const char *name, float relative)
{
    unsigned char stored[64];
    float read[6];
    const sgti_st_tensor *tensor = sgti_safetensors_find(file, name);
    ck_assert_ptr_nonnull(tensor);
    sgtt_ok(sgti_st_check_float(file, tensor));
    sgtt_ok(sgti_safetensors_read(file, tensor, stored, tensor->end - tensor->begin, 0));
    sgti_st_to_float(read, stored, tensor->dtype, 6);
    for (int i = 0; i < 6; i++)
        ck_assert_float_le(read[i] > values[i] ? read[i] - values[i] : values[i] - read[i],
                           relative * (values[i] > 0 ? values[i] : -values[i]));
}

START_TEST(written_is_read)
{
    sgti_safetensors file;
    char bytes[5];
    double scalar = 0;
    float as_float;
    sgtt_ok(write_sample(_i, NULL));
    sgtt_ok(sgti_safetensors_open(&file, &memory, path));
    ck_assert_uint_eq(file.count, 6);
    ck_assert_uint_eq(file.data % 64, 0);
    ck_assert_str_eq(sgti_safetensors_metadata(&file, "key"), "\"sgt.xxh3\":\"value\"");
    check_floats(&file, "f32 \"quoted\" \xc3\xa9", 0.0f);
    check_floats(&file, "f16", 1.0f / 2048);
    check_floats(&file, "bf16", 1.0f / 256);
    const sgti_st_tensor *tensor = sgti_safetensors_find(&file, "bytes");
    sgtt_fails(sgti_st_check_float(&file, tensor), SGT_E_UNSUPPORTED, "'bytes': dtype U8");
    sgtt_ok(sgti_safetensors_read(&file, tensor, bytes, 5, 0));
    ck_assert_mem_eq(bytes, "bytes", 5);
    tensor = sgti_safetensors_find(&file, "scalar");
    ck_assert_int_eq(tensor->rank, 0);
    ck_assert_uint_eq(tensor->begin, 0); /* the widest type lies first */
    sgtt_ok(sgti_safetensors_read(&file, tensor, &scalar, 8, 0));
    sgti_st_to_float(&as_float, &scalar, SGTI_ST_F64, 1);
    ck_assert_float_eq(as_float, 0.1f);
    sgti_safetensors_close(&file);
}
END_TEST

START_TEST(a_flipped_bit_of_the_header_is_seen)
{
    unsigned long bytes;
    unsigned char *data;
    sgti_safetensors file;
    if (!sgti_checksums_exist())
        return;
    sgtt_ok(write_sample(1, NULL));
    data = scratch_read(path, &bytes);
    unsigned long header = data[0] + 256ul * data[1] + 8;
    for (unsigned long i = 0; i < header; i++) {
        data[i] ^= (unsigned char)(1 << i % 8);
        scratch_write(path, data, bytes);
        ck_assert_msg(sgti_safetensors_open(&file, &memory, path) < 0, "bit of byte %lu", i);
        data[i] ^= (unsigned char)(1 << i % 8);
    }
    free(data);
}
END_TEST

/* The file as it was, and nothing beside it. */
static void check_untouched(void)
{
    char partial[SCRATCH_PATH];
    unsigned long bytes;
    unsigned char *data = scratch_read(path, &bytes);
    ck_assert_mem_eq(data, "before", 6);
    free(data);
    scratch_path(partial, "file.safetensors.partial");
    ck_assert_int_ne(access(partial, F_OK), 0);
}

START_TEST(a_failed_write_leaves_what_was)
{
    sgt_status own = 77;
    scratch_write(path, "before", 6);
    sgtt_fails(write_sample(0, &own), own, "no bytes today");
    check_untouched();
}
END_TEST

START_TEST(a_full_disk_is_a_status)
{
    struct rlimit before, small;
    scratch_write(path, "before", 6);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){300, before.rlim_max};
    int limited = setrlimit(RLIMIT_FSIZE, &small); /* Check writes files too: nothing of it here */
    sgt_status status = write_sample(0, NULL);
    int restored = setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(limited, 0);
    ck_assert_int_eq(restored, 0);
    sgtt_fails(status, SGT_E_IO, "file.safetensors.partial: cannot be written");
    check_untouched();
}
END_TEST

START_TEST(a_folder_without_leave_is_a_status)
{
    char folder[SCRATCH_PATH];
    scratch_path(folder, "");
    scratch_write(path, "before", 6);
    ck_assert_int_eq(chmod(folder, 0500), 0);
    if (getuid() == 0) /* who may write everywhere */
        ck_assert_int_eq(seteuid(65534), 0);
    sgt_status status = write_sample(0, NULL);
    ck_assert_int_eq(seteuid(getuid()), 0);
    ck_assert_int_eq(status, SGT_E_IO);
    ck_assert_int_eq(chmod(folder, 0700), 0);
    check_untouched();
    snprintf(path, sizeof path, "%.480s/no/file", folder);
    sgtt_fails(write_sample(0, NULL), SGT_E_IO,
               "no/file: cannot be created: its folder is not there");
}
END_TEST

START_TEST(a_second_writer_fails)
{
    sgti_new_file first = {0}, second = {0};
    sgtt_ok(sgti_new_file_open(&first, &memory, path));
    sgtt_fails(sgti_new_file_open(&second, &memory, path), SGT_E_IO, "by somebody else");
    sgtt_ok(sgti_new_file_write(&first, "whole", 5));
    sgtt_ok(sgti_new_file_commit(&first));
    /* The lock goes with the file, not with the name. */
    sgtt_ok(sgti_new_file_open(&second, &memory, path));
    sgti_new_file_close(&first);
    sgti_new_file_close(&second);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_a_dead_writer_left_is_written_over)
{
    char partial[SCRATCH_PATH];
    sgti_safetensors file;
    scratch_path(partial, "file.safetensors.partial");
    scratch_write(partial,
                  "a much longer text than the file that comes now ................."
                  "................................................................."
                  "................................................................."
                  "................................................................."
                  "................................................................."
                  ".................................................................",
                  380);
    ck_assert_int_eq(truncate(partial, 100000), 0);
    sgtt_ok(write_sample(1, NULL));
    sgtt_ok(sgti_safetensors_open(&file, &memory, path));
    sgti_safetensors_close(&file);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2) { /* a sample for another reader */
        snprintf(path, sizeof path, "%s", argv[1]);
        return sgti_memory_init(&memory, NULL, 0) || write_sample(sgti_checksums_exist(), NULL);
    }
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, written_is_read, 0, 1 + sgti_checksums_exist());
    tcase_add_test(tests, a_flipped_bit_of_the_header_is_seen);
    tcase_add_test(tests, a_failed_write_leaves_what_was);
    tcase_add_test(tests, a_full_disk_is_a_status);
    tcase_add_test(tests, a_folder_without_leave_is_a_status);
    tcase_add_test(tests, a_second_writer_fails);
    tcase_add_test(tests, what_a_dead_writer_left_is_written_over);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
