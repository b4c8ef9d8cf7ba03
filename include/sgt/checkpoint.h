/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: all that a training needs to go on, bit for bit, in one safetensors file.
 *
 *     between two steps:
 *         sgt_checkpoint_save(model, path, &options);
 *
 *     later, into handles that exist or into new ones:
 *         sgt_checkpoint_open(&checkpoint, context, path);
 *         sgt_checkpoint_load(model, optimizer, growth, checkpoint, NULL);
 *         sgt_checkpoint_create(&model, &optimizer, &growth, checkpoint, policy, NULL, NULL);
 *         sgt_checkpoint_free(checkpoint);
 *
 * A file holds the weights, the depth plan with its targets, the optimizer's moments, counters,
 * options and factors, the state of the growth policy, entropies that growth has not seen yet, the
 * FLOPs so far, and strings of the host's own, such as its place in the data. Random generators
 * have no state to keep. The file holds no time, name, path or thread count, so equal states give
 * equal bytes; numbers that are not whole are stored as tensors or bit patterns. Files appear by
 * rename: a process that is killed while it saves leaves the previous file whole. So a symbolic
 * link is replaced, not followed; devices, pipes and folders are refused. The permissions of the
 * previous file are kept, except that its owner may always write the new one. doc/checkpoints.md
 * describes the file.
 *
 * Threads. A save only reads its handles, but nothing else may change them meanwhile; a load
 * changes its handles. An open checkpoint may be read by several threads. When two save to one path
 * at the same time, the second one fails.
 */
#ifndef SGT_CHECKPOINT_H
#define SGT_CHECKPOINT_H

#include <sgt/growth.h>
#include <sgt/model.h>
#include <sgt/optimizer.h>

SGT_BEGIN_DECLS

/* A checkpoint that is open for reading. */
typedef struct sgt_checkpoint sgt_checkpoint;

/* What is saved beside the model. */
typedef struct sgt_checkpoint_save_options {
    uint32_t size;
    int32_t checksums;              /* 1: XXH3 of every tensor and of the header; default 1 where
                                       the library was built with them, else 0 */
    const sgt_optimizer *optimizer; /* an optimizer of this model; NULL: none is saved */
    const sgt_growth *growth;       /* the growth of this model; NULL: none is saved */
    const char *const *keys;        /* [n_values] keys of the host's own strings, UTF-8; not empty,
                                       no two alike */
    const char *const *values;      /* [n_values] UTF-8 */
    int32_t n_values;               /* default 0 */
    int32_t reserved;               /* 0 */
} sgt_checkpoint_save_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_checkpoint_save_options_init(sgt_checkpoint_save_options *options,
                                                    size_t size);

/*
 * Saves to `path` (and, while writing, `path`.partial); what was there before stays until the new
 * file is whole and on the disk. options may be NULL, which saves the model alone. Errors:
 * SGT_E_INVALID_ARGUMENT (NULL; an optimizer or growth of another model; keys and values that are
 * no UTF-8; keys that are empty or double), SGT_E_STATE (a step is under way: there was a forward
 * or backward since the last optimizer step; finish it or call sgt_model_zero_gradients),
 * SGT_E_STRUCT_SIZE, SGT_E_UNSUPPORTED (checksums in a build without them), SGT_E_IO (the file is
 * named), SGT_E_OVERFLOW, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND, or what a custom
 * policy returned. Since 0.2.
 */
SGT_API sgt_status sgt_checkpoint_save(const sgt_model *model, const char *path,
                                       const sgt_checkpoint_save_options *options);

/*
 * Opens a checkpoint and checks all of it but the data of its tensors. It stays readable when the
 * file is replaced or removed. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_NOT_FOUND, SGT_E_IO,
 * SGT_E_FORMAT (no checkpoint, or damaged), SGT_E_VERSION (made by a newer libsgt, as the version
 * of the format or an unknown key or tensor shows), SGT_E_UNSUPPORTED, SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_checkpoint_open(sgt_checkpoint **checkpoint, sgt_context *context,
                                       const char *path);

/* Closes a checkpoint; NULL is fine. Since 0.1. */
SGT_API void sgt_checkpoint_free(sgt_checkpoint *checkpoint);

/* What a checkpoint holds. */
typedef struct sgt_checkpoint_info {
    uint32_t size;
    int32_t version;       /* the version of the file's format */
    int32_t has_optimizer; /* 1: it has moments, counters and options of an optimizer */
    int32_t has_growth;    /* 1: it has the state of a growth policy */
    int64_t steps;         /* how many steps the optimizer took, skipped ones included */
    double executed_flops; /* as sgt_model_get_flops */
    double vanilla_flops;  /* likewise */
    int32_t n_values;      /* how many strings of the host's own it has */
    int32_t reserved;      /* 0 */
} sgt_checkpoint_info;

/* Tells what is in a checkpoint. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.1. */
SGT_API sgt_status sgt_checkpoint_get_info(sgt_checkpoint_info *info,
                                           const sgt_checkpoint *checkpoint);

/* Copies the configuration of its model. Its blocks are the checkpoint's and live as long as that;
 * a list of standard blocks was not written and comes back as none. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_STRUCT_SIZE. Since 0.1. */
SGT_API sgt_status sgt_checkpoint_get_config(sgt_model_config *config,
                                             const sgt_checkpoint *checkpoint);

/* Copies the options of its optimizer, which have no rate callback. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_STRUCT_SIZE, SGT_E_NOT_FOUND (there is none). Since 0.1. */
SGT_API sgt_status sgt_checkpoint_get_optimizer_options(sgt_optimizer_options *options,
                                                        const sgt_checkpoint *checkpoint);

/* The first gives the host's string with a key, the second gives the keys, sorted, by their number;
 * both give NULL when it is not there. They live as long as the checkpoint. Since 0.2. */
SGT_API const char *sgt_checkpoint_value(const sgt_checkpoint *checkpoint, const char *key);
SGT_API const char *sgt_checkpoint_key(const sgt_checkpoint *checkpoint, int32_t index);

/* What is taken over from a checkpoint, and whether its data are checked. */
typedef struct sgt_checkpoint_load_options {
    uint32_t size;
    int32_t own_schedule; /* 1: the optimizer keeps its own options and factors, and gets only
                             moments and counters; default 0: it gets the stored ones, but keeps its
                             rate callback in any case */
    int32_t verify;       /* 1 (default): compare checksums where there are any */
    int32_t reserved;     /* 0 */
} sgt_checkpoint_load_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_checkpoint_load_options_init(sgt_checkpoint_load_options *options,
                                                    size_t size);

/*
 * Loads into handles. optimizer and growth belong to the model and may be NULL (that part of the
 * file is then left out); the policy of growth has the options of the saved one. Gradients are zero
 * afterwards. On failure the handles are as before; for this all tensors are first read into other
 * memory of the same size. (Only a backend whose copies fail in the last moment, SGT_E_BACKEND, can
 * leave weights of both.) Errors: SGT_E_INVALID_ARGUMENT (every key of the configuration that
 * differs is named, or the option of the policy that does), SGT_E_NOT_FOUND (the file has no
 * optimizer or growth), SGT_E_IO, SGT_E_FORMAT (tensor and file are named), SGT_E_UNSUPPORTED,
 * SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND, or what a custom
 * policy returned. Since 0.1.
 */
SGT_API sgt_status sgt_checkpoint_load(sgt_model *model, sgt_optimizer *optimizer,
                                       sgt_growth *growth, const sgt_checkpoint *checkpoint,
                                       const sgt_checkpoint_load_options *options);

/*
 * Makes the handles in the context of the checkpoint and loads into them; model_options and options
 * may be NULL. optimizer NULL: none is made. growth and policy are both given or both NULL: the
 * growth attaches the policy, which was made with the options of the saved one. Errors as
 * sgt_checkpoint_load and the functions that make the handles. Since 0.2.
 */
SGT_API sgt_status sgt_checkpoint_create(sgt_model **model, sgt_optimizer **optimizer,
                                         sgt_growth **growth, const sgt_checkpoint *checkpoint,
                                         sgt_growth_policy *policy,
                                         const sgt_model_options *model_options,
                                         const sgt_checkpoint_load_options *options);

/* ---- folders of checkpoints: step-000000001000.safetensors ---- */

/* Writes the path of a step's file in a folder, with a final zero. *bytes is the room on entry and
 * the length, with the zero, on return; with path NULL only the length is given. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (step below 0, too little room). Since 0.2. */
SGT_API sgt_status sgt_checkpoint_get_path(char *path, size_t *bytes, const char *folder,
                                           int64_t step);

/* Finds the highest step that has a file in the folder. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_NOT_FOUND (none, or no folder), SGT_E_IO. Since 0.2. */
SGT_API sgt_status sgt_checkpoint_get_latest(int64_t *step, const char *folder);

/* Removes the files of all but the `keep` (at least 1) highest steps, and what killed saves left.
 * Other files stay. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_NOT_FOUND, SGT_E_IO.
 * Since 0.1. */
SGT_API sgt_status sgt_checkpoint_keep_last(const char *folder, int32_t keep);

SGT_END_DECLS

#endif
