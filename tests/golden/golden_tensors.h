/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading safetensors files, as much as the golden cases need: F32, F64, I32 and I64. */
#ifndef GOLDEN_TENSORS_H
#define GOLDEN_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#define GOLDEN_MAX_RANK 4

typedef struct golden_tensor {
    char *name;
    char type; /* 'f', 'd' (F64), 'i', 'l' (I64) */
    int rank;
    int64_t shape[GOLDEN_MAX_RANK];
    uint64_t count;
    const unsigned char *data; /* little-endian, any alignment */
} golden_tensor;

typedef struct golden_tensors {
    unsigned char *file;
    golden_tensor *list;
    size_t count;
} golden_tensors;

/* NULL when all is well, else what is wrong with the file; destroy in either case. */
const char *golden_tensors_read(golden_tensors *tensors, const char *path);
void golden_tensors_destroy(golden_tensors *tensors);

/* NULL when there is none of that name. */
const golden_tensor *golden_tensors_find(const golden_tensors *tensors, const char *name);

/* How many names start with this. */
size_t golden_tensors_count(const golden_tensors *tensors, const char *prefix);

double golden_element(const golden_tensor *tensor, uint64_t index);

#endif
