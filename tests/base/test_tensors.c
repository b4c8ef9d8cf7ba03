/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors: what element a tensor, a slice or a split of heads starts at and steps to. */
#include "core/tensors.h"
#include "testing.h"

/* Where element (i, j, k, l) lies in its buffer. */
static uint64_t place(const sgt_tensor *tensor, int64_t i, int64_t j, int64_t k, int64_t l)
{
    const int64_t index[SGT_MAX_RANK] = {i, j, k, l};
    uint64_t at = tensor->offset;
    for (int32_t axis = 0; axis < tensor->rank; axis++)
        at += (uint64_t)(index[axis] * tensor->strides[axis]);
    return at;
}

START_TEST(fresh_tensors_are_row_major)
{
    sgt_tensor t = sgti_tensor_3d(NULL, 10, 2, 3, 4);
    ck_assert_uint_eq(t.size, sizeof t);
    ck_assert_int_eq(t.dtype, SGT_F32);
    ck_assert_int_eq(t.rank, 3);
    ck_assert_uint_eq(place(&t, 1, 2, 3, 0), 10 + 23);
    ck_assert_int_eq(sgti_tensor_count(&t), 24);
    ck_assert(sgti_tensor_is_dense(&t));
    sgt_tensor v = sgti_tensor_1d(NULL, 3, 9);
    ck_assert_uint_eq(place(&v, 8, 0, 0, 0), 11);
}
END_TEST

START_TEST(slices_and_transposes)
{
    sgt_tensor m = sgti_tensor_2d(NULL, 100, 6, 8);
    sgt_tensor rows = sgti_rows(m, 2, 3);
    sgt_tensor columns = sgti_columns(m, 5, 2);
    sgt_tensor turned = sgti_transposed(sgti_columns(sgti_rows(m, 1, 4), 3, 2));
    ck_assert_uint_eq(place(&rows, 1, 4, 0, 0), 100 + 3 * 8 + 4);
    ck_assert_int_eq(rows.shape[0], 3);
    ck_assert(sgti_tensor_is_dense(&rows));
    ck_assert_uint_eq(place(&columns, 4, 1, 0, 0), 100 + 4 * 8 + 6);
    ck_assert(!sgti_tensor_is_dense(&columns));
    ck_assert_int_eq(turned.shape[0], 2);
    ck_assert_int_eq(turned.shape[1], 4);
    ck_assert_uint_eq(place(&turned, 1, 2, 0, 0), 100 + 3 * 8 + 4);
    ck_assert(!sgti_tensor_is_dense(&turned));
}
END_TEST

START_TEST(heads_of_a_batch)
{
    sgt_tensor qkv = sgti_tensor_2d(NULL, 0, 2 * 5, 40);   /* B 2, T 5 */
    sgt_tensor k = sgti_split_heads(sgti_columns(qkv, 24, 8), 2, 4); /* 4 heads of 2 */
    const int64_t shape[] = {2, 5, 4, 2};
    ck_assert_int_eq(k.rank, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(k.shape[i], shape[i]);
    ck_assert_uint_eq(place(&k, 1, 3, 2, 1), (5 + 3) * 40 + 24 + 2 * 2 + 1);
}
END_TEST

START_TEST(gaps_of_single_elements_do_not_matter)
{
    sgt_tensor m = sgti_tensor_2d(NULL, 0, 1, 8);
    m.strides[0] = 1000;
    ck_assert(sgti_tensor_is_dense(&m));
    m.shape[0] = 2;
    ck_assert(!sgti_tensor_is_dense(&m));
}
END_TEST

START_TEST(another_type_is_the_same_memory)
{
    sgt_tensor floats = sgti_tensor_1d(NULL, 48, 4);
    sgt_tensor doubles = sgti_tensor_as(floats, SGT_F64);
    sgt_tensor halves = sgti_tensor_as(floats, SGT_BF16);
    ck_assert_uint_eq(doubles.offset * sgti_dtype_bytes(SGT_F64), 48 * 4);
    ck_assert_uint_eq(halves.offset * sgti_dtype_bytes(SGT_BF16), 48 * 4);
    ck_assert_int_eq(doubles.dtype, SGT_F64);
    ck_assert_uint_eq(sgti_dtype_bytes(SGT_I32), 4);
    ck_assert_uint_eq(sgti_dtype_bytes(SGT_F16), 2);
    ck_assert_uint_eq(sgti_dtype_bytes(77), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensors");
    TCase *tests = tcase_create("tensors");
    tcase_add_test(tests, fresh_tensors_are_row_major);
    tcase_add_test(tests, slices_and_transposes);
    tcase_add_test(tests, heads_of_a_batch);
    tcase_add_test(tests, gaps_of_single_elements_do_not_matter);
    tcase_add_test(tests, another_type_is_the_same_memory);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
