/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process that saves again and again is killed at random moments: what it leaves is always a
 * whole checkpoint of one of its steps. SGT_TEST_KILLS rounds, 30 by default. And folders: names,
 * the latest, keeping the last, whatever a killed save left.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixtures.h"
#include "scratch.h"
#include "training.h"

static char folder[SCRATCH_PATH];

static void setup(void)
{
    scratch_path(folder, "");
}

/* Saves steps 1, 2, ... to one file until it is killed. */
static void save_for_ever(small_training *t, const char *path)
{
    for (int step = 1;; step = step % TRAINING_STEPS + 1) {
        training_accumulate(t, step);
        training_update(t);
        if (training_save(t, path) != SGT_OK)
            _exit(3);
    }
}

START_TEST(a_kill_leaves_a_whole_file)
{
    const char *wanted = getenv("SGT_TEST_KILLS");
    int rounds = wanted != NULL ? atoi(wanted) : 30, loaded = 0, slower = 1;
    char path[SCRATCH_PATH];
    scratch_path(path, "step-000000000001.safetensors");
    srand(4);
    for (int round = 0; round < rounds; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            small_training t = training_start(1, (uint64_t)round);
            save_for_ever(&t, path);
        }
        struct timespec pause = {0, (5 + rand() % 60) * slower * 1000000L};
        nanosleep(&pause, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a save failed");
        if (access(path, F_OK) != 0) { /* a slow machine saves nothing in that time */
            slower = slower < 8 ? slower + 1 : slower;
            continue;
        }
        small_training t = training_start(1, 1);
        sgt_checkpoint *checkpoint = NULL;
        sgtt_ok(sgt_checkpoint_open(&checkpoint, t.context, path));
        sgtt_ok(sgt_checkpoint_load(t.model, t.optimizer, t.growth, checkpoint, NULL));
        sgt_checkpoint_free(checkpoint);
        sgtt_small_free(&t);
        loaded++;
    }
    ck_assert_int_ge(loaded, rounds / 2);
    sgtt_ok(sgt_checkpoint_keep_last(folder, 1));
    ck_assert_int_eq(access(path, F_OK), 0);
    strcat(path, ".partial");
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static void touch(const char *name)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    scratch_write(path, "x", 1);
}

static int exists(const char *name)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    return access(path, F_OK) == 0;
}

START_TEST(the_last_ones_are_kept)
{
    static const char *const strangers[] = {
        "step-1.safetensors", "step-00000000000x.safetensors", "step-000000000001.safetensors.old",
        "notes", "step-000000000003.safetensor", "other.partial"};
    int64_t step = -1;
    sgtt_fails(sgt_checkpoint_get_latest(&step, folder), SGT_E_NOT_FOUND, "no checkpoint");
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        touch(strangers[i]);
    sgtt_fails(sgt_checkpoint_get_latest(&step, folder), SGT_E_NOT_FOUND, "no checkpoint");
    touch("step-000000000009.safetensors");
    touch("step-000000000010.safetensors");
    touch("step-000000000100.safetensors");
    touch("step-1000000000000.safetensors");
    touch("step-000000000101.safetensors.partial");
    sgtt_ok(sgt_checkpoint_get_latest(&step, folder));
    ck_assert_int_eq(step, 1000000000000);
    sgtt_ok(sgt_checkpoint_keep_last(folder, 2));
    ck_assert(exists("step-1000000000000.safetensors") && exists("step-000000000100.safetensors"));
    ck_assert(!exists("step-000000000009.safetensors") && !exists("step-000000000010.safetensors"));
    ck_assert(!exists("step-000000000101.safetensors.partial"));
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        ck_assert_msg(exists(strangers[i]), "%s", strangers[i]);
    sgtt_fails(sgt_checkpoint_keep_last(folder, 0), SGT_E_OUT_OF_RANGE, "keep is 0");
    sgtt_fails(sgt_checkpoint_keep_last("/nowhere/at all", 1), SGT_E_NOT_FOUND, "/nowhere/at all");
}
END_TEST

/* A folder may be called like a checkpoint, and a step may have 19 digits. */
START_TEST(only_files_are_checkpoints)
{
    char path[SCRATCH_PATH];
    int64_t step = -1;
    scratch_path(path, "step-000000000009.safetensors");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    sgtt_fails(sgt_checkpoint_get_latest(&step, folder), SGT_E_NOT_FOUND, "no checkpoint");
    touch("step-000000000003.safetensors");
    touch("step-000000000004.safetensors");
    sgtt_ok(sgt_checkpoint_get_latest(&step, folder));
    ck_assert_int_eq(step, 4);
    sgtt_ok(sgt_checkpoint_keep_last(folder, 1));
    ck_assert(exists("step-000000000009.safetensors") && exists("step-000000000004.safetensors"));
    ck_assert(!exists("step-000000000003.safetensors"));
    touch("step-9223372036854775807.safetensors");
    touch("step-9223372036854775808.safetensors");
    sgtt_ok(sgt_checkpoint_get_latest(&step, folder));
    ck_assert_int_eq(step, INT64_MAX);
}
END_TEST

START_TEST(paths_are_made)
{
    char path[64] = "";
    size_t bytes = 0;
    sgtt_ok(sgt_checkpoint_get_path(NULL, &bytes, "run", 1000));
    ck_assert_uint_eq(bytes, sizeof "run/step-000000001000.safetensors");
    sgtt_ok(sgt_checkpoint_get_path(path, &bytes, "run", 1000));
    ck_assert_str_eq(path, "run/step-000000001000.safetensors");
    bytes--;
    sgtt_fails(sgt_checkpoint_get_path(path, &bytes, "run", 1000), SGT_E_OUT_OF_RANGE, "needs");
    sgtt_fails(sgt_checkpoint_get_path(path, &bytes, "run", -1), SGT_E_OUT_OF_RANGE, "step is -1");
    sgtt_fails(sgt_checkpoint_get_path(path, &bytes, "", 1), SGT_E_INVALID_ARGUMENT,
               "folder is empty");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("killed saves");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, scratch_remove);
    tcase_add_test(tests, a_kill_leaves_a_whole_file);
    tcase_add_test(tests, the_last_ones_are_kept);
    tcase_add_test(tests, only_files_are_checkpoints);
    tcase_add_test(tests, paths_are_made);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
