/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of train_text: read, checked, with defaults. */
#ifndef TRAIN_TEXT_OPTIONS_H
#define TRAIN_TEXT_OPTIONS_H

#include <stdint.h>

#include <sgt/model.h>

#include "command_line.h"

enum policy_kind { POLICY_SPARSE, POLICY_NONE, POLICY_BLOCKS, POLICY_HEADS };

#define MAX_POLICY_ITEMS 64
#define MAX_PATTERNS     64

/* What --policy says: "blocks:2+3" or "heads:2.0+2.3+3.1". */
typedef struct policy_spec {
    enum policy_kind kind;
    int32_t count;
    int32_t layers[MAX_POLICY_ITEMS];
    int32_t heads[MAX_POLICY_ITEMS]; /* of POLICY_HEADS */
} policy_spec;

typedef struct settings {
    const char *text;
    const char *held_out;
    const char *log;
    const char *backend;
    const char *policy;
    const char *pattern;
    const char *feed_forward;
    const char *attention;
    const char *attention_output;
    const char *growth_groups;
    const char *ramp;
    const char *direction;
    const char *head_choice;
    const char *prompt;
    int64_t d_model;
    int64_t layers;
    int64_t heads;
    int64_t kv_heads;
    int64_t d_ff;
    int64_t altup_streams;
    int64_t units; /* 0: dense feed-forward parts */
    int64_t controller_rank;
    int64_t unit_scale; /* 1: first weights as large as hard parts need them */
    int64_t mult_kernel;
    int64_t head_modules; /* 0: a dense head */
    int64_t batch;
    int64_t micro_batches;
    int64_t seq;
    int64_t steps; /* 0: only --minutes limits the run */
    int64_t warmup;
    int64_t growth_first;  /* 0: from the number of steps */
    int64_t growth_window; /* likewise */
    int64_t growth_candidates;
    int64_t growth_layers;
    int64_t growth_heads;
    int64_t growth_depth;
    int64_t threads;
    int64_t seed;
    const char *checkpoint; /* folder; NULL: none are saved */
    int64_t every;          /* steps between checkpoints; 0: only the last */
    int64_t keep;           /* checkpoints; 0: all */
    int64_t stop_at;        /* save after this step and end there; 0: at the last one */
    int64_t resume;         /* 1: go on from the latest checkpoint */
    int64_t evaluate_every; /* 0: ten times a run */
    int64_t entropy_every;  /* 0: 250 times a run */
    int64_t samples;
    int64_t sample_bytes;
    int64_t top_k;
    double minutes; /* 0: no limit */
    double lr;
    double init_std;
    int64_t init_residual; /* 1: smaller where parts add to the residual stream */
    double weight_decay;
    double clip;
    double temperature;
    double hard_fraction;
    double unit_temperature; /* of choices; that of samples is `temperature` */
    policy_spec spec;
    int32_t n_blocks; /* one for each pattern of --pattern */
    sgt_block_config blocks[MAX_PATTERNS];
    sgt_attention_pattern patterns[MAX_PATTERNS];
    int32_t groups[MAX_PATTERNS]; /* the first block with the same pattern */
} settings;

/* Fills *o. Returns EXIT_DONE to go on, EXIT_HELP when help was printed, EXIT_BAD_INPUT after a
 * message that names the culprit. */
int settings_read(settings *o, int argc, char **argv);

#endif
