/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of a backend, the naive way: double precision, dense arrays, one obvious loop per
 * index. What tests compare with.
 */
#ifndef SGTT_OP_REFERENCE_H
#define SGTT_OP_REFERENCE_H

#include <stdint.h>

#include <sgt/pattern.h>

/* c (M,N) = alpha a (M,K) b (K,N) + beta d (M,N); d may be c, and is not read when beta is 0. */
void sgtt_ref_gemm(double *c, double alpha, const double *a, const double *b, double beta,
                   const double *d, int64_t m, int64_t n, int64_t k);

void sgtt_ref_rmsnorm(double *y, const double *x, const double *weight, double eps, int64_t rows,
                      int64_t d);
/* Accumulates. */
void sgtt_ref_rmsnorm_backward(double *dx, double *dweight, const double *dy, const double *x,
                               const double *weight, double eps, int64_t rows, int64_t d);

/* x (B,T,h,dh) in place; cosine, sine (P,dh/2); offsets may be NULL. */
void sgtt_ref_rope(double *x, const double *cosine, const double *sine, const int32_t *offsets,
                   int inverse, int64_t batch, int64_t length, int64_t heads, int64_t dh);

void sgtt_ref_swiglu(double *out, const double *gate, const double *up, int64_t n);
void sgtt_ref_swiglu_backward(double *dgate, double *dup, const double *dout, const double *gate,
                              const double *up, int64_t n);

/* max(0, x mask), and its gradients. */
void sgtt_ref_relu(double *out, const double *x, const double *mask, int64_t n);
void sgtt_ref_relu_backward(double *dx, double *dmask, const double *dout, const double *x,
                            const double *mask, int64_t n);

/* Of groups of `units` numbers: the index of the largest, of equals the lowest, where NaN counts as
 * -infinity; the softmax; its gradient. */
void sgtt_ref_choose(int32_t *choice, const double *logits, int64_t groups, int64_t units);
void sgtt_ref_softmax(double *mask, const double *logits, int64_t groups, int64_t units);
void sgtt_ref_softmax_backward(double *dlogits, const double *mask, const double *dmask,
                               int64_t groups, int64_t units);

/* The noise with this number, by way of Random123. */
double sgtt_ref_gumbel(uint64_t seed, uint64_t stream, uint64_t number);

/* x (A,D), y (B,D), out (A,B,D); size A, B, D. The gradients are added. */
void sgtt_ref_row_products(double *out, const double *x, const double *y, const int64_t size[3]);
void sgtt_ref_row_products_backward(double *dx, double *dy, const double *dout, const double *x,
                                    const double *y, const int64_t size[3]);

/* losses (R), dlogits (R,V). */
void sgtt_ref_cross_entropy(double *losses, double *dlogits, const double *logits,
                            const int32_t *targets, int64_t rows, int64_t vocabulary);

typedef struct sgtt_ref_attention_args {
    int64_t batch;
    int64_t queries; /* Tq */
    int64_t keys;    /* Tk */
    int64_t heads;
    int64_t groups;
    int64_t dh;
    double scale;
    const double *q; /* (B,Tq,h,dh) */
    const double *k; /* (B,Tk,g,dh) */
    const double *v;
    const int32_t *kv_heads;
    const float *gains;     /* NULL: ones */
    const int32_t *offsets; /* NULL: zeros */
    const int32_t *lengths; /* NULL: Tq */
    const sgt_attention_pattern *patterns; /* [groups]; NULL: dense */
} sgtt_ref_attention_args;

/* out (B,Tq,h,dh), lse (B,h,Tq), entropies (B,h). What is not computed stays. */
void sgtt_ref_attention(double *out, double *lse, double *entropy_last, double *entropy_mean,
                        const sgtt_ref_attention_args *args);

/* Full lengths, no offsets. */
void sgtt_ref_attention_backward(double *dq, double *dk, double *dv, const double *dout,
                                 const sgtt_ref_attention_args *args);

#endif
