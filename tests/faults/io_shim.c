/* SPDX-License-Identifier: BSD-3-Clause */
#include "io_shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

sweep io_sweep;
io_fault io_fault_now;
int64_t io_calls_made[IO_CALLS];
int64_t io_renames, io_renames_unsafe;

/* What the linker makes of the system's own and of ours. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_pread(int file, void *data, size_t bytes, off_t offset);
ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t offset);
ssize_t __real_pwrite(int file, const void *data, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t offset);
int __real_fsync(int file);
int __wrap_fsync(int file);
int __real_flock(int file, int operation);
int __wrap_flock(int file, int operation);
int __real_fstat(int file, struct stat *about);
int __wrap_fstat(int file, struct stat *about);
int __real_stat(const char *path, struct stat *about);
int __wrap_stat(const char *path, struct stat *about);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_fchmod(int file, mode_t mode);
int __wrap_fchmod(int file, mode_t mode);
int __real_close(int file);
int __wrap_close(int file);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
struct dirent *__real_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder);

/* 1 when this call must fail; errno is set then. */
static int fails(io_call call)
{
    if (!io_sweep.inside)
        return 0;
    io_calls_made[call]++;
    if (call != io_fault_now.call || !sweep_fails(&io_sweep))
        return 0;
    errno = io_fault_now.error;
    return 1;
}

/* ---- what a loss of power would leave ---- */

enum { MOST_FILES = 256, PATH_BYTES = 1024 };

/* By descriptor. */
static struct {
    char path[PATH_BYTES];
    int written; /* since it was synchronised */
    int renamed; /* since its folder was */
} files[MOST_FILES];

static void note_open(int file, const char *path)
{
    if (file < 0 || file >= MOST_FILES)
        return;
    memset(&files[file], 0, sizeof files[file]);
    snprintf(files[file].path, PATH_BYTES, "%s", path);
}

static int lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' &&
           strchr(path + length + 1, '/') == NULL;
}

static void note_fsync(int file)
{
    files[file].written = 0;
    for (int i = 0; i < MOST_FILES; i++)
        if (files[i].renamed && lies_in(files[i].path, files[file].path))
            files[i].renamed = 0;
}

static void note_rename(const char *from, const char *to)
{
    for (int i = 0; i < MOST_FILES; i++) {
        if (strcmp(files[i].path, from) != 0)
            continue;
        io_renames++;
        io_renames_unsafe += files[i].written;
        snprintf(files[i].path, PATH_BYTES, "%s", to);
        files[i].renamed = 1;
    }
}

static void note_close(int file)
{
    if (file < 0 || file >= MOST_FILES)
        return;
    io_renames_unsafe += files[file].renamed;
    memset(&files[file], 0, sizeof files[file]);
}

/* ---- the calls ---- */

/* The bytes that a read or write moves instead. */
static size_t fewer(size_t bytes)
{
    return io_fault_now.shorter == 1 ? (bytes > 0) : io_fault_now.shorter == 2 ? bytes / 2 : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (fails(IO_OPEN))
        return -1;
    int file = __real_open(path, flags, mode);
    note_open(file, path);
    return file;
}

ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t offset)
{
    if (!fails(IO_READ))
        return __real_pread(file, data, bytes, offset);
    return io_fault_now.error != 0 ? -1 : __real_pread(file, data, fewer(bytes), offset);
}

ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t offset)
{
    if (file < MOST_FILES)
        files[file].written = 1;
    if (!fails(IO_WRITE))
        return __real_pwrite(file, data, bytes, offset);
    return io_fault_now.error != 0 ? -1 : __real_pwrite(file, data, fewer(bytes), offset);
}

int __wrap_fsync(int file)
{
    if (fails(IO_FSYNC))
        return -1;
    int status = __real_fsync(file);
    if (status == 0 && file < MOST_FILES)
        note_fsync(file);
    return status;
}

int __wrap_flock(int file, int operation)
{
    return fails(IO_LOCK) ? -1 : __real_flock(file, operation);
}

int __wrap_fstat(int file, struct stat *about)
{
    return fails(IO_EXAMINE) ? -1 : __real_fstat(file, about);
}

int __wrap_stat(const char *path, struct stat *about)
{
    return fails(IO_EXAMINE) ? -1 : __real_stat(path, about);
}

int __wrap_rename(const char *from, const char *to)
{
    if (fails(IO_RENAME))
        return -1;
    int status = __real_rename(from, to);
    if (status == 0)
        note_rename(from, to);
    return status;
}

int __wrap_unlink(const char *path)
{
    return fails(IO_REMOVE) ? -1 : __real_unlink(path);
}

int __wrap_fchmod(int file, mode_t mode)
{
    return fails(IO_MODE) ? -1 : __real_fchmod(file, mode);
}

/* As the system does it, a close that fails has closed. */
int __wrap_close(int file)
{
    int failed = fails(IO_CLOSE), error = errno;
    note_close(file);
    int status = __real_close(file);
    errno = failed ? error : errno;
    return failed ? -1 : status;
}

DIR *__wrap_opendir(const char *path)
{
    return fails(IO_OPEN_FOLDER) ? NULL : __real_opendir(path);
}

struct dirent *__wrap_readdir(DIR *folder)
{
    return fails(IO_READ_FOLDER) ? NULL : __real_readdir(folder);
}

/* The names that 64-bit offsets go by; the types are the same here. */
_Static_assert(sizeof(long) == 8, "off_t and off64_t are the same");
#define SAME_AS(name) __attribute__((alias(#name)))
int __wrap_open64(const char *path, int flags, ...) SAME_AS(__wrap_open);
ssize_t __wrap_pread64(int file, void *data, size_t bytes, off_t offset) SAME_AS(__wrap_pread);
ssize_t __wrap_pwrite64(int file, const void *data, size_t bytes, off_t offset)
    SAME_AS(__wrap_pwrite);
int __wrap_fstat64(int file, struct stat *about) SAME_AS(__wrap_fstat);
int __wrap_stat64(const char *path, struct stat *about) SAME_AS(__wrap_stat);
struct dirent *__wrap_readdir64(DIR *folder) SAME_AS(__wrap_readdir);
