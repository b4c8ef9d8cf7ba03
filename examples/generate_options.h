/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of generate, and its prompt. */
#ifndef GENERATE_OPTIONS_H
#define GENERATE_OPTIONS_H

#include <stdint.h>

#include "command_line.h"

typedef struct settings {
    const char *path;
    const char *prompt; /* NULL: standard input is */
    int64_t tokens;
    double temperature;
    int64_t top_k;
    double top_p;
    double min_p;
    double repetition_penalty;
    int64_t repetition_window;
    int64_t seed;
    int64_t bf16;
    int64_t context; /* tokens; 0: as many as the model can */
    int64_t step;
    int64_t threads;
    const char *backend;
    int64_t ids;
    int64_t raw;
    int64_t only_new;
    int64_t quiet;
    const char *stop; /* NULL: none */
} settings;

/* Fills *o. Returns EXIT_DONE to go on, EXIT_HELP when help was printed, or EXIT_BAD_INPUT. */
int settings_read(settings *o, int argc, char **argv);

/* The prompt as tokens: bytes, or numbers with --ids. *tokens has room for o->tokens more and is
 * the caller's to free. Returns an exit status. */
int prompt_read(int32_t **tokens, int32_t *count, const settings *o);

/* What --stop names as tokens, likewise; without it NULL and 0. */
int stop_read(int32_t **tokens, int32_t *count, const settings *o);

#endif
