/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a dispatch: an open backend of a context and the portable one that stands in. */
#ifndef SGTI_DISPATCH_DATA_H
#define SGTI_DISPATCH_DATA_H

#include "dispatch.h"
#include "slots.h"

#define SGTI_KERNELS_TEXT 256

/* The operations that the portable kernels can stand in for. */
typedef enum sgti_operation {
#define SGTI_OPERATION(slot) SGTI_OP_##slot,
    SGTI_OPTIONAL_SLOTS(SGTI_OPERATION) SGTI_ADDITIONAL_SLOTS(SGTI_OPERATION)
#undef SGTI_OPERATION
    SGTI_OPERATIONS
} sgti_operation;

struct sgti_dispatch {
    sgt_context *context;
    const sgt_backend *table;
    void *instance;
    int32_t stands_in[SGTI_OPERATIONS]; /* 1: the portable kernels do this operation */
    int32_t portable_open;
    void *portable; /* instance of sgti_portable_backend */
    const char *isa;
    int32_t generic;
    double *profile; /* profile.h; NULL: off */
    char kernels[SGTI_KERNELS_TEXT];
};

/* The status of a slot that returned `result`; sees to it that a failure has a message when none
 * was recorded since `failures`. */
sgt_status sgti_slot_status(const sgti_dispatch *dispatch, int32_t result, uint64_t failures,
                            const char *slot);

#endif
