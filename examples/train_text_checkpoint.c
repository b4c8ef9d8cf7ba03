/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { N_DATA = 5, N_PLAN = 4, N_VALUES = N_DATA + N_PLAN, DIGITS = 24, PATH_BYTES = 4096 };

static const char *const keys[N_VALUES] = {
    "data.batch", "data.bytes", "data.micro-batches", "data.seed",   "data.seq",
    "plan.steps", "plan.warmup", "plan.growth-first", "plan.growth-window",
};

/* What decides which bytes a step sees. */
static void data_numbers(int64_t numbers[N_DATA], const settings *o, const corpus *text)
{
    numbers[0] = o->batch;
    numbers[1] = (int64_t)text->train_bytes;
    numbers[2] = o->micro_batches;
    numbers[3] = o->seed;
    numbers[4] = o->seq;
}

static int failed(const char *path)
{
    return complain(EXIT_FAILED, "--checkpoint %s: %s", path, sgt_error_message());
}

static int check_data(const sgt_checkpoint *checkpoint, const settings *o, const corpus *text)
{
    int64_t numbers[N_DATA];
    data_numbers(numbers, o, text);
    for (int i = 0; i < N_DATA; i++) {
        const char *value = sgt_checkpoint_value(checkpoint, keys[i]);
        char own[DIGITS];
        snprintf(own, sizeof own, "%" PRId64, numbers[i]);
        if (!value || strcmp(value, own))
            return complain(EXIT_BAD_INPUT, "--resume: %s is %s in the checkpoint, %s now", keys[i],
                            value ? value : "missing", own);
    }
    return EXIT_DONE;
}

int checkpoint_find(sgt_checkpoint **checkpoint, sgt_context *context, const settings *o,
                    const corpus *text)
{
    char path[PATH_BYTES];
    size_t room = sizeof path;
    int64_t step = 0;
    struct stat about;
    int missing = mkdir(o->checkpoint, 0777) && errno != EEXIST;
    if (!missing && !stat(o->checkpoint, &about) && !S_ISDIR(about.st_mode)) {
        errno = ENOTDIR;
        missing = 1;
    }
    if (missing)
        return complain(EXIT_BAD_INPUT, "--checkpoint: %s: %s", o->checkpoint, strerror(errno));
    if (!o->resume)
        return EXIT_DONE;
    sgt_status status = sgt_checkpoint_get_latest(&step, o->checkpoint);
    if (status == SGT_E_NOT_FOUND) {
        printf("no checkpoint in %s yet: starting anew\n", o->checkpoint);
        return EXIT_DONE;
    }
    if (status == SGT_OK)
        status = sgt_checkpoint_get_path(path, &room, o->checkpoint, step);
    if (status == SGT_OK)
        status = sgt_checkpoint_open(checkpoint, context, path);
    if (status != SGT_OK)
        return failed(o->checkpoint);
    printf("resuming after step %" PRId64 " from %s\n", step, path);
    return check_data(*checkpoint, o, text);
}

int checkpoint_read_plan(schedule *plan, const sgt_checkpoint *checkpoint, const settings *o)
{
    int64_t *const fields[N_PLAN] = {&plan->steps, &plan->warmup, &plan->growth_first,
                                     &plan->growth_window};
    for (int i = 0; i < N_PLAN; i++) {
        const char *value = sgt_checkpoint_value(checkpoint, keys[N_DATA + i]);
        char *end = NULL;
        long long number = value ? strtoll(value, &end, 10) : -1;
        if (!value || end == value || *end || number < 0)
            return complain(EXIT_BAD_INPUT, "--resume: the checkpoint has no %s", keys[N_DATA + i]);
        *fields[i] = number;
    }
    if (o->steps && o->steps != plan->steps && !o->minutes)
        printf("the run was planned for %" PRId64 " steps, which stays\n", plan->steps);
    return EXIT_DONE;
}

sgt_status checkpoint_save(const settings *o, const corpus *text, const schedule *plan,
                           const sgt_model *model, const sgt_optimizer *optimizer,
                           const sgt_growth *growth)
{
    char path[PATH_BYTES], texts[N_VALUES][DIGITS];
    size_t room = sizeof path;
    const char *values[N_VALUES];
    int64_t numbers[N_VALUES];
    sgt_checkpoint_save_options options;
    data_numbers(numbers, o, text);
    numbers[N_DATA] = plan->steps;
    numbers[N_DATA + 1] = plan->warmup;
    numbers[N_DATA + 2] = plan->growth_first;
    numbers[N_DATA + 3] = plan->growth_window;
    for (int i = 0; i < N_VALUES; i++) {
        snprintf(texts[i], DIGITS, "%" PRId64, numbers[i]);
        values[i] = texts[i];
    }
    sgt_checkpoint_save_options_init(&options, sizeof options);
    options.optimizer = optimizer;
    options.growth = growth;
    options.keys = keys;
    options.values = values;
    options.n_values = N_VALUES;
    sgt_status status =
        sgt_checkpoint_get_path(path, &room, o->checkpoint, sgt_optimizer_steps(optimizer));
    if (status == SGT_OK)
        status = sgt_checkpoint_save(model, path, &options);
    if (status == SGT_OK && o->keep)
        status = sgt_checkpoint_keep_last(o->checkpoint, (int32_t)o->keep);
    return status;
}
