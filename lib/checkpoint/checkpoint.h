/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of checkpoints: the names in the file, and what saving and loading share. A checkpoint
 * is a safetensors file. Its metadata, all strings, are
 *     sgt.checkpoint          version of the format
 *     model.*, optimizer.*    fields of the configuration and the options: whole numbers in
 *                             decimal, others as the bits of a double, 0x and 16 hexadecimal digits
 *     model.draws             only where some part draws random numbers
 *     model.blocks, model.block.I.*   only where some block is no standard one
 *     growth.*, entropy.*, flops.*
 *     tokens.bos, tokens.eos, tokens.pad, hf.*   only where there are any
 *     host.KEY                the host's own
 *
 * and its tensors are the weights by their names, optimizer.moment1.NAME and
 * optimizer.moment2.NAME, and
 *
 *     optimizer.factors           F64 [parameters, 2]   rate and decay
 *     entropy.last, entropy.mean  F64 [L, P, H]         sums, of layers, passes and heads
 *     plan                        U8                    the bytes of sgt_plan_save
 *     growth.policy               U8                    the bytes of sgt_growth_policy_save
 */
#ifndef SGTI_CHECKPOINT_H
#define SGTI_CHECKPOINT_H

#include <sgt/checkpoint.h>

#include "../format/hf_notes.h"
#include "../format/safetensors.h"
#include "../growth/growth.h"
#include "../model/model.h"
#include "../optim/optimizer.h"

/* The newest version that is read. Where a model is plain (model/config.h) a file has version 1:
 * libsgt 0.1, which would pass over the list of blocks, refuses the others. */
#define SGTI_CHECKPOINT_VERSION 2
#define SGTI_HOST_PREFIX        "host."
#define SGTI_MOMENT1            "optimizer.moment1."
#define SGTI_MOMENT2            "optimizer.moment2."
#define SGTI_NUMBER_TEXT        32

/* ---- scalars by name (fields.c) ---- */

typedef enum sgti_field_kind { SGTI_FIELD_I32, SGTI_FIELD_I64, SGTI_FIELD_F64 } sgti_field_kind;

typedef struct sgti_field {
    const char *key;
    sgti_field_kind kind;
    size_t offset; /* in the struct */
} sgti_field;

/* Everything in a training that is a single number. Saving copies it from the handles, loading
 * copies it to them. */
typedef struct sgti_numbers {
    int32_t version; /* of the file that was read */
    sgt_model_config config;
    sgti_block_list blocks; /* of numbers that were read: where the list of config lies */
    sgt_special_tokens tokens; /* size 0: the file has none */
    int32_t has_notes;
    sgti_hf_notes notes;
    int64_t draws; /* of the model; 0 where none of its parts draws */
    double executed_flops;
    double vanilla_flops;
    int32_t has_optimizer;
    int32_t has_growth;
    sgt_optimizer_options options; /* rate and rate_user NULL */
    int64_t steps;
    int64_t updates;
    int64_t last_step; /* the last step that growth was called for */
    int32_t entropy_unseen; /* 1: growth has not seen the last step; 0: the next three are 0 */
    int32_t entropy_kinds;  /* enum sgt_entropy: what was collected */
    int32_t entropy_batches;
    int32_t entropy_passes;
} sgti_numbers;

/* Writes the numbers into the metadata. Returns non-zero when memory is short. */
int sgti_numbers_write(json_t *metadata, const sgti_numbers *numbers);

/* Reads the numbers of a file and checks all of them; the message names the key. Release them with
 * the file's memory. */
sgt_status sgti_numbers_read(sgti_numbers *numbers, const sgti_safetensors *file);
void sgti_numbers_release(sgti_numbers *numbers, sgti_memory *memory);

/* Prints a number as metadata have it. */
void sgti_number_print(char text[SGTI_NUMBER_TEXT], sgti_field_kind kind, const void *number);

/* Reads the number of a key that must be there; the message names it. */
sgt_status sgti_number_read(void *number, sgti_field_kind kind, const sgti_safetensors *file,
                            const char *key);

/* Write and read the metadata of a configuration, as sgti_numbers_write and sgti_numbers_read do
 * (config_keys.c). */
int sgti_config_write(json_t *metadata, const sgt_model_config *config);
int sgti_is_config_key(const char *key, const sgt_model_config *config);

/* The list of its blocks becomes *blocks, allocated from the file's memory. */
sgt_status sgti_config_read(sgt_model_config *config, sgti_block_list *blocks,
                            const sgti_safetensors *file);

/* SGT_OK when the two are equal; else SGT_E_INVALID_ARGUMENT, and the message names every key in
 * which the model differs from the file. */
sgt_status sgti_config_compare(const sgt_model_config *model, const sgt_model_config *file,
                               const char *path);

/* Write and read the metadata of special tokens, as sgti_numbers_write and sgti_numbers_read do
 * (tokens.c). */
int sgti_tokens_write(json_t *metadata, const sgt_special_tokens *tokens);
sgt_status sgti_tokens_read(sgt_special_tokens *tokens, const sgti_safetensors *file);
int sgti_is_tokens_key(const char *key);

/* ---- an open one (checkpoint.c) ---- */

struct sgt_checkpoint {
    sgt_context *context; /* counted */
    sgti_safetensors file;
    sgti_numbers numbers;
    uint64_t n_values;
    const char **keys; /* [n_values] sorted, each behind its prefix inside the header's tree */
};

/* ---- tensors between backend and file (tensors.c) ---- */

/* Writes a float32 tensor block by block, converted to the type of the output (F32, F16, BF16).
 * Errors: SGT_E_OUT_OF_RANGE for a finite value that would become infinite. NaN and infinities stay
 * what they are. */
sgt_status sgti_put_tensor(sgti_st_writer *writer, sgti_dispatch *dispatch,
                           const sgt_tensor *tensor, const sgti_st_output *output, void *block);

/* The bytes of the block that sgti_put_tensor and sgti_get_tensor work in: one half holds floats,
 * the other what the file has. */
#define SGTI_BLOCK_BYTES (2 * SGTI_ST_BLOCK)

/* How a tensor is read. */
typedef struct sgti_tensor_reader {
    const sgti_safetensors *file;
    sgti_dispatch *dispatch;
    void *block;             /* SGTI_BLOCK_BYTES */
    sgti_checksum *checksum; /* NULL: checksums are not compared */
} sgti_tensor_reader;

/* Opens a reader, which takes a block and, to verify, a checksum; closes it. */
sgt_status sgti_tensor_reader_open(sgti_tensor_reader *reader, const sgti_safetensors *file,
                                   sgti_dispatch *dispatch, int verify);
void sgti_tensor_reader_close(sgti_tensor_reader *reader);

/* Reads a stored tensor of the same shape, in any float type, into one on the backend. */
sgt_status sgti_get_tensor(sgti_tensor_reader *reader, const char *name, const sgt_tensor *tensor);

/* Reads the bytes of a stored tensor as they are. It must have this type and this many bytes. */
sgt_status sgti_get_bytes(sgti_tensor_reader *reader, void *data, const char *name,
                          sgti_st_dtype dtype, uint64_t bytes);

/* Finds a stored tensor; SGT_E_FORMAT with its name when it is missing. */
sgt_status sgti_require_tensor(const sgti_st_tensor **tensor, const sgti_safetensors *file,
                               const char *name);

/* SGT_E_FORMAT when a stored tensor has another shape. */
sgt_status sgti_check_shape(const sgti_safetensors *file, const sgti_st_tensor *stored,
                            int32_t rank, const int64_t *shape);

#endif
