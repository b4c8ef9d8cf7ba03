/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders of checkpoints, which are named by their steps: finds the latest, and keeps only the last
 * ones. Names have 12 digits, so that they sort by step. */
#include <sgt/checkpoint.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/error.h"
#include "../base/files.h"
#include "../base/folders.h"
#include "../base/float_mode.h"
#include "../base/text.h"

#define STEM   "step-"
#define SUFFIX ".safetensors"

enum { DIGITS = 12, MOST_NAME = 64 };

/* Returns 1 when `name` is what a checkpoint of some step is called, with `tail` behind it. The
 * step is printed again and compared, so that only names which this library makes count. */
static int read_name(int64_t *step, const char *name, const char *tail)
{
    char expected[MOST_NAME];
    if (strncmp(name, STEM, strlen(STEM)) != 0)
        return 0;
    const char *digits = name + strlen(STEM);
    if (strspn(digits, "0123456789") < DIGITS)
        return 0;
    int64_t found = strtoll(digits, NULL, 10); /* beyond 64 bits it is cut, and prints otherwise */
    sgti_format(expected, sizeof expected, STEM "%0*" PRId64 SUFFIX "%s", DIGITS, found, tail);
    if (strcmp(name, expected) != 0)
        return 0;
    *step = found;
    return 1;
}

sgt_status sgt_checkpoint_get_path(char *path, size_t *bytes, const char *folder, int64_t step)
{
    SGTI_DEFAULT_FLOATS;
    char name[MOST_NAME];
    if (!bytes)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "bytes is NULL");
    sgt_status status = sgti_check_path(folder, "folder");
    if (status)
        return status;
    if (step < 0)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "step is %" PRId64 ", below 0", step);
    sgti_format(name, sizeof name, STEM "%0*" PRId64 SUFFIX, DIGITS, step);
    size_t needed = strlen(folder) + strlen(name) + 2;
    if (path) {
        if (*bytes < needed)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "bytes is %zu, the path needs %zu", *bytes,
                             needed);
        sgti_format(path, needed, "%s/%s", folder, name);
    }
    *bytes = needed;
    return SGT_OK;
}

sgt_status sgt_checkpoint_get_latest(int64_t *step, const char *folder)
{
    SGTI_DEFAULT_FLOATS;
    DIR *opened = NULL;
    int64_t latest = -1, found;
    if (!step)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "step is NULL");
    sgt_status status = sgti_check_path(folder, "folder");
    if (status == SGT_OK)
        status = sgti_folder_open(&opened, folder);
    if (status)
        return status;
    const char *name;
    while ((status = sgti_folder_next(&name, opened, folder)) == SGT_OK && name) {
        int file = 0;
        if (!read_name(&found, name, "") || found <= latest)
            continue; /* only a name that may win is worth a look at the disk */
        status = sgti_folder_has_file(&file, folder, name);
        if (status)
            break;
        latest = file ? found : latest;
    }
    closedir(opened);
    if (status)
        return status;
    if (latest < 0)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: has no checkpoint", folder);
    *step = latest;
    return SGT_OK;
}

/* ---- keeping the last ---- */

typedef struct steps {
    int64_t *list;
    size_t count;
    size_t room;
} steps;

static sgt_status append(steps *s, int64_t step)
{
    if (s->count == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 64;
        int64_t *grown = realloc(s->list, room * sizeof *grown);
        if (!grown)
            return sgti_fail(SGT_E_OUT_OF_MEMORY, "%zu bytes for a list of steps",
                             room * sizeof *grown);
        s->list = grown;
        s->room = room;
    }
    s->list[s->count++] = step;
    return SGT_OK;
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Lists the steps in a folder, and removes the .partial files of saves that were killed. */
static sgt_status list_steps(steps *s, DIR *opened, const char *folder)
{
    const char *name;
    int64_t step;
    sgt_status status = sgti_folder_next(&name, opened, folder);
    while (status == SGT_OK && name) {
        if (read_name(&step, name, "")) {
            int file = 0;
            status = sgti_folder_has_file(&file, folder, name);
            if (status == SGT_OK && file)
                status = append(s, step);
        } else if (read_name(&step, name, SGTI_PARTIAL)) {
            char *path = NULL;
            status = sgti_folder_join(&path, folder, name);
            if (status == SGT_OK)
                sgti_remove_partial(path);
            free(path);
        }
        if (status == SGT_OK)
            status = sgti_folder_next(&name, opened, folder);
    }
    return status;
}

static sgt_status remove_step(const char *folder, int64_t step)
{
    char name[MOST_NAME];
    char *path = NULL;
    sgti_format(name, sizeof name, STEM "%0*" PRId64 SUFFIX, DIGITS, step);
    sgt_status status = sgti_folder_join(&path, folder, name);
    if (status == SGT_OK && unlink(path) != 0 && errno != ENOENT)
        status = sgti_fail(SGT_E_IO, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return status;
}

sgt_status sgt_checkpoint_keep_last(const char *folder, int32_t keep)
{
    SGTI_DEFAULT_FLOATS;
    DIR *opened = NULL;
    steps s = {0};
    sgt_status status = sgti_check_path(folder, "folder");
    if (status)
        return status;
    if (keep < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "keep is %d, not at least 1", (int)keep);
    status = sgti_folder_open(&opened, folder);
    if (status)
        return status;
    status = list_steps(&s, opened, folder);
    closedir(opened);
    if (s.count > 1)
        qsort(s.list, s.count, sizeof *s.list, descending);
    for (size_t i = (size_t)keep; i < s.count && status == SGT_OK; i++)
        status = remove_step(folder, s.list[i]);
    free(s.list);
    return status;
}
