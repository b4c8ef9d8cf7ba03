/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sgt-backend-test checks: for each operation a list of tests that get an open machine, and
 * whole checks of what is not one operation.
 */
#ifndef SGTT_SUITE_H
#define SGTT_SUITE_H

#include <stddef.h>

#include "op_harness.h"

/* Runs once for each round; what the machine handed out is cleared afterwards. */
typedef void (*sgtt_op_test)(sgtt_machine *m);

typedef struct sgtt_operation {
    const char *name;            /* of the slot */
    size_t slot;                 /* where it is in sgt_backend */
    const sgtt_op_test *tests;   /* up to NULL */
    const sgtt_op_test *more;    /* likewise; may be NULL */
} sgtt_operation;

/* In the order of the table, but those that may be NULL always after the ones before them. */
extern const sgtt_operation sgtt_operations[];
extern const int sgtt_operation_count;

/* 1: the table has the operation. */
int sgtt_has(const sgt_backend *backend, const sgtt_operation *operation);

/* All tests of an operation, in as many rounds as the subject wants. */
void sgtt_run_operation(sgtt_machine *m, const sgtt_operation *operation);

extern const sgtt_op_test sgtt_copy_tests[];
extern const sgtt_op_test sgtt_fill_tests[];
extern const sgtt_op_test sgtt_gemm_tests[];
extern const sgtt_op_test sgtt_embedding_tests[];
extern const sgtt_op_test sgtt_embedding_backward_tests[];
extern const sgtt_op_test sgtt_rmsnorm_tests[];
extern const sgtt_op_test sgtt_rmsnorm_backward_tests[];
extern const sgtt_op_test sgtt_rope_tests[];
extern const sgtt_op_test sgtt_attention_tests[];
extern const sgtt_op_test sgtt_attention_backward_tests[];
extern const sgtt_op_test sgtt_swiglu_tests[];
extern const sgtt_op_test sgtt_swiglu_backward_tests[];
extern const sgtt_op_test sgtt_cross_entropy_tests[];
extern const sgtt_op_test sgtt_add_tests[];
extern const sgtt_op_test sgtt_axpy_tests[];
extern const sgtt_op_test sgtt_scale_tests[];
extern const sgtt_op_test sgtt_norm_tests[];
extern const sgtt_op_test sgtt_convert_tests[];
extern const sgtt_op_test sgtt_adamw_tests[];
extern const sgtt_op_test sgtt_gather_rows_tests[];
extern const sgtt_op_test sgtt_scatter_add_rows_tests[];
extern const sgtt_op_test sgtt_prepare_weight_tests[];
extern const sgtt_op_test sgtt_linear_tests[];
extern const sgtt_op_test sgtt_relu_tests[];
extern const sgtt_op_test sgtt_relu_backward_tests[];
extern const sgtt_op_test sgtt_choose_tests[];
extern const sgtt_op_test sgtt_choose_noise[]; /* more of choose */
extern const sgtt_op_test sgtt_choose_backward_tests[];
extern const sgtt_op_test sgtt_row_products_tests[];
extern const sgtt_op_test sgtt_row_products_backward_tests[];
extern const sgtt_op_test sgtt_unit_inputs_tests[];
extern const sgtt_op_test sgtt_unit_outputs_tests[];
extern const sgtt_op_test sgtt_unit_gradients_tests[];

/* Against finite differences. */
extern const sgtt_op_test sgtt_embedding_gradient[];
extern const sgtt_op_test sgtt_rmsnorm_gradient[];
extern const sgtt_op_test sgtt_rope_gradient[];
extern const sgtt_op_test sgtt_attention_gradient[];
extern const sgtt_op_test sgtt_swiglu_gradient[];
extern const sgtt_op_test sgtt_cross_entropy_gradient[];
extern const sgtt_op_test sgtt_relu_gradient[];
extern const sgtt_op_test sgtt_choose_gradient[];
extern const sgtt_op_test sgtt_row_products_gradient[];

/* ---- shapes ---- */

typedef struct sgtt_shape {
    int64_t rows;
    int64_t columns;
} sgtt_shape;

#define SGTT_SHAPES 12

/* Number `index` of a list of odd and even ones in round 0, a random one later. */
sgtt_shape sgtt_pick_shape(sgtt_machine *m, int index);

/* Every shape in both layouts of rows. */
#define SGTT_FOR_EACH_SHAPE(index, layout)                                                         \
    for (int index = 0; index < SGTT_SHAPES; index++)                                              \
        for (enum sgtt_layout layout = SGTT_DENSE; layout <= SGTT_ROWS; layout++)

/* ---- checks; the argument is the sgtt_subject ---- */

void sgtt_check_open(const void *subject);
void sgtt_check_memory(const void *subject);
void sgtt_check_transfer(const void *subject);
void sgtt_check_host_pointer(const void *subject);
void sgtt_check_order(const void *subject);
void sgtt_check_fallback(const void *subject);
void sgtt_check_threads(const void *subject);
void sgtt_check_concurrency(const void *subject);
void sgtt_check_graphs(const void *subject);
void sgtt_check_faults(const void *subject);
void sgtt_check_training(const void *subject);
void sgtt_check_growth(const void *subject);
void sgtt_check_training_threads(const void *subject);
void sgtt_check_training_memory(const void *subject);
void sgtt_check_evaluation(const void *subject);
void sgtt_check_checkpoint(const void *subject);
void sgtt_check_decoding(const void *subject);

/* Training and decoding under attention patterns; skipped where a backend declines them and no
 * other kernels reach its memory. */
void sgtt_check_patterns(const void *subject);
/* The same of units that a controller chooses, and of heads of modules. */
void sgtt_check_parts(const void *subject);
void sgtt_check_decoding_of(const sgtt_subject *subject, int kind);

#endif
