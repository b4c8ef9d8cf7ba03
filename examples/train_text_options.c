/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "open_context.h"

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
    {"init-residual", FLAG, AT(init_residual), 0, 1, NULL,
     "first weights of what is added to the residual stream over sqrt(2 layers)"},
    {"warmup", WHOLE, AT(warmup), 0, 1e12, NULL, "warm-up steps (default: 5 % of the steps)"},
    {"weight-decay", REAL, AT(weight_decay), 0, 100, "0.1", "decoupled weight decay"},
    {"clip", REAL, AT(clip), 0, 1e9, "1", "largest gradient norm; 0: no clipping"},
    {"seed", WHOLE, AT(seed), 0, 9e15, "1", "of weights, batches and samples"},
    CONTEXT_ROWS(settings),
    {"policy", WORD, AT(policy), 0, 0, "sparse", "sparse, none, blocks:L+L or heads:L.H+L.H"},
    {"pattern", WORD, AT(pattern), 0, 0, "dense",
     "which keys queries see: dense, local:256, block+summary:128:8, ..; a list goes by layer"},
    {"feed-forward", WORD, AT(feed_forward), 0, 0, "swiglu", "swiglu or relu"},
    {"units", WHOLE, AT(units), 0, 65536, "0",
     "sparse feed-forward: a token uses one unit out of every so many; 0: all"},
    {"controller-rank", WHOLE, AT(controller_rank), 1, 65536, "64", "of what chooses units"},
    {"hard-fraction", REAL, AT(hard_fraction), 0, 1, "0.3",
     "probability that only chosen units count in a training step"},
    {"unit-temperature", REAL, AT(unit_temperature), 0, 100, "0.1", "of the noise in choices"},
    {"unit-scale", FLAG, AT(unit_scale), 0, 1, NULL,
     "first weights of sparse feed-forward parts that add as much as dense ones"},
    {"attention", WORD, AT(attention), 0, 0, "softmax",
     "softmax, or multiplicative: sparse queries, keys and values"},
    {"mult-kernel", WHOLE, AT(mult_kernel), 1, 64, "3", "positions that its convolutions see"},
    {"attention-output", WORD, AT(attention_output), 0, 0, "projection",
     "projection, or none after multiplicative attention"},
    {"head-modules", WHOLE, AT(head_modules), 0, 256, "0", "sparse output head; 0: a matrix"},
    {"altup", WHOLE, AT(altup_streams), 1, 16, "1", "streams of a token (AltUp)"},
    {"growth-first", WHOLE, AT(growth_first), 1, 1e12, NULL, "step of the first selection"},
    {"growth-window", WHOLE, AT(growth_window), 1, 1e12, NULL, "steps between selections"},
    {"growth-candidates", WHOLE, AT(growth_candidates), 1, 1024, "3", "layers it picks from"},
    {"growth-layers", WHOLE, AT(growth_layers), 0, 1024, "3", "layers that may be looped"},
    {"growth-heads", WHOLE, AT(growth_heads), 1, 1024, "2", "heads kept in a looped layer"},
    {"growth-depth", WHOLE, AT(growth_depth), 1, 64, "1", "extra passes of a looped layer"},
    {"growth-groups", WORD, AT(growth_groups), 0, 0, "one",
     "layers whose entropies are compared: one group of all, patterns: those of one pattern"},
    {"ramp", WORD, AT(ramp), 0, 0, "reference", "reference, hard or warm"},
    {"direction", WORD, AT(direction), 0, 0, "deep", "which candidate goes first: deep, shallow"},
    {"head-choice", WORD, AT(head_choice), 0, 0, "highest", "highest, lowest or random"},
    {"log", PATH, AT(log), 0, 0, NULL, "write JSON lines to FILE"},
    {"entropy-every", WHOLE, AT(entropy_every), 1, 1e12, NULL,
     "steps between entropies in the log (default: 250 a run)"},
    {"checkpoint", FOLDER, AT(checkpoint), 0, 0, NULL, "save checkpoints in FOLDER"},
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

static const command_line description = {
    .program = "train_text",
    .usage = "usage: train_text TEXT [--OPTION VALUE]...\n"
             "Trains a byte-level Sparse Growing Transformer on the bytes of the file TEXT.\n",
    .notes =
        "Lines of progress: loss is the mean since the line before, bytes/s and GFLOP/s are those\n"
        "of training steps alone, depth is what the loops have cost so far, in FLOPs, beyond the\n"
        "model without loops. Bits per byte is the loss on held-out text; 8 is pure guessing.\n"
        "\n"
        "The last evaluation may take a tenth of --minutes more.\n"
        "Ctrl-C ends the training early, with the report. Exit status: 0 done, 1 failed,\n"
        "2 the command line or the text is not usable.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .least = 1,
    .most = 1,
    .argument = "TEXT",
};

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
    if (!strcmp(o->policy, "sparse")) {
        o->spec.kind = POLICY_SPARSE;
    } else if (!strcmp(o->policy, "none")) {
        o->spec.kind = POLICY_NONE;
    } else if (!strncmp(o->policy, "blocks:", 7)) {
        o->spec.kind = POLICY_BLOCKS;
        return read_policy_items(o, o->policy + 7);
    } else if (!strncmp(o->policy, "heads:", 6)) {
        o->spec.kind = POLICY_HEADS;
        return read_policy_items(o, o->policy + 6);
    } else {
        return complain(EXIT_BAD_INPUT,
                        "--policy: '%s' is not sparse, none, blocks:... or heads:...", o->policy);
    }
    return EXIT_DONE;
}

/* What every block is made of, but for its pattern. */
static int read_parts(sgt_block_config *block, const settings *o)
{
    static const char *const feed_forwards[] = {"swiglu", "relu", NULL};
    static const char *const attentions[] = {"softmax", "multiplicative", NULL};
    static const char *const outputs[] = {"projection", "none", NULL};
    sgt_block_config_init(block, sizeof *block);
    block->feed_forward = choose_word("feed-forward", o->feed_forward, feed_forwards);
    block->attention = choose_word("attention", o->attention, attentions);
    block->attention_output = choose_word("attention-output", o->attention_output, outputs);
    block->mult_kernel = (int32_t)o->mult_kernel;
    block->units = (int32_t)o->units;
    block->controller_rank = (int32_t)o->controller_rank;
    block->hard_fraction = o->hard_fraction;
    block->temperature = o->unit_temperature;
    return block->feed_forward < 0 || block->attention < 0 || block->attention_output < 0
               ? EXIT_BAD_INPUT
               : EXIT_DONE;
}

/* Reads SPEC,SPEC..: layer i is made of the i-th block of a list that goes round. */
static int read_blocks(settings *o)
{
    const char *at = o->pattern;
    sgt_block_config parts;
    if (read_parts(&parts, o))
        return EXIT_BAD_INPUT;
    do {
        char spec[80];
        int length = (int)strcspn(at, ",");
        if (o->n_blocks == MAX_PATTERNS || o->n_blocks == o->layers)
            return complain(EXIT_BAD_INPUT, "--pattern: has more than %d of them",
                            (int)o->n_blocks);
        sgt_attention_pattern *pattern = &o->patterns[o->n_blocks];
        *pattern = (sgt_attention_pattern){.size = sizeof *pattern};
        snprintf(spec, sizeof spec, "%.*s", length, at);
        if (sgt_attention_pattern_parse(pattern, spec))
            return complain(EXIT_BAD_INPUT, "--pattern: %s", sgt_error_message());
        int32_t first = 0;
        while (memcmp(&o->patterns[first], pattern, sizeof *pattern) != 0)
            first++;
        o->groups[o->n_blocks] = first;
        parts.n_patterns = 1;
        parts.patterns = pattern;
        o->blocks[o->n_blocks++] = parts;
        at += length;
    } while (*at++ == ',');
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
    if (o->growth_layers == 0 && !strcmp(o->policy, "sparse"))
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
    int status = read_blocks(o);
    return status == EXIT_DONE ? read_policy(o) : status;
}

int settings_read(settings *o, int argc, char **argv)
{
    char **arguments;
    int count;
    memset(o, 0, sizeof *o);
    o->warmup = -1;
    int status = read_command_line(o, &arguments, &count, &description, argc, argv);
    if (status != EXIT_DONE)
        return status;
    o->text = arguments[0];
    return settle(o);
}
