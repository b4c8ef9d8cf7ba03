/* SPDX-License-Identifier: BSD-3-Clause */
/* Thin layers over opendir, readdir and stat, which turn errno into statuses and messages. */
#include "folders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "text.h"

sgt_status sgti_folder_open(DIR **opened, const char *folder)
{
    *opened = opendir(folder);
    if (*opened)
        return SGT_OK;
    return sgti_fail(errno == ENOENT   ? SGT_E_NOT_FOUND
                     : errno == ENOMEM ? SGT_E_OUT_OF_MEMORY
                                       : SGT_E_IO,
                     "%s: cannot be opened: %s", folder, strerror(errno));
}

sgt_status sgti_folder_next(const char **name, DIR *opened, const char *folder)
{
    errno = 0;
    const struct dirent *entry = readdir(opened);
    if (!entry && errno != 0)
        return sgti_fail(SGT_E_IO, "%s: cannot be read: %s", folder, strerror(errno));
    *name = entry ? entry->d_name : NULL;
    return SGT_OK;
}

sgt_status sgti_folder_join(char **path, const char *folder, const char *name)
{
    size_t room = strlen(folder) + strlen(name) + 2;
    *path = malloc(room);
    if (!*path)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%zu bytes for the name of a file", room);
    sgti_format(*path, room, "%s/%s", folder, name);
    return SGT_OK;
}

sgt_status sgti_folder_has_file(int *file, const char *folder, const char *name)
{
    char *path = NULL;
    struct stat there;
    sgt_status status = sgti_folder_join(&path, folder, name);
    if (status)
        return status;
    int unknown = stat(path, &there) != 0;
    if (unknown && errno != ENOENT)
        status = sgti_fail(SGT_E_IO, "%s: cannot be examined: %s", path, strerror(errno));
    *file = !unknown && S_ISREG(there.st_mode);
    free(path);
    return status;
}
