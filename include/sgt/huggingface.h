/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Models from and for Hugging Face: folders with config.json and safetensors, as transformers keeps
 * a LlamaForCausalLM, a MistralForCausalLM or a MinistralForCausalLM. Weights keep their names,
 * shapes and order of rows, so nothing is permuted. Tokenizers are the host's; their files are
 * copied beside an export on request.
 *
 * Threads. Loading makes a model of its own, in any thread; saving only reads its model.
 */
#ifndef SGT_HUGGINGFACE_H
#define SGT_HUGGINGFACE_H

#include <sgt/model.h>

SGT_BEGIN_DECLS

/* What the host wants other than the folder says. */
typedef struct sgt_hf_load_options {
    uint32_t size;
    int32_t max_seq_len; /* replaces max_position_embeddings; 0 (default): it does not */
    int32_t tie_missing_head; /* 1: if no file has the head, the embedding is taken, whatever
                                 config.json says; default 0: such a folder is refused. Since 0.2 */
} sgt_hf_load_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_hf_load_options_init(sgt_hf_load_options *options, size_t size);

/*
 * Makes a model from a folder: from model.safetensors, or else from the shards of
 * model.safetensors.index.json; F32, BF16, F16 and F64 become float32. Each tensor is read from the
 * file that the weight_map of the index names, and every name in it must be in its file; what
 * shards hold beside that is passed over. An lm_head.weight that is there is used even when
 * config.json says tie_word_embeddings true (the log warns). A head that is not there is
 * SGT_E_FORMAT unless config.json or tie_missing_head ties it. The log warns of a max_seq_len
 * beyond max_position_embeddings. A folder that sgt_hf_save wrote gives the depth plan too. A
 * sliding_window W of a Mistral becomes the pattern LOCAL with stride W in the layers that have it.
 * Special tokens are those of config.json, or of generation_config.json where the former has none.
 * model_options and options may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE,
 * SGT_E_NOT_FOUND and SGT_E_IO (the file is named), SGT_E_FORMAT (the key or tensor is named),
 * SGT_E_VERSION (a depth plan of a newer libsgt), SGT_E_UNSUPPORTED (what this model does not do is
 * named: another model_type or hidden_act, biases, a sliding window of another model_type than
 * mistral and ministral, scaled or partial rotary positions, quantised or other tensors),
 * SGT_E_OUT_OF_RANGE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.2.
 */
SGT_API sgt_status sgt_hf_load(sgt_model **model, sgt_context *context, const char *folder,
                               const sgt_model_options *model_options,
                               const sgt_hf_load_options *options);

/* How a folder is written. */
typedef struct sgt_hf_save_options {
    uint32_t size;
    int32_t dtype;         /* SGT_F32 (default), SGT_BF16 or SGT_F16 */
    int32_t without_loops; /* 1: the model is written as if its plan were empty; default 0 */
    int32_t reserved;      /* 0 */
    const char *copy_from; /* a folder, such as the one that the model was loaded from, whose
                              tokenizer and generation_config.json are copied; NULL (default): those
                              that are in the new folder stay. Since 0.2 */
} sgt_hf_save_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_hf_save_options_init(sgt_hf_save_options *options, size_t size);

/*
 * Writes model.safetensors and config.json into a folder that exists; each appears whole, and the
 * weights never under the config.json of another model: a call that fails, or a process that dies,
 * leaves the folder as it was, or without config.json, so that nobody loads it until the next call
 * ends well. Nothing of an earlier save is left that a reader could take for the new weights:
 * removed are, in this folder, files that model.safetensors.index.json or
 * pytorch_model.bin.index.json name (those that end in .safetensors or .bin), files named like
 * shards of either kind, pytorch_model.bin, and the two indexes. With an empty plan, or without its
 * loops, and with standard blocks the folder is a LlamaForCausalLM; a MistralForCausalLM where all
 * layers have the pattern LOCAL of one stride; a MinistralForCausalLM where some are dense instead.
 * Else model_type is "sgt" and config.json holds plan and blocks, so that nobody computes without
 * them by mistake. The model's special tokens are in
 * config.json, null where there are none. With copy_from generation_config.json, tokenizer.json,
 * tokenizer.model, tokenizer_config.json, special_tokens_map.json, added_tokens.json, vocab.json,
 * vocab.txt, merges.txt, chat_template.json and chat_template.jinja are copied byte by byte, each
 * whole, before config.json gets its name; of those that copy_from lacks, the folder's own are
 * removed. options may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE,
 * SGT_E_OUT_OF_RANGE (a finite weight would be infinite as SGT_F16, from 65520 on, or as SGT_BF16:
 * the tensor is named and the folder is as before; NaN and infinities are written as they are),
 * SGT_E_NOT_FOUND (copy_from is no folder), SGT_E_IO, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT,
 * SGT_E_BACKEND. Since 0.2.
 */
SGT_API sgt_status sgt_hf_save(const sgt_model *model, const char *folder,
                               const sgt_hf_save_options *options);

SGT_END_DECLS

#endif
