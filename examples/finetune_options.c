/* SPDX-License-Identifier: BSD-3-Clause */
#include "finetune_options.h"

#include <stddef.h>
#include <string.h>

#include "open_context.h"

#define AT(field) offsetof(settings, field)

static const option_row rows[] = {
    {"steps", WHOLE, AT(steps), 1, 1e9, "100", "optimizer steps"},
    {"batch", WHOLE, AT(batch), 1, 1e6, "4", "windows of text in a step"},
    {"seq", WHOLE, AT(seq), 1, 1e6, "128", "tokens of a window"},
    {"lr", REAL, AT(lr), 0, 1, "3e-5", "highest rate; 2e-5 to 5e-5 suit most trained models"},
    {"warmup", WHOLE, AT(warmup), -1, 1e9, "-1", "steps of warm-up; -1: a tenth of all"},
    {"gain", REAL, AT(gain), 0, 1, "0.1", "where the gains of new loops end; 0: no growth"},
    {"held", PATH, AT(held), 0, 0, NULL, "held-out ids (default: the last tenth of TOKENS)"},
    {"held-tokens", WHOLE, AT(held_tokens), 1, 1e12, "4096", "held-out tokens that are looked at"},
    {"id-bytes", WHOLE, AT(id_bytes), 0, 4, "0", "2 or 4; 0: 4 for vocabularies above 65536"},
    CONTEXT_ROWS(settings),
};

static const command_line description = {
    .program = "finetune_hf",
    .usage = "usage: finetune_hf FOLDER OUT TOKENS [--OPTION VALUE]...\n"
             "Fine-tunes the LLaMA of a Hugging Face folder, growing loops, and writes it to OUT.\n"
             "TOKENS is a file of little-endian token ids of the model's own tokenizer.\n",
    .notes = "Exit status: 0 done, 1 failed, 2 the command line is not usable.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .least = 3,
    .most = 3,
    .argument = "FOLDER, OUT and TOKENS",
};

int settings_read(settings *o, int argc, char **argv)
{
    char **arguments;
    int count;
    memset(o, 0, sizeof *o);
    int status = read_command_line(o, &arguments, &count, &description, argc, argv);
    if (status != EXIT_DONE)
        return status;
    if (o->id_bytes == 1 || o->id_bytes == 3)
        return complain(EXIT_BAD_INPUT, "--id-bytes: %d, not 0, 2 or 4", (int)o->id_bytes);
    if (o->warmup < 0)
        o->warmup = o->steps / 10;
    o->folder = arguments[0];
    o->out = arguments[1];
    o->tokens = arguments[2];
    return EXIT_DONE;
}
