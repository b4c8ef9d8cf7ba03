/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goes on with a text, byte by byte as a trained model has it:
 *
 *     generate checkpoints "It is a truth universally acknowledged, "
 *     generate hugging-face-folder --ids --tokens 20 < prompt-of-token-numbers
 *
 * A session keeps what the model has read; a sampler picks each byte; it is printed at once.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "clock.h"
#include "command_line.h"
#include "generate_model.h"
#include "generate_options.h"
#include "long_text.h"
#include "open_context.h"
#include "text_output.h"

enum { BYTES = 256 };

typedef struct run {
    settings o;
    sgt_context *context;
    sgt_model *model;
    int32_t vocab_size;
    long_text text;
    int32_t *stop;
    text_output output;
    double first; /* when the first token came */
    double last;
} run;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* The first signal ends the text, the second the program. */
static void listen_to_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- setting up ---- */

static int open_model(run *r)
{
    sgt_model_config config = {.size = sizeof config};
    int status = model_load(&r->model, r->context, r->o.path, r->o.step);
    if (status)
        return status;
    sgt_status got = sgt_model_get_config(&config, r->model);
    if (got != SGT_OK)
        return call_failed("loading", got);
    if (!r->o.ids && config.vocab_size != BYTES)
        return complain(EXIT_BAD_INPUT,
                        "%s: has %d tokens, not the %d bytes; use --ids with a tokenizer",
                        r->o.path, (int)config.vocab_size, BYTES);
    r->vocab_size = config.vocab_size;
    if (r->o.context == 0 || r->o.context > config.max_seq_len)
        r->o.context = config.max_seq_len;
    return EXIT_DONE;
}

/* Room for the whole text, as far as the model can look back. */
static int open_session(run *r)
{
    sgt_session_options options;
    int64_t length = (int64_t)r->text.n_prompt + r->text.n_new;
    sgt_status status = sgt_session_options_init(&options, sizeof options);
    options.max_length = (int32_t)(length < r->o.context ? length : r->o.context);
    options.weights = r->o.bf16 ? SGT_BF16 : SGT_F32;
    if (status == SGT_OK)
        status = sgt_session_create(&r->text.session, r->model, &options);
    return status == SGT_OK ? EXIT_DONE : call_failed("making a session", status);
}

static int open_sampler(run *r)
{
    const settings *o = &r->o;
    sgt_sampler_options options;
    sgt_status status = sgt_sampler_options_init(&options, sizeof options);
    options.temperature = o->temperature;
    options.top_k = (int32_t)o->top_k;
    options.top_p = o->top_p;
    options.min_p = o->min_p;
    options.repetition_penalty = o->repetition_penalty;
    options.repetition_window = (int32_t)o->repetition_window;
    options.seed = (uint64_t)o->seed;
    if (status == SGT_OK)
        status = sgt_sampler_create(&r->text.sampler, r->context, r->vocab_size, &options);
    return status == SGT_OK ? EXIT_DONE : call_failed("making a sampler", status);
}

static int set_up(run *r)
{
    int status = open_context(&r->context, r->o.threads, r->o.backend, NULL, NULL);
    if (!status)
        status = open_model(r);
    if (!status)
        status = prompt_read(&r->text.tokens, &r->text.n_prompt, &r->o);
    if (!status)
        status = stop_read(&r->stop, &r->text.n_stop, &r->o);
    r->text.stop = r->stop;
    r->text.n_new = (int32_t)r->o.tokens;
    if (!status)
        status = open_session(r);
    if (!status)
        status = open_sampler(r);
    return status;
}

/* ---- the text ---- */

static void print_token(run *r, int32_t token)
{
    if (!r->o.ids) {
        text_put(&r->output, (unsigned char)token);
        return;
    }
    printf("%d ", (int)token);
    fflush(stdout);
}

static int32_t on_token(void *user, int32_t token, int32_t index)
{
    run *r = user;
    r->last = now();
    if (index == 0)
        r->first = r->last;
    print_token(r, token);
    return stopped || ferror(stdout);
}

/* The first token comes with the end of the prompt, each other one costs a step of its own. */
static void print_speed(const run *r, double start)
{
    int32_t fed = long_text_fed(&r->text);
    fprintf(stderr, "prompt: %d tokens, %.1f tokens/s", (int)fed, fed / (r->first - start));
    if (fed < r->text.n_prompt)
        fprintf(stderr, " (the last of %d)", (int)r->text.n_prompt);
    fprintf(stderr, "\ntext: %d tokens", (int)r->text.made);
    if (r->text.made > 1)
        fprintf(stderr, ", %.1f tokens/s", (r->text.made - 1) / (r->last - r->first));
    fputc('\n', stderr);
}

static int write_text(run *r)
{
    double start = now();
    for (int32_t i = 0; i < r->text.n_prompt && !r->o.only_new; i++)
        print_token(r, r->text.tokens[i]);
    sgt_status status = long_text_write(&r->text);
    if (r->o.ids)
        putchar('\n');
    else
        text_end(&r->output);
    if (fflush(stdout) || ferror(stdout))
        return complain(EXIT_FAILED, "standard output cannot be written");
    if (status != SGT_OK)
        return call_failed("generating", status);
    if (!r->o.quiet)
        print_speed(r, start);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    run r = {.output = {.file = stdout, .at_line_start = 1}};
    int status = settings_read(&r.o, argc, argv);
    if (status != EXIT_DONE)
        return status == EXIT_HELP ? EXIT_DONE : status;
    listen_to_signals();
    r.output.raw = (int)r.o.raw;
    r.text.callback = on_token;
    r.text.user = &r;
    status = set_up(&r);
    if (!status)
        status = write_text(&r);
    sgt_sampler_free(r.text.sampler);
    sgt_session_free(r.text.session);
    sgt_model_free(r.model);
    sgt_context_free(r.context);
    free(r.stop);
    free(r.text.tokens);
    return status;
}
