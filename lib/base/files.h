/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes files. Files are read by position into the caller's memory and never mapped: a
 * mapped file that another program cuts short kills the process that looks at it, while a read that
 * comes up short is an error that can be returned. Writing is all or nothing:
 *
 *     NAME.partial --write, fsync--> NAME.partial --rename--> NAME --fsync--> its folder
 *
 * A process that dies at any moment leaves the old NAME whole. It may leave a NAME.partial too; the
 * next save of NAME removes it and begins a file of its own. Writers hold a lock on NAME.partial,
 * so that a second writer fails instead of removing the first one's file; where a file system knows
 * no locks, files are written without them. If the old NAME belongs to this user, the new file gets
 * its permissions; otherwise it gets none that the old one did not have. Nothing here raises a
 * signal.
 *
 * Every failure is SGT_E_IO with a message that names the file, unless said otherwise.
 */
#ifndef SGTI_FILES_H
#define SGTI_FILES_H

#include <stdint.h>

#include "memory.h"

#define SGTI_PARTIAL ".partial"

typedef struct sgti_file {
    int descriptor;
    uint64_t bytes;   /* when it was opened */
    const char *path; /* borrowed */
} sgti_file;

/* Checks a path that the host gave: SGT_E_INVALID_ARGUMENT, with the argument's name `what`, when
 * it is NULL or "". */
sgt_status sgti_check_path(const char *path, const char *what);

/* What a path names. What is not there or cannot be looked at is SGTI_PATH_NOTHING. */
typedef enum sgti_path_kind { SGTI_PATH_NOTHING, SGTI_PATH_FILE, SGTI_PATH_FOLDER } sgti_path_kind;
sgti_path_kind sgti_kind_of_path(const char *path);

/* Opens a regular file; path must live as long as *file. SGT_E_NOT_FOUND when it is not there. */
sgt_status sgti_file_open(sgti_file *file, const char *path);

/* Reads exactly `bytes` bytes from `offset` on. Several threads may read one file at a time. */
sgt_status sgti_file_read(const sgti_file *file, void *data, uint64_t bytes, uint64_t offset);

void sgti_file_close(sgti_file *file);

/* Reads a whole file of at most `limit` bytes (else SGT_E_FORMAT) and puts a zero behind it. The
 * caller gives *bytes + 1 bytes back with sgti_release. */
sgt_status sgti_file_read_whole(char **data, uint64_t *bytes, sgti_memory *memory,
                                const char *path, uint64_t limit);

/* A file that is being written. */
typedef struct sgti_new_file {
    sgti_memory *memory;
    int descriptor; /* -1: none */
    uint64_t written;
    size_t room;    /* bytes of each of the two names, which lie in one allocation */
    char *path;
    char *partial;
} sgti_new_file;

/* Begins a file. It is SGT_E_IO too when another process or thread is writing the same one, or when
 * its name is that of something other than a file. */
sgt_status sgti_new_file_open(sgti_new_file *file, sgti_memory *memory, const char *path);

/* Appends bytes to what was written. */
sgt_status sgti_new_file_write(sgti_new_file *file, const void *data, uint64_t bytes);

/* Overwrites what was written from `offset` on; the end of the file stays where it is. */
sgt_status sgti_new_file_overwrite(sgti_new_file *file, const void *data, uint64_t bytes,
                                   uint64_t offset);

/* Waits until the disk has what was written, so that a later commit only has to rename the file. */
sgt_status sgti_new_file_synchronise(sgti_new_file *file);

/* Gives the file its name, for good. On failure the old file is still there, with one exception:
 * when the folder cannot be synchronised, the new file has the name already, but a loss of power
 * may bring the old one back. */
sgt_status sgti_new_file_commit(sgti_new_file *file);

/* Frees, and removes what was written unless it was committed. *file may be zeroed or closed. */
void sgti_new_file_close(sgti_new_file *file);

/* Writes a whole small file in one call, all or nothing as above. */
sgt_status sgti_file_write_whole(sgti_memory *memory, const char *path, const void *data,
                                 uint64_t bytes);

/* Removes a file for good: when this returns not even a loss of power brings it back. It is no
 * error if there is none. */
sgt_status sgti_file_remove(const char *path);

/* Removes the .partial file at `partial` if its lock proves that nobody is writing it. Failures are
 * not reported: the file is then left where it is. */
void sgti_remove_partial(const char *partial);

#endif
