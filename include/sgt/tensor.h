/* SPDX-License-Identifier: BSD-3-Clause */
/* Data types, and the view of a tensor that the library shows to a host. */
#ifndef SGT_TENSOR_H
#define SGT_TENSOR_H

#include <sgt/status.h>

SGT_BEGIN_DECLS

/* What one element is. */
enum sgt_dtype {
    SGT_F32 = 1,  /* float */
    SGT_F64 = 2,  /* double */
    SGT_BF16 = 3, /* the upper half of a float */
    SGT_F16 = 4,  /* IEEE 754 binary16 */
    SGT_I32 = 5   /* int32_t */
};

#define SGT_MAX_RANK 6 /* the most dimensions a tensor has */

/* A tensor of the library as the host sees it: dense, row-major. */
typedef struct sgt_tensor_view {
    uint32_t size;
    int32_t dtype;      /* enum sgt_dtype */
    const char *name;   /* lives as long as the owner; NULL if it has none */
    int32_t rank;       /* dimensions, 1 to SGT_MAX_RANK */
    int32_t reserved;   /* 0 */
    int64_t shape[SGT_MAX_RANK]; /* the extents of the first `rank` dimensions, then 0 */
    uint64_t count;     /* elements */
    void *data;         /* NULL where the backend's memory is not host-visible */
} sgt_tensor_view;

SGT_END_DECLS

#endif
