/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For authors of tensor backends: which fields of an argument struct are tensors, and of which
 * types they may be. Everything is inline, so that it fits the structs that a plug-in was compiled
 * with, not those of the library that loads it.
 */
#ifndef SGT_SYS_BACKEND_ARGS_H
#define SGT_SYS_BACKEND_ARGS_H

#include <sgt/sys/backend.h>

SGT_BEGIN_DECLS

/* A field of an argument struct that is a `const sgt_tensor *`. */
typedef struct sgt_args_tensor {
    uint16_t offset; /* of the field */
    uint16_t types;  /* a set of SGT_TYPE(enum sgt_dtype) */
} sgt_args_tensor;

#define SGT_TYPE(dtype)       (1u << (dtype))
#define SGT_MAX_ARGS_TENSORS 16 /* in one struct */

/* The place of an operation's slot in the table, by which the functions below know it. */
#define SGT_SLOT(slot) offsetof(sgt_backend, slot)

/*
 * The tensors of an operation and the types that they may have, as a list that ends with an offset
 * of 0. Every backend that has the slot takes these types, or declines. NULL: the slot has no
 * argument struct with tensors. The types in words:
 *
 *     copy, add, axpy, scale       x, y, z of one type: copy any, the others F32
 *     convert                      x, y each F32, F64, BF16 or F16
 *     linear, unit_inputs, unit_outputs  weight F32 or BF16
 *     gather_rows                  whole and part of one type: F32 or BF16
 *     adamw                        copy BF16
 *     norm, attention              sum and entropies F64
 *     ids, targets, index, kv_heads, offsets, lengths, choice  I32
 *     prepare_weight               F32 or BF16
 *     everything else              F32
 */
static inline const sgt_args_tensor *sgt_backend_args_tensors(size_t slot)
{
#define SGT_OF(type, field, types) {(uint16_t)offsetof(type, field), (uint16_t)(types)}
#define SGT_END_OF_ARGS            {0, 0}
    enum {
        f32 = SGT_TYPE(SGT_F32),
        f64 = SGT_TYPE(SGT_F64),
        i32 = SGT_TYPE(SGT_I32),
        bf16 = SGT_TYPE(SGT_BF16),
        floats = SGT_TYPE(SGT_F32) | SGT_TYPE(SGT_F64) | SGT_TYPE(SGT_BF16) | SGT_TYPE(SGT_F16),
        any = floats | SGT_TYPE(SGT_I32)
    };
    static const sgt_args_tensor gemm[] = {
        SGT_OF(sgt_gemm_args, a, f32), SGT_OF(sgt_gemm_args, b, f32), SGT_OF(sgt_gemm_args, c, f32),
        SGT_OF(sgt_gemm_args, d, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor linear[] = {
        SGT_OF(sgt_linear_args, x, f32), SGT_OF(sgt_linear_args, weight, f32 | bf16),
        SGT_OF(sgt_linear_args, y, f32), SGT_OF(sgt_linear_args, d, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor embedding[] = {
        SGT_OF(sgt_embedding_args, table, f32), SGT_OF(sgt_embedding_args, ids, i32),
        SGT_OF(sgt_embedding_args, out, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor embedding_backward[] = {
        SGT_OF(sgt_embedding_backward_args, dtable, f32),
        SGT_OF(sgt_embedding_backward_args, ids, i32),
        SGT_OF(sgt_embedding_backward_args, dout, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor rmsnorm[] = {
        SGT_OF(sgt_rmsnorm_args, x, f32), SGT_OF(sgt_rmsnorm_args, weight, f32),
        SGT_OF(sgt_rmsnorm_args, y, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor rmsnorm_backward[] = {
        SGT_OF(sgt_rmsnorm_backward_args, x, f32), SGT_OF(sgt_rmsnorm_backward_args, weight, f32),
        SGT_OF(sgt_rmsnorm_backward_args, dy, f32), SGT_OF(sgt_rmsnorm_backward_args, dx, f32),
        SGT_OF(sgt_rmsnorm_backward_args, dweight, f32),
        SGT_OF(sgt_rmsnorm_backward_args, scratch, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor rope[] = {
        SGT_OF(sgt_rope_args, x, f32), SGT_OF(sgt_rope_args, cosine, f32),
        SGT_OF(sgt_rope_args, sine, f32), SGT_OF(sgt_rope_args, offsets, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor attention[] = {
        SGT_OF(sgt_attention_args, q, f32), SGT_OF(sgt_attention_args, k, f32),
        SGT_OF(sgt_attention_args, v, f32), SGT_OF(sgt_attention_args, out, f32),
        SGT_OF(sgt_attention_args, lse, f32), SGT_OF(sgt_attention_args, entropy_last, f64),
        SGT_OF(sgt_attention_args, entropy_mean, f64), SGT_OF(sgt_attention_args, kv_heads, i32),
        SGT_OF(sgt_attention_args, gains, f32), SGT_OF(sgt_attention_args, offsets, i32),
        SGT_OF(sgt_attention_args, lengths, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor attention_backward[] = {
        SGT_OF(sgt_attention_backward_args, q, f32), SGT_OF(sgt_attention_backward_args, k, f32),
        SGT_OF(sgt_attention_backward_args, v, f32), SGT_OF(sgt_attention_backward_args, out, f32),
        SGT_OF(sgt_attention_backward_args, lse, f32),
        SGT_OF(sgt_attention_backward_args, dout, f32),
        SGT_OF(sgt_attention_backward_args, dq, f32), SGT_OF(sgt_attention_backward_args, dk, f32),
        SGT_OF(sgt_attention_backward_args, dv, f32),
        SGT_OF(sgt_attention_backward_args, kv_heads, i32),
        SGT_OF(sgt_attention_backward_args, gains, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor swiglu[] = {
        SGT_OF(sgt_swiglu_args, gate, f32), SGT_OF(sgt_swiglu_args, up, f32),
        SGT_OF(sgt_swiglu_args, out, f32), SGT_OF(sgt_swiglu_args, mask, f32),
        SGT_OF(sgt_swiglu_args, choice, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor swiglu_backward[] = {
        SGT_OF(sgt_swiglu_backward_args, gate, f32), SGT_OF(sgt_swiglu_backward_args, up, f32),
        SGT_OF(sgt_swiglu_backward_args, dout, f32), SGT_OF(sgt_swiglu_backward_args, dgate, f32),
        SGT_OF(sgt_swiglu_backward_args, dup, f32), SGT_OF(sgt_swiglu_backward_args, out, f32),
        SGT_OF(sgt_swiglu_backward_args, mask, f32), SGT_OF(sgt_swiglu_backward_args, choice, i32),
        SGT_OF(sgt_swiglu_backward_args, dmask, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor relu[] = {
        SGT_OF(sgt_relu_args, x, f32), SGT_OF(sgt_relu_args, out, f32),
        SGT_OF(sgt_relu_args, mask, f32), SGT_OF(sgt_relu_args, choice, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor relu_backward[] = {
        SGT_OF(sgt_relu_backward_args, x, f32), SGT_OF(sgt_relu_backward_args, dout, f32),
        SGT_OF(sgt_relu_backward_args, dx, f32), SGT_OF(sgt_relu_backward_args, out, f32),
        SGT_OF(sgt_relu_backward_args, mask, f32), SGT_OF(sgt_relu_backward_args, choice, i32),
        SGT_OF(sgt_relu_backward_args, dmask, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor choose[] = {
        SGT_OF(sgt_choose_args, logits, f32), SGT_OF(sgt_choose_args, choice, i32),
        SGT_OF(sgt_choose_args, mask, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor choose_backward[] = {
        SGT_OF(sgt_choose_backward_args, mask, f32), SGT_OF(sgt_choose_backward_args, dmask, f32),
        SGT_OF(sgt_choose_backward_args, choice, i32),
        SGT_OF(sgt_choose_backward_args, dlogits, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor row_products[] = {
        SGT_OF(sgt_row_products_args, x, f32), SGT_OF(sgt_row_products_args, y, f32),
        SGT_OF(sgt_row_products_args, out, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor row_products_backward[] = {
        SGT_OF(sgt_row_products_backward_args, x, f32),
        SGT_OF(sgt_row_products_backward_args, y, f32),
        SGT_OF(sgt_row_products_backward_args, dout, f32),
        SGT_OF(sgt_row_products_backward_args, dx, f32),
        SGT_OF(sgt_row_products_backward_args, dy, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor units[] = {
        SGT_OF(sgt_units_args, weight, f32 | bf16), SGT_OF(sgt_units_args, choice, i32),
        SGT_OF(sgt_units_args, a, f32), SGT_OF(sgt_units_args, x, f32),
        SGT_OF(sgt_units_args, d, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor unit_gradients[] = {
        SGT_OF(sgt_units_args, weight, f32), SGT_OF(sgt_units_args, choice, i32),
        SGT_OF(sgt_units_args, a, f32), SGT_OF(sgt_units_args, x, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor cross_entropy[] = {
        SGT_OF(sgt_cross_entropy_args, logits, f32), SGT_OF(sgt_cross_entropy_args, targets, i32),
        SGT_OF(sgt_cross_entropy_args, losses, f32), SGT_OF(sgt_cross_entropy_args, dlogits, f32),
        SGT_END_OF_ARGS};
    static const sgt_args_tensor elementwise[] = {
        SGT_OF(sgt_elementwise_args, x, f32), SGT_OF(sgt_elementwise_args, y, f32),
        SGT_OF(sgt_elementwise_args, z, f32), SGT_END_OF_ARGS};
    static const sgt_args_tensor copy[] = {
        SGT_OF(sgt_elementwise_args, x, any), SGT_OF(sgt_elementwise_args, y, any),
        SGT_END_OF_ARGS};
    static const sgt_args_tensor convert[] = {
        SGT_OF(sgt_elementwise_args, x, floats), SGT_OF(sgt_elementwise_args, y, floats),
        SGT_END_OF_ARGS};
    static const sgt_args_tensor norm[] = {
        SGT_OF(sgt_norm_args, x, f32), SGT_OF(sgt_norm_args, sum, f64), SGT_END_OF_ARGS};
    static const sgt_args_tensor adamw[] = {
        SGT_OF(sgt_adamw_args, param, f32), SGT_OF(sgt_adamw_args, grad, f32),
        SGT_OF(sgt_adamw_args, moment1, f32), SGT_OF(sgt_adamw_args, moment2, f32),
        SGT_OF(sgt_adamw_args, copy, bf16), SGT_END_OF_ARGS};
    static const sgt_args_tensor gather_rows[] = {
        SGT_OF(sgt_rows_args, whole, f32 | bf16), SGT_OF(sgt_rows_args, part, f32 | bf16),
        SGT_OF(sgt_rows_args, index, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor scatter_add_rows[] = {
        SGT_OF(sgt_rows_args, whole, f32), SGT_OF(sgt_rows_args, part, f32),
        SGT_OF(sgt_rows_args, index, i32), SGT_END_OF_ARGS};
    static const sgt_args_tensor prepare_weight[] = {
        SGT_OF(sgt_prepare_weight_args, weight, f32 | bf16), SGT_END_OF_ARGS};
#undef SGT_OF
#undef SGT_END_OF_ARGS
    switch (slot) {
    case SGT_SLOT(gemm):
        return gemm;
    case SGT_SLOT(linear):
        return linear;
    case SGT_SLOT(embedding):
        return embedding;
    case SGT_SLOT(embedding_backward):
        return embedding_backward;
    case SGT_SLOT(rmsnorm):
        return rmsnorm;
    case SGT_SLOT(rmsnorm_backward):
        return rmsnorm_backward;
    case SGT_SLOT(rope):
        return rope;
    case SGT_SLOT(attention):
        return attention;
    case SGT_SLOT(attention_backward):
        return attention_backward;
    case SGT_SLOT(swiglu):
        return swiglu;
    case SGT_SLOT(swiglu_backward):
        return swiglu_backward;
    case SGT_SLOT(cross_entropy):
        return cross_entropy;
    case SGT_SLOT(add):
    case SGT_SLOT(axpy):
    case SGT_SLOT(scale):
        return elementwise;
    case SGT_SLOT(copy):
        return copy;
    case SGT_SLOT(convert):
        return convert;
    case SGT_SLOT(norm):
        return norm;
    case SGT_SLOT(adamw):
        return adamw;
    case SGT_SLOT(gather_rows):
        return gather_rows;
    case SGT_SLOT(scatter_add_rows):
        return scatter_add_rows;
    case SGT_SLOT(prepare_weight):
        return prepare_weight;
    case SGT_SLOT(relu):
        return relu;
    case SGT_SLOT(relu_backward):
        return relu_backward;
    case SGT_SLOT(choose):
        return choose;
    case SGT_SLOT(choose_backward):
        return choose_backward;
    case SGT_SLOT(row_products):
        return row_products;
    case SGT_SLOT(row_products_backward):
        return row_products_backward;
    case SGT_SLOT(unit_inputs):
    case SGT_SLOT(unit_outputs):
        return units;
    case SGT_SLOT(unit_gradients):
        return unit_gradients;
    default:
        return NULL;
    }
}

/* 1 when a slot that knows this table can do the call: no field that it does not know is set, and
 * the types are those of the table. A slot that takes other types asks sgt_args_known and looks
 * itself. */
static inline int sgt_args_fit(size_t slot, const void *args, size_t own)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    if (!sgt_args_known(args, own))
        return 0;
    for (; field && field->offset; field++) {
        const sgt_tensor *const *tensor =
            (const sgt_tensor *const *)(const void *)((const char *)args + field->offset);
        if (*tensor && !(field->types & SGT_TYPE((*tensor)->dtype)))
            return 0;
    }
    return 1;
}

/* The pattern of a key/value head, NULL where none is given. */
static inline const sgt_attention_pattern *
sgt_attention_pattern_of(const sgt_attention_pattern *patterns, int64_t kv_head)
{
    return patterns ? (const sgt_attention_pattern *)(const void *)((const char *)patterns +
                                                                    kv_head * patterns->size)
                    : NULL;
}

SGT_END_DECLS

#endif
