/* SPDX-License-Identifier: BSD-3-Clause */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <check.h>

static char folder[256];

void scratch_path(char path[SCRATCH_PATH], const char *name)
{
    if (folder[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.200s/sgt-test-XXXXXX", base != NULL ? base : "/tmp");
        ck_assert_ptr_nonnull(mkdtemp(folder));
    }
    snprintf(path, SCRATCH_PATH, "%s%s%.200s", folder, name[0] != '\0' ? "/" : "", name);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

void scratch_remove(void)
{
    if (folder[0] != '\0') {
        chmod(folder, 0700);
        nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
    folder[0] = '\0';
}

unsigned char *scratch_read(const char *path, unsigned long *bytes)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is not there", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *bytes = (unsigned long)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*bytes + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

void scratch_write(const char *path, const void *data, unsigned long bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

int scratch_equal(const char *a, const char *b)
{
    unsigned long m, n;
    unsigned char *x = scratch_read(a, &m), *y = scratch_read(b, &n);
    int equal = m == n && memcmp(x, y, m) == 0;
    free(x);
    free(y);
    return equal;
}

int scratch_replace(const char *path, const char *from, const char *to)
{
    unsigned long bytes;
    const size_t length = strlen(from);
    int found = 0;
    unsigned char *data = scratch_read(path, &bytes);
    for (unsigned long i = 0; i + length <= bytes; i++) {
        if (memcmp(data + i, from, length) == 0) {
            memcpy(data + i, to, length);
            found++;
        }
    }
    scratch_write(path, data, bytes);
    free(data);
    return found;
}
