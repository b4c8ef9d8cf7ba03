/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benchmark programs share: options, clocks, medians, the machine's own limits. */
#ifndef SGT_BENCH_H
#define SGT_BENCH_H

#include <jansson.h>
#include <sgt/sgt.h>

#include "backend/profile.h"

enum { BENCH_PATTERNS = 16, BENCH_BATCHES = 8 }; /* at most */

typedef struct bench_options {
    sgt_model_config config;
    sgt_model_options model;
    int32_t batch;
    int32_t seq;
    int32_t threads;
    int32_t steps;       /* pairs that are timed */
    int32_t prompt;      /* bench_decode: tokens of context, then tokens timed at a time */
    int32_t tokens;
    int32_t far;         /* a longer context to compare with; 0: none */
    const char *backend; /* NULL: the default */
    const char *isa;
    const char *plan;    /* none, sgt:LAYERS,HEADS[,DEPTH], allheads:LAYERS, blocks:LAYERS */
    const char *json;    /* NULL: no file */
    const char *pattern; /* SPEC[,SPEC..], by layer; NULL: dense */
    const char *opponent; /* what the program can be told to compare with */
    const char *against; /* NULL, or opponent: figures of both in turn, and no others */
    const char *batches; /* bench_decode against dense: lists of sequences fed together */
    int32_t batch_sizes[BENCH_BATCHES];
    int32_t n_batches;
    int32_t dense_ff;    /* likewise: d_ff of the plain model; 0: the same */
    int32_t weights;     /* likewise: enum sgt_dtype */
    sgt_block_config block;       /* what every block is, but for its pattern */
    sgt_block_config dense_block; /* the only one of the plain model */
    sgt_block_config blocks[BENCH_PATTERNS];
    sgt_attention_pattern patterns[BENCH_PATTERNS];
} bench_options;

/* Parses the command line; prints what is wrong and exits with 2. */
void bench_parse(bench_options *options, int argc, char **argv);

/* The deepest layers of the plan string; exits with 2 when it is not understood. */
sgt_plan *bench_plan(sgt_context *context, const bench_options *options);

/* A context as the options ask for; `count` random tokens, for free(). */
sgt_context *bench_context(const bench_options *options);
int32_t *bench_tokens(size_t count, int32_t vocab);

double bench_now(void);               /* seconds */
double bench_processor_now(void);     /* those of all threads that this process ran */
int64_t bench_page_faults(void);      /* of this process so far */
int64_t bench_peak_rss(void);         /* bytes */
double bench_median(double *values, int count); /* sorts */
double bench_quantile(const double *sorted, int count, double q);

/* Prints the message of the last failure and exits with 1 when status is one. */
void bench_check(sgt_status status, const char *what);

/* Seconds by operation: a table, with what is left of `total`; and as JSON. */
void bench_print_components(const double seconds[SGTI_PROFILE_SLOTS], double total);
json_t *bench_components(const double seconds[SGTI_PROFILE_SLOTS]);

/* Writes and releases `root`; exits with 1 when that fails, or when root is NULL. */
void bench_write_json(json_t *root, const char *file);

/* What products a rate is of: those of a training step, or of the blocks alone going forward. */
enum bench_products { BENCH_TRAINING, BENCH_FORWARD_BLOCKS };

/* The rate, in FLOP/s, of every product of a vanilla step timed alone on buffers of the model's
 * own shapes, and of a loop of multiply-adds on registers, both on all threads. */
double bench_gemm_rate(sgt_context *context, const bench_options *options,
                       enum bench_products products);
double bench_peak_rate(int32_t threads);

/* Bytes per second of summing a large array on all threads, once; and that array, for free(). */
double bench_read_rate(const char *memory, int32_t threads);
char *bench_read_memory(void);

#endif
