/* SPDX-License-Identifier: BSD-3-Clause */
#include "generate_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "open_context.h"

#define AT(field) offsetof(settings, field)

enum { MAX_PROMPT = 1 << 24, MAX_NEW = 1 << 24 };

static const option_row rows[] = {
    {"tokens", WHOLE, AT(tokens), 1, MAX_NEW, "256", "how many to generate"},
    {"temperature", REAL, AT(temperature), 0, 1e6, "0.8", "0: always the likeliest"},
    {"top-k", WHOLE, AT(top_k), 0, 1e9, "0", "pick from the N likeliest; 0: all"},
    {"top-p", REAL, AT(top_p), 0, 1, "1", "pick from the likeliest with this probability"},
    {"min-p", REAL, AT(min_p), 0, 1, "0", "leave out what is X times less likely than the best"},
    {"repetition-penalty", REAL, AT(repetition_penalty), 0, 1e6, "1", "above 1: fewer repetitions"},
    {"repetition-window", WHOLE, AT(repetition_window), 0, 1e9, "64", "tokens it looks back"},
    {"seed", WHOLE, AT(seed), 0, 9e15, "0", "another seed, another text"},
    {"bf16", FLAG, AT(bf16), 0, 1, NULL, "round the weights: faster, a little less exact"},
    {"context", WHOLE, AT(context), 1, 1e9, NULL, "tokens to look back (default: the model's)"},
    {"step", WHOLE, AT(step), 1, 1e15, NULL, "which checkpoint of a folder (default: the last)"},
    CONTEXT_ROWS(settings),
    {"stop", WORD, AT(stop), 0, 0, NULL, "end with this text; with --ids, with these tokens"},
    {"ids", FLAG, AT(ids), 0, 1, NULL, "prompt and text are numbers of tokens, not bytes"},
    {"raw", FLAG, AT(raw), 0, 1, NULL, "print every byte as it is"},
    {"only-new", FLAG, AT(only_new), 0, 1, NULL, "do not print the prompt"},
    {"quiet", FLAG, AT(quiet), 0, 1, NULL, "do not print the speed"},
};

static const command_line description = {
    .program = "generate",
    .usage = "usage: generate MODEL [PROMPT] [--OPTION VALUE]...\n"
             "Goes on with a text. MODEL is a checkpoint, a folder of checkpoints or a Hugging\n"
             "Face folder; without PROMPT standard input is read.\n",
    .notes = "Ctrl-C ends the text. Exit status: 0 done, 1 failed, 2 the command line, the model\n"
             "or the prompt is not usable.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .least = 1,
    .most = 2,
    .argument = "MODEL",
};

int settings_read(settings *o, int argc, char **argv)
{
    char **arguments;
    int count;
    memset(o, 0, sizeof *o);
    int status = read_command_line(o, &arguments, &count, &description, argc, argv);
    if (status != EXIT_DONE)
        return status;
    o->path = arguments[0];
    o->prompt = count > 1 ? arguments[1] : NULL;
    return EXIT_DONE;
}

/* ---- the prompt ---- */

/* All of standard input, with a zero behind it. */
static int read_input(char **text, size_t *length)
{
    size_t room = 0;
    *text = NULL;
    *length = 0;
    while (!feof(stdin) && !ferror(stdin)) {
        if (*length + 1 >= room) {
            char *grown = realloc(*text, room = room ? 2 * room : 4096);
            if (!grown)
                return complain(EXIT_FAILED, "out of memory");
            *text = grown;
        }
        *length += fread(*text + *length, 1, room - 1 - *length, stdin);
        if (*length > MAX_PROMPT)
            return complain(EXIT_BAD_INPUT, "the prompt is longer than %d bytes", MAX_PROMPT);
    }
    if (ferror(stdin))
        return complain(EXIT_BAD_INPUT, "standard input: %s", strerror(errno));
    (*text)[*length] = 0;
    return EXIT_DONE;
}

static int read_ids(int32_t *tokens, int32_t *count, const char *text)
{
    for (const char *at = text + strspn(text, " \t\r\n"); *at; at += strspn(at, " \t\r\n")) {
        char *end;
        errno = 0;
        long token = strtol(at, &end, 10);
        if (end == at || (*end && !strchr(" \t\r\n", *end)) || errno || token < 0 ||
            token > INT32_MAX)
            return complain(EXIT_BAD_INPUT,
                            "--ids: '%.20s' does not start with the number of a token", at);
        tokens[(*count)++] = (int32_t)token;
        at = end;
    }
    return EXIT_DONE;
}

/* Text of `length` bytes as tokens, with room for `more`. */
static int read_tokens(int32_t **tokens, int32_t *count, const char *text, size_t length,
                       size_t more, const settings *o)
{
    *count = 0;
    *tokens = malloc((length + more) * sizeof **tokens);
    if (!*tokens)
        return complain(EXIT_FAILED, "out of memory");
    if (o->ids)
        return read_ids(*tokens, count, text);
    for (size_t i = 0; i < length; i++)
        (*tokens)[(*count)++] = (unsigned char)text[i];
    return EXIT_DONE;
}

int prompt_read(int32_t **tokens, int32_t *count, const settings *o)
{
    char *input = NULL;
    size_t length = o->prompt ? strlen(o->prompt) : 0;
    int status = EXIT_DONE;
    *tokens = NULL;
    if (!o->prompt)
        status = read_input(&input, &length);
    if (!status && length > MAX_PROMPT)
        status = complain(EXIT_BAD_INPUT, "the prompt is longer than %d bytes", MAX_PROMPT);
    if (!status)
        status = read_tokens(tokens, count, o->prompt ? o->prompt : input, length,
                             (size_t)o->tokens, o);
    if (!status && *count == 0)
        status = complain(EXIT_BAD_INPUT, "the prompt is empty");
    free(input);
    return status;
}

int stop_read(int32_t **tokens, int32_t *count, const settings *o)
{
    *tokens = NULL;
    *count = 0;
    if (!o->stop)
        return EXIT_DONE;
    int status = read_tokens(tokens, count, o->stop, strlen(o->stop), 1, o);
    if (!status && *count == 0)
        status = complain(EXIT_BAD_INPUT, "--stop is empty");
    return status;
}
