/* SPDX-License-Identifier: BSD-3-Clause */
/* One buffer of the backend together with its size. */
#ifndef SGTI_STORAGE_H
#define SGTI_STORAGE_H

#include "dispatch.h"

typedef struct sgti_storage {
    sgt_buffer *buffer; /* NULL: nothing is held */
    uint64_t bytes;
} sgti_storage;

/* Takes `bytes` bytes; *storage is untouched on failure. `what` names the purpose ("the weights"):
 * the message of a failure begins with it, because a backend knows no more than the bytes. */
sgt_status sgti_storage_allocate(sgti_storage *storage, sgti_dispatch *dispatch, uint64_t bytes,
                                 const char *what);

/* Gives the buffer back and leaves *storage empty. */
void sgti_storage_free(sgti_storage *storage, sgti_dispatch *dispatch);

#endif
