/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command lines of the examples. One table describes every option: its name, where its value goes,
 * its bounds, its help. The parser, the defaults and --help are made from it.
 */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <stddef.h>
#include <stdint.h>

#include <sgt/status.h>

/* Exit statuses. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_BAD_INPUT = 2, EXIT_HELP = -1 };

/* Fields of type int64_t, double, const char * (three times), int64_t 0 or 1. */
enum value_kind { WHOLE, REAL, WORD, PATH, FOLDER, FLAG };

typedef struct option_row {
    const char *name;
    enum value_kind kind;
    size_t offset;       /* of the field in the struct of settings */
    double low, high;    /* bounds of numbers */
    const char *initial; /* default as text; NULL: the field stays as it is */
    const char *help;
} option_row;

typedef struct command_line {
    const char *program;
    const char *usage; /* the first lines of --help */
    const char *notes; /* its last lines */
    const option_row *rows;
    int n_rows;
    int least, most; /* arguments that are no options */
    const char *argument; /* name of the first one */
} command_line;

/* Fills the settings and moves what is no option to the end: *arguments points there. Returns
 * EXIT_DONE to go on, EXIT_HELP when help was printed, EXIT_BAD_INPUT after a message that names
 * the culprit. */
int read_command_line(void *settings, char ***arguments, int *count, const command_line *c,
                      int argc, char **argv);

/* The place of `word` in a list of two or more that NULL ends, or -1 after a message that names the
 * option. */
int32_t choose_word(const char *option, const char *word, const char *const words[]);

/* Prints "program: ..." to standard error and returns `status`. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what failed in a call of the library. Values that it refuses came from the command line:
 * EXIT_BAD_INPUT. */
int call_failed(const char *what, sgt_status status);

#endif
