/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The function slots of struct sgt_backend that a backend has to provide: always, or where its
 * memory is not host-visible (elsewhere the portable kernels stand in). describe, host_pointer,
 * prepare_weight and the additional ones may be NULL always.
 */
#ifndef SGTI_SLOTS_H
#define SGTI_SLOTS_H

#define SGTI_REQUIRED_SLOTS(X)                                                                     \
    X(open)                                                                                        \
    X(close)                                                                                       \
    X(allocate)                                                                                    \
    X(free)                                                                                        \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(copy)                                                                                        \
    X(fill)                                                                                        \
    X(sync)                                                                                        \
    X(gemm)

#define SGTI_OPTIONAL_SLOTS(X)                                                                     \
    X(embedding)                                                                                   \
    X(embedding_backward)                                                                          \
    X(rmsnorm)                                                                                     \
    X(rmsnorm_backward)                                                                            \
    X(rope)                                                                                        \
    X(attention)                                                                                   \
    X(attention_backward)                                                                          \
    X(swiglu)                                                                                      \
    X(swiglu_backward)                                                                             \
    X(cross_entropy)                                                                               \
    X(add)                                                                                         \
    X(axpy)                                                                                        \
    X(scale)                                                                                       \
    X(norm)                                                                                        \
    X(convert)                                                                                     \
    X(adamw)

/* Nobody needs these: where neither the backend nor the portable kernels have one, the library does
 * the same by others. */
#define SGTI_ADDITIONAL_SLOTS(X) X(linear)

#endif
