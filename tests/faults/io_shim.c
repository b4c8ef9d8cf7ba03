/* SPDX-License-Identifier: BSD-3-Clause */
#include "io_shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

sweep io_sweep;
io_fault io_fault_now;
int64_t io_calls_made[IO_CALLS];

/* What the linker makes of the system's own and of ours. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_pread(int file, void *data, size_t bytes, off_t offset);
ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t offset);
ssize_t __real_pwrite(int file, const void *data, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t offset);
int __real_fsync(int file);
int __wrap_fsync(int file);
int __real_ftruncate(int file, off_t bytes);
int __wrap_ftruncate(int file, off_t bytes);
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
    return fails(IO_OPEN) ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t offset)
{
    if (!fails(IO_READ))
        return __real_pread(file, data, bytes, offset);
    return io_fault_now.error != 0 ? -1 : __real_pread(file, data, fewer(bytes), offset);
}

ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t offset)
{
    if (!fails(IO_WRITE))
        return __real_pwrite(file, data, bytes, offset);
    return io_fault_now.error != 0 ? -1 : __real_pwrite(file, data, fewer(bytes), offset);
}

int __wrap_fsync(int file)
{
    return fails(IO_FSYNC) ? -1 : __real_fsync(file);
}

int __wrap_ftruncate(int file, off_t bytes)
{
    return fails(IO_TRUNCATE) ? -1 : __real_ftruncate(file, bytes);
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
    return fails(IO_RENAME) ? -1 : __real_rename(from, to);
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
int __wrap_ftruncate64(int file, off_t bytes) SAME_AS(__wrap_ftruncate);
int __wrap_fstat64(int file, struct stat *about) SAME_AS(__wrap_fstat);
int __wrap_stat64(const char *path, struct stat *about) SAME_AS(__wrap_stat);
struct dirent *__wrap_readdir64(DIR *folder) SAME_AS(__wrap_readdir);
