/* SPDX-License-Identifier: BSD-3-Clause */
/* Data types, and the view of a tensor that the library shows to a host. */
#ifndef SGT_TENSOR_H
#define SGT_TENSOR_H

#include <sgt/status.h>

SGT_BEGIN_DECLS

enum sgt_dtype {
    SGT_F32 = 1,
    SGT_F64 = 2,
    SGT_BF16 = 3,
    SGT_F16 = 4,
    SGT_I32 = 5
};

#define SGT_MAX_RANK 4

/* A tensor of the library as the host sees it: dense, row-major. */
typedef struct sgt_tensor_view {
    uint32_t size;
    int32_t dtype;      /* enum sgt_dtype */
    const char *name;   /* lives as long as the owner; NULL if it has none */
    int32_t rank;
    int32_t reserved;
    int64_t shape[SGT_MAX_RANK];
    uint64_t count;     /* elements */
    void *data;         /* NULL where the backend's memory is not host-visible */
} sgt_tensor_view;

SGT_END_DECLS

#endif
