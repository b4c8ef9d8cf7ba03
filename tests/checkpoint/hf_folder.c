/* SPDX-License-Identifier: BSD-3-Clause */
#include "hf_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char hf_folder[SCRATCH_PATH];
sgt_context *hf_context;
char hf_warning[512];

static void on_log(void *user, int32_t level, const char *message)
{
    (void)user;
    ck_assert_int_eq(level, SGT_LOG_WARNING);
    snprintf(hf_warning, sizeof hf_warning, "%s", message);
}

void hf_setup(void)
{
    sgt_context_options options = sgtt_model_options();
    options.log = on_log;
    scratch_path(hf_folder, "");
    sgtt_ok(sgt_context_create(&hf_context, &options));
    hf_warning[0] = '\0';
}

void hf_teardown(void)
{
    sgt_context_free(hf_context);
    scratch_remove();
}

sgt_model *hf_model(int32_t tied)
{
    sgt_model_config config = sgtt_config();
    config.tied = tied;
    config.rope_theta = 54321.0;
    config.norm_eps = 1e-5;
    return sgtt_model(hf_context, &config, 3);
}

double hf_loss(const sgt_model *model)
{
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    sgtt_batch_free(&batch);
    return metrics.loss;
}

char *hf_read_config(void)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    scratch_path(path, "config.json");
    char *text = (char *)scratch_read(path, &bytes);
    text[bytes] = '\0';
    return text;
}

void hf_edit_config(const char *from, const char *to)
{
    char path[SCRATCH_PATH], edited[16384];
    char *text = hf_read_config(), *place = strstr(text, from);
    ck_assert_msg(place != NULL, "no %s in %s", from, text);
    snprintf(edited, sizeof edited, "%.*s%s%s", (int)(place - text), text, to,
             place + strlen(from));
    scratch_path(path, "config.json");
    scratch_write(path, edited, strlen(edited));
    free(text);
}

void hf_save_checkpoint(char path[SCRATCH_PATH], const char *name, const sgt_model *model)
{
    sgt_checkpoint_save_options options;
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 0;
    scratch_path(path, name);
    sgtt_ok(sgt_checkpoint_save(model, path, &options));
}

void hf_refuse_damaged(const sgt_model *model, const hf_damage *damage)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *none = NULL;
    const uint64_t before = sgtt_memory(hf_context).current;
    hf_save_checkpoint(path, "damaged", model);
    ck_assert_int_eq(scratch_replace(path, damage->from, damage->to), 1);
    sgtt_fails(sgt_checkpoint_open(&none, hf_context, path), damage->status, damage->message);
    ck_assert_uint_eq(sgtt_memory(hf_context).current, before);
}
