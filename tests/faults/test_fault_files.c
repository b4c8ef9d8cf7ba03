/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything the library asks of the system about files fails in turn, in each way that it may: an
 * error is reported with the name of the file and leaves no descriptor open and no half of a file,
 * a call that was interrupted or moved a part only is gone on with, and at every moment there is a
 * whole checkpoint, on the disk too.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "io_shim.h"
#include "whole_life.h"

#define USUAL_STEP 3 /* of the reads and writes, of which there are many */

typedef enum expected {
    REPORTED,     /* by exactly one call, once more by none */
    GONE_ON_WITH, /* nobody notices */
    EITHER        /* only where it matters */
} expected;

static const struct {
    const char *name;
    io_fault fault;
    expected expected;
    sgt_status status; /* SGT_OK: SGT_E_IO */
} faults[] = {
    {"open: I/O error", {IO_OPEN, EIO, 0}, REPORTED, 0},
    {"open: no descriptor", {IO_OPEN, EMFILE, 0}, REPORTED, 0},
    {"open: disk full", {IO_OPEN, ENOSPC, 0}, REPORTED, 0},
    {"open: interrupted", {IO_OPEN, EINTR, 0}, GONE_ON_WITH, 0},
    {"read: I/O error", {IO_READ, EIO, 0}, REPORTED, 0},
    {"read: interrupted", {IO_READ, EINTR, 0}, GONE_ON_WITH, 0},
    {"read: one byte", {IO_READ, 0, 1}, GONE_ON_WITH, 0},
    {"read: half", {IO_READ, 0, 2}, EITHER, 0}, /* half of one byte is the end of the file */
    {"read: the file was cut", {IO_READ, 0, 3}, REPORTED, 0},
    {"write: I/O error", {IO_WRITE, EIO, 0}, REPORTED, 0},
    {"write: disk full", {IO_WRITE, ENOSPC, 0}, REPORTED, 0},
    {"write: quota", {IO_WRITE, EDQUOT, 0}, REPORTED, 0},
    {"write: interrupted", {IO_WRITE, EINTR, 0}, GONE_ON_WITH, 0},
    {"write: one byte", {IO_WRITE, 0, 1}, GONE_ON_WITH, 0},
    {"write: half", {IO_WRITE, 0, 2}, EITHER, 0},
    {"write: nothing", {IO_WRITE, 0, 3}, REPORTED, 0},
    {"fsync: I/O error", {IO_FSYNC, EIO, 0}, REPORTED, 0},
    {"fsync: disk full", {IO_FSYNC, ENOSPC, 0}, REPORTED, 0},
    {"fsync: interrupted", {IO_FSYNC, EINTR, 0}, GONE_ON_WITH, 0},
    {"flock: somebody else's", {IO_LOCK, EWOULDBLOCK, 0}, REPORTED, 0},
    {"flock: no locks here", {IO_LOCK, ENOLCK, 0}, GONE_ON_WITH, 0},
    {"flock: interrupted", {IO_LOCK, EINTR, 0}, GONE_ON_WITH, 0},
    {"stat: I/O error", {IO_EXAMINE, EIO, 0}, REPORTED, 0},
    {"rename: I/O error", {IO_RENAME, EIO, 0}, REPORTED, 0},
    {"rename: disk full", {IO_RENAME, ENOSPC, 0}, REPORTED, 0},
    {"remove: I/O error", {IO_REMOVE, EIO, 0}, REPORTED, 0},
    {"remove: gone already", {IO_REMOVE, ENOENT, 0}, EITHER, 0},
    {"fchmod: not permitted", {IO_MODE, EPERM, 0}, REPORTED, 0},
    {"close: I/O error", {IO_CLOSE, EIO, 0}, GONE_ON_WITH, 0},
    {"close: interrupted", {IO_CLOSE, EINTR, 0}, GONE_ON_WITH, 0},
    {"opendir: I/O error", {IO_OPEN_FOLDER, EIO, 0}, REPORTED, 0},
    {"opendir: no memory", {IO_OPEN_FOLDER, ENOMEM, 0}, REPORTED, SGT_E_OUT_OF_MEMORY},
    {"readdir: I/O error", {IO_READ_FOLDER, EIO, 0}, REPORTED, 0},
};

#define FAULTS (int)(sizeof faults / sizeof *faults)

/* ---- the checkpoint that is there ---- */

/* Opens and loads whole, checksums and all. */
static void check_file(const char *path)
{
    sgt_context *context = NULL;
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = NULL;
    sgt_context_options options = sgtt_model_options();
    options.threads = 1;
    options.backend = "portable";
    sgtt_ok(sgt_context_create(&context, &options));
    sgtt_ok(sgt_checkpoint_open(&checkpoint, context, path));
    sgtt_ok(sgt_checkpoint_create(&model, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_model_free(model);
    sgt_checkpoint_free(checkpoint);
    sgt_context_free(context);
}

static int ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

/* Nothing is left of a file that was not finished. */
static void look_for_halves(const char *folder)
{
    DIR *opened = opendir(folder);
    ck_assert_ptr_nonnull(opened);
    for (struct dirent *entry; (entry = readdir(opened)) != NULL;)
        ck_assert_msg(!ends_with(entry->d_name, ".partial"), "%s is left", entry->d_name);
    closedir(opened);
}

/* Every checkpoint in the folder is whole, and the message named some file of it. */
static void look_at_folder(const training_life *life)
{
    char folder[SCRATCH_PATH], path[SCRATCH_PATH];
    struct dirent *entry;
    scratch_path(folder, "");
    ck_assert_msg(strstr(life->refusal, folder) != NULL, "no file is named: %s", life->refusal);
    /* What somebody else has locked is his to remove. */
    if (io_fault_now.call != IO_REMOVE && io_fault_now.call != IO_LOCK) {
        look_for_halves(folder);
        scratch_path(path, "hf");
        look_for_halves(path);
    }
    DIR *opened = opendir(folder);
    ck_assert_ptr_nonnull(opened);
    while ((entry = readdir(opened)) != NULL) {
        if (!ends_with(entry->d_name, ".safetensors"))
            continue;
        scratch_path(path, entry->d_name);
        check_file(path);
    }
    closedir(opened);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *opened = opendir("/proc/self/fd");
    if (opened == NULL)
        return -1;
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count;
}

/* ---- sweeps ---- */

static int64_t live(training_life *life, io_fault fault, int64_t at, int64_t most,
                    sgt_status status)
{
    *life = (training_life){.options = sgtt_model_options(),
                         .allowed = {status != SGT_OK ? status : SGT_E_IO},
                         .faults = &io_sweep,
                         .look = look_at_folder};
    life->options.threads = 1;
    io_fault_now = fault;
    io_renames_unsafe = 0;
    sweep_arm(&io_sweep, at, most);
    int before = open_descriptors();
    whole_life_run(life);
    int after = open_descriptors();
    ck_assert_msg(before == after, "%d descriptors are open, %d were (%s)", after, before,
                  life->refusal);
    return io_sweep.calls;
}

static void check_noticed(int which, const training_life *life, int64_t at)
{
    if (faults[which].expected == REPORTED)
        ck_assert_msg(life->refused == 1, "%s: call %d: %d calls were refused (%s)",
                      faults[which].name, (int)at, (int)life->refused, life->refusal);
    if (faults[which].expected == GONE_ON_WITH)
        ck_assert_msg(io_renames_unsafe == 0, "%s: call %d: a file may be lost", faults[which].name,
                      (int)at);
    if (faults[which].expected == GONE_ON_WITH)
        ck_assert_msg(life->refused == 0, "%s: call %d: %s", faults[which].name, (int)at,
                      life->refusal);
}

static int64_t next(int64_t at, io_call call)
{
    return sweep_next(at, call == IO_READ || call == IO_WRITE ? USUAL_STEP : 1);
}

START_TEST(a_call_fails_once)
{
    static training_life quiet, life;
    io_fault fault = faults[_i].fault;
    int64_t calls = live(&quiet, fault, -1, 0, 0), failed = 0;
    ck_assert_int_gt(calls, 0);
    ck_assert_int_eq(quiet.refused, 0);
    for (int64_t at = 0; at < calls; at = next(at, fault.call)) {
        live(&life, fault, at, 1, faults[_i].status);
        ck_assert_int_eq(io_sweep.failed, 1);
        check_noticed(_i, &life, at);
        life_check_equal(&quiet, &life, faults[_i].name);
        failed += io_sweep.failed;
    }
    sweep_report(faults[_i].name, calls, failed);
}
END_TEST

/* Until somebody says so: nothing goes on for ever, cleaning up fails as well. */
START_TEST(a_call_fails_again_and_again)
{
    static training_life quiet, life;
    io_fault fault = faults[_i].fault;
    if (fault.error == EINTR || fault.shorter == 1)
        return; /* these go on, and rightly */
    int64_t calls = live(&quiet, fault, -1, 0, 0), failed = 0;
    for (int64_t at = 0; at < calls; at = next(next(at, fault.call), fault.call)) {
        live(&life, fault, at, INT64_MAX, faults[_i].status);
        ck_assert_int_ge(io_sweep.failed, 1);
        life_check_equal(&quiet, &life, faults[_i].name);
        failed += io_sweep.failed;
    }
    sweep_report(faults[_i].name, calls, failed);
}
END_TEST

/* The list above has every kind of call that a life makes. */
START_TEST(every_kind_of_call_is_made)
{
    static training_life life;
    io_renames = io_renames_unsafe = 0;
    live(&life, faults[0].fault, -1, 0, 0);
    ck_assert_int_ge(io_renames, 7);
    ck_assert_int_eq(io_renames_unsafe, 0);
    for (int call = 0; call < IO_CALLS; call++) {
        int listed = 0;
        for (int i = 0; i < FAULTS; i++)
            listed |= (int)faults[i].fault.call == call;
        ck_assert(listed);
        ck_assert_msg(io_calls_made[call] > 0, "no call of kind %d was made", call);
    }
}
END_TEST

/* Where locks do not tell whether somebody is writing. */
START_TEST(partial_files_stay_without_locks)
{
    char path[SCRATCH_PATH], folder[SCRATCH_PATH];
    scratch_path(folder, "");
    scratch_path(path, "step-000000000007.safetensors.partial");
    scratch_write(path, "half", 4);
    io_fault_now = (io_fault){IO_LOCK, ENOLCK, 0};
    sweep_arm(&io_sweep, 0, INT64_MAX);
    io_sweep.inside = 1;
    sgt_status status = sgt_checkpoint_keep_last(folder, 1);
    io_sweep.inside = 0;
    sweep_lift(&io_sweep);
    sgtt_ok(status);
    ck_assert_int_ge(io_sweep.failed, 1);
    ck_assert_int_eq(access(path, F_OK), 0);
    sgtt_ok(sgt_checkpoint_keep_last(folder, 1));
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files fail");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_test(cases, every_kind_of_call_is_made);
    tcase_add_test(cases, partial_files_stay_without_locks);
    tcase_add_loop_test(cases, a_call_fails_once, 0, FAULTS);
    tcase_add_loop_test(cases, a_call_fails_again_and_again, 0, FAULTS);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
