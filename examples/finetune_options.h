/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of finetune_hf. */
#ifndef FINETUNE_OPTIONS_H
#define FINETUNE_OPTIONS_H

#include <stdint.h>

#include "command_line.h"

typedef struct settings {
    const char *folder;
    const char *out;
    const char *tokens;
    const char *held; /* NULL: the last tenth of the tokens */
    int64_t held_tokens;
    int64_t id_bytes; /* 0: as the vocabulary needs */
    int64_t steps;
    int64_t batch;
    int64_t seq;
    double lr;
    int64_t warmup; /* -1: a tenth of the steps */
    double gain;
    int64_t threads;
    const char *backend;
} settings;

/* Fills *o. Returns EXIT_DONE to go on, EXIT_HELP when help was printed, or EXIT_BAD_INPUT. */
int settings_read(settings *o, int argc, char **argv);

#endif
