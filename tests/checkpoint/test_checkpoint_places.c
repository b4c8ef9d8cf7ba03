/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a file is to be written something lies already: a half that somebody left under the name
 * PATH.partial, a file of another user's; or the file may not grow. What is written is a file that
 * the save made, whole, or the one before stays.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"
#include "training.h"

enum { NOBODY = 65534 };

static small_training t;
static char folder[SCRATCH_PATH], saved[SCRATCH_PATH], partial[SCRATCH_PATH], thesis[SCRATCH_PATH];

/* The files that are written, and who writes them. */
static const struct {
    const char *name, *partial;
    int export;
} places[] = {{"checkpoint", "checkpoint.partial", 0},
              {"model.safetensors", "model.safetensors.partial", 1},
              {"config.json", "config.json.partial", 1}};

static void setup(void)
{
    t = training_start(1, 5);
    scratch_path(folder, "");
    scratch_path(thesis, "thesis");
    umask(022);
}

static void teardown(void)
{
    sgtt_small_free(&t);
    scratch_remove();
}

static sgt_status save(int which)
{
    scratch_path(saved, places[which].name);
    scratch_path(partial, places[which].partial);
    return places[which].export ? sgt_hf_save(t.model, folder, NULL) : training_save(&t, saved);
}

/* There, a file of ours under one name, with these permissions; and nothing half beside it. */
static void check_saved(mode_t permissions)
{
    struct stat there;
    ck_assert_int_eq(lstat(saved, &there), 0);
    ck_assert(S_ISREG(there.st_mode));
    ck_assert_int_eq(there.st_mode & 0777, permissions);
    ck_assert_int_eq(there.st_nlink, 1);
    ck_assert_int_eq(there.st_uid, geteuid());
    ck_assert_int_gt(there.st_size, 100);
    ck_assert_int_ne(access(partial, F_OK), 0);
}

static void check_thesis(void)
{
    unsigned long bytes;
    unsigned char *data = scratch_read(thesis, &bytes);
    ck_assert_uint_eq(bytes, 7);
    ck_assert_int_eq(memcmp(data, "a truth", 7), 0);
    free(data);
}

START_TEST(another_name_of_a_half_keeps_its_bytes)
{
    scratch_path(partial, places[_i].partial);
    scratch_write(thesis, "a truth", 7);
    ck_assert_int_eq(link(thesis, partial), 0);
    sgtt_ok(save(_i));
    check_saved(0644);
    check_thesis();
}
END_TEST

START_TEST(a_half_has_no_say_about_permissions)
{
    scratch_path(partial, places[_i].partial);
    scratch_write(partial, "half", 4);
    ck_assert_int_eq(chmod(partial, 0666), 0);
    sgtt_ok(save(_i));
    check_saved(0644);
}
END_TEST

START_TEST(a_half_of_another_user_is_not_written_to)
{
    if (geteuid() != 0)
        return;
    scratch_path(partial, places[_i].partial);
    scratch_write(partial, "half", 4);
    ck_assert_int_eq(chmod(partial, 0666), 0);
    ck_assert_int_eq(chown(partial, NOBODY, NOBODY), 0);
    int theirs = open(partial, O_RDWR);
    ck_assert_int_ge(theirs, 0);
    sgtt_ok(save(_i));
    check_saved(0644);
    ck_assert_int_eq(pwrite(theirs, "what they like", 14, 0), 14);
    close(theirs);
    sgtt_ok(save(_i)); /* over a file that is not theirs */
    check_saved(0644);
}
END_TEST

START_TEST(a_half_that_is_no_file_goes)
{
    scratch_path(partial, places[_i].partial);
    ck_assert_int_eq(mkfifo(partial, 0600), 0);
    sgtt_ok(save(_i));
    check_saved(0644);
    ck_assert_int_eq(symlink(thesis, partial), 0);
    sgtt_fails(save(_i), SGT_E_IO, places[_i].partial);
    ck_assert_int_eq(unlink(partial), 0);
}
END_TEST

/* Somebody may have made it so that it can be changed afterwards, or hidden it. */
START_TEST(a_file_of_another_user_makes_no_wider)
{
    static const mode_t theirs[] = {0666, 0600}, ours[] = {0644, 0600};
    if (geteuid() != 0)
        return;
    for (int i = 0; i < 2; i++) {
        scratch_path(saved, places[_i].name);
        unlink(saved);
        scratch_write(saved, "{}", 2);
        ck_assert_int_eq(chmod(saved, theirs[i]), 0);
        ck_assert_int_eq(chown(saved, NOBODY, NOBODY), 0);
        sgtt_ok(save(_i));
        check_saved(ours[i]);
    }
}
END_TEST

/* Also those that the umask would not give; but the owner may write. */
START_TEST(a_file_of_ours_keeps_its_permissions)
{
    static const mode_t before[] = {0664, 0400}, after[] = {0664, 0600};
    for (int i = 0; i < 2; i++) {
        sgtt_ok(save(_i));
        ck_assert_int_eq(chmod(saved, before[i]), 0);
        sgtt_ok(save(_i));
        check_saved(after[i]);
    }
}
END_TEST

/* ---- the limit on the size of files ---- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static sigset_t limit_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    return set;
}

static int waits(void)
{
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, SIGXFSZ);
}

static void check_refused(int which)
{
    struct rlimit limit, before;
    struct stat whole;
    char kept[SCRATCH_PATH];
    scratch_path(kept, "kept");
    sgtt_ok(save(which));
    ck_assert_int_eq(link(saved, kept), 0);
    ck_assert_int_eq(stat(saved, &whole), 0);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = (rlim_t)whole.st_size / 2;
    setrlimit(RLIMIT_FSIZE, &limit);
    sgt_status status = save(which);
    setrlimit(RLIMIT_FSIZE, &before);
    sgtt_fails(status, SGT_E_IO, "File too large");
    ck_assert(scratch_equal(saved, kept));
    ck_assert_int_ne(access(partial, F_OK), 0);
    ck_assert_int_eq(unlink(kept), 0);
}

START_TEST(a_limit_on_sizes_is_an_error)
{
    sigset_t set = limit_signal();
    int which = _i;
    check_refused(which); /* what the system does by itself: end the process */
    signal(SIGXFSZ, SIG_IGN);
    check_refused(which);
    signal(SIGXFSZ, count_signal);
    check_refused(which);
    ck_assert_int_eq(signals, 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    check_refused(which);
    ck_assert(!waits());
    raise(SIGXFSZ); /* the host's own */
    check_refused(which);
    ck_assert(waits());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    ck_assert_int_eq(signals, 1);
}
END_TEST

int main(void)
{
    const int count = (int)(sizeof places / sizeof *places);
    Suite *suite = suite_create("places of files");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, another_name_of_a_half_keeps_its_bytes, 0, count);
    tcase_add_loop_test(cases, a_half_has_no_say_about_permissions, 0, count);
    tcase_add_loop_test(cases, a_half_of_another_user_is_not_written_to, 0, count);
    tcase_add_loop_test(cases, a_half_that_is_no_file_goes, 0, count);
    tcase_add_loop_test(cases, a_file_of_another_user_makes_no_wider, 0, count);
    tcase_add_loop_test(cases, a_file_of_ours_keeps_its_permissions, 0, count);
    tcase_add_loop_test(cases, a_limit_on_sizes_is_an_error, 0, 2);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
