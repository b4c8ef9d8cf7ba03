/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For authors of tensor backends: the tensors that operations work on, and the arguments of each
 * operation. The rules for all of them are in <sgt/sys/backend.h>, beside the table of slots.
 */
#ifndef SGT_SYS_OPERATIONS_H
#define SGT_SYS_OPERATIONS_H

#include <stddef.h>

#include <sgt/pattern.h>
#include <sgt/tensor.h>

SGT_BEGIN_DECLS

/* A backend's memory: whatever it wants it to be. */
typedef struct sgt_buffer sgt_buffer;

/* A piece of a buffer, seen as an array. */
typedef struct sgt_tensor {
    uint32_t size;
    int32_t dtype;                 /* enum sgt_dtype */
    sgt_buffer *buffer;            /* of the backend that gets the tensor */
    uint64_t offset;               /* where element 0 is, in elements from the buffer's start */
    int32_t rank;                  /* 1 to SGT_MAX_RANK */
    int32_t reserved;              /* 0 */
    int64_t shape[SGT_MAX_RANK];   /* of the first `rank` dimensions */
    int64_t strides[SGT_MAX_RANK]; /* in elements; 0: all along it are the same element */
} sgt_tensor;

/* ---- argument structs, one per operation ---- */

/*
 * They grow at their ends: a later library may pass a larger struct. A slot that does not know the
 * added fields must decline, unless they are all 0, which means the same as without them. Whoever
 * passes a copy of a struct on gives it the size of the copy. `reserved` fills a hole: it is 0 and
 * never becomes a field, because a slot could not see that there is a field which it does not know.
 */

/* 1 when the struct has the size that the slot was compiled with, or is longer and else 0. */
static inline int sgt_args_known(const void *args, size_t own)
{
    const unsigned char *bytes = (const unsigned char *)args;
    const size_t size = *(const uint32_t *)args;
    for (size_t i = own; i < size; i++)
        if (bytes[i])
            return 0;
    return size >= own;
}

/* C = alpha A B + beta D. A [M,K], B [K,N], C [M,N], D [M,N]; or each has one more leading
 * dimension, the same for all, of independent products. In each of A, B, C, D one of the last two
 * strides is 1 (so a transpose is the strides swapped). D NULL means C itself. With beta 0 D is not
 * read, and a NaN in it does not matter. D may be C, otherwise nothing overlaps. */
typedef struct sgt_gemm_args {
    uint32_t size;
    float alpha;
    float beta;
    int32_t reserved;    /* 0 */
    const sgt_tensor *a; /* A */
    const sgt_tensor *b; /* B */
    const sgt_tensor *c; /* C, the output */
    const sgt_tensor *d; /* D */
} sgt_gemm_args;

/* y = x W^T + d: a product at inference. x [N,in], y [N,out], d [N,out] rows; W [out,in] rows, of
 * F32 or BF16. d NULL adds nothing; d may be y. N is often 1: then only reading W fast counts. */
typedef struct sgt_linear_args {
    uint32_t size;
    int32_t reserved;         /* 0 */
    const sgt_tensor *x;
    const sgt_tensor *weight; /* W */
    const sgt_tensor *y;
    const sgt_tensor *d;
} sgt_linear_args;

/* out[n,:] = table[ids[n],:]. table [V,d] rows, ids [N] int32 (valid), out [N,d] rows. */
typedef struct sgt_embedding_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *table;
    const sgt_tensor *ids;
    const sgt_tensor *out;
} sgt_embedding_args;

/* Accumulates dtable[ids[n],:] += scale * dout[n,:], in the order of n. */
typedef struct sgt_embedding_backward_args {
    uint32_t size;
    float scale;
    const sgt_tensor *dtable;
    const sgt_tensor *ids;
    const sgt_tensor *dout;
} sgt_embedding_backward_args;

/* y[n,:] = w * x[n,:] / sqrt(mean(x[n,:]^2) + eps). x, y [N,d] rows, w [d]. y may be x. */
typedef struct sgt_rmsnorm_args {
    uint32_t size;
    float eps;
    const sgt_tensor *x;
    const sgt_tensor *weight; /* w */
    const sgt_tensor *y;
} sgt_rmsnorm_args;

#define SGT_RMSNORM_PARTS 32 /* rows of the scratch of rmsnorm_backward */

/* Accumulates the gradients that follow from dy in dx and dweight; eps as above. x, dy, dx [N,d]
 * rows, weight, dweight [d], scratch [SGT_RMSNORM_PARTS, d] dense with undefined contents. */
typedef struct sgt_rmsnorm_backward_args {
    uint32_t size;
    float eps;
    const sgt_tensor *x;
    const sgt_tensor *weight;
    const sgt_tensor *dy;
    const sgt_tensor *dx;
    const sgt_tensor *dweight;
    const sgt_tensor *scratch;
} sgt_rmsnorm_backward_args;

/* Rotates the pairs (i, i + dh/2) of x [B,T,h,dh] (last stride 1) in place by the angle of position
 * offsets[b] + t. cosine and sine are [P, dh/2] dense, and P covers every position. inverse 1
 * rotates by minus the angle, as the gradient needs. offsets is int32 [B]; NULL: zeros. */
typedef struct sgt_rope_args {
    uint32_t size;
    int32_t inverse;
    const sgt_tensor *x;
    const sgt_tensor *cosine;
    const sgt_tensor *sine;
    const sgt_tensor *offsets;
} sgt_rope_args;

/*
 * Causal attention of a list of h heads over g key/value heads:
 *     s = scale q k^T;  p = softmax(s);  out = gain p v
 * q, out [B,Tq,h,dh]; k, v [B,Tk,g,dh]; last stride 1. Query t of sequence b sees the keys 0 ..
 * offsets[b] + t that its pattern has. Rows t >= lengths[b] are not computed and keep their out.
 * lse [B,h,Tq] dense gets ln sum exp(s) of each row. entropy_last and entropy_mean, F64 [B,h]
 * dense, get normalised entropies: the entropy of a row divided by ln(keys that it sees), 0 where
 * it sees one key only. The first gets that of the last computed row, the second the mean over the
 * computed rows that see more than one key.
 *
 * Key j is in row j of k and v. With a ring of R rows it is in row j mod R, but a key that only
 * SGT_KEYS_SUMMARY shows, the n-th summary cell of the sequence (from 0 on), in row R + n. Then
 * every pattern has sets, SGT_KEYS_STRIDED not among them, and the ring has room for all others.
 */
typedef struct sgt_attention_args {
    uint32_t size;
    float scale;
    const sgt_tensor *q;
    const sgt_tensor *k;
    const sgt_tensor *v;
    const sgt_tensor *out;
    const sgt_tensor *lse;          /* NULL: not wanted */
    const sgt_tensor *entropy_last; /* NULL: not wanted */
    const sgt_tensor *entropy_mean; /* NULL: not wanted */
    const sgt_tensor *kv_heads;     /* int32 [h] in [0,g), ascending: whose keys a head reads */
    const sgt_tensor *gains;        /* [h]; NULL: ones */
    const sgt_tensor *offsets;      /* int32 [B]; NULL: zeros */
    const sgt_tensor *lengths;      /* int32 [B] in [0,Tq]; NULL: Tq */
    const sgt_attention_pattern *patterns; /* [g], patterns[0].size bytes apart, host memory: what
                                       readers of a key/value head see; NULL: all earlier keys */
    int64_t ring;                   /* R; 0: none */
} sgt_attention_args;

/*
 * Gradients of the above with offsets 0, full lengths and Tq = Tk, from dout, the gradient of out
 * (which has the gains in it). out, lse, scale and kv_heads are those of the forward. dq, dk, dv,
 * shaped as q, k, v, are overwritten; a key/value head that no head of the list reads gets zeros.
 */
typedef struct sgt_attention_backward_args {
    uint32_t size;
    float scale;
    const sgt_tensor *q;
    const sgt_tensor *k;
    const sgt_tensor *v;
    const sgt_tensor *out;
    const sgt_tensor *lse;
    const sgt_tensor *dout;
    const sgt_tensor *dq;
    const sgt_tensor *dk;
    const sgt_tensor *dv;
    const sgt_tensor *kv_heads;
    const sgt_tensor *gains; /* NULL: ones */
    const sgt_attention_pattern *patterns; /* those of the forward */
} sgt_attention_backward_args;

/* out = silu(gate) * up * mask. All [N,f] rows. out may be gate or up. Instead of a mask there may
 * be a choice, int32 [N, f/units] dense: the mask is 1 for unit choice[n,s] of each group s of
 * `units` columns, and 0 for the others. Neither: all ones. */
typedef struct sgt_swiglu_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *gate;
    const sgt_tensor *up;
    const sgt_tensor *out;
    const sgt_tensor *mask;   /* NULL: there is a choice, or neither */
    const sgt_tensor *choice; /* NULL: likewise */
    int32_t units;            /* of a choice; else 0 */
    int32_t reserved2;        /* 0 */
} sgt_swiglu_args;

/* Gives dgate and dup, which follow from dout, and `out` as in the forward; and the gradient of the
 * mask, for all units also where it comes from a choice. All [N,f] rows. dgate may be gate, dup may
 * be up, out may be dout, dmask may be mask. */
typedef struct sgt_swiglu_backward_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *gate;
    const sgt_tensor *up;
    const sgt_tensor *dout;
    const sgt_tensor *dgate;
    const sgt_tensor *dup;
    const sgt_tensor *out;
    const sgt_tensor *mask;   /* these two as in the forward */
    const sgt_tensor *choice;
    const sgt_tensor *dmask;  /* NULL: not wanted */
    int32_t units;
    int32_t reserved2;        /* 0 */
} sgt_swiglu_backward_args;

/* out = max(0, x * mask), NaN where that is NaN, with a mask or a choice as above, or neither. All
 * [N,f] rows. out may be x. */
typedef struct sgt_relu_args {
    uint32_t size;
    int32_t units; /* of a choice; else 0 */
    const sgt_tensor *x;
    const sgt_tensor *out;
    const sgt_tensor *mask;
    const sgt_tensor *choice;
} sgt_relu_args;

/* Gives dx = dout * mask and dmask = dout * x, both 0 unless x * mask is above 0, and `out` as in
 * the forward, whose mask or choice is given again. All [N,f] rows. dx may be x, dmask may be mask,
 * out may be dout. */
typedef struct sgt_relu_backward_args {
    uint32_t size;
    int32_t units; /* of a choice; else 0 */
    const sgt_tensor *x;
    const sgt_tensor *dout;
    const sgt_tensor *dx;
    const sgt_tensor *out;
    const sgt_tensor *mask;
    const sgt_tensor *choice;
    const sgt_tensor *dmask; /* NULL: not wanted */
} sgt_relu_backward_args;

/*
 * Chooses one unit of each group of `units` columns of logits [N,f] rows: choice, int32 dense
 * [N, f/units], gets the index within its group of the largest logits + temperature g, the lowest
 * of equals; a NaN counts as -infinity. g = -ln(-ln u) is drawn for each element: number
 * i = n f + j takes word i mod 4 of Philox4x32-10 (Salmon et al., SC 2011) with the key `seed` and
 * the counter (i / 4, stream), each with its low 32 bits first, as
 * u = 1e-6 + (1 - 2e-6) (word + 1/2) / 2^32. With temperature 0 nothing is drawn. mask [N,f] rows
 * gets the softmax of each group of logits, without g; it may be logits.
 */
typedef struct sgt_choose_args {
    uint32_t size;
    int32_t units;
    uint64_t seed;
    uint64_t stream;
    float temperature;
    int32_t reserved;         /* 0 */
    const sgt_tensor *logits;
    const sgt_tensor *choice; /* NULL: not wanted */
    const sgt_tensor *mask;   /* NULL: not wanted */
} sgt_choose_args;

/* The gradient of the softmax: dlogits = mask * (dmask - sum over the group of mask * dmask). mask,
 * dlogits [N,f] rows. dmask [N,f] rows; or, where there is a choice, [N, f/units] rows: the
 * gradient of the chosen unit of each group, that of the others being 0. dlogits may be mask, or a
 * dmask of its shape. */
typedef struct sgt_choose_backward_args {
    uint32_t size;
    int32_t units;
    const sgt_tensor *mask;
    const sgt_tensor *dmask;
    const sgt_tensor *choice; /* NULL: dmask is [N,f] */
    const sgt_tensor *dlogits;
} sgt_choose_backward_args;

/*
 * Products with one row of a weight matrix for each group of `units` rows, those that a choice
 * names: W(n,s) is row s units + choice[n,s] of weight [f,d] rows. units is at most 2^18, choice
 * int32 [N, f/units] dense, a [N, f/units] rows, x [N,d] rows.
 *     unit_inputs:     a[n,s] = x[n,:] . W(n,s)
 *     unit_outputs:    x[n,:] = d[n,:] + sum over s of a[n,s] W(n,s)
 *     unit_gradients:  W(n,s) += a[n,s] x[n,:], in the order of n
 */
typedef struct sgt_units_args {
    uint32_t size;
    int32_t units;
    const sgt_tensor *weight; /* F32; but for unit_gradients BF16 too */
    const sgt_tensor *choice;
    const sgt_tensor *a;
    const sgt_tensor *x;
    const sgt_tensor *d;      /* of unit_outputs, [N,d] rows; it may be x; NULL: adds nothing */
} sgt_units_args;

/* The products of each row with each: out[i,j,:] = x[i,:] * y[j,:]. x [A,D] and y [B,D] rows, out
 * [A,B,D] with last stride 1. */
typedef struct sgt_row_products_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *x;
    const sgt_tensor *y;
    const sgt_tensor *out;
} sgt_row_products_args;

/* Accumulates the gradients dx[i,:] += sum over j of dout[i,j,:] * y[j,:], and likewise dy. They
 * are summed in the order of j, and of i. Shapes as above. */
typedef struct sgt_row_products_backward_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *x; /* these two as in the forward */
    const sgt_tensor *y;
    const sgt_tensor *dout;
    const sgt_tensor *dx; /* NULL: not wanted */
    const sgt_tensor *dy; /* NULL: not wanted */
} sgt_row_products_backward_args;

/* losses[r] = -ln softmax(logits[r,:])[targets[r]], 0 where the target is -1. logits [R,V] rows,
 * targets int32 [R], losses [R]. dlogits [R,V] rows gets the gradient of the sum of losses, 0 for
 * rows without a target; it may be logits; NULL: it is not wanted. */
typedef struct sgt_cross_entropy_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *logits;
    const sgt_tensor *targets;
    const sgt_tensor *losses;
    const sgt_tensor *dlogits;
} sgt_cross_entropy_args;

/* copy: y = x. axpy: y += alpha x. add: y = x + z. scale: y *= alpha. convert: y = x in y's dtype
 * (F32, F64, BF16, F16; to nearest even). x, y, z have one shape and any strides, but y's give each
 * element a place of its own. copy takes every dtype; the others, but for convert, F32. */
typedef struct sgt_elementwise_args {
    uint32_t size;
    float alpha;
    const sgt_tensor *x;
    const sgt_tensor *y;
    const sgt_tensor *z;
} sgt_elementwise_args;

/* sum[0] becomes the sum of squares of all pieces of x, in double. The sums of the pieces are added
 * in their order. x [E] dense, sum F64 [1]. A piece is the elements first .. first + count - 1, at
 * least one. The lists are in host memory and read during the call. */
typedef struct sgt_norm_args {
    uint32_t size;
    int32_t n_pieces; /* 0: the sum is 0 */
    const sgt_tensor *x;
    const sgt_tensor *sum;
    const int64_t *firsts; /* [n_pieces] */
    const int64_t *counts; /* [n_pieces] */
} sgt_norm_args;

/* One AdamW update of the elements of some pieces, which do not overlap; the formulas, with beta1,
 * beta2 and eps, are in <sgt/optimizer.h>. param, grad, moment1, moment2 and copy are [E] dense,
 * and a piece means the same elements of each. g is multiplied by grad_scale first and set to 0
 * afterwards. correction1 is 1 - beta1^t, correction2 is 1 - beta2^t. The lists are as above. */
typedef struct sgt_adamw_args {
    uint32_t size;
    float grad_scale;
    float beta1;
    float beta2;
    float eps;
    float correction1;
    float correction2;
    int32_t n_pieces;          /* 0: nothing is done */
    const sgt_tensor *param;   /* p */
    const sgt_tensor *grad;    /* g */
    const sgt_tensor *moment1; /* m */
    const sgt_tensor *moment2; /* v */
    const sgt_tensor *copy;    /* gets the updated p rounded to its type; NULL: not wanted */
    const int64_t *firsts;     /* [n_pieces] as above */
    const int64_t *counts;     /* [n_pieces] */
    const float *rates;        /* [n_pieces] lr of this step, with the factor of the parameter */
    const float *decays;       /* [n_pieces] wd, with the factor of the parameter */
} sgt_adamw_args;

/*
 * Copies or adds blocks of `block` rows that an index names: for i in [0,n) and r in [0,block)
 *     gather_rows:       part[i block + r, :] = whole[index[i] block + r, :]
 *     scatter_add_rows:  whole[index[i] block + r, :] += part[i block + r, :]
 * whole [R,C] and part [n block, C] have the same type, and one of the two strides of each is 1 (so
 * columns are rows with the strides swapped); index is int32 [n] and has no entry twice.
 */
typedef struct sgt_rows_args {
    uint32_t size;
    int32_t block;
    const sgt_tensor *whole;
    const sgt_tensor *part;
    const sgt_tensor *index;
} sgt_rows_args;

/* Tells, before products read it, that a weight matrix [out,in] is new or was changed since the
 * last call for it: this is the place to pack or convert a copy. */
typedef struct sgt_prepare_weight_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *weight;
} sgt_prepare_weight_args;

SGT_END_DECLS

#endif
