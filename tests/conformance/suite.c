/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite.h"

#include <string.h>

#define OPERATION(slot, more) {#slot, offsetof(sgt_backend, slot), sgtt_##slot##_tests, more}

const sgtt_operation sgtt_operations[] = {
    OPERATION(copy, NULL),
    OPERATION(fill, NULL),
    OPERATION(gemm, NULL),
    OPERATION(embedding, NULL),
    OPERATION(embedding_backward, sgtt_embedding_gradient),
    OPERATION(rmsnorm, NULL),
    OPERATION(rmsnorm_backward, sgtt_rmsnorm_gradient),
    OPERATION(rope, sgtt_rope_gradient),
    OPERATION(attention, NULL),
    OPERATION(attention_backward, sgtt_attention_gradient),
    OPERATION(swiglu, NULL),
    OPERATION(swiglu_backward, sgtt_swiglu_gradient),
    OPERATION(cross_entropy, sgtt_cross_entropy_gradient),
    OPERATION(add, NULL),
    OPERATION(axpy, NULL),
    OPERATION(scale, NULL),
    OPERATION(norm, NULL),
    OPERATION(convert, NULL),
    OPERATION(adamw, NULL),
    OPERATION(gather_rows, NULL),
    OPERATION(scatter_add_rows, NULL),
    OPERATION(prepare_weight, NULL),
    OPERATION(linear, NULL),
    OPERATION(relu, NULL),
    OPERATION(relu_backward, sgtt_relu_gradient),
    OPERATION(choose, sgtt_choose_noise),
    OPERATION(choose_backward, sgtt_choose_gradient),
    OPERATION(row_products, NULL),
    OPERATION(row_products_backward, sgtt_row_products_gradient),
    OPERATION(unit_inputs, NULL),
    OPERATION(unit_outputs, NULL),
    OPERATION(unit_gradients, NULL),
};
const int sgtt_operation_count = (int)(sizeof sgtt_operations / sizeof sgtt_operations[0]);

int sgtt_has(const sgt_backend *backend, const sgtt_operation *operation)
{
    void (*function)(void);
    memcpy(&function, (const char *)backend + operation->slot, sizeof function);
    return function != NULL;
}

static void run_tests(sgtt_machine *m, const sgtt_op_test *tests)
{
    for (; tests != NULL && *tests != NULL; tests++) {
        (*tests)(m);
        sgtt_clear(m);
    }
}

void sgtt_run_operation(sgtt_machine *m, const sgtt_operation *operation)
{
    for (m->round = 0; m->round < m->subject->rounds; m->round++) {
        run_tests(m, operation->tests);
        run_tests(m, operation->more);
    }
}

sgtt_shape sgtt_pick_shape(sgtt_machine *m, int index)
{
    static const sgtt_shape listed[SGTT_SHAPES] = {{1, 1},   {1, 2},    {3, 15},    {5, 16},
                                                   {2, 17},  {7, 31},   {4, 33},    {9, 64},
                                                   {70, 50}, {300, 96}, {40, 1000}, {2, 40001}};
    if (m->round == 0)
        return listed[index];
    const int64_t rows = 1 + sgtt_below(m, 97);
    return (sgtt_shape){rows, 1 + sgtt_below(m, 400)};
}
