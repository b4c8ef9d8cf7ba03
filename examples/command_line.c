/* SPDX-License-Identifier: BSD-3-Clause */
#include "command_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 64, HELP = 'h', FIRST = 256 };

static const char *program = "example";

int complain(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return status;
}

int call_failed(const char *what, sgt_status status)
{
    int refused = status == SGT_E_INVALID_ARGUMENT || status == SGT_E_OUT_OF_RANGE ||
                  status == SGT_E_NOT_FOUND || status == SGT_E_UNSUPPORTED ||
                  status == SGT_E_PLUGIN_LOAD;
    if (status > 0)
        return complain(EXIT_FAILED, "%s: stopped by a signal", what);
    return complain(refused ? EXIT_BAD_INPUT : EXIT_FAILED, "%s: %s (%s)", what,
                    sgt_error_message(), sgt_status_name(status));
}

static int print_help(const command_line *c)
{
    puts(c->usage);
    for (int i = 0; i < c->n_rows; i++) {
        static const char *const values[] = {" N", " X", " WORD", " FILE", " FOLDER", ""};
        const option_row *row = &c->rows[i];
        char left[64];
        snprintf(left, sizeof left, "--%s%s", row->name, values[row->kind]);
        printf("  %-22s %s", left, row->help);
        if (row->initial && row->initial[0] != '\n')
            printf(" (%s)", row->initial);
        putchar('\n');
    }
    printf("  %-22s %s\n\n%s\n", "--help", "print this", c->notes);
    return EXIT_HELP;
}

/* Stores `value` for a row; EXIT_BAD_INPUT when it is not a number within the bounds. */
static int store(void *settings, const option_row *row, const char *value)
{
    char *field = (char *)settings + row->offset;
    char *end = NULL;
    errno = 0;
    if (row->kind == FLAG) {
        memcpy(field, &(int64_t){1}, sizeof(int64_t));
    } else if (row->kind == WORD || row->kind == PATH || row->kind == FOLDER) {
        memcpy(field, &value, sizeof value);
    } else if (row->kind == WHOLE) {
        long long number = strtoll(value, &end, 10);
        int64_t whole = number;
        if (end == value || *end || errno || (double)whole < row->low || (double)whole > row->high)
            return complain(EXIT_BAD_INPUT, "--%s: '%s' is not a whole number from %.0f to %.0f",
                            row->name, value, row->low, row->high);
        memcpy(field, &whole, sizeof whole);
    } else {
        double real = strtod(value, &end);
        if (end == value || *end || !(real >= row->low && real <= row->high))
            return complain(EXIT_BAD_INPUT, "--%s: '%s' is not a number from %g to %g", row->name,
                            value, row->low, row->high);
        memcpy(field, &real, sizeof real);
    }
    return EXIT_DONE;
}

static int read_options(void *settings, const command_line *c, int argc, char **argv)
{
    struct option table[MAX_ROWS + 2] = {{0}};
    for (int i = 0; i < c->n_rows; i++)
        table[i] = (struct option){c->rows[i].name,
                                   c->rows[i].kind == FLAG ? no_argument : required_argument, NULL,
                                   FIRST + i};
    table[c->n_rows] = (struct option){"help", no_argument, NULL, HELP};
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":h", table, NULL)) != -1;) {
        if (found == HELP)
            return print_help(c);
        if (found == ':')
            return complain(EXIT_BAD_INPUT, "'%s' needs a value", argv[optind - 1]);
        if (found < FIRST)
            return complain(EXIT_BAD_INPUT, "'%s' is not an option (see --help)",
                            argv[optind - 1]);
        if (store(settings, &c->rows[found - FIRST], optarg))
            return EXIT_BAD_INPUT;
    }
    return EXIT_DONE;
}

int read_command_line(void *settings, char ***arguments, int *count, const command_line *c,
                      int argc, char **argv)
{
    program = c->program;
    setvbuf(stdout, NULL, _IOLBF, 0); /* into a pipe or a file too, line by line */
    if (c->n_rows > MAX_ROWS)
        return complain(EXIT_FAILED, "more than %d options", MAX_ROWS);
    for (int i = 0; i < c->n_rows; i++)
        if (c->rows[i].initial && store(settings, &c->rows[i], c->rows[i].initial))
            return EXIT_BAD_INPUT;
    int status = read_options(settings, c, argc, argv);
    if (status != EXIT_DONE)
        return status;
    *arguments = argv + optind;
    *count = argc - optind;
    if (*count < c->least)
        return complain(EXIT_BAD_INPUT, "which %s? (see --help)", c->argument);
    if (*count > c->most)
        return complain(EXIT_BAD_INPUT, "'%s' is one argument too many", (*arguments)[c->most]);
    return EXIT_DONE;
}

int32_t choose_word(const char *option, const char *word, const char *const words[])
{
    char list[100] = "";
    int32_t i = 0;
    for (; words[i]; i++) {
        const char *before = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        if (!strcmp(word, words[i]))
            return i;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", before, words[i]);
    }
    complain(EXIT_BAD_INPUT, "--%s: '%s' is not %s", option, word, list);
    return -1;
}
