/* SPDX-License-Identifier: BSD-3-Clause */
/* Tensor descriptors are values: each function returns a new one. */
#include "tensors.h"

sgt_tensor sgti_tensor_dense(sgt_buffer *buffer, uint64_t offset, int32_t rank,
                             const int64_t *shape)
{
    sgt_tensor tensor = {.size = sizeof tensor,
                         .dtype = SGT_F32,
                         .buffer = buffer,
                         .offset = offset,
                         .rank = rank};
    int64_t stride = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        tensor.shape[i] = shape[i];
        tensor.strides[i] = stride;
        stride *= shape[i];
    }
    return tensor;
}

sgt_tensor sgti_tensor_1d(sgt_buffer *buffer, uint64_t offset, int64_t n)
{
    return sgti_tensor_dense(buffer, offset, 1, (const int64_t[]){n});
}

sgt_tensor sgti_tensor_2d(sgt_buffer *buffer, uint64_t offset, int64_t rows, int64_t columns)
{
    return sgti_tensor_dense(buffer, offset, 2, (const int64_t[]){rows, columns});
}

sgt_tensor sgti_tensor_3d(sgt_buffer *buffer, uint64_t offset, int64_t a, int64_t b, int64_t c)
{
    return sgti_tensor_dense(buffer, offset, 3, (const int64_t[]){a, b, c});
}

sgt_tensor sgti_tensor_as(sgt_tensor tensor, int32_t dtype)
{
    tensor.offset = tensor.offset * sgti_dtype_bytes(tensor.dtype) / sgti_dtype_bytes(dtype);
    tensor.dtype = dtype;
    return tensor;
}

sgt_tensor sgti_tensor_flat(sgt_tensor dense)
{
    sgt_tensor flat = dense;
    flat.rank = 1;
    flat.shape[0] = sgti_tensor_count(&dense);
    flat.strides[0] = 1;
    return flat;
}

sgt_tensor sgti_transposed(sgt_tensor matrix)
{
    sgt_tensor turned = matrix;
    turned.shape[0] = matrix.shape[1];
    turned.shape[1] = matrix.shape[0];
    turned.strides[0] = matrix.strides[1];
    turned.strides[1] = matrix.strides[0];
    return turned;
}

sgt_tensor sgti_every_row(sgt_tensor matrix, int64_t first, int64_t step, int64_t count)
{
    sgt_tensor rows = sgti_rows(matrix, first, count);
    rows.strides[0] = step * matrix.strides[0];
    return rows;
}

sgt_tensor sgti_rows(sgt_tensor matrix, int64_t first, int64_t count)
{
    matrix.offset += (uint64_t)(first * matrix.strides[0]);
    matrix.shape[0] = count;
    return matrix;
}

sgt_tensor sgti_columns(sgt_tensor matrix, int64_t first, int64_t count)
{
    matrix.offset += (uint64_t)(first * matrix.strides[1]);
    matrix.shape[1] = count;
    return matrix;
}

sgt_tensor sgti_repeated(sgt_tensor vector, int64_t rows)
{
    sgt_tensor matrix = sgti_tensor_2d(vector.buffer, vector.offset, rows, vector.shape[0]);
    matrix.strides[0] = 0;
    return matrix;
}

sgt_tensor sgti_split_heads(sgt_tensor matrix, int64_t batch, int64_t heads)
{
    int64_t length = matrix.shape[0] / batch;
    int64_t head_dim = matrix.shape[1] / heads;
    sgt_tensor split = matrix;
    split.rank = 4;
    split.shape[0] = batch;
    split.shape[1] = length;
    split.shape[2] = heads;
    split.shape[3] = head_dim;
    split.strides[0] = length * matrix.strides[0];
    split.strides[1] = matrix.strides[0];
    split.strides[2] = head_dim * matrix.strides[1];
    split.strides[3] = matrix.strides[1];
    return split;
}

sgt_tensor sgti_steps(sgt_tensor sequences, int64_t first, int64_t count)
{
    sequences.offset += (uint64_t)(first * sequences.strides[1]);
    sequences.shape[1] = count;
    return sequences;
}

int64_t sgti_tensor_count(const sgt_tensor *tensor)
{
    int64_t count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

uint32_t sgti_dtype_bytes(int32_t dtype)
{
    switch (dtype) {
    case SGT_F64:
        return 8;
    case SGT_F32:
    case SGT_I32:
        return 4;
    case SGT_BF16:
    case SGT_F16:
        return 2;
    default:
        return 0;
    }
}

int sgti_tensor_is_dense(const sgt_tensor *tensor)
{
    int64_t stride = 1;
    for (int32_t i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->strides[i] != stride)
            return 0;
        stride *= tensor->shape[i];
    }
    return 1;
}
