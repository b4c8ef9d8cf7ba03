/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files. Reading is by position and copies, never by mapping: a mapped file that another program
 * cuts short kills the process that looks at it, a read that comes up short is a status. Writing
 * is all or nothing:
 *
 *     NAME.partial --write, fsync--> NAME.partial --rename--> NAME --fsync--> its folder
 *
 * A process that dies at any moment leaves the old NAME whole; what it leaves of NAME.partial the
 * next save of NAME removes: it always writes a file that it made itself. The lock on NAME.partial
 * makes a second writer fail instead; a file system without locks is written to without. The new
 * file has the permissions of the old, if that was ours too, and else none that the old had not.
 * Nothing here raises a signal.
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

/* A path of the host's, the argument `what`: SGT_E_INVALID_ARGUMENT when it is NULL or "". */
sgt_status sgti_check_path(const char *path, const char *what);

/* What a path names; what cannot be looked at is nothing. */
typedef enum sgti_path_kind { SGTI_PATH_NOTHING, SGTI_PATH_FILE, SGTI_PATH_FOLDER } sgti_path_kind;
sgti_path_kind sgti_kind_of_path(const char *path);

/* Opens a regular file; path must live as long as *file. SGT_E_NOT_FOUND when it is not there. */
sgt_status sgti_file_open(sgti_file *file, const char *path);

/* Reads exactly so many bytes at an offset. Any thread. */
sgt_status sgti_file_read(const sgti_file *file, void *data, uint64_t bytes, uint64_t offset);

void sgti_file_close(sgti_file *file);

/* A whole file of at most `limit` bytes (else SGT_E_FORMAT) with a zero behind it; release *bytes
 * + 1. */
sgt_status sgti_file_read_whole(char **data, uint64_t *bytes, sgti_memory *memory,
                                const char *path, uint64_t limit);

/* One that is being written. */
typedef struct sgti_new_file {
    sgti_memory *memory;
    int descriptor; /* -1: none */
    uint64_t written;
    size_t room;    /* of each of the two names */
    char *path;
    char *partial;
} sgti_new_file;

/* SGT_E_IO also when another process or thread is writing the same file, or when something else
 * than a file has its name. */
sgt_status sgti_new_file_open(sgti_new_file *file, sgti_memory *memory, const char *path);

/* Appends. */
sgt_status sgti_new_file_write(sgti_new_file *file, const void *data, uint64_t bytes);

/* Overwrites what was written at an offset. */
sgt_status sgti_new_file_overwrite(sgti_new_file *file, const void *data, uint64_t bytes,
                                   uint64_t offset);

/* Puts on the disk what was written, so that a commit has only the name left to give. */
sgt_status sgti_new_file_synchronise(sgti_new_file *file);

/* Gives the file its name, for good. On failure what was there before still is; only when the
 * folder cannot be synchronised the new file is there already, but may be lost with the power. */
sgt_status sgti_new_file_commit(sgti_new_file *file);

/* Frees; without a commit before, removes what was written. Zeroed or freed is fine. */
void sgti_new_file_close(sgti_new_file *file);

/* A whole small file in one call. */
sgt_status sgti_file_write_whole(sgti_memory *memory, const char *path, const void *data,
                                 uint64_t bytes);

/* Removes a file for good: once this is done not even a loss of power brings it back. None there is
 * fine. */
sgt_status sgti_file_remove(const char *path);

/* Removes the .partial file at `partial` unless somebody is writing it, or may be: locks tell. Says
 * nothing. */
void sgti_remove_partial(const char *partial);

#endif
