/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists and examines folders. Every failure is SGT_E_IO with a message that names the folder or the
 * file, unless said otherwise. */
#ifndef SGTI_FOLDERS_H
#define SGTI_FOLDERS_H

#include <dirent.h>

#include <sgt/status.h>

/* Opens a folder, which the caller gives to closedir. SGT_E_NOT_FOUND, SGT_E_OUT_OF_MEMORY,
 * SGT_E_IO. */
sgt_status sgti_folder_open(DIR **opened, const char *folder);

/* *name becomes the next name in the folder, valid until the next call; NULL after the last. */
sgt_status sgti_folder_next(const char **name, DIR *opened, const char *folder);

/* *path becomes FOLDER/NAME, which the caller frees with free(). SGT_E_OUT_OF_MEMORY. */
sgt_status sgti_folder_join(char **path, const char *folder, const char *name);

/* *file becomes 1 when the name is that of a file, perhaps behind a symbolic link; 0 for folders
 * and the like, and when it is not there. */
sgt_status sgti_folder_has_file(int *file, const char *folder, const char *name);

#endif
