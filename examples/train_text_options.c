/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table describes every option: its name, where its value goes, its bounds, its help. The
 * parser, the defaults and --help are made from it.
 */
#include "train_text_options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value_kind { WHOLE, REAL, WORD, PATH, FLAG };

typedef struct option_row {
    const char *name;
    enum value_kind kind;
    size_t offset;
    double low, high;    /* bounds of numbers */
    const char *initial; /* default as text; NULL: none */
    const char *help;
} option_row;

#define AT(field) offsetof(settings, field)

static const option_row rows[] = {
    {"held-out", PATH, AT(held_out), 0, 0, NULL, "evaluate on FILE (default: the end of TEXT)"},
    {"d-model", WHOLE, AT(d_model), 1, 65536, "192", "width of the residual stream"},
    {"layers", WHOLE, AT(layers), 1, 1024, "4", "blocks"},
    {"heads", WHOLE, AT(heads), 1, 1024, "6", "query heads"},
    {"kv-heads", WHOLE, AT(kv_heads), 0, 1024, "0", "key/value heads; 0: as many as heads"},
    {"ff", WHOLE, AT(d_ff), 0, 262144, "0", "inner feed-forward width; 0: about 8/3 of d-model"},
    {"batch", WHOLE, AT(batch), 1, 65536, "16", "sequences in a step"},
    {"micro-batches", WHOLE, AT(micro_batches), 1, 65536, "1", "parts a batch is computed in"},
    {"seq", WHOLE, AT(seq), 1, 65536, "256", "bytes in a sequence"},
    {"steps", WHOLE, AT(steps), 1, 1e12, NULL, "optimizer steps (2000 without --minutes)"},
    {"minutes", REAL, AT(minutes), 1e-3, 1e6, NULL, "time limit, the schedule fits it"},
    {"lr", REAL, AT(lr), 0, 100, "3e-3", "peak learning rate"},
    {"init-std", REAL, AT(init_std), 0, 10, "0.07", "standard deviation of first weights"},
    {"warmup", WHOLE, AT(warmup), 0, 1e12, NULL, "warm-up steps (default: 5 % of the steps)"},
    {"weight-decay", REAL, AT(weight_decay), 0, 100, "0.1", "decoupled weight decay"},
    {"clip", REAL, AT(clip), 0, 1e9, "1", "largest gradient norm; 0: no clipping"},
    {"seed", WHOLE, AT(seed), 0, 9e15, "1", "of weights, batches and samples"},
    {"threads", WHOLE, AT(threads), 0, 4096, "0", "threads; 0: the processors allowed"},
    {"backend", WORD, AT(backend), 0, 0, NULL, "blis, portable or the path of a plug-in"},
    {"policy", WORD, AT(policy), 0, 0, "sgt", "sgt, none, blocks:L+L or heads:L.H+L.H"},
    {"growth-first", WHOLE, AT(growth_first), 1, 1e12, NULL, "step of the first selection"},
    {"growth-window", WHOLE, AT(growth_window), 1, 1e12, NULL, "steps between selections"},
    {"growth-candidates", WHOLE, AT(growth_candidates), 1, 1024, "3", "layers it picks from"},
    {"growth-layers", WHOLE, AT(growth_layers), 0, 1024, "3", "layers that may be looped"},
    {"growth-heads", WHOLE, AT(growth_heads), 1, 1024, "2", "heads kept in a looped layer"},
    {"growth-depth", WHOLE, AT(growth_depth), 1, 64, "1", "extra passes of a looped layer"},
    {"ramp", WORD, AT(ramp), 0, 0, "reference", "reference, hard or warm"},
    {"direction", WORD, AT(direction), 0, 0, "deep", "which candidate goes first: deep, shallow"},
    {"head-choice", WORD, AT(head_choice), 0, 0, "highest", "highest, lowest or random"},
    {"log", PATH, AT(log), 0, 0, NULL, "write JSON lines to FILE"},
    {"entropy-every", WHOLE, AT(entropy_every), 1, 1e12, NULL,
     "steps between entropies in the log (default: 250 a run)"},
    {"checkpoint", PATH, AT(checkpoint), 0, 0, NULL, "save checkpoints in the folder FILE"},
    {"every", WHOLE, AT(every), 1, 1e12, NULL, "steps between checkpoints (default: the last)"},
    {"keep", WHOLE, AT(keep), 0, 1e6, "0", "how many checkpoints to keep; 0: all"},
    {"resume", FLAG, AT(resume), 0, 1, NULL, "go on from the latest checkpoint, if there is one"},
    {"stop-at", WHOLE, AT(stop_at), 1, 1e12, NULL, "save after this step and stop there"},
    {"evaluate-every", WHOLE, AT(evaluate_every), 1, 1e12, NULL,
     "steps between evaluations (default: a tenth)"},
    {"samples", WHOLE, AT(samples), 0, 64, "2", "texts to generate at the end"},
    {"sample-bytes", WHOLE, AT(sample_bytes), 1, 65536, "300", "bytes of each"},
    {"temperature", REAL, AT(temperature), 0, 100, "0.8", "of samples; 0: the likeliest byte"},
    {"top-k", WHOLE, AT(top_k), 0, 256, "40", "pick from the N likeliest bytes; 0: all"},
    {"prompt", WORD, AT(prompt), 0, 0, "\n", "what samples start with"},
};

enum { N_ROWS = sizeof rows / sizeof rows[0], HELP = 'h' };

int complain(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fputs("train_text: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return status;
}

static int print_help(void)
{
    puts("usage: train_text TEXT [--OPTION VALUE]...\n"
         "Trains a byte-level Sparse Growing Transformer on the bytes of the file TEXT.\n");
    for (int i = 0; i < N_ROWS; i++) {
        static const char *const values[] = {"N", "X", "WORD", "FILE"};
        char left[64];
        snprintf(left, sizeof left, "--%s %s", rows[i].name,
                 rows[i].kind == FLAG ? "" : values[rows[i].kind]);
        printf("  %-22s %s", left, rows[i].help);
        if (rows[i].initial && rows[i].initial[0] != '\n')
            printf(" (%s)", rows[i].initial);
        putchar('\n');
    }
    puts("  --help                 print this\n\n"
         "Ctrl-C ends the training early, with the report. Exit status: 0 done, 1 failed,\n"
         "2 the command line or the text is not usable.");
    return EXIT_HELP;
}

/* Stores `value` for a row; EXIT_BAD_INPUT when it is not a number within the bounds. */
static int store(settings *o, const option_row *row, const char *value)
{
    char *field = (char *)o + row->offset;
    char *end = NULL;
    errno = 0;
    if (row->kind == FLAG) {
        memcpy(field, &(int64_t){1}, sizeof(int64_t));
    } else if (row->kind == WORD || row->kind == PATH) {
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

static int store_defaults(settings *o)
{
    memset(o, 0, sizeof *o);
    o->warmup = -1;
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].initial && store(o, &rows[i], rows[i].initial))
            return EXIT_BAD_INPUT;
    return EXIT_DONE;
}

/* Reads "LAYER+LAYER" or "LAYER.HEAD+LAYER.HEAD" after the colon of --policy. */
static int read_policy_items(settings *o, const char *list)
{
    policy_spec *spec = &o->spec;
    for (const char *at = list;; at++) {
        int layer = -1, head = 0, length = 0;
        if (spec->kind == POLICY_BLOCKS)
            sscanf(at, "%4d%n", &layer, &length);
        else
            sscanf(at, "%4d.%4d%n", &layer, &head, &length);
        if (!length || layer < 0 || layer >= o->layers || head < 0 || head >= o->heads)
            return complain(EXIT_BAD_INPUT, "--policy: '%s' does not start with a %s of the model",
                            at, spec->kind == POLICY_BLOCKS ? "LAYER" : "LAYER.HEAD");
        if (spec->count == MAX_POLICY_ITEMS)
            return complain(EXIT_BAD_INPUT, "--policy: more than %d items", MAX_POLICY_ITEMS);
        spec->layers[spec->count] = layer;
        spec->heads[spec->count++] = head;
        at += length;
        if (!*at)
            return EXIT_DONE;
        if (*at != '+')
            return complain(EXIT_BAD_INPUT, "--policy: '%s' should be a '+'", at);
    }
}

static int read_policy(settings *o)
{
    if (!strcmp(o->policy, "sgt")) {
        o->spec.kind = POLICY_SGT;
    } else if (!strcmp(o->policy, "none")) {
        o->spec.kind = POLICY_NONE;
    } else if (!strncmp(o->policy, "blocks:", 7)) {
        o->spec.kind = POLICY_BLOCKS;
        return read_policy_items(o, o->policy + 7);
    } else if (!strncmp(o->policy, "heads:", 6)) {
        o->spec.kind = POLICY_HEADS;
        return read_policy_items(o, o->policy + 6);
    } else {
        return complain(EXIT_BAD_INPUT, "--policy: '%s' is not sgt, none, blocks:... or heads:...",
                        o->policy);
    }
    return EXIT_DONE;
}

/* What depends on more than one option. */
static int settle(settings *o)
{
    if (!o->steps && o->minutes == 0)
        o->steps = 2000;
    if (!o->d_ff)
        o->d_ff = (o->d_model * 8 / 3 + 31) / 32 * 32;
    if (o->growth_layers >= o->layers)
        o->growth_layers = o->layers - 1; /* layer 0 is never looped */
    if (o->growth_layers == 0 && !strcmp(o->policy, "sgt"))
        o->policy = "none";
    if (o->growth_heads > o->heads)
        return complain(EXIT_BAD_INPUT, "--growth-heads: %lld is more than --heads %lld",
                        (long long)o->growth_heads, (long long)o->heads);
    if (o->batch % o->micro_batches)
        return complain(EXIT_BAD_INPUT, "--micro-batches: %lld does not divide --batch %lld",
                        (long long)o->micro_batches, (long long)o->batch);
    if (!o->checkpoint && (o->every || o->keep || o->stop_at || o->resume))
        return complain(EXIT_BAD_INPUT, "--%s: needs --checkpoint",
                        o->every     ? "every"
                        : o->keep    ? "keep"
                        : o->stop_at ? "stop-at"
                                     : "resume");
    if (!o->prompt[0])
        return complain(EXIT_BAD_INPUT, "--prompt: is empty");
    return read_policy(o);
}

int settings_read(settings *o, int argc, char **argv)
{
    struct option table[N_ROWS + 2] = {{0}};
    for (int i = 0; i < N_ROWS; i++)
        table[i] = (struct option){rows[i].name,
                                   rows[i].kind == FLAG ? no_argument : required_argument, NULL,
                                   256 + i};
    table[N_ROWS] = (struct option){"help", no_argument, NULL, HELP};
    if (store_defaults(o))
        return EXIT_BAD_INPUT;
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":h", table, NULL)) != -1;) {
        if (found == HELP)
            return print_help();
        if (found == ':')
            return complain(EXIT_BAD_INPUT, "'%s' needs a value", argv[optind - 1]);
        if (found < 256)
            return complain(EXIT_BAD_INPUT, "'%s' is not an option (see --help)",
                            argv[optind - 1]);
        if (store(o, &rows[found - 256], optarg))
            return EXIT_BAD_INPUT;
    }
    if (optind == argc)
        return complain(EXIT_BAD_INPUT, "which TEXT? (see --help)");
    if (optind + 1 < argc)
        return complain(EXIT_BAD_INPUT, "'%s' is one argument too many", argv[optind + 1]);
    o->text = argv[optind];
    return settle(o);
}
