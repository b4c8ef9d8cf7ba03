/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Models from and for Hugging Face: folders with config.json and safetensors, as transformers keeps
 * a LlamaForCausalLM. Weights keep their names, shapes and order of rows, so nothing is permuted.
 * Tokenizers are the host's.
 *
 * Threads. Loading makes a model of its own, in any thread; saving only reads its model.
 */
#ifndef SGT_HUGGINGFACE_H
#define SGT_HUGGINGFACE_H

#include <sgt/model.h>

SGT_BEGIN_DECLS

/* What a folder does not say, or says otherwise. */
typedef struct sgt_hf_load_options {
    uint32_t size;
    int32_t max_seq_len; /* instead of max_position_embeddings; 0 (default): that */
    int32_t recompute;   /* as in sgt_model_config; default 0 */
    int32_t reserved;    /* 0 */
} sgt_hf_load_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_hf_load_options_init(sgt_hf_load_options *options, size_t size);

/*
 * Makes a model from a folder: model.safetensors, or the shards that model.safetensors.index.json
 * names; F32, BF16, F16 and F64 become float32. The head is tied when there is no lm_head.weight,
 * whatever config.json says (the log warns). A folder that sgt_model_save_hf wrote gives the depth
 * plan too. options may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE,
 * SGT_E_NOT_FOUND and SGT_E_IO (the file is named), SGT_E_FORMAT (the key or tensor is named),
 * SGT_E_UNSUPPORTED (what this model does not do is named: another model_type or hidden_act, biases,
 * sliding windows, scaled or partial rotary positions, quantised or other tensors),
 * SGT_E_OUT_OF_RANGE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_model_load_hf(sgt_model **model, sgt_context *context, const char *folder,
                                     const sgt_hf_load_options *options);

/* How a folder is written. */
typedef struct sgt_hf_save_options {
    uint32_t size;
    int32_t dtype;         /* SGT_F32 (default), SGT_BF16 or SGT_F16 */
    int32_t without_loops; /* 1: the model as if its plan were empty; default 0 */
    int32_t reserved;      /* 0 */
} sgt_hf_save_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_hf_save_options_init(sgt_hf_save_options *options, size_t size);

/*
 * Writes model.safetensors, then config.json, into a folder that exists; each appears whole. With
 * an empty plan, or without its loops, the folder is a LlamaForCausalLM; else model_type is "sgt"
 * and config.json holds the plan, so that nobody computes without the loops by mistake. options may
 * be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (a finite weight
 * would be infinite as SGT_F16, from 65520 on, or as SGT_BF16: the tensor is named and the folder
 * is as before; NaN and infinities are written as they are), SGT_E_IO, SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_model_save_hf(const sgt_model *model, const char *folder,
                                     const sgt_hf_save_options *options);

SGT_END_DECLS

#endif
