/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the programs that make the files of this folder share with the test that reads them: the
 * data of the training, how results are hashed, and what is recorded. Nothing here is of the
 * library, whose interface changes from release to release.
 */
#ifndef SGTT_RELEASE_DATA_H
#define SGTT_RELEASE_DATA_H

#include <stddef.h>
#include <stdint.h>

enum {
    RELEASE_VOCAB = 19,
    RELEASE_ROWS = 2,
    RELEASE_SEQ = 7,
    RELEASE_TOKENS = RELEASE_ROWS * RELEASE_SEQ,
    RELEASE_MICRO = 2,      /* batches of a step */
    RELEASE_SAVED = 9,      /* the step that was saved: after its update, before growth was asked */
    RELEASE_LAST = 16,
    RELEASE_GOES_ON = RELEASE_LAST - RELEASE_SAVED
};

/* Tokens and targets of batch `micro` of a step; a few targets are -1. */
static inline void release_batch(int32_t tokens[RELEASE_TOKENS], int32_t targets[RELEASE_TOKENS],
                                 int64_t step, int micro)
{
    uint64_t state = (uint64_t)(step * RELEASE_MICRO + micro);
    for (int i = 0; i < 2 * RELEASE_TOKENS; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const int32_t value = (int32_t)((state >> 33) % (RELEASE_VOCAB + 1));
        if (i < RELEASE_TOKENS)
            tokens[i] = value % RELEASE_VOCAB;
        else
            targets[i - RELEASE_TOKENS] = value - 1;
    }
}

#define RELEASE_HASH UINT64_C(0xcbf29ce484222325)

/* FNV-1a, going on from `hash`; of numbers as they lie in memory, which is little-endian. */
static inline uint64_t release_hash(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Hashes of a training: all weights, all moments (first and second of each parameter in turn), the
 * bytes of the plan. */
typedef struct release_state {
    uint64_t weights, moments, plan;
} release_state;

/* What growth did. */
typedef struct release_event {
    int32_t action, layer, depth, n_heads;
} release_event;

/* What a step gave; doubles as their bits. */
typedef struct release_step {
    uint64_t losses[RELEASE_MICRO], grad_norm, rate;
    release_event event;
} release_step;

/* What the library of the release itself got when it went on from the file. */
typedef struct release_record {
    const char *file;
    release_state loaded;
    uint64_t policy;     /* of the bytes of the growth policy, as loaded */
    release_event first; /* of the step that was saved */
    release_step steps[RELEASE_GOES_ON]; /* those after it */
    release_state ended;
    uint64_t evaluation; /* the loss of the first batch of the step after the last, as bits */
    uint64_t logits;     /* of a session that was fed the same batch's first row */
} release_record;

#endif
