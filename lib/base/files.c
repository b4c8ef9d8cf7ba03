/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading by position, and writing through a locked .partial file; files.h tells the protocol. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "text.h"

/* The most bytes for one read or write: Linux stops at 2 GiB, and other systems refuse more. */
#define MOST_AT_ONCE (UINT64_C(1) << 30)

static size_t at_once(uint64_t bytes)
{
    return (size_t)(bytes < MOST_AT_ONCE ? bytes : MOST_AT_ONCE);
}

static sgt_status failed(const char *path, const char *what)
{
    return sgti_fail(SGT_E_IO, "%.4000s: %s: %s", path, what, strerror(errno));
}

/* ---- reading ---- */

sgt_status sgti_check_path(const char *path, const char *what)
{
    if (!path || path[0] == '\0')
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is %s", what, !path ? "NULL" : "empty");
    return SGT_OK;
}

sgti_path_kind sgti_kind_of_path(const char *path)
{
    struct stat there;
    if (stat(path, &there))
        return SGTI_PATH_NOTHING;
    return S_ISDIR(there.st_mode) ? SGTI_PATH_FOLDER : SGTI_PATH_FILE;
}

sgt_status sgti_file_open(sgti_file *file, const char *path)
{
    struct stat about;
    int descriptor;
    do
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block */
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR))
        return sgti_fail(SGT_E_NOT_FOUND, "%s: %s", path, strerror(errno));
    if (descriptor < 0)
        return failed(path, "cannot be opened");
    sgt_status status = SGT_OK;
    if (fstat(descriptor, &about) != 0)
        status = failed(path, "cannot be examined");
    else if (!S_ISREG(about.st_mode))
        status = sgti_fail(SGT_E_IO, "%s: is not a regular file", path);
    if (status) {
        close(descriptor);
        return status;
    }
    *file = (sgti_file){descriptor, (uint64_t)about.st_size, path};
    return SGT_OK;
}

sgt_status sgti_file_read(const sgti_file *file, void *data, uint64_t bytes, uint64_t offset)
{
    char *to = data;
    while (bytes > 0) {
        ssize_t got = pread(file->descriptor, to, at_once(bytes), (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(file->path, "cannot be read");
        if (got == 0)
            return sgti_fail(SGT_E_IO, "%s: ends at byte %" PRIu64 ", it was longer when opened",
                             file->path, offset);
        to += got;
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return SGT_OK;
}

void sgti_file_close(sgti_file *file)
{
    if (file->path)
        close(file->descriptor);
    *file = (sgti_file){0};
}

sgt_status sgti_file_read_whole(char **data, uint64_t *bytes, sgti_memory *memory,
                                const char *path, uint64_t limit)
{
    sgti_file file = {0};
    void *text = NULL;
    sgt_status status = sgti_file_open(&file, path);
    if (status)
        return status;
    if (file.bytes > limit)
        status = sgti_fail(SGT_E_FORMAT, "%s: has %" PRIu64 " bytes, more than %" PRIu64, path,
                           file.bytes, limit);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&text, memory, file.bytes + 1, 1, path);
    if (status == SGT_OK)
        status = sgti_file_read(&file, text, file.bytes, 0);
    if (status == SGT_OK) {
        *data = text;
        *bytes = file.bytes;
    } else {
        sgti_release(memory, text, file.bytes + 1);
    }
    sgti_file_close(&file);
    return status;
}

/* ---- writing ---- */

typedef enum locked {
    LOCKED,
    WITHOUT_LOCK, /* this file system has none */
    LOCKED_BY_ANOTHER,
    RENAMED,      /* its writer renamed or removed it after it was opened: the name is free again */
    UNKNOWABLE    /* the system does not tell; errno says why */
} locked;

/* Locks an open partial file. Between the opening and the lock its writer may have finished: then
 * the lock is on a file that no longer has this name, which comparing the two inodes shows. */
static locked lock_partial(int descriptor, const char *partial)
{
    struct stat opened, named;
    int refused;
    do
        refused = flock(descriptor, LOCK_EX | LOCK_NB);
    while (refused != 0 && errno == EINTR);
    if (refused != 0 && errno == EWOULDBLOCK)
        return LOCKED_BY_ANOTHER;
    if (fstat(descriptor, &opened) != 0)
        return UNKNOWABLE;
    if (stat(partial, &named) != 0)
        return errno == ENOENT ? RENAMED : UNKNOWABLE;
    if (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)
        return RENAMED;
    return refused != 0 ? WITHOUT_LOCK : LOCKED;
}

/* The file whose place the new one will take, which must not be a device or a pipe. */
typedef struct place {
    mode_t mode; /* 0666 where there is no such file */
    int ours;    /* 1: the new file gets exactly this mode; 0: this mode less the umask */
} place;

/* Looks at what the new file will replace. The mode always lets the owner write, because a later
 * save must be able to open the .partial file that a killed one left. */
static sgt_status examine_place(place *p, const char *path)
{
    struct stat there;
    *p = (place){.mode = 0666};
    if (stat(path, &there) != 0)
        return errno == ENOENT ? SGT_OK : failed(path, "cannot be examined");
    if (!S_ISREG(there.st_mode))
        return sgti_fail(SGT_E_IO, "%s: is not a regular file", path);
    p->mode = (there.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)) | S_IRUSR | S_IWUSR;
    p->ours = there.st_uid == geteuid();
    return SGT_OK;
}

/* Decides about an open .partial file. One that this call made becomes the file to write. One that
 * was there and that nobody holds was left by a dead writer: it is removed, and the caller tries
 * again: it sees that file->descriptor is still below 0. */
static sgt_status settle_partial(sgti_new_file *file, int descriptor, int made)
{
    sgt_status status = SGT_OK;
    switch (lock_partial(descriptor, file->partial)) {
    case LOCKED:
    case WITHOUT_LOCK:
        if (made) {
            file->descriptor = descriptor;
            return SGT_OK;
        }
        if (unlink(file->partial) != 0 && errno != ENOENT)
            status = failed(file->partial, "cannot be removed");
        break;
    case LOCKED_BY_ANOTHER:
        status = sgti_fail(SGT_E_IO, "%s: is being written by somebody else", file->path);
        break;
    case UNKNOWABLE:
        status = failed(file->partial, "cannot be examined");
        if (made)
            unlink(file->partial);
        break;
    case RENAMED:
        break;
    }
    close(descriptor);
    return status;
}

/* Opens a .partial file that did not exist before (O_EXCL). One that lies there is never written
 * to: it may belong to another user or be a hard link to another file. */
static sgt_status open_partial(sgti_new_file *file, mode_t mode)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    sgt_status status = SGT_OK;
    while (status == SGT_OK && file->descriptor < 0) {
        int descriptor = open(file->partial, flags | O_CREAT | O_EXCL, mode);
        int made = descriptor >= 0, left = !made && errno == EEXIST;
        if (left)
            descriptor = open(file->partial, flags);
        if (descriptor >= 0)
            status = settle_partial(file, descriptor, made);
        else if (errno == EINTR || (left && errno == ENOENT))
            continue;
        else if (left)
            status = failed(file->partial, "cannot be opened");
        else if (errno == ENOENT)
            status = sgti_fail(SGT_E_IO, "%.4000s: cannot be created: its folder is not there",
                               file->path);
        else
            status = failed(file->path, "cannot be created");
    }
    return status;
}

sgt_status sgti_new_file_open(sgti_new_file *file, sgti_memory *memory, const char *path)
{
    sgti_new_file own = {.memory = memory, .descriptor = -1};
    void *names = NULL;
    place there;
    sgt_status status = examine_place(&there, path);
    if (status)
        return status;
    /* Both names are in one allocation. */
    own.room = strlen(path) + sizeof SGTI_PARTIAL;
    status = sgti_allocate_zeroed(&names, memory, 2, own.room, "the name of a file");
    if (status)
        return status;
    own.path = names;
    own.partial = own.path + own.room;
    memcpy(own.path, path, strlen(path));
    sgti_format(own.partial, own.room, "%s" SGTI_PARTIAL, path);
    status = open_partial(&own, there.mode);
    if (status == SGT_OK && there.ours && fchmod(own.descriptor, there.mode) != 0)
        status = failed(own.partial, "cannot be given the permissions of the previous file");
    if (status) {
        sgti_new_file_close(&own);
        return status;
    }
    *file = own;
    return SGT_OK;
}

/* Writes without raising a signal. A write beyond the limit on the size of files (RLIMIT_FSIZE)
 * raises SIGXFSZ, which would end a host that does not expect it. So the signal is blocked during
 * the write and taken off afterwards; what remains is the error EFBIG. If a SIGXFSZ was pending
 * before, it belongs to the host and is left. */
static ssize_t write_at(int descriptor, const void *data, size_t bytes, off_t offset)
{
    const struct timespec no_time = {0};
    sigset_t limit, before, waiting;
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &limit, &before);
    int waits = sigpending(&waiting) == 0 && sigismember(&waiting, SIGXFSZ);
    ssize_t put = pwrite(descriptor, data, bytes, offset);
    int error = errno;
    if (put < 0 && error == EFBIG && !waits)
        while (sigtimedwait(&limit, NULL, &no_time) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return put;
}

sgt_status sgti_new_file_overwrite(sgti_new_file *file, const void *data, uint64_t bytes,
                                   uint64_t offset)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t put = write_at(file->descriptor, from, at_once(bytes), (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = ENOSPC;
        if (put <= 0)
            return failed(file->partial, "cannot be written");
        from += put;
        offset += (uint64_t)put;
        bytes -= (uint64_t)put;
    }
    return SGT_OK;
}

sgt_status sgti_new_file_write(sgti_new_file *file, const void *data, uint64_t bytes)
{
    sgt_status status = sgti_new_file_overwrite(file, data, bytes, file->written);
    if (status == SGT_OK)
        file->written += bytes;
    return status;
}

static int synchronise(int descriptor)
{
    int refused;
    do
        refused = fsync(descriptor);
    while (refused != 0 && errno == EINTR);
    return refused;
}

/* A new name is safe once its folder is on the disk. Some file systems know no fsync of folders
 * (EINVAL, ENOTSUP), and a folder may be writable but not readable (EACCES): both are let pass. */
static sgt_status sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (length >= sizeof folder)
        return sgti_fail(SGT_E_IO, "%s: the name is too long", path);
    memcpy(folder, slash ? path : ".", length == 0 ? 1 : length);
    folder[length == 0 ? 1 : length] = '\0';
    int descriptor;
    do
        descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0)
        return errno == EACCES ? SGT_OK : failed(folder, "cannot be opened");
    int refused = synchronise(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP;
    sgt_status status = refused ? failed(folder, "cannot be synchronised") : SGT_OK;
    close(descriptor);
    return status;
}

sgt_status sgti_new_file_synchronise(sgti_new_file *file)
{
    if (synchronise(file->descriptor) != 0)
        return failed(file->partial, "cannot be synchronised");
    return SGT_OK;
}

sgt_status sgti_new_file_commit(sgti_new_file *file)
{
    sgt_status status = sgti_new_file_synchronise(file);
    if (status)
        return status;
    if (rename(file->partial, file->path) != 0)
        return failed(file->path, "cannot be given to the new file");
    file->partial[0] = '\0'; /* it has the other name now */
    return sync_folder(file->path);
}

void sgti_new_file_close(sgti_new_file *file)
{
    if (!file->path)
        return;
    if (file->descriptor >= 0) {
        if (file->partial[0] != '\0')
            unlink(file->partial); /* before the lock is gone */
        close(file->descriptor);
    }
    sgti_release(file->memory, file->path, 2 * (uint64_t)file->room);
    *file = (sgti_new_file){.descriptor = -1};
}

sgt_status sgti_file_write_whole(sgti_memory *memory, const char *path, const void *data,
                                 uint64_t bytes)
{
    sgti_new_file file = {0};
    sgt_status status = sgti_new_file_open(&file, memory, path);
    if (status)
        return status;
    status = sgti_new_file_write(&file, data, bytes);
    if (status == SGT_OK)
        status = sgti_new_file_commit(&file);
    sgti_new_file_close(&file);
    return status;
}

sgt_status sgti_file_remove(const char *path)
{
    if (unlink(path) != 0)
        return errno == ENOENT ? SGT_OK : failed(path, "cannot be removed");
    return sync_folder(path);
}

void sgti_remove_partial(const char *partial)
{
    int descriptor = open(partial, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0)
        return;
    if (lock_partial(descriptor, partial) == LOCKED)
        unlink(partial);
    close(descriptor);
}
