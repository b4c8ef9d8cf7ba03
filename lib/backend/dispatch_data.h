/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a dispatch: an open backend of a context and the portable one that stands in. */
#ifndef SGTI_DISPATCH_DATA_H
#define SGTI_DISPATCH_DATA_H

#include "dispatch.h"
#include "slots.h"

#define SGTI_KERNELS_TEXT 256

typedef enum sgti_operation {
#define SGTI_OPERATION(slot, args) SGTI_OP_##slot,
    SGTI_OPERATION_SLOTS(SGTI_OPERATION)
#undef SGTI_OPERATION
    SGTI_OPERATIONS
} sgti_operation;

struct sgti_dispatch {
    sgt_context *context;
    const sgt_backend *table;
    void *instance;
    const sgt_backend *memory; /* whose memory slots are used: the table, or the portable one */
    void *memory_instance;
    void *portable;    /* instance of sgti_portable_backend that stands in; NULL: none does */
    int32_t capturing; /* 1: between capture_begin and capture_end */
    const char *isa;
    int32_t generic;
    uint64_t logits_bytes;
    double *profile; /* profile.h; NULL: off */
    char kernels[SGTI_KERNELS_TEXT];
};

/* The status of a slot that returned `result`; sees to it that a failure has a message when none
 * was recorded since `failures`. */
sgt_status sgti_slot_status(const sgti_dispatch *dispatch, int32_t result, uint64_t failures,
                            const char *slot);

#endif
