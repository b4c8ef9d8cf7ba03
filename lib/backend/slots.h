/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists the function slots of struct sgt_backend by what the library asks of them. Whoever needs
 * something for each slot of a kind (an enum, a name, a check) passes a macro X to its list.
 * describe, host_pointer, prepare_weight and native are in no list: they may always be NULL.
 */
#ifndef SGTI_SLOTS_H
#define SGTI_SLOTS_H

/* Every backend has these. */
#define SGTI_REQUIRED_SLOTS(X)                                                                     \
    X(open)                                                                                        \
    X(close)                                                                                       \
    X(gemm)

/* A backend has all of these or none. With none, and no host_pointer either, its memory is that of
 * the portable backend. */
#define SGTI_MEMORY_SLOTS(X)                                                                       \
    X(allocate)                                                                                    \
    X(free)                                                                                        \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(copy)                                                                                        \
    X(fill)                                                                                        \
    X(sync)

/* Operations, with the types of their arguments. The portable kernels stand in for them where
 * memory is host-visible; elsewhere a backend has to have them all. */
#define SGTI_OPTIONAL_SLOTS(X)                                                                     \
    X(embedding, sgt_embedding_args)                                                               \
    X(embedding_backward, sgt_embedding_backward_args)                                             \
    X(rmsnorm, sgt_rmsnorm_args)                                                                   \
    X(rmsnorm_backward, sgt_rmsnorm_backward_args)                                                 \
    X(rope, sgt_rope_args)                                                                         \
    X(attention, sgt_attention_args)                                                               \
    X(attention_backward, sgt_attention_backward_args)                                             \
    X(swiglu, sgt_swiglu_args)                                                                     \
    X(swiglu_backward, sgt_swiglu_backward_args)                                                   \
    X(cross_entropy, sgt_cross_entropy_args)                                                       \
    X(add, sgt_elementwise_args)                                                                   \
    X(axpy, sgt_elementwise_args)                                                                  \
    X(scale, sgt_elementwise_args)                                                                 \
    X(norm, sgt_norm_args)                                                                         \
    X(convert, sgt_elementwise_args)                                                               \
    X(adamw, sgt_adamw_args)                                                                       \
    X(gather_rows, sgt_rows_args)                                                                  \
    X(scatter_add_rows, sgt_rows_args)

/* Operations of parts that not every model has. They are like those above, but a backend whose
 * memory is not host-visible may leave them out; models with such parts then do not run on it. */
#define SGTI_PART_SLOTS(X)                                                                         \
    X(relu, sgt_relu_args)                                                                         \
    X(relu_backward, sgt_relu_backward_args)                                                       \
    X(choose, sgt_choose_args)                                                                     \
    X(choose_backward, sgt_choose_backward_args)                                                   \
    X(row_products, sgt_row_products_args)                                                         \
    X(row_products_backward, sgt_row_products_backward_args)

/* Nobody has to have these: where neither the backend nor the portable kernels do such a call, the
 * library reaches the same result by other operations. */
#define SGTI_ADDITIONAL_SLOTS(X) X(linear, sgt_linear_args)

/* Products with chosen rows. A backend has all of these or none, which is asked before they are
 * called: see sgti_has_units. */
#define SGTI_UNIT_SLOTS(X)                                                                         \
    X(unit_inputs, sgt_units_args)                                                                 \
    X(unit_outputs, sgt_units_args)                                                                \
    X(unit_gradients, sgt_units_args)

/* All operations; each of them may decline a call. */
#define SGTI_OPERATION_SLOTS(X)                                                                    \
    X(gemm, sgt_gemm_args)                                                                         \
    SGTI_OPTIONAL_SLOTS(X)                                                                         \
    SGTI_PART_SLOTS(X)                                                                             \
    SGTI_UNIT_SLOTS(X)                                                                             \
    SGTI_ADDITIONAL_SLOTS(X)

/* A backend has all of these or none. */
#define SGTI_GRAPH_SLOTS(X)                                                                        \
    X(capture_begin)                                                                               \
    X(capture_end)                                                                                 \
    X(replay)                                                                                      \
    X(free_graph)

#endif
