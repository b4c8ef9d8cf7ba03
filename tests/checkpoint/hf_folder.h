/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of Hugging Face folders share: a folder, a context whose warnings are kept, a
 * model, and edits of config.json. */
#ifndef SGTT_HF_FOLDER_H
#define SGTT_HF_FOLDER_H

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

extern char hf_folder[SCRATCH_PATH];
extern sgt_context *hf_context;
extern char hf_warning[512]; /* the last one; "" before */

/* Before and after each test. */
void hf_setup(void);
void hf_teardown(void);

sgt_model *hf_model(int32_t tied);

/* A number that tells models apart. */
double hf_loss(const sgt_model *model);

/* The text of config.json; the caller frees. */
char *hf_read_config(void);

/* Replaces one piece of config.json, which must be there. */
void hf_edit_config(const char *from, const char *to);

/* Saves a checkpoint without checksums, so that it can be edited, and gives its path. */
void hf_save_checkpoint(char path[SCRATCH_PATH], const char *name, const sgt_model *model);

/* One piece of such a checkpoint made wrong, and what opening it then says. */
typedef struct hf_damage {
    const char *from, *to;
    sgt_status status;
    const char *message;
} hf_damage;

void hf_refuse_damaged(const sgt_model *model, const hf_damage *damage);

#endif
