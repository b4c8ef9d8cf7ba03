/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and cuts tensor descriptors. Nothing here touches the memory that they describe. */
#ifndef SGTI_TENSORS_H
#define SGTI_TENSORS_H

#include <sgt/sys/backend.h>

#include "../base/strict_math.h"

/* Dense, row-major float32 tensors whose first element is the one at `offset` of the buffer. */
sgt_tensor sgti_tensor_dense(sgt_buffer *buffer, uint64_t offset, int32_t rank,
                             const int64_t *shape);
sgt_tensor sgti_tensor_1d(sgt_buffer *buffer, uint64_t offset, int64_t n);
sgt_tensor sgti_tensor_2d(sgt_buffer *buffer, uint64_t offset, int64_t rows, int64_t columns);
sgt_tensor sgti_tensor_3d(sgt_buffer *buffer, uint64_t offset, int64_t a, int64_t b, int64_t c);

/* The same memory seen as another type; only the offset, which counts elements, is converted. */
sgt_tensor sgti_tensor_as(sgt_tensor tensor, int32_t dtype);

/* A dense tensor as a vector of all its elements. */
sgt_tensor sgti_tensor_flat(sgt_tensor dense);

/* [R,C] -> [C,R]. */
sgt_tensor sgti_transposed(sgt_tensor matrix);

/* `count` rows of a matrix: first, first + step, first + 2 step, ... */
sgt_tensor sgti_every_row(sgt_tensor matrix, int64_t first, int64_t step, int64_t count);

/* The rows, or the columns, first .. first+count-1 of a matrix. */
sgt_tensor sgti_rows(sgt_tensor matrix, int64_t first, int64_t count);
sgt_tensor sgti_columns(sgt_tensor matrix, int64_t first, int64_t count);

/* A vector [C] as a matrix [rows, C] whose rows are all the same memory. */
sgt_tensor sgti_repeated(sgt_tensor vector, int64_t rows);

/* [N, heads*dh] -> [B, N/B, heads, dh]: the rows of a batch seen as sequences of heads. */
sgt_tensor sgti_split_heads(sgt_tensor matrix, int64_t batch, int64_t heads);

/* The steps first .. first+count-1 of every sequence of [B,T,..]. */
sgt_tensor sgti_steps(sgt_tensor sequences, int64_t first, int64_t count);

int64_t sgti_tensor_count(const sgt_tensor *tensor);
uint32_t sgti_dtype_bytes(int32_t dtype);

/* 1 when the elements lie in row-major order without gaps. */
int sgti_tensor_is_dense(const sgt_tensor *tensor);

#endif
