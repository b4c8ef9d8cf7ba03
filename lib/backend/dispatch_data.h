/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a dispatch: a context's open backend, and the portable one that stands in for
 * it. */
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

/* Turns what a slot returned into a status. A failed slot may have left no message (then the number
 * of failures is still `failures`, as before the call): this records one that names the slot. */
sgt_status sgti_slot_status(const sgti_dispatch *dispatch, int32_t result, uint64_t failures,
                            const char *slot);

#endif
